"""Evaluation: what the winner is worth on rows that nothing was chosen on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding
from fivefold.core.intervals import share, wilson
from fivefold.core.roc_auc import auc_interval, paired_test
from fivefold.core.scope import Scope
from fivefold.data.splits import subsample

CURVE_POINTS = 200
MOST_PREDICTED = (
    16_000_000  # columns read x columns asked x repeats x rows of permutation importance
)
FEW_ROWS, FEW_REPEATS = 1000, 3  # of a wide table
MIN_SEGMENT = 30  # rows of a segment, and 5 of each class, below which nothing is said about it


def evaluate(
    y: np.ndarray,
    q: np.ndarray,
    threshold: dict[str, Any],
    scope: Scope,
    *,
    seed: int = 0,
    baselines: dict[str, np.ndarray] | None = None,
    groups: pd.DataFrame | None = None,
) -> dict[str, Any]:
    """Everything that is reported about held-out rows; JSON-ready.

    `y` 0/1 and calibrated probabilities `q`, shape (rows,). `baselines`: name -> probabilities of other models on the
    same rows. `groups`: columns by whose values the rows are looked at separately. Keys: rows, positives, auc,
    metrics ({name: {value, low, high}}), threshold, confusion, curves, baselines, segments, findings.
    """
    flagged = q >= threshold["value"]
    auc = auc_interval(y, q)
    return {
        "rows": len(y),
        "positives": int(y.sum()),
        "auc": auc,
        "metrics": metrics(y, q, flagged, scope, auc, seed),
        "threshold": threshold,
        "confusion": confusion(y, flagged),
        "curves": curves(y, q, scope),
        "baselines": [_baseline(name, y, q, other) for name, other in (baselines or {}).items()],
        "segments": segments(y, q, flagged, groups) if groups is not None else [],
        "findings": [judge_success(auc, scope).to_dict()],
    }


def confusion(y: np.ndarray, flagged: np.ndarray) -> dict[str, int]:
    """{tp, fp, fn, tn} as counts."""
    return {
        "tp": int((flagged & (y == 1)).sum()),
        "fp": int((flagged & (y == 0)).sum()),
        "fn": int((~flagged & (y == 1)).sum()),
        "tn": int((~flagged & (y == 0)).sum()),
    }


def metrics(
    y: np.ndarray, q: np.ndarray, flagged: np.ndarray, scope: Scope, auc: dict[str, Any], seed: int
) -> dict[str, dict[str, float | None]]:
    """{name: {value, low, high}}: 95% intervals by DeLong (roc_auc), Wilson (shares) or the percentile bootstrap.

    The bootstrap draws rows (Efron & Tibshirani 1993, ch. 13), 400 times up to 20,000 rows and 100 times above.
    brier_skill is 1 - Brier / Brier of the base rate. cost_per_1000 is in the scope's unit.
    """
    counts = confusion(y, flagged)
    drawn = _bootstrap(y, q, scope, flagged, 400 if len(y) <= 20_000 else 100, seed)
    told: dict[str, dict[str, float | None]] = {
        "roc_auc": {k: auc[k] for k in ("value", "low", "high")},
        **drawn,
    }
    for name, hits, of in (
        ("precision", counts["tp"], counts["tp"] + counts["fp"]),
        ("recall", counts["tp"], counts["tp"] + counts["fn"]),
        ("specificity", counts["tn"], counts["tn"] + counts["fp"]),
        ("accuracy", counts["tp"] + counts["tn"], len(y)),
        ("flagged", int(flagged.sum()), len(y)),
    ):
        told[name] = share(hits, of)
    return told


def curves(y: np.ndarray, q: np.ndarray, scope: Scope) -> dict[str, Any]:
    """ROC, precision-recall, calibration (ten equally filled bins), lift and cost curves as lists of numbers."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    fpr, tpr, _ = roc_curve(y, q)
    precision, recall, _ = precision_recall_curve(y, q)
    order = np.argsort(-q, kind="stable")
    share, gain = np.arange(1, len(y) + 1) / len(y), np.cumsum(y[order]) / y.sum()
    cuts = np.linspace(0, 1, 101)
    cost = [
        scope.cost_miss * np.mean((q < c) & (y == 1))
        + scope.cost_false_alarm * np.mean((q >= c) & (y == 0))
        for c in cuts
    ]
    bins = [b for b in np.array_split(np.argsort(q, kind="stable"), 10) if len(b)]
    calibration = []
    for b in bins:
        low, high = wilson(int(y[b].sum()), len(b))
        calibration.append(
            {
                "predicted": float(q[b].mean()),
                "observed": float(y[b].mean()),
                "low": low,
                "high": high,
                "count": len(b),
            }
        )
    return {
        "roc": _thin({"fpr": fpr, "tpr": tpr}),
        "pr": _thin({"recall": recall, "precision": precision}),
        "calibration": calibration,
        "lift": _thin({"share": share, "gain": gain, "lift": gain / share}),
        "cost": {"threshold": cuts.tolist(), "cost": [float(c) for c in cost]},
    }


