"""Who was merged into a customer is found without a walk through all of them."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_customer_merged_into", "customer", ["merged_into"])
