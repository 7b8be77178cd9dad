"""Alembic migrations of the journal; `fivefold.journal.database` runs them."""
