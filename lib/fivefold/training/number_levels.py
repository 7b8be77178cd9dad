"""Number levels: whole numbers that are names of levels, found by what they tell of the labels.

A zip code is a number to a file and a name to a person. Both readings are tried on the folds of the
training rows, one column at a time: the rates of the levels, shrunk towards the overall rate
(Micci-Barreca, 2001), against a decision tree, which sees the order only. The levels are taken
where they are better beyond chance and by much; the name of a column decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import WARNING, Finding, problem
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.infer import CODE_ROWS, FEW_CODES

SMOOTHING = 10.0  # rows that the overall rate weighs in the rate of a level
LEAVES = (8, 16)  # of the trees, as many cuts as a boosted tree makes; the better one counts
SURE = 3.0  # standard errors; none of 600 columns of noise, lines, waves and steps reached them
MUCH = 1.25  # times the gain of the order: with many rows any bend of a smooth curve is sure
MOST_ROWS = 20_000
FEWEST_ROWS = 200


@dataclass(frozen=True)
class Readings:
    """Mean log-loss on the folds without the column, by its order and by its levels.

    `surprise` is the mean gain of the levels over the order, in its standard errors.
    """

    nothing: float
    order: float
    levels: float
    surprise: float

    @property
    def are_levels(self) -> bool:
        """Whether the levels say much more than the order."""
        gain, ordered = self.nothing - self.levels, max(self.nothing - self.order, 0.0)
        return self.surprise >= SURE and gain > MUCH * ordered


def find_levels(
    typed: pd.DataFrame, y: np.ndarray, fold_ids: np.ndarray, schema: Schema, scope: Scope
) -> dict[str, Readings]:
    """Return the numeric columns whose whole numbers are names of levels, with the evidence.

    Parameters
    ----------
    typed : table by `schema`
    y : 1, 0 or -1 (no label), shape (rows,)
    fold_ids : of each row; negative ones are in no fold and are not looked at
    scope : columns with a kind in it are left alone
    """
    rows = np.flatnonzero((fold_ids >= 0) & (y >= 0))
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_ROWS, replace=False))
    if len(rows) < FEWEST_ROWS:
        return {}
    found = {}
    for column in schema.columns:
        many = column.integer and column.distinct > FEW_CODES
        if column.kind != "numeric" or not column.used or column.name in scope.kinds or not many:
            continue
        numbers = typed[column.name].to_numpy()[rows]
        present = ~np.isnan(numbers)
        if present.sum() < CODE_ROWS * len(np.unique(numbers[present])):
            continue
        known = rows[present]
        readings = compare(numbers[present], y[known], fold_ids[known])
        if readings and readings.are_levels:
            found[column.name] = readings
    return found


def compare(numbers: np.ndarray, y: np.ndarray, fold_ids: np.ndarray) -> Readings | None:
    """Compare both readings of one column; None where a fold has one class only."""
    for fold in np.unique(fold_ids):
        if len(np.unique(y[fold_ids != fold])) < 2:
            return None
    nothing = _losses(np.zeros(len(y)), y, fold_ids)
    levels = _losses(numbers, y, fold_ids)
    if levels.mean() >= nothing.mean():  # most columns: spares the trees
        return Readings(float(nothing.mean()), float(nothing.mean()), float(levels.mean()), 0.0)
    order = min((_losses(numbers, y, fold_ids, leaves) for leaves in LEAVES), key=np.mean)
    gains = order - levels
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    surprise = float(gains.mean() / error) if error > 0 else 0.0
    return Readings(float(nothing.mean()), float(order.mean()), float(levels.mean()), surprise)


def level_findings(found: dict[str, Readings]) -> list[Finding]:
    """Return what was taken as levels, and how to keep it a number."""
    findings = []
    for name, readings in found.items():
        findings.append(
            problem(
                "number-levels",
                name,
                f"whole numbers read as names of levels: log-loss {readings.levels:.4f} on the "
                f"folds, {readings.order:.4f} by their order",
                "amounts, or levels",
                f'nothing; if they are amounts, state [columns.kinds] {name} = "numeric"',
                WARNING,
            )
        )
    return findings


def _losses(
    numbers: np.ndarray, y: np.ndarray, fold_ids: np.ndarray, leaves: int = 0
) -> np.ndarray:
    """Return the log-loss of each row by the rate of its level, or of its leaf in a tree.

    Rates and trees are from the other folds.
    """
    from sklearn.tree import DecisionTreeClassifier

    losses = np.empty(len(y))
    for fold in np.unique(fold_ids):
        here, others = fold_ids == fold, fold_ids != fold
        known, asked = numbers[others], numbers[here]
        if leaves:
            tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0)
            tree.fit(known[:, None], y[others])
            known, asked = tree.apply(known[:, None]), tree.apply(asked[:, None])
        chance = _level_rates(known, y[others], asked, y[others].mean())
        losses[here] = -np.log(np.where(y[here] == 1, chance, 1 - chance))
    return losses


def _level_rates(known: np.ndarray, y: np.ndarray, asked: np.ndarray, mean: float) -> np.ndarray:
    """Return the shrunk rate of each asked level; that of all rows for an unknown one."""
    levels, codes = np.unique(known, return_inverse=True)
    rows = np.bincount(codes)
    rates = (np.bincount(codes, weights=y) + SMOOTHING * mean) / (rows + SMOOTHING)
    place = np.minimum(np.searchsorted(levels, asked), len(levels) - 1)
    chances: np.ndarray = np.where(levels[place] == asked, rates[place], mean)
    return chances
