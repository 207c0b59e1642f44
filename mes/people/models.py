"""Keys: stored hashed, bound to a role. A log-in is a key that ends by itself."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


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
