"""Holds, the containments that set them, who signed for their release, and what was decided about units."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class Containment(Table):
    """A question ("which units contain this?") and the act of holding all that it found.

    `station_id`: of a window; while a hold of it is open, what is reported of that time later is held too.
    """

    __tablename__ = "containment"

    __table_args__ = (Index("ix_containment_station_id", "station_id", postgresql_where="station_id IS NOT NULL"),)

    id: Mapped[Key]
    station_id: Mapped[int | None] = mapped_column(ForeignKey("station.id"))
    question: Mapped[dict[str, Any]]
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]


class ContainmentQuestion(Table):
    """The question that a containment asks of the record, in its normal form, and what it set in motion.

    `answer`: what was affected when it was opened, as it was then. Until it is closed, whatever comes to fit it is held
    as well, with these `stops`, `at_operation` and `release_roles`; but nothing twice.
    """

    __tablename__ = "containment_question"
    __table_args__ = (
        UniqueConstraint("containment_id"),
        CheckConstraint("num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)", name="closed"),
        Index("ix_containment_question_open", "containment_id", postgresql_where="closed_at IS NULL"),
        closing_index("containment_question"),
    )

    id: Mapped[Key]
    containment_id: Mapped[int] = mapped_column(ForeignKey("containment.id"))
    question: Mapped[str]
    answer: Mapped[dict[str, Any]]
    stops: Mapped[list[str]]
    at_operation: Mapped[str | None]
    release_roles: Mapped[list[str]]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]
    close_reason: Mapped[str | None]
    closing_id: Mapped[Closing]


class Hold(Table):
    """A hold on one unit, lot or order: opened, and closed once; never altered otherwise.

    `stops` says what it keeps from happening: move (to another place), consume (work, fitting, using up), ship.
    `at_operation`: an intercept; work is stopped only from this operation on. `release_roles`: each must sign.
    """

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("num_nonnulls(lot_id, unit_id, order_id) = 1", name="subject"),
        CheckConstraint("num_nonnulls(released_at, released_by, release_reason) IN (0, 3)", name="released"),
        CheckConstraint("cardinality(stops) > 0 AND stops <@ ARRAY['move', 'consume', 'ship']", name="stops"),
        CheckConstraint("cardinality(release_roles) > 0", name="release_roles"),
        Index("ix_hold_unit_id", "unit_id", postgresql_where="released_at IS NULL"),
        Index("ix_hold_lot_id", "lot_id", postgresql_where="released_at IS NULL"),
        Index("ix_hold_order_id", "order_id", postgresql_where="released_at IS NULL"),
        Index("ix_hold_containment_id", "containment_id"),
        closing_index("hold"),
    )

    id: Mapped[Key]
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lot.id"))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("work_order.id"))
    containment_id: Mapped[int | None] = mapped_column(ForeignKey("containment.id"))
    inherited_from: Mapped[int | None] = mapped_column(ForeignKey("hold.id"))
    cycle_id: Mapped[int | None]
    stops: Mapped[list[str]]
    at_operation: Mapped[str | None]
    release_roles: Mapped[list[str]]
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    release_reason: Mapped[str | None]
    closing_id: Mapped[Closing]


class HoldSignature(Table):
    """One role's signature for the release of a hold; the last one that is owed closes it."""

    __tablename__ = "hold_signature"
    __table_args__ = (
        UniqueConstraint("hold_id", "role"),
        UniqueConstraint("hold_id", "signed_by", name="uq_hold_signature_two_persons"),
    )

    id: Mapped[Key]
    hold_id: Mapped[int] = mapped_column(ForeignKey("hold.id"))
    role: Mapped[str]
    signed_by: Mapped[str]
    reason: Mapped[str]
    signed_at: Mapped[datetime]


class Disposition(Table):
    """What was decided about a unit or lot, or became of a unit when it came out of another.

    Of a unit: scrap; rework: its `operation` counts as failed from here on, so its rework steps are open, and attempts
    count anew; stock: came out, waits for its re-test; review: came out, held for the review board; retest_passed,
    retest_failed. Of a lot: release, reject. `after_cycle`: the unit's last cycle by then.
    """

    __tablename__ = "disposition"
    __table_args__ = (
        CheckConstraint(
            "decision IN ('scrap', 'rework', 'stock', 'review', 'retest_passed', 'retest_failed', 'release', 'reject')",
            name="decision",
        ),
        CheckConstraint("num_nonnulls(unit_id, lot_id) = 1", name="subject"),
        CheckConstraint("(decision = 'rework') = (operation IS NOT NULL)", name="operation"),
        Index("ix_disposition_unit_id", "unit_id", postgresql_where="unit_id IS NOT NULL"),
        Index("ix_disposition_lot_id", "lot_id", postgresql_where="lot_id IS NOT NULL"),
    )

    id: Mapped[Key]
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lot.id"))
    decision: Mapped[str]
    operation: Mapped[str | None]
    after_cycle: Mapped[int]
    cycle_id: Mapped[int | None]
    reason: Mapped[str]
    decided_at: Mapped[datetime]
    decided_by: Mapped[str]
