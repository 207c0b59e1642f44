"""No two things bear the same code."""

from alembic import op

revision = "codes"
down_revision = "events"


def upgrade() -> None:
    op.create_index("uq_print_job_payload", "print_job", ["payload"], unique=True, postgresql_where="copy = 1")


def downgrade() -> None:
    op.drop_index("uq_print_job_payload", "print_job")
