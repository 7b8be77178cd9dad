"""What if: the one change that would turn a decision, among the columns that the scope says may change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Column
from fivefold.model.bundle import Bundle
from fivefold.model.case import Case, plain, typed_table

STEPS = 101  # values of a number or date that are tried, from the lowest to the highest in training


def changeable(bundle: Bundle) -> list[str]:
    """The model's input columns that the scope names as changeable, in the contract's order."""
    named = set(bundle.about["scope"].get("changeable_columns", ()))
    return [name for name in bundle.schema.names() if name in named]


def flips(bundle: Bundle, case: Case) -> list[dict[str, Any]]:
    """[{column, now, to, probability, moved}] for `case` (plain data of every used column), smallest change first:
    per changeable column the smallest change that turns the decision.

    Values tried: the training percentiles of a number, an even grid of days for a date, every level of a category;
    never "missing". `moved` is the change as a share of the training rows between the two values (numbers), of the
    training range (dates), or the share of training rows that do not have the new level (categories, yes/no).
    One column moves and all others stay: that says what the model would answer, not what would happen in the world.
    """
    typed = typed_table([case], bundle.schema)
    limit = bundle.about["threshold"]["value"]
    acted = bundle.probability(typed)[0] >= limit
    tried = [
        (name, value)
        for name in changeable(bundle)
        for value in _values(bundle, bundle.schema[name])
    ]
    if not tried:
        return []
    many = {name: [typed[name].iloc[0]] * len(tried) for name in typed.columns}
    for row, (name, value) in enumerate(tried):
        many[name][row] = value
    scores = bundle.probability(pd.DataFrame(many).astype(typed.dtypes.to_dict()))
    found: dict[str, dict[str, Any]] = {}
    for (name, value), p in zip(tried, scores, strict=True):
        column, now = bundle.schema[name], typed[name].iloc[0]
        moved = _moved(bundle, column, now, value)
        if (p >= limit) != acted and (name not in found or moved < found[name]["moved"]):
            found[name] = {
                "column": name,
                "now": plain(column, now),
                "to": plain(column, value),
                "probability": float(p),
                "moved": moved,
            }
    return sorted(found.values(), key=lambda line: line["moved"])


def share_below(percentiles: Sequence[float], value: float) -> float:
    """The share of a population, known by its evenly spaced quantiles from least to largest, that lies below a value.

    >>> share_below([0.0, 0.1, 0.4], 0.25), share_below([0.1, 0.1, 0.1, 0.4, 0.5], 0.1)
    (0.75, 0.0)
    """
    first, last = (
        np.searchsorted(percentiles, value, "left"),
        np.searchsorted(percentiles, value, "right"),
    )
    if last > first:  # equal ones are not below
        return float(first / (len(percentiles) - 1))
    return float(np.interp(value, percentiles, np.linspace(0, 1, len(percentiles))))


def _values(bundle: Bundle, column: Column) -> list[Any]:
    """What is tried for a column, in the typed form."""
    if column.kind == "boolean":
        return [0.0, 1.0]
    if column.kind == "categorical":
        return list(column.levels)
    if column.low is None or column.high is None:
        return []
    if column.kind == "date":
        return [
            pd.Timestamp("1970-01-01") + pd.Timedelta(days=int(d))
            for d in np.unique(np.linspace(column.low, column.high, STEPS).round())
        ]
    grid = bundle.about["reference"]["columns"].get(column.name, {}).get("percentiles") or [
        column.low,
        column.high,
    ]
    values = np.unique(np.round(grid) if column.integer else grid)
    return [float(v) for v in values if column.low <= v <= column.high]


def _moved(bundle: Bundle, column: Column, now: Any, to: Any) -> float:
    """How far a change goes, 0 to 1, so that columns of different kinds can be put in order."""
    about = bundle.about["reference"]["columns"].get(column.name, {})
    if pd.isna(now):
        return 1.0  # from unknown to anything: no distance is known
    if column.kind == "numeric":
        grid = about.get("percentiles") or [column.low, column.high]
        places = np.interp([float(now), float(to)], grid, np.linspace(0, 1, len(grid)))
        span = max(float(column.high or 0) - float(column.low or 0), 1e-12)
        return float(
            abs(places[1] - places[0]) + 1e-6 * abs(float(to) - float(now)) / span
        )  # equal ranks: the nearer
    if column.kind == "date":
        return float(
            abs((to - now).days) / max(1.0, float(column.high or 0) - float(column.low or 0))
        )
    return float(1 - about.get("levels", {}).get(str(to), 0.0))
