"""Crates, and which units are in them from when until when."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class Crate(Table):
    """A crate, known by its Serial Shipping Container Code [EPCIS: logistic unit]."""

    __tablename__ = "crate"
    __table_args__ = (
        CheckConstraint("sscc ~ '^[0-9]{18}$'", name="sscc"),
        CheckConstraint("state IN ('open', 'closed', 'shipped')", name="state"),
        CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
        CheckConstraint("(state = 'shipped') = (shipped_at IS NOT NULL)", name="shipped"),
        CheckConstraint("num_nonnulls(shipped_at, shipped_by, shipped_to, reference) IN (0, 4)", name="left"),
    )

    id: Mapped[Key]
    sscc: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    opened_at: Mapped[datetime]
    opened_by: Mapped[str]
    closed_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    shipped_by: Mapped[str | None]
    shipped_to: Mapped[str | None]
    reference: Mapped[str | None]


class CrateUnit(Table):
    """A unit in a crate; still in it when the crate has left."""

    __tablename__ = "crate_unit"
    __table_args__ = (
        # law 1: a unit is in one place
        Index("uq_crate_unit_law1_unit", "unit_id", unique=True, postgresql_where="taken_out_at IS NULL"),
        CheckConstraint("(taken_out_at IS NULL) = (taken_out_by IS NULL)", name="taken_out"),
        Index("ix_crate_unit_crate_id", "crate_id"),
        closing_index("crate_unit"),
    )

    id: Mapped[Key]
    crate_id: Mapped[int] = mapped_column(ForeignKey("crate.id"))
    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"))
    put_in_at: Mapped[datetime]
    put_in_by: Mapped[str]
    taken_out_at: Mapped[datetime | None]
    taken_out_by: Mapped[str | None]
    closing_id: Mapped[Closing]
