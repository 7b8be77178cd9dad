"""The first state of the journal."""

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0001", None, None, None

_TEXT = sa.Text


def _common(*rest: sa.schema.SchemaItem) -> tuple[sa.schema.SchemaItem, ...]:
    """Return the columns that all tables have, and the rest."""
    return (
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("problem", sa.String(200), nullable=False),
        *rest,
    )


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "predictions",
        sa.Column("id", sa.String(36), primary_key=True),
        *_common(),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("inputs", _TEXT, nullable=False),
        sa.Column("entity", sa.String(500)),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("decision", sa.String(200), nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("warnings", _TEXT, nullable=False),
        sa.Column("latency_ms", sa.Float),
    )
    op.create_index("ix_predictions_problem_at", "predictions", ["problem", "at"])
    op.create_index("ix_predictions_problem_entity", "predictions", ["problem", "entity"])
    op.create_table(
        "rejects",
        sa.Column("id", sa.String(36), primary_key=True),
        *_common(),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("inputs", _TEXT, nullable=False),
        sa.Column("reason", _TEXT, nullable=False),
    )
    op.create_index("ix_rejects_problem_at", "rejects", ["problem", "at"])
    op.create_table(
        "labels",
        sa.Column("seq", sa.Integer, primary_key=True),
        *_common(),
        sa.Column("prediction_id", sa.String(36)),
        sa.Column("entity", sa.String(500)),
        sa.Column("observed_at", sa.DateTime),
        sa.Column("label", sa.SmallInteger, nullable=False),
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
    )
    op.create_index("ix_labels_problem_prediction_id", "labels", ["problem", "prediction_id"])
    op.create_table(
        "promotions",
        sa.Column("seq", sa.Integer, primary_key=True),
        *_common(),
        sa.Column("action", sa.String(20), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("why", _TEXT, nullable=False),
        sa.Column("numbers", _TEXT, nullable=False),
        sa.Column("replaces", sa.Integer),
        sa.UniqueConstraint("problem", "replaces", name="uq_promotions_problem_replaces"),
    )
    op.create_table(
        "reports",
        sa.Column("seq", sa.Integer, primary_key=True),
        *_common(),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("start", sa.DateTime, nullable=False),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("bad", sa.Boolean, nullable=False),
        sa.Column("report", _TEXT, nullable=False),
        sa.UniqueConstraint("problem", "start", "end", name="uq_reports_problem_start_end"),
    )
    op.create_table(
        "alerts",
        sa.Column("seq", sa.Integer, primary_key=True),
        *_common(),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("message", _TEXT, nullable=False),
        sa.Column("runbook", sa.String(300), nullable=False),
        sa.Column("sent", _TEXT, nullable=False),
    )
    op.create_index("ix_alerts_problem_key", "alerts", ["problem", "key"])


def downgrade() -> None:
    """Drop all tables."""
    for table in ("alerts", "reports", "promotions", "labels", "rejects", "predictions"):
        op.drop_table(table)
