"""HTTP: lots."""

from fastapi import APIRouter, Request

from mes.http import DatabaseOf, reads, run
from mes.materials import deliveries, queries, service
from mes.materials.messages import (
    CartonAnswer,
    CartonArrival,
    DeliveryAnswer,
    DeliveryClosing,
    DeliveryNotice,
    DocumentReceipt,
    LineageAnswer,
    LotAnswer,
    LotReceipt,
)

router = APIRouter(prefix="/api/lots", tags=["lots"])
door = APIRouter(prefix="/api/deliveries", tags=["deliveries"])


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


@router.get("/{number:path}/lineage", dependencies=[reads])
async def read_lineage(database: DatabaseOf, number: str) -> list[LineageAnswer]:
    """What a lot came from, and what came from it."""
    async with database.reading() as session:
        return await queries.lineage(session, number)


@router.post("/documents", status_code=201)
async def add_documents(request: Request, message: DocumentReceipt) -> LotAnswer:
    """Keep documents that came after their lot, each with its hash."""
    return await run(request, service.add_documents, message)


@door.post("", status_code=201)
async def announce_delivery(request: Request, message: DeliveryNotice) -> DeliveryAnswer:
    """Take a supplier's advance notice, carton by carton."""
    return await run(request, deliveries.announce_delivery, message)


@door.post("/cartons")
async def scan_carton(request: Request, message: CartonArrival) -> CartonAnswer:
    """Note that a carton has arrived, whole or damaged."""
    return await run(request, deliveries.scan_carton, message)


@door.post("/close")
async def close_delivery(request: Request, message: DeliveryClosing) -> DeliveryAnswer:
    """Close a delivery: what hasn't arrived is a short receipt."""
    return await run(request, deliveries.close_delivery, message)


@door.get("/{number}", dependencies=[reads])
async def read_delivery(database: DatabaseOf, number: str) -> DeliveryAnswer:
    """Read a delivery: what was announced, arrived and received, by lot."""
    async with database.reading() as session:
        return await queries.read_delivery(session, number)
