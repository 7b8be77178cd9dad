"""Labels: what became of the cases that were predicted. Every label is kept; each is judged when it comes.

accepted    the prediction is known and had no label
corrected   it had another label: the newer one counts, both are kept
duplicate   it had the same label: nothing changes
unknown     no such prediction (yet): kept, and tried again whenever labels are added or read by the monitor
Besides, a label is `late` where it comes more than `LATE_DAYS` after its prediction; it counts all the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from fivefold.core.clock import utc_now
from fivefold.journal.database import COUNTING, LOT, writing
from fivefold.journal.tables import ENTITY, ID, LABELS, PREDICTIONS, fitted, utc

LATE_DAYS = 180
OUTCOMES = ("accepted", "corrected", "duplicate", "unknown")


@dataclass(frozen=True, kw_only=True)
class Label:
    """The outcome of one case, as it was reported.

    label: 1 is the positive class, 0 the negative one.
    prediction_id: the prediction that the label belongs to.
    entity: else the scope's id columns as JSON: the label belongs to the newest prediction of that entity.
    observed_at: when the outcome was seen (UTC); None where nobody said.
    """

    label: int
    prediction_id: str | None = None
    entity: str | None = None
    observed_at: datetime | None = None


def add_labels(
    engine: sa.Engine,
    problem: str,
    labels: Iterable[Label],
    *,
    source: str,
    who: str,
    now: datetime | None = None,
) -> dict[str, int]:
    """Record labels; counts of outcomes and of late ones.

    A label by entity belongs to that entity's newest prediction at `observed_at` (or now). Of several labels for one
    prediction the order given is the order of time. Raises ValueError, and records none, where a label is not 0 or 1.
    """
    now = utc(now or utc_now())
    told = dict.fromkeys((*OUTCOMES, "late"), 0)
    given = [_fitted(label) for label in labels]
    with writing(engine) as connection:
        _alone(connection, problem)
        _settle(connection, problem, now)
        for start in range(0, len(given), LOT):
            lines = _judged(connection, problem, given[start : start + LOT], now)
            for line in lines:
                told[line["outcome"]] += 1
                told["late"] += line["late"]
                line.update(at=now, problem=problem, source=source, who=who)
            if lines:
                connection.execute(sa.insert(LABELS), lines)
    return told


def match_unknown(engine: sa.Engine, problem: str, now: datetime | None = None) -> int:
    """Try labels of unknown predictions again; how many were accepted."""
    with writing(engine) as connection:
        _alone(connection, problem)
        return _settle(connection, problem, utc(now or utc_now()))


def counts(engine: sa.Engine, problem: str) -> dict[str, int]:
    """{outcome: labels, late: labels} of all that were ever given."""
    with engine.connect() as connection:
        rows = connection.execute(
            sa.select(
                LABELS.c.outcome, sa.func.count(), sa.func.sum(sa.cast(LABELS.c.late, sa.Integer))
            )
            .where(LABELS.c.problem == problem)
            .group_by(LABELS.c.outcome)
        ).all()
    told = dict.fromkeys(OUTCOMES, 0) | {outcome: int(n) for outcome, n, _ in rows}
    return told | {"late": sum(int(late or 0) for _, _, late in rows)}


def _fitted(label: Label) -> dict[str, Any]:
    """A label as the journal keeps it."""
    if label.label not in (0, 1):
        raise ValueError(f"expected a label of 0 or 1, found {label.label!r}")
    seen = label.observed_at
    return {
        "prediction_id": fitted(str(label.prediction_id), ID) if label.prediction_id else None,
        "entity": fitted(str(label.entity), ENTITY) if label.entity else None,
        "observed_at": utc(seen) if seen and seen == seen else None,  # NaT differs from itself
        "label": int(label.label),
    }


def _alone(connection: sa.Connection, problem: str) -> None:
    """Until the transaction ends no other judges labels of this problem; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(f"labels of {problem}")))
        )


