"""Answers given and results kept by gateways while the MES was away."""

import sqlalchemy as sa
from alembic import op

revision = "offline"
down_revision = "labels"


def upgrade() -> None:
    op.add_column("permit", sa.Column("facts_at", sa.DateTime(timezone=True)))
    op.add_column("cycle", sa.Column("heard_at", sa.DateTime(timezone=True)))
    op.add_column("station_link", sa.Column("kept", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("station_link", sa.Column("skew_s", sa.Double()))
