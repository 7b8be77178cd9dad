"""Interactions: products of two encoded columns, for a logistic regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from fivefold.data.splits import subsample
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.boosting import Encoded

MOST = 40  # products that are added
MOST_COLUMNS = (
    400  # columns whose pairs are tested: those that the model without products uses most
)
MOST_ROWS = 10_000  # rows of the test
BASE_C = 0.1  # inverse strength of the L2 penalty of the model without products


def choose_pairs(matrix: np.ndarray, y: np.ndarray, most: int = MOST) -> list[tuple[int, int]]:
    """Return the column pairs whose products would help a logistic regression most, best first.

    A logistic regression is fitted on the columns alone. Each product then gets its score test: the
    covariance of the product with the residuals, over the standard error of that. Only the
    intercept is projected out, not the other columns. This makes the test a little too cautious,
    but quick: all pairs together are three matrix products.

    Parameters
    ----------
    matrix : array, training rows x columns, no missing values; the labels choose, so no other rows
        may be in it
    y : array of shape (rows,), 0 or 1
    most : number of pairs at most

    References
    ----------
    Rao 1948, "Large sample tests of statistical hypotheses concerning several parameters with
    applications to problems of estimation".
    """
    rows = subsample(np.arange(len(y)), y, MOST_ROWS, 0)
    matrix, y = matrix[rows], y[rows]
    types = "q" * matrix.shape[1]
    logistic = ALGORITHMS["logistic_regression"]
    base = logistic.fit(logistic.build({"C": BASE_C}, 0, 1, types), Encoded(matrix, y, types))
    strength = np.abs(base.coef_[0]) * matrix.std(axis=0)
    used = np.argsort(-strength, kind="stable")[:MOST_COLUMNS]
    x, p = matrix[:, used], base.predict_proba(matrix)[:, 1]
    weight = p * (1 - p)
    mean = (x * weight[:, None]).T @ x / weight.sum()
    variance = ((x * x) * weight[:, None]).T @ (x * x) - mean * mean * weight.sum()
    effect = (x * (y - p)[:, None]).T @ x - mean * (y - p).sum()
    varies = np.triu(variance > 1e-6 * len(y), 1)
    score = np.where(varies, np.abs(effect) / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    best = np.argsort(-score, axis=None, kind="stable")[: min(most, int(varies.sum()))]
    pairs = used[np.stack(np.unravel_index(best, score.shape), axis=1)]
    return [(int(a), int(b)) for a, b in np.sort(pairs, axis=1)]


def interactions(matrix: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a fitted ColumnTransformer that adds the chosen products, and its output.

    The products have unit variance. The output is that for `matrix`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    parts: list[tuple[str, Any, Any]] = [("columns", "passthrough", slice(0, matrix.shape[1]))]
    for number, pair in enumerate(choose_pairs(matrix, y)):
        product = PolynomialFeatures((2, 2), interaction_only=True, include_bias=False)
        parts.append((f"product {number}", make_pipeline(product, StandardScaler()), list(pair)))
    step = ColumnTransformer(parts, sparse_threshold=0, verbose_feature_names_out=False)
    return step, step.fit_transform(matrix)
