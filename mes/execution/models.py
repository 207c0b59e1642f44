"""What stations are allowed, checked and signed off by: waivers, checks of tools and masters, first articles."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class Waiver(Table):
    """A deviation from one rule [ISO 9000: deviation permit], for named units or a window of time, by an approver.

    `unit_ids` NULL: every unit in the window. Closed when it is revoked.
    """

    __tablename__ = "waiver"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends"),
        CheckConstraint("unit_ids IS NULL OR cardinality(unit_ids) > 0", name="units"),
        CheckConstraint("unit_ids IS NOT NULL OR station_id IS NOT NULL OR operation IS NOT NULL", name="bounded"),
        CheckConstraint("num_nonnulls(revoked_at, revoked_by, revoke_reason) IN (0, 3)", name="revoked"),
        Index("ix_waiver_ends_at", "ends_at", postgresql_where="revoked_at IS NULL"),
        closing_index("waiver"),
    )

    id: Mapped[Key]
    rule: Mapped[str]
    unit_ids: Mapped[list[int] | None]
    station_id: Mapped[int | None] = mapped_column(ForeignKey("station.id"))
    operation: Mapped[str | None]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    reason: Mapped[str]
    approved_by: Mapped[str]
    approved_role: Mapped[str]
    approved_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    revoke_reason: Mapped[str | None]
    closing_id: Mapped[Closing]


class StationCheck(Table):
    """A check of a station or one of its tools: a master run, the daily check, a calibration.

    `passed` says that the station proved fit: a known-bad master that it called good is a check that failed.
    """

    __tablename__ = "station_check"
    __table_args__ = (
        CheckConstraint("kind IN ('known_good', 'known_bad', 'daily', 'calibration')", name="kind"),
        Index("ix_station_check_latest", "station_id", "kind", "tool_id", "id"),
    )

    id: Mapped[Key]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"))
    tool_id: Mapped[int | None] = mapped_column(ForeignKey("tool.id"))
    kind: Mapped[str]
    passed: Mapped[bool]
    note: Mapped[str | None]
    checked_at: Mapped[datetime]
    checked_by: Mapped[str]


class FirstArticle(Table):
    """The first cycle after a shift start, a tool or lot change, or a long stop: work goes on when it is signed."""

    __tablename__ = "first_article"
    __table_args__ = (
        CheckConstraint("num_nonnulls(signed_at, signed_by, sign_verdict) IN (0, 3)", name="signed"),
        CheckConstraint("sign_verdict IN ('passed', 'failed')", name="sign_verdict"),
        Index("ix_first_article_station_id", "station_id", "id"),
        Index("ix_first_article_open", "station_id", postgresql_where="signed_at IS NULL"),
        closing_index("first_article"),
    )

    id: Mapped[Key]
    station_id: Mapped[int] = mapped_column(ForeignKey("station.id"))
    cycle_id: Mapped[int]
    why: Mapped[str]
    operators: Mapped[list[str]]
    opened_at: Mapped[datetime]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None]
    sign_verdict: Mapped[str | None]
    closing_id: Mapped[Closing]
