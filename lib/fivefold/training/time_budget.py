"""Time budget: the seconds of `--budget` for each search and the steps around them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from fivefold.data.splits import MANY_ROWS
from fivefold.training.algorithms import ALGORITHMS

# Seconds of steps on the machine where they were measured: (for a small table, more for each row).
PREPARING = (0.85, 16e-6)  # the work of validate and split, without starts and imports
AFTER_SEARCH = (8.5, 5e-6)  # the steps after the searches, without the final fits
AFTER_SELECT = (6.0, 4.5e-6)  # those after the step select
SECOND_BUNDLE = (1.5, 0.0)  # to write two models instead of one
MOST_FINAL_FITS = (15.0, 60e-6)  # beyond which the final fits have no use for more
MOST_FINAL_FITS_SMALL = (6.0, 0.7e-3)  # the same for small tables
ENOUGH_FOR_REFIT = (20.0, 0.0)  # for all searches, below which no time is kept for a refit

FINAL_FITS, FINAL_FITS_MANY_ROWS = 0.12, 0.4  # share of the search time kept for the final fits
MOST_KEPT = 0.5  # share of the search time that these fits may take at most
IMPORTANCE = 0.04  # share of a budget that permutation importance may take
# A first model is tried in the real server: seconds (measured), and the share of a small budget
# that is kept for it at most.
SMOKE, SMOKE_SHARE = 5.0, 0.08
GAP = (1.3, 0.0)  # from the end of the last search to the step select
LONGEST_GAP = 120.0  # beyond which a run was resumed in between
TWO_FITS = 2.25  # times as long as one: the refit has a quarter more rows
START = (1.2, 0.0)  # a new process and its card
LEAST_SEARCH, LEAST_SEARCH_MANY_ROWS = 5.0, 15.0  # seconds of a search that is worth its start
WIDE = 100  # columns beyond which a search needs more seconds, in proportion
READING = 15.0  # seconds of a budget after which each allows for `ROWS_A_SECOND`
ROWS_A_SECOND, FEWEST_ROWS = 20_000, 100_000


def most_rows(seconds: float) -> int | None:
    """Return how many rows of a table a run with this budget uses; None without a budget.

    Known before anything is read: the same budget uses the same rows on every machine.

    >>> most_rows(60), most_rows(20), most_rows(0)
    (900000, 100000, None)
    """
    if not seconds:
        return None
    return max(FEWEST_ROWS, int((seconds - READING) * ROWS_A_SECOND))


def refit_choice(asked: str, seconds: float, rows: int) -> str:
    """Return what the option --refit means for a table of `rows` rows: no, auto or yes.

    "auto", the default, fits again under a budget, which asks for the best model for the time; a
    run by trials serves the model that was evaluated. Above `MANY_ROWS` a quarter more of them
    brings too little.

    >>> [refit_choice("auto", seconds, 10_000) for seconds in (60, 0)]
    ['auto', 'no']
    >>> refit_choice("auto", 60, 100_000)
    'no'
    >>> refit_choice("yes", 0, 100_000)
    'yes'
    """
    if asked == "auto" and (not seconds or rows > MANY_ROWS):
        return "no"
    return asked


def importance_seconds(seconds: float) -> float:
    """Return how many seconds of a budget permutation importance may take.

    >>> importance_seconds(50)
    2.0
    """
    return IMPORTANCE * seconds


def slowness(seconds: float, rows: int) -> float:
    """Return how many times slower this machine is now than the one of the constants.

    `seconds` : of the work of validate and split on a table of `rows` rows

    >>> slowness(2.02, 10_000)
    2.0
    """
    return seconds / (PREPARING[0] + PREPARING[1] * rows)


@dataclass(frozen=True)
class TimeBudget:
    """The time of one run.

    Parameters
    ----------
    seconds : of the whole run; infinite for no limit
    before_search : seconds that the steps before the searches took
    rows : of the table
    workers : searches at the same time
    refit : no, auto or yes (`refit_choice`)
    slowness : how many times slower this machine is than the one of the constants (`slowness`)
    """

    seconds: float
    before_search: float
    rows: int
    workers: int
    refit: str = "no"
    slowness: float = 1.0

    def expected(self, steps: tuple[float, float]) -> float:
        """Return the expected seconds of steps on this machine.

        >>> TimeBudget(60, 9.0, 10_000, 1, slowness=2).expected((7.0, 5e-5))
        15.0
        """
        return self.slowness * (steps[0] + steps[1] * self.rows)

    def algorithms(self, columns: int = 0) -> list[str]:
        """Return the algorithms to start, in order: those that the budget has time for.

        At least `workers` searches always run. `columns`: of the table.
        """
        if self.seconds == math.inf:
            return list(ALGORITHMS)
        left = self.seconds - self.before_search - self._after(AFTER_SEARCH)
        least = LEAST_SEARCH if self.rows <= MANY_ROWS else LEAST_SEARCH_MANY_ROWS
        least *= self.slowness * max(1.0, columns / WIDE)
        count = self.workers * max(1, int(left / least))
        ranked = sorted(ALGORITHMS, key=lambda name: ALGORITHMS[name].priority)
        return [name for name in ALGORITHMS if name in ranked[:count]]

    def for_search(self, gone: float, waiting: list[str]) -> float:
        """Return the seconds for a search: its share of what is left; no limit without a budget.

        `gone`: seconds since the start of the run. `waiting`: this algorithm and those that start
        after it; the last ones get all that is left.
        """
        if self.seconds == math.inf:
            return math.inf
        left, fits = self.seconds - gone - self._after(AFTER_SEARCH), 1.0
        all_searches = left + gone - self.before_search
        long_enough = all_searches >= self.expected(ENOUGH_FOR_REFIT)
        if self.refit == "yes" or (self.refit == "auto" and long_enough):
            left, fits = left - self.expected(SECOND_BUNDLE), TWO_FITS
        share = FINAL_FITS if self.rows <= MANY_ROWS else FINAL_FITS_MANY_ROWS
        share = min(MOST_KEPT, fits * share)
        most, most_small = self.expected(MOST_FINAL_FITS), self.expected(MOST_FINAL_FITS_SMALL)
        left -= min(share * left, most, most_small)
        if len(waiting) <= self.workers:
            return max(1.0, left)
        shares = [ALGORITHMS[name].time_share for name in waiting]
        mine = self.workers * left * shares[0] / sum(shares)
        return max(1.0, min(left, mine) - self.expected(START))

    def after(self, gap: float) -> TimeBudget:
        """Return this budget, with a machine that is slower now if the last gap was longer.

        `gap`: seconds from the end of the last search to the step select
        """
        now = gap / GAP[0] if gap < LONGEST_GAP else 0.0
        return replace(self, slowness=max(self.slowness, now))

    def for_final_fits(self, gone: float) -> float:
        """Return how many seconds the final fits may take; no limit without a budget."""
        if self.seconds == math.inf:
            return math.inf
        second = 0.0 if self.refit == "no" else self.expected(SECOND_BUNDLE)
        return max(0.0, self.seconds - gone - self._after(AFTER_SELECT) - second)

    def _after(self, steps: tuple[float, float]) -> float:
        smoke = min(SMOKE, SMOKE_SHARE * self.seconds)
        return self.expected(steps) + importance_seconds(self.seconds) + smoke
