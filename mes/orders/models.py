"""Work orders, the revisions each is pinned to, and the counters serial numbers are drawn from."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Entry, Key, Table


class WorkOrder(Table):
    """An order to make a quantity of a part [ISA-95: operations request]."""

    __tablename__ = "work_order"
    __table_args__ = (
        CheckConstraint(
            "state IN ('created', 'released', 'started', 'on_hold', 'completed', 'closed', 'cancelled')", name="state"
        ),
        CheckConstraint("quantity >= 1", name="quantity"),
        CheckConstraint("finished BETWEEN 0 AND quantity", name="law8_finished"),
    )

    id: Mapped[Key]
    number: Mapped[str] = mapped_column(unique=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    quantity: Mapped[int]
    finished: Mapped[int]
    state: Mapped[str]
    priority: Mapped[int]
    due: Mapped[date | None]
    erp_reference: Mapped[str | None]
    created_at: Mapped[datetime]


class OrderRevision(Table):
    """A made part's revision that a work order was released with, its own and its sub-assemblies'."""

    __tablename__ = "order_revision"

    order_id: Mapped[int] = mapped_column(ForeignKey("work_order.id"), primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"), primary_key=True)
    revision_id: Mapped[int] = mapped_column(ForeignKey("product_revision.id"))
    entry: Mapped[Entry]


class SerialCounter(Table):
    """The last number drawn for a pattern's fixed text."""

    __tablename__ = "serial_counter"

    prefix: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]
