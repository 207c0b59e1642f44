"""What one may say about keys."""

from typing import Annotated

from pydantic import Field, StringConstraints

from mes.actor import Role
from mes.message import Message, Moment, Name, Reason


class KeyRequest(Message):
    """Make a key for a person or a machine."""

    name: Name
    role: Role
    expires_in_h: Annotated[float | None, Field(gt=0, le=24 * 3660)] = None


class KeyAnswer(Message):
    """A new key. It is shown this once: only its hash is stored."""

    name: str
    role: Role
    key: Annotated[str, Field(repr=False)]
    expires_at: Moment | None


class KeyName(Message):
    """Name a key."""

    name: Name


class LoginEnd(Message):
    """End one log-in, named by the hash of its key; the hash opens nothing."""

    key_hash: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class KeyListed(Message):
    """A key as listed: never the key itself."""

    name: str
    role: Role
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None


class CertificateRequest(Message):
    """Certify a person for what a step asks, until a moment."""

    person: Annotated[Name, Field(description="As stations name the operator.")]
    certificate: Name
    expires_at: Moment


class CertificateWithdrawal(Message):
    """Withdraw a person's certificate."""

    person: Name
    certificate: Name
    reason: Reason


class CertificateAnswer(Message):
    """A certificate as recorded."""

    person: str
    certificate: str
    granted_at: Moment
    granted_by: str
    expires_at: Moment
    withdrawn_at: Moment | None


class Revoked(Message):
    """How many keys were revoked."""

    revoked: int
