"""Budget: how the seconds of `--budget` are shared among the arms, and what is kept for the steps around them."""

from __future__ import annotations

from lib.algorithms import ALGORITHMS

AFTER_ARMS = 1.7  # select, evaluate, record and end take this many times what the steps before the arms took (measured)
AFTER_SELECT = 1.35  # the same for what comes after the step select, but for the final fits
REFITS = 0.15     # share of the arms' time that is kept for fitting the final models
PER_ARM = 3.0     # seconds of a new process, its imports and its card
WAVE = 5.0        # seconds that an arm needs at least for a search worth its start
FIRST = ("lightgbm", "xgboost", "logistic_regression", "random_forest", "adaboost")  # who runs when not all can


def arms(budget: float, before_arms: float, workers: int) -> list[str]:
    """The algorithms that are started, in their order: all of them, or under a small budget those that have the time.

    `before_arms`: seconds of the budget that are gone. At least one wave of `workers` arms always runs.
    """
    if not budget:
        return list(ALGORITHMS)
    left = budget - before_arms - AFTER_ARMS * before_arms
    places = workers * max(1, int(left / WAVE))
    ranked = sorted(ALGORITHMS, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return [name for name in ALGORITHMS if name in ranked[:places]]


def seconds_left(budget: float, gone: float, before_arms: float, waiting: list[str], workers: int) -> float | None:
    """How long an arm may search: its share of what is left of the budget; None without a budget.

    `gone` seconds of the budget are spent, of which the steps before the arms took `before_arms`. `waiting`: this arm
    and those that start after it, `workers` at a time; the last ones get all that is left.
    """
    if not budget:
        return None
    left = (budget - gone - AFTER_ARMS * before_arms) * (1 - REFITS)
    if len(waiting) <= workers:
        return max(1.0, left)
    shares = [ALGORITHMS[name].share for name in waiting]
    return max(1.0, min(left, workers * left * shares[0] / sum(shares)) - PER_ARM)


def seconds_for_fits(budget: float, gone: float, before_arms: float) -> float | None:
    """How long the final fits may take; None without a budget."""
    return max(0.0, budget - gone - AFTER_SELECT * before_arms) if budget else None
