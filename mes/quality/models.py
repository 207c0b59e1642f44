"""Holds, and the containments that set them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Containment(Table):
    """A question ("which units contain this?") and the act of holding all that it found."""

    __tablename__ = "containment"
    __table_args__ = (CheckConstraint("num_nonnulls(lot_id, unit_id) = 1", name="subject"),)

    id: Mapped[Key]
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lot.id"))
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]


class Hold(Table):
    """A hold on one unit or one lot: opened, and closed once; never altered otherwise."""

    __tablename__ = "hold"
    __table_args__ = (
        CheckConstraint("num_nonnulls(lot_id, unit_id) = 1", name="subject"),
        CheckConstraint("num_nonnulls(released_at, released_by, release_reason) IN (0, 3)", name="released"),
        Index("ix_hold_unit_id", "unit_id", postgresql_where="released_at IS NULL"),
        Index("ix_hold_lot_id", "lot_id", postgresql_where="released_at IS NULL"),
        Index("ix_hold_containment_id", "containment_id"),
    )

    id: Mapped[Key]
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lot.id"))
    containment_id: Mapped[int | None] = mapped_column(ForeignKey("containment.id"))
    inherited_from: Mapped[int | None] = mapped_column(ForeignKey("hold.id"))
    cycle_id: Mapped[int | None]
    reason: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    released_at: Mapped[datetime | None]
    released_by: Mapped[str | None]
    release_reason: Mapped[str | None]
