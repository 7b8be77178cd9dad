"""Refit: candidates of the search fitted on all training rows, over several seeds, alone or in a blend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.training.algorithms import ALGORITHMS, Algorithm, fit, fit_rounds
from fivefold.training.device import place, release, usable
from fivefold.training.encode_folds import Extra, encode_training, fitted_rows

ROWS_BAGGED = 200_000  # rows times seeds of a final fit
Rows = tuple[pd.DataFrame, np.ndarray]  # `expand`ed rows and their labels


def fit_final(
    candidate: dict[str, Any],
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    *,
    seed: int = 0,
    threads: int = 1,
    extra: Extra | None = None,
    bag: int | None = None,
    device: str = "cpu",
    stop: Rows | None = None,
    seconds: float | None = None,
) -> Any:
    """The fitted scikit-learn Pipeline (encoder, model) of a candidate on all given rows; input: `expand`ed rows.

    The model is the average (a soft VotingClassifier) of `bag` fits, by default as many as `bag_size` says, which go
    through the candidate's settings in turn, best first, and differ in their seed: less variance for the same bias
    (Breiman 1996, "Bagging predictors", with seeds for resamples). Where the settings encode differently it is an
    average of Pipelines. They are fitted on `device` where the algorithm's library can use it, else on the processor.

    With `stop`, rows that are not among the others, a boosted model is fitted once, in `threads` threads, and gets its
    rounds by early stopping on them, for at most `seconds`: the rounds of a search that saw far fewer rows are too few.
    """
    from joblib import Parallel, delayed
    from sklearn.pipeline import Pipeline

    entry = ALGORITHMS[candidate["algorithm"]]
    bag = bag or bag_size(entry, min(len(y), candidate["max_rows"] or len(y)))
    typed, y = fitted_rows(typed, y, extra, -1, candidate["max_rows"], seed)
    device, _ = usable(device, candidate["algorithm"])
    if stop is not None and entry.boosted:
        matrix, encode, types = encode_training(
            entry.style_of(candidate["params"]), typed, y, schema, seed
        )
        model = place(entry.build(dict(candidate["params"]), seed, threads, types), device)
        rounds = fit_rounds(model, matrix, y, types, encode.transform(stop[0]), stop[1], seconds)
        return Pipeline([("features", encode), ("model", release(shorten(model, rounds)))])

    def member(number: int, matrix: np.ndarray, types: str) -> Any:
        model = place(entry.build(dict(chosen[number]["params"]), seed + number, 1, types), device)
        if chosen[number]["rounds"] is not None:
            model.set_params(n_estimators=chosen[number]["rounds"])
        return release(fit(model, matrix, y, types))

    chosen = settings(candidate, bag)
    styles: dict[str, list[int]] = {}
    for number, setting in enumerate(chosen):
        styles.setdefault(entry.style_of(setting["params"]), []).append(number)
    pipelines = []
    for style, numbers in styles.items():
        matrix, encode, types = encode_training(style, typed, y, schema, seed)
        models = Parallel(n_jobs=threads, prefer="threads")(
            delayed(member)(n, matrix, types) for n in numbers
        )
        pipelines.append(
            Pipeline([("features", encode), ("model", average(models, [1.0] * len(models)))])
        )
    return average(pipelines, [len(numbers) for numbers in styles.values()])


def settings(candidate: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """{params, rounds} of each of `count` fits of a candidate: its settings in turn, best first."""
    known = candidate.get("settings") or [candidate]  # candidates of older runs have one
    return [known[number % len(known)] for number in range(count)]


def members(
    candidate: dict[str, Any], weight: float, rows: int, bag: int | None
) -> list[dict[str, Any]]:
    """{algorithm, weight, params, rounds, rows_fitted} of each different setting that `fit_final` fits on at most
    `rows` rows; together they weigh `weight`.
    """
    rows = min(rows, candidate["max_rows"] or rows)
    chosen = settings(candidate, bag or bag_size(ALGORITHMS[candidate["algorithm"]], rows))
    return [
        {
            "algorithm": candidate["algorithm"],
            "weight": weight * chosen.count(one) / len(chosen),
            "params": one["params"],
            "rounds": one["rounds"],
            "rows_fitted": rows,
        }
        for number, one in enumerate(chosen)
        if one not in chosen[:number]
    ]


def shorten(model: Any, rounds: int) -> Any:
    """A boosted model that early stopping has ended, which from now on predicts with its first `rounds` rounds."""
    model.set_params(n_estimators=rounds)
    if hasattr(model, "booster_"):  # LightGBM; XGBoost keeps its best round itself
        model.booster_.best_iteration = rounds
    return model.set_params(n_jobs=1)


def bag_size(entry: Algorithm, rows: int) -> int:
    """How many seeds a final fit averages: the entry's `bag`, fewer on large tables, where one varies little."""
    return max(1, min(entry.bag, ROWS_BAGGED // max(1, rows)))


def average(models: list[Any], weights: list[float]) -> Any:
    """A soft VotingClassifier of fitted models for the classes 0 and 1: their weighted mean probability; a single
    model as it is.
    """
    if len(models) == 1:
        return models[0]
    from sklearn.ensemble import VotingClassifier
    from sklearn.preprocessing import LabelEncoder

    voting = VotingClassifier(
        [(f"m{number}", None) for number in range(len(models))],
        voting="soft",
        weights=[float(w) for w in weights],
    )
    voting.estimators_, voting.le_ = models, LabelEncoder().fit([0, 1])
    voting.classes_ = voting.le_.classes_
    return voting
