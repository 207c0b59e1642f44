"""Reads of what suppliers say of their cells."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.messages import ColumnMap
from mes.cells.rules import CERTIFIED, MEASURED, CellSeen, Reading
from mes.db import ReadSession, Session
from mes.products.queries import get_part, receiving_columns
from mes.statement import Prepared

_KNOWN = Prepared(
    text(
        """
        SELECT serial, lot_id IS NULL AND order_id IS NULL AND part_id = :part_id AS is_loose
        FROM unit WHERE serial = ANY(:serials)
        """
    ).bindparams(bindparam("serials", type_=ARRAY(Text)), bindparam("part_id", type_=BigInteger))
)


async def column_maps(session: ReadSession, part: str) -> Sequence[ColumnMap]:
    """Say how a part's supplier file is read; empty: the product file maps no columns."""
    found = await get_part(session, part)
    columns = await receiving_columns(session, found.id)
    return [ColumnMap(c.field, c.heading, c.lower, c.upper) for c in columns.values()]


async def known_serials(session: ReadSession, serials: Sequence[str], part_id: int) -> tuple[set[str], set[str]]:
    """Which of these serials are known already; and which a station's report named before their lot was known."""
    rows = await session.run(_KNOWN, serials=serials, part_id=part_id)
    loose = {row["serial"] for row in rows if row["is_loose"]}
    return {row["serial"] for row in rows} - loose, loose


# Against a grading of their lot, which reads what is written here.
_LOCK_CELLS = Prepared(
    text(
        "SELECT id, serial FROM unit WHERE serial = ANY(:serials) AND order_id IS NULL ORDER BY id FOR KEY SHARE"
    ).bindparams(bindparam("serials", type_=ARRAY(Text)))
)
_CELLS = Prepared(
    text(
        f"""
        SELECT u.id AS unit_id, u.serial, t.tested_at, t.is_retest, t.temperature_c, t.visual_ok,
               {", ".join(f"t.{name}" for name in MEASURED)},
               {", ".join(f"c.{name} AS certified_{name}" for name in CERTIFIED)}
        FROM unit u LEFT JOIN cell c ON c.unit_id = u.id LEFT JOIN cell_test t ON t.unit_id = u.id
        WHERE u.lot_id = :lot_id ORDER BY u.id, t.tested_at
        """  # noqa: S608 - of constants
    ).bindparams(bindparam("lot_id", type_=BigInteger))
)


async def lock_cells(session: Session, serials: Sequence[str]) -> dict[str, int]:
    """The ids of received units by serial, kept from being moved to another lot meanwhile."""
    return {row["serial"]: row["id"] for row in await session.run(_LOCK_CELLS, serials=sorted(set(serials)))}


async def read_cells(session: ReadSession, lot_id: int) -> list[CellSeen]:
    """Every cell of a lot with its readings, oldest first, and the certificate's values."""
    rows = await session.run(_CELLS, lot_id=lot_id)
    cells = []
    for _, group in groupby(rows, key=lambda row: row["unit_id"]):
        mine = list(group)
        head = mine[0]
        certified = {name: head[f"certified_{name}"] for name in CERTIFIED if head[f"certified_{name}"] is not None}
        readings = [
            Reading(
                row["tested_at"],
                row["is_retest"],
                {name: row[name] for name in MEASURED if row[name] is not None},
                row["temperature_c"],
                row["visual_ok"],
            )
            for row in mine
            if row["tested_at"] is not None
        ]
        cells.append(CellSeen(head["unit_id"], head["serial"], readings, certified))
    return cells
