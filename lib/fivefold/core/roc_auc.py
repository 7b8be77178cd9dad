"""ROC AUC with its sampling error, for one model and for the difference of two on the same rows.

References: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, 837-845, and the rank formula of
Sun & Xu (2014), IEEE Signal Processing Letters 21, 1389-1393, in O(n log n). Ties count half.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

# scipy.stats takes half a second to import, in every step.
from scipy.special import expit, ndtr, ndtri, stdtrit

FEW = 200  # rows of the rarer class below which an interval is the wider of two
JUDGED = 5  # rows of each class below which a ROC AUC cannot be judged
_Z = float(ndtri(0.975))


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
    v10, v01 = _placements(y, scores)
    m, n = v10.shape[1], v01.shape[1]
    covariance = np.atleast_2d(np.cov(v10)) / m + np.atleast_2d(np.cov(v01)) / n
    return v10.mean(axis=1), covariance


def _placements(y: np.ndarray, scores: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return, of each positive and of each negative, the share of the other class it is right of.

    Shapes (k, positives) and (k, negatives); DeLong's V10 and V01.
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
    return np.array(by_positive), np.array(by_negative)


def auc_interval(y: np.ndarray, score: np.ndarray) -> dict[str, Any]:
    """Return the ROC AUC with its 95% interval: {value, low, high, se, method, judged}.

    The interval is DeLong's, symmetric on the logit scale (Pepe 2003, ch. 5), with the t quantile
    of Welch and Satterthwaite's degrees of freedom, as its variance is a sum of two estimates. With
    few rows that estimate is often far too small. With fewer than `FEW` rows of the rarer class the
    interval therefore reaches to the ends of Newcombe's method 5 too, whose variance is a model's.
    The two fail for different shapes of scores; together they cover about .95 or more in all worlds
    of `tests/bench/auc_intervals.py`, from two positives on.

    A perfect or perfectly wrong ranking has variance 0, so that DeLong has no interval. Its far end
    is then the Clopper-Pearson bound for min(positives, negatives) trials without a failure, which
    is conservative. `judged` is False below `JUDGED` rows of a class: then the interval is right
    but nobody should decide by it.
    """
    of_positives, of_negatives = _placements(y, [score])
    parts = [values.var(ddof=1) / values.size for values in (of_positives, of_negatives)]
    return interval_of(float(of_positives.mean()), parts, of_positives.size, of_negatives.size)


def interval_of(
    auc: float, parts: Sequence[float], positives: float, negatives: float
) -> dict[str, Any]:
    """Return as `auc_interval` does, from the two parts of the variance and the rows of each class.

    Of weighted rows these are effective numbers.
    """
    se = math.sqrt(sum(parts))
    few = min(positives, negatives)
    bound = 0.025 ** (1 / few)
    method = "Clopper-Pearson (no variance)"
    if auc == 1:
        low, high = bound, 1.0
    elif auc == 0:
        low, high = 0.0, 1 - bound
    elif se > 0:
        logit = math.log(auc / (1 - auc))
        spread_of_variance = parts[0] ** 2 / (positives - 1) + parts[1] ** 2 / (negatives - 1)
        freedom = sum(parts) ** 2 / spread_of_variance
        width = float(stdtrit(freedom, 0.975)) * se / (auc * (1 - auc))
        low, high = expit([logit - width, logit + width]).tolist()
        method = "DeLong, logit scale"
        if few < FEW:
            other_low, other_high = newcombe_interval(auc, positives, negatives)
            low, high = min(low, other_low), max(high, other_high)
            method = "DeLong and Newcombe, the wider"
    else:
        low, high = auc, auc
        method = "none (constant scores)"
    judged = few >= JUDGED
    interval = {"value": auc, "low": low, "high": high, "se": se, "method": method}
    return {**interval, "judged": judged}


def newcombe_interval(auc: float, positives: float, negatives: float) -> tuple[float, float]:
    """Return Newcombe's 95% interval of a ROC AUC, his method 5.

    Its ends are the AUCs from which the observed one is 1.96 standard errors away, by the variance
    of Hanley and McNeil (1982, Radiology 143, 29-36) for exponential scores, with both numbers of
    rows in its last terms replaced by their mean.

    References
    ----------
    Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic", part 2, Statistics in Medicine 25, 559-573.

    >>> tuple(round(end, 3) for end in newcombe_interval(0.8, 20, 180))
    (0.677, 0.881)
    """
    from scipy.optimize import brentq

    mean = (positives + negatives) / 2 - 1

    def distance(area: float) -> float:
        factor = 1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area)
        return _Z * math.sqrt(area * (1 - area) * factor / (positives * negatives))

    tiny = 1e-12
    low, high = 0.0, 1.0
    if auc - tiny > distance(tiny):
        low = float(brentq(lambda area: auc - area - distance(area), tiny, min(auc, 1 - tiny)))
    if 1 - tiny - auc > distance(1 - tiny):
        high = float(brentq(lambda area: area - auc - distance(area), max(auc, tiny), 1 - tiny))
    return low, high


def too_few_to_judge(auc: Mapping[str, Any]) -> bool:
    """Whether an interval of `auc_interval` rests on too few rows; older ones do not say."""
    return not auc.get("judged", True)


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
