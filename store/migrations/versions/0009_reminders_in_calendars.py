"""Reminders as items in the reps' own calendars."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("laid_as", "calendar", "item_uid"):
        op.add_column("reminder", sa.Column(name, sa.String(), nullable=True))
    op.add_column("reminder", sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True))
