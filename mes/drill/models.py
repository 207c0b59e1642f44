"""The ledger of drills."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Drill(Table):
    """A drill as it went: what was asked, how long the complete list took, and how it compares with an independent
    count. `missing`: units counted that the list lacked; `surplus`: units of the list that the count lacked.
    """

    __tablename__ = "drill"
    __table_args__ = (
        CheckConstraint("kind IN ('lot', 'station', 'failure')", name="kind"),
        CheckConstraint("seconds >= 0 AND affected >= 0", name="measured"),
    )

    id: Mapped[Key]
    kind: Mapped[str]
    question: Mapped[str]
    seconds: Mapped[float]
    affected: Mapped[int]
    unknown: Mapped[int]
    missing: Mapped[list[str]]
    surplus: Mapped[list[str]]
    places: Mapped[dict[str, Any]] = mapped_column(JSONB)
    drilled_at: Mapped[datetime]
    drilled_by: Mapped[str]
