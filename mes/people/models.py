"""Keys, stored hashed and bound to a role (a log-in is a key that ends by itself); what people are certified for."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class AccessKey(Table):
    """A key. Only its SHA-256 is stored: the key itself has 256 random bits, so no slow hash is owed."""

    __tablename__ = "access_key"
    __table_args__ = (
        CheckConstraint("role IN ('station', 'operator', 'quality', 'supervisor', 'admin')", name="role"),
        CheckConstraint("octet_length(secret_hash) = 32", name="hashed"),
    )

    id: Mapped[Key]
    name: Mapped[str]
    role: Mapped[str]
    secret_hash: Mapped[bytes] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Certificate(Table):
    """What a person is certified for, by whom and until when. Closed when it is withdrawn."""

    __tablename__ = "certificate"
    __table_args__ = (
        CheckConstraint("num_nonnulls(withdrawn_at, withdrawn_by, withdraw_reason) IN (0, 3)", name="withdrawn"),
        Index("ix_certificate_person", "person", postgresql_where="withdrawn_at IS NULL"),
        closing_index("certificate"),
    )

    id: Mapped[Key]
    person: Mapped[str]
    name: Mapped[str]
    granted_at: Mapped[datetime]
    granted_by: Mapped[str]
    expires_at: Mapped[datetime]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None]
    withdraw_reason: Mapped[str | None]
    closing_id: Mapped[Closing]
