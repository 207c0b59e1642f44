"""HTTP: questions to the record."""

from typing import Annotated

from fastapi import APIRouter, Query

from mes.find.language import LONGEST
from mes.find.messages import Found
from mes.find.service import SHOWN, find
from mes.http import DatabaseOf, reads
from mes.message import Moment

router = APIRouter(prefix="/api", tags=["genealogy"], dependencies=[reads])


@router.get("/affected")
async def read_affected(
    database: DatabaseOf,
    question: Annotated[str, Query(min_length=1, max_length=LONGEST, description="e.g. lot = L-7 and station = S-1")],
    as_of: Annotated[Moment | None, Query()] = None,
    limit: Annotated[int, Query(ge=0, le=100_000, description="Units listed; counts are of all.")] = SHOWN,
) -> Found:
    """Which units fit a question, and whatever contains them: where they are, on what ground, what isn't known."""
    async with database.reading() as session:
        return await find(session, question, as_of, limit)
