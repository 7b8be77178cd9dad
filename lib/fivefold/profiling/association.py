"""Association: how strongly each column alone goes with the target, and the columns with each other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.roc_auc import auc_interval

FOLDS = 5
BINS = 20  # quantile bins of a number, besides one for missing
SMOOTHING = 10.0  # rows of the overall rate added to each bin's rate
MOST_CORRELATED = 30
CORRELATION_ROWS = 20_000  # the standard error of a correlation is then at most 0.007
MEASURE = (
    "ROC AUC of the column alone: its positive rate in bins (20 quantile bins or the levels; missing is a bin), "
    "learnt on four fifths of the rows and scored on the fifth, mean of 5; interval by Hanley & McNeil (1982)"
)
WHY = (
    "It is the model's own measure, the same for numbers, categories and dates; it sees bends that a rank "
    "correlation misses; and being cross-validated it does not reward a column for having many levels"
)


def associate(
    name: str, kind: str, values: pd.Series, y: np.ndarray, folds: np.ndarray
) -> dict[str, Any]:
    """How one column goes with the target, on labelled rows (`y` 0/1, `folds` 0 to 4); shapes (rows,).

    Keys: column, kind, alone {value, low, high} (the common `MEASURE`), auc {value, low, high} (numbers, dates,
    booleans and text lengths where present: DeLong), direction (up, down, none or unknown), cramers_v and
    mutual_information (categories and booleans where present; bits). None where it cannot be judged.
    """
    ordered = kind in ("numeric", "date", "boolean", "text")
    numbers = as_numbers(values, kind) if ordered else np.empty(0)
    codes = _codes(numbers) if ordered else _level_codes(values)
    found: dict[str, Any] = {
        "column": name,
        "kind": kind,
        "alone": None,
        "auc": None,
        "direction": "unknown",
        "cramers_v": None,
        "mutual_information": None,
    }
    if (alone := binned_auc(codes, y, folds)) is not None:
        found["alone"] = {
            "value": alone,
            **_hanley_mcneil(alone, int(y.sum()), int(len(y) - y.sum())),
        }
    if ordered:
        present = np.isfinite(numbers)
        if min(y[present].sum(), (1 - y[present]).sum()) >= 2:
            auc = auc_interval(y[present], numbers[present])
            found["auc"] = {key: auc[key] for key in ("value", "low", "high")}
            found["direction"] = (
                "up" if float(auc["low"]) > 0.5 else "down" if float(auc["high"]) < 0.5 else "none"
            )
    if kind in ("categorical", "boolean"):
        table = contingency(codes, y)[1:]
        table = table[table.sum(axis=1) > 0]
        found["cramers_v"], found["mutual_information"] = (
            cramers_v(table),
            mutual_information(table),
        )
    return found


def as_numbers(values: pd.Series, kind: str) -> np.ndarray:
    """A typed numeric, boolean, date (days since 1970) or text (length in characters) column as float64 with NaN."""
    if kind == "date":
        seconds = values.to_numpy().astype("datetime64[us]").astype("float64") / 1e6
        return np.where(values.isna().to_numpy(), np.nan, seconds / 86400)
    if kind == "text":
        return values.str.len().to_numpy(dtype="float64", na_value=np.nan)
    return values.to_numpy(dtype="float64", na_value=np.nan)


def draw_folds(rows: int, seed: int) -> np.ndarray:
    """A fold 0 to 4 for each row, drawn by the seed; sizes differ by at most one."""
    return np.random.default_rng(seed).permutation(rows) % FOLDS


def contingency(codes: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Counts of shape (levels, 2) of non-negative codes against 0/1."""
    size = int(codes.max()) + 1 if len(codes) else 1
    return np.bincount(codes * 2 + y, minlength=2 * size).reshape(size, 2)


