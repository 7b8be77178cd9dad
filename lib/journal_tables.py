"""Journal tables: what the journal keeps. `lib/migrations/` brings a database to this state.

All times are UTC without a zone. Text columns that end in JSON hold plain JSON.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s",
                                          "uq": "uq_%(table_name)s_%(column_0_N_name)s"})

# One line per answered case. entity: the scope's id columns as JSON (pseudonymised where the scope says so), or null.
PREDICTIONS = sa.Table(
    "predictions", METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),      # Metaflow pathspec
    sa.Column("sha256", sa.String(64), nullable=False),      # of the bundle
    sa.Column("source", sa.String(20), nullable=False),      # app, api or batch
    sa.Column("inputs", sa.Text, nullable=False),            # JSON {column: value}
    sa.Column("entity", sa.String(500)),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("decision", sa.String(200), nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("warnings", sa.Text, nullable=False),          # "; " between them, or empty
    sa.Column("latency_ms", sa.Float),                       # of the request for this row; null in batches
    sa.Index(None, "problem", "at"), sa.Index(None, "problem", "entity"))

# One line per case that could not be answered.
REJECTS = sa.Table(
    "rejects", METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("inputs", sa.Text, nullable=False),            # JSON, cut at 4,000 characters
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index(None, "problem", "at"))

# Every label that was ever given, in order. outcome: accepted, corrected, duplicate or unknown (lib.journal_labels).
LABELS = sa.Table(
    "labels", METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),            # when it was given
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("prediction_id", sa.String(36)),
    sa.Column("entity", sa.String(500)),
    sa.Column("observed_at", sa.DateTime),                   # when the truth was seen, where that was said
    sa.Column("label", sa.SmallInteger, nullable=False),     # 1: the positive class
    sa.Column("source", sa.String(20), nullable=False),      # app, api or file
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("late", sa.Boolean, nullable=False),
    sa.Index(None, "problem", "prediction_id"))

# Append-only. A line with `replaces` changed what is served; two lines cannot replace the same one.
PROMOTIONS = sa.Table(
    "promotions", METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("action", sa.String(20), nullable=False),      # lib.journal_promotions.ACTIONS
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("numbers", sa.Text, nullable=False),           # JSON
    sa.Column("replaces", sa.Integer),                       # seq of the line in force before, 0: none; null: no change
    sa.UniqueConstraint("problem", "replaces"))

# What the monitor said of each window; the same window judged again replaces its line.
REPORTS = sa.Table(
    "reports", METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("start", sa.DateTime, nullable=False),
    sa.Column("end", sa.DateTime, nullable=False),
    sa.Column("bad", sa.Boolean, nullable=False),            # whether the window asks for a new model
    sa.Column("report", sa.Text, nullable=False),            # JSON
    sa.UniqueConstraint("problem", "start", "end"))

ALERTS = sa.Table(
    "alerts", METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("problem", sa.String(200), nullable=False),
    sa.Column("key", sa.String(300), nullable=False),        # code and subject of the finding
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("runbook", sa.String(300), nullable=False),
    sa.Column("sent", sa.Text, nullable=False),              # JSON {channel: "sent" or why not}
    sa.Index(None, "problem", "key"))
