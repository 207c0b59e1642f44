"""Printers, and what they print."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from mes.table import Key, Table


class Printer(Table):
    """A label printer that takes ZPL on a raw TCP port."""

    __tablename__ = "printer"
    __table_args__ = (
        CheckConstraint("port BETWEEN 1 AND 65535", name="port"),
        CheckConstraint("dots_per_mm IN (8, 12)", name="dots_per_mm"),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    host: Mapped[str]
    port: Mapped[int]
    dots_per_mm: Mapped[int]


class PrintJob(Table):
    """One copy of a label. `copy` counts from 1; what comes after the first is a reprint and has a reason.

    `payload`: the bytes that its code holds. `tries` failed so far; `try_at`: not before then.
    """

    __tablename__ = "print_job"
    __table_args__ = (
        CheckConstraint("(kind = 'crate') = (crate_id IS NOT NULL)", name="crate"),
        CheckConstraint("(kind = 'nameplate') = (unit_id IS NOT NULL)", name="nameplate"),
        CheckConstraint("num_nonnulls(unit_id, crate_id) = 1", name="subject"),
        CheckConstraint("state IN ('queued', 'printed')", name="state"),
        CheckConstraint("(state = 'printed') = (printed_at IS NOT NULL)", name="printed"),
        CheckConstraint("copy >= 1 AND (copy > 1) = (reason IS NOT NULL)", name="copy"),
        Index("uq_print_job_unit_copy", "unit_id", "copy", unique=True, postgresql_where="unit_id IS NOT NULL"),
        Index("uq_print_job_crate_copy", "crate_id", "copy", unique=True, postgresql_where="crate_id IS NOT NULL"),
        # no two things bear the same code; a reprint bears that of the first
        Index("uq_print_job_payload", "payload", unique=True, postgresql_where="copy = 1"),
        Index("ix_print_job_queued", "printer_id", "id", postgresql_where="state = 'queued'"),
    )

    id: Mapped[Key]
    printer_id: Mapped[int] = mapped_column(ForeignKey("printer.id"))
    kind: Mapped[str]
    unit_id: Mapped[int | None] = mapped_column(ForeignKey("unit.id"))
    crate_id: Mapped[int | None] = mapped_column(ForeignKey("crate.id"))
    copy: Mapped[int]
    reason: Mapped[str | None]
    payload: Mapped[bytes]
    zpl: Mapped[str]
    state: Mapped[str]
    queued_at: Mapped[datetime]
    queued_by: Mapped[str]
    printed_at: Mapped[datetime | None]
    tries: Mapped[int]
    try_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
