"""Reads of units, and the locks on them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Text, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import ReadSession, Session
from mes.errors import NotFound
from mes.statement import Prepared
from mes.units.models import Unit
from mes.units.rules import State

_COLUMNS = "id, serial, part_id, lot_id, order_id, revision_id, state"
_LOCK_BY_SERIAL = Prepared(
    text(
        f"SELECT {_COLUMNS} FROM unit WHERE serial = ANY(:serials) ORDER BY id FOR NO KEY UPDATE"  # noqa: S608
    ).bindparams(bindparam("serials", type_=ARRAY(Text)))
)
_LOCK_BY_ID = Prepared(
    text("SELECT id FROM unit WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE").bindparams(
        bindparam("ids", type_=ARRAY(BigInteger))
    )
)


@dataclass(frozen=True, slots=True)
class UnitRow:
    """A unit as it stands."""

    id: int
    serial: str
    part_id: int
    lot_id: int | None
    order_id: int | None
    revision_id: int | None
    state: State


async def lock_units(session: Session, serials: Iterable[str]) -> dict[str, UnitRow]:
    """Lock the units of these serials, in id order; those that exist, by serial."""
    rows = await session.run(_LOCK_BY_SERIAL, serials=list(serials))
    return {row["serial"]: _unit(row) for row in rows}


def _unit(row: Any) -> UnitRow:
    return UnitRow(**{**row, "state": State(row["state"])})


async def lock_unit_ids(session: Session, ids: Iterable[int]) -> None:
    """Lock the units of these ids, in id order."""
    await session.run(_LOCK_BY_ID, ids=list(ids))


async def get_unit(session: ReadSession, serial: str) -> UnitRow:
    """Read the unit of this serial, or raise NotFound."""
    columns = (Unit.id, Unit.serial, Unit.part_id, Unit.lot_id, Unit.order_id, Unit.revision_id, Unit.state)
    row = (await session.execute(select(*columns).where(Unit.serial == serial))).one_or_none()
    if row is None:
        raise NotFound(kind="unit", name=serial)
    return UnitRow(**{**row._mapping, "state": State(row.state)})
