"""HTTP: work orders."""

from fastapi import APIRouter, Request

from mes.http import DatabaseOf, reads, run
from mes.orders import queries, service
from mes.orders.messages import OrderAnswer, OrderEvent, OrderRequest, SerialsAnswer

router = APIRouter(prefix="/api/orders", tags=["orders"])


@router.post("", status_code=201)
async def create_order(request: Request, message: OrderRequest) -> OrderAnswer:
    """Create a work order."""
    return await run(request, service.create_order, message)


@router.post("/move")
async def move_order(request: Request, message: OrderEvent) -> OrderAnswer:
    """Release (which issues the serial numbers), start, hold, resume, complete, close or cancel an order."""
    return await run(request, service.move_order, message)


@router.get("", dependencies=[reads])
async def list_orders(database: DatabaseOf) -> list[OrderAnswer]:
    """List orders, the most urgent first."""
    async with database.reading() as session:
        return list(await queries.find_orders(session))


@router.get("/{number}", dependencies=[reads])
async def read_order(database: DatabaseOf, number: str) -> OrderAnswer:
    """Read one order, with the revisions it is pinned to."""
    async with database.reading() as session:
        return await queries.get_order(session, number)


@router.get("/{number}/serials", dependencies=[reads])
async def read_serials(database: DatabaseOf, number: str) -> SerialsAnswer:
    """List the serial numbers issued for an order, by part."""
    async with database.reading() as session:
        return await queries.serials(session, number)
