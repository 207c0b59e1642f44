"""HTTP: traces."""

from typing import Annotated

from fastapi import APIRouter, Query

from mes.genealogy.messages import Trace, WhereUsed
from mes.genealogy.trace import trace, where_used
from mes.http import DatabaseOf, reads
from mes.message import Moment

router = APIRouter(prefix="/api", tags=["genealogy"], dependencies=[reads])


@router.get("/trace/{serial}")
async def read_trace(database: DatabaseOf, serial: str, as_of: Annotated[Moment | None, Query()] = None) -> Trace:
    """What is inside a unit, now or as of a moment, with its gaps named."""
    async with database.reading() as session:
        return await trace(session, serial, as_of)


@router.get("/where-used/{lot}")
async def read_where_used(database: DatabaseOf, lot: str) -> WhereUsed:
    """Which packs contain anything of a lot."""
    async with database.reading() as session:
        return await where_used(session, lot)