def segments(
    y: np.ndarray, q: np.ndarray, flagged: np.ndarray, groups: pd.DataFrame
) -> list[dict[str, Any]]:
    """One line per value of each column (at most 12): rows, rates, and ROC AUC where it can be judged."""
    lines = []
    for column in groups.columns:
        values = groups[column].astype("str").fillna("(missing)")
        for level, count in values.value_counts().head(12).items():
            here = (values == level).to_numpy()
            positives = int(y[here].sum())
            judged = count >= MIN_SEGMENT and min(positives, count - positives) >= 5
            auc = (
                auc_interval(y[here], q[here])
                if judged
                else {"value": None, "low": None, "high": None}
            )
            found = confusion(y[here], flagged[here])
            lines.append(
                {
                    "column": column,
                    "level": str(level),
                    "rows": int(count),
                    "positive_rate": positives / count,
                    "mean_probability": float(q[here].mean()),
                    "flagged": float(flagged[here].mean()),
                    "recall": found["tp"] / positives if positives else None,
                    "false_alarm_rate": found["fp"] / (count - positives)
                    if count > positives
                    else None,
                    "auc": auc["value"],
                    "auc_low": auc["low"],
                    "auc_high": auc["high"],
                    "note": "" if judged else "too few rows to judge",
                }
            )
    return lines


