"""The ledger of recall drills."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "drills"
down_revision = "questions"


def upgrade() -> None:
    op.create_table(
        "drill",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "question")),
        sa.Column("seconds", sa.Double(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("affected", "unknown")),
        *(sa.Column(name, postgresql.ARRAY(sa.Text()), nullable=False) for name in ("missing", "surplus")),
        sa.Column("places", postgresql.JSONB(), nullable=False),
        sa.Column("drilled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("drilled_by", sa.Text(), nullable=False),
        sa.CheckConstraint("kind IN ('lot', 'station', 'failure')", name="ck_drill_kind"),
        sa.CheckConstraint("seconds >= 0 AND affected >= 0", name="ck_drill_measured"),
        sa.PrimaryKeyConstraint("id", name="pk_drill"),
    )
    for statement in [
        *guards.guard_ledger("drill", ()),
        *guards.rights_on(["drill"], {"drill": ()}),
        *guards.seal_stream("drill"),
    ]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
