"""Shifted data: later rows of a table, with a known change, for `make demo` and monitors.

The change, from a given time on, in a share of the rows: 1. a categorical column (the one of most
levels, at most 60) takes a value that was never seen: "new"; 2. the two numeric columns that go
most with the target move up by `SHIFT` standard deviations; 3. the target follows the first of
these two the other way round, at the base rate times `RATE`. So inputs drift, warnings rise, and
what the model has learnt is wrong for these rows. Nothing else changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype, is_numeric_dtype, is_string_dtype

SHIFT, RATE, SLOPE = 1.2, 1.4, 2.5
NEW = "new"
MOST_LEVELS = 60
_MOST_RATE = 0.9


@dataclass(frozen=True)
class ShiftedNumber:
    """A numeric column that moves; `sign` is that of its association, `whole` for integers."""

    name: str
    mean: float
    sd: float
    sign: float
    whole: bool


@dataclass(frozen=True)
class Shift:
    """What `shift_rows` changes: a column of levels, one or two numbers, the positive rate."""

    target: str
    labels: tuple[str, str]  # (negative, positive)
    level_column: str | None
    numbers: tuple[ShiftedNumber, ...]
    rate: float


def plan_shift(
    base: pd.DataFrame, target: str, labels: tuple[str, str], leave_out: tuple[str, ...] = ()
) -> Shift:
    """Return what to change in rows of this table; `labels`: (negative, positive).

    Raises ValueError without a numeric column of more than ten values.
    """
    y = (base[target].astype("str") == str(labels[1])).to_numpy(dtype=float)
    strength: dict[str, float] = {}
    levels: dict[str, int] = {}
    for name in base.columns.difference([target, *leave_out], sort=False):
        values = base[name]
        distinct = values.nunique()
        if is_numeric_dtype(values.dtype) and distinct > 10:
            ranks = values.rank(pct=True).fillna(0.5)
            strength[name] = np.corrcoef(ranks, y)[0, 1]
        elif is_string_dtype(values.dtype) and 2 < distinct <= MOST_LEVELS:
            levels[name] = distinct
    if not strength:
        raise ValueError(
            "expected a numeric column with more than ten values, found none: choose another table"
        )
    chosen = sorted(strength, key=lambda name: -abs(strength[name]))[:2]
    numbers = tuple(
        ShiftedNumber(
            name=name,
            mean=float(base[name].mean()),
            sd=float(base[name].std()),
            sign=float(np.sign(strength[name]) or 1),
            whole=bool(is_integer_dtype(base[name].dtype)),
        )
        for name in chosen
    )
    level_column = max(levels, key=levels.__getitem__, default=None)
    return Shift(target, labels, level_column, numbers, float(y.mean()))


def shift_rows(rows: pd.DataFrame, shift: Shift, share: float, seed: int) -> pd.DataFrame:
    """Return the rows with the planted change in a random `share` of them."""
    rng, shifted = np.random.default_rng(seed), rows.copy()
    here = rng.random(len(rows)) < share
    if shift.level_column:
        shifted.loc[here, shift.level_column] = NEW
    for number in shift.numbers:
        values = shifted[number.name]
        moved = values.fillna(number.mean).astype("float64") + SHIFT * number.sd
        moved = moved.round(0 if number.whole else 2)
        shifted[number.name] = values.astype("float64").where(~here, moved)
    first = shift.numbers[0]
    distance = shifted[first.name].fillna(first.mean) - first.mean
    z = distance / (first.sd or 1.0) - SHIFT
    rate = min(_MOST_RATE, shift.rate * RATE)
    p = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) - SLOPE * first.sign * z)))
    negative, positive = shift.labels
    drawn = np.where(rng.random(len(rows)) < p, positive, negative)
    shifted[shift.target] = np.where(here, drawn, rows[shift.target].astype("str"))
    return shifted
