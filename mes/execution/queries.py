"""Gathers the facts a permit or a report is decided by."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.materials.queries import LotRow
from mes.statement import Prepared
from mes.units.queries import UnitRow


@dataclass(frozen=True, slots=True)
class OpenHold:
    """A hold on one of the units or lots a message names."""

    id: int
    unit_id: int | None
    lot_id: int | None
    containment_id: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Fitted:
    """What stands at a position of the unit already, or was used up in it."""

    part_id: int
    position: int | None
    child_id: int | None
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Seen:
    """All that one read finds out about a message's station, cycle, unit and parts."""

    station_id: int | None
    operations: tuple[str, ...]
    tool_id: int | None
    permit_id: int | None
    permit_serial: str | None
    permit_granted: bool | None
    permit_refusals: tuple[str, ...]
    permit_facts: dict[str, str]
    permit_step_id: int | None
    cycle_id: int | None
    cycle_answer: dict[str, Any] | None
    cycle_times: tuple[datetime | None, datetime | None]
    order: str | None
    order_state: str | None
    passed_steps: frozenset[int]
    holds: tuple[OpenHold, ...]
    fitted: tuple[Fitted, ...]
    elsewhere: dict[int, int]  # child id -> the parent it is in
    above: frozenset[int]  # what the unit itself is in, all the way up


# Coarse to fine: lots that are counted down against each other; the lots of units that are fitted against a hold only,
# so that many stations can fit cells of one lot at once; then the units. UNION ALL takes them in this order.
_LOCK = Prepared(
    text(
        """
        WITH used AS MATERIALIZED (
            SELECT id, number, part_id, revision_id, state, quantity_left FROM lot
            WHERE number = ANY(:lots) ORDER BY id FOR NO KEY UPDATE),
        fitted AS MATERIALIZED (
            SELECT id, number, part_id, revision_id, state, quantity_left FROM lot
            WHERE id IN (SELECT lot_id FROM unit WHERE serial = ANY(:serials)) ORDER BY id FOR SHARE),
        units AS MATERIALIZED (
            SELECT id, serial, part_id, lot_id, order_id, revision_id, state FROM unit
            WHERE serial = ANY(:serials) ORDER BY id FOR NO KEY UPDATE)
        SELECT id, number AS name, part_id, revision_id, state, quantity_left, NULL::bigint AS lot_id,
               NULL::bigint AS order_id, false AS is_unit FROM used
        UNION ALL SELECT *, NULL, NULL, false FROM fitted
        UNION ALL SELECT id, serial, part_id, revision_id, state, NULL, lot_id, order_id, true FROM units
        """
    ).bindparams(bindparam("lots", type_=ARRAY(Text)), bindparam("serials", type_=ARRAY(Text)))
)


async def lock_named(
    session: Session, serials: Collection[str], lots: Collection[str]
) -> tuple[dict[str, UnitRow], dict[str, LotRow]]:
    """Lock the lots of these numbers and of these units, then the units; those that exist, by serial and number."""
    found_units: dict[str, UnitRow] = {}
    found_lots: dict[str, LotRow] = {}
    for id_, name, part_id, revision_id, state, left, lot_id, order_id, is_unit in await session.run(
        _LOCK, serials=list(serials), lots=list(lots)
    ):
        if is_unit:
            found_units[name] = UnitRow(id_, name, part_id, lot_id, order_id, revision_id, state)
        else:
            found_lots[name] = LotRow(id_, name, part_id, revision_id, state, left)
    return found_units, found_lots


