"""HTTP: containments and holds."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from mes import permissions
from mes.http import DatabaseOf, reads, run
from mes.materials.messages import LotAnswer, LotMerge, LotSplit
from mes.quality import containments, dispositions, lots, queries, service
from mes.quality.messages import (
    CloseRequest,
    ContainAnswer,
    ContainmentAnswer,
    ContainRequest,
    DisposeLotRequest,
    DisposeRequest,
    HoldAnswer,
    LotState,
    ReleaseAnswer,
    ReleaseHoldRequest,
    ReleaseRequest,
    RetestReport,
    UnitState,
)

router = APIRouter(prefix="/api", tags=["quality"])


@router.post("/containments", status_code=201)
async def contain(request: Request, message: ContainRequest) -> ContainAnswer:
    """Hold what is named, and everything that contains it; no pack slips past while stations work."""
    if message.question is None:
        return await run(request, service.contain, message)
    permissions.require(request.state.actor, "contain")
    return await containments.contain_fitting(request.app.state.database, message, request.state.actor)


@router.post("/containments/release")
async def release_containment(request: Request, message: ReleaseRequest) -> ReleaseAnswer:
    """Sign for the release of every hold of a containment; each hold is closed by its last signature."""
    return await run(request, service.release_containment, message)


@router.post("/containments/close")
async def close_containment(request: Request, message: CloseRequest) -> ContainmentAnswer:
    """Close a containment's question: what comes to fit it from now on isn't held any more; its holds stay."""
    return await run(request, containments.close_containment, message)


@router.get("/containments", dependencies=[reads])
async def list_containments(
    database: DatabaseOf, is_open: Annotated[bool, Query(description="Those whose question is still asked.")] = True
) -> list[ContainmentAnswer]:
    """Containments with a question, the newest first, at most 200."""
    async with database.reading() as session:
        return await containments.list_containments(session, open_only=is_open)


@router.post("/holds/release")
async def release_hold(request: Request, message: ReleaseHoldRequest) -> ReleaseAnswer:
    """Sign for the release of one hold; it is closed when each role it names has signed."""
    return await run(request, service.release_hold, message)


@router.post("/dispositions", status_code=201)
async def dispose(request: Request, message: DisposeRequest) -> UnitState:
    """Decide what becomes of a unit: scrap it, or open the rework of one of its operations."""
    return await run(request, dispositions.dispose, message)


@router.post("/dispositions/lot", status_code=201)
async def dispose_lot(request: Request, message: DisposeLotRequest) -> LotState:
    """Decide about a lot: release it for use, or reject it."""
    return await run(request, dispositions.dispose_lot, message)


@router.post("/retests", status_code=201)
async def record_retest(request: Request, message: RetestReport) -> UnitState:
    """Record the re-test of a unit that came out of another: back to stock, or scrap."""
    return await run(request, dispositions.record_retest, message)


@router.get("/holds", dependencies=[reads])
async def list_holds(
    database: DatabaseOf, serial: Annotated[str | None, Query(max_length=80)] = None, is_open: bool = True
) -> list[HoldAnswer]:
    """List holds, the newest first."""
    async with database.reading() as session:
        return await queries.holds(session, serial=serial, open_only=is_open)


@router.post("/lots/split", status_code=201)
async def split_lot(request: Request, message: LotSplit) -> LotAnswer:
    """Make a part of a lot a lot of its own; it keeps the lot's holds, and the lot's trace leads to it."""
    return await run(request, lots.split_lot, message)


@router.post("/lots/merge", status_code=201)
async def merge_lots(request: Request, message: LotMerge) -> LotAnswer:
    """Put what is left of lots into one; it has the holds of all."""
    return await run(request, lots.merge_lots, message)
