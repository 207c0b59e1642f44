"""HTTP: what suspect units share."""

from fastapi import APIRouter

from mes.commonality.messages import CommonalityAnswer, CommonalityRequest
from mes.commonality.service import compare
from mes.http import DatabaseOf, reads

router = APIRouter(prefix="/api", tags=["genealogy"], dependencies=[reads])


@router.post("/commonality")
async def read_commonality(database: DatabaseOf, message: CommonalityRequest) -> CommonalityAnswer:
    """What suspect units share, the least likely by chance first, against good units made nearest in time."""
    async with database.reading() as session:
        return await compare(session, message)
