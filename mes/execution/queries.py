"""Locks what a message names; reads of waivers, checks and first articles."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Text, any_, bindparam, func, select, text, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import aliased

from mes.cycles.models import Cycle, Permit
from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.execution.messages import WaiverAnswer
from mes.execution.models import FirstArticle, StationCheck, Waiver
from mes.execution.rules.facts import CheckSeen
from mes.materials.queries import LotRow
from mes.plant.models import Station, Tool
from mes.statement import Prepared
from mes.units.models import Unit
from mes.units.queries import UnitRow
from mes.units.rules import State

# Coarse to fine: the station, for share, against whoever holds all that passed it; lots that are counted down against
# each other; the lots of units that are fitted against a hold only, so that many stations can fit cells of one lot at
# once; then the units. UNION ALL takes them in this order.
_NAMED = """
        WITH station AS MATERIALIZED (SELECT id, code FROM station WHERE code = :station {station}),
        used AS MATERIALIZED (
            SELECT id, number, part_id, revision_id, state, quantity_left FROM lot
            WHERE number = ANY(:lots) ORDER BY id {used}),
        fitted AS MATERIALIZED (
            SELECT id, number, part_id, revision_id, state, quantity_left FROM lot
            WHERE id IN (SELECT lot_id FROM unit WHERE serial = ANY(:serials)) ORDER BY id {fitted}),
        units AS MATERIALIZED (
            SELECT id, serial, part_id, lot_id, order_id, revision_id, state FROM unit
            WHERE serial = ANY(:serials) ORDER BY id {units})
        SELECT id, code AS name, NULL::bigint AS part_id, NULL::bigint AS revision_id, NULL AS state,
               NULL::numeric AS quantity_left, NULL::bigint AS lot_id, NULL::bigint AS order_id, 'station' AS kind
        FROM station
        UNION ALL SELECT *, NULL, NULL, 'lot' FROM used
        UNION ALL SELECT *, NULL, NULL, 'lot' FROM fitted
        UNION ALL SELECT id, serial, part_id, revision_id, state, NULL, lot_id, order_id, 'unit' FROM units
