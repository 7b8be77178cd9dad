"""Crosses: products of two encoded columns, for a logistic regression, which by itself knows no interactions."""

from __future__ import annotations

from typing import Any

import numpy as np

from fivefold.data.splits import subsample
from fivefold.training.algorithms import ALGORITHMS, fit

MOST = 40  # products that are added
MOST_COLUMNS = (
    400  # columns of which pairs are looked at, those that the model without products uses most
)
MOST_LOOKED_AT = 10_000  # rows that choose
BASE_C = 0.1  # inverse strength of the L2 penalty of the model without products


def choose(matrix: np.ndarray, y: np.ndarray, most: int = MOST) -> list[tuple[int, int]]:
    """The pairs of columns, at most `most`, best first, whose products would tell most that their sum does not.

    A logistic regression is fitted on the columns alone. Each product is then judged by its score test (Rao 1948,
    "Large sample tests of statistical hypotheses concerning several parameters with applications to problems of
    estimation"): how strongly it goes with what is left unexplained, over the standard error of that. Only the
    intercept is projected out, not the other columns, which makes the test a little too cautious, and quick: all pairs
    are three matrix products. `matrix`: training rows x columns, without gaps; `y` 0/1. Their labels choose, so the
    rows must be training rows alone.
    """
    rows = subsample(np.arange(len(y)), y, MOST_LOOKED_AT, 0)
    matrix, y = matrix[rows], y[rows]
    types = "q" * matrix.shape[1]
    plain = fit(
        ALGORITHMS["logistic_regression"].build({"C": BASE_C}, 0, 1, types), matrix, y, types
    )
    used = np.argsort(-np.abs(plain.coef_[0]) * matrix.std(axis=0), kind="stable")[:MOST_COLUMNS]
    x, p = matrix[:, used], plain.predict_proba(matrix)[:, 1]
    weight = p * (1 - p)
    mean = (x * weight[:, None]).T @ x / weight.sum()
    spread = ((x * x) * weight[:, None]).T @ (x * x) - mean * mean * weight.sum()
    effect = (x * (y - p)[:, None]).T @ x - mean * (y - p).sum()
    known = np.triu(spread > 1e-6 * len(y), 1)  # a product that hardly varies tells nothing
    score = np.where(known, np.abs(effect) / np.sqrt(np.where(known, spread, 1.0)), 0.0)
    best = np.argsort(-score, axis=None, kind="stable")[: min(most, int(known.sum()))]
    pairs = used[np.stack(np.unravel_index(best, score.shape), axis=1)]
    return [(int(a), int(b)) for a, b in np.sort(pairs, axis=1)]


def crosses(matrix: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """(fitted ColumnTransformer that adds the chosen products to the columns of a matrix, scaled to unit variance; what
    it makes of this one).
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    parts: list[tuple[str, Any, Any]] = [("columns", "passthrough", slice(0, matrix.shape[1]))]
    for number, pair in enumerate(choose(matrix, y)):
        product = PolynomialFeatures((2, 2), interaction_only=True, include_bias=False)
        parts.append((f"product {number}", make_pipeline(product, StandardScaler()), list(pair)))
    step = ColumnTransformer(parts, sparse_threshold=0, verbose_feature_names_out=False)
    return step, step.fit_transform(matrix)
