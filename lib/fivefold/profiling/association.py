"""Association: how strongly each column is related to the target and to other columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.roc_auc import auc_interval
from fivefold.data.parsing import days

FOLDS = 5
BINS = 20  # quantile bins of a number, besides one for missing
SMOOTHING = 10.0  # rows of the overall rate added to each bin's rate
MOST_CORRELATED = 30
CORRELATION_ROWS = 20_000  # the standard error of a correlation is then at most 0.007
MEASURE = (
    "ROC AUC of the column alone: its positive rate in bins (20 quantile bins or the levels; "
    "missing is a bin), learnt on four fifths of the rows and scored on the fifth, mean of 5; "
    "interval by Hanley & McNeil (1982)"
)
WHY = (
    "It is the model's own measure, the same for numbers, categories and dates. It sees bends that "
    "a rank correlation misses. Being cross-validated, it does not reward a column for many levels"
)
_ORDERED = ("numeric", "date", "boolean", "text")


def associate(
    name: str, kind: str, values: pd.Series, y: np.ndarray, folds: np.ndarray
) -> dict[str, Any]:
    """Return the association of one column with the target.

    Parameters
    ----------
    values, y, folds
        Labelled rows only, shape (rows,): typed cells, labels 0/1, folds 0 to 4.

    Returns
    -------
    JSON-ready dict with column, kind and the measures; None where a measure has nothing to rest
    on. alone: {value, low, high} of `MEASURE`. auc: {value, low, high} by DeLong, where present,
    of numbers, dates, booleans and text lengths. direction: up, down, none or unknown. cramers_v,
    mutual_information (bits): of categories and booleans, where present.
    """
    is_ordered = kind in _ORDERED
    if is_ordered:
        numbers = as_numbers(values, kind)
        codes = _bin_codes(numbers)
    else:
        codes = pd.factorize(values)[0].astype("int64") + 1  # 0 is missing
    result: dict[str, Any] = {
        "column": name,
        "kind": kind,
        "alone": None,
        "auc": None,
        "direction": "unknown",
        "cramers_v": None,
        "mutual_information": None,
    }
    alone = binned_auc(codes, y, folds)
    if alone is not None:
        result["alone"] = {"value": alone, **_hanley_mcneil(alone, y)}
    if is_ordered:
        present = np.isfinite(numbers)
        labels = y[present]
        if min(labels.sum(), (1 - labels).sum()) >= 2:
            auc = auc_interval(labels, numbers[present])
            result["auc"] = {key: auc[key] for key in ("value", "low", "high")}
            direction = "up" if auc["low"] > 0.5 else "none"
            result["direction"] = "down" if auc["high"] < 0.5 else direction
    if kind in ("categorical", "boolean"):
        size = int(codes.max(initial=0)) + 1
        table = np.bincount(codes * 2 + y, minlength=2 * size).reshape(size, 2)[1:]
        table = table[table.sum(axis=1) > 0]
        result["cramers_v"] = cramers_v(table)
        result["mutual_information"] = mutual_information(table)
    return result


def as_numbers(values: pd.Series, kind: str) -> np.ndarray:
    """Return a typed column as float64 with NaN.

    Dates become days since 1970-01-01, texts their length in characters.
    """
    if kind == "date":
        return days(values)
    if kind == "text":
        values = values.str.len()
    return values.to_numpy(dtype="float64", na_value=np.nan)


def draw_rows(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the positions `rows`, sorted; where they are more than `most`, so many drawn."""
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def draw_folds(rows: int, seed: int) -> np.ndarray:
    """Return a fold 0 to 4 for each row, drawn by the seed; sizes differ by at most one."""
    return np.random.default_rng(seed).permutation(rows) % FOLDS


def binned_auc(codes: np.ndarray, y: np.ndarray, folds: np.ndarray) -> float | None:
    """Return the mean over folds of the AUC of each code's positive rate in the other folds.

    Rates are drawn to the overall rate by `SMOOTHING` rows; an unseen code gets the overall rate.
    None without both classes.
    """
    size = int(codes.max(initial=0)) + 1
    cells = (folds * size + codes) * 2 + y
    table = np.bincount(cells, minlength=FOLDS * size * 2).reshape(FOLDS, size, 2)
    total = table.sum(axis=0)
    aucs = []
    for inside in table:
        rest = total - inside
        if not (rest.sum(axis=0).all() and inside.sum(axis=0).all()):
            continue
        prior = rest[:, 1].sum() / rest.sum()
        rates = (rest[:, 1] + SMOOTHING * prior) / (rest.sum(axis=1) + SMOOTHING)
        aucs.append(auc_of_counts(rates, inside))
    return float(np.mean(aucs)) if aucs else None


