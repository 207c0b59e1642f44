"""Reads of crates and of what shipping rules see, and the lock on a crate."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Select, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.products.models import Part
from mes.shipping.messages import CrateAnswer, CrateStay, CrateUnitAnswer, Recipient
from mes.shipping.models import Crate, CrateUnit
from mes.shipping.rules import Charge, State
from mes.statement import Prepared
from mes.units.models import Unit

_SHOWN = [getattr(Crate, name) for name in CrateAnswer.model_fields if name not in {"crate", "units"}]
_STAY = (Crate.sscc.label("crate"), Crate.state, CrateUnit.put_in_at, CrateUnit.taken_out_at, Crate.shipped_at)
_STAYS = select(*_STAY, Crate.shipped_to, Crate.reference).join(Crate, Crate.id == CrateUnit.crate_id)
_CHARGE = Prepared(
    text(
        """
        SELECT s.operation, m.numbers[h."offset" + 1 : h."offset" + h.count] AS values, h.lower, h.upper
        FROM cycle c JOIN characteristic h ON h.step_id = c.step_id AND h.name = 'charge_pct' AND h.kind = 'number'
        JOIN step s ON s.id = c.step_id JOIN measurement m ON m.cycle_id = c.id AND m.at = c.reported_at
        WHERE c.unit_id = :unit_id ORDER BY c.id DESC LIMIT 1
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger))
)
_PASSED = Prepared(
    text(
        """
        SELECT DISTINCT s.operation FROM cycle c JOIN step s ON s.id = c.step_id
        WHERE c.unit_id = :unit_id AND c.verdict = 'passed' AND s.operation = ANY(:operations) ORDER BY s.operation
        """
    ).bindparams(bindparam("unit_id", type_=BigInteger), bindparam("operations", type_=ARRAY(Text)))
)


@dataclass(frozen=True, slots=True)
class CrateRow:
    """A crate as it stands."""

    id: int
    sscc: str
    state: State
    shipped_to: str | None
    reference: str | None


async def lock_crate(session: Session, sscc: str) -> CrateRow:
    """Lock a crate, before the units in it, or raise NotFound."""
    columns = (Crate.id, Crate.sscc, Crate.state, Crate.shipped_to, Crate.reference)
    row = (await session.execute(select(*columns).where(Crate.sscc == sscc).with_for_update())).one_or_none()
    if row is None:
        raise NotFound(kind="crate", name=sscc)
    return CrateRow(**{**row._mapping, "state": State(row.state)})


async def get_crate(session: ReadSession, sscc: str) -> CrateAnswer:
    """Read a crate and what is in it, or raise NotFound."""
    crates = await _read(session, select(Crate.id, Crate.sscc.label("crate"), *_SHOWN).where(Crate.sscc == sscc))
    if not crates:
        raise NotFound(kind="crate", name=sscc)
    return crates[0]


async def find_crates(session: ReadSession, state: State | None = None, limit: int = 200) -> list[CrateAnswer]:
    """List crates, the newest first."""
    chosen = select(Crate.id, Crate.sscc.label("crate"), *_SHOWN).order_by(Crate.id.desc()).limit(limit)
    return await _read(session, chosen if state is None else chosen.where(Crate.state == state))


async def _read(session: ReadSession, chosen: Select[tuple[int, str]]) -> list[CrateAnswer]:
    rows = [dict(row) for row in (await session.execute(chosen)).mappings()]
    inside = (
        select(CrateUnit.crate_id, Unit.serial, Part.number.label("part"), CrateUnit.put_in_at, CrateUnit.put_in_by)
        .join(Unit, Unit.id == CrateUnit.unit_id)
        .join(Part, Part.id == Unit.part_id)
        .where(CrateUnit.taken_out_at.is_(None), CrateUnit.crate_id.in_([row["id"] for row in rows]))
        .order_by(CrateUnit.id)
    )
    units: dict[int, list[CrateUnitAnswer]] = {row["id"]: [] for row in rows}
    for row in (await session.execute(inside)).mappings():
        unit = dict(row)
        units[unit.pop("crate_id")].append(CrateUnitAnswer(**unit))
    return [CrateAnswer(units=units[row.pop("id")], **row) for row in rows]


async def serials_in(session: ReadSession, crate_id: int) -> list[str]:
    """Serials of the units in a crate, in the order they were put in."""
    inside = select(Unit.serial).join(CrateUnit, CrateUnit.unit_id == Unit.id)
    inside = inside.where(CrateUnit.crate_id == crate_id, CrateUnit.taken_out_at.is_(None)).order_by(CrateUnit.id)
    return list((await session.execute(inside)).scalars())


async def crate_of(session: ReadSession, unit_id: int) -> str | None:
    """The SSCC of the crate that a unit is in; None: in none."""
    chosen = select(Crate.sscc).join(CrateUnit, CrateUnit.crate_id == Crate.id)
    chosen = chosen.where(CrateUnit.unit_id == unit_id, CrateUnit.taken_out_at.is_(None))
    return (await session.execute(chosen)).scalar_one_or_none()


async def crate_stays(session: ReadSession, unit_id: int) -> list[CrateStay]:
    """The crates that a unit was put into, in order of time."""
    rows = await session.execute(_STAYS.where(CrateUnit.unit_id == unit_id).order_by(CrateUnit.id))
    return [CrateStay(**row) for row in rows.mappings()]


async def recipients(session: ReadSession, serials: Collection[str]) -> list[Recipient]:
    """Which of these units have left, in which crate and to whom: what a recall asks."""
    chosen = _STAYS.add_columns(Unit.serial).join(Unit, Unit.id == CrateUnit.unit_id)
    chosen = chosen.where(Unit.serial.in_(serials), CrateUnit.taken_out_at.is_(None))
    rows = await session.execute(chosen.where(Crate.state == State.SHIPPED).order_by(Crate.shipped_at, Unit.serial))
    return [Recipient(**row) for row in rows.mappings()]


async def last_charge(session: ReadSession, unit_id: int) -> Charge | None:
    """The charge that was measured last on a unit; None: never."""
    rows = await session.run(_CHARGE, unit_id=unit_id)
    return Charge(**rows[0]) if rows else None


async def passed_among(session: ReadSession, unit_id: int, operations: Sequence[str]) -> list[str]:
    """Which of these operations a unit has passed."""
    rows = await session.run(_PASSED, unit_id=unit_id, operations=list(operations))
    return [row["operation"] for row in rows]
