"""Every act, by whom and when: written by db.transact in the act's own transaction, never altered."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from mes.statement import Clause
from mes.table import Key, Table


class Act(Table):
    """One act. `message` is what was asked; `digest` is the SHA-256 of the whole of it, so that what the ledgers hold
    in their own form (values, curves) isn't stored twice and yet is pinned."""

    __tablename__ = "act"
    __table_args__ = {"postgresql_partition_by": "RANGE (at)"}

    id: Mapped[Key]
    at: Mapped[datetime] = mapped_column(primary_key=True)
    actor: Mapped[str]
    role: Mapped[str]
    name: Mapped[str]
    message: Mapped[dict[str, Any]]
    digest: Mapped[bytes]
    request_id: Mapped[str]


JOURNAL = Clause(
    """
    journaled AS (
        INSERT INTO act (at, actor, role, name, message, digest, request_id)
        VALUES (:at, :actor, :role, :name, CAST(:message AS jsonb), :digest, :request_id)
        RETURNING id)
    """,
    {},
)
