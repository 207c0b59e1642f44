"""HTTP: keys and certificates."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from mes import permissions
from mes.http import ActorOf, DatabaseOf, reads, run
from mes.people import queries, service
from mes.people.messages import (
    CertificateAnswer,
    CertificateRequest,
    CertificateWithdrawal,
    KeyAnswer,
    KeyListed,
    KeyName,
    KeyRequest,
    Revoked,
)

router = APIRouter(prefix="/api", tags=["people"])


@router.post("/keys", status_code=201)
async def create_key(request: Request, message: KeyRequest) -> KeyAnswer:
    """Make a key. The answer is the only time it is shown."""
    return await run(request, service.create_key, message)


@router.post("/keys/revoke")
async def revoke_key(request: Request, message: KeyName) -> Revoked:
    """Revoke every key of a name."""
    return await run(request, service.revoke_key, message)


@router.get("/keys")
async def list_keys(database: DatabaseOf, actor: ActorOf) -> list[KeyListed]:
    """List keys: name, role, dates; never the key."""
    permissions.require(actor, "create_key")
    async with database.reading() as session:
        return await queries.list_keys(session)


@router.post("/certificates", status_code=201)
async def certify(request: Request, message: CertificateRequest) -> CertificateAnswer:
    """Certify a person for what a step asks."""
    return await run(request, service.certify, message)


@router.post("/certificates/withdraw")
async def withdraw_certificate(request: Request, message: CertificateWithdrawal) -> Revoked:
    """Withdraw a certificate; the next permit refuses."""
    return await run(request, service.withdraw_certificate, message)


@router.get("/certificates", dependencies=[reads])
async def list_certificates(
    database: DatabaseOf, person: Annotated[str | None, Query(max_length=80)] = None
) -> list[CertificateAnswer]:
    """List certificates, the newest first."""
    async with database.reading() as session:
        return await queries.certificates(session, person)
