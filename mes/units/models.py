"""Each serialised thing: a cell received, a module or pack made here."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Unit(Table):
    """One serialised piece [ISA-95: material sublot of quantity one].

    A made unit has an order and the revision it is built to; a received one has the lot it came with. A unit first
    heard of in a station's report has neither: the record says that it doesn't know. A removed one came out of another
    and waits for its re-test.
    """

    __tablename__ = "unit"
    __table_args__ = (
        CheckConstraint(
            "state IN ('issued', 'in_process', 'finished', 'received', 'removed', 'scrapped')", name="state"
        ),
        CheckConstraint("(order_id IS NULL) = (revision_id IS NULL)", name="made"),
        CheckConstraint("order_id IS NULL OR lot_id IS NULL", name="origin"),
        CheckConstraint("order_id IS NULL OR state <> 'received'", name="received"),
        CheckConstraint("order_id IS NOT NULL OR state IN ('received', 'removed', 'scrapped')", name="bought"),
        Index("ix_unit_lot_id", "lot_id", postgresql_where="lot_id IS NOT NULL"),
        Index("ix_unit_order_id", "order_id", "part_id", postgresql_where="order_id IS NOT NULL"),
    )

    id: Mapped[Key]
    serial: Mapped[str] = mapped_column(unique=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    lot_id: Mapped[int | None] = mapped_column(ForeignKey("lot.id"))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("work_order.id"))
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("product_revision.id"))
    state: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    location: Mapped[str | None]
