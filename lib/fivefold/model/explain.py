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
from fivefold.core.schema import NOW, Column, Schema
from fivefold.data.ages import at_moment, known_at
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


def background(typed: pd.DataFrame, schema: Schema, seed: int) -> list[dict[str, Any]]:
    """Draw training rows as cases of the used columns (ids are never among them)."""
    count = min(BACKGROUND, len(typed))
    drawn = np.random.default_rng(seed).choice(len(typed), count, replace=False)
    columns = [schema[name] for name in schema.names()]
    if NOW in typed:
        columns.append(Column(NOW, "date"))
    rows = typed.iloc[drawn].to_dict("records")
    return [{column.name: plain(column, row[column.name]) for column in columns} for row in rows]


def require_background(bundle: Bundle) -> None:
    """Raise `Refused` for a bundle that was trained without background rows."""
    if not bundle.metadata.background:
        raise refusal(
            "This prediction cannot be explained",
            code="background-missing",
            subject="bundle",
            found="no background rows: the model is older than explanations",
            expected="a model that keeps some",
            action="train again: python flows/train.py run",
        )


def explain(bundle: Bundle, case: Case) -> Explanation:
    """Explain the probability of one case; the same case gives the same numbers.

    Raises
    ------
    Refused
        For a bundle that was trained without background rows.
    """
    require_background(bundle)
    known = bundle.metadata.background
    names = bundle.schema.names()
    rows = known[: max(2, MOST_ROWS // (2 * len(names)))]
    own, others = typed_table([case], bundle.schema), typed_table(rows, bundle.schema)
    moment = known_at(own, bundle.schema)
    if moment is not None:  # dates of the other rows keep their ages
        others = at_moment(others, bundle.schema, np.repeat(moment, len(rows)))
    table = pd.concat([own, others], ignore_index=True)
    rng = np.random.default_rng(0)
    random_orders = np.array([rng.permutation(len(names)) for _ in rows])
    # Which column changes at each step, shape (rows, 2, columns): an order and its reverse.
    orders = np.stack([random_orders, random_orders[:, ::-1]], axis=1)
    changed_at = np.argsort(orders, axis=2)
    steps_taken = np.arange(len(names) + 1)
    background_row = np.arange(1, len(table))[:, None, None]  # row 0 is the case
    mixed = {}
    for number, name in enumerate(names):
        from_case = changed_at[:, :, [number]] < steps_taken
        mixed[name] = table[name].array[np.where(from_case, 0, background_row).ravel()]
    scores = bundle.probability(pd.DataFrame(mixed)).reshape(len(rows), 2, len(names) + 1)
    total = np.bincount(orders.ravel(), np.diff(scores, axis=2).ravel())
    contributions = total / (2 * len(rows))
    lines = [
        Contribution(name, case[name], float(contribution))
        for name, contribution in zip(names, contributions, strict=True)
    ]
    base = float(scores[:, :, 0].mean())
    return Explanation(base, len(rows), float(scores[0, 0, -1]), lines)
