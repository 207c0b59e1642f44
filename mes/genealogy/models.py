"""What is inside what, where, from when and until when."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped

from mes.table import Closing, Key, Quantity, Table, closing_index


class Installation(Table):
    """A unit fitted at a position of its parent, or a quantity of a lot used up in it.

    `part_id` is the part the bill of material names for the position; an alternate's own part is its unit's.
    A fitted unit's lot is copied here, so that a lot leads to its parents without its cells.
    Narrow and without foreign keys on purpose: it is the hottest table, and units are never deleted; `mes check`
    looks for orphans.
    """

    __tablename__ = "installation"
    __table_args__ = (
        CheckConstraint("child_id IS NOT NULL OR lot_id IS NOT NULL", name="something"),
        CheckConstraint("(child_id IS NULL) = (position IS NULL)", name="position"),
        CheckConstraint("child_id <> parent_id", name="itself"),
        CheckConstraint("(removed_at IS NULL) = (removed_cycle_id IS NULL)", name="closed"),
        CheckConstraint("removed_at >= installed_at", name="in_order"),
        # law 1: a unit is in one place; law 2: a position holds one unit
        Index("uq_installation_law1_child", "child_id", unique=True, postgresql_where="removed_at IS NULL"),
        Index(
            "uq_installation_law2_position",
            "parent_id",
            "part_id",
            "position",
            unique=True,
            postgresql_where="removed_at IS NULL",
        ),
        Index("ix_installation_removed_parent", "parent_id", postgresql_where="removed_at IS NOT NULL"),
        Index("ix_installation_removed_child", "child_id", postgresql_where="removed_at IS NOT NULL"),
        Index("ix_installation_lot_unknown", "child_id", postgresql_where="lot_id IS NULL AND child_id IS NOT NULL"),
        Index("ix_installation_lot_id", "lot_id", postgresql_where="lot_id IS NOT NULL"),
        closing_index("installation"),
    )

    id: Mapped[Key]
    parent_id: Mapped[int]
    child_id: Mapped[int | None]
    lot_id: Mapped[int | None]
    part_id: Mapped[int]
    position: Mapped[int | None]
    quantity: Mapped[Quantity]
    cycle_id: Mapped[int]
    installed_at: Mapped[datetime]
    removed_cycle_id: Mapped[int | None]
    removed_at: Mapped[datetime | None]
    closing_id: Mapped[Closing]
