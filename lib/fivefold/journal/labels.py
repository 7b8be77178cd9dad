"""Labels: the outcomes of predicted cases. Every label is kept, with what it changed when it came.

accepted    the prediction is known and had no label
corrected   it had another label, or the newer one says for the first time, or otherwise, whether
            the case was acted upon: the newer one counts, both are kept
duplicate   it had the same label: nothing changes
unknown     no such prediction yet: kept, and tried again with new labels and by the monitor

Besides, a label is `late` if it comes more than `LATE_DAYS` after its prediction; it counts all the
same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from fivefold.core.clock import utc_now
from fivefold.journal.database import COUNTING, fetch, writing
from fivefold.journal.tables import ENTITY, ID, LABELS, PREDICTIONS, fitted, utc

LATE_DAYS = 180
LOT = 5000  # labels that are matched at a time
OUTCOMES = ("accepted", "corrected", "duplicate", "unknown")


@dataclass(frozen=True, kw_only=True)
class Label:
    """The outcome of one case, as it was reported.

    label: 1 is the positive class, 0 the negative one.
    prediction_id: the prediction that the label belongs to.
    entity: without a prediction_id, the scope's id columns as JSON; the label then belongs to the
        newest prediction of that entity.
    observed_at: when the outcome was seen (UTC); None if unknown.
    acted: whether somebody acted upon the case because of its prediction, so that the outcome is
        not the one that was predicted; None: not said, which leaves what was said before.
    """

    label: int
    prediction_id: str | None = None
    entity: str | None = None
    observed_at: datetime | None = None
    acted: bool | None = None


def add_labels(
    engine: sa.Engine,
    problem: str,
    labels: Iterable[Label],
    *,
    source: str,
    who: str,
    now: datetime | None = None,
) -> dict[str, int]:
    """Append labels and return {outcome: labels, late: labels}.

    A label by entity belongs to that entity's newest prediction at `observed_at` (or now). Of
    several labels for one prediction the order given is the order of time.

    Raises
    ------
    ValueError
        If a label is not 0 or 1; then none is recorded.
    """
    now = utc(now or utc_now())
    counted = dict.fromkeys((*OUTCOMES, "late"), 0)
    given = [_fitted(label) for label in labels]
    with writing(engine, _lock(problem)) as connection:
        _match_unknown(connection, problem, now)
        for start in range(0, len(given), LOT):
            rows = _matched(connection, problem, given[start : start + LOT], now)
            for row in rows:
                counted[row["outcome"]] += 1
                counted["late"] += row["late"]
                row.update(at=now, problem=problem, source=source, who=who)
            if rows:
                connection.execute(sa.insert(LABELS), rows)
    return counted


def match_unknown(engine: sa.Engine, problem: str, now: datetime | None = None) -> int:
    """Try labels of unknown predictions again, and return how many were accepted."""
    with writing(engine, _lock(problem)) as connection:
        return _match_unknown(connection, problem, utc(now or utc_now()))


def counts(engine: sa.Engine, problem: str) -> dict[str, int]:
    """Return {outcome: labels, late: labels} of all that were ever given."""
    kind = LABELS.c.outcome, LABELS.c.late
    query = sa.select(*kind, sa.func.count()).where(LABELS.c.problem == problem).group_by(*kind)
    counted = dict.fromkeys((*OUTCOMES, "late"), 0)
    for outcome, late, labels in fetch(engine, query):
        counted[outcome] += labels
        counted["late"] += labels * late
    return counted


def only_events(engine: sa.Engine, problem: str, now: datetime) -> bool:
    """Return whether labels came until now, and none was a negative when it first came."""
    query = sa.select(sa.func.min(LABELS.c.label)).where(
        LABELS.c.problem == problem, LABELS.c.outcome == "accepted", LABELS.c.at <= now
    )
    return bool(fetch(engine, query)[0][0] == 1)


def _fitted(label: Label) -> dict[str, Any]:
    """Return a label as the journal keeps it."""
    if label.label not in (0, 1):
        raise ValueError(f"expected a label of 0 or 1, found {label.label!r}")
    seen = label.observed_at
    return {
        "prediction_id": fitted(str(label.prediction_id), ID) if label.prediction_id else None,
        "entity": fitted(str(label.entity), ENTITY) if label.entity else None,
        "observed_at": utc(seen) if seen and seen == seen else None,  # NaT differs from itself
        "label": int(label.label),
        "acted": label.acted,
    }


def _lock(problem: str) -> Any:
    """Return the lock of all who match labels of this problem."""
    return sa.func.hashtext(f"labels of {problem}")


def _match_unknown(connection: sa.Connection, problem: str, now: datetime) -> int:
    query = sa.select(LABELS).where(LABELS.c.problem == problem, LABELS.c.outcome == "unknown")
    result = connection.execute(query.order_by(LABELS.c.seq)).mappings()
    unknown = [dict(row) for row in result]
    update = sa.update(LABELS).where(LABELS.c.seq == sa.bindparam("label_seq"))
    accepted = 0
    for start in range(0, len(unknown), LOT):
        changes = []
        for row in _matched(connection, problem, unknown[start : start + LOT], now):
            if row["outcome"] != "unknown":
                names = ("prediction_id", "outcome", "late", "acted")
                changes.append({"label_seq": row["seq"], **{name: row[name] for name in names}})
        if changes:
            connection.execute(update, changes)
        accepted += sum(change["outcome"] == "accepted" for change in changes)
    return accepted


def _matched(
    connection: sa.Connection, problem: str, labels: list[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """Return the labels with prediction_id, outcome and late.

    Labels with `at` were given then, the others are given now.
    """
    ids = [label["prediction_id"] for label in labels if label["prediction_id"]]
    entities = [label["entity"] for label in labels if not label["prediction_id"]]
    by_id = _predictions(connection, problem, PREDICTIONS.c.id, ids)
    by_entity = _predictions(connection, problem, PREDICTIONS.c.entity, entities)
    rows = []
    for label in labels:
        given = label.get("at", now)
        prediction_id = label["prediction_id"]
        candidates = by_id.get(prediction_id, [])
        if not prediction_id:
            until = label["observed_at"] or given
            candidates = [p for p in by_entity.get(label["entity"], []) if p[0] <= until]
        predicted, prediction_id = max(candidates, default=(None, prediction_id))
        row = {
            **label,
            "prediction_id": prediction_id,
            "outcome": "unknown" if predicted is None else "accepted",
            "late": predicted is not None and given - predicted > timedelta(days=LATE_DAYS),
        }
        rows.append(row)
    known = [row for row in rows if row["outcome"] == "accepted"]
    held = _newest_labels(connection, problem, [row["prediction_id"] for row in known])
    for row in known:
        before = held.get(row["prediction_id"])
        if before is not None:
            if row["acted"] is None:
                row["acted"] = before[1]
            same = before == (row["label"], row["acted"])
            row["outcome"] = "duplicate" if same else "corrected"
        held[row["prediction_id"]] = row["label"], row["acted"]
    return rows


def _predictions(
    connection: sa.Connection, problem: str, key: sa.Column[Any], values: list[str]
) -> dict[str, list[tuple[datetime, str]]]:
    """Return {value: [(time, id) of the predictions with this value in `key`]}."""
    columns = key, PREDICTIONS.c.at, PREDICTIONS.c.id
    found: dict[str, list[tuple[datetime, str]]] = {}
    for value, at, prediction_id in _rows(connection, problem, key, values, *columns):
        found.setdefault(value, []).append((at, prediction_id))
    return found


def _newest_labels(
    connection: sa.Connection, problem: str, ids: list[str]
) -> dict[str, tuple[int, bool | None]]:
    """Return {prediction id: the label that counts, and whether the case was acted upon}."""
    key = LABELS.c.prediction_id
    columns = LABELS.c.seq, key, LABELS.c.label, LABELS.c.acted, LABELS.c.outcome
    rows = sorted(_rows(connection, problem, key, ids, *columns), key=lambda row: row.seq)
    return {row[1]: (row.label, row.acted) for row in rows if row.outcome in COUNTING}


def _rows(
    connection: sa.Connection,
    problem: str,
    key: sa.Column[Any],
    values: list[str],
    *columns: sa.Column[Any],
) -> list[Any]:
    """Return the columns of the rows whose `key` is among the values.

    The values travel as one JSON text, so that thousands are no burden.
    """
    if not values:
        return []
    each = sa.func.json_each
    if connection.dialect.name == "postgresql":
        each = sa.func.json_array_elements_text
    given = each(sa.literal(list(dict.fromkeys(values)), sa.JSON)).table_valued("value")
    is_given = key.in_(sa.select(given.c.value))
    query = sa.select(*columns).where(key.table.c.problem == problem, is_given)
    return list(connection.execute(query))
