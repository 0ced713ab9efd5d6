"""What else happens than mail: how far was looked, which dates stand in the records, and changes that follow changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UNDONE = sa.text("undone_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "look_mark",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "dated_field",
        sa.Column("table_name", sa.String(), nullable=False),
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.Column("field", sa.String(), nullable=False),
        sa.Column("month_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("table_name", "row_id", "field"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dated_field_day", "dated_field", ["table_name", "field", "month_day"])
    op.add_column("change", sa.Column("chain", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_change_row", "change", ["table_name", "row_id"])
    op.create_index("ix_change_undone", "change", ["undone_at"], sqlite_where=UNDONE, postgresql_where=UNDONE)
    op.create_index("ix_customer_last_in_at", "customer", ["last_in_at"])
    op.create_index("ix_customer_last_out_at", "customer", ["last_out_at"])
