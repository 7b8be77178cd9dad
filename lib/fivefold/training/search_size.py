"""Search size: the folds and rows of the fits of a search, by what a fit costs on this machine.

Where the time is short, a search gives up trials first, then folds, and rows only last: a model of
fewer rows is a worse model, while fewer folds only measure it less exactly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fivefold.data.splits import Split
from fivefold.training.algorithms import Algorithm
from fivefold.training.encode_folds import encode_fold, fit_fold
from fivefold.training.training_data import FitOptions, TrainingData

# Share of the seconds that the first trial may take. Costs are extrapolated, and may be wrong by
# two thirds before the first trial alone takes too long. Of the folds below, the next fewer leave
# time for a second trial.
FIRST_TRIAL = 0.6
LEAST_FIT = 2.0  # seconds of a fit for which no rows are given up, however short the time is
FEWER_FOLDS = (3, 2, 1)  # how many are scored where there is no time for all
LEAST_RARE = 50  # scored rows of the rarer class below which no fold is given up
SMALL_CELLS = 400_000  # of a fold up to which a table of few rows is searched whole, unmeasured
FEW_ROWS = 200  # training rows of a fold below which nothing is measured
PROBES = (500, 2000, 8000, 32_000)  # training rows of the fits that are measured
PROBE_SHARES = (1.0, 0.3, 0.06, 0.06)  # of the seconds that each of them may take
CLEAR = 2.0  # all folds are taken if twice the estimate of their first trial has the time


@dataclass(frozen=True)
class FitCost:
    """Seconds of one fit: a fixed part and a part for each training row."""

    fixed: float
    per_row: float

    def seconds(self, rows: int) -> float:
        return self.fixed + self.per_row * rows

    def rows(self, seconds: float) -> int:
        """Return how many rows a fit of so many seconds has; below 0 where there are none."""
        return int((seconds - self.fixed) / self.per_row)

    @classmethod
    def of(cls, rows: Sequence[int], seconds: Sequence[float]) -> FitCost:
        """Return the line through the last two measurements; through 0 for a single one.

        A row costs at least a tenth of the mean of the longer fit: short times are noisy.

        >>> FitCost.of([500, 2000], [2.0, 5.0])
        FitCost(fixed=1.0, per_row=0.002)
        """
        if len(rows) == 1:
            return cls(0.0, seconds[0] / rows[0])
        (fewer, more), (short, long) = rows[-2:], seconds[-2:]
        per_row = max((long - short) / (more - fewer), 0.1 * long / more)
        return cls(max(0.0, long - per_row * more), per_row)


@dataclass(frozen=True)
class SearchSize:
    """What every trial of a search uses.

    Parameters
    ----------
    folds : the folds that are scored, in this order
    max_rows : most training rows of a fit, None for all
    """

    folds: tuple[int, ...]
    max_rows: int | None


def fold_order(split: Split) -> list[int]:
    """Return the folds in the order in which searches under a budget score them.

    Searches that score few and others that score many have the first ones in common. Folds in time
    order begin with the last, which has the most training rows.
    """
    folds = list(range(split.fold_count))
    return folds[::-1] if split.is_ordered else folds


def fold_choices(data: TrainingData) -> list[int]:
    """Return the numbers of folds that a search may score, most first.

    Fewer than all have at least `LEAST_RARE` rows of the rarer class: below that the standard error
    of a ROC AUC is some .04, and settings cannot be compared.
    """
    order = fold_order(data.split)
    choices = [len(order)]
    for count in FEWER_FOLDS:
        scored = np.isin(data.fold_ids, order[:count])
        rarer = int(np.bincount(data.y[scored], minlength=2)[:2].min())
        if count < len(order) and rarer >= LEAST_RARE:
            choices.append(count)
    return choices


def choose_folds(choices: Sequence[int], fold_seconds: float, seconds: float) -> int:
    """Return the most of these numbers of folds that a first trial has the time for.

    The least, if it has not even the time for those.

    >>> [choose_folds([5, 3, 2, 1], 1.0, seconds) for seconds in (10.0, 8.0, 4.0, 2.0, 1.0)]
    [5, 3, 2, 1, 1]
    """
    fitting = [count for count in choices if count * fold_seconds <= FIRST_TRIAL * seconds]
    return max(fitting, default=min(choices))


def plan_size(
    entry: Algorithm, data: TrainingData, options: FitOptions, seconds: float
) -> SearchSize:
    """Return the folds and rows of a search that has these seconds.

    The first default is fitted on rising numbers of rows of the largest fold, until the answer is
    clear or a further fit would cost too much; before that, a small fit loads the libraries. Small
    tables are not measured. The search itself corrects the number of folds by what its first folds
    take.
    """
    order, choices = fold_order(data.split), fold_choices(data)
    number, rows = _largest_fold(data, options)
    most = min(rows, entry.max_rows or rows)
    params = entry.defaults[0]

    def measure(count: int) -> float:
        began = time.monotonic()
        fold = encode_fold(data, number, entry.encoding_of(params), options, count)
        fit_fold(entry, params, fold, options)
        return time.monotonic() - began

    if rows < FEW_ROWS:
        return SearchSize(tuple(order), entry.max_rows)
    measure(FEW_ROWS)
    if rows <= 2 * PROBES[1] and rows * data.typed.shape[1] <= SMALL_CELLS:
        return SearchSize(tuple(order), entry.max_rows)
    cost = _rising(measure, most, choices[0], seconds)
    count = choose_folds(choices, cost.seconds(most), seconds)
    fit_seconds = max(LEAST_FIT, FIRST_TRIAL * seconds / count)
    affordable = max(min(PROBES[1], most), cost.rows(fit_seconds))
    return SearchSize(tuple(order[:count]), entry.max_rows if affordable >= most else affordable)


def _rising(measure: Callable[[int], float], most: int, folds: int, seconds: float) -> FitCost:
    """Return the cost of a fit, measured on rising numbers of rows."""
    rows: list[int] = []
    taken: list[float] = []
    for probe, share in zip(PROBES, PROBE_SHARES, strict=True):
        if rows:
            cost = FitCost.of(rows, taken)
            sure = len(rows) > 1 and CLEAR * folds * cost.seconds(most) <= FIRST_TRIAL * seconds
            if sure or probe > most / 2 or cost.seconds(probe) > share * seconds:
                break
        rows.append(min(probe, max(FEW_ROWS, most // 2)))
        taken.append(measure(rows[-1]))
    return FitCost.of(rows, taken)


def _largest_fold(data: TrainingData, options: FitOptions) -> tuple[int, int]:
    """Return the fold with the most training rows, and how many rows the time of a fit counts.

    With synthetic rows these are half of all: a fit may have as many of them as real ones.
    """
    training_rows = [train for train, _ in data.split.folds()]
    number = int(np.argmax([len(train) for train in training_rows]))
    train = training_rows[number]
    rows = len(train)
    if options.sampler is not None:
        _, drawn = options.sampler(*data.rows(train), number)
        rows = max(rows, (rows + len(drawn)) // 2)
    return number, rows
