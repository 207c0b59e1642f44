"""Kits of matched cells, and the position of each cell in them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Closing, Key, Table, closing_index


class Kit(Table):
    """Cells for one piece, matched to a revision of it; `unit_id`: the piece it is for. `figures`: of the matching."""

    __tablename__ = "kit"
    __table_args__ = (
        CheckConstraint("state IN ('reserved', 'used', 'released')", name="state"),
        CheckConstraint("state <> 'used' OR unit_id IS NOT NULL", name="used"),
        Index(
            "uq_kit_unit_id",
            "unit_id",
            unique=True,
            postgresql_where="unit_id IS NOT NULL AND state <> 'released'",
        ),
    )

    id: Mapped[Key]
    number: Mapped[str] = mapped_column(unique=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("product_revision.id"))
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    state: Mapped[str]
    figures: Mapped[dict[str, Any]]
    made_at: Mapped[datetime]
    made_by: Mapped[str]


class KitCell(Table):
    """A cell at a position of a kit, from `taken_at` until it is fitted, swapped or given back (`ended_by` says)."""

    __tablename__ = "kit_cell"
    __table_args__ = (
        Index("uq_kit_cell_unit_id", "unit_id", unique=True, postgresql_where="ended_at IS NULL"),
        Index("uq_kit_cell_kit_id", "kit_id", "position", unique=True, postgresql_where="ended_at IS NULL"),
        Index("ix_kit_cell_kit_id", "kit_id"),
        closing_index("kit_cell"),
    )

    id: Mapped[Key]
    kit_id: Mapped[int] = mapped_column(ForeignKey("kit.id"))
    position: Mapped[int]
    unit_id: Mapped[int] = mapped_column(ForeignKey("unit.id"))
    taken_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]
    closing_id: Mapped[Closing]
