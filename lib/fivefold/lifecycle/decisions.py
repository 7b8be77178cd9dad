"""Decisions of a person, from the journal alone: approvals, rollbacks and thresholds."""

from __future__ import annotations

from dataclasses import replace

from fivefold.core.findings import refusal
from fivefold.journal import promotions
from fivefold.journal.database import Engine
from fivefold.journal.promotions import Promotion
from fivefold.serving.served_model import load


def decide(engine: Engine, problem: str, yes: bool, who: str, why: str = "") -> Promotion:
    """Record a person's answer to the challenger that waits.

    A yes counts for the comparison that was made: if another model is served since, the answer is
    recorded as overtaken. A model that cannot be loaded any more is not promoted.

    Raises
    ------
    Refused
        If no challenger waits, or its model cannot be loaded.
    """
    waiting = promotions.waiting(engine, problem)
    if waiting is None:
        raise refusal(
            "There is nothing to decide",
            code="nothing-waits",
            subject=problem,
            found="no waiting challenger",
            expected="one",
            action="python flows/promote.py challenge RUN --require-approval",
        )
    if yes:
        load(waiting.model, waiting)
    decision = replace(
        waiting,
        action=promotions.PROMOTED if yes else promotions.DECLINED,
        who=who,
        why=why or waiting.why,
        replaces=waiting.numbers["against"] if yes else None,
    )
    return promotions.append(engine, problem, decision)


def roll_back(engine: Engine, problem: str, who: str, why: str) -> Promotion:
    """Serve again what was served before.

    Raises
    ------
    Refused
        If nothing was served before, or its model cannot be loaded.
    """
    in_force = promotions.champion(engine, problem)
    target = promotions.rollback_target(engine, in_force) if in_force else None
    if in_force is None or target is None:
        raise refusal(
            "Nothing can be rolled back",
            code="nothing-before",
            subject=problem,
            found="no earlier model or threshold",
            expected="at least two promotions",
            action="python flows/promote.py status",
        )
    load(target.model, target)
    decision = replace(
        target,
        action=promotions.ROLLED_BACK,
        who=who,
        why=why,
        numbers={"returns_to": target.seq},
        replaces=in_force.seq,
    )
    return promotions.append(engine, problem, decision)


def change_threshold(engine: Engine, problem: str, value: float, who: str, why: str) -> Promotion:
    """Decide at another threshold from now on, for everybody.

    Raises
    ------
    Refused
        If nothing is served, or the threshold is not from 0 to 1.
    """
    in_force = promotions.champion(engine, problem)
    if in_force is None or not 0 <= value <= 1:
        raise refusal(
            "The threshold cannot be changed",
            code="threshold",
            subject=problem,
            found=f"the threshold {value:g}" if in_force else "nothing served",
            expected="a served model, and a threshold from 0 to 1",
            action="correct the value",
        )
    decision = replace(
        in_force,
        action=promotions.THRESHOLD,
        threshold=value,
        who=who,
        why=why,
        numbers={"before": in_force.threshold},
        replaces=in_force.seq,
    )
    return promotions.append(engine, problem, decision)


def acknowledge(engine: Engine, problem: str, who: str, why: str) -> Promotion:
    """Record that a person knows of the drift that there is: it is quiet until it changes again.

    Raises
    ------
    Refused
        If nothing is served.
    """
    in_force = promotions.champion(engine, problem)
    if in_force is None:
        raise refusal(
            "Nothing can be acknowledged",
            code="nothing-promoted",
            subject=problem,
            found="nothing served",
            expected="a served model",
            action="python flows/promote.py status",
        )
    decision = replace(
        in_force,
        action=promotions.ACKNOWLEDGED,
        who=who,
        why=why,
        numbers={},
        replaces=None,
    )
    return promotions.append(engine, problem, decision)