# One statement, so that its cost doesn't grow with what is asked; taken after the locks, so that it sees what those
# who held them before have committed.
_SEE = Prepared(
    text(
        """
        SELECT s.id AS station_id, s.operations,
            (SELECT t.id FROM tool t WHERE t.code = :tool AND t.station_id = s.id) AS tool_id,
            p.id AS permit_id, p.serial AS permit_serial, p.granted, p.refusals, p.facts::text,
            p.step_id AS permit_step_id,
            c.id AS cycle_id, c.answer::text, c.started_at, c.ended_at,
            o.number AS order_number, o.state AS order_state,
            (SELECT array_agg(step_id) FROM (
                SELECT DISTINCT ON (step_id) step_id, verdict FROM cycle
                WHERE unit_id = :unit_id OR lot_id = :lot_id ORDER BY step_id, id DESC) AS latest
             WHERE verdict = 'passed') AS passed,
            (SELECT json_agg(json_build_array(h.id, h.unit_id, h.lot_id, h.containment_id, h.reason) ORDER BY h.id)
                    ::text
             FROM hold h WHERE h.released_at IS NULL AND (h.unit_id = ANY(:unit_ids) OR h.lot_id = ANY(:lot_ids))
            ) AS holds,
            (WITH RECURSIVE above AS (
                SELECT i.parent_id AS id FROM installation i WHERE i.child_id = :parent_id AND i.removed_at IS NULL
                UNION SELECT i.parent_id FROM installation i JOIN above a ON i.child_id = a.id
                      WHERE i.removed_at IS NULL)
             SELECT array_agg(id) FROM above) AS above,
            f.part_ids, f.positions, f.child_ids, f.quantities, e.children, e.parents
        FROM (SELECT) AS one
        LEFT JOIN station s ON s.code = :station
        LEFT JOIN permit p ON p.station_id = s.id AND p.cycle = :cycle
        LEFT JOIN cycle c ON c.station_id = s.id AND c.cycle = :cycle
        LEFT JOIN work_order o ON o.id = :order_id
        LEFT JOIN LATERAL (
            SELECT array_agg(i.part_id) AS part_ids, array_agg(i.position) AS positions,
                   array_agg(i.child_id) AS child_ids, array_agg(i.quantity) AS quantities
            FROM installation i WHERE i.parent_id = :parent_id AND i.removed_at IS NULL) AS f ON true
        LEFT JOIN LATERAL (
            SELECT array_agg(i.child_id) AS children, array_agg(i.parent_id) AS parents
            FROM installation i WHERE i.child_id = ANY(:child_ids) AND i.removed_at IS NULL) AS e ON true
        """
    ).bindparams(
        *(bindparam(name, type_=Text) for name in ("tool", "station", "cycle")),
        *(bindparam(name, type_=BigInteger) for name in ("unit_id", "lot_id", "order_id", "parent_id")),
        *(bindparam(name, type_=ARRAY(BigInteger)) for name in ("unit_ids", "lot_ids", "child_ids")),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look up: the message's names, and the ids that the locks have found."""

    station: str
    cycle: str
    tool: str | None
    unit_id: int | None
    lot_id: int | None
    order_id: int | None
    unit_ids: Sequence[int]
    lot_ids: Sequence[int]
    parent_id: int | None
    child_ids: Sequence[int]


async def see(session: ReadSession, question: Question) -> Seen:
    """Gather what is recorded: the caller holds the locks."""
    row = (await session.run(_SEE, **{name: getattr(question, name) for name in _SEE.names}))[0]
    return Seen(
        station_id=row["station_id"],
        operations=tuple(row["operations"] or ()),
        tool_id=row["tool_id"],
        permit_id=row["permit_id"],
        permit_serial=row["permit_serial"],
        permit_granted=row["granted"],
        permit_refusals=tuple(row["refusals"] or ()),
        permit_facts=json.loads(row["facts"]) if row["facts"] else {},
        permit_step_id=row["permit_step_id"],
        cycle_id=row["cycle_id"],
        cycle_answer=json.loads(row["answer"]) if row["answer"] else None,
        cycle_times=(row["started_at"], row["ended_at"]),
        order=row["order_number"],
        order_state=row["order_state"],
        passed_steps=frozenset(row["passed"] or ()),
        holds=tuple(OpenHold(*hold) for hold in json.loads(row["holds"] or "[]")),
        fitted=tuple(
            Fitted(*edge) for edge in _columns(row["part_ids"], row["positions"], row["child_ids"], row["quantities"])
        ),
        elsewhere=dict(_columns(row["children"], row["parents"])),
        above=frozenset(row["above"] or ()),
    )


def _columns(*arrays: Sequence[Any] | None) -> Iterable[tuple[Any, ...]]:
    return zip(*(array or () for array in arrays), strict=True)


_PARTS = Prepared(
    text("SELECT number, id FROM part WHERE number = ANY(:numbers)").bindparams(bindparam("numbers", type_=ARRAY(Text)))
)


async def part_ids(session: ReadSession, numbers: Collection[str]) -> dict[str, int]:
    """The ids of parts by number, those that exist; a part keeps its id, so each is looked up once."""
    known: dict[str, int] = session.frozen.setdefault("part_ids", {})
    if missing := [number for number in numbers if number not in known]:
        known |= {row["number"]: row["id"] for row in await session.run(_PARTS, numbers=missing)}
    return {number: known[number] for number in numbers if number in known}
