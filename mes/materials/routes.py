"""HTTP: lots."""

from fastapi import APIRouter, Request

from mes.http import DatabaseOf, reads, run
from mes.materials import queries, service
from mes.materials.messages import LotAnswer, LotReceipt

router = APIRouter(prefix="/api/lots", tags=["lots"])


@router.post("", status_code=201)
async def receive_lot(request: Request, database: DatabaseOf, message: LotReceipt) -> LotAnswer:
    """Receive a lot of a lot-traced part."""
    await run(request, service.receive_lot, message)
    async with database.reading() as session:
        return await queries.describe_lot(session, message.lot)


@router.get("/{number}", dependencies=[reads])
async def read_lot(database: DatabaseOf, number: str) -> LotAnswer:
    """Read a lot: state, what came in and what is left."""
    async with database.reading() as session:
        return await queries.describe_lot(session, number)
