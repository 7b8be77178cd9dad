"""Monotone: whether a model's probabilities follow the directions that the scope asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.core.stored import Stored

ROWS, STEPS = 200, 25  # rows that are tried, values of the column that each is tried with
BEYOND = 0.1  # of the column's range, tried below and above it
ROUNDING = 1e-9  # of a probability


@dataclass(frozen=True)
class MonotoneCheck(Stored):
    """How far the probability moved against the direction of a column, at most (`wrong_way`).

    `tried` is the number of pairs of neighbouring values that were compared.
    """

    column: str
    direction: str
    tried: int
    wrong_way: float

    @property
    def kept(self) -> bool:
        """Whether no probability moved against the direction."""
        return self.wrong_way <= ROUNDING


def check_directions(
    predict: Callable[[pd.DataFrame], np.ndarray], typed: pd.DataFrame, schema: Schema
) -> list[MonotoneCheck]:
    """Try each column with a direction on a grid of its values, in rows that stay the same beside.

    Parameters
    ----------
    predict
        Returns probabilities of shape (rows,) for a typed table.
    typed
        Typed rows; every so many of them are tried, `ROWS` at most.
    """
    rows = typed.iloc[:: max(1, len(typed) // ROWS)].iloc[:ROWS]
    checks = []
    for name, way in schema.directions.items():
        grid = _grid(typed[name].to_numpy(dtype="float64"), schema[name].kind)
        if len(grid) < 2:
            continue
        tried = rows.loc[rows.index.repeat(len(grid))].reset_index(drop=True)
        tried[name] = np.tile(grid, len(rows))
        steps = way * np.diff(predict(tried).reshape(len(rows), len(grid)), axis=1)
        wrong_way = float(max(0.0, -steps.min()))
        checks.append(MonotoneCheck(name, schema[name].monotone, steps.size, wrong_way))
    return checks


def _grid(values: np.ndarray, kind: str) -> np.ndarray:
    """Return rising values: quantiles and what lies between and beyond them, or no and yes."""
    present = values[np.isfinite(values)]
    if kind == "boolean" or not len(present):
        return np.array([0.0, 1.0])
    low, high = float(present.min()), float(present.max())
    margin = BEYOND * (high - low)
    quantiles = np.quantile(present, np.linspace(0, 1, STEPS // 2))
    even = np.linspace(low - margin, high + margin, STEPS - len(quantiles))
    return np.unique(np.concatenate([quantiles, even]))


def broken(checks: Sequence[MonotoneCheck]) -> list[MonotoneCheck]:
    """Return the checks that failed."""
    return [check for check in checks if not check.kept]
