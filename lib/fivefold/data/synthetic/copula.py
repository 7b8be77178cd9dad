"""A Gaussian copula for tables: learn the columns and how they go together, per class, and draw new rows.

Each class of the target has its own model: per column the distribution of its values, and one correlation matrix
of hidden normal variables behind all of them (Nelsen 2006, "An Introduction to Copulas"; Patki, Wedge and
Veeramachaneni 2016, "The Synthetic Data Vault"). Whether a cell is missing has a hidden variable of its own, so
missing cells go together as in the real table. A model is plain lists and dicts, ready for JSON.

What it cannot carry: relations that are not monotone, or that need three columns at once, beyond what the target
conveys. Levels without order go together only along the one order they are given here. Where missing cells follow
closely from other columns, correlations among the cells present come out somewhat low. It promises no privacy:
extremes, frequent values and texts are those of real rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
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
    """The model of a typed table of at least one row: plain data, for `sample`.

    `kinds` says for every column but the target what it is (`fivefold.core.scope.KINDS`). `seed` picks the texts kept where
    there are more than 1,000. Column names are texts. Rows without a label are left out; infinite numbers count
    as missing. Raises ValueError where the target or a kind is missing or no row is labelled.
    """
    features = [name for name in frame.columns if name != target]
    if target not in frame.columns or (lacking := [name for name in features if name not in kinds]):
        what = f"a kind for {lacking}" if target in frame.columns else f"the target {target!r}"
        raise ValueError(
            f"copula: expected {what}; found columns {list(frame.columns)}; correct the arguments"
        )
    labelled = frame[frame[target].notna()].replace([np.inf, -np.inf], np.nan)
    if labelled.empty:
        raise ValueError("copula: expected labelled rows, found none; fit on rows with a label")
    rng = np.random.default_rng(seed)
    columns = [
        _column(labelled, name, kinds.get(name, "target"), features, kinds)
        for name in frame.columns
    ]
    drawn = [column for column in columns if column["kind"] not in ("id", "target")]
    classes, matrices = [], []
    for label, rows in labelled.groupby(target, sort=True):
        one, matrix = _fit_class(rows, drawn, rng)
        classes.append({"label": _plain(label), **one})
        matrices.append(matrix)
    weights = np.array([one["rows"] for one in classes], dtype="float64")[:, None, None]
    known = ~np.isnan(np.array(matrices))
    pooled = np.nansum(weights * matrices, axis=0) / np.maximum((weights * known).sum(axis=0), 1)
    for one, matrix in zip(classes, matrices, strict=True):
        own = one["rows"] / (one["rows"] + len(matrix))  # a class of few rows leans on all rows
        mixed = np.where(np.isnan(matrix), pooled, own * np.nan_to_num(matrix) + (1 - own) * pooled)
        one["correlation"] = nearest_correlation(_completed(mixed, np.all(~known, axis=0))).tolist()
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
    parts = [
        _sample_class(one, columns, int(count), rng)
        for one, count in zip(classes, counts, strict=True)
    ]
    labels = np.repeat(np.array([one["label"] for one in classes], dtype=object), counts)
    order = rng.permutation(rows)
    made: dict[str, pd.Series] = {}
    for column in columns:
        name = column["name"]
        if column["kind"] == "id":
            numbers = np.arange(rows) + (column["above"] or 0) + 1
            values = (
                numbers
                if column["above"] is not None
                else np.array([f"synthetic-{n}" for n in numbers], object)
            )
        else:
            values = (labels if name == target else np.concatenate([part[name] for part in parts]))[
                order
            ]
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


def _column(
    frame: pd.DataFrame, name: str, kind: str, features: list[str], kinds: Mapping[str, str]
) -> dict[str, Any]:
    """What all classes share of a column: dtype, decimals of numbers, order of levels, where new ids begin."""
    values = frame[name]
    column: dict[str, Any] = {"name": name, "kind": kind, "dtype": str(values.dtype)}
    number = pd.api.types.is_numeric_dtype(values.dtype)
    if kind == "id":
        column["above"] = int(np.nan_to_num(values.max())) if number and len(values) else None
    elif kind != "target" and _measured(values, kind):
        present = _codes(values, None)[values.notna().to_numpy()]
        column["decimals"] = next(
            (d for d in range(7) if (np.round(present, d) == present).all()), None
        )
        if not number and column["decimals"]:
            column["decimals"] = None  # times of day: any fraction of a day
    elif kind != "target":
        partners = [
            _codes(frame[n], None)
            for n in features
            if kinds[n] != "id" and _measured(frame[n], kinds[n])
        ]
        column["levels"] = [] if kind == "text" else _ordered_levels(values, partners)
    return column


def _measured(values: pd.Series, kind: str) -> bool:
    """Whether a column is drawn as numbers or days; otherwise it is drawn as levels."""
    number = pd.api.types.is_numeric_dtype(values.dtype) and kind not in ("categorical", "text")
    return number or pd.api.types.is_datetime64_any_dtype(values.dtype)


def _ordered_levels(values: pd.Series, partners: list[np.ndarray]) -> list[Any]:
    """Levels in the order of their mean rank in the column of numbers that differs most between them."""
    codes, levels = pd.factorize(values, sort=True)
    best, order = (
        0.0,
        np.argsort(-np.bincount(codes[codes >= 0], minlength=len(levels)), kind="stable"),
    )
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
    """({"rows", "margins", "texts"}, hidden correlations) of the rows of one class.

    The correlations, shape (2c, 2c), are those of the normals behind c values, then c missing marks; NaN where not
    known. Observed correlations of scores are those of step functions of normals, and weaker; each is traced
    back to that of the normals (NORTA, Cario and Nelson 1997), where `margins.hermite` gives the relation.
    """
    made: dict[str, Any] = {"rows": len(rows), "margins": {}, "texts": {}}
    marks, scores, curves = [], [], []
    for column in columns:
        name, values = column["name"], rows[column["name"]]
        if column["kind"] == "text":
            kept = values.dropna().drop_duplicates().to_numpy(dtype=object)
            made["texts"][name] = list(
                kept if len(kept) <= MAX_TEXTS else rng.choice(kept, MAX_TEXTS, replace=False)
            )
        codes = _codes(values, made["texts"].get(name, column.get("levels")))
        margin = made["margins"][name] = (
            marginals.of_numbers if "decimals" in column else marginals.of_codes
        )(codes)
        margin["missing"] = float(values.isna().mean())
        mark = values.isna().to_numpy(dtype="float64")
        marks.append(
            (
                marginals.scores(marginals.of_codes(mark), mark),
                marginals.hermite(marginals.of_codes(mark)),
            )
        )
        scores.append(
            marginals.scores(margin, codes)
            if column["kind"] != "text"
            else np.full(len(rows), np.nan)
        )
        curves.append(marginals.hermite(margin))
    scores, curves = scores + [score for score, _ in marks], curves + [curve for _, curve in marks]
    observed = (
        pd.DataFrame(dict(enumerate(scores)), dtype="float64")
        .corr(min_periods=MIN_PAIRS)
        .to_numpy()
    )
    powers = _R ** np.arange(1, marginals.DEGREES + 1)[:, None]
    hidden = np.full(observed.shape, np.nan)
    for i in range(len(scores)):
        for j in np.flatnonzero(~np.isnan(observed[i, :i])):
            rising = np.maximum.accumulate((curves[i] * curves[j]) @ powers)
            hidden[i, j] = hidden[j, i] = np.interp(observed[i, j], rising, _R)
    np.fill_diagonal(hidden, 1.0)
    return made, hidden


def _completed(matrix: np.ndarray, unknown: np.ndarray, sweeps: int = 30) -> np.ndarray:
    """The matrix with the entries that no row can show filled in, as a value and its own missing mark.

    They become what the other columns imply: no partial correlation (the completion with the largest determinant,
    Dempster 1972, "Covariance selection"). So a value is missing at random given the other columns.
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
    """`rows` values of every column that is drawn, in no order."""
    correlation = np.array(one["correlation"], dtype="float64").reshape(
        (2 * len(one["margins"]),) * 2
    )
    values, vectors = np.linalg.eigh(correlation)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    normal = rng.standard_normal((rows, len(values))) @ root
    made, names = {}, list(one["margins"])
    for column in columns:
        if (name := column["name"]) not in one["margins"]:
            continue
        margin, value, mark = (
            one["margins"][name],
            names.index(name),
            len(names) + names.index(name),
        )
        gone = ndtr(normal[:, mark]) >= 1 - margin["missing"]
        drawn: np.ndarray = marginals.values_at(
            margin,
            marginals.present_share(
                normal[:, value], margin["missing"], float(correlation[value, mark])
            ),
        )
        if "decimals" in column:
            drawn = drawn if column["decimals"] is None else np.round(drawn, column["decimals"])
            made[name] = np.where(gone, np.nan, drawn)
        else:
            levels = np.array([*one["texts"].get(name, column["levels"]), None], dtype=object)
            made[name] = levels[
                np.where(gone | np.isnan(drawn), -1, np.nan_to_num(drawn)).astype("int64")
            ]
    return made


def _codes(values: pd.Series, levels: list[Any] | None) -> np.ndarray:
    """A column as float64, shape (rows,): numbers, days since 1970, or places in `levels`; missing as NaN."""
    if levels is not None:
        return values.map({level: place for place, level in enumerate(levels)}).to_numpy(
            "float64", na_value=np.nan
        )
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return days(values)
    return values.to_numpy(dtype="float64", na_value=np.nan)


def _typed(values: np.ndarray, dtype: str) -> pd.Series:
    if dtype.startswith("datetime64"):
        micro = pd.Series(np.rint(np.asarray(values, dtype="float64") * 86_400e6)).astype("Int64")
        return pd.Series(pd.to_datetime(micro, unit="us"), dtype=dtype)  # type: ignore[call-overload]
    return pd.Series(values, dtype=dtype)


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python one."""
    return value.item() if isinstance(value, np.generic) else value
