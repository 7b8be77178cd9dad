"""Feedback: labels as people and programs give them, as lines for `fivefold.journal.labels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.core.schema import Schema
from fivefold.serving.journal_rows import entity_of

EXPECTED = "prediction_id or the scope's id columns, label, and perhaps observed_at"
MOST = 100  # problems that are listed


def read_labels(
    rows: Iterable[Mapping[str, Any]], schema: Schema, scope: Mapping[str, Any], key: bytes
) -> list[dict[str, Any]]:
    """Lines for `add_labels` of rows {prediction_id or id columns, label (or the target's own name), observed_at?}.

    A label is one of the model's two, or 1/0, true/false, yes/no. `observed_at` is ISO 8601; without a zone it is UTC.
    Raises `Refused` naming every row that cannot be used.
    """
    lines: list[dict[str, Any]] = []
    problems: list[Finding] = []
    ids = tuple(scope.get("id_columns", ()))
    for n, row in enumerate(rows):
        if not isinstance(row, Mapping):
            problems.append(
                Finding(
                    code="feedback-row",
                    severity=ERROR,
                    subject=f"labels[{n}]",
                    found="no object",
                    expected=EXPECTED,
                    action="correct the row",
                )
            )
            continue
        given = row.get("label", row.get(schema.target))
        label, when = _label(given, schema), _moment(row.get("observed_at"))
        number, entity = _id(row.get("prediction_id")), entity_of(row, scope, key)
        if label is None:
            problems.append(
                Finding(
                    code="feedback-label",
                    severity=ERROR,
                    subject=f"labels[{n}].label",
                    found=repr(given)[:80],
                    expected=f"{schema.positive!r} or {schema.negative!r}, or 1 or 0",
                    action="correct the label",
                )
            )
        if number is None and entity is None:
            wanted = "prediction_id" + (f", or {', '.join(ids)}" if ids else "")
            problems.append(
                Finding(
                    code="feedback-case",
                    severity=ERROR,
                    subject=f"labels[{n}]",
                    found="nothing that names the case",
                    expected=wanted,
                    action="say which prediction the label belongs to",
                )
            )
        if when is False:
            problems.append(
                Finding(
                    code="feedback-time",
                    severity=ERROR,
                    subject=f"labels[{n}].observed_at",
                    found=repr(row.get("observed_at"))[:80],
                    expected="a time in ISO 8601",
                    action="correct or leave it out",
                )
            )
        lines.append(
            {"prediction_id": number, "entity": entity, "label": label, "observed_at": when or None}
        )
    if problems:
        raise Refused("The feedback cannot be used", problems[:MOST])
    if not lines:
        raise Refused(
            "The feedback cannot be used",
            [
                Finding(
                    code="feedback-empty",
                    severity=ERROR,
                    subject="labels",
                    found="no labels",
                    expected=f"rows with {EXPECTED}",
                    action="give at least one",
                )
            ],
        )
    return lines


def told(counts: Mapping[str, int]) -> str:
    """What became of labels, in words.

    >>> told({"accepted": 2, "corrected": 0, "duplicate": 1, "unknown": 0, "late": 1})
    '2 accepted, 1 duplicate; 1 of them late'
    """
    parts = [f"{n:,} {outcome}" for outcome, n in counts.items() if n and outcome != "late"]
    return (", ".join(parts) or "nothing new") + (
        f"; {counts['late']:,} of them late" if counts.get("late") else ""
    )


def columns_of(names: Sequence[str], schema: Schema, scope: Mapping[str, Any]) -> None:
    """Raise `Refused` where a table of labels lacks what names a case or the label."""
    ids = tuple(scope.get("id_columns", ()))
    problems = []
    if "prediction_id" not in names and not (ids and set(ids) <= set(names)):
        problems.append(
            Finding(
                code="feedback-case",
                severity=ERROR,
                subject="table",
                found=f"the columns {', '.join(names)[:300]}",
                expected="prediction_id" + (f", or {', '.join(ids)}" if ids else ""),
                action="add or rename a column",
            )
        )
    if "label" not in names and schema.target not in names:
        problems.append(
            Finding(
                code="feedback-label",
                severity=ERROR,
                subject="table",
                found=f"the columns {', '.join(names)[:300]}",
                expected=f"label or {schema.target}",
                action="add or rename a column",
            )
        )
    if problems:
        raise Refused("The feedback cannot be used", problems)


def _label(value: Any, schema: Schema) -> int | None:
    """1 or 0; the model's own labels come first, also where one of them is called 0, false or no."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, (str, bool, int)):
        return None
    text, plain = str(value).strip(), {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}
    exact = {schema.negative: 0, schema.positive: 1}
    near = {schema.negative.lower(): 0, schema.positive.lower(): 1}
    return exact.get(text, near.get(text.lower(), plain.get(text.lower())))


def _id(value: Any) -> str | None:
    return None if value is None or value != value else str(value).strip() or None


def _moment(value: Any) -> datetime | bool | None:
    """The time as UTC without a zone; None for none, False for what cannot be read. A day alone means its end: what was
    predicted on that day came before.
    """
    if value is None or value != value or value == "":
        return None
    try:
        if isinstance(value, datetime):
            when = value
            day = (
                isinstance(value, pd.Timestamp)
                and value.tzinfo is None
                and value == value.normalize()
            )  # of a table
        else:
            text = str(value).strip()
            when, day = datetime.fromisoformat(text), len(text) <= len("2026-05-01")
        if day:
            when = datetime(
                when.year, when.month, when.day, 23, 59, 59, 999_999, tzinfo=when.tzinfo
            )
        return when.astimezone(UTC).replace(tzinfo=None) if when.tzinfo else when
    except (ValueError, OverflowError):
        return False
