"""Creates and moves units; called by the acts above."""

import asyncio
import io
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.db import Session
from mes.statement import Clause, Prepared
from mes.units.queries import UnitRow
from mes.units.rules import State

COPY_ROWS = 50_000
_ISSUE = Prepared(
    text(
        """
        INSERT INTO unit (serial, part_id, order_id, revision_id, state, created_at)
        SELECT s.serial, :part_id, :order_id, :revision_id, 'issued', :at
        FROM unnest(:serials) WITH ORDINALITY AS s (serial, n) ORDER BY s.n
        """
    ).bindparams(
        bindparam("serials", type_=ARRAY(Text)),
        bindparam("part_id", type_=BigInteger),
        bindparam("order_id", type_=BigInteger),
        bindparam("revision_id", type_=BigInteger),
    )
)
_FIRST_HEARD = Prepared(
    text(
        """
        INSERT INTO unit (serial, part_id, state, created_at)
        SELECT s.serial, s.part_id, 'received', :at FROM unnest(:serials, :part_ids) AS s (serial, part_id)
        ORDER BY s.serial
        RETURNING id, serial, part_id
        """
    ).bindparams(bindparam("serials", type_=ARRAY(Text)), bindparam("part_ids", type_=ARRAY(BigInteger)))
)
# A clause of the statement that records a cycle; without an id it moves nothing. The caller holds the lock.
MOVE = Clause(
    """
    moved AS (
        UPDATE unit SET state = :unit_state,
               finished_at = CASE WHEN :unit_state = 'finished' THEN :at ELSE finished_at END
        WHERE id = :moved_unit)
    """,
    {"unit_state": Text(), "moved_unit": BigInteger()},
)
# A COPY gives ids in the order of its rows.
_RECEIVED = Prepared(
    text("SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids FROM unit WHERE lot_id = :lot_id").bindparams(
        bindparam("lot_id", type_=BigInteger)
    )
)
_MOVE = Prepared(
    text(
        """
        UPDATE unit SET state = m.state, finished_at = CASE WHEN m.state = 'finished' THEN :at ELSE finished_at END
        FROM unnest(:ids, :states) AS m (id, state) WHERE unit.id = m.id
        """
    ).bindparams(bindparam("states", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(BigInteger)))
)
_ADOPT = Prepared(
    text(
        """
        UPDATE unit SET lot_id = :lot_id
        WHERE serial = ANY(:serials) AND part_id = :part_id AND lot_id IS NULL AND order_id IS NULL
        RETURNING id, serial
        """
    ).bindparams(
        bindparam("serials", type_=ARRAY(Text)),
        bindparam("part_id", type_=BigInteger),
        bindparam("lot_id", type_=BigInteger),
    )
)
_CHANGE_LOT = Prepared(
    text("UPDATE unit SET lot_id = :lot_id WHERE id = ANY(:ids)").bindparams(
        bindparam("ids", type_=ARRAY(BigInteger)), bindparam("lot_id", type_=BigInteger)
    )
)
_PLACE = Prepared(
    text("UPDATE unit SET location = :location WHERE id = :id").bindparams(
        bindparam("location", type_=Text), bindparam("id", type_=BigInteger)
    )
)


async def move(session: Session, states: Sequence[tuple[int, State]]) -> None:
    """Bring locked units to their states, one statement however many."""
    if states:
        await session.run(_MOVE, ids=[id_ for id_, _ in states], states=[state.value for _, state in states])


async def place(session: Session, unit_id: int, location: str) -> None:
    """Note where a locked unit is kept."""
    await session.run(_PLACE, id=unit_id, location=location)


async def change_lot(session: Session, ids: Sequence[int], lot_id: int) -> None:
    """Give locked units, never fitted, the lot that was split off for them."""
    await session.run(_CHANGE_LOT, ids=ids, lot_id=lot_id)


async def adopt(session: Session, serials: Sequence[str], *, part_id: int, lot_id: int) -> dict[str, int]:
    """Give units that a report was the first to name their lot, now that it is received; their ids by serial."""
    rows = await session.run(_ADOPT, serials=serials, part_id=part_id, lot_id=lot_id)
    return {row["serial"]: row["id"] for row in rows}


async def issue(session: Session, serials: Sequence[str], *, part_id: int, order_id: int, revision_id: int) -> None:
    """Create the units of an order, one statement however many."""
    await session.run(_ISSUE, serials=serials, part_id=part_id, order_id=order_id, revision_id=revision_id)


async def receive(session: Session, serials: pl.Series, *, part_id: int, lot_id: int) -> pl.Series:
    """Create the units of a lot that has none yet; their ids, in order.

    Raises UniqueViolationError where a serial is known; then none is created, and the act may go on.
    """
    rows = pl.DataFrame({"serial": serials}).with_columns(
        part_id=part_id, lot_id=lot_id, state=pl.lit(State.RECEIVED.value), created_at=session.at
    )
    async with session.driver.transaction():
        await copy(session, "unit", rows)
    ids = (await session.run(_RECEIVED, lot_id=lot_id))[0]["ids"]
    return pl.Series("unit_id", ids, dtype=pl.Int64)


async def copy(session: Session, table: str, rows: pl.DataFrame) -> None:
    """Add rows by COPY, in slices: each is done within the time that a statement may take."""
    for part in rows.iter_slices(COPY_ROWS):
        lines = io.BytesIO()
        await asyncio.to_thread(part.write_csv, lines, include_header=False)
        await session.driver.copy_to_table(table, source=lines.getbuffer(), columns=rows.columns, format="csv")


async def record_first_heard(session: Session, parts: Iterable[tuple[str, int]]) -> dict[str, UnitRow]:
    """Create units that a report was the first to name: (serial, part id) each, their lot unknown."""
    serials, part_ids = zip(*sorted(parts), strict=True)
    rows = await session.run(_FIRST_HEARD, serials=serials, part_ids=part_ids)
    return {
        row["serial"]: UnitRow(row["id"], row["serial"], row["part_id"], None, None, None, State.RECEIVED)
        for row in rows
    }


def to_move(unit: UnitRow | None, state: State | None) -> dict[str, Any]:
    """Give MOVE its parameters."""
    is_moved = unit is not None and unit.state != state
    return {"unit_state": state, "moved_unit": unit.id if unit is not None and is_moved else None}
