"""HTTP: containments and holds."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from mes.http import DatabaseOf, reads, run
from mes.quality import queries, service
from mes.quality.messages import (
    ContainAnswer,
    ContainRequest,
    HoldAnswer,
    ReleaseAnswer,
    ReleaseHoldRequest,
    ReleaseRequest,
)

router = APIRouter(prefix="/api", tags=["quality"])


@router.post("/containments", status_code=201)
async def contain(request: Request, message: ContainRequest) -> ContainAnswer:
    """Hold a lot or a unit, and everything that contains it; no pack slips past while stations work."""
    return await run(request, service.contain, message)


@router.post("/containments/release")
async def release_containment(request: Request, message: ReleaseRequest) -> ReleaseAnswer:
    """Release every hold of a containment."""
    return await run(request, service.release_containment, message)


@router.post("/holds/release")
async def release_hold(request: Request, message: ReleaseHoldRequest) -> ReleaseAnswer:
    """Release one hold."""
    return await run(request, service.release_hold, message)


@router.get("/holds", dependencies=[reads])
async def list_holds(
    database: DatabaseOf, serial: Annotated[str | None, Query(max_length=80)] = None, is_open: bool = True
) -> list[HoldAnswer]:
    """List holds, the newest first."""
    async with database.reading() as session:
        return await queries.holds(session, serial=serial, open_only=is_open)
