"""Promotions: an append-only table of what is served, since when, by whom and why."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fivefold.core.clock import utc_now
from fivefold.core.stored import known_fields
from fivefold.journal.database import fetch, insert, writing
from fivefold.journal.tables import PROMOTIONS, as_json

# These actions change what is served ...
PROMOTED = "promoted"
ROLLED_BACK = "rolled-back"
THRESHOLD = "threshold"
EFFECTIVE = (PROMOTED, ROLLED_BACK, THRESHOLD)
# ... and these only record an outcome.
KEPT = "kept"
WAITING = "waiting"
DECLINED = "declined"
OVERTAKEN = "overtaken"
ACKNOWLEDGED = "acknowledged"  # a person knows of the drift that there is
SELF = "fivefold"  # who decided, if it was no person
ACTIONS = (*EFFECTIVE, KEPT, WAITING, DECLINED, OVERTAKEN, ACKNOWLEDGED)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided about a model; `append` puts it on record.

    `model` is the pathspec of the training run and `sha256` the digest of its bundle. `replaces`
    is the `seq` of the promotion in force that this decision was made about (0: none was); it is
    None if the action does not change what is served.
    """

    action: str
    model: str
    sha256: str
    threshold: float
    who: str
    why: str
    numbers: dict[str, Any] = field(default_factory=dict)
    replaces: int | None = None

    @property
    def run_id(self) -> str:
        """The id of the training run."""
        return self.model.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Promotion(Decision):
    """A row of the table `promotions`."""

    seq: int
    at: datetime
    problem: str


def champion(engine: sa.Engine, problem: str = "", at: datetime | None = None) -> Promotion | None:
    """Return the promotion in force, now or `at` a time; None if nothing is served.

    Without a problem: that of the problem whose served model changed last.
    """
    conditions: list[sa.ColumnElement[bool]] = [PROMOTIONS.c.replaces.is_not(None)]
    if problem:
        conditions.append(PROMOTIONS.c.problem == problem)
    if at:
        conditions.append(PROMOTIONS.c.at <= at)
    newest = _newest_first(engine, *conditions, most=1)
    return newest[0] if newest else None


def newest_problem(engine: sa.Engine) -> str | None:
    """Return the problem whose served model changed last; None if nothing is served."""
    newest = champion(engine)
    return newest.problem if newest else None


def history(engine: sa.Engine, problem: str) -> list[Promotion]:
    """Return all promotions of a problem, newest first."""
    return _newest_first(engine, PROMOTIONS.c.problem == problem)


def newest(engine: sa.Engine, problem: str) -> Promotion | None:
    """Return the newest promotion of a problem, whatever was decided; None without one."""
    rows = _newest_first(engine, PROMOTIONS.c.problem == problem, most=1)
    return rows[0] if rows else None


def waiting(engine: sa.Engine, problem: str) -> Promotion | None:
    """Return the newest challenger that waits for a person, if nothing was decided since."""
    for promotion in history(engine, problem):
        if promotion.action not in (KEPT, ACKNOWLEDGED):
            return promotion if promotion.action == WAITING else None
    return None


def append(
    engine: sa.Engine, problem: str, decision: Decision, now: datetime | None = None
) -> Promotion:
    """Append a decision, which may be made from an earlier row, and return its row.

    If another process has replaced the promotion that the decision is about, nothing changes and
    the decision is recorded as `OVERTAKEN`.

    Raises
    ------
    ValueError
        For an unknown action, and for an effective one without `replaces` (or the reverse).
    """
    effective = decision.action in EFFECTIVE
    if decision.action not in ACTIONS or effective != (decision.replaces is not None):
        raise ValueError(
            "expected an effective action with replaces or another without, "
            f"found {decision.action!r}, {decision.replaces!r}"
        )
    at = now or utc_now()
    try:
        return _insert(engine, problem, decision, at)
    except (sa.exc.IntegrityError, _Overtaken):
        why = (
            f"{decision.why} Nothing was changed: "
            "another model or threshold was put in force in the meantime."
        )
        overtaken = replace(decision, action=OVERTAKEN, replaces=None, why=why)
        return _insert(engine, problem, overtaken, at)


def rollback_target(engine: sa.Engine, promotion: Promotion) -> Promotion | None:
    """Return the newest effective promotion before this one with another model or threshold.

    Undoing twice does not return to what was undone: promotions that a rollback has replaced are
    skipped.
    """
    # What a rollback put in force again; any other promotion is its own original.
    originals: dict[int | None, Promotion] = {}
    for row in reversed(history(engine, promotion.problem)):
        if row.replaces is not None:
            originals[row.seq] = originals.get(row.numbers.get("returns_to"), row)

    in_force = (promotion.model, promotion.threshold)
    earlier = originals.get(promotion.seq)
    while earlier:
        earlier = originals.get(earlier.replaces)
        if earlier and (earlier.model, earlier.threshold) != in_force:
            return earlier
    return None


class _Overtaken(Exception):
    """The promotion that a decision replaces is no longer in force."""


def _insert(engine: sa.Engine, problem: str, decision: Decision, at: datetime) -> Promotion:
    values = known_fields(Decision, vars(decision))
    values |= {"at": at, "problem": problem, "threshold": float(decision.threshold)}
    values["numbers"] = json.loads(as_json(decision.numbers))  # as they will be read
    in_force = sa.select(sa.func.max(PROMOTIONS.c.seq)).where(
        PROMOTIONS.c.problem == problem, PROMOTIONS.c.replaces.is_not(None)
    )
    with writing(engine) as connection:
        newest = connection.scalar(in_force) or 0
        if decision.replaces not in (None, newest):
            raise _Overtaken  # two that come to here at once meet the unique constraint
        values["seq"] = insert(connection, PROMOTIONS, **values)
    return Promotion(**values)


def _newest_first(
    engine: sa.Engine, *conditions: sa.ColumnElement[bool], most: int | None = None
) -> list[Promotion]:
    query = sa.select(PROMOTIONS).where(*conditions).order_by(PROMOTIONS.c.seq.desc()).limit(most)
    return [Promotion(**row._asdict()) for row in fetch(engine, query)]
