"""Budget: how the seconds of `--budget` are shared among the arms, and what is kept for the steps around them."""

from __future__ import annotations

from fivefold.data.splits import MANY_ROWS
from fivefold.training.algorithms import ALGORITHMS

# Measured, in seconds: what the steps before the arms take, those after them without the final fits, and those after
# the step select; each for a small table, and more for each row.
BEFORE, AFTER_ARMS, AFTER_SELECT = (6.5, 16e-6), (13.5, 5e-6), (11.0, 4.5e-6)
REFITS, REFITS_OF_MANY = (
    0.12,
    0.4,
)  # share of the arms' time that is kept for fitting the final models; with many rows
MOST_REFITS = (15.0, 60e-6)  # seconds beyond which these fits, one or both, have no use for more
FEW_REFITS = (6.0, 0.7e-3)  # the same of small tables
TWICE = 2.25  # times as long, where the served model is fitted once more, on a quarter more rows (`refit`)
AGAIN = (2.0, 0.0)  # seconds to write two models instead of one (measured, see above)
LONG = 20.0  # seconds for all arms below which none are kept for that; it is done where some are left over
MOST_KEPT = 0.5  # share of the arms' time that these fits may take at most
PER_ARM = 3.0  # seconds of a new process, its imports and its card
WAVE, WAVE_OF_MANY = (
    5.0,
    15.0,
)  # seconds that an arm needs at least for a search worth its start; with many rows
WIDE = 100  # columns beyond which a search needs more seconds, in proportion
FLOOR, ROWS_A_SECOND, FEWEST_ROWS = (
    15.0,
    20_000,
    100_000,
)  # of the seconds beyond the floor so many rows can be used
FIRST = (
    "lightgbm",
    "xgboost",
    "logistic_regression",
    "random_forest",
    "adaboost",
)  # who runs when not all can


def most_rows(budget: float) -> int | None:
    """How many rows of a table a run of so many seconds takes; None without a budget. Known before anything is read,
    so that the same budget takes the same rows on every machine.

    >>> most_rows(60), most_rows(20), most_rows(0)
    (900000, 100000, None)
    """
    return max(FEWEST_ROWS, int((budget - FLOOR) * ROWS_A_SECOND)) if budget else None


def refit(asked: str, budget: float, rows: int) -> str:
    """no, auto or yes: what `--refit` comes to on a table of `rows` rows. "auto", the default, fits once more under a
    budget, which asks for the best model for the time; a run by trials serves the model that was evaluated. Above
    `MANY_ROWS` a quarter more of them brings too little.

    >>> refit("auto", 60, 10_000), refit("auto", 0, 10_000), refit("auto", 60, 100_000), refit("yes", 0, 100_000)
    ('auto', 'no', 'no', 'yes')
    """
    return "no" if asked == "auto" and (not budget or rows > MANY_ROWS) else asked


def after(steps: tuple[float, float], before_arms: float, rows: int) -> float:
    """How long `steps` (`AFTER_ARMS` or `AFTER_SELECT`) will take on a table of `rows` rows on this machine, which took
    `before_arms` seconds for the steps before the arms.

    >>> round(after(AFTER_ARMS, 13.0, 0), 1)
    27.0
    """
    return before_arms * (steps[0] + steps[1] * rows) / (BEFORE[0] + BEFORE[1] * rows)


def arms(budget: float, before_arms: float, workers: int, rows: int, columns: int = 0) -> list[str]:
    """The algorithms that are started, in their order: all of them, or under a small budget those that have the time.

    `before_arms`: seconds of the budget that are gone. At least one wave of `workers` arms always runs. `rows` and
    `columns`: of the table.
    """
    if not budget:
        return list(ALGORITHMS)
    left = budget - before_arms - after(AFTER_ARMS, before_arms, rows)
    wave = (WAVE if rows <= MANY_ROWS else WAVE_OF_MANY) * max(1.0, columns / WIDE)
    places = workers * max(1, int(left / wave))
    ranked = sorted(ALGORITHMS, key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
    return [name for name in ALGORITHMS if name in ranked[:places]]


def seconds_left(
    budget: float,
    gone: float,
    before_arms: float,
    waiting: list[str],
    workers: int,
    rows: int,
    fit_again: str = "no",
) -> float | None:
    """How long an arm may search: its share of what is left of the budget; None without a budget.

    `gone` seconds of the budget are spent, of which the steps before the arms took `before_arms`. `waiting`: this arm
    and those that start after it, `workers` at a time; the last ones get all that is left. `rows`: of the table.
    `fit_again`: no, auto or yes (`refit`).
    """
    if not budget:
        return None
    left, fits = budget - gone - after(AFTER_ARMS, before_arms, rows), 1.0
    all_arms = left + gone - before_arms
    if fit_again == "yes" or (
        fit_again == "auto" and all_arms >= after((LONG, 0.0), before_arms, rows)
    ):
        left, fits = left - after(AGAIN, before_arms, rows), TWICE
    share = min(MOST_KEPT, fits * (REFITS if rows <= MANY_ROWS else REFITS_OF_MANY))
    left -= min(
        share * left, *(after(most, before_arms, rows) for most in (MOST_REFITS, FEW_REFITS))
    )
    if len(waiting) <= workers:
        return max(1.0, left)
    shares = [ALGORITHMS[name].share for name in waiting]
    return max(1.0, min(left, workers * left * shares[0] / sum(shares)) - PER_ARM)


def seconds_for_fits(
    budget: float, gone: float, before_arms: float, rows: int, fit_again: str = "no"
) -> float | None:
    """How long the final fits may take; None without a budget. `fit_again`: no, auto or yes (`refit`)."""
    again = 0.0 if fit_again == "no" else after(AGAIN, before_arms, rows)
    return (
        max(0.0, budget - gone - after(AFTER_SELECT, before_arms, rows) - again) if budget else None
    )