def permutation_importance(
    predict: Callable[[pd.DataFrame], np.ndarray],
    typed: pd.DataFrame,
    y: np.ndarray,
    columns: list[str],
    seed: int,
    repeats: int = 5,
    most: int = 2500,
    threads: int = 1,
) -> list[dict[str, Any]]:
    """[{column, mean, sd}] largest first: the loss of ROC AUC when one raw column is shuffled (Breiman 2001).

    Columns that stand in for each other share their importance: neither looks important alone. In wide tables, where
    each of many predictions reads many columns, fewer rows and repeats are asked, and only of the columns whose values
    go most with the model's answers (`spread_between`): all of up to 70 columns, 13 of 400.
    """
    from joblib import Parallel, delayed
    from sklearn.metrics import roc_auc_score

    most, cells = (
        min(most, len(y)),
        MOST_PREDICTED // max(1, len(columns)),
    )  # cells: columns asked x repeats x rows
    if len(columns) * repeats * most > cells:
        most, repeats = min(most, FEW_ROWS), min(repeats, FEW_REPEATS)
    rows = subsample(np.arange(len(y)), y, most, seed)
    typed, y = typed.iloc[rows], y[rows]
    answers = predict(typed)
    whole = roc_auc_score(y, answers)
    if (asked_of := max(10, cells // (repeats * most))) < len(columns):
        columns = sorted(columns, key=lambda name: -spread_between(typed.loc[:, name], answers))[
            :asked_of
        ]
    rng = np.random.default_rng(seed)

    def loss(column: str, order: np.ndarray) -> float:
        shuffled = typed.copy()
        shuffled[column] = typed[column].take(order).set_axis(typed.index)
        return whole - roc_auc_score(y, predict(shuffled))

    asked = [(column, rng.permutation(len(typed))) for column in columns for _ in range(repeats)]
    losses = Parallel(n_jobs=threads, prefer="threads")(delayed(loss)(*one) for one in asked)
    by_column = np.reshape(losses, (len(columns), repeats))
    lines = [
        {"column": column, "mean": float(np.mean(some)), "sd": float(np.std(some, ddof=1))}
        for column, some in zip(columns, by_column, strict=True)
    ]
    return sorted(lines, key=lambda line: -line["mean"])


def spread_between(values: pd.Series, answers: np.ndarray) -> float:
    """Share of the variance of `answers` that lies between ten equally filled parts of a column's values, or between
    its levels, those beyond the 20 most frequent and missing ones as one: the correlation ratio (Pearson 1905), which
    also sees bends.

    >>> round(spread_between(pd.Series([1.0, 2.0, 3.0, None]), np.array([0.0, 1.0, 0.0, 1.0])), 3)
    1.0
    """
    if pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(
        values.dtype
    ):
        ranks = values.rank(pct=True).to_numpy()
        codes = np.where(np.isnan(ranks), 10, np.minimum(np.nan_to_num(ranks) * 10, 9)).astype(int)
    else:
        codes = pd.Categorical(values, values.value_counts().index[:20]).codes.astype(int) + 1
    counts = np.bincount(codes)
    means = np.bincount(codes, answers) / np.maximum(counts, 1)
    whole = float(answers.var())
    return float(counts @ (means - answers.mean()) ** 2) / len(answers) / whole if whole else 0.0


def judge_success(auc: dict[str, Any], scope: Scope) -> Finding:
    """Whether the scope's wanted ROC AUC is reached: yes or no only where the interval says so."""
    wanted, found = (
        scope.min_roc_auc,
        f"ROC AUC {auc['value']:.3f}, 95% interval {auc['low']:.3f} to {auc['high']:.3f}",
    )
    if wanted is None:
        return Finding(
            code="success-roc-auc",
            severity=NOT_APPLICABLE,
            subject="model",
            found=found,
            expected="a wanted ROC AUC in the scope ([success])",
        )
    expected = f"at least {wanted:g}"
    if auc["low"] >= wanted:
        return Finding(
            code="success-roc-auc", severity=PASSED, subject="model", found=found, expected=expected
        )
    if auc["high"] < wanted:
        return Finding(
            code="success-roc-auc",
            severity=WARNING,
            subject="model",
            found=found,
            expected=expected,
            action="more or better data, or a smaller aim",
        )
    return Finding(
        code="success-roc-auc",
        severity=NOT_APPLICABLE,
        subject="model",
        found=f"{found}: cannot be judged on so few rows",
        expected=expected,
        action="judge on more held-out rows",
    )


def _baseline(name: str, y: np.ndarray, q: np.ndarray, other: np.ndarray) -> dict[str, Any]:
    auc, against = auc_interval(y, other), paired_test(y, q, other)
    return {
        "name": name,
        "auc": auc["value"],
        "low": auc["low"],
        "high": auc["high"],
        "gain": against["difference"],
        "p_value": against["p_value"],
    }


def _bootstrap(
    y: np.ndarray, q: np.ndarray, scope: Scope, flagged: np.ndarray, draws: int, seed: int
) -> dict[str, dict[str, float | None]]:
    # A drawn sample is a count for each row. The rows are sorted once, not each sample.
    order = np.argsort(-q, kind="stable")
    t, p, f = (y[order] == 1).astype("float64"), q[order], flagged[order]
    last = np.append(
        np.flatnonzero(np.diff(p)), len(p) - 1
    )  # average precision steps after the last of equal scores
    squares, losses = (
        (p - t) ** 2,
        -np.log(np.where(t == 1, clipped := np.clip(p, 1e-15, 1 - 1e-15), 1 - clipped)),
    )
    costs = scope.cost_miss * (~f & (t == 1)) + scope.cost_false_alarm * (f & (t == 0))

    def measure(counts: np.ndarray) -> dict[str, float]:
        weight = counts / len(y)
        found, seen = np.cumsum(weight * t)[last], np.cumsum(weight)[last]
        precision = found / np.maximum(seen, 1e-300)
        brier, rate = float(weight @ squares), float(weight @ t)
        return {
            "pr_auc": float(np.diff(found, prepend=0.0) @ precision / found[-1]),
            "log_loss": float(weight @ losses),
            "brier": brier,
            "brier_skill": 1 - brier / (rate * (1 - rate)),
            "cost_per_1000": float(1000 * weight @ costs),
        }

    rng = np.random.default_rng(seed)
    samples = (rng.integers(0, len(y), len(y)) for _ in range(draws))
    drawn = [
        measure(np.bincount(rows, minlength=len(y))[order])
        for rows in samples
        if 0 < y[rows].sum() < len(y)
    ]
    told: dict[str, dict[str, float | None]] = {}
    for name, value in measure(np.ones(len(y))).items():
        low, high = np.percentile([d[name] for d in drawn], [2.5, 97.5])
        told[name] = {"value": value, "low": float(low), "high": float(high)}
    return told


def _thin(curve: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """At most `CURVE_POINTS` points of a curve, first and last included."""
    size = len(next(iter(curve.values())))
    kept = np.unique(np.linspace(0, size - 1, min(size, CURVE_POINTS)).round().astype(int))
    return {key: [round(float(v), 6) for v in values[kept]] for key, values in curve.items()}
