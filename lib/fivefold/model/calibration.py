"""Calibration: scores made probabilities by three numbers, and the threshold that the costs ask for."""

from __future__ import annotations

from typing import Any

import numpy as np

from fivefold.core.scores import log_loss

_EDGE = 1e-6
_BELOW_1 = float(np.nextafter(1, 0))
IDENTITY: dict[str, Any] = {"method": "none", "a": 1.0, "b": 1.0, "c": 0.0}


def calibrate(calibration: dict[str, Any], p: np.ndarray) -> np.ndarray:
    """Calibrated probabilities, shape as `p`, below 1. Increasing, so that rankings and ROC AUC stay.

    >>> calibrate(IDENTITY, np.array([0.25])).round(6).tolist()
    [0.25]
    """
    p = np.clip(np.asarray(p, dtype="float64"), _EDGE, 1 - _EDGE)
    logit = calibration["a"] * np.log(p) - calibration["b"] * np.log1p(-p) + calibration["c"]
    return np.minimum(1 / (1 + np.exp(-logit)), _BELOW_1)  # so that the threshold 1 flags nobody


def fit_calibration(y: np.ndarray, p: np.ndarray, folds: np.ndarray) -> dict[str, Any]:
    """Beta calibration (Kull, Silva Filho & Flach 2017, EJS 11, 5052-5080) learnt from out-of-fold scores.

    logit q = a ln p - b ln(1 - p) + c with a, b > 0. It is kept only if it lowers log-loss where it was not fitted
    (each fold judged by the parameters of the other folds); else the scores are taken as they are. As in
    scikit-learn's CalibratedClassifierCV(ensemble=False), it is then applied to the model refitted on all rows.
    """
    crossed = cross_calibrate(y, p, folds)
    before, after = log_loss(y, calibrate(IDENTITY, p)), log_loss(y, crossed)
    chosen = _fit(y, p) if after < before else dict(IDENTITY)
    return {**chosen, "log_loss_before": before, "log_loss_after": min(before, after)}


def cross_calibrate(y: np.ndarray, p: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Each fold's scores calibrated by parameters from the other folds."""
    q = np.empty(len(p))
    for fold in np.unique(folds):
        here = folds == fold
        q[here] = calibrate(_fit(y[~here], p[~here]), p[here])
    return q


def judged_scores(
    labels: np.ndarray, oof: np.ndarray, fold_ids: np.ndarray, calibration: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """(y, calibrated out-of-fold probabilities) of the training rows, shape (rows,), as the finalist saw them."""
    rows, folds = judged_rows(oof, fold_ids)
    y, p = labels[rows], oof[rows]
    return y, cross_calibrate(y, p, folds) if calibration["method"] != "none" else calibrate(
        calibration, p
    )


def judged_rows(oof: np.ndarray, fold_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions of the rows in folds that a model has scored, the fold of each).

    A split by time, and large tables, leave rows that no model has scored (NaN). Where all scored rows are of one
    fold, as after a final fit that stopped by it, they are dealt out in three, so that calibration can be judged.
    """
    rows = np.flatnonzero((fold_ids >= 0) & ~np.isnan(oof))
    folds = fold_ids[rows]
    return rows, np.arange(len(rows)) % 3 if len(folds) and (folds == folds[0]).all() else folds


def choose_threshold(
    y: np.ndarray,
    q: np.ndarray,
    cost_miss: float,
    cost_false_alarm: float,
    capacity: float | None = None,
) -> dict[str, Any]:
    """{value, cost, flagged, theory, why}: act where the probability is at least `value`.

    The cheapest cut on these (out-of-fold) rows: miss x missed positives + false alarm x false alarms; of equal
    ones the highest. With `capacity` at most that share of rows is flagged. `cost` is per row; `theory` is
    false alarm / (false alarm + miss), the best cut for perfectly calibrated probabilities (Elkan 2001).
    """
    order = np.argsort(-q, kind="stable")
    ranked, found = q[order], np.cumsum(y[order] == 1)
    last = np.append(
        np.flatnonzero(np.diff(ranked)), len(ranked) - 1
    )  # cut after the last of equal scores
    flagged, caught = np.append(0, last + 1), np.append(0, found[last])
    cost = (cost_miss * (found[-1] - caught) + cost_false_alarm * (flagged - caught)) / len(y)
    allowed = flagged <= (
        len(y) if capacity is None else capacity * len(y) + 1e-9
    )  # 0.29 x 100 is below 29
    best = int(np.flatnonzero(allowed)[np.argmin(cost[allowed])])
    next_lower = ranked[flagged[best]] if flagged[best] < len(ranked) else 0.0
    lowest = ranked[flagged[best] - 1]
    middle = (lowest + next_lower) / 2
    value = (
        1.0 if best == 0 else float(middle if middle > next_lower else lowest)
    )  # neighbours have no middle
    total = cost_miss + cost_false_alarm
    theory = cost_false_alarm / total if total else 0.5
    why = f"cheapest on out-of-fold rows when a miss costs {cost_miss:g} and a false alarm {cost_false_alarm:g}"
    why += "" if capacity is None else f" and at most {capacity:.0%} can be acted upon"
    return {
        "value": value,
        "cost": float(cost[best]),
        "flagged": float(flagged[best] / len(y)),
        "theory": theory,
        "why": why,
    }


def _fit(y: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    from scipy.optimize import minimize

    p = np.clip(np.asarray(p, dtype="float64"), _EDGE, 1 - _EDGE)
    x = np.column_stack([np.log(p), -np.log1p(-p), np.ones(len(p))])
    sign = np.where(y == 1, 1.0, -1.0)

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (x @ w)
        return float(np.logaddexp(0, -margin).mean()), -(
            x * (sign / (1 + np.exp(margin)))[:, None]
        ).mean(axis=0)

    with np.errstate(over="ignore"):
        bounds = [(1e-3, 100), (1e-3, 100), (-50, 50)]
        result = minimize(loss, [1.0, 1.0, 0.0], jac=True, bounds=bounds, method="L-BFGS-B")
    a, b, c = (float(v) for v in result.x)
    return {"method": "beta", "a": a, "b": b, "c": c}
