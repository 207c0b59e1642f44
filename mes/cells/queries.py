"""Reads of what suppliers say of their cells."""

from collections.abc import Sequence

from sqlalchemy import Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from mes.cells.messages import ColumnMap
from mes.db import ReadSession
from mes.products.queries import get_part, receiving_columns
from mes.statement import Prepared

_KNOWN = Prepared(
    text("SELECT serial FROM unit WHERE serial = ANY(:serials)").bindparams(bindparam("serials", type_=ARRAY(Text)))
)


async def column_maps(session: ReadSession, part: str) -> Sequence[ColumnMap]:
    """Say how a part's supplier file is read; empty: the product file maps no columns."""
    found = await get_part(session, part)
    columns = await receiving_columns(session, found.id)
    return [ColumnMap(c.field, c.heading, c.lower, c.upper) for c in columns.values()]


async def known_serials(session: ReadSession, serials: Sequence[str]) -> set[str]:
    """Which of these serials are known already."""
    return {row["serial"] for row in await session.run(_KNOWN, serials=serials)}
