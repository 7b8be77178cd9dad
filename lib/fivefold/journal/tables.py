"""Journal tables: what the journal keeps. `migrations/` brings a database to this state.

All times are UTC without a zone. Text columns that end in JSON hold plain JSON.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

ID, ENTITY = 36, 500  # lengths


def fitted(text: str, length: int | None = None) -> str:
    """Return a text as every database takes it.

    NUL and lone surrogates are replaced; a longer text is cut, with a digest of the whole.

    >>> fitted("a\\0b"), len(fitted("x" * 99, 36)), fitted("x" * 99, 36) == fitted("x" * 98, 36)
    ('a\ufffdb', 36, False)
    """
    if "\0" in text or not text.isascii():
        text = re.sub("[\0\ud800-\udfff]", "\ufffd", text)
    if length is None or len(text) <= length:
        return text
    return f"{text[: length - 17]}\u2026{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def as_json(value: Any, most: int | None = None) -> str:
    """Compact JSON in which every character stands for itself; cut at `most` characters."""
    return json.dumps(
        value,
        ensure_ascii=False,
        separators=(",", ":"),
        default=lambda x: x.item() if hasattr(x, "item") else str(x),
    )[:most]


def utc(at: datetime) -> datetime:
    """Return a time in UTC without a zone; one without a zone is UTC already."""
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


class _Text(sa.types.TypeDecorator[str]):
    impl: type[sa.types.TypeEngine[str]] = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str | None:
        return (
            None
            if value is None
            else fitted(str(value), getattr(self.impl_instance, "length", None))
        )


class _String(_Text):
    impl, cache_ok = sa.String, True  # the latter is not inherited


class _Time(sa.types.TypeDecorator[datetime]):
    impl, cache_ok = sa.DateTime, True

    def process_bind_param(self, value: datetime | None, _: sa.Dialect) -> datetime | None:
        return None if value is None else utc(value)


METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

# One row per answered case. entity: the scope's id columns as JSON (pseudonymised if the scope
# says so), or null.
PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("id", _String(ID), primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("model", _String(200), nullable=False),  # Metaflow pathspec
    sa.Column("sha256", _String(64), nullable=False),  # of the bundle
    sa.Column("source", _String(20), nullable=False),  # app, api or batch
    sa.Column("inputs", _Text, nullable=False),  # JSON {column: value}
    sa.Column("entity", _String(ENTITY)),
    sa.Column("probability", sa.Float, nullable=False),
    sa.Column("decision", _String(200), nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("warnings", _Text, nullable=False),  # "; " between them, or empty
    sa.Column("latency_ms", sa.Float),  # of the request for this row; null in batches
    sa.Index(None, "problem", "at"),
    sa.Index(None, "problem", "entity"),
)

# One line per case that could not be answered.
REJECTS = sa.Table(
    "rejects",
    METADATA,
    sa.Column("id", _String(ID), primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("model", _String(200), nullable=False),
    sa.Column("source", _String(20), nullable=False),
    sa.Column("inputs", _Text, nullable=False),  # JSON, cut at 4,000 characters
    sa.Column("reason", _Text, nullable=False),
    sa.Index(None, "problem", "at"),
)

# Every label that was ever given, in order. outcome: fivefold.journal.labels.OUTCOMES.
LABELS = sa.Table(
    "labels",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", _Time, nullable=False),  # when it was given
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("prediction_id", _String(ID)),
    sa.Column("entity", _String(ENTITY)),
    sa.Column("observed_at", _Time),  # when the outcome was seen, if known
    sa.Column("label", sa.SmallInteger, nullable=False),  # 1: the positive class
    sa.Column("source", _String(20), nullable=False),  # app, api or file
    sa.Column("who", _String(200), nullable=False),
    sa.Column("outcome", _String(20), nullable=False),
    sa.Column("late", sa.Boolean, nullable=False),
    sa.Index(None, "problem", "prediction_id"),
)

# Append-only. A line with `replaces` changed what is served; two lines cannot replace the same one.
PROMOTIONS = sa.Table(
    "promotions",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("action", _String(20), nullable=False),  # fivefold.journal.promotions.ACTIONS
    sa.Column("model", _String(200), nullable=False),
    sa.Column("sha256", _String(64), nullable=False),
    sa.Column("threshold", sa.Float, nullable=False),
    sa.Column("who", _String(200), nullable=False),
    sa.Column("why", _Text, nullable=False),
    sa.Column("numbers", _Text, nullable=False),  # JSON
    sa.Column("replaces", sa.Integer),  # seq of the line in force before, 0: none; null: no change
    sa.UniqueConstraint("problem", "replaces"),
)

# The monitor's report on each window; a repeated evaluation replaces its row.
REPORTS = sa.Table(
    "reports",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("model", _String(200), nullable=False),
    sa.Column("start", _Time, nullable=False),
    sa.Column("end", _Time, nullable=False),
    sa.Column("bad", sa.Boolean, nullable=False),  # whether the window asks for a new model
    sa.Column("report", _Text, nullable=False),  # JSON
    sa.UniqueConstraint("problem", "start", "end"),
)

ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", _Time, nullable=False),
    sa.Column("problem", _String(200), nullable=False),
    sa.Column("key", _String(300), nullable=False),  # code and subject of the finding
    sa.Column("message", _Text, nullable=False),
    sa.Column("runbook", _String(300), nullable=False),
    sa.Column("sent", _Text, nullable=False),  # JSON {channel: "sent" or why not}
    sa.Index(None, "problem", "key"),
)