def _settle(connection: sa.Connection, problem: str, now: datetime) -> int:
    open_ = (
        connection.execute(
            sa.select(LABELS)
            .where(LABELS.c.problem == problem, LABELS.c.outcome == "unknown")
            .order_by(LABELS.c.seq)
        )
        .mappings()
        .all()
    )
    accepted = 0
    for start in range(0, len(open_), LOT):
        lot = [dict(line) for line in open_[start : start + LOT]]
        judged = [
            {
                "line": line["seq"],
                **{name: x[name] for name in ("prediction_id", "outcome", "late")},
            }
            for line, x in zip(lot, _judged(connection, problem, lot, now), strict=True)
            if x["outcome"] != "unknown"
        ]
        if judged:
            connection.execute(
                sa.update(LABELS).where(LABELS.c.seq == sa.bindparam("line")), judged
            )
        accepted += sum(x["outcome"] == "accepted" for x in judged)
    return accepted


def _judged(
    connection: sa.Connection, problem: str, given: list[dict[str, Any]], now: datetime
) -> list[dict[str, Any]]:
    """The labels with prediction_id, outcome and late; those with `at` were given then, others are given now."""
    ids = [x["prediction_id"] for x in given if x["prediction_id"]]
    entities = [x["entity"] for x in given if not x["prediction_id"] and x["entity"]]
    known = dict(
        _rows(connection, problem, PREDICTIONS.c.id, ids, PREDICTIONS.c.id, PREDICTIONS.c.at)
    )
    of_entity: dict[str, list[tuple[datetime, str]]] = {}
    for entity, at, number in _rows(
        connection,
        problem,
        PREDICTIONS.c.entity,
        entities,
        PREDICTIONS.c.entity,
        PREDICTIONS.c.at,
        PREDICTIONS.c.id,
    ):
        of_entity.setdefault(entity, []).append((at, number))
    lines = []
    for x in given:
        came = x.get("at", now)
        number, until = x["prediction_id"], x["observed_at"] or came
        if not number and x["entity"]:
            at, number = max(
                (p for p in of_entity.get(x["entity"], []) if p[0] <= until), default=(None, None)
            )
            if number:
                known[number] = at
        at = known.get(number) if number else None
        lines.append(
            {
                "prediction_id": number,
                "entity": x["entity"],
                "observed_at": x["observed_at"],
                "label": int(x["label"]),
                "outcome": "unknown" if at is None else "accepted",
                "late": at is not None and came - at > timedelta(days=LATE_DAYS),
            }
        )
    held = _newest(
        connection, problem, [x["prediction_id"] for x in lines if x["outcome"] == "accepted"]
    )
    for line in lines:
        if line["outcome"] == "accepted":
            before = held.get(line["prediction_id"])
            line["outcome"] = (
                "accepted"
                if before is None
                else "duplicate"
                if before == line["label"]
                else "corrected"
            )
            held[line["prediction_id"]] = line["label"]
    return lines


def _newest(connection: sa.Connection, problem: str, ids: list[str]) -> dict[str, int]:
    """{prediction_id: the label that counts}."""
    rows = _rows(
        connection,
        problem,
        LABELS.c.prediction_id,
        ids,
        LABELS.c.seq,
        LABELS.c.prediction_id,
        LABELS.c.label,
        LABELS.c.outcome,
    )
    return {number: label for _, number, label, outcome in sorted(rows) if outcome in COUNTING}


def _rows(
    connection: sa.Connection, problem: str, key: Any, values: list[str], *columns: Any
) -> list[Any]:
    """The columns of the rows whose `key` is among the values, which go as one JSON text: thousands are no burden."""
    if not values:
        return []
    each = (
        sa.func.json_array_elements_text
        if connection.dialect.name == "postgresql"
        else sa.func.json_each
    )
    given = each(sa.literal(list(dict.fromkeys(values)), sa.JSON)).table_valued("value")
    return list(
        connection.execute(
            sa.select(*columns).where(
                key.table.c.problem == problem, key.in_(sa.select(given.c.value))
            )
        ).all()
    )