def binned_auc(codes: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float | None:
    """Mean over folds of the ROC AUC of each code's positive rate in the other folds; None without both classes.

    Rates are drawn to the overall rate by `SMOOTHING` rows; an unseen code gets the overall rate.
    """
    size = int(codes.max()) + 1 if len(codes) else 1
    table = np.bincount((folds * size + codes) * 2 + y, minlength=FOLDS * size * 2).reshape(
        FOLDS, size, 2
    )
    total, aucs = table.sum(axis=0), []
    for inside in table:
        rest = total - inside
        if not (rest.sum(axis=0).all() and inside.sum(axis=0).all()):
            continue
        prior = rest[:, 1].sum() / rest.sum()
        aucs.append(
            auc_of_counts((rest[:, 1] + SMOOTHING * prior) / (rest.sum(axis=1) + SMOOTHING), inside)
        )
    return float(np.mean(aucs)) if aucs else None


def auc_of_counts(scores: np.ndarray, counts: np.ndarray) -> float:
    """ROC AUC where `counts[i]` (negative, positive) rows have `scores[i]`; ties count half.

    >>> auc_of_counts(np.array([.1, .2]), np.array([[3, 1], [1, 3]]))
    0.75
    """
    _, places = np.unique(scores, return_inverse=True)
    negative, positive = (np.bincount(places, weights=counts[:, side]) for side in (0, 1))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def cramers_v(table: np.ndarray) -> float | None:
    """Cramér's V of a table of counts, 0 to 1, corrected for bias; None for a single row or column.

    Bergsma (2013), Journal of the Korean Statistical Society 42, 323-328.
    """
    table = np.asarray(table, dtype="float64")
    n, (r, k) = table.sum(), table.shape
    if r < 2 or k < 2 or n < 2 or not (table.sum(axis=0).all() and table.sum(axis=1).all()):
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi2 / smaller)) if smaller > 0 else None


def mutual_information(table: np.ndarray, corrected: bool = True) -> float | None:
    """Mutual information of the rows and columns of a table of counts, in bits; None for an empty table.

    `corrected` takes off the plug-in estimate's bias, (r-1)(k-1) / (2 n ln 2) (Miller 1955), down to 0 at least.

    >>> mutual_information(np.array([[2, 0], [0, 2]]), corrected=False)
    1.0
    """
    table = np.asarray(table, dtype="float64")
    n = table.sum()
    if n == 0:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    some = table > 0
    bits = float((table[some] / n * np.log2(table[some] / expected[some])).sum())
    r, k = (table.sum(axis=1) > 0).sum(), (table.sum(axis=0) > 0).sum()
    return max(0.0, bits - (r - 1) * (k - 1) / (2 * n * math.log(2)) if corrected else bits)


def correlations(columns: dict[str, np.ndarray], seed: int) -> dict[str, Any]:
    """Spearman's correlations of the given numbers (NaN missing), pair by pair on rows that have both.

    Keys: method, rows (looked at: at most `CORRELATION_ROWS`, drawn by the seed), columns, matrix (None where fewer
    than 30 rows have both or one is constant), strongest [{a, b, value}] (|value| at least 0.1, at most 15).
    """
    frame = pd.DataFrame(columns)
    if len(frame) > CORRELATION_ROWS:
        rows = np.random.default_rng(seed).choice(len(frame), CORRELATION_ROWS, replace=False)
        frame = frame.iloc[np.sort(rows)]
    names = list(frame.columns)
    values = np.full((len(names), len(names)), np.nan)
    if len(names) > 1:
        values = frame.corr(method="spearman", min_periods=30).to_numpy()
    matrix = [[round(float(v), 3) if math.isfinite(v) else None for v in line] for line in values]
    pairs: list[dict[str, Any]] = [
        {"a": names[i], "b": names[j], "value": value}
        for i in range(len(names))
        for j in range(i)
        if (value := matrix[i][j]) is not None and abs(value) >= 0.1
    ]
    return {
        "method": "Spearman",
        "rows": len(frame),
        "columns": names,
        "matrix": matrix,
        "strongest": sorted(pairs, key=lambda pair: -abs(pair["value"]))[:15],
    }


def _hanley_mcneil(auc: float, positives: int, negatives: int) -> dict[str, float]:
    """{low, high}: 95% interval of a ROC AUC from its value alone (Hanley & McNeil 1982, Radiology 143, 29-36)."""
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    half = 1.96 * math.sqrt(max(spread, 0.0) / (positives * negatives))
    return {"low": max(0.0, auc - half), "high": min(1.0, auc + half)}


def _codes(numbers: np.ndarray) -> np.ndarray:
    """0 for missing, else 1 + the bin: the values themselves where they are at most `BINS`, else between quantiles.

    A value that a bin's share of the rows has (the zeros of a column of mostly zeros) is a bin of its own.
    """
    present = np.isfinite(numbers)
    codes = np.zeros(len(numbers), dtype="int64")
    values, places, rows = np.unique(numbers[present], return_inverse=True, return_counts=True)
    if len(values) > BINS:
        cuts = np.unique(np.quantile(numbers[present], np.linspace(0, 1, BINS + 1)[1:-1]))
        heavy = rows * BINS >= rows.sum()
        starts = (np.diff(np.searchsorted(cuts, values, side="right")) > 0) | heavy[1:] | heavy[:-1]
        places = np.append(0, np.cumsum(starts))[places]
    codes[present] = 1 + places
    return codes


def _level_codes(values: pd.Series) -> np.ndarray:
    """0 for missing, else 1 + the level's number."""
    return pd.factorize(values)[0].astype("int64") + 1
