"""Calibration: scores become probabilities by three parameters."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from fivefold.core.log_loss import log_loss
from fivefold.core.stored import Stored

_EDGE = 1e-6
_BELOW_1 = float(np.nextafter(1, 0))
# What is kept where fitted parameters do not help.
NONE, BETA = "none", "beta"


@dataclass(frozen=True)
class Calibration(Stored):
    """Beta calibration: logit q = a ln p - b ln(1 - p) + c.

    `log_loss_before` and `log_loss_after` are means over out-of-fold rows in nats.

    References
    ----------
    Kull, Silva Filho and Flach 2017, "Beyond sigmoids", Electronic Journal of Statistics 11,
    5052-5080.
    """

    leaves_out_none: ClassVar[bool] = True
    method: str = BETA
    a: float = 1.0
    b: float = 1.0
    c: float = 0.0
    log_loss_before: float | None = None
    log_loss_after: float | None = None

    def apply(self, p: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities below 1, in the shape of `p`.

        The map increases, so that rankings and ROC AUC stay.

        >>> IDENTITY.apply(np.array([0.25])).round(6).tolist()
        [0.25]
        """
        p = np.clip(np.asarray(p, dtype="float64"), _EDGE, 1 - _EDGE)
        logit = self.a * np.log(p) - self.b * np.log1p(-p) + self.c
        q: np.ndarray = np.minimum(1 / (1 + np.exp(-logit)), _BELOW_1)
        return q  # below 1, so that the threshold 1 flags nobody


IDENTITY = Calibration(NONE)


def fit_calibration(y: np.ndarray, p: np.ndarray, folds: np.ndarray) -> Calibration:
    """Fit beta calibration with a, b > 0 to out-of-fold scores, or keep the scores as they are.

    The fit is kept only if it lowers the log-loss of rows it was not fitted on: each fold is
    calibrated by the parameters of the other folds. As in scikit-learn's
    `CalibratedClassifierCV(ensemble=False)` it is then applied to the model fitted on all rows.

    Parameters
    ----------
    y, p, folds
        Labels 0/1, out-of-fold scores and fold numbers, each of shape (rows,).
    """
    before = log_loss(y, IDENTITY.apply(p))
    after = log_loss(y, cross_calibrate(y, p, folds))
    chosen = _fit(y, p) if after < before else IDENTITY
    return replace(chosen, log_loss_before=before, log_loss_after=min(before, after))


def cross_calibrate(y: np.ndarray, p: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Calibrate each fold's scores by parameters from the other folds, shape (rows,)."""
    q = np.empty(len(p))
    for fold in np.unique(folds):
        here = folds == fold
        q[here] = _fit(y[~here], p[~here]).apply(p[here])
    return q


def calibrated_oof(
    labels: np.ndarray, oof: np.ndarray, fold_ids: np.ndarray, calibration: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Return (labels, calibrated out-of-fold probabilities) of the scored rows, shape (rows,).

    These are the probabilities on which the threshold was chosen.
    """
    rows, folds = scored_rows(oof, fold_ids)
    y, p = labels[rows], oof[rows]
    fitted = calibration.method != NONE
    return y, cross_calibrate(y, p, folds) if fitted else calibration.apply(p)


def scored_rows(oof: np.ndarray, fold_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (positions of the rows in folds that have a score, the fold of each).

    Splits by time and large tables leave rows without a score (NaN). After an early-stopped final
    fit all scored rows are of one fold; they are then divided into three, so that calibration can
    be evaluated.
    """
    rows = np.flatnonzero((fold_ids >= 0) & ~np.isnan(oof))
    folds = fold_ids[rows]
    if len(np.unique(folds)) == 1:
        folds = np.arange(len(rows)) % 3
    return rows, folds


def _fit(y: np.ndarray, p: np.ndarray) -> Calibration:
    from scipy.optimize import minimize

    p = np.clip(np.asarray(p, dtype="float64"), _EDGE, 1 - _EDGE)
    x = np.column_stack([np.log(p), -np.log1p(-p), np.ones(len(p))])
    sign = np.where(y == 1, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ weights)
        pull = sign / (1 + np.exp(margin))
        gradient = -(x * pull[:, None]).mean(axis=0)
        return float(np.logaddexp(0, -margin).mean()), gradient

    bounds = [(1e-3, 100), (1e-3, 100), (-50, 50)]
    with np.errstate(over="ignore"):
        result = minimize(loss, [1.0, 1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B")
    return Calibration(BETA, *result.x.tolist())
