"""Makes and revokes keys; certifies people."""

import secrets
from datetime import timedelta

from sqlalchemy import insert, update

from mes.db import Session
from mes.errors import Conflict, NotFound
from mes.people.messages import (
    CertificateAnswer,
    CertificateRequest,
    CertificateWithdrawal,
    KeyAnswer,
    KeyName,
    KeyRequest,
    LoginEnd,
    Revoked,
)
from mes.people.models import AccessKey, Certificate
from mes.people.queries import certificates, hash_key

PREFIX = "mes_"


class Ended(Conflict):
    """Certificate {certificate} would have ended at {expires_at} already. Give a time to come."""


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


async def certify(session: Session, message: CertificateRequest) -> CertificateAnswer:
    """Certify a person for what a step asks, until a moment."""
    if message.expires_at <= session.at:
        raise Ended(certificate=message.certificate, expires_at=message.expires_at)
    values = {
        "person": message.person,
        "name": message.certificate,
        "granted_at": session.at,
        "granted_by": session.actor.name,
        "expires_at": message.expires_at,
    }
    await session.execute(insert(Certificate).values(values))
    return (await certificates(session, message.person))[0]


async def withdraw_certificate(session: Session, message: CertificateWithdrawal) -> Revoked:
    """Withdraw a person's certificate; the next permit refuses."""
    open_ = (Certificate.person == message.person) & (Certificate.name == message.certificate)
    closing = {
        "withdrawn_at": session.at,
        "withdrawn_by": session.actor.name,
        "withdraw_reason": message.reason,
    }
    ending = update(Certificate).where(open_, Certificate.withdrawn_at.is_(None)).values(closing)
    revoked = (await session.execute(ending)).rowcount
    if not revoked:
        raise NotFound(kind=f"certificate {message.certificate} of", name=message.person)
    return Revoked(revoked=revoked)


async def end_login(session: Session, message: LoginEnd) -> Revoked:
    """Revoke one log-in of whoever asks. Ended already: nothing to do, and nothing is journaled."""
    own = (AccessKey.secret_hash == bytes.fromhex(message.key_hash)) & (AccessKey.name == session.actor.name)
    ending = update(AccessKey).where(own, AccessKey.revoked_at.is_(None)).values(revoked_at=session.at)
    revoked = (await session.execute(ending)).rowcount
    if not revoked:
        session.repeated()
    return Revoked(revoked=revoked)
