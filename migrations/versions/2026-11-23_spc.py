"""Control charts and their signals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "spc"
down_revision = "codes"

LEDGERS = {"signal": ("closed_at", "closed_by", "close_reason")}
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("characteristic", sa.Column("spc", postgresql.JSONB()))
    create_chart()
    create_signal()
    for table, closing in LEDGERS.items():
        for statement in guards.guard_ledger(table, closing):
            op.execute(statement)
    for statement in guards.rights_on(["chart", *LEDGERS], LEDGERS):
        op.execute(statement)


def create_chart() -> None:
    op.create_table(
        "chart",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("part_id", sa.BigInteger(), sa.ForeignKey("part.id", name="fk_chart_part_id"), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("characteristic", sa.Text(), nullable=False),
        sa.Column(
            "station_id", sa.BigInteger(), sa.ForeignKey("station.id", name="fk_chart_station_id"), nullable=False
        ),
        sa.Column("tool_id", sa.BigInteger(), sa.ForeignKey("tool.id", name="fk_chart_tool_id")),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("since_cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("judged_cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("baselines", postgresql.JSONB(none_as_null=True)),
        sa.Column("set_at", MOMENT),
        sa.CheckConstraint("(baselines IS NULL) = (set_at IS NULL)", name="ck_chart_set"),
        sa.UniqueConstraint(
            "part_id",
            "operation",
            "characteristic",
            "station_id",
            "tool_id",
            name="uq_chart_of",
            postgresql_nulls_not_distinct=True,
        ),
        sa.PrimaryKeyConstraint("id", name="pk_chart"),
    )


def create_signal() -> None:
    op.create_table(
        "signal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("chart_id", sa.BigInteger(), sa.ForeignKey("chart.id", name="fk_signal_chart_id"), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("cycle_id", sa.BigInteger(), nullable=False),
        sa.Column("rules", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("blocks", sa.Boolean(), nullable=False),
        sa.Column("containment_id", sa.BigInteger(), sa.ForeignKey("containment.id", name="fk_signal_containment_id")),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.Column("closed_by", sa.Text()),
        sa.Column("close_reason", sa.Text()),
        sa.CheckConstraint("num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)", name="ck_signal_closed"),
        sa.UniqueConstraint("chart_id", "position", "cycle_id", name="uq_signal_chart_id_position_cycle_id"),
        sa.PrimaryKeyConstraint("id", name="pk_signal"),
    )
    op.create_index("ix_signal_open", "signal", ["chart_id"], postgresql_where="closed_at IS NULL")


def downgrade() -> None:
    op.drop_table("signal")
    op.drop_table("chart")
    op.drop_column("characteristic", "spc")
