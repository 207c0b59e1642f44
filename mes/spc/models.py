"""Charts, and the ledger of their signals."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class Chart(Table):
    """A characteristic of a part at a station, and there with one tool where each has its own.

    It outlives revisions: they change for many reasons. `shape`: what its points are made of; another shape begins it
    anew. Subgroups are counted from `since_cycle_id` on; up to `judged_cycle_id` they have been judged. `baselines`:
    what they are compared with, for each position; NULL: there are too few yet.
    """

    __tablename__ = "chart"
    __table_args__ = (
        UniqueConstraint(
            "part_id",
            "operation",
            "characteristic",
            "station_id",
            "tool_id",
            name="uq_chart_of",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("(baselines IS NULL) = (set_at IS NULL)", name="set"),
    )

    id: Mapped[Key]
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    operation: Mapped[str]
    characteristic: Mapped[str]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"))
    tool_id: Mapped[int | None] = mapped_column(ForeignKey("tool.id"))
    shape: Mapped[str]
    since_cycle_id: Mapped[int]
    judged_cycle_id: Mapped[int]
    baselines: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    set_at: Mapped[datetime | None]


class Signal(Table):
    """A point that broke rules, named by the last cycle of its subgroup; closed once, by a person with a reason.

    `position`: 0 where the chart has one line. `facts`: the point as it was judged. `blocks`: its operation is refused
    at the chart's station until the signal is closed.
    """

    __tablename__ = "signal"
    __table_args__ = (
        UniqueConstraint("chart_id", "position", "cycle_id"),
        CheckConstraint("num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)", name="closed"),
        Index("ix_signal_open", "chart_id", postgresql_where="closed_at IS NULL"),
        closing_index("signal"),
    )

    id: Mapped[Key]
    chart_id: Mapped[int] = mapped_column(ForeignKey("chart.id"))
    position: Mapped[int]
    cycle_id: Mapped[int]
    rules: Mapped[list[str]]
    facts: Mapped[dict[str, Any]]
    blocks: Mapped[bool]
    containment_id: Mapped[int | None] = mapped_column(ForeignKey("containment.id"))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]
    closing_id: Mapped[Closing]
