"""Promotions: an append-only table of what is served, at which threshold, since when, by whom and why."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fivefold.core.clock import utc_now
from fivefold.journal.database import as_json, writing
from fivefold.journal.tables import PROMOTIONS

PROMOTED, ROLLED_BACK, THRESHOLD = (
    "promoted",
    "rolled-back",
    "threshold",
)  # these change what is served
KEPT, WAITING, DECLINED, OVERTAKEN = (
    "kept",
    "waiting",
    "declined",
    "overtaken",
)  # these are outcomes on record
EFFECTIVE = (PROMOTED, ROLLED_BACK, THRESHOLD)
ACTIONS = (*EFFECTIVE, KEPT, WAITING, DECLINED, OVERTAKEN)


def champion(engine: sa.Engine, problem: str, at: datetime | None = None) -> dict[str, Any] | None:
    """The line in force (a dict of the table's columns, `numbers` read from JSON), now or `at` a time; None where
    nothing is served.
    """
    then = [PROMOTIONS.c.at <= at] if at else []
    return _one(engine, PROMOTIONS.c.problem == problem, PROMOTIONS.c.replaces.is_not(None), *then)


def newest_problem(engine: sa.Engine) -> str | None:
    """The problem whose served model changed last; None where nothing is served."""
    line = _one(engine, PROMOTIONS.c.replaces.is_not(None))
    return line["problem"] if line else None


def history(engine: sa.Engine, problem: str) -> list[dict[str, Any]]:
    """All lines of a problem, newest first."""
    with engine.connect() as connection:
        lines = (
            connection.execute(
                sa.select(PROMOTIONS)
                .where(PROMOTIONS.c.problem == problem)
                .order_by(PROMOTIONS.c.seq.desc())
            )
            .mappings()
            .all()
        )
    return [_read(line) for line in lines]


def waiting(engine: sa.Engine, problem: str) -> dict[str, Any] | None:
    """The newest challenger that waits for a person's decision, if nothing was decided since."""
    lines = [line for line in history(engine, problem) if line["action"] != KEPT]
    return lines[0] if lines and lines[0]["action"] == WAITING else None


def record(
    engine: sa.Engine,
    problem: str,
    action: str,
    *,
    model: str,
    sha256: str,
    threshold: float,
    who: str,
    why: str,
    numbers: dict[str, Any] | None = None,
    replaces: int | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Append a line and return it.

    `replaces` is the seq of the line in force that this decision was made about (0: none was). Where another process
    has replaced that line meanwhile, nothing changes and the line is recorded as `OVERTAKEN`. Raises ValueError for an
    unknown action and for an effective one without `replaces`.
    """
    if action not in ACTIONS or (action in EFFECTIVE) != (replaces is not None):
        raise ValueError(
            "expected an effective action with replaces or another without, "
            f"found {action!r}, {replaces!r}"
        )
    line = {
        "at": now or utc_now(),
        "problem": problem,
        "action": action,
        "model": model,
        "sha256": sha256,
        "threshold": float(threshold),
        "who": who,
        "why": why,
        "numbers": as_json(numbers or {}),
        "replaces": replaces,
    }
    try:
        return _append(engine, line)
    except (sa.exc.IntegrityError, _Overtaken):
        told = f"{why} Nothing was changed: what is served was replaced while this was judged."
        return _append(engine, {**line, "action": OVERTAKEN, "replaces": None, "why": told})


def before(engine: sa.Engine, problem: str, line: dict[str, Any]) -> dict[str, Any] | None:
    """The newest effective line before `line` with another model or threshold: what a rollback returns to.

    Undoing twice does not return to what was undone: lines that a rollback has replaced are passed over.
    """
    lines = {x["seq"]: x for x in history(engine, problem) if x["replaces"] is not None}

    def meant(x: dict[str, Any] | None) -> dict[str, Any] | None:
        while x and (to := x["numbers"].get("returns_to")) in lines and to < x["seq"]:
            x = lines[to]
        return x

    earlier = meant(line)
    while earlier and (earlier := meant(lines.get(earlier["replaces"]))):
        if (earlier["model"], earlier["threshold"]) != (line["model"], line["threshold"]):
            return earlier
    return None


class _Overtaken(Exception):
    pass


def _append(engine: sa.Engine, line: dict[str, Any]) -> dict[str, Any]:
    with writing(engine) as connection:
        if line["replaces"] is not None and line["replaces"] != (
            connection.execute(
                sa.select(sa.func.max(PROMOTIONS.c.seq)).where(
                    PROMOTIONS.c.problem == line["problem"], PROMOTIONS.c.replaces.is_not(None)
                )
            ).scalar()
            or 0
        ):
            raise _Overtaken  # two that come to here at once meet the unique constraint
        seq = connection.execute(sa.insert(PROMOTIONS).values(**line)).inserted_primary_key
    return _read({**line, "seq": seq[0] if seq else None})


def _one(engine: sa.Engine, *conditions: Any) -> dict[str, Any] | None:
    with engine.connect() as connection:
        line = (
            connection.execute(
                sa.select(PROMOTIONS).where(*conditions).order_by(PROMOTIONS.c.seq.desc()).limit(1)
            )
            .mappings()
            .first()
        )
    return _read(line) if line else None


def _read(line: Any) -> dict[str, Any]:
    return {**line, "numbers": json.loads(line["numbers"])}