def auc_of_counts(scores: np.ndarray, counts: np.ndarray) -> float:
    """Return the AUC where `counts[i]` (negative, positive) rows have `scores[i]`; ties count half.

    >>> auc_of_counts(np.array([.1, .2]), np.array([[3, 1], [1, 3]]))
    0.75
    """
    _, order = np.unique(scores, return_inverse=True)
    negative = np.bincount(order, weights=counts[:, 0])
    positive = np.bincount(order, weights=counts[:, 1])
    below = np.cumsum(negative) - negative
    wins = (positive * (below + negative / 2)).sum()
    return float(wins / (positive.sum() * negative.sum()))


def cramers_v(table: np.ndarray) -> float | None:
    """Return Cramér's V of counts, 0 to 1, corrected for bias; None for a single row or column.

    Source: Bergsma (2013), Journal of the Korean Statistical Society 42, 323-328.
    """
    table = np.asarray(table, dtype="float64")
    n, (r, k) = table.sum(), table.shape
    has_empty_line = not (table.sum(axis=0).all() and table.sum(axis=1).all())
    if r < 2 or k < 2 or n < 2 or has_empty_line:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    phi2 = float(((table - expected) ** 2 / expected).sum() / n)
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    smaller = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi2 / smaller)) if smaller > 0 else None


def mutual_information(table: np.ndarray) -> float | None:
    """Return the mutual information of rows and columns of counts, in bits; None for no counts.

    The bias of the plug-in estimate, (r-1)(k-1) / (2 n ln 2), is taken off, down to 0 at least.
    Source: Miller (1955), Note on the bias of information estimates.

    >>> round(mutual_information(np.array([[200, 0], [0, 200]])), 4)
    0.9982
    """
    table = np.asarray(table, dtype="float64")
    n = table.sum()
    if n == 0:
        return None
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    some = table > 0
    bits = float((table[some] / n * np.log2(table[some] / expected[some])).sum())
    r, k = some.any(axis=1).sum(), some.any(axis=0).sum()
    bias = (r - 1) * (k - 1) / (2 * n * math.log(2))
    return float(max(0.0, bits - bias))


def correlations(columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return Spearman's correlations of the given numbers (NaN missing), on rows that have both.

    Returns
    -------
    JSON-ready dict. rows: looked at, at most `CORRELATION_ROWS`, drawn by a fixed seed. columns.
    matrix: None where fewer than 30 rows have both or one is constant. strongest: at most 15 {a,
    b, value} with a |value| of at least 0.1.
    """
    frame = pd.DataFrame(columns)
    frame = frame.iloc[draw_rows(np.arange(len(frame)), CORRELATION_ROWS, seed=0)]
    names = list(frame.columns)
    values = np.full((len(names), len(names)), np.nan)
    if len(names) > 1:
        values = frame.corr(method="spearman", min_periods=30).to_numpy()
    matrix = [[round(float(v), 3) if math.isfinite(v) else None for v in line] for line in values]
    pairs: list[dict[str, Any]] = []
    for i, a in enumerate(names):
        for b, value in zip(names[:i], matrix[i], strict=False):
            if value is not None and abs(value) >= 0.1:
                pairs.append({"a": a, "b": b, "value": value})
    pairs.sort(key=lambda pair: -abs(pair["value"]))
    return {
        "method": "Spearman",
        "rows": len(frame),
        "columns": names,
        "matrix": matrix,
        "strongest": pairs[:15],
    }


def _hanley_mcneil(auc: float, y: np.ndarray) -> dict[str, float]:
    """Return {low, high}, the 95% interval of an AUC from its value alone.

    Source: Hanley & McNeil (1982), Radiology 143, 29-36.
    """
    positives = int(y.sum())
    negatives = len(y) - positives
    q1, q2 = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positives - 1) * (q1 - auc**2) + (negatives - 1) * (q2 - auc**2)
    half = 1.96 * math.sqrt(max(spread, 0.0) / (positives * negatives))
    return {"low": max(0.0, auc - half), "high": min(1.0, auc + half)}


def _bin_codes(numbers: np.ndarray) -> np.ndarray:
    """Return 0 for missing, else 1 + the bin.

    The bins are the values themselves where they are at most `BINS`, else between quantiles. A
    value that a bin's share of the rows has (the zeros of a column of mostly zeros) is a bin of
    its own.
    """
    present = np.isfinite(numbers)
    codes = np.zeros(len(numbers), dtype="int64")
    values, bins, rows = np.unique(numbers[present], return_inverse=True, return_counts=True)
    if len(values) > BINS:
        cuts = np.unique(np.quantile(numbers[present], np.linspace(0, 1, BINS + 1)[1:-1]))
        is_heavy = rows * BINS >= rows.sum()
        passes_cut = np.diff(np.searchsorted(cuts, values, side="right")) > 0
        starts = passes_cut | is_heavy[1:] | is_heavy[:-1]
        bins = np.append(0, np.cumsum(starts))[bins]
    codes[present] = 1 + bins
    return codes
