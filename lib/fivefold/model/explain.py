"""Explain: what each raw input column adds to one case's probability.

Shapley values of the calibrated probability against background rows (Štrumbelj & Kononenko 2014, KAIS 41, 647-665;
the interventional value function of Janzing et al. 2020, AISTATS 108): a column takes its value from the case, the
others from a background row, in a random order. Orders come in pairs, one the reverse of the other (antithetic
sampling, Mitchell et al. 2022, JMLR 23, 43), which makes main effects and interactions of two columns exact for each
background row. Any model, mixed columns, missing values: only `Bundle.probability` is asked.

The sums are exact, not sampled: base + all contributions = probability.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.core.schema import Schema
from fivefold.model.bundle import Bundle
from fivefold.model.case import Case, plain, typed_table

BACKGROUND = 100  # rows kept in a bundle
MOST_ROWS = (
    6_000  # model evaluations for one explanation; of wide tables fewer background rows are used
)


def background(
    typed: pd.DataFrame, schema: Schema, seed: int, rows: int = BACKGROUND
) -> list[dict[str, Any]]:
    """Training rows in random order, as plain data of the used columns (ids are never among them)."""
    kept = typed.iloc[
        np.random.default_rng(seed).choice(len(typed), min(rows, len(typed)), replace=False)
    ]
    return [
        {name: plain(schema[name], row[name]) for name in schema.names()}
        for row in kept.to_dict("records")
    ]


def explain(bundle: Bundle, case: Case, seed: int = 0) -> dict[str, Any]:
    """{base, rows, probability, contributions [{column, value, contribution}]} of one case; JSON-ready.

    `base` is the mean probability of the `rows` background rows that were used. Contributions are in probability
    (0.01 is a percentage point), in the contract's order. The same case and seed give the same numbers. Raises
    `Refused` for a bundle that was trained without background rows.
    """
    known = bundle.about.get("background")
    if not known:
        raise Refused(
            "This prediction cannot be explained",
            [
                Finding(
                    code="background-missing",
                    severity=ERROR,
                    subject="bundle",
                    found="no background rows: the model is older than explanations",
                    expected="a model that keeps some",
                    action="train again: python flows/train.py run",
                )
            ],
        )
    names = bundle.schema.names()
    rows = known[: max(2, MOST_ROWS // (2 * len(names)))]
    table = typed_table([case, *rows], bundle.schema)
    orders = _orders(len(names), len(rows), seed)
    masks, owners = _masks(orders)
    mixed = {
        name: table[name].take(np.where(masks[:, j], 0, owners + 1)).reset_index(drop=True)
        for j, name in enumerate(names)
    }
    scores = bundle.probability(pd.DataFrame(mixed)).reshape(len(rows), 2, len(names) + 1)
    steps = np.diff(scores, axis=2)
    total = np.zeros(len(names))
    np.add.at(total, orders.ravel(), steps.ravel())
    shares = total / (2 * len(rows))
    return {
        "base": float(scores[:, :, 0].mean()),
        "rows": len(rows),
        "probability": float(scores[0, 0, -1]),
        "contributions": [
            {"column": name, "value": case[name], "contribution": float(share)}
            for name, share in zip(names, shares, strict=True)
        ],
    }


def _orders(columns: int, rows: int, seed: int) -> np.ndarray:
    """Which column moves at each step, shape (rows, 2, columns): a random order and its reverse for each row."""
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(columns) for _ in range(rows)])
    return np.stack([orders, orders[:, ::-1]], axis=1)


def _masks(orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(whether each column is the case's own, the background row) of every evaluation, step by step along `orders`."""
    rows, _, columns = orders.shape
    places = np.argsort(orders, axis=2)  # at which step a column moves
    steps = np.arange(columns + 1)
    masks = (places[:, :, None, :] < steps[None, None, :, None]).reshape(-1, columns)
    return masks, np.repeat(np.arange(rows), 2 * (columns + 1))
