"""Signed regression: a logistic regression whose coefficients have a given sign."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from fivefold.training.boosting import Encoded, directions

MOST_STEPS = 500


def fit_directed(model: Any, train: Encoded) -> Any:
    """Return the scikit-learn LogisticRegression, fitted within the directions of the columns.

    The L2-penalised likelihood of its own `fit`, with coefficients of at least 0 for "+" columns
    and at most 0 for "-" columns. It is convex, so that the bounded optimum is the only one.

    References
    ----------
    Byrd, Lu, Nocedal and Zhu 1995, "A limited memory algorithm for bound constrained optimization".
    """
    x, y = train.x, train.y
    weights = np.ones(len(y)) if train.weights is None else train.weights

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = theta[:-1]
        scores = x @ coefficients + theta[-1]
        likelihood = weights @ (np.logaddexp(0, scores) - y * scores)
        residuals = weights * (expit(scores) - y)
        gradient = np.append(model.C * (x.T @ residuals) + coefficients, model.C * residuals.sum())
        return float(model.C * likelihood + 0.5 * coefficients @ coefficients), gradient

    limits = {1: (0.0, None), -1: (None, 0.0), 0: (None, None)}
    bounds = [*(limits[way] for way in directions(train.types)), (None, None)]
    start = np.zeros(x.shape[1] + 1)
    steps = {"maxiter": MOST_STEPS, "ftol": 1e-10}
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=steps)
    model.coef_, model.intercept_ = found.x[None, :-1], found.x[-1:]
    model.classes_, model.n_iter_ = np.array([0, 1]), np.array([found.nit], dtype="int32")
    model.n_features_in_ = x.shape[1]
    return model
