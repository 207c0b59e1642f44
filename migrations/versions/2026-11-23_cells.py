"""Cells: deliveries and cartons, lots split and merged, incoming tests, grades, and kits of matched groups."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "cells"
down_revision = "2026_11_23_interlocks"

# The ledgers that are new, with the columns that close a row.
LEDGERS = {
    "lot_lineage": (),
    "cell_test": (),
    "cell_grade": ("ended_at",),
    "lot_grading": (),
    "kit_cell": ("ended_at", "ended_by"),
}
TABLES = [*LEDGERS, "delivery", "carton", "kit"]
TEXTS = postgresql.ARRAY(sa.Text())
MOMENT = sa.DateTime(timezone=True)
JSON = postgresql.JSONB()


def upgrade() -> None:
    for column in ("incoming", "matching"):
        op.add_column("product_revision", sa.Column(column, JSON))
    create_deliveries()
    create_tests()
    create_kits()
    for table, closing in LEDGERS.items():
        for statement in guards.guard_ledger(table, closing):
            op.execute(statement)
    for statement in guards.rights_on(sorted(TABLES), LEDGERS):
        op.execute(statement)
    op.execute("CREATE SEQUENCE kit_number_seq")
    op.execute(f"GRANT USAGE ON SEQUENCE kit_number_seq TO {guards.APPLICATION_ROLE}")


def key(name: str = "id") -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), sa.Identity(always=True), primary_key=True)


def create_deliveries() -> None:
    op.create_table(
        "delivery",
        key(),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("supplier", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("announced_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.Column("closed_by", sa.Text()),
        sa.UniqueConstraint("number", name=op.f("uq_delivery_number")),
    )
    op.create_table(
        "carton",
        key(),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), sa.ForeignKey("delivery.id"), nullable=False),
        sa.Column("part_id", sa.BigInteger(), sa.ForeignKey("part.id"), nullable=False),
        sa.Column("supplier_lot", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(18, 6), nullable=False),
        sa.Column("arrived_at", MOMENT),
        sa.Column("arrived_by", sa.Text()),
        sa.Column("is_damaged", sa.Boolean(), nullable=False, server_default="false"),
        sa.Column("note", sa.Text()),
        sa.UniqueConstraint("code", name=op.f("uq_carton_code")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_carton_quantity")),
    )
    op.create_index("ix_carton_delivery_id", "carton", ["delivery_id"])
    op.create_index("ix_carton_supplier_lot", "carton", ["supplier_lot"])
    op.create_table(
        "lot_lineage",
        key(),
        sa.Column("lot_id", sa.BigInteger(), sa.ForeignKey("lot.id"), nullable=False),
        sa.Column("from_lot_id", sa.BigInteger(), sa.ForeignKey("lot.id"), nullable=False),
        sa.Column("quantity", sa.Numeric(18, 6), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("done_by", sa.Text(), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_lot_lineage_quantity")),
        sa.CheckConstraint("lot_id <> from_lot_id", name=op.f("ck_lot_lineage_other")),
    )
    op.create_index("ix_lot_lineage_lot_id", "lot_lineage", ["lot_id"])
    op.create_index("ix_lot_lineage_from_lot_id", "lot_lineage", ["from_lot_id"])


def create_tests() -> None:
    readings = ("ocv_v", "acir_mohm", "capacity_ah", "mass_g", "diameter_mm", "height_mm", "temperature_c")
    op.create_table(
        "cell_test",
        key(),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id"), nullable=False),
        sa.Column("tested_at", MOMENT, nullable=False),
        sa.Column("is_retest", sa.Boolean(), nullable=False),
        *(sa.Column(name, sa.Double()) for name in readings),
        sa.Column("visual_ok", sa.Boolean()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.UniqueConstraint("unit_id", "tested_at", name=op.f("uq_cell_test_unit_id_tested_at")),
    )
    op.create_table(
        "lot_grading",
        key(),
        sa.Column("lot_id", sa.BigInteger(), sa.ForeignKey("lot.id"), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), sa.ForeignKey("product_revision.id"), nullable=False),
        sa.Column("graded_at", MOMENT, nullable=False),
        sa.Column("graded_by", sa.Text(), nullable=False),
        sa.Column("summary", JSON, nullable=False),
        sa.Column("flags", TEXTS, nullable=False),
    )
    op.create_index("ix_lot_grading_lot_id", "lot_grading", ["lot_id", "id"])
    op.create_table(
        "cell_grade",
        key(),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id"), nullable=False),
        sa.Column("grading_id", sa.BigInteger(), sa.ForeignKey("lot_grading.id"), nullable=False),
        sa.Column("grade", sa.Text()),
        sa.Column("reasons", TEXTS, nullable=False),
        *(sa.Column(name, sa.Double()) for name in ("ocv_v", "acir_mohm", "capacity_ah", "k_mv_h")),
        sa.Column("tested_at", MOMENT),
        sa.Column("graded_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.CheckConstraint("(grade IS NULL) = (cardinality(reasons) > 0)", name=op.f("ck_cell_grade_grade")),
    )
    op.create_index(
        "uq_cell_grade_unit_id", "cell_grade", ["unit_id"], unique=True, postgresql_where="ended_at IS NULL"
    )
    op.create_index("ix_cell_grade_grading_id", "cell_grade", ["grading_id"])


def create_kits() -> None:
    op.create_table(
        "kit",
        key(),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("revision_id", sa.BigInteger(), sa.ForeignKey("product_revision.id"), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id")),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("made_at", MOMENT, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.UniqueConstraint("number", name=op.f("uq_kit_number")),
        sa.CheckConstraint("state IN ('reserved', 'used', 'released')", name=op.f("ck_kit_state")),
        sa.CheckConstraint("state <> 'used' OR unit_id IS NOT NULL", name=op.f("ck_kit_used")),
    )
    op.create_index(
        "uq_kit_unit_id",
        "kit",
        ["unit_id"],
        unique=True,
        postgresql_where="unit_id IS NOT NULL AND state <> 'released'",
    )
    op.create_table(
        "kit_cell",
        key(),
        sa.Column("kit_id", sa.BigInteger(), sa.ForeignKey("kit.id"), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), sa.ForeignKey("unit.id"), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.Column("ended_by", sa.Text()),
    )
    open_ = "ended_at IS NULL"
    op.create_index("uq_kit_cell_unit_id", "kit_cell", ["unit_id"], unique=True, postgresql_where=open_)
    op.create_index("uq_kit_cell_kit_id", "kit_cell", ["kit_id", "position"], unique=True, postgresql_where=open_)
    op.create_index("ix_kit_cell_kit_id", "kit_cell", ["kit_id"])


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
