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
    was_positive = threshold.is_positive(bundle.probability(typed))[0]
    now = {name: typed[name].iloc[0] for name in typed.columns}
    tried = []
    for name in changeable(bundle):
        for value, distance in _changes(bundle, bundle.schema[name], now[name]):
            tried.append((name, value, distance))
    if not tried:
        return []
    changed = {name: [value] * len(tried) for name, value in now.items()}
    for row, (name, value, _) in enumerate(tried):
        changed[name][row] = value
    scores = bundle.probability(pd.DataFrame(changed).astype(typed.dtypes.to_dict()))
    turned = np.flatnonzero(threshold.is_positive(scores) != was_positive)
    nearest: dict[str, Counterfactual] = {}
    for row in sorted(turned.tolist(), key=lambda row: tried[row][-1]):
        name, value, distance = tried[row]
        column = bundle.schema[name]
        before, after = plain(column, now[name]), plain(column, value)
        line = Counterfactual(name, before, after, float(scores[row]), distance)
        nearest.setdefault(name, line)
    return list(nearest.values())


def share_below(percentiles: Sequence[float], value: float) -> float:
    """Return the share of a population below a value, from its evenly spaced quantiles.

    >>> share_below([0.0, 0.1, 0.4], 0.25), share_below([0.1, 0.1, 0.1, 0.4, 0.5], 0.1)
    (0.75, 0.0)
    """
    last = len(percentiles) - 1
    if value in percentiles:  # equal ones are not below
        return percentiles.index(value) / last
    return float(np.interp(value, percentiles, np.linspace(0, 1, last + 1)))


def _changes(bundle: Bundle, column: Column, now: Any) -> list[tuple[Any, float]]:
    """Return the typed values that are tried for a column, each with its distance from `now`."""
    known = bundle.metadata.reference.column(column.name)
    low, high = column.low, column.high
    values: list[Any]
    if column.kind in ("boolean", "categorical"):
        values = [0.0, 1.0] if column.kind == "boolean" else list(column.levels)
        shares = known.levels or {}
        distances = [1 - shares.get(str(value), 0.0) for value in values]
    elif low is None or high is None:
        return []
    elif column.kind == "date":
        days = np.unique(np.linspace(low, high, STEPS).round())
        values = [_EPOCH + pd.Timedelta(days=int(day)) for day in days]
        distances = [abs((value - now).days) / max(1.0, high - low) for value in values]
    else:
        grid = known.percentiles or [low, high]
        distinct = np.unique(np.round(grid) if column.integer else grid)
        inside = distinct[(distinct >= low) & (distinct <= high)]
        ranks = np.interp([now, *inside], grid, np.linspace(0, 1, len(grid)))
        nearer = 1e-6 * abs(inside - now) / max(high - low, 1e-12)  # decides equal ranks
        values, distances = inside.tolist(), (abs(ranks[1:] - ranks[0]) + nearer).tolist()
    if pd.isna(now):  # from unknown to anything: no distance is known
        distances = [1.0] * len(values)
    return list(zip(values, distances, strict=True))
