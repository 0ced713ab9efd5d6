"""Alembic's entry: runs on the connection that store.schema hands over, inside its transaction."""

from alembic import context
from sqlmodel import SQLModel

import store.tables as _tables

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    compare_type=True,
    render_as_batch=True,
    transaction_per_migration=False,
    transactional_ddl=False,  # the caller began the transaction and ends it
)
context.run_migrations()
assert _tables
