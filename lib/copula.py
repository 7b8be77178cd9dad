"""A Gaussian copula for tables: learn the columns and how they go together, per class, and draw new rows.

Each class of the target has its own model: per column the distribution of its values, and one correlation matrix
of hidden normal variables behind all of them (Nelsen 2006, "An Introduction to Copulas"; Patki, Wedge and
Veeramachaneni 2016, "The Synthetic Data Vault"). Whether a cell is missing has a hidden variable of its own, so
missing cells go together as in the real table. A model is plain lists and dicts, ready for JSON.

What it cannot carry: relations that are not monotone, or that need three columns at once, beyond what the target
conveys; levels without order go together only along the one order they are given here. It promises no privacy:
extremes, frequent values and texts are those of real rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

POINTS = 512           # quantiles kept for the continuous part of a column
ATOM_SHARE = 0.005     # a number with at least this share (and 3 rows) is a value of its own, as balance = 0
MAX_TEXTS = 1000       # distinct texts kept per class
MIN_PAIRS = 10         # fewer rows in which both are present: the correlation of all classes is taken
_LIMIT = 0.995         # largest hidden correlation, so that no column becomes a copy of another
_Z = np.linspace(-8, 8, 4001)
_R = np.linspace(-_LIMIT, _LIMIT, 399)
_DEGREES = 40


def fit(frame: pd.DataFrame, target: str, kinds: Mapping[str, str], seed: int = 0) -> dict[str, Any]:
    """The model of a typed table of at least one row: plain data, for `sample`.

    `kinds` says for every column but the target what it is (`lib.scope.KINDS`). `seed` picks the texts kept where
    there are more than 1,000. Rows without a label are left out. Raises ValueError where the target or a kind is
    missing or no row is labelled.
    """
    features = [str(name) for name in frame.columns if name != target]
    if target not in frame.columns or (lacking := [name for name in features if name not in kinds]):
        what = f"a kind for {lacking}" if target in frame.columns else f"the target {target!r}"
        raise ValueError(f"copula: expected {what}; found columns {list(frame.columns)}; correct the arguments")
    labelled = frame[frame[target].notna()]
    if labelled.empty:
        raise ValueError("copula: expected labelled rows, found none; fit on rows with a label")
    rng = np.random.default_rng(seed)
    columns = [_column(labelled, name, kinds.get(name, "target"), features, kinds) for name in map(str, frame.columns)]
    drawn = [column for column in columns if column["kind"] not in ("id", "target")]
    classes, matrices = [], []
    for label, rows in labelled.groupby(target, sort=True):
        margins = {column["name"]: _margin(rows[column["name"]], column, rng) for column in drawn}
        classes.append({"label": _plain(label), "rows": len(rows), "margins": margins})
        matrices.append(_hidden_correlations(rows, drawn, margins))
    weights = np.array([one["rows"] for one in classes], dtype="float64")[:, None, None]
    known = ~np.isnan(matrices)
    pooled = np.nansum(weights * matrices, axis=0) / np.maximum((weights * known).sum(axis=0), 1)
    for one, matrix in zip(classes, matrices, strict=True):
        own = one["rows"] / (one["rows"] + len(matrix))  # a class of few rows leans on all rows
        mixed = np.where(np.isnan(matrix), pooled, own * np.nan_to_num(matrix) + (1 - own) * pooled)
        one["correlation"] = np.round(nearest_correlation(mixed), 6).tolist()
    return {"format": 1, "target": target, "columns": columns, "classes": classes}


def sample(model: Mapping[str, Any], rows: int, seed: int) -> pd.DataFrame:
    """`rows` new rows with the columns, their order and dtypes of the fitted frame, in random order.

    Classes keep their shares to the nearest row. Identifiers are new: "synthetic-1", ... or numbers above the real
    ones. Raises ValueError for rows < 1.
    """
    if rows < 1:
        raise ValueError(f"rows: expected at least 1, found {rows}; ask for more")
    rng = np.random.default_rng(seed)
    target, columns, classes = model["target"], model["columns"], model["classes"]
    shares = np.cumsum([one["rows"] for one in classes]) / sum(one["rows"] for one in classes)
    counts = np.diff(np.rint(shares * rows).astype("int64"), prepend=0)
    parts = [_sample_class(one, columns, int(count), rng) for one, count in zip(classes, counts, strict=True)]
    labels = np.repeat(np.array([one["label"] for one in classes], dtype=object), counts)
    order = rng.permutation(rows)
    made: dict[str, pd.Series] = {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "id":
            numbers = np.arange(rows) + (column["above"] or 0) + 1
            values = numbers if column["above"] is not None else np.array([f"synthetic-{n}" for n in numbers], object)
        else:
            values = (labels if name == target else np.concatenate([part[name] for part in parts]))[order]
        made[name] = _typed(values, column["dtype"])
    return pd.DataFrame(made)


def nearest_correlation(matrix: np.ndarray, smallest: float = 1e-6) -> np.ndarray:
    """A correlation matrix close to a symmetric one, shape (d, d): negative eigenvalues raised, diagonal set to 1.

    Spectral method of Rebonato and Jäckel (1999); Higham (2002) gives the nearest one at a higher price. A matrix
    that is positive definite already stays as it is.
    """
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh(matrix)
    if values[0] >= smallest:
        return matrix
    mended = (vectors * np.maximum(values, smallest)) @ vectors.T
    scale = 1 / np.sqrt(np.diag(mended))
    return mended * np.outer(scale, scale)


def _column(frame: pd.DataFrame, name: str, kind: str, features: list[str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """What all classes share of a column: dtype, decimals of numbers, order of levels, where new ids begin."""
    values = frame[name]
    column: dict[str, Any] = {"name": name, "kind": kind, "dtype": str(values.dtype)}
    number = pd.api.types.is_numeric_dtype(values.dtype)
    if kind == "id":
        column["above"] = int(np.nan_to_num(values.max())) if number and len(values) else None
    elif kind in ("numeric", "boolean", "date") and (number or kind == "date"):
        present = _numbers(values)[values.notna().to_numpy()]
        column["decimals"] = next((d for d in range(7) if (np.round(present, d) == present).all()), None)
        if kind == "date" and column["decimals"]:
            column["decimals"] = None  # times of day: any fraction of a day
    elif kind != "target":
        partners = [_numbers(frame[other]) for other in features if kinds[other] in ("numeric", "date", "boolean")
                    and (pd.api.types.is_numeric_dtype(frame[other].dtype) or kinds[other] == "date")]
        column["levels"] = [] if kind == "text" else _ordered_levels(values, partners)
    return column


def _ordered_levels(values: pd.Series, partners: list[np.ndarray]) -> list[Any]:
    """Levels in the order of their mean rank in the column of numbers that differs most between them."""
    codes, levels = pd.factorize(values, sort=True)
    best, order = 0.0, np.argsort(-np.bincount(codes[codes >= 0], minlength=len(levels)), kind="stable")
    for partner in partners:
        both = (codes >= 0) & ~np.isnan(partner)
        ranks = pd.Series(partner[both]).rank(pct=True).to_numpy() - 0.5
        counts = np.bincount(codes[both], minlength=len(levels))
        sums = np.bincount(codes[both], ranks, minlength=len(levels))
        between = float((sums**2 / np.maximum(counts, 1)).sum() / max((ranks**2).sum(), 1e-12))
        if between > best + 1e-9:
            best, order = between, np.argsort(sums / np.maximum(counts, 1), kind="stable")
    return [_plain(levels[i]) for i in order]


def _margin(values: pd.Series, column: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """One column in one class: share missing, and pieces from low to high, each with its share.

    A piece is a grid of equally likely steps between values; with one value it is an atom. Levels and texts are
    numbered, and every one is an atom.
    """
    present = values.dropna()
    margin: dict[str, Any] = {"missing": 1 - len(present) / len(values)}
    if "levels" in column:
        if column["kind"] == "text":
            texts = pd.unique(present)
            margin["texts"] = list(texts if len(texts) <= MAX_TEXTS else rng.choice(texts, MAX_TEXTS, replace=False))
        counts = present.value_counts().reindex(margin.get("texts", column["levels"]), fill_value=0).to_numpy()
        pieces = [([float(i)], int(n)) for i, n in enumerate(counts) if n]
    else:
        pieces = _pieces(np.sort(_numbers(present)))
    total = sum(count for _, count in pieces)
    margin["pieces"] = [{"share": count / total, "grid": grid} for grid, count in pieces]
    return margin


def _pieces(ordered: np.ndarray) -> list[tuple[list[float], int]]:
    """(grid, rows) from low to high: frequent values alone, what lies between two of them as quantiles."""
    distinct, counts = np.unique(ordered, return_counts=True)
    atom = counts >= max(3, ATOM_SHARE * len(ordered))
    pieces: list[tuple[list[float], int]] = []
    for run in np.split(np.arange(len(distinct)), np.flatnonzero(atom[1:] | atom[:-1]) + 1):
        rows = int(counts[run].sum())
        points = min(rows, max(2, round(POINTS * rows / max(len(ordered), 1)))) if len(run) > 1 else 1
        inside = np.repeat(distinct[run], counts[run])
        if rows:
            pieces.append(([float(v) for v in np.quantile(inside, np.linspace(0, 1, points))], rows))
    return pieces


def _hidden_correlations(rows: pd.DataFrame, columns: list[dict[str, Any]], margins: dict[str, Any]) -> np.ndarray:
    """Correlations of the hidden normals, shape (2c, 2c): c values, then c missing marks; NaN where not known.

    The observed correlation of scores is that of step functions of two normals. With Hermite coefficients a, b it
    is sum_k a_k b_k r^k (Mehler's formula), rising in r; here it is solved for r (NORTA, Cario and Nelson 1997).
    """
    scores: list[np.ndarray] = []
    curves: list[np.ndarray] = []
    for column in columns:
        value, curve = _scores(_codes(rows[column["name"]], column, margins[column["name"]]), margins[column["name"]])
        scores.append(value)
        curves.append(curve)
    for column in columns:
        share = margins[column["name"]]["missing"]
        mark = {"pieces": [{"share": s, "grid": [v]} for s, v in ((1 - share, 0.0), (share, 1.0)) if s > 0]}
        value, curve = _scores(rows[column["name"]].isna().to_numpy(dtype="float64"), mark)
        scores.append(value)
        curves.append(curve)
    size = len(scores)
    observed = pd.DataFrame(dict(enumerate(scores)), dtype="float64").corr(min_periods=MIN_PAIRS).to_numpy(copy=True)
    hermite = _hermite(np.array(curves).reshape(size, len(_Z)))
    powers = _R ** np.arange(1, _DEGREES + 1)[:, None]
    hidden = np.full((size, size), np.nan)
    for i in range(size):
        for j in range(i):
            if not np.isnan(observed[i, j]):
                hidden[i, j] = hidden[j, i] = np.interp(observed[i, j], (hermite[i] * hermite[j]) @ powers, _R)
    np.fill_diagonal(hidden, 1.0)
    return hidden
