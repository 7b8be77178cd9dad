"""Fidelity: how close a synthetic table is to the real one.

By column, by pair, and by what can be learnt from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.roc_auc import roc_auc
from fivefold.core.two_sample import ks_test, total_variation
from fivefold.data.synthetic import copula

HELD_SHARE = 0.3
MIN_VALUES = 20  # fewer values on either side are not compared
MIN_CLASS = 10  # rows of a class that each side must have for a classifier
_NOT_COMPARED = {"id": "identifiers are new", "text": "texts are copies"}
_LEARNT_FROM = ("numeric", "boolean", "date", "categorical")


def assess(
    frame: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int = 0,
) -> dict[str, Any]:
    """Return the fidelity of a copula that was fitted on 70% of a typed table.

    Splits at random by class, fits, draws as many rows as it was fitted on, and calls `fidelity`.
    Neither the copula nor a classifier has seen the held-back rows. Raises ValueError as
    `copula.fit`.
    """
    frame = frame[frame[target].notna()].reset_index(drop=True)
    order = np.random.default_rng(seed).permutation(len(frame))
    labels = frame[target].iloc[order].groupby(frame[target])
    held = (labels.cumcount() < labels.transform("size") * HELD_SHARE).sort_index()
    real = frame[~held]
    synthetic = copula.sample(copula.fit(real, target, kinds, seed), len(real), seed + 1)
    return fidelity(real, frame[held], synthetic, target, kinds, seed)


def fidelity(
    real: pd.DataFrame,
    held_back: pd.DataFrame,
    synthetic: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int = 0,
) -> dict[str, Any]:
    """Return how `synthetic` compares with `real`, the rows that the generator learnt from.

    `held_back` are further real rows that the generator has not seen; only the two classifiers are
    scored on them. All rows have a label.

    Returns
    -------
    Plain dict. columns: for each column a statistic in [0, 1] between the present values (0 is
    equal): "KS", the largest difference of the distribution functions, of numbers, booleans and
    dates; "TV", half the sum of absolute differences of shares, of levels. `noise` of KS: two
    samples of one distribution exceed it once in twenty times (Smirnov 1948), less often with ties
    or when one was fitted to the other. `value` is None, with a `reason`, where there is none.
    correlation_error: mean and largest absolute difference of Spearman correlations, over pairs of
    numbers and dates. utility: ROC AUC on the held-back rows of a classifier trained on real and
    one on synthetic rows.
    """
    columns = [
        _compare_column(name, kinds.get(name, "target"), real[name], synthetic[name])
        for name in real.columns
    ]
    return {
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
    by_distribution = kind not in ("id", "target") and copula.is_measured(real, kind)
    result: dict[str, Any] = {
        "column": name,
        "kind": kind,
        "statistic": "KS" if by_distribution else "TV",
        "value": None,
        "noise": None,
        "reason": "",
        "missing_real": float(real.isna().mean()),
        "missing_synthetic": float(synthetic.isna().mean()),
    }
    a, b = real.dropna(), synthetic.dropna()
    if kind in _NOT_COMPARED:
        result["statistic"], result["reason"] = None, _NOT_COMPARED[kind]
    elif min(len(a), len(b)) < MIN_VALUES:
        result["reason"] = f"fewer than {MIN_VALUES} values"
    elif not by_distribution:
        result["value"] = level_distance(a, b)
    else:
        result["value"], _ = ks_test(copula.codes_of(a), copula.codes_of(b))
        square = -np.log(0.05 / 2) / 2 * (len(a) + len(b)) / (len(a) * len(b))
        result["noise"] = float(np.sqrt(square))
    return result


def _correlation_error(
    real: pd.DataFrame, synthetic: pd.DataFrame, target: str, kinds: Mapping[str, str]
) -> dict[str, Any]:
    measured = ("numeric", "date")
    names = [name for name in real.columns if name != target and kinds[name] in measured]
    difference = np.abs(_spearman(real, names) - _spearman(synthetic, names))
    differences = difference[np.triu_indices(len(names), 1)]
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        reason = "no two columns of numbers that vary"
        return {"mean": None, "max": None, "reason": reason}
    return {"mean": float(differences.mean()), "max": float(differences.max()), "reason": ""}


def _spearman(table: pd.DataFrame, names: list[str]) -> np.ndarray:
    numbers = pd.DataFrame({name: copula.codes_of(table[name]) for name in names}, dtype="float64")
    return numbers.corr(method="spearman", min_periods=MIN_VALUES).to_numpy()


def _utility(
    real: pd.DataFrame,
    held_back: pd.DataFrame,
    synthetic: pd.DataFrame,
    target: str,
    kinds: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:
    labels = sorted(real[target].unique())
    sizes = [
        int((table[target] == label).sum())
        for label in labels
        for table in (real, held_back, synthetic)
    ]
    used = [name for name in real.columns if name != target and kinds[name] in _LEARNT_FROM]
    reason = ""
    if len(labels) > 2:
        reason = f"{len(labels)} classes"
    elif not used:
        reason = "no column to learn from"
    elif len(labels) < 2 or min(sizes) < MIN_CLASS:
        reason = f"fewer than two classes of {MIN_CLASS} rows on every side"
    result: dict[str, Any] = {"train_real": None, "train_synthetic": None, "reason": reason}
    if reason:
        return result

    from sklearn.ensemble import HistGradientBoostingClassifier

    # Both classifiers see the coding of the real training rows; the trees allow 255 levels.
    levels = {n: real[n].value_counts().index[:254] for n in used if kinds[n] == "categorical"}

    def features(table: pd.DataFrame) -> np.ndarray:
        return np.column_stack([copula.codes_of(table[name], levels.get(name)) for name in used])

    truth = (held_back[target] == labels[1]).to_numpy()
    for key, table in (("train_real", real), ("train_synthetic", synthetic)):
        model = HistGradientBoostingClassifier(
            max_leaf_nodes=15,
            early_stopping=False,
            categorical_features=[name in levels for name in used],
            random_state=seed,
        )
        model.fit(features(table), (table[target] == labels[1]).to_numpy())
        probability = model.predict_proba(features(held_back))[:, 1]
        result[key] = roc_auc(truth, probability)
    return result
