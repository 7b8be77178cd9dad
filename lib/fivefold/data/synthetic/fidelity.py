"""Fidelity: how close a synthetic table is to the real one, by column, by pair, and by what can be learnt from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.two_sample import ks_distance, total_variation
from fivefold.data.parsing import days
from fivefold.data.synthetic import copula

MIN_VALUES = 20  # fewer values on either side: not judged
MIN_CLASS = 10  # fewer rows of a class in training or held-back rows: not judged


def assess(
    frame: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int = 0,
    held_share: float = 0.3,
) -> dict[str, Any]:
    """The fidelity of a copula that was fitted on 70% of a typed table, judged on the other 30%.

    Splits at random by class, fits, draws as many rows as it was fitted on, and calls `fidelity`. The rows that
    judge have been seen neither by the copula nor by a classifier. Raises ValueError as `copula.fit`.
    """
    frame = frame[frame[target].notna()].reset_index(drop=True)
    order = np.random.default_rng(seed).permutation(len(frame))
    place = frame.iloc[order].groupby(target, sort=True).cumcount()
    sizes = frame[target].map(frame[target].value_counts())
    held = (
        (place < (sizes * held_share).reindex(place.index).astype("float64"))
        .reindex(frame.index)
        .to_numpy()
    )
    real = frame[~held]
    made = copula.sample(copula.fit(real, target, kinds, seed), len(real), seed + 1)
    return fidelity(real, frame[held], made, target, kinds, seed)


def fidelity(
    real: pd.DataFrame,
    held_back: pd.DataFrame,
    synthetic: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int = 0,
) -> dict[str, Any]:
    """Plain data on how `synthetic` compares with `real`, the rows that the generator learnt from.

    `held_back` are further real rows that the generator has not seen; they only judge the two classifiers.

    "columns": for each column a statistic in [0, 1] between the values present (0 is equal): "KS", the largest
    difference of the distribution functions, of numbers, booleans and dates; "TV", half the sum of absolute
    differences of shares, of levels. `noise` of KS: two samples of one distribution exceed it once in twenty
    times (Smirnov 1948), less often with ties or when one was fitted to the other. `value` is None, with a
    `reason`, where it cannot be judged. "correlation_error": mean and largest absolute difference of Spearman
    correlations, over pairs of numbers and dates. "utility": ROC AUC on the held-back rows of a classifier
    trained on real and one on synthetic rows.
    """
    columns = [
        _compare_column(name, kinds.get(name, "target"), real[name], synthetic[name])
        for name in real.columns
    ]
    return {
        "rows_real": len(real),
        "rows_synthetic": len(synthetic),
        "columns": columns,
        "correlation_error": _correlation_error(real, synthetic, target, kinds),
        "utility": _utility(real, held_back, synthetic, target, kinds, seed),
    }


def level_distance(a: pd.Series, b: pd.Series) -> float:
    """Return the total variation of the levels of two columns without missing values.

    >>> level_distance(pd.Series(["x", "x", "y", "y"]), pd.Series(["x", "x", "x", "z"]))
    0.5
    """
    counts, others = a.value_counts().align(b.value_counts(), fill_value=0)
    return total_variation(counts.to_numpy("float64"), others.to_numpy("float64"), (len(a), len(b)))


def _compare_column(name: str, kind: str, real: pd.Series, synthetic: pd.Series) -> dict[str, Any]:
    number = _is_number(real)
    found: dict[str, Any] = {
        "column": name,
        "kind": kind,
        "statistic": "KS" if number and kind not in ("id", "target") else "TV",
        "value": None,
        "noise": None,
        "reason": "",
        "missing_real": float(real.isna().mean()),
        "missing_synthetic": float(synthetic.isna().mean()),
    }
    a, b = real.dropna(), synthetic.dropna()
    if kind in ("id", "text"):
        found |= {
            "statistic": None,
            "reason": {"id": "identifiers are new", "text": "texts are copies"}[kind],
        }
    elif min(len(a), len(b)) < MIN_VALUES:
        found["reason"] = f"fewer than {MIN_VALUES} values"
    elif found["statistic"] == "TV":
        found["value"] = level_distance(a, b)
    else:
        found["value"] = ks_distance(_numbers(a), _numbers(b))
        found["noise"] = float(
            np.sqrt(-np.log(0.05 / 2) / 2 * (len(a) + len(b)) / (len(a) * len(b)))
        )
    return found


def _correlation_error(
    real: pd.DataFrame, synthetic: pd.DataFrame, target: str, kinds: Mapping[str, str]
) -> dict[str, Any]:
    names = [
        name
        for name in real.columns
        if name != target and kinds[name] in ("numeric", "date") and _is_number(real[name])
    ]
    matrices = [
        pd.DataFrame({name: _numbers(table[name]) for name in names}, dtype="float64")
        .corr(method="spearman", min_periods=MIN_VALUES)
        .to_numpy()
        for table in (real, synthetic)
    ]
    apart = np.abs(matrices[0] - matrices[1])[np.triu_indices(len(names), 1)]
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return {
            "mean": None,
            "max": None,
            "pairs": 0,
            "reason": "no two columns of numbers that vary",
        }
    return {
        "mean": float(apart.mean()),
        "max": float(apart.max()),
        "pairs": len(apart),
        "reason": "",
    }


def _utility(
    real: pd.DataFrame,
    held_back: pd.DataFrame,
    synthetic: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "train_real": None,
        "train_synthetic": None,
        "lost": None,
        "rows_held_back": len(held_back),
        "reason": "",
    }
    labels = sorted(real[target].dropna().unique())
    smallest = min(
        (
            int((table[target] == label).sum())
            for label in labels
            for table in (real, held_back, synthetic)
        ),
        default=0,
    )
    used = [
        n
        for n in real.columns
        if n != target and kinds[n] in ("numeric", "boolean", "date", "categorical")
    ]
    if len(labels) != 2 or smallest < MIN_CLASS or not used:
        reason = (
            "no column to learn from"
            if not used
            else f"fewer than two classes of {MIN_CLASS} rows on every side"
        )
        return found | {"reason": reason if len(labels) <= 2 else f"{len(labels)} classes"}

    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    # Both classifiers see the same coding, taken from the real training rows; 255 levels are what the trees allow.
    levels = {n: real[n].value_counts().index[:254] for n in used if not _is_number(real[n])}
    tables = [
        np.column_stack([_coded(table[n], levels.get(n)) for n in used])
        for table in (real, synthetic, held_back)
    ]
    truth = (held_back[target] == labels[1]).to_numpy()
    known = held_back[target].notna().to_numpy()
    for key, name, table in (
        ("train_real", real, tables[0]),
        ("train_synthetic", synthetic, tables[1]),
    ):
        rows = name[target].notna().to_numpy()
        model = HistGradientBoostingClassifier(
            max_iter=100,
            learning_rate=0.1,
            max_leaf_nodes=15,
            early_stopping=False,
            categorical_features=[n in levels for n in used],
            random_state=seed,
        )
        model.fit(table[rows], (name[target] == labels[1]).to_numpy()[rows])
        found[key] = float(roc_auc_score(truth[known], model.predict_proba(tables[2][known])[:, 1]))
    return found | {"lost": found["train_real"] - found["train_synthetic"]}


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values.dtype) or pd.api.types.is_datetime64_any_dtype(
        values.dtype
    )


def _numbers(values: pd.Series) -> np.ndarray:
    """Numbers, booleans as 0 and 1, dates in days, as float64; infinite ones as missing."""
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return days(values)
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isinf(numbers), np.nan, numbers)


def _coded(values: pd.Series, levels: pd.Index | None) -> np.ndarray:
    if levels is None:
        return _numbers(values)
    return values.map({level: place for place, level in enumerate(levels)}).to_numpy(
        "float64", na_value=np.nan
    )
