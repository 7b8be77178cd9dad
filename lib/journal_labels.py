"""Labels: what became of the cases that were predicted. Every label is kept; each is judged when it comes.

accepted    the prediction is known and had no label
corrected   it had another label: the newer one counts, both are kept
duplicate   it had the same label: nothing changes
unknown     no such prediction (yet): kept, and tried again whenever labels are added or read by the monitor
Besides, a label is `late` where it comes more than `LATE_DAYS` after its prediction; it counts all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from lib.journal import LOT, utc_now, writing
from lib.journal_tables import LABELS, PREDICTIONS

LATE_DAYS = 180
OUTCOMES = ("accepted", "corrected", "duplicate", "unknown")


def add_labels(engine: sa.Engine, problem: str, labels: Iterable[Mapping[str, Any]], *, source: str, who: str,
               now: datetime | None = None) -> dict[str, int]:
    """Record labels, each {label: 0 or 1, prediction_id or entity, perhaps observed_at}; counts of outcomes and late.

    A label by entity belongs to that entity's newest prediction at `observed_at` (or now). Of several labels for one
    prediction the order given is the order of time.
    """
    now = now or utc_now()
    told = dict.fromkeys((*OUTCOMES, "late"), 0)
    given = [{"prediction_id": None, "entity": None, "observed_at": None, **label} for label in labels]
    with writing(engine) as connection:
        _settle(connection, problem, now)
        for start in range(0, len(given), LOT):
            lines = _judged(connection, problem, given[start:start + LOT], now)
            for line in lines:
                told[line["outcome"]] += 1
                told["late"] += line["late"]
                line.update(at=now, problem=problem, source=source, who=who)
            if lines:
                connection.execute(sa.insert(LABELS), lines)
    return told


def settle(engine: sa.Engine, problem: str, now: datetime | None = None) -> int:
    """Try labels of unknown predictions again; how many were accepted."""
    with writing(engine) as connection:
        return _settle(connection, problem, now or utc_now())


def counts(engine: sa.Engine, problem: str) -> dict[str, int]:
    """{outcome: labels, late: labels} of all that were ever given."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(LABELS.c.outcome, sa.func.count(), sa.func.sum(sa.cast(
            LABELS.c.late, sa.Integer))).where(LABELS.c.problem == problem).group_by(LABELS.c.outcome)).all()
    told = dict.fromkeys(OUTCOMES, 0) | {outcome: int(n) for outcome, n, _ in rows}
    return told | {"late": sum(int(late or 0) for _, _, late in rows)}


def _settle(connection: sa.Connection, problem: str, now: datetime) -> int:
    open_ = connection.execute(sa.select(LABELS).where(
        LABELS.c.problem == problem, LABELS.c.outcome == "unknown").order_by(LABELS.c.seq)).mappings().all()
    accepted = 0
    for start in range(0, len(open_), LOT):
        lot = [dict(line) for line in open_[start:start + LOT]]
        for line, judged in zip(lot, _judged(connection, problem, lot, now), strict=True):
            if judged["outcome"] != "unknown":
                connection.execute(sa.update(LABELS).where(LABELS.c.seq == line["seq"]).values(
                    prediction_id=judged["prediction_id"], outcome=judged["outcome"], late=judged["late"]))
                accepted += judged["outcome"] == "accepted"
    return accepted


def _judged(connection: sa.Connection, problem: str, given: list[dict[str, Any]],
            now: datetime) -> list[dict[str, Any]]:
    """The labels with prediction_id, outcome and late."""
    ids = [x["prediction_id"] for x in given if x["prediction_id"]]
    entities = [x["entity"] for x in given if not x["prediction_id"] and x["entity"]]
    known = dict(_select(connection, problem, PREDICTIONS.c.id, ids, PREDICTIONS.c.id, PREDICTIONS.c.at))
    of_entity: dict[str, list[tuple[datetime, str]]] = {}
    for entity, at, number in _select(connection, problem, PREDICTIONS.c.entity, entities, PREDICTIONS.c.entity,
                                      PREDICTIONS.c.at, PREDICTIONS.c.id):
        of_entity.setdefault(entity, []).append((at, number))
    lines = []
    for x in given:
        number, until = x["prediction_id"], x["observed_at"] or now
        if not number and x["entity"]:
            at, number = max((p for p in of_entity.get(x["entity"], []) if p[0] <= until), default=(None, None))
            if number:
                known[number] = at
        at = known.get(number) if number else None
        lines.append({"prediction_id": number, "entity": x["entity"], "observed_at": x["observed_at"],
                      "label": int(x["label"]), "outcome": "unknown" if at is None else "accepted",
                      "late": at is not None and now - at > timedelta(days=LATE_DAYS)})
    held = dict(_newest(connection, problem, [x["prediction_id"] for x in lines if x["outcome"] == "accepted"]))
    for line in lines:
        if line["outcome"] == "accepted":
            before = held.get(line["prediction_id"])
            line["outcome"] = ("accepted" if before is None else
                               "duplicate" if before == line["label"] else "corrected")
            held[line["prediction_id"]] = line["label"]
    return lines


def _newest(connection: sa.Connection, problem: str, ids: list[str]) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(ids), 500):
        rows = connection.execute(sa.select(LABELS.c.prediction_id, LABELS.c.label).where(
            LABELS.c.problem == problem, LABELS.c.outcome.in_(("accepted", "corrected")),
            LABELS.c.prediction_id.in_(ids[start:start + 500])).order_by(LABELS.c.seq)).all()
        found += rows
    return found


def _select(connection: sa.Connection, problem: str, key: Any, values: list[str], *columns: Any) -> list[Any]:
    found: list[Any] = []
    for start in range(0, len(values), 500):  # SQLite takes a limited number of parameters
        found += connection.execute(sa.select(*columns).where(
            PREDICTIONS.c.problem == problem, key.in_(values[start:start + 500]))).all()
    return found
