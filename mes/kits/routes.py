"""HTTP: match cells into kits, look at a kit, give one back, put another cell into one."""

from fastapi import APIRouter, Request

from mes.http import DatabaseOf, reads, run
from mes.kits import queries, service
from mes.kits.messages import CellAssignment, KitContent, KitRelease, MatchAnswer, MatchRequest

router = APIRouter(prefix="/api/kits", tags=["kits"])


@router.post("/match", status_code=201)
async def match_cells(request: Request, message: MatchRequest) -> MatchAnswer:
    """Choose cells from the pool and reserve them in kits; says what each goal came to, and what is left and why."""
    return await run(request, service.match_cells, message)


@router.post("/release")
async def release_kit(request: Request, message: KitRelease) -> KitContent:
    """Give a kit's cells back to the pool."""
    return await run(request, service.release_kit, message)


@router.post("/assign")
async def assign_cell(request: Request, message: CellAssignment) -> KitContent:
    """Put another free cell at a position of a kit, if it still keeps its rules."""
    return await run(request, service.assign_cell, message)


@router.get("/{name:path}", dependencies=[reads])
async def read_kit(database: DatabaseOf, name: str) -> KitContent:
    """Read a kit by its number, or the newest of a unit, with its cells by position."""
    async with database.reading() as session:
        return await queries.read_kit(session, name)
