"""Questions of containments: answered once, frozen, and asked again of whatever comes until they are closed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import guards

revision = "questions"
down_revision = "seals"

TABLE, CLOSING = "containment_question", ("closed_at", "closed_by", "close_reason")
MOMENT, TEXTS = sa.DateTime(timezone=True), postgresql.ARRAY(sa.Text())


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column(
            "containment_id",
            sa.BigInteger(),
            sa.ForeignKey("containment.id", name=f"fk_{TABLE}_containment_id"),
            nullable=False,
        ),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=False),
        sa.Column("stops", TEXTS, nullable=False),
        sa.Column("at_operation", sa.Text()),
        sa.Column("release_roles", TEXTS, nullable=False),
        sa.Column("closed_at", MOMENT),
        sa.Column("closed_by", sa.Text()),
        sa.Column("close_reason", sa.Text()),
        sa.Column("closing_id", sa.BigInteger()),
        sa.CheckConstraint("num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)", name=f"ck_{TABLE}_closed"),
        sa.UniqueConstraint("containment_id", name=f"uq_{TABLE}_containment_id"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{TABLE}"),
    )
    op.create_index(f"ix_{TABLE}_open", TABLE, ["containment_id"], postgresql_where="closed_at IS NULL")
    where = "closing_id IS NOT NULL"
    op.create_index(f"uq_{TABLE}_closing_id", TABLE, ["closing_id"], unique=True, postgresql_where=where)
    for statement in [
        *guards.guard_ledger(TABLE, CLOSING),
        *guards.rights_on([TABLE], {TABLE: CLOSING}),
        *guards.seal_stream(TABLE, CLOSING),
    ]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
