"""Which links carry plain text."""

import sqlalchemy as sa
from alembic import op

revision = "security"
down_revision = "offline"


def upgrade() -> None:
    op.add_column("station_link", sa.Column("encrypted", sa.Boolean(), server_default=sa.true(), nullable=False))