"""


def _named(station: str, used: str, fitted: str, units: str) -> Prepared:
    statement = text(_NAMED.format(station=station, used=used, fitted=fitted, units=units))
    lists = (bindparam(name, type_=ARRAY(Text)) for name in ("lots", "serials"))
    return Prepared(statement.bindparams(bindparam("station", type_=Text), *lists))


_LOCK_TO_REPORT = _named("FOR SHARE", "FOR NO KEY UPDATE", "FOR SHARE", "FOR NO KEY UPDATE")
# A question counts nothing down: stations that ask for one lot don't wait for each other, only for who holds it.
_LOCK_TO_ASK = _named("", "FOR KEY SHARE", "FOR KEY SHARE", "FOR NO KEY UPDATE")
_FIND = _named("", "", "", "")
Named = tuple[dict[str, UnitRow], dict[str, LotRow]]


async def lock_named(
    session: Session, serials: Collection[str], lots: Collection[str], *, reporting: str | None = None
) -> Named:
    """Lock the lots of these numbers and of these units, then the units; those that exist, by serial and number.

    `reporting`: the station whose report it is. The act's moment is taken anew: what was waited for happened before.
    """
    statement = _LOCK_TO_ASK if reporting is None else _LOCK_TO_REPORT
    found = await _read_named(session, statement, serials, lots, reporting)
    session.take_moment()
    return found


async def find_named(session: ReadSession, serials: Collection[str], lots: Collection[str]) -> Named:
    """Read the same without a lock, for whoever only asks why."""
    return await _read_named(session, _FIND, serials, lots, None)


async def _read_named(
    session: ReadSession, statement: Prepared, serials: Collection[str], lots: Collection[str], station: str | None
) -> Named:
    found_units: dict[str, UnitRow] = {}
    found_lots: dict[str, LotRow] = {}
    for id_, name, part_id, revision_id, state, left, lot_id, order_id, kind in await session.run(
        statement, serials=list(serials), lots=list(lots), station=station
    ):
        if kind == "unit":
            found_units[name] = UnitRow(id_, name, part_id, lot_id, order_id, revision_id, State(state))
        elif kind == "lot":
            found_lots[name] = LotRow(id_, name, part_id, revision_id, state, left)
    return found_units, found_lots


async def lock_first_article(session: Session, station: str) -> FirstArticle | None:
    """Lock the oldest first article of a station that waits for its signature; None: there is none."""
    open_ = select(FirstArticle.id, FirstArticle.operators, FirstArticle.why)
    open_ = open_.join(Station, Station.id == FirstArticle.station_id)
    open_ = open_.where(Station.code == station, FirstArticle.signed_at.is_(None))
    row = (await session.execute(open_.order_by(FirstArticle.id).limit(1).with_for_update(of=FirstArticle))).first()
    return FirstArticle(**row._mapping) if row else None


async def list_waivers(
    session: ReadSession,
    *,
    waiver: int | None = None,
    unit_id: int | None = None,
    in_force_at: datetime | None = None,
) -> list[WaiverAnswer]:
    """List waivers, the newest first: one, those that name a unit or were used by it, those in force, or all."""
    serials = (
        select(func.array_agg(Unit.serial)).where(Unit.id == any_(Waiver.unit_ids)).correlate(Waiver).scalar_subquery()
    )
    kept = [getattr(Waiver, name) for name in WaiverAnswer.model_fields if name not in {"waiver", "serials", "station"}]
    statement = select(Waiver.id.label("waiver"), Station.code.label("station"), serials.label("serials"), *kept)
    statement = statement.outerjoin(Station, Station.id == Waiver.station_id).order_by(Waiver.id.desc()).limit(500)
    if waiver is not None:
        statement = statement.where(Waiver.id == waiver)
    if unit_id is not None:
        used = [select(func.unnest(ledger.waivers)).where(ledger.unit_id == unit_id) for ledger in (Permit, Cycle)]
        statement = statement.where((Waiver.unit_ids.contains([unit_id])) | Waiver.id.in_(union(*used)))
    if in_force_at is not None:
        statement = statement.where(Waiver.revoked_at.is_(None), Waiver.ends_at > in_force_at)
    rows = (await session.execute(statement)).mappings()
    return [WaiverAnswer(**{**row, "serials": row["serials"] or []}) for row in rows]


async def get_check(session: ReadSession, check: int) -> tuple[CheckSeen, str]:
    """A check and its station, or raise NotFound."""
    kept = (StationCheck.kind, StationCheck.passed, StationCheck.checked_at, Tool.code.label("tool"))
    found = select(*kept, Station.code.label("station")).join(Station, Station.id == StationCheck.station_id)
    found = found.outerjoin(Tool, Tool.id == StationCheck.tool_id).where(StationCheck.id == check)
    row = (await session.execute(found)).one_or_none()
    if row is None:
        raise NotFound(kind="check", name=check)
    return CheckSeen(row.kind, row.passed, row.checked_at, row.tool), row.station


async def last_good_check(session: ReadSession, check: int) -> datetime | None:
    """When the station, or the tool, last passed a check of the same kind before this one; None: never."""
    this, before = aliased(StationCheck), aliased(StationCheck)
    same = (before.station_id == this.station_id) & (before.kind == this.kind) & (before.id < this.id) & before.passed
    same &= before.tool_id.is_not_distinct_from(this.tool_id)
    statement = select(func.max(before.checked_at)).select_from(this).join(before, same).where(this.id == check)
    found: datetime | None = (await session.execute(statement)).scalar_one()
    return found


_PARTS = Prepared(
    text("SELECT number, id FROM part WHERE number = ANY(:numbers)").bindparams(bindparam("numbers", type_=ARRAY(Text)))
)


async def part_ids(session: ReadSession, numbers: Collection[str]) -> dict[str, int]:
    """The ids of parts by number, those that exist; a part keeps its id, so each is looked up once."""
    known: dict[str, int] = session.frozen.setdefault("part_ids", {})
    if missing := [number for number in numbers if number not in known]:
        known |= {row["number"]: row["id"] for row in await session.run(_PARTS, numbers=missing)}
    return {number: known[number] for number in numbers if number in known}
