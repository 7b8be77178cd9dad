"""Metric: the figure by which settings, algorithms and blend weights are chosen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from fivefold.core import scope
from fivefold.core.log_loss import log_losses
from fivefold.core.roc_auc import paired_test, roc_auc
from fivefold.data.splits import subsample

FLOOR = 1e-6  # of a probability in its log-loss: one wrong row is not worth all others
RESAMPLES, MOST_RESAMPLED = 200, 4000  # bootstrap samples, and rows of a fold that they draw from


@dataclass(frozen=True)
class Metric:
    """One figure of labels (0/1) and probabilities, shape (rows,).

    Parameters
    ----------
    name, title : in the scope, and for people
    value : the figure as people know it
    higher_is_better : whether a larger value is better
    """

    name: str
    title: str
    value: Callable[[np.ndarray, np.ndarray], float]
    higher_is_better: bool = True

    def score(self, y: np.ndarray, p: np.ndarray) -> float:
        """Return the value, negated where lower is better: a higher score is always better."""
        value = self.value(y, p)
        return value if self.higher_is_better else -value

    def shown(self, score: float) -> float:
        """Return a score as the value that people know."""
        return score if self.higher_is_better else -score

    def compare(
        self, y: np.ndarray, a: np.ndarray, b: np.ndarray, folds: np.ndarray
    ) -> dict[str, float]:
        """Return a two-sided paired test of the scores of `a` and `b`: {difference, se, p_value}.

        The difference is the mean over folds. ROC AUC: DeLong's test. Log-loss: a z test of the
        differences of the rows' losses. PR AUC: the bootstrap over the rows of each class, the same
        rows for both, in each fold.

        References
        ----------
        Diebold and Mariano 1995, "Comparing predictive accuracy". Efron and Tibshirani 1993, "An
        introduction to the bootstrap", chapter 8. Boyd, Eng and Page 2013, "Area under the
        precision-recall curve: point estimates and confidence intervals".
        """
        if self.name == scope.ROC_AUC:
            return paired_test(y, a, b, folds)
        error_of = _loss_error if self.name == scope.LOG_LOSS else _resampled_error
        differences, variances = [], []
        for fold in np.unique(folds):
            rows = folds == fold
            if min(np.sum(y[rows] == 1), np.sum(y[rows] == 0)) < 2:
                continue
            differences.append(self.score(y[rows], a[rows]) - self.score(y[rows], b[rows]))
            variances.append(error_of(y[rows], a[rows], b[rows]) ** 2)
        if not differences:
            return {"difference": 0.0, "se": 0.0, "p_value": 1.0}
        difference = float(np.mean(differences))
        se = math.sqrt(sum(variances)) / len(variances)
        p_value = float(abs(difference) < 1e-12)
        if se > 1e-12:
            p_value = float(2 * ndtr(-abs(difference) / se))
        return {"difference": difference, "se": se, "p_value": p_value}


def average_precision(y: np.ndarray, p: np.ndarray) -> float:
    """Return the area under the precision-recall curve by steps, NaN without a positive row.

    >>> average_precision(np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])).__round__(4)
    0.8333
    """
    if not (y == 1).any():
        return math.nan
    order = np.argsort(-p, kind="stable")
    hits = np.cumsum(y[order] == 1)
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of equal scores
    precision = hits[last] / (last + 1)
    area: np.ndarray = np.diff(hits[last], prepend=0) @ precision / hits[-1]
    return float(area)


def _losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return log_losses(y, np.asarray(p, dtype="float64"), FLOOR)


def _mean_loss(y: np.ndarray, p: np.ndarray) -> float:
    return float(_losses(y, p).mean())


def _loss_error(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    differences = _losses(y, a) - _losses(y, b)
    return float(differences.std(ddof=1)) / math.sqrt(len(y))


def _resampled_error(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Return the standard error of the difference of average precisions."""
    rows = subsample(np.arange(len(y)), y, MOST_RESAMPLED, 0)
    smaller = len(rows) / len(y)
    y, a, b = y[rows], a[rows], b[rows]
    classes = [np.flatnonzero(y == label) for label in (0, 1)]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(RESAMPLES):
        sample = np.concatenate([rng.choice(members, len(members)) for members in classes])
        labels = y[sample]
        drawn.append(average_precision(labels, a[sample]) - average_precision(labels, b[sample]))
    return float(np.std(drawn, ddof=1)) * math.sqrt(smaller)


ROC_AUC = Metric(scope.ROC_AUC, "ROC AUC", roc_auc)
METRICS = {
    metric.name: metric
    for metric in (
        ROC_AUC,
        Metric(scope.PR_AUC, "PR AUC", average_precision),
        Metric(scope.LOG_LOSS, "log-loss", _mean_loss, higher_is_better=False),
    )
}
