"""HTTP: how drills went, and another one."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from mes import permissions
from mes.drill.messages import DrillAnswer, Kind
from mes.drill.queries import list_drills
from mes.drill.service import run_drill
from mes.http import ActorOf, DatabaseOf, reads

router = APIRouter(prefix="/api/drills", tags=["quality"])


@router.get("", dependencies=[reads])
async def read_drills(database: DatabaseOf) -> list[DrillAnswer]:
    """The last 100 drills, the newest first."""
    async with database.reading() as session:
        return await list_drills(session)


@router.post("", status_code=201)
async def drill(
    request: Request, database: DatabaseOf, actor: ActorOf, kind: Annotated[Kind, Query()] = "lot"
) -> DrillAnswer:
    """Pick something by chance, and time and check the complete list of what it affects."""
    permissions.require(request.state.actor, "record_drill")
    return await run_drill(database, kind, actor)
