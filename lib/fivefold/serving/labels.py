"""Labels as people and programs report them: read, checked and recorded in the journal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from typing import Any

import pandas as pd

from fivefold.core.findings import Finding, Refused, problem, refuse_errors
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.core.settings import journal_url, pseudonym_key
from fivefold.data.missing_markers import rules_for
from fivefold.data.reading import source as sources
from fivefold.journal import database, promotions
from fivefold.journal.labels import Label, add_labels
from fivefold.model.bundle import Bundle
from fivefold.serving.journal_rows import entity_of, text_of
from fivefold.serving.served_model import load, no_model

MAX_FINDINGS = 100
_ROW = "prediction_id or the scope's id columns, label, and perhaps observed_at and acted"
_REFUSED = "The labels cannot be used"
_WORDS = {"1": 1, "0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}


def read_labels(rows: Iterable[Any], schema: Schema, scope: Scope, key: bytes) -> list[Label]:
    """Read labels from rows of plain values.

    Parameters
    ----------
    rows
        Mappings with prediction_id or the scope's id columns, label (or the name of the target) and
        perhaps observed_at and acted. A label is one of the model's two, or 1/0, true/false,
        yes/no. acted says with one of the latter whether somebody acted upon the case because of
        its prediction. observed_at is ISO 8601; a time without a zone is UTC.
    key
        The key of the pseudonyms.

    Raises
    ------
    Refused
        Names every row that cannot be used, at most `MAX_FINDINGS` of them.
    """
    labels = []
    problems: list[Finding] = []
    for number, row in enumerate(rows):
        try:
            labels.append(_read_label(row, f"labels[{number}]", schema, scope, key))
        except Refused as refused:
            problems += refused.findings
    if not labels and not problems:
        expected = f"rows with {_ROW}"
        problems = [problem("feedback-empty", "labels", "no labels", expected, "add a label")]
    refuse_errors(_REFUSED, problems[:MAX_FINDINGS])
    return labels


def check_columns(names: Sequence[str], schema: Schema, scope: Scope) -> None:
    """Raise `Refused` where a table of labels lacks the column of the case or of the label."""
    ids = set(scope.id_columns)
    found = f"the columns {', '.join(names)[:300]}"
    action = "add or rename a column"
    problems = []
    if "prediction_id" not in names and not (ids and ids <= set(names)):
        problems.append(problem("feedback-case", "table", found, _case_columns(scope), action))
    if "label" not in names and schema.target not in names:
        expected = f"label or {schema.target}"
        problems.append(problem("feedback-label", "table", found, expected, action))
    refuse_errors(_REFUSED, problems)


def record_table(
    engine: Any, bundle: Bundle, frame: pd.DataFrame, *, source: str, who: str
) -> dict[str, int]:
    """Record a table of labels for the problem of `bundle`.

    Returns the counts of `fivefold.journal.labels.add_labels`. Raises `Refused` where a label
    cannot be used.
    """
    scope = bundle.metadata.scope
    frame = frame.rename(columns=str)
    check_columns(list(frame.columns), bundle.schema, scope)
    rows = frame.astype("object").where(frame.notna(), None).to_dict("records")
    labels = read_labels(rows, bundle.schema, scope, pseudonym_key())
    return add_labels(engine, scope.problem, labels, source=source, who=who)


def record_file(data: str, query: str, problem: str, who: str) -> str:
    """Record the labels of a file or database query; return a sentence on their outcomes.

    `problem` defaults to the one that was promoted last. Raises `Refused` where nothing is
    promoted, the table cannot be read or a label cannot be used.
    """
    engine = database.open_journal(journal_url())
    promotion = promotions.champion(engine, problem)
    if promotion is None:
        raise no_model(problem)
    bundle = load(promotion.model).bundle
    rules = rules_for(bundle.schema, bundle.metadata.scope)
    table = sources.read(data, query=query or None, rules=rules)
    counts = record_table(engine, bundle, table.frame, source="file", who=who)
    return f"{table.rows:,} labels of {promotion.problem}: {describe_outcomes(counts)}"


def describe_outcomes(counts: Mapping[str, int]) -> str:
    """Say what became of labels.

    >>> describe_outcomes({"accepted": 2, "corrected": 0, "duplicate": 1, "unknown": 0, "late": 1})
    '2 accepted, 1 duplicate; 1 of them late'
    """
    parts = [f"{n:,} {outcome}" for outcome, n in counts.items() if n and outcome != "late"]
    text = ", ".join(parts) or "nothing new"
    late = counts.get("late")
    return f"{text}; {late:,} of them late" if late else text


def _read_label(row: Any, subject: str, schema: Schema, scope: Scope, key: bytes) -> Label:
    """Return the label of a row. Raises `Refused` with all that is wrong with it."""
    if not isinstance(row, Mapping):
        raise Refused(
            _REFUSED, [problem("feedback-row", subject, "not an object", _ROW, "correct the row")]
        )
    problems = []
    reported = row.get("label", row.get(schema.target))
    label = _class_of(reported, schema)
    if label is None:
        expected = f"{schema.positive!r} or {schema.negative!r}, or 1 or 0"
        where, found = f"{subject}.label", repr(reported)[:80]
        problems.append(problem("feedback-label", where, found, expected, "correct the label"))
    prediction_id = text_of(row.get("prediction_id")) or None
    entity = entity_of(row, scope, key)
    if prediction_id is None and entity is None:
        expected, action = _case_columns(scope), "say which prediction the label belongs to"
        problems.append(problem("feedback-case", subject, "no id of the case", expected, action))
    observed, observed_at = row.get("observed_at"), None
    try:
        observed_at = _utc_time(observed)
    except (ValueError, OverflowError):
        where, found = f"{subject}.observed_at", repr(observed)[:80]
        expected, action = "a time in ISO 8601", "correct it or leave it out"
        problems.append(problem("feedback-time", where, found, expected, action))
    acted = text_of(row.get("acted")).lower()
    if acted and acted not in _WORDS:
        where, found = f"{subject}.acted", repr(row["acted"])[:80]
        expected, action = "yes or no, or nothing", "correct it or leave it out"
        problems.append(problem("feedback-acted", where, found, expected, action))
    if label is None or problems:
        raise Refused(_REFUSED, problems)
    return Label(
        label=label,
        prediction_id=prediction_id,
        entity=entity,
        observed_at=observed_at,
        acted=bool(_WORDS[acted]) if acted else None,
    )


def _case_columns(scope: Scope) -> str:
    ids = ", ".join(scope.id_columns)
    return f"prediction_id, or {ids}" if ids else "prediction_id"


def _class_of(value: Any, schema: Schema) -> int | None:
    """Return 1 or 0; the model's own labels come first, even where one is called 0 or no."""
    text = text_of(value)
    exact = {schema.negative: 0, schema.positive: 1}
    if text in exact:
        return exact[text]
    lower = {" ".join(name.lower().split()): label for name, label in exact.items()}
    return (_WORDS | lower).get(" ".join(text.lower().split()))


def _utc_time(value: Any) -> datetime | None:
    """Return the time as UTC without a zone; None for a missing one.

    A day alone means its end: what was predicted on that day came before. Raises ValueError or
    OverflowError for what is no time.
    """
    if value is None or value != value or value == "":
        return None
    if isinstance(value, pd.Timestamp):  # of a table
        moment: datetime = value
        is_day = value.tzinfo is None and value == value.normalize()
    else:
        text = str(value).strip()
        moment = datetime.fromisoformat(text)
        is_day = len(text) <= len("2026-05-01")
    if is_day:
        moment = datetime.combine(moment, time.max, moment.tzinfo)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
