"""The first state of the journal."""

from functools import partial

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0001", None, None, None


_needed = partial(sa.Column, nullable=False)


def _create(name: str, key: str, *rest: sa.schema.SchemaItem) -> None:
    """Create a table with the columns that all tables have, and the rest."""
    op.create_table(
        name,
        sa.Column(key, sa.String(36) if key == "id" else sa.Integer, primary_key=True),
        _needed("at", sa.DateTime),
        _needed("problem", sa.String(200)),
        *rest,
    )


def _index(table: str, column: str) -> None:
    """Index a column within each problem."""
    op.create_index(f"ix_{table}_problem_{column}", table, ["problem", column])


def upgrade() -> None:
    """Create all tables."""
    _create(
        "predictions",
        "id",
        _needed("model", sa.String(200)),
        _needed("sha256", sa.String(64)),
        _needed("source", sa.String(20)),
        _needed("inputs", sa.Text),
        sa.Column("entity", sa.String(500)),
        _needed("probability", sa.Float),
        _needed("decision", sa.String(200)),
        _needed("threshold", sa.Float),
        _needed("warnings", sa.Text),
        sa.Column("latency_ms", sa.Float),
    )
    _index("predictions", "at")
    _index("predictions", "entity")
    _create(
        "rejects",
        "id",
        _needed("model", sa.String(200)),
        _needed("source", sa.String(20)),
        _needed("inputs", sa.Text),
        _needed("reason", sa.Text),
    )
    _index("rejects", "at")
    _create(
        "labels",
        "seq",
        sa.Column("prediction_id", sa.String(36)),
        sa.Column("entity", sa.String(500)),
        sa.Column("observed_at", sa.DateTime),
        _needed("label", sa.SmallInteger),
        _needed("source", sa.String(20)),
        _needed("who", sa.String(200)),
        _needed("outcome", sa.String(20)),
        _needed("late", sa.Boolean),
    )
    _index("labels", "prediction_id")
    _create(
        "promotions",
        "seq",
        _needed("action", sa.String(20)),
        _needed("model", sa.String(200)),
        _needed("sha256", sa.String(64)),
        _needed("threshold", sa.Float),
        _needed("who", sa.String(200)),
        _needed("why", sa.Text),
        _needed("numbers", sa.Text),
        sa.Column("replaces", sa.Integer),
        sa.UniqueConstraint("problem", "replaces", name="uq_promotions_problem_replaces"),
    )
    _create(
        "reports",
        "seq",
        _needed("model", sa.String(200)),
        _needed("start", sa.DateTime),
        _needed("end", sa.DateTime),
        _needed("bad", sa.Boolean),
        _needed("report", sa.Text),
        sa.UniqueConstraint("problem", "start", "end", name="uq_reports_problem_start_end"),
    )
    _create(
        "alerts",
        "seq",
        _needed("key", sa.String(300)),
        _needed("message", sa.Text),
        _needed("runbook", sa.String(300)),
        _needed("sent", sa.Text),
    )
    _index("alerts", "key")


def downgrade() -> None:
    """Drop all tables."""
    for table in ("alerts", "reports", "promotions", "labels", "rejects", "predictions"):
        op.drop_table(table)
