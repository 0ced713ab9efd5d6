"""Files that go with mail to customers."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("outbox", sa.Column("attach", sa.JSON(), nullable=True))
    op.add_column("outbox", sa.Column("files", sa.JSON(), nullable=True))
