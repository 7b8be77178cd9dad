"""ROC AUC with its sampling error, for one model and for the difference of two on the same rows.

References: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845, and the rank formula of
Sun & Xu (2014), IEEE Signal Processing Letters 21, 1389-1393, in O(n log n). Ties count half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# scipy.stats takes half a second to import, in every step.
from scipy.special import expit, ndtr, ndtri


def ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, shape (rows,); equal values get the mean of their ranks.

    >>> ranks(np.array([0.2, 0.1, 0.2])).tolist()
    [2.5, 1.0, 2.5]
    """
    return pd.Series(values).rank().to_numpy()


def roc_auc(y: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve by ranks; NaN without both classes.

    This is the Mann-Whitney U statistic, ties counted half.

    >>> roc_auc(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 2.0, 3.0]))
    0.875
    """
    positives, negatives = int((y == 1).sum()), int((y == 0).sum())
    if not positives or not negatives:
        return math.nan
    above = ranks(score)[y == 1].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))


def auc_components(y: np.ndarray, scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return AUCs and covariance matrix of k scores on the same rows, shapes (k,) and (k, k).

    `y` is 0/1 with at least two rows of each class, else ValueError.

    >>> auc_components(np.array([0, 0, 1, 1]), [np.array([.1, .4, .35, .8])])[0].tolist()
    [0.75]
    """
    y = np.asarray(y).astype(bool)
    m, n = int(y.sum()), int((~y).sum())
    if m < 2 or n < 2:
        raise ValueError(
            f"expected at least two rows of each class, found {m} positive and {n} negative"
        )
    by_positive, by_negative = [], []
    for score in scores:
        score = np.asarray(score, dtype="float64")
        among_all = ranks(score)
        by_positive.append((among_all[y] - ranks(score[y])) / n)
        by_negative.append(1 - (among_all[~y] - ranks(score[~y])) / m)
    v10, v01 = np.array(by_positive), np.array(by_negative)
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return v10.mean(axis=1), covariance


def auc_interval(y: np.ndarray, score: np.ndarray, level: float = 0.95) -> dict[str, Any]:
    """Return the ROC AUC with its interval: {value, low, high, se, method}.

    The interval is symmetric on the logit scale (Pepe 2003, ch. 5). A perfect or perfectly wrong
    ranking has variance 0, so that DeLong has no interval. Its far end is then the Clopper-Pearson
    bound for min(positives, negatives) trials without a failure, which is conservative.
    """
    aucs, covariance = auc_components(y, [score])
    auc, se = float(aucs[0]), math.sqrt(max(float(covariance[0, 0]), 0.0))
    z = float(ndtri(0.5 + level / 2))
    few = min(int(np.sum(y == 1)), int(np.sum(y == 0)))
    bound = ((1 - level) / 2) ** (1 / few)
    method = "Clopper-Pearson (no variance)"
    if auc == 1:
        low, high = bound, 1.0
    elif auc == 0:
        low, high = 0.0, 1 - bound
    elif se > 0:
        logit = math.log(auc / (1 - auc))
        width = z * se / (auc * (1 - auc))
        low, high = expit([logit - width, logit + width]).tolist()
        method = "DeLong, logit scale"
    else:
        low, high = auc, auc
        method = "none (constant scores)"
    return {"value": auc, "low": low, "high": high, "se": se, "method": method}


def spread(scores: Sequence[float], y: np.ndarray, score: np.ndarray) -> float:
    """Return the standard deviation of ROC AUCs over folds.

    Of a single fold, with labels `y` and scores `score`, it is DeLong's standard error, which
    is what that deviation would be by chance alone; 0 where the fold has too few rows for one.
    """
    if len(scores) > 1:
        return float(np.std(scores, ddof=1))
    try:
        _, covariance = auc_components(y, [score])
    except ValueError:
        return 0.0
    return math.sqrt(max(float(covariance[0, 0]), 0.0))


def paired_test(
    y: np.ndarray, a: np.ndarray, b: np.ndarray, folds: np.ndarray | None = None
) -> dict[str, float]:
    """Return the two-sided DeLong test of two scores: {difference, se, p_value}.

    The difference is the mean over folds of AUC(a) - AUC(b) on the same rows.

    `folds` has the fold of each row, shape (rows,). AUCs are compared fold by fold, because scores
    of different fold models share no scale. The variances of the disjoint folds add up. Fold models
    share training rows. The test ignores this, so that p is somewhat too small (Bengio & Grandvalet
    2004). Folds with fewer than two rows of a class have no variance and are left out. If none is
    left, p is 1.
    """
    folds = np.zeros(len(y), dtype=int) if folds is None else folds
    differences, variances = [], []
    for fold in np.unique(folds):
        rows = folds == fold
        if min(np.sum(y[rows] == 1), np.sum(y[rows] == 0)) < 2:
            continue
        aucs, cov = auc_components(y[rows], [a[rows], b[rows]])
        differences.append(aucs[0] - aucs[1])
        variances.append(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    if not differences:
        return {"difference": 0.0, "se": 0.0, "p_value": 1.0}
    difference = float(np.mean(differences))
    se = math.sqrt(max(sum(variances), 0.0)) / len(variances)
    if se > 1e-12:
        p_value = float(2 * ndtr(-abs(difference) / se))
    else:
        p_value = float(abs(difference) < 1e-12)
    return {"difference": difference, "se": se, "p_value": p_value}


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's (1979) adjusted p values, in the given order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    tests_left = np.arange(len(order), 0, -1)
    corrected = np.minimum(1.0, np.take(p_values, order) * tests_left)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(corrected)
    return adjusted.tolist()
