"""Estimate: what the model is worth on a window, before its labels come (from its probabilities) and after.

Before: confidence-based performance estimation. A calibrated probability says how often its row is a positive, so
every figure that counts positives has a known expectation (Guillory et al. 2021, ICCV, 1134-1144, for accuracy;
Kivimäki, Białek, Kuberski & Nurminen 2025, arXiv:2505.05295, for the confusion matrix; NannyML's CBPE). It follows a
change of the inputs, and is blind to a change of what they mean: `ASSUMPTION` goes with every estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding
from fivefold.core.intervals import share
from fivefold.core.roc_auc import auc_interval
from fivefold.model.threshold import Threshold, confusion

MIN_ROWS = 200  # of a window, below which nothing is estimated
MIN_CLASS = 30  # labelled rows of each class, below which nothing is judged
ALPHA_AUC, FALL = 0.01, 0.01  # a fall that is told: its one-sided p, and its least size
ALPHA_CALIBRATION, GAP = (
    0.001,
    0.02,
)  # a gap of observed and expected rate that is told: two-sided p, least size
ASSUMPTION = (
    "The probabilities are calibrated and the chance of a positive given the inputs has not changed: "
    "concept drift is invisible to this estimate; only labels show it"
)
_Z = float(ndtri(0.975))


def estimated_auc(q: np.ndarray) -> float | None:
    """The ROC AUC to expect of probabilities `q`, shape (rows,), whose labels are drawn by them; O(n log n).

    It is the ratio of two expectations over the pairs of different rows: sum of q_i (1 - q_j) where q_i > q_j (half
    where equal) by the sum of all q_i (1 - q_j). The expectation of the ratio differs by O(1/n). None where no pair
    of a positive and a negative can occur; ValueError unless all `q` are from 0 to 1.

    >>> round(estimated_auc(np.array([0.2, 0.8])), 4)  # .64 / (.64 + .04)
    0.9412
    """
    q = _probabilities(q)
    return _auc(*_weights(q), own=float(q @ (1 - q)))


def estimate(
    q: np.ndarray,
    threshold: float,
    cost_miss: float,
    cost_false_alarm: float,
    seed: int,
    draws: int = 200,
) -> dict[str, Any]:
    """What to expect of a window with calibrated probabilities `q`, shape (rows,), and no labels; JSON-ready.

    Keys: rows, judged (at least `MIN_ROWS`), auc {value, low, high, se} or None, positive_rate, flagged (share),
    precision, recall, brier, cost_per_1000 (in the unit of the costs), assumption. The expectations are exact, of
    precision and recall ratios of expectations; None where nothing is counted. The 95% interval and `se` of the AUC
    are of the AUC that a window such as this would show: percentiles over `draws` of rows and of their labels.
    """
    q = _probabilities(q)
    acted, rows = Threshold(threshold).is_positive(q), len(q)
    caught, positives = float(q[acted].sum()), float(q.sum())
    cost = cost_miss * (positives - caught) + cost_false_alarm * float((1 - q[acted]).sum())
    judged = rows >= MIN_ROWS
    return {
        "rows": rows,
        "judged": judged,
        "auc": _estimated_interval(q, seed, draws) if judged else None,
        "positive_rate": _ratio(positives, rows),
        "flagged": _ratio(int(acted.sum()), rows),
        "precision": _ratio(caught, int(acted.sum())),
        "recall": _ratio(caught, positives),
        "brier": _ratio(float(q @ (1 - q)), rows),
        "cost_per_1000": _ratio(1000 * cost, rows),
        "assumption": ASSUMPTION,
    }


def realised(
    y: np.ndarray, q: np.ndarray, threshold: float, cost_miss: float, cost_false_alarm: float
) -> dict[str, Any]:
    """What the labelled rows of a window show: `y` 0/1 and probabilities `q`, shape (rows,), else ValueError.

    Keys: rows, positives, judged (at least `MIN_CLASS` of each class), auc {value, low, high, se, method} or None
    where not judged, positive_rate {value, low, high} (Wilson), expected_positive_rate (mean of q), calibration_z
    and calibration_p, brier, brier_expected (mean of q (1 - q)), flagged, precision, recall, cost_per_1000.
    Calibration in the large: (positives - sum q) / sqrt(sum q (1 - q)), normal while the labels follow q (the score
    test of the intercept in Cox's (1958) recalibration), two-sided. None unless `MIN_CLASS` of each class are
    seen or expected: a window without a single positive, where many are expected, is told too.
    """
    y, q = np.asarray(y, dtype="float64"), _probabilities(q)
    if y.shape != q.shape or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"expected a label 0 or 1 for each probability, found {y.shape} labels for {q.shape}"
        )
    rows, found = len(y), confusion(y, Threshold(threshold).is_positive(q))
    positives, caught = found.positives, found.tp
    acted, expected, spread = found.flagged, float(q.sum()), float(q @ (1 - q))
    judged = min(positives, rows - positives) >= MIN_CLASS
    told = (judged or min(expected, rows - expected) >= MIN_CLASS) and spread > 0
    z = (positives - expected) / math.sqrt(spread) if told else None
    cost = cost_miss * found.fn + cost_false_alarm * found.fp
    return {
        "rows": rows,
        "positives": positives,
        "judged": judged,
        "auc": auc_interval(y, q) if judged else None,
        "positive_rate": share(positives, rows).to_dict(),
        "expected_positive_rate": _ratio(expected, rows),
        "calibration_z": z,
        "calibration_p": None if z is None else float(2 * ndtr(-abs(z))),
        "brier": _ratio(float(((y - q) ** 2).sum()), rows),
        "brier_expected": _ratio(spread, rows),
        "flagged": _ratio(acted, rows),
        "precision": _ratio(caught, acted),
        "recall": _ratio(caught, positives),
        "cost_per_1000": _ratio(1000 * cost, rows),
    }


def performance_findings(
    estimated: Mapping[str, Any],
    realised: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    expected: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """`performance-estimated`, `performance-realised` and `calibration-realised`: one finding each.

    `baseline`: the model's held-out ROC AUC {value, se or low and high (95%)}. A fall is a warning where it is at least
    `FALL` and the one-sided z test of the window's AUC against it (independent rows, so the variances add; Hanley
    & McNeil 1982, Radiology 143, 29-36) has p < `ALPHA_AUC`; a calibration gap at `ALPHA_CALIBRATION` and `GAP`.
    `expected`: the estimate for the held-out scores, which the window's estimate is compared with where it is given: a
    model that never was quite calibrated misses its realised AUC by a constant.
    """
    few_labels = (
        f"{realised['positives']} positives in {realised['rows']} labelled rows: too few to judge"
    )
    enough = f"at least {MIN_CLASS} labelled rows of each class"
    return [
        _judge_fall(
            "performance-estimated",
            estimated["auc"],
            expected or baseline,
            "estimated without labels",
            f"{estimated['rows']} rows: too few, or one class only to expect",
            f"at least {MIN_ROWS} rows",
            "see which inputs drifted, and get labels of recent rows to confirm it",
        ),
        _judge_fall(
            "performance-realised",
            realised["auc"],
            baseline,
            "of labelled rows",
            few_labels,
            enough,
            "check the inputs that drifted and where the labels come from; if both are right, retrain",
        ),
        _judge_calibration(realised, few_labels, enough),
    ]


def _judge_fall(
    code: str,
    auc: Mapping[str, Any] | None,
    baseline: Mapping[str, Any] | None,
    how: str,
    few: str,
    enough: str,
    action: str,
) -> Finding:
    if auc is None:
        return Finding(
            code=code,
            severity=NOT_APPLICABLE,
            subject="model",
            found=few,
            expected=enough,
            action="wait for more rows",
        )
    told = f"ROC AUC {auc['value']:.3f} {how}, 95% interval {auc['low']:.3f} to {auc['high']:.3f}"
    error = None if baseline is None else _error(baseline)
    if baseline is None or error is None:
        return Finding(
            code=code,
            severity=NOT_APPLICABLE,
            subject="model",
            found=told,
            expected="a held-out ROC AUC with its error to compare with",
            action="evaluate the model on held-out rows",
        )
    fall, se = baseline["value"] - auc["value"], math.hypot(error, _error(auc) or 0.0)
    p = float(ndtr(-fall / se)) if se > 0 else float(fall <= 0)
    least = baseline["value"] - max(FALL, float(-ndtri(ALPHA_AUC)) * se)
    expected = (
        f"at least {least:.3f}: the held-out {baseline['value']:.3f} less what is small or chance"
    )
    if p < ALPHA_AUC and fall >= FALL:
        return Finding(
            code=code,
            severity=WARNING,
            subject="model",
            found=f"{told}; a fall of {fall:.3f}, p {p:.1g}",
            expected=expected,
            action=action,
        )
    return Finding(code=code, severity=PASSED, subject="model", found=told, expected=expected)


def _judge_calibration(realised: Mapping[str, Any], few: str, enough: str) -> Finding:
    code, p = "calibration-realised", realised["calibration_p"]
    if p is None:
        return Finding(
            code=code,
            severity=NOT_APPLICABLE,
            subject="model",
            found=few,
            expected=enough,
            action="wait for more labels",
        )
    observed, expected = realised["positive_rate"]["value"], realised["expected_positive_rate"]
    told, wanted = f"{observed:.1%} positives, p {p:.1g}", f"{expected:.1%}, the mean probability"
    if p < ALPHA_CALIBRATION and abs(observed - expected) >= GAP:
        return Finding(
            code=code,
            severity=WARNING,
            subject="model",
            found=told,
            expected=wanted,
            action="retrain, or calibrate anew, on recent labelled rows; until then thresholds miss their costs",
        )
    return Finding(code=code, severity=PASSED, subject="model", found=told, expected=wanted)


def _estimated_interval(q: np.ndarray, seed: int, draws: int) -> dict[str, float] | None:
    """{value, low, high, se}; None where most draws have one class only.

    Rows are drawn by the Poisson bootstrap (Hanley & MacGibbon 2006), with their labels at once: a row that comes up
    Poisson(1) times is a positive Poisson(q) and, independently, a negative Poisson(1 - q) times.
    """
    value, rng = estimated_auc(q), np.random.default_rng(seed)
    positive, negative = _weights(q)
    drawn = [_auc(rng.poisson(positive) + 0.0, rng.poisson(negative) + 0.0) for _ in range(draws)]
    known = [auc for auc in drawn if auc is not None]
    if value is None or len(known) <= draws / 2:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return {
        "value": value,
        "low": float(low),
        "high": float(high),
        "se": float(np.std(known, ddof=1)),
    }


def _weights(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected (positives, negatives) at each distinct probability, ascending."""
    _, places = np.unique(q, return_inverse=True)
    return np.bincount(places, weights=q), np.bincount(places, weights=1 - q)


def _auc(positive: np.ndarray, negative: np.ndarray, own: float = 0.0) -> float | None:
    """ROC AUC of weights per score, scores ascending; `own` is the weight of rows paired with themselves, left out."""
    pairs = float(positive.sum() * negative.sum()) - own
    above = float(positive @ (np.cumsum(negative) - negative / 2)) - own / 2
    return min(1.0, max(0.0, above / pairs)) if pairs > 0 else None


def _error(auc: Mapping[str, Any]) -> float | None:
    """Standard error of an AUC. A perfect ranking has an estimated one of 0: then, and without one, the interval's."""
    if auc.get("se"):
        return float(auc["se"])
    return (
        None
        if auc.get("low") is None or auc.get("high") is None
        else (auc["high"] - auc["low"]) / (2 * _Z)
    )


def _probabilities(q: np.ndarray) -> np.ndarray:
    q = np.asarray(q, dtype="float64")
    if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
        raise ValueError(
            "expected a list of probabilities from 0 to 1, found others or missing ones"
        )
    return q


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
