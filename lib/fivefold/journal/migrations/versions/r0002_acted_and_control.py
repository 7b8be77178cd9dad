"""Labels say whether the case was acted upon, predictions whether it was to be left alone."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    """Add a column to each of the two tables."""
    op.add_column("predictions", sa.Column("control", sa.Boolean))
    op.add_column("labels", sa.Column("acted", sa.Boolean))


def downgrade() -> None:
    """Drop the two columns."""
    op.drop_column("labels", "acted")
    op.drop_column("predictions", "control")
