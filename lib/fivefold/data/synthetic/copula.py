"""Copula: model the columns of a table and their dependence, per class, and draw new rows.

A Gaussian copula. Each class of the target has its own model: per column the distribution of its
values, and one correlation matrix of hidden normal variables behind all of them (Nelsen 2006, "An
Introduction to Copulas"; Patki, Wedge and Veeramachaneni 2016, "The Synthetic Data Vault").
Whether a cell is missing has a hidden variable of its own, so missing cells go together as in the
real table. A model is plain lists and dicts, ready for JSON.

What it cannot carry: relations that are not monotone, or that need three columns at once, beyond
what the target conveys. Levels without order go together only along the one order they are given
here. Where missing cells follow closely from other columns, correlations among the present cells
come out somewhat low. It promises no privacy: extremes, frequent values and texts are those of
real rows.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype
from scipy.special import ndtr

from fivefold.data.parsing import days
from fivefold.data.synthetic import marginals

MAX_TEXTS = 1000  # distinct texts kept per class
MIN_PAIRS = 10  # fewer rows in which both are present: the correlation of all classes is taken
_LIMIT = 0.995  # largest hidden correlation, so that no column becomes a copy of another
_R = np.linspace(-_LIMIT, _LIMIT, 399)


def fit(
    frame: pd.DataFrame, target: str, kinds: Mapping[str, str], seed: int = 0
) -> dict[str, Any]:
    """Return the model of a typed table: plain data, for `sample`.

    Rows without a label are left out; infinite numbers count as missing.

    Parameters
    ----------
    kinds
        The kind (`fivefold.core.scope.KINDS`) of every column but the target.
    seed
        Picks the texts that are kept where there are more than 1,000.

    Raises
    ------
    ValueError
        Where the target or a kind is missing, or no row is labelled.
    """
    labelled = _labelled(frame, target, kinds)
    rng = np.random.default_rng(seed)
    numbers: dict[Hashable, np.ndarray] = {}
    for name in labelled.columns.drop(target):
        if kinds[name] != "id" and is_measured(labelled[name], kinds[name]):
            numbers[name] = codes_of(labelled[name])
    columns = [_column(labelled[n], kinds.get(n, "target"), numbers) for n in labelled.columns]
    drawn = [column for column in columns if column["kind"] not in ("id", "target")]
    classes, matrices = [], []
    for label, rows in labelled.groupby(target, sort=True):
        one, matrix = _fit_class(rows, drawn, rng)
        classes.append({"label": _plain(label), **one})
        matrices.append(matrix)
    weights = np.array([one["rows"] for one in classes], dtype="float64")[:, None, None]
    known = ~np.isnan(np.array(matrices))
    pooled = np.nansum(weights * matrices, axis=0) / np.maximum((weights * known).sum(axis=0), 1)
    unknown = np.all(~known, axis=0)
    for one, matrix in zip(classes, matrices, strict=True):
        own = one["rows"] / (one["rows"] + len(matrix))  # a class of few rows leans on all rows
        mixed = own * np.nan_to_num(matrix) + (1 - own) * pooled
        mixed = np.where(np.isnan(matrix), pooled, mixed)
        one["correlation"] = nearest_correlation(_completed(mixed, unknown)).tolist()
    return {"target": target, "columns": columns, "classes": classes}


def sample(model: Mapping[str, Any], rows: int, seed: int) -> pd.DataFrame:
    """Return new rows with the columns and dtypes of the fitted frame, in random order.

    Classes keep their shares to the nearest row. Identifiers are new: "synthetic-1", ... or
    numbers above the real ones. Raises ValueError for rows < 1.
    """
    if rows < 1:
        raise ValueError(f"rows: expected at least 1, found {rows}; ask for more")
    rng = np.random.default_rng(seed)
    columns, classes = model["columns"], model["classes"]
    sizes = [one["rows"] for one in classes]
    shares = np.cumsum(sizes) / sum(sizes)
    counts = np.diff(np.rint(shares * rows).astype("int64"), prepend=0)
    parts = [
        _sample_class(one, columns, count, rng) for one, count in zip(classes, counts, strict=True)
    ]
    labels = np.repeat(np.array([one["label"] for one in classes], dtype=object), counts)
    order = rng.permutation(rows)
    table: dict[str, pd.Series] = {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "id":
            values = _new_ids(rows, column["above"])
        elif name == model["target"]:
            values = labels[order]
        else:
            values = np.concatenate([part[name] for part in parts])[order]
        table[name] = _typed(values, column["dtype"])
    return pd.DataFrame(table)


def nearest_correlation(matrix: np.ndarray, smallest: float = 1e-6) -> np.ndarray:
    """Return a correlation matrix close to a symmetric one, shape (d, d).

    Negative eigenvalues are raised, the diagonal is set to 1. Spectral method of Rebonato and
    Jäckel (1999); Higham (2002) gives the nearest one at a higher price. A matrix that is positive
    definite already stays as it is.
    """
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= smallest:
        return matrix
    positive = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(positive))
    correlation: np.ndarray = positive * np.outer(scale, scale)
    return correlation


def _labelled(frame: pd.DataFrame, target: str, kinds: Mapping[str, str]) -> pd.DataFrame:
    """Return the labelled rows without infinite numbers; raise ValueError as `fit`."""
    without_kind = [name for name in frame.columns if name != target and name not in kinds]
    missing = f"a kind for {without_kind}" if without_kind else ""
    if target not in frame.columns:
        missing = f"the target {target!r}"
    if missing:
        found = f"found columns {list(frame.columns)}"
        raise ValueError(f"copula: expected {missing}; {found}; correct the arguments")
    labelled = frame[frame[target].notna()].replace([np.inf, -np.inf], np.nan)
    if labelled.empty:
        raise ValueError("copula: expected labelled rows, found none; fit on rows with a label")
    return labelled


def _column(values: pd.Series, kind: str, numbers: Mapping[Hashable, np.ndarray]) -> dict[str, Any]:
    """Return what all classes share of a column.

    dtype, decimals of numbers, order of levels, or the largest real number of an id. `numbers`:
    the columns that are drawn as numbers or days.
    """
    column: dict[str, Any] = {"name": values.name, "kind": kind, "dtype": str(values.dtype)}
    is_number = is_numeric_dtype(values.dtype)
    if kind == "target":
        return column
    if kind == "id":
        largest = int(np.nan_to_num(values.max())) if is_number else None
        return column | {"above": largest}
    if values.name in numbers:
        decimals = _decimals(numbers[values.name][values.notna().to_numpy()])
        # Times of day: any fraction of a day.
        return column | {"decimals": decimals if is_number or not decimals else None}
    levels = [] if kind == "text" else _ordered_levels(values, numbers.values())
    return column | {"levels": levels}


def _decimals(numbers: np.ndarray) -> int | None:
    """Return how many decimals, up to 6, write all numbers; None where more are needed."""
    for decimals in range(7):
        if (np.round(numbers, decimals) == numbers).all():
            return decimals
    return None


def _new_ids(rows: int, above: int | None) -> np.ndarray:
    """Return identifiers that no real row has."""
    numbers = np.arange(rows) + (above or 0) + 1
    return numbers if above is not None else np.array([f"synthetic-{n}" for n in numbers], object)


def is_measured(values: pd.Series, kind: str) -> bool:
    """Return whether a column is drawn as numbers or days; otherwise it is drawn as levels."""
    is_number = is_numeric_dtype(values.dtype) and kind not in ("categorical", "text")
    return is_number or is_datetime64_any_dtype(values.dtype)


def _ordered_levels(values: pd.Series, partners: Iterable[np.ndarray]) -> list[Any]:
    """Return levels by their mean rank in the column of numbers that differs most between them."""
    codes, levels = pd.factorize(values, sort=True)
    frequency = np.bincount(codes[codes >= 0], minlength=len(levels))
    best, order = 0.0, np.argsort(-frequency, kind="stable")
    for partner in partners:
        both = (codes >= 0) & ~np.isnan(partner)
        ranks = pd.Series(partner[both]).rank(pct=True).to_numpy(copy=True)
        ranks -= ranks.mean() if len(ranks) else 0
        counts = np.bincount(codes[both], minlength=len(levels))
        sums = np.bincount(codes[both], ranks, minlength=len(levels))
        between = float((sums**2 / np.maximum(counts, 1)).sum() / max((ranks**2).sum(), 1e-12))
        if between > best + 1e-9:
            best, order = between, np.argsort(sums / np.maximum(counts, 1), kind="stable")
    return [_plain(levels[i]) for i in order]


def _fit_class(
    rows: pd.DataFrame, columns: list[dict[str, Any]], rng: np.random.Generator
) -> tuple[dict[str, Any], np.ndarray]:
    """Return ({"rows", "margins", "texts"}, hidden correlations) of the rows of one class.

    The correlations, shape (2c, 2c), are those of the normals behind c values, then c missing
    marks; NaN where not known.
    """
    one: dict[str, Any] = {"rows": len(rows), "margins": {}, "texts": {}}
    scores, curves = [], []
    for column in columns:
        name, values = column["name"], rows[column["name"]]
        is_text = column["kind"] == "text"
        if is_text:
            one["texts"][name] = _kept_texts(values, rng)
        codes = codes_of(values, one["texts"].get(name, column.get("levels")))
        marginal = marginals.fit(codes, are_levels="levels" in column)
        marginal["missing"] = float(values.isna().mean())
        one["margins"][name] = marginal
        unknown = np.full(len(rows), np.nan)
        scores.append(unknown if is_text else marginals.scores(marginal, codes))
        curves.append(marginals.hermite(marginal))
    for column in columns:
        mark = rows[column["name"]].isna().to_numpy(dtype="float64")
        of_mark = marginals.fit(mark, are_levels=True)
        scores.append(marginals.scores(of_mark, mark))
        curves.append(marginals.hermite(of_mark))
    return one, _hidden_correlations(scores, curves)


def _kept_texts(values: pd.Series, rng: np.random.Generator) -> list[Any]:
    distinct = values.dropna().drop_duplicates().to_numpy(dtype=object)
    if len(distinct) > MAX_TEXTS:
        distinct = rng.choice(distinct, MAX_TEXTS, replace=False)
    return list(distinct)


def _hidden_correlations(scores: list[np.ndarray], curves: list[np.ndarray]) -> np.ndarray:
    """Return the correlations of the hidden normals behind the scores; NaN where not known.

    Observed correlations of scores are those of step functions of normals, and weaker; each is
    traced back to that of the normals (NORTA, Cario and Nelson 1997), where `marginals.hermite`
    gives the relation.
    """
    table = pd.DataFrame(dict(enumerate(scores)), dtype="float64")
    observed = table.corr(min_periods=MIN_PAIRS).to_numpy()
    powers = _R ** np.arange(1, marginals.DEGREES + 1)[:, None]
    hidden = np.full(observed.shape, np.nan)
    for i in range(len(scores)):
        for j in np.flatnonzero(~np.isnan(observed[i, :i])):
            rising = np.maximum.accumulate((curves[i] * curves[j]) @ powers)
            hidden[i, j] = hidden[j, i] = np.interp(observed[i, j], rising, _R)
    np.fill_diagonal(hidden, 1.0)
    return hidden


def _completed(matrix: np.ndarray, unknown: np.ndarray, sweeps: int = 30) -> np.ndarray:
    """Return the matrix with its unknown entries filled in, as of a value and its missing mark.

    They become what the other columns imply: no partial correlation (the completion with the
    largest determinant, Dempster 1972, "Covariance selection"). So a value is missing at random
    given the other columns.
    """
    filled = matrix.copy()
    i, j = np.nonzero(np.triu(unknown, 1))
    for _ in range(sweeps if len(i) else 0):
        near = nearest_correlation(filled, smallest=0.02)
        inverse = np.linalg.inv(near)
        step = inverse[i, j] / (inverse[i, i] * inverse[j, j] - inverse[i, j] ** 2)
        filled[i, j] = filled[j, i] = np.clip(near[i, j] + step / 2, -_LIMIT, _LIMIT)
    return filled


def _sample_class(
    one: Mapping[str, Any], columns: list[dict[str, Any]], rows: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Return `rows` values of every column that is drawn, in no order."""
    margins, by_name = one["margins"], {column["name"]: column for column in columns}
    size = 2 * len(margins)
    correlation = np.array(one["correlation"], dtype="float64").reshape(size, size)
    eigenvalues, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T
    normal = rng.standard_normal((rows, size)) @ root
    drawn = {}
    for value, (name, marginal) in enumerate(margins.items()):
        column, missing_share = by_name[name], marginal["missing"]
        mark = len(margins) + value
        is_missing = ndtr(normal[:, mark]) >= 1 - missing_share
        with_mark = float(correlation[value, mark])
        quantile = marginals.present_share(normal[:, value], missing_share, with_mark)
        values = marginals.values_at(marginal, quantile)
        if "decimals" in column:
            if column["decimals"] is not None:
                values = np.round(values, column["decimals"])
            drawn[name] = np.where(is_missing, np.nan, values)
        else:
            levels = np.array([*one["texts"].get(name, column["levels"]), None], dtype=object)
            codes = np.where(is_missing | np.isnan(values), -1, np.nan_to_num(values))
            drawn[name] = levels[codes.astype("int64")]
    return drawn


def codes_of(values: pd.Series, levels: Iterable[Any] | None = None) -> np.ndarray:
    """Return a column as float64, shape (rows,), missing and infinite cells as NaN.

    Numbers, days since 1970, or positions in `levels`.
    """
    if levels is not None:
        positions = values.map({level: position for position, level in enumerate(levels)})
        return positions.to_numpy("float64", na_value=np.nan)
    if is_datetime64_any_dtype(values.dtype):
        return days(values)
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isinf(numbers), np.nan, numbers)


def _typed(values: np.ndarray, dtype: str) -> pd.Series:
    if dtype.startswith("datetime64"):
        micro = pd.Series(np.rint(np.asarray(values, dtype="float64") * 86_400e6)).astype("Int64")
        return pd.Series(pd.to_datetime(micro, unit="us"), dtype=dtype)
    return pd.Series(values, dtype=dtype)


def _plain(value: Any) -> Any:
    """Return a NumPy scalar as a Python one."""
    return value.item() if isinstance(value, np.generic) else value
