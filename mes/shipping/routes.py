"""HTTP: crates, from the first unit scanned into one until it leaves."""

from fastapi import APIRouter, Request

from mes.errors import Conflict
from mes.http import DatabaseOf, reads, run
from mes.shipping import queries, service
from mes.shipping.messages import (
    CrateAnswer,
    CrateNumber,
    CrateOpening,
    CrateRequest,
    CrateUnitRequest,
    PackAnswer,
    ShipAnswer,
    ShipRequest,
)
from mes.shipping.rules import State

router = APIRouter(prefix="/api/crates", tags=["shipping"])


class NoPrefix(Conflict):
    """No SSCC can be made: set MES_SSCC_PREFIX to the GS1 company prefix of the plant."""


@router.post("", status_code=201)
async def open_crate(request: Request, message: CrateRequest) -> CrateAnswer:
    """Open a crate; the answer has its number."""
    prefix = request.app.state.settings.sscc_prefix
    if prefix is None:
        raise NoPrefix
    return await run(request, service.open_crate, CrateOpening(extension=message.extension, prefix=prefix))


@router.post("/pack")
async def pack_unit(request: Request, message: CrateUnitRequest) -> PackAnswer:
    """Put a unit into a crate; or no, with all reasons and what clears each."""
    return await run(request, service.pack_unit, message)


@router.post("/unpack")
async def unpack_unit(request: Request, message: CrateUnitRequest) -> CrateAnswer:
    """Take a unit out of a crate that hasn't left."""
    return await run(request, service.unpack_unit, message)


@router.post("/close")
async def close_crate(request: Request, message: CrateNumber) -> CrateAnswer:
    """Close a crate."""
    return await run(request, service.close_crate, message)


@router.post("/ship")
async def ship_crate(request: Request, message: ShipRequest) -> ShipAnswer:
    """Let a closed crate leave; or no, with all reasons of all its units."""
    return await run(request, service.ship_crate, message)


@router.get("", dependencies=[reads])
async def list_crates(database: DatabaseOf, state: State | None = None) -> list[CrateAnswer]:
    """List crates, the newest first."""
    async with database.reading() as session:
        return await queries.find_crates(session, state)


@router.get("/{sscc}", dependencies=[reads])
async def read_crate(database: DatabaseOf, sscc: str) -> CrateAnswer:
    """Read a crate and what is in it."""
    async with database.reading() as session:
        return await queries.get_crate(session, sscc)
