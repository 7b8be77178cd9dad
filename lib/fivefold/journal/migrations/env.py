"""Alembic's entry: run the migrations on the connection of `fivefold.journal.database`."""

from alembic import context

from fivefold.journal.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
