"""Reads of what suppliers say of their cells."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.messages import ColumnMap
from mes.db import ReadSession
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
