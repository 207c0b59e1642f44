"""Makes and revokes keys."""

import secrets
from datetime import timedelta

from sqlalchemy import insert, update

from mes.db import Session
from mes.errors import NotFound
from mes.people.messages import KeyAnswer, KeyName, KeyRequest, LoginEnd, Revoked
from mes.people.models import AccessKey
from mes.people.queries import hash_key

PREFIX = "mes_"


async def create_key(session: Session, message: KeyRequest) -> KeyAnswer:
    """Make a key of 256 random bits; its hash is stored."""
    key = PREFIX + secrets.token_urlsafe(32)
    expires_at = session.at + timedelta(hours=message.expires_in_h) if message.expires_in_h else None
    values = {
        "name": message.name,
        "role": message.role,
        "secret_hash": hash_key(key),
        "created_at": session.at,
        "expires_at": expires_at,
    }
    await session.execute(insert(AccessKey).values(values))
    return KeyAnswer(name=message.name, role=message.role, key=key, expires_at=expires_at)


async def revoke_key(session: Session, message: KeyName) -> Revoked:
    """Revoke every key of this name, log-ins too; each worker forgets it within five seconds."""
    names = (AccessKey.name == message.name) & AccessKey.revoked_at.is_(None)
    revoked = (await session.execute(update(AccessKey).where(names).values(revoked_at=session.at))).rowcount
    if not revoked:
        raise NotFound(kind="open key", name=message.name)
    return Revoked(revoked=revoked)


async def end_login(session: Session, message: LoginEnd) -> Revoked:
    """Revoke one log-in of whoever asks. Ended already: nothing to do, and nothing is journaled."""
    own = (AccessKey.secret_hash == bytes.fromhex(message.key_hash)) & (AccessKey.name == session.actor.name)
    ending = update(AccessKey).where(own, AccessKey.revoked_at.is_(None)).values(revoked_at=session.at)
    revoked = (await session.execute(ending)).rowcount
    if not revoked:
        session.repeated()
    return Revoked(revoked=revoked)
