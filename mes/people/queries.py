"""Reads of keys and certificates."""

import hashlib

from sqlalchemy import select

from mes.actor import Actor, Role
from mes.db import ReadSession
from mes.people.messages import CertificateAnswer, KeyListed
from mes.people.models import AccessKey, Certificate


def hash_key(key: str) -> bytes:
    """Return what is stored of a key: it has 256 random bits, so a plain hash can't be turned around."""
    return hashlib.sha256(key.encode()).digest()


async def find_actor(session: ReadSession, key_hash: bytes) -> tuple[Actor, AccessKey] | None:
    """Find whose key this is, revoked or expired ones too."""
    statement = select(
        AccessKey.name, AccessKey.role, AccessKey.created_at, AccessKey.expires_at, AccessKey.revoked_at
    ).where(AccessKey.secret_hash == key_hash)
    row = (await session.execute(statement)).one_or_none()
    if row is None:
        return None
    return Actor(row.name, Role(row.role)), AccessKey(**row._mapping)


async def certificates(session: ReadSession, person: str | None = None) -> list[CertificateAnswer]:
    """List certificates, the newest first, of one person or of all."""
    kept = (Certificate.person, Certificate.granted_at, Certificate.granted_by, Certificate.expires_at)
    statement = select(*kept, Certificate.withdrawn_at, Certificate.name.label("certificate"))
    if person is not None:
        statement = statement.where(Certificate.person == person)
    rows = await session.execute(statement.order_by(Certificate.id.desc()).limit(1000))
    return [CertificateAnswer(**row) for row in rows.mappings()]


async def list_keys(session: ReadSession) -> list[KeyListed]:
    """List all keys, the newest first; log-ins that have ended are left out."""
    columns = (
        AccessKey.name,
        AccessKey.role,
        AccessKey.created_at,
        AccessKey.expires_at,
        AccessKey.revoked_at,
    )
    rows = await session.execute(select(*columns).order_by(AccessKey.id.desc()).limit(1000))
    return [KeyListed(**row) for row in rows.mappings()]
