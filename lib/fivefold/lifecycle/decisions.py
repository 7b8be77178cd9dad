"""Rollback, thresholds and approvals: decisions of a person, from the journal alone, in a moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.journal import promotions
from fivefold.serving.served_model import load

Check = Callable[[str, dict[str, Any]], object]  # (pathspec, line), raises `Refused`


def decide(
    engine: Any, problem: str, yes: bool, who: str, why: str = "", check: Check = load
) -> dict[str, Any]:
    """A person's answer to the challenger that waits. Raises `Refused` where none waits.

    A yes counts for the comparison that was made: where another model is served since, the line is `OVERTAKEN`. A model
    that cannot be loaded any more (`check`) is not promoted.
    """
    line = promotions.waiting(engine, problem)
    if line is None:
        raise Refused(
            "There is nothing to decide",
            [
                Finding(
                    code="nothing-waits",
                    severity=ERROR,
                    subject=problem,
                    found="no waiting challenger",
                    expected="one",
                    action="python flows/promote.py judge RUN --require-approval",
                )
            ],
        )
    facts = {
        "model": line["model"],
        "sha256": line["sha256"],
        "threshold": line["threshold"],
        "who": who,
        "numbers": line["numbers"],
        "why": why or line["why"],
    }
    if not yes:
        return promotions.record(engine, problem, promotions.DECLINED, **facts)
    check(line["model"], line)
    return promotions.record(
        engine, problem, promotions.PROMOTED, replaces=line["numbers"]["against"], **facts
    )


def roll_back(engine: Any, problem: str, who: str, why: str, check: Check = load) -> dict[str, Any]:
    """Serve again what was served before. Raises `Refused` where nothing was, or it cannot be loaded (`check`)."""
    held = promotions.champion(engine, problem)
    earlier = promotions.before(engine, problem, held) if held else None
    if held is None or earlier is None:
        raise Refused(
            "Nothing can be rolled back",
            [
                Finding(
                    code="nothing-before",
                    severity=ERROR,
                    subject=problem,
                    found="no earlier model or threshold",
                    expected="at least two promotions",
                    action="python flows/promote.py status",
                )
            ],
        )
    check(earlier["model"], earlier)
    return promotions.record(
        engine,
        problem,
        promotions.ROLLED_BACK,
        model=earlier["model"],
        sha256=earlier["sha256"],
        threshold=earlier["threshold"],
        who=who,
        why=why,
        replaces=held["seq"],
        numbers={"returns_to": earlier["seq"]},
    )


def change_threshold(engine: Any, problem: str, value: float, who: str, why: str) -> dict[str, Any]:
    """Decide at another threshold from now on, for everybody. Raises `Refused`."""
    held = promotions.champion(engine, problem)
    if held is None or not 0 <= value <= 1:
        found = f"the threshold {value:g}" if held else "nothing served"
        raise Refused(
            "The threshold cannot be changed",
            [
                Finding(
                    code="threshold",
                    severity=ERROR,
                    subject=problem,
                    found=found,
                    expected="a served model, and a threshold from 0 to 1",
                    action="correct the value",
                )
            ],
        )
    return promotions.record(
        engine,
        problem,
        promotions.THRESHOLD,
        model=held["model"],
        sha256=held["sha256"],
        threshold=value,
        who=who,
        why=why,
        replaces=held["seq"],
        numbers={"before": held["threshold"]},
    )
