"""Counterfactual: the one change that would turn a decision, among columns that may change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Column
from fivefold.model.bundle import Bundle
from fivefold.model.case import Case, plain, typed_table

STEPS = 101  # dates that are tried, from the earliest to the latest in training
_EPOCH = pd.Timestamp("1970-01-01")


@dataclass(frozen=True)
class Counterfactual:
    """Another value of one column that turns the decision.

    `now` and `to` are plain values, `probability` is that of the changed case. `distance` is the
    size of the change, 0 to 1 (`counterfactuals`).
    """

    column: str
    now: Any
    to: Any
    probability: float
    distance: float


def changeable(bundle: Bundle) -> list[str]:
    """Return the input columns that the scope calls changeable, in the order of the schema."""
    named = bundle.metadata.scope.changeable_columns
    return [name for name in bundle.schema.names() if name in named]


def counterfactuals(bundle: Bundle, case: Case) -> list[Counterfactual]:
    """Find the smallest change of each changeable column that turns the decision.

    The percentiles of a number in training, an even grid of dates and every level of a category
    are tried, never "missing". One column changes and all others stay: the result says what the
    model would answer, not what would happen.

    Parameters
    ----------
    case
        Plain values of every used column.

    Returns
    -------
    list
        The smallest distance first. The distance is the share of training rows between the two
        values (numbers), the share of the training range (dates), or the share of training rows
        that do not have the new level (categories, yes/no).
    """
    typed = typed_table([case], bundle.schema)
    threshold = bundle.metadata.threshold
    was_positive = threshold.is_positive(bundle.probability(typed)[0])
    tried = []
    for name in changeable(bundle):
        tried += [(name, value) for value in _values(bundle, bundle.schema[name])]
    if not tried:
        return []
    changed = {name: [typed[name].iloc[0]] * len(tried) for name in typed.columns}
    for row, (name, value) in enumerate(tried):
        changed[name][row] = value
    scores = bundle.probability(pd.DataFrame(changed).astype(typed.dtypes.to_dict()))
    nearest: dict[str, Counterfactual] = {}
    for (name, value), probability in zip(tried, scores, strict=True):
        if threshold.is_positive(probability) == was_positive:
            continue
        column = bundle.schema[name]
        now = typed[name].iloc[0]
        distance = _distance(bundle, column, now, value)
        if name in nearest and distance >= nearest[name].distance:
            continue
        nearest[name] = Counterfactual(
            name, plain(column, now), plain(column, value), float(probability), distance
        )
    return sorted(nearest.values(), key=lambda line: line.distance)


def share_below(percentiles: Sequence[float], value: float) -> float:
    """Return the share of a population below a value, from its evenly spaced quantiles.

    >>> share_below([0.0, 0.1, 0.4], 0.25), share_below([0.1, 0.1, 0.1, 0.4, 0.5], 0.1)
    (0.75, 0.0)
    """
    first = np.searchsorted(percentiles, value, "left")
    last = np.searchsorted(percentiles, value, "right")
    if last > first:  # equal ones are not below
        return float(first / (len(percentiles) - 1))
    return float(np.interp(value, percentiles, np.linspace(0, 1, len(percentiles))))


def _values(bundle: Bundle, column: Column) -> list[Any]:
    """Return the typed values that are tried for a column."""
    if column.kind == "boolean":
        return [0.0, 1.0]
    if column.kind == "categorical":
        return list(column.levels)
    if column.low is None or column.high is None:
        return []
    if column.kind == "date":
        days = np.unique(np.linspace(column.low, column.high, STEPS).round())
        return [_EPOCH + pd.Timedelta(days=int(day)) for day in days]
    grid = _percentiles(bundle, column)
    values = np.unique(np.round(grid) if column.integer else grid)
    return [float(v) for v in values if column.low <= v <= column.high]


def _percentiles(bundle: Bundle, column: Column) -> Sequence[Any]:
    percentiles = bundle.metadata.reference.column(column.name).percentiles
    return percentiles or [column.low, column.high]


def _distance(bundle: Bundle, column: Column, now: Any, to: Any) -> float:
    """Return the size of a change, 0 to 1, comparable between kinds of columns."""
    if pd.isna(now):
        return 1.0  # from unknown to anything: no distance is known
    span = float(column.high or 0) - float(column.low or 0)
    if column.kind == "numeric":
        grid = _percentiles(bundle, column)
        before, after = np.interp([float(now), float(to)], grid, np.linspace(0, 1, len(grid)))
        nearer = 1e-6 * abs(float(to) - float(now)) / max(span, 1e-12)  # decides equal ranks
        return float(abs(after - before) + nearer)
    if column.kind == "date":
        return float(abs((to - now).days) / max(1.0, span))
    levels = bundle.metadata.reference.column(column.name).levels or {}
    return float(1 - levels.get(str(to), 0.0))
