"""HTTP: keys."""

from fastapi import APIRouter, Request

from mes import permissions
from mes.http import ActorOf, DatabaseOf, run
from mes.people import queries, service
from mes.people.messages import KeyAnswer, KeyListed, KeyName, KeyRequest, Revoked

router = APIRouter(prefix="/api/keys", tags=["keys"])


@router.post("", status_code=201)
async def create_key(request: Request, message: KeyRequest) -> KeyAnswer:
    """Make a key. The answer is the only time it is shown."""
    return await run(request, service.create_key, message)


@router.post("/revoke")
async def revoke_key(request: Request, message: KeyName) -> Revoked:
    """Revoke every key of a name."""
    return await run(request, service.revoke_key, message)


@router.get("")
async def list_keys(database: DatabaseOf, actor: ActorOf) -> list[KeyListed]:
    """List keys: name, role, dates; never the key."""
    permissions.require(actor, "create_key")
    async with database.reading() as session:
        return await queries.list_keys(session)
