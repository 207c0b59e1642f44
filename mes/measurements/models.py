"""Values of a cycle as one array row, and curves, compressed."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Measurement(Table):
    """All values of one cycle.

    `step_id` names the frozen characteristic set, so element i always means the same: a characteristic's values stand
    at offset .. offset + count - 1. `numbers` holds numbers and booleans (0, 1), `texts` the texts; NULL: not measured.
    `failed` lists the 0-based elements outside their limits, those of `texts` counted on after `numbers`.
    """

    __tablename__ = "measurement"
    __table_args__ = (
        Index("ix_measurement_cycle_id", "cycle_id"),
        Index("ix_measurement_step_id_at", "step_id", "at"),
        {"postgresql_partition_by": "RANGE (at)"},
    )

    cycle_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    step_id: Mapped[int]
    numbers: Mapped[list[float | None]]
    texts: Mapped[list[str | None]]
    failed: Mapped[list[int]]


class Curve(Table):
    """One curve of a cycle: x and y as little-endian float64, x first, zlib-compressed."""

    __tablename__ = "curve"
    __table_args__ = (Index("ix_curve_cycle_id", "cycle_id"),)

    id: Mapped[Key]
    cycle_id: Mapped[int]
    characteristic_id: Mapped[int] = mapped_column(ForeignKey("characteristic.id"))
    ordinal: Mapped[int]
    points: Mapped[int]
    content: Mapped[bytes]
