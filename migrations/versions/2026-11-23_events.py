"""Events: the durable stream of what was told, and its subscribers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.guards import APPLICATION_ROLE

revision = "events"
down_revision = "security"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_stream()
    create_subscriptions()
    # An event is added and, in time, purged; never altered.
    op.execute(f"GRANT SELECT, INSERT, DELETE ON event TO {APPLICATION_ROLE}")
    op.execute(f"GRANT SELECT, UPDATE ON event_stream TO {APPLICATION_ROLE}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON subscription TO {APPLICATION_ROLE}")


def create_stream() -> None:
    op.create_table(
        "event",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("path", sa.Text()),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
    )
    op.create_index("ix_event_state", "event", ["path", "topic", "id"], postgresql_where="topic IN ('link', 'cycle')")
    op.create_table(
        "event_stream",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("purged_to", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_event_stream_one")),
    )
    op.execute("INSERT INTO event_stream (id, purged_to) VALUES (1, 0)")


def create_subscriptions() -> None:
    op.create_table(
        "subscription",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text()),
        sa.Column("topics", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("last_error", sa.Text()),
        sa.Column("failing_since", MOMENT),
        sa.Column("missed", sa.BigInteger(), nullable=False),
        sa.Column("salt", sa.LargeBinary()),
        sa.Column("secret_digest", sa.LargeBinary()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.UniqueConstraint("name", name=op.f("uq_subscription_name")),
        sa.CheckConstraint("kind IN ('webhook', 'mqtt')", name=op.f("ck_subscription_kind")),
        sa.CheckConstraint("state IN ('active', 'failing', 'disabled')", name=op.f("ck_subscription_state")),
        sa.CheckConstraint("(state = 'failing') = (failing_since IS NOT NULL)", name=op.f("ck_subscription_failing")),
        sa.CheckConstraint("(kind = 'mqtt') = (prefix IS NOT NULL)", name=op.f("ck_subscription_prefix")),
        sa.CheckConstraint(
            "num_nonnulls(salt, secret_digest) = CASE kind WHEN 'webhook' THEN 2 ELSE 0 END",
            name=op.f("ck_subscription_secret"),
        ),
        sa.CheckConstraint("position >= 0 AND missed >= 0", name=op.f("ck_subscription_counts")),
    )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before: a ledger is not taken back")
