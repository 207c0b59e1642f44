"""Labels: crates with what is in them, printers, and the labels asked of them."""

import sqlalchemy as sa
from alembic import op

from migrations import guards

revision = "labels"
down_revision = "cells"

# The ledgers that are new, with the columns that close a row.
LEDGERS = {"crate_unit": ("taken_out_at", "taken_out_by")}
TABLES = [*LEDGERS, "crate", "printer", "print_job"]
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_crates()
    create_printers()
    for table, closing in LEDGERS.items():
        for statement in guards.guard_ledger(table, closing):
            op.execute(statement)
    for statement in guards.rights_on(sorted(TABLES), LEDGERS):
        op.execute(statement)


def key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True)


def create_crates() -> None:
    op.create_table(
        "crate",
        key(),
        sa.Column("sscc", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.Column("shipped_at", MOMENT),
        *(sa.Column(name, sa.Text()) for name in ("shipped_by", "shipped_to", "reference")),
        sa.UniqueConstraint("sscc", name=op.f("uq_crate_sscc")),
        sa.CheckConstraint("sscc ~ '^[0-9]{18}$'", name=op.f("ck_crate_sscc")),
        sa.CheckConstraint("state IN ('open', 'closed', 'shipped')", name=op.f("ck_crate_state")),
        sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name=op.f("ck_crate_closed")),
        sa.CheckConstraint("(state = 'shipped') = (shipped_at IS NOT NULL)", name=op.f("ck_crate_shipped")),
        sa.CheckConstraint(
            "num_nonnulls(shipped_at, shipped_by, shipped_to, reference) IN (0, 4)", name=op.f("ck_crate_left")
        ),
    )
    op.create_table(
        "crate_unit",
        key(),
        sa.Column("crate_id", sa.BigInteger(), sa.ForeignKey("crate.id"), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id"), nullable=False),
        sa.Column("put_in_at", MOMENT, nullable=False),
        sa.Column("put_in_by", sa.Text(), nullable=False),
        sa.Column("taken_out_at", MOMENT),
        sa.Column("taken_out_by", sa.Text()),
        sa.CheckConstraint("(taken_out_at IS NULL) = (taken_out_by IS NULL)", name=op.f("ck_crate_unit_taken_out")),
    )
    op.create_index(
        "uq_crate_unit_law1_unit", "crate_unit", ["unit_id"], unique=True, postgresql_where="taken_out_at IS NULL"
    )
    op.create_index("ix_crate_unit_crate_id", "crate_unit", ["crate_id"])


def create_printers() -> None:
    op.create_table(
        "printer",
        key(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("port", sa.BigInteger(), nullable=False),
        sa.Column("dots_per_mm", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("name", name=op.f("uq_printer_name")),
        sa.CheckConstraint("port BETWEEN 1 AND 65535", name=op.f("ck_printer_port")),
        sa.CheckConstraint("dots_per_mm IN (8, 12)", name=op.f("ck_printer_dots_per_mm")),
    )
    op.create_table(
        "print_job",
        key(),
        sa.Column("printer_id", sa.BigInteger(), sa.ForeignKey("printer.id"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id")),
        sa.Column("crate_id", sa.BigInteger(), sa.ForeignKey("crate.id")),
        sa.Column("copy", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("zpl", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("queued_at", MOMENT, nullable=False),
        sa.Column("queued_by", sa.Text(), nullable=False),
        sa.Column("printed_at", MOMENT),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("try_at", MOMENT),
        sa.Column("last_error", sa.Text()),
        sa.CheckConstraint("(kind = 'crate') = (crate_id IS NOT NULL)", name=op.f("ck_print_job_crate")),
        sa.CheckConstraint("(kind = 'nameplate') = (unit_id IS NOT NULL)", name=op.f("ck_print_job_nameplate")),
        sa.CheckConstraint("num_nonnulls(unit_id, crate_id) = 1", name=op.f("ck_print_job_subject")),
        sa.CheckConstraint("state IN ('queued', 'printed')", name=op.f("ck_print_job_state")),
        sa.CheckConstraint("(state = 'printed') = (printed_at IS NOT NULL)", name=op.f("ck_print_job_printed")),
        sa.CheckConstraint("copy >= 1 AND (copy > 1) = (reason IS NOT NULL)", name=op.f("ck_print_job_copy")),
    )
    for subject in ("unit", "crate"):
        op.create_index(
            f"uq_print_job_{subject}_copy",
            "print_job",
            [f"{subject}_id", "copy"],
            unique=True,
            postgresql_where=f"{subject}_id IS NOT NULL",
        )
    op.create_index("ix_print_job_queued", "print_job", ["printer_id", "id"], postgresql_where="state = 'queued'")


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
