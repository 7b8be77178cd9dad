"""Journal tables: what the journal keeps. `migrations/` brings a database to this state.

All times are UTC without a zone. `_Json` columns hold plain JSON as text.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import partial
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


def as_json(value: Any) -> str:
    """Return compact JSON in which every character stands for itself."""
    return json.dumps(
        value,
        ensure_ascii=False,
        separators=(",", ":"),
        default=lambda x: x.item() if hasattr(x, "item") else str(x),
    )


def utc(at: datetime) -> datetime:
    """Return a time in UTC without a zone; one without a zone is UTC already."""
    return at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at


class _Text(sa.types.TypeDecorator[str]):
    impl: type[sa.types.TypeEngine[str]] = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, _: sa.Dialect) -> str | None:
        length = getattr(self.impl_instance, "length", None)
        return None if value is None else fitted(str(value), length)


class _String(_Text):
    impl, cache_ok = sa.String, True  # the latter is not inherited


class _Json(_Text):
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return super().process_bind_param(as_json(value), dialect)

    def process_result_value(self, value: Any, _: sa.Dialect) -> Any:
        return json.loads(value)


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

_NAME = _String(200)


_needed = partial(sa.Column, nullable=False)


def _table(name: str, key: str, *rest: sa.schema.SchemaItem) -> sa.Table:
    """Return a table of what happened to a problem, with a text "id" or a number "seq" as key."""
    key_column = sa.Column(key, _String(ID) if key == "id" else sa.Integer, primary_key=True)
    return sa.Table(
        name, METADATA, key_column, _needed("at", _Time), _needed("problem", _NAME), *rest
    )


# One row per answered case. entity: the scope's id columns as JSON (pseudonymised if the scope
# says so), or null.
PREDICTIONS = _table(
    "predictions",
    "id",
    _needed("model", _NAME),  # Metaflow pathspec
    _needed("sha256", _String(64)),  # of the bundle
    _needed("source", _String(20)),  # app, api or batch
    _needed("inputs", _Text),  # JSON {column: value}
    sa.Column("entity", _String(ENTITY)),
    _needed("probability", sa.Float),
    _needed("decision", _NAME),
    _needed("threshold", sa.Float),
    _needed("warnings", _Text),  # "; " between them, or empty
    sa.Column("latency_ms", sa.Float),  # of the request for this row; null in batches
    sa.Column("control", sa.Boolean),  # to be left alone, whatever is predicted; null: no
    sa.Index(None, "problem", "at"),
    sa.Index(None, "problem", "entity"),
)

# One line per case that could not be answered.
REJECTS = _table(
    "rejects",
    "id",
    _needed("model", _NAME),
    _needed("source", _String(20)),
    _needed("inputs", _Text),  # JSON, cut at 4,000 characters
    _needed("reason", _Text),
    sa.Index(None, "problem", "at"),
)

# Every label that was ever given, in order. outcome: fivefold.journal.labels.OUTCOMES.
LABELS = _table(
    "labels",
    "seq",
    sa.Column("prediction_id", _String(ID)),
    sa.Column("entity", _String(ENTITY)),
    sa.Column("observed_at", _Time),  # when the outcome was seen, if known
    _needed("label", sa.SmallInteger),  # 1: the positive class
    _needed("source", _String(20)),  # app, api or file
    _needed("who", _NAME),
    _needed("outcome", _String(20)),
    _needed("late", sa.Boolean),
    sa.Column("acted", sa.Boolean),  # whether the case was acted upon; null: not said
    sa.Index(None, "problem", "prediction_id"),
)

# Append-only. A line with `replaces` changed what is served; two lines cannot replace the same one.
PROMOTIONS = _table(
    "promotions",
    "seq",
    _needed("action", _String(20)),  # fivefold.journal.promotions.ACTIONS
    _needed("model", _NAME),
    _needed("sha256", _String(64)),
    _needed("threshold", sa.Float),
    _needed("who", _NAME),
    _needed("why", _Text),
    _needed("numbers", _Json),
    sa.Column("replaces", sa.Integer),  # seq of the line in force before, 0: none; null: no change
    sa.UniqueConstraint("problem", "replaces"),
)

# The monitor's report on each window; a repeated evaluation replaces its row.
REPORTS = _table(
    "reports",
    "seq",
    _needed("model", _NAME),
    _needed("start", _Time),
    _needed("end", _Time),
    _needed("bad", sa.Boolean),  # whether the window asks for a new model
    _needed("report", _Json),
    sa.UniqueConstraint("problem", "start", "end"),
)

ALERTS = _table(
    "alerts",
    "seq",
    _needed("key", _String(300)),  # code and subject of the finding
    _needed("message", _Text),
    _needed("runbook", _String(300)),
    _needed("sent", _Json),  # {channel: "sent" or why not}
    sa.Index(None, "problem", "key"),
)
