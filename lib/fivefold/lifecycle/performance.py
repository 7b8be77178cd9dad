"""Performance of the model on a window: estimated before its labels come, realised after.

Before: confidence-based performance estimation. A calibrated probability says how often its row is
a positive, so every figure that counts positives has a known expectation (Guillory et al. 2021,
ICCV, 1134-1144, for accuracy; Kivimäki, Białek, Kuberski & Nurminen 2025, arXiv:2505.05295, for the
confusion matrix; NannyML's CBPE). It follows a change of the inputs, and cannot see a change of
what they mean: `ASSUMPTION` is shown with every estimate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtr, ndtri

from fivefold.core.findings import Finding, verdict
from fivefold.core.intervals import UNKNOWN, Estimate, share, wilson
from fivefold.core.roc_auc import auc_interval, interval_of
from fivefold.core.stored import Stored
from fivefold.model.label_sample import LabelSample, effective_size
from fivefold.model.threshold import Costs, Threshold

MIN_ROWS = 200  # of a window, to estimate its AUC
MIN_CLASS = 30  # labelled rows of each class, to compare
ALPHA_AUC, FALL = 0.01, 0.01  # a fall that is a warning: its one-sided p, and its least size
ALPHA_CALIBRATION, GAP = 0.001, 0.02  # of observed and expected rate: two-sided p, least size
ASSUMPTION = (
    "The probabilities are calibrated and "
    "the chance of a positive given the inputs has not changed: "
    "concept drift is invisible to this estimate; only labels show it"
)
_Z = float(ndtri(0.975))
Auc = Mapping[str, Any]  # {value, low, high, se}: a ROC AUC with its 95% interval


@dataclass(frozen=True, kw_only=True)
class Performance(Stored):
    """Figures that are known with and without labels; None if nothing is counted.

    `flagged` is the share of rows at or above the threshold, `cost_per_1000` is in the unit of the
    costs.
    """

    stored_as: ClassVar[Mapping[str, str]] = {"enough_rows": "judged"}

    rows: int
    enough_rows: bool = False
    auc: Auc | None = None
    flagged: float | None = None
    precision: float | None = None
    recall: float | None = None
    brier: float | None = None
    cost_per_1000: float | None = None


@dataclass(frozen=True, kw_only=True)
class EstimatedPerformance(Performance):
    """What to expect of a window without labels.

    `enough_rows` tells whether there are `MIN_ROWS`.
    """

    positive_rate: float | None = None
    assumption: str = ASSUMPTION


@dataclass(frozen=True, kw_only=True)
class RealisedPerformance(Performance):
    """What the labelled rows of a window show.

    Parameters
    ----------
    enough_rows
        Whether there are `MIN_CLASS` labelled rows of each class; of weighted rows their effective
        number counts.
    positive_rate
        The observed rate, with Wilson's interval.
    expected_positive_rate
        The mean probability.
    calibration_z, calibration_p
        Calibration in the large: (positives - sum q) / sqrt(sum q (1 - q)), normal while the
        labels follow q (the score test of the intercept in Cox's (1958) recalibration), two-sided.
        None unless `MIN_CLASS` of each class are observed or expected: a window without a single
        positive, in which many are expected, counts too.
    brier_expected
        Mean of q (1 - q).
    """

    positives: int = 0
    positive_rate: Estimate = UNKNOWN
    expected_positive_rate: float | None = None
    calibration_z: float | None = None
    calibration_p: float | None = None
    brier_expected: float | None = None


def estimated_auc(q: np.ndarray) -> float | None:
    """Return the ROC AUC to expect of probabilities whose labels are drawn by them; O(n log n).

    It is the ratio of two expectations over the pairs of different rows: sum of q_i (1 - q_j) where
    q_i > q_j (half where equal), divided by the sum of all q_i (1 - q_j). The expectation of the
    ratio differs by O(1/n). None if no pair of a positive and a negative can occur.

    Parameters
    ----------
    q : array of shape (rows,)
        Probabilities from 0 to 1, else ValueError.

    >>> round(estimated_auc(np.array([0.2, 0.8])), 4)  # .64 / (.64 + .04)
    0.9412
    """
    q = probabilities(q)
    return _auc(*_weights(q), own=float(q @ (1 - q)))


def estimate(
    q: np.ndarray, threshold: Threshold, costs: Costs, seed: int, draws: int = 200
) -> EstimatedPerformance:
    """Estimate the performance on a window without labels.

    The expectations are exact; of precision and recall they are ratios of expectations. The 95%
    interval and `se` of the AUC are of the AUC that a window like this would show: percentiles
    over `draws` of rows and of their labels.

    Parameters
    ----------
    q : array of shape (rows,)
        Calibrated probabilities.
    """
    q = probabilities(q)
    rows = len(q)
    enough_rows = rows >= MIN_ROWS
    return EstimatedPerformance(
        rows=rows,
        enough_rows=enough_rows,
        auc=_estimated_interval(q, seed, draws) if enough_rows else None,
        positive_rate=_ratio(float(q.sum()), rows),
        brier=_ratio(float(q @ (1 - q)), rows),
        **_figures_at_threshold(q, threshold.is_positive(q), costs),
    )


def realised(
    y: np.ndarray,
    q: np.ndarray,
    threshold: Threshold,
    costs: Costs,
    weights: np.ndarray | None = None,
) -> RealisedPerformance:
    """Return the performance on the labelled rows of a window.

    Parameters
    ----------
    y : array of shape (rows,)
        Labels, 0 or 1.
    q : array of shape (rows,)
        Calibrated probabilities.
    weights : array of shape (rows,)
        How many rows each row stands for (`fivefold.model.label_sample`); None: itself. That they
        were estimated is ignored, which makes intervals too wide (Lunceford & Davidian 2004).

    Raises
    ------
    ValueError
        For other labels, other probabilities, or arrays of different shapes.
    """
    y, q = np.asarray(y, dtype="float64"), probabilities(q)
    if y.shape != q.shape or not np.isin(y, (0, 1)).all():
        raise ValueError(
            f"expected a label 0 or 1 for each probability, found {y.shape} labels for {q.shape}"
        )
    w = np.ones(len(y)) if weights is None else weights
    total, hits, expected = float(w.sum()), float(w @ y), float(w @ q)
    effective = effective_size(w)
    enough_rows = min(effective_size(w[y == 1]), effective_size(w[y == 0])) >= MIN_CLASS
    z, spread = None, float(w**2 @ (q * (1 - q)))
    least_expected = effective * min(expected, total - expected) / total if total else 0.0
    if spread > 0 and (enough_rows or least_expected >= MIN_CLASS):
        z = (hits - expected) / math.sqrt(spread)
    auc, positive_rate = None, UNKNOWN
    if weights is None:
        auc = auc_interval(y, q) if enough_rows else None
        positive_rate = share(int(hits), len(y))
    elif total:
        auc = weighted_auc_interval(y, q, w) if enough_rows else None
        rate = hits / total
        positive_rate = Estimate(rate, *wilson(rate * effective, effective))
    return RealisedPerformance(
        rows=len(y),
        positives=int(y.sum()),
        enough_rows=enough_rows,
        auc=auc,
        positive_rate=positive_rate,
        expected_positive_rate=_ratio(expected, total),
        calibration_z=z,
        calibration_p=None if z is None else float(2 * ndtr(-abs(z))),
        brier=_ratio(float(w @ (y - q) ** 2), total),
        brier_expected=_ratio(float(w @ (q * (1 - q))), total),
        **_figures_at_threshold(y, threshold.is_positive(q), costs, w),
    )


def weighted_auc_interval(y: np.ndarray, q: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Return the ROC AUC of weighted rows with its interval, as `auc_interval`.

    DeLong's variance with weights: that of two weighted means of placements. Equal weights give
    DeLong's own. The rows of each class are effective numbers (Kish 1965).
    """
    positive = y == 1
    value, parts, sizes = 0.0, [], []
    for own, other, side in ((positive, ~positive, 1.0), (~positive, positive, -1.0)):
        levels, codes = np.unique(q[other], return_inverse=True)
        mass = np.bincount(codes, weights=weights[other])
        below = np.concatenate([[0.0], np.cumsum(mass)]) / mass.sum()
        left, right = np.searchsorted(levels, q[own]), np.searchsorted(levels, q[own], "right")
        placement = (below[left] + below[right]) / 2
        if side < 0:
            placement = 1 - placement
        w = weights[own] / weights[own].sum()
        value = float(w @ placement)
        size = 1 / float(w @ w)
        parts.append(float(w**2 @ (placement - value) ** 2) * size / (size - 1))
        sizes.append(size)
    return interval_of(value, parts, *sizes)


def performance_findings(
    estimated: EstimatedPerformance,
    realised: RealisedPerformance,
    baseline: Auc | None,
    expected: Auc | None = None,
    sample: LabelSample | None = None,
    looks: int = 1,
) -> list[Finding]:
    """Return `performance-estimated`, `performance-realised` and `calibration-realised`.

    A fall is a warning if it is at least `FALL` and the one-sided z test of the window's AUC
    against the baseline has p < `ALPHA_AUC`. The rows are independent, so the variances add
    (Hanley & McNeil 1982, Radiology 143, 29-36). A calibration gap is a warning at
    `ALPHA_CALIBRATION` and `GAP`.

    Parameters
    ----------
    baseline
        The model's held-out ROC AUC.
    expected
        The estimate for the held-out scores. If given, the window's estimate is compared with it:
        a model that never was quite calibrated misses its realised AUC by a constant.
    sample
        Whether the labels may be judged on; if not, its reason is the finding.
    looks
        How often the window is looked at before it ends: they share the error of one
        (Bonferroni), so that looking every day raises no more false alarms.
    """
    estimated_finding = _fall_finding(
        verdict(
            None,
            "performance-estimated",
            "model",
            found=f"{estimated.rows} rows: too few, or only one class is expected",
            expected=f"at least {MIN_ROWS} rows",
            action="wait for more rows",
        ),
        estimated.auc,
        expected or baseline,
        "estimated without labels",
        "see which inputs drifted, and get labels of recent rows to confirm it",
        looks,
    )
    few_labels = verdict(
        None,
        "performance-realised",
        "model",
        found=f"{realised.positives} positives in {realised.rows} labelled rows: too few",
        expected=f"at least {MIN_CLASS} labelled rows of each class",
        action="wait for more labels",
    )
    if sample is not None and not sample.judged:
        few_labels = replace(
            few_labels,
            found=f"cannot be judged: {sample.why}",
            expected="labels that may stand for all cases",
            action="see docs/runbook.md#performance-realised",
        )
    realised_finding = _fall_finding(
        few_labels,
        realised.auc,
        baseline,
        "of labelled rows",
        "check the inputs that drifted and where the labels come from; if both are right, retrain",
        looks,
    )
    calibration = _calibration_finding(realised, few_labels, looks)
    return [estimated_finding, realised_finding, calibration]


def latency_finding(
    code: str, subject: str, latency_ms: float | None, limit_ms: float | None
) -> Finding:
    """Compare the median latency of a row with the limit of the scope."""
    found = "no latency on record" if latency_ms is None else f"{latency_ms:.1f} ms a row"
    slow, expected, action = None, "a limit in the scope ([success] latency_ms)", ""
    if latency_ms is not None and limit_ms is not None:
        slow, expected = latency_ms > limit_ms, f"at most {limit_ms:g} ms"
        action = "see what else runs on the machine"
    return verdict(slow, code, subject, found=found, expected=expected, action=action)


def _fall_finding(
    too_few: Finding, auc: Auc | None, baseline: Auc | None, origin: str, action: str, looks: int
) -> Finding:
    """Compare an AUC with the baseline; `too_few` is the finding without an AUC."""
    if auc is None:
        return too_few
    found = (
        f"ROC AUC {auc['value']:.3f} {origin}, 95% interval {auc['low']:.3f} to {auc['high']:.3f}"
    )
    baseline = baseline or {}
    error = _error(baseline)
    if error is None:
        return replace(
            too_few,
            found=found,
            expected="a held-out ROC AUC with its error to compare with",
            action="evaluate the model on held-out rows",
        )
    fall, se = baseline["value"] - auc["value"], math.hypot(error, _error(auc) or 0.0)
    p = float(ndtr(-fall / se)) if se > 0 else float(fall <= 0)
    alpha = ALPHA_AUC / looks
    least = baseline["value"] - max(FALL, float(-ndtri(alpha)) * se)
    fell = p < alpha and fall >= FALL
    return verdict(
        fell,
        too_few.code,
        "model",
        found=f"{found}; a fall of {fall:.3f}, p {p:.1g}" if fell else found,
        expected=f"at least {least:.3f}: the held-out {baseline['value']:.3f} minus what is small "
        "or chance",
        action=action,
    )


def _calibration_finding(realised: RealisedPerformance, too_few: Finding, looks: int) -> Finding:
    code, p = "calibration-realised", realised.calibration_p
    observed, expected = realised.positive_rate.value, realised.expected_positive_rate
    if p is None or observed is None or expected is None:
        return replace(too_few, code=code)
    gap = p < ALPHA_CALIBRATION / looks and abs(observed - expected) >= GAP
    return verdict(
        gap,
        code,
        "model",
        found=f"{observed:.1%} positives, p {p:.1g}",
        expected=f"{expected:.1%}, the mean probability",
        action="retrain, or calibrate again, on recent labelled rows; "
        "until then thresholds miss their costs",
    )


def _estimated_interval(q: np.ndarray, seed: int, draws: int) -> dict[str, float] | None:
    """Return {value, low, high, se}; None if most draws have only one class.

    Rows are drawn by the Poisson bootstrap (Hanley & MacGibbon 2006), with their labels at once: a
    row that is drawn Poisson(1) times is a positive Poisson(q) and, independently, a negative
    Poisson(1 - q) times.
    """
    value, rng = estimated_auc(q), np.random.default_rng(seed)
    positive, negative = _weights(q)
    known = []
    for _ in range(draws):
        auc = _auc(rng.poisson(positive) + 0.0, rng.poisson(negative) + 0.0)
        if auc is not None:
            known.append(auc)
    if value is None or len(known) <= draws / 2:
        return None
    low, high = np.percentile(known, [2.5, 97.5]).tolist()
    return {"value": value, "low": low, "high": high, "se": float(np.std(known, ddof=1))}


def _weights(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected (positives, negatives) at each distinct probability, ascending."""
    _, codes = np.unique(q, return_inverse=True)
    return np.bincount(codes, weights=q), np.bincount(codes, weights=1 - q)


def _auc(positive: np.ndarray, negative: np.ndarray, own: float = 0.0) -> float | None:
    """Return the ROC AUC of weights per score, scores ascending.

    `own` is the weight of rows paired with themselves, which is left out.
    """
    pairs = float(positive.sum() * negative.sum()) - own
    above = float(positive @ (np.cumsum(negative) - negative / 2)) - own / 2
    return min(1.0, max(0.0, above / pairs)) if pairs > 0 else None


def _error(auc: Auc) -> float | None:
    """Return the standard error of an AUC.

    Of a perfect ranking it is estimated as 0. Then, and if it is missing, it follows from the
    interval.
    """
    if auc.get("se"):
        return float(auc["se"])
    if auc.get("low") is None or auc.get("high") is None:
        return None
    return float((auc["high"] - auc["low"]) / (2 * _Z))


def _figures_at_threshold(
    y: np.ndarray, above: np.ndarray, costs: Costs, weights: np.ndarray | None = None
) -> dict[str, Any]:
    """Return the figures of rows `above` a threshold; `y`: labels, or probabilities of a 1."""
    w = np.ones(len(y)) if weights is None else weights
    rows, flagged, positives = float(w.sum()), float(w[above].sum()), float(w @ y)
    caught = float(w[above] @ y[above])
    false_alarms = float(w[above] @ (1 - y[above]))
    cost = costs.miss * (positives - caught) + costs.false_alarm * false_alarms
    return {
        "flagged": _ratio(flagged, rows),
        "precision": _ratio(caught, flagged),
        "recall": _ratio(caught, positives),
        "cost_per_1000": _ratio(1000 * cost, rows),
    }


def probabilities(q: np.ndarray) -> np.ndarray:
    """Return a list of probabilities as numbers. Raises ValueError for any other list."""
    q = np.asarray(q, dtype="float64")
    if q.ndim != 1 or not ((q >= 0) & (q <= 1)).all():
        raise ValueError(
            "expected a list of probabilities from 0 to 1, found others or missing ones"
        )
    return q


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None
