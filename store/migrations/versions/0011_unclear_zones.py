"""Meetings whose zone nobody knows."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("meeting", sa.Column("zone_unclear", sa.Boolean(), nullable=False, server_default=sa.false()))
