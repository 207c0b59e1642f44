"""Lots received, what is left of them, and their documents."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Quantity, Table


class Lot(Table):
    """A quantity of one part from one supplier lot [ISA-95: material lot].

    `quantity_left` counts down for lot-traced parts; it may go below zero, since a consumption reported is a fact.
    Of a serial-traced part it is how many units were received; where each one is, the genealogy says.
    """

    __tablename__ = "lot"
    __table_args__ = (
        CheckConstraint("state IN ('quarantined', 'released', 'rejected')", name="state"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        Index("ix_lot_part_id", "part_id"),
        Index("ix_lot_supplier_lot", "supplier_lot"),
        Index("ix_lot_date_code", "date_code", postgresql_where="date_code IS NOT NULL"),
    )

    id: Mapped[Key]
    number: Mapped[str] = mapped_column(unique=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    revision_id: Mapped[int | None] = mapped_column(ForeignKey("product_revision.id"))
    state: Mapped[str]
    supplier: Mapped[str]
    supplier_lot: Mapped[str]
    quantity: Mapped[Quantity]
    quantity_left: Mapped[Quantity]
    country: Mapped[str]
    received_at: Mapped[datetime]
    expires_on: Mapped[date | None]
    date_code: Mapped[str | None]
    opened_at: Mapped[datetime | None]
    location: Mapped[str | None]


class LotDocument(Table):
    """A document that came with a lot, with the SHA-256 of its bytes."""

    __tablename__ = "lot_document"

    id: Mapped[Key]
    lot_id: Mapped[int] = mapped_column(ForeignKey("lot.id"), index=True)
    kind: Mapped[str]
    file_name: Mapped[str]
    digest: Mapped[str]
    content: Mapped[bytes]


class LotLineage(Table):
    """What of a lot came from another: a part of it split off, or lots put together [EPCIS: transformation]."""

    __tablename__ = "lot_lineage"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("lot_id <> from_lot_id", name="other"),
    )

    id: Mapped[Key]
    lot_id: Mapped[int] = mapped_column(ForeignKey("lot.id"), index=True)
    from_lot_id: Mapped[int] = mapped_column(ForeignKey("lot.id"), index=True)
    quantity: Mapped[Quantity]
    reason: Mapped[str]
    at: Mapped[datetime]
    done_by: Mapped[str]


class Delivery(Table):
    """What a supplier has announced [EPCIS: advance ship notice]. Closed: what hasn't arrived won't."""

    __tablename__ = "delivery"

    id: Mapped[Key]
    number: Mapped[str] = mapped_column(unique=True)
    supplier: Mapped[str]
    file_name: Mapped[str]
    digest: Mapped[str]
    announced_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None]


class Carton(Table):
    """A carton of a delivery [EPCIS: logistic unit], announced, and arrived once it was scanned."""

    __tablename__ = "carton"
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)

    id: Mapped[Key]
    code: Mapped[str] = mapped_column(unique=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), index=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("part.id"))
    supplier_lot: Mapped[str] = mapped_column(index=True)
    quantity: Mapped[Quantity]
    arrived_at: Mapped[datetime | None]
    arrived_by: Mapped[str | None]
    is_damaged: Mapped[bool] = mapped_column(server_default=false())
    note: Mapped[str | None]
