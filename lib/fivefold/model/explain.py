"""Explain: what each raw input column adds to one case's probability.

Shapley values of the calibrated probability against background rows (Štrumbelj & Kononenko 2014,
KAIS 41, 647-665; the interventional value function of Janzing et al. 2020, AISTATS 108): in a
random order, columns change from the value of a background row to the value of the case. Orders
come in pairs, one the reverse of the other (antithetic sampling, Mitchell et al. 2022, JMLR 23,
43), which makes main effects and interactions of two columns exact for each background row. Only
`Bundle.probability` is called, so that any model, mixed columns and missing values work.

The sums are exact, not sampled: base + all contributions = probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import refusal
from fivefold.core.schema import Schema
from fivefold.model.bundle import Bundle
from fivefold.model.case import Case, plain, typed_table

BACKGROUND = 100  # rows kept in a bundle
# Predictions for one explanation; wide tables use fewer background rows.
MOST_ROWS = 6_000


@dataclass(frozen=True)
class Contribution:
    """What one column adds to the probability (0.01 is a percentage point), beside its value."""

    column: str
    value: Any
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why a case has its probability: `base` plus all contributions.

    `base` is the mean probability of the `rows` background rows. Contributions are in the order
    of the schema.
    """

    base: float
    rows: int
    probability: float
    contributions: Sequence[Contribution]

    def records(self) -> list[dict[str, Any]]:
        """Return the contributions as plain records, for charts."""
        return [asdict(line) for line in self.contributions]

    def largest_first(self) -> list[Contribution]:
        """Return the contributions by absolute size."""
        return sorted(self.contributions, key=lambda line: -abs(line.contribution))


def background(
    typed: pd.DataFrame, schema: Schema, seed: int, rows: int = BACKGROUND
) -> list[dict[str, Any]]:
    """Draw training rows as cases of the used columns (ids are never among them)."""
    count = min(rows, len(typed))
    drawn = np.random.default_rng(seed).choice(len(typed), count, replace=False)
    columns = [schema[name] for name in schema.names()]
    rows_drawn = typed.iloc[drawn].to_dict("records")
    return [
        {column.name: plain(column, row[column.name]) for column in columns} for row in rows_drawn
    ]


def explain(bundle: Bundle, case: Case, seed: int = 0) -> Explanation:
    """Explain the probability of one case; the same case and seed give the same numbers.

    Raises
    ------
    Refused
        For a bundle that was trained without background rows.
    """
    known = bundle.metadata.background
    if not known:
        raise refusal(
            "This prediction cannot be explained",
            code="background-missing",
            subject="bundle",
            found="no background rows: the model is older than explanations",
            expected="a model that keeps some",
            action="train again: python flows/train.py run",
        )
    names = bundle.schema.names()
    rows = known[: max(2, MOST_ROWS // (2 * len(names)))]
    table = typed_table([case, *rows], bundle.schema)
    orders = _orders(len(names), len(rows), seed)
    from_case, background_row = _evaluations(orders)
    mixed = {}
    for number, name in enumerate(names):
        taken = np.where(from_case[:, number], 0, background_row + 1)
        mixed[name] = table[name].take(taken).reset_index(drop=True)
    scores = bundle.probability(pd.DataFrame(mixed)).reshape(len(rows), 2, len(names) + 1)
    steps = np.diff(scores, axis=2)
    total = np.zeros(len(names))
    np.add.at(total, orders.ravel(), steps.ravel())
    contributions = total / (2 * len(rows))
    lines = [
        Contribution(name, case[name], float(contribution))
        for name, contribution in zip(names, contributions, strict=True)
    ]
    base = float(scores[:, :, 0].mean())
    return Explanation(base, len(rows), float(scores[0, 0, -1]), lines)


def _orders(columns: int, rows: int, seed: int) -> np.ndarray:
    """Return which column changes at each step, shape (rows, 2, columns).

    Each background row has a random order and its reverse.
    """
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(columns) for _ in range(rows)])
    return np.stack([orders, orders[:, ::-1]], axis=1)


def _evaluations(orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to predict, step by step along `orders`.

    Returns
    -------
    tuple
        Whether each column has the case's value, shape (predictions, columns), and the number of
        the background row, shape (predictions,).
    """
    rows, _, columns = orders.shape
    changed_at = np.argsort(orders, axis=2)
    steps = np.arange(columns + 1)
    from_case = changed_at[:, :, None, :] < steps[None, None, :, None]
    background_row = np.repeat(np.arange(rows), 2 * (columns + 1))
    return from_case.reshape(-1, columns), background_row
