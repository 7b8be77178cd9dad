"""Evaluation: what a model is worth on held-out rows that no choice was made on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding, verdict
from fivefold.core.intervals import Estimate, share, wilson
from fivefold.core.roc_auc import auc_interval, paired_test, roc_auc
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.core.stored import Stored
from fivefold.data.ages import with_column
from fivefold.data.splits import subsample
from fivefold.model.ageing import Ageing
from fivefold.model.threshold import ConfusionMatrix, Threshold, confusion, mistakes_at

CURVE_POINTS = 200
# Permutation importance: columns read x columns measured x repeats x rows.
MOST_PREDICTED = 16_000_000
FEW_ROWS, FEW_REPEATS = 1000, 3  # of a wide table
# Smallest segment, in rows and in rows of each class, whose ROC AUC is reported.
MIN_SEGMENT, MIN_SEGMENT_CLASS = 30, 5
MOST_LEVELS = 12
BINS = 10
MOST_ROWS, REPEATS = 1500, 3


@dataclass(frozen=True)
class Baseline:
    """ROC AUC of another model on the same rows, with its interval.

    `gain` is the evaluated model's ROC AUC minus this one, `p_value` that of the paired test.
    """

    name: str
    auc: float
    low: float
    high: float
    gain: float | None = None
    p_value: float | None = None


@dataclass(frozen=True)
class Segment:
    """The rows with one value of a column: rates, and ROC AUC where there are enough rows."""

    column: str
    level: str
    rows: int
    positive_rate: float
    mean_probability: float
    flagged: float
    recall: float | None
    false_alarm_rate: float | None
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    note: str


@dataclass(frozen=True)
class Importance:
    """Loss of ROC AUC when a column is shuffled: mean and standard deviation over repeats."""

    column: str
    mean: float
    sd: float


@dataclass(frozen=True)
class Evaluation(Stored):
    """Everything that is reported about held-out rows.

    `auc` holds value, low, high, se and method. `curves` holds lists of numbers for charts.
    `ageing` is of training rows.
    """

    rows: int = 0
    positives: int = 0
    auc: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    threshold: Threshold = field(default_factory=Threshold)
    confusion: ConfusionMatrix = field(default_factory=ConfusionMatrix)
    curves: Mapping[str, Any] = field(default_factory=dict)
    baselines: Sequence[Baseline] = field(default_factory=list)
    segments: Sequence[Segment] = field(default_factory=list)
    findings: Sequence[Finding] = field(default_factory=list)
    importance: Sequence[Importance] = field(default_factory=list)
    ageing: Ageing = field(default_factory=Ageing)


def evaluate(
    y: np.ndarray,
    q: np.ndarray,
    threshold: Threshold,
    scope: Scope,
    *,
    seed: int,
    baselines: Mapping[str, np.ndarray],
    groups: pd.DataFrame,
) -> Evaluation:
    """Evaluate calibrated probabilities of held-out rows.

    Each metric has a 95% interval: ROC AUC that of DeLong, shares that of Wilson, the others that
    of the percentile bootstrap over rows (Efron and Tibshirani 1993, "An Introduction to the
    Bootstrap", ch. 13). `brier_skill` is 1 - Brier / Brier of the base rate. `cost_per_1000` is in
    the scope's unit.

    Parameters
    ----------
    y, q
        Labels 0/1 and calibrated probabilities, shape (rows,).
    scope
        States the costs and the wanted ROC AUC.
    baselines
        Probabilities of other models on the same rows, by name.
    groups
        Columns by whose values the rows are also evaluated separately.
    """
    flagged = threshold.is_positive(q)
    auc = auc_interval(y, q)
    counts = confusion(y, flagged)
    metrics = {
        "roc_auc": Estimate(auc["value"], auc["low"], auc["high"]),
        **_bootstrap(y, q, scope, flagged, seed),
        "precision": share(counts.tp, counts.flagged),
        "recall": share(counts.tp, counts.positives),
        "specificity": share(counts.tn, counts.negatives),
        "accuracy": share(counts.tp + counts.tn, len(y)),
        "flagged": share(counts.flagged, len(y)),
    }
    compared = []
    for name, other in baselines.items():
        theirs, test = auc_interval(y, other), paired_test(y, q, other)
        interval = theirs["value"], theirs["low"], theirs["high"]
        compared.append(Baseline(name, *interval, test["difference"], test["p_value"]))
    return Evaluation(
        rows=len(y),
        positives=int(y.sum()),
        auc=auc,
        metrics=metrics,
        threshold=threshold,
        confusion=counts,
        curves=curves(y, q, scope),
        baselines=compared,
        segments=segments(y, q, flagged, groups),
        findings=[check_success(auc, scope)],
    )


def curves(y: np.ndarray, q: np.ndarray, scope: Scope) -> dict[str, Any]:
    """Return ROC, precision-recall, calibration, lift and cost curves as lists of numbers."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    fpr, tpr, _ = roc_curve(y, q)
    precision, recall, _ = precision_recall_curve(y, q)
    order = np.argsort(-q, kind="stable")
    contacted = np.arange(1, len(y) + 1) / len(y)
    gain = np.cumsum(y[order]) / y.sum()
    cuts = np.linspace(0, 1, 101)
    missed, false_alarms = mistakes_at(y, q, cuts)
    cost = scope.cost_miss * (missed / len(y)) + scope.cost_false_alarm * (false_alarms / len(y))
    return {
        "roc": _thin({"fpr": fpr, "tpr": tpr}),
        "pr": _thin({"recall": recall, "precision": precision}),
        "calibration": _calibration_curve(y, q),
        "lift": _thin({"share": contacted, "gain": gain, "lift": gain / contacted}),
        "cost": {"threshold": cuts.tolist(), "cost": cost.tolist()},
    }


def _calibration_curve(y: np.ndarray, q: np.ndarray) -> list[dict[str, float]]:
    """Return predicted and observed rates of `BINS` equally filled bins."""
    lines = []
    for rows in np.array_split(np.argsort(q, kind="stable"), min(BINS, len(q))):
        low, high = wilson(int(y[rows].sum()), len(rows))
        line = {
            "predicted": float(q[rows].mean()),
            "observed": float(y[rows].mean()),
            "low": low,
            "high": high,
            "count": len(rows),
        }
        lines.append(line)
    return lines


def segments(
    y: np.ndarray, q: np.ndarray, flagged: np.ndarray, groups: pd.DataFrame
) -> list[Segment]:
    """Evaluate the rows of each value of each column, of the `MOST_LEVELS` most frequent values."""
    lines = []
    for column in groups.columns:
        values = groups[column].astype("str").fillna("(missing)")
        for level in values.value_counts().head(MOST_LEVELS).index:
            here = (values == level).to_numpy()
            lines.append(_segment(str(column), str(level), y[here], q[here], flagged[here]))
    return lines


def _segment(column: str, level: str, y: np.ndarray, q: np.ndarray, flagged: np.ndarray) -> Segment:
    counts = confusion(y, flagged)
    smaller_class = min(counts.positives, counts.negatives)
    enough = len(y) >= MIN_SEGMENT and smaller_class >= MIN_SEGMENT_CLASS
    auc = auc_interval(y, q) if enough else {}
    return Segment(
        column=column,
        level=level,
        rows=len(y),
        positive_rate=counts.positives / len(y),
        mean_probability=float(q.mean()),
        flagged=float(flagged.mean()),
        recall=share(counts.tp, counts.positives).value,
        false_alarm_rate=share(counts.fp, counts.negatives).value,
        auc=auc.get("value"),
        auc_low=auc.get("low"),
        auc_high=auc.get("high"),
        note="" if enough else "too few rows to evaluate",
    )


def permutation_importance(
    predict: Callable[[pd.DataFrame], np.ndarray],
    typed: pd.DataFrame,
    y: np.ndarray,
    columns: list[str],
    seed: int,
    threads: int = 1,
    seconds: float = math.inf,
    schema: Schema | None = None,
) -> list[Importance]:
    """Measure the loss of ROC AUC when one raw column is shuffled, largest first.

    Columns that can replace each other share their importance: neither looks important alone.
    In wide tables, where each of many predictions reads many columns, fewer rows and repeats are
    used, and only the columns are measured whose values vary most with the predictions
    (`spread_between`): all of up to 70 columns, 13 of 400.

    Parameters
    ----------
    predict
        Returns probabilities of shape (rows,) for a typed table.
    typed, y
        Typed rows and their labels 0/1; at most `MOST_ROWS` of them are used.
    columns
        The columns to measure.
    seconds
        Where they are too few, by the time of the first prediction, the same is given up as in
        wide tables. Ten columns are always measured.
    schema
        With it, a shuffled date takes the age of another row (`fivefold.data.ages`).

    References
    ----------
    Breiman 2001, "Random forests", Machine Learning 45.
    """
    from joblib import Parallel, delayed

    most, repeats = min(MOST_ROWS, len(y)), REPEATS
    affordable: float = MOST_PREDICTED // len(columns)  # columns measured x repeats x rows
    if seconds < math.inf:
        some = typed.iloc[:FEW_ROWS]
        began = time.monotonic()
        predict(some)
        taken = max(time.monotonic() - began, 1e-9)
        affordable = min(affordable, threads * seconds * len(some) / taken)
    if len(columns) * repeats * most > affordable:
        most, repeats = min(most, FEW_ROWS), FEW_REPEATS
    rows = subsample(np.arange(len(y)), y, most, seed)
    typed, y = typed.iloc[rows], y[rows]
    predictions = predict(typed)
    whole = roc_auc(y, predictions)
    measured = max(10, int(affordable / (repeats * most)))
    if measured < len(columns):
        columns = sorted(columns, key=lambda name: -spread_between(typed.loc[:, name], predictions))
        columns = columns[:measured]
    rng = np.random.default_rng(seed)
    known = schema or Schema((), "", "", "")

    def loss(column: str, order: np.ndarray) -> float:
        shuffled = with_column(typed, known, column, order)
        return whole - roc_auc(y, predict(shuffled))

    tasks = [(column, rng.permutation(len(typed))) for column in columns for _ in range(repeats)]
    losses = Parallel(n_jobs=threads, prefer="threads")(delayed(loss)(*task) for task in tasks)
    lines = []
    for column, values in zip(columns, np.reshape(losses, (-1, repeats)), strict=True):
        lines.append(Importance(column, float(values.mean()), float(values.std(ddof=1))))
    return sorted(lines, key=lambda line: -line.mean)


def spread_between(values: pd.Series, predictions: np.ndarray) -> float:
    """Return the share of the variance of `predictions` that lies between groups of a column.

    Groups are ten equally filled ranges of numbers or dates, or the 20 most frequent levels; all
    other levels and missing cells are one group. Unlike a correlation it also sees bends.

    References
    ----------
    The correlation ratio, Pearson 1905.

    >>> round(spread_between(pd.Series([1.0, 2.0, 3.0, None]), np.array([0.0, 1.0, 0.0, 1.0])), 3)
    1.0
    """
    if values.dtype.kind in "fM":
        tenths = (values.rank(pct=True) * 10).clip(upper=9)
        codes = tenths.fillna(10).to_numpy(dtype=int)
    else:
        frequent = values.value_counts().index[:20]
        codes = pd.Categorical(values, frequent).codes.astype(int) + 1
    counts = np.bincount(codes)
    means = np.bincount(codes, predictions) / np.maximum(counts, 1)
    whole = float(predictions.var())
    between = float(counts @ (means - predictions.mean()) ** 2) / len(predictions)
    return between / whole if whole else 0.0


def check_success(auc: Mapping[str, Any], scope: Scope) -> Finding:
    """Check whether the wanted ROC AUC is reached: yes or no only where the interval shows it."""
    wanted = scope.min_roc_auc
    found = f"ROC AUC {auc['value']:.3f}, 95% interval {auc['low']:.3f} to {auc['high']:.3f}"
    failed: bool | None = None
    expected, action = "a wanted ROC AUC in the scope ([success])", ""
    if wanted is not None:
        expected, action = f"at least {wanted:g}", "more or better data, or a smaller aim"
        failed = auc["low"] < wanted
        if failed and wanted <= auc["high"]:
            failed, action = None, "evaluate on more held-out rows"
            found += ": too few rows to decide"
    return verdict(
        failed, "success-roc-auc", "model", found=found, expected=expected, action=action
    )


def _bootstrap(
    y: np.ndarray, q: np.ndarray, scope: Scope, flagged: np.ndarray, seed: int
) -> dict[str, Estimate]:
    # A drawn sample is a count for each row, so that the rows are sorted only once.
    order = np.argsort(-q, kind="stable")
    positive = y[order] == 1
    t, p, f = positive.astype("float64"), q[order], flagged[order]
    # average precision takes a step after the last of equal scores
    last = np.append(np.flatnonzero(np.diff(p)), len(p) - 1)
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    squares = (p - t) ** 2
    losses = -np.log(np.where(positive, clipped, 1 - clipped))
    costs = scope.cost_miss * (~f & positive) + scope.cost_false_alarm * (f & ~positive)

    def measure(counts: np.ndarray) -> dict[str, float]:
        weight = counts / len(y)
        caught = np.cumsum(weight * t)[last]
        seen = np.cumsum(weight)[last]
        precision = caught / np.maximum(seen, 1e-300)
        brier, rate = float(weight @ squares), float(weight @ t)
        return {
            "pr_auc": float(np.diff(caught, prepend=0.0) @ precision / caught[-1]),
            "log_loss": float(weight @ losses),
            "brier": brier,
            "brier_skill": 1 - brier / (rate * (1 - rate)),
            "cost_per_1000": float(1000 * weight @ costs),
        }

    rng = np.random.default_rng(seed)
    samples = []
    for _ in range(400 if len(y) <= 20_000 else 100):
        rows = rng.integers(0, len(y), len(y))
        if 0 < y[rows].sum() < len(y):
            samples.append(measure(np.bincount(rows, minlength=len(y))[order]))
    estimates = {}
    for name, value in measure(np.ones(len(y))).items():
        interval = np.percentile([sample[name] for sample in samples], [2.5, 97.5])
        estimates[name] = Estimate(value, *interval.tolist())
    return estimates


def _thin(curve: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    """Return at most `CURVE_POINTS` points of a curve, first and last included."""
    size = len(next(iter(curve.values())))
    kept = np.unique(np.linspace(0, size - 1, min(size, CURVE_POINTS)).round().astype(int))
    return {name: [round(float(v), 6) for v in values[kept]] for name, values in curve.items()}
