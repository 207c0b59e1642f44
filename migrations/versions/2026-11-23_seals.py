"""Seals: every ledger and what its ids stand for, hashed and chained; each closing gets a number of its own."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "seals"
down_revision = "spc"

# What is sealed as of this revision: ledgers with the columns that close a row, and what never changes of other tables.
LEDGERS = {
    "act": (),
    "permit": (),
    "cycle": (),
    "finding": (),
    "measurement": (),
    "curve": (),
    "installation": ("removed_at", "removed_cycle_id"),
    "containment": (),
    "hold": ("released_at", "released_by", "release_reason"),
    "hold_signature": (),
    "disposition": (),
    "waiver": ("revoked_at", "revoked_by", "revoke_reason"),
    "station_check": (),
    "first_article": ("signed_at", "signed_by", "sign_verdict"),
    "certificate": ("withdrawn_at", "withdrawn_by", "withdraw_reason"),
    "lot_document": (),
    "product_revision": (),
    "bom_item": (),
    "recipe": (),
    "step": (),
    "characteristic": (),
    "order_revision": (),
    "cell": (),
    "lot_lineage": (),
    "cell_test": (),
    "cell_grade": ("ended_at",),
    "lot_grading": (),
    "kit_cell": ("ended_at", "ended_by"),
    "crate_unit": ("taken_out_at", "taken_out_by"),
    "signal": ("closed_at", "closed_by", "close_reason"),
}
KEYS = {"measurement": "cycle_id", "cell": "entry", "order_revision": "entry"}
NAMES = {
    "unit": ("id", "serial", "part_id", "order_id", "revision_id", "created_at"),
    "lot": (
        *("id", "number", "part_id", "revision_id", "supplier", "supplier_lot", "quantity", "country"),
        *("received_at", "expires_on", "date_code"),
    ),
    "work_order": ("id", "number", "part_id", "quantity", "created_at"),
    "part": ("id", "number"),
    "site": ("id", "code"),
    "line": ("id", "code"),
    "station": ("id", "code"),
    "tool": ("id", "code"),
    "kit": ("id", "number", "revision_id", "figures", "made_at", "made_by"),
    "crate": ("id", "sscc", "opened_at", "opened_by"),
    "delivery": ("id", "number", "supplier", "file_name", "digest", "announced_at"),
    "carton": ("id", "code", "delivery_id", "part_id", "supplier_lot", "quantity"),
    "chart": ("id", "part_id", "operation", "characteristic", "station_id", "tool_id"),
    "access_key": ("id", "name", "role", "secret_hash", "created_at"),
}
SEALS = ("seal_stream", "seal", "seal_part")
TEXTS = postgresql.ARRAY(sa.Text())


def upgrade() -> None:
    create_seals()
    number_rows()
    for table, closing in LEDGERS.items():
        for statement in guards.seal_stream(table, closing, key=KEYS.get(table, "id")):
            op.execute(statement)
    for table, columns in NAMES.items():
        for statement in guards.seal_stream(table, columns=columns):
            op.execute(statement)
    for table in SEALS:
        for statement in guards.guard_ledger(table, ()):
            op.execute(statement)
    op.execute(f"GRANT SELECT ON seal_stream, seal, seal_part TO {guards.APPLICATION_ROLE}")
    op.execute(f"GRANT INSERT ON seal, seal_part TO {guards.APPLICATION_ROLE}")


def create_seals() -> None:
    op.create_table(
        "seal_stream",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "of_table", "key", "drawn_by")),
        *(sa.Column(name, TEXTS, nullable=False) for name in ("columns", "closing")),
    )
    op.create_table(
        "seal",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("root", "previous", "hash")),
    )
    op.create_table(
        "seal_part",
        sa.Column("stream_id", sa.BigInteger(), sa.ForeignKey("seal_stream.id"), primary_key=True),
        sa.Column("to_id", sa.BigInteger(), primary_key=True),
        sa.Column("from_id", sa.BigInteger(), nullable=False),
        sa.Column("seal_id", sa.BigInteger(), sa.ForeignKey("seal.id"), nullable=False, index=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.LargeBinary(), nullable=False) for name in ("digest", "marks")),
        sa.CheckConstraint("octet_length(marks) = 5 * rows", name=op.f("ck_seal_part_marks")),
    )


def number_rows() -> None:
    """Number closings, past ones too, and the rows of tables whose own keys are drawn before a row is added."""
    for table in ("cell", "order_revision"):
        op.add_column(table, sa.Column("entry", sa.BigInteger(), sa.Identity(always=True), nullable=False))
        op.create_unique_constraint(op.f(f"uq_{table}_entry"), table, ["entry"])
    op.execute("CREATE SEQUENCE closing_id_seq")
    op.execute(f"GRANT USAGE, SELECT ON SEQUENCE closing_id_seq TO {guards.APPLICATION_ROLE}")
    for table, closing in LEDGERS.items():
        if closing:
            op.add_column(table, sa.Column("closing_id", sa.BigInteger()))
            op.execute(f"ALTER TABLE {table} DISABLE TRIGGER law3_rows")
            op.execute(f"UPDATE {table} SET closing_id = nextval('closing_id_seq') WHERE {closing[0]} IS NOT NULL")
            op.execute(f"ALTER TABLE {table} ENABLE TRIGGER law3_rows")
            where = "closing_id IS NOT NULL"
            op.create_index(f"uq_{table}_closing_id", table, ["closing_id"], unique=True, postgresql_where=where)
    op.execute(guards.refuse_changes_and_count_closings())


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
