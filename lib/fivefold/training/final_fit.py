"""Final fit: models on all training rows, averaged over seeds and settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.training.algorithms import Algorithm, usable_device
from fivefold.training.boosting import Encoded
from fivefold.training.candidate import Candidate, Setting
from fivefold.training.encode_folds import FINAL_FIT, encode_training, fitted_rows
from fivefold.training.training_data import FitOptions, TrainingData


@dataclass(frozen=True)
class StoppingRows:
    """Rows that end a boosted fit, with their labels and the time limit of the fit.

    The rows are expanded. The fit learns from none of them.
    """

    rows: pd.DataFrame
    y: np.ndarray
    seconds: float = np.inf
    weights: np.ndarray | None = None


def fit_final(
    candidate: Candidate,
    data: TrainingData,
    rows: np.ndarray,
    options: FitOptions,
    *,
    seeds: int,
    stop: StoppingRows | None,
) -> Any:
    """Return the fitted scikit-learn Pipeline (encoder, model) of a candidate, on the given rows.

    The model is the average (a soft VotingClassifier) of several fits, which take the candidate's
    settings in turn, best first, and differ in their seed: less variance for the same bias. Where
    the settings have different encodings it is an average of Pipelines. The Pipeline's input are
    expanded rows (`fivefold.model.inputs.expand`).

    Parameters
    ----------
    candidate : of the search
    data, rows : the table, and the sorted positions of the rows to learn from
    options : seed, threads, device and synthetic sampler
    seeds : fits that are averaged
    stop : with these a boosted model is fitted once and early-stopped; the rounds of a search that
        had far fewer rows are too few

    Raises
    ------
    OutOfTime : where an early-stopped fit reaches its time limit

    References
    ----------
    Breiman 1996, "Bagging predictors", with seeds in place of resamples.
    """
    from joblib import Parallel, delayed
    from sklearn.pipeline import Pipeline

    entry = candidate.entry
    typed, y, weights = fitted_rows(data, rows, FINAL_FIT, options, candidate.max_rows)
    device, _ = usable_device(options.device, candidate.algorithm)
    if stop is not None and entry.boosted:
        params, seed = candidate.params, options.seed
        train, encode = encode_training(entry.encoding_of(params), typed, y, data.schema, seed)
        train = replace(train, weights=weights)
        stopping = Encoded(encode.transform(stop.rows), stop.y, train.types, stop.weights)
        model = entry.build(params, seed, options.threads, train.types, device)
        rounds = entry.boosted.fit_rounds(model, train, stopping, stop.seconds)
        model = entry.boosted.use_processor(entry.boosted.shorten(model, rounds))
        return Pipeline([("features", encode), ("model", model)])
    settings = candidate.settings_in_turn(seeds)
    by_encoding: dict[str, list[int]] = {}
    for number, setting in enumerate(settings):
        by_encoding.setdefault(entry.encoding_of(setting.params), []).append(number)
    pipelines = []
    for encoding, numbers in by_encoding.items():
        train, encode = encode_training(encoding, typed, y, data.schema, options.seed)
        train = replace(train, weights=weights)
        fits = [
            delayed(_fit_setting)(entry, settings[number], options.seed + number, device, train)
            for number in numbers
        ]
        models = Parallel(n_jobs=options.threads, prefer="threads")(fits)
        model = average(models, [1.0] * len(models))
        pipelines.append(Pipeline([("features", encode), ("model", model)]))
    return average(pipelines, [len(numbers) for numbers in by_encoding.values()])


def _fit_setting(entry: Algorithm, setting: Setting, seed: int, device: str, train: Encoded) -> Any:
    model = entry.build(setting.params, seed, 1, train.types, device)
    library = entry.boosted
    if library is None:
        return entry.fit(model, train)
    if setting.rounds is not None:
        library.set_rounds(model, setting.rounds)
    return library.use_processor(entry.fit(model, train))


def average(models: Sequence[Any], weights: Sequence[float]) -> Any:
    """Return a soft VotingClassifier of fitted models for the classes 0 and 1.

    A single model is returned as it is.
    """
    if len(models) == 1:
        return models[0]
    from sklearn.ensemble import VotingClassifier
    from sklearn.preprocessing import LabelEncoder

    names = [(f"m{number}", None) for number in range(len(models))]
    voting = VotingClassifier(names, voting="soft", weights=[float(w) for w in weights])
    voting.estimators_, voting.le_ = list(models), LabelEncoder().fit([0, 1])
    voting.classes_ = voting.le_.classes_
    return voting
