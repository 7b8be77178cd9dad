"""Refit: candidates of the search fitted on all training rows, over several seeds, alone or in a blend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lib.algorithms import ALGORITHMS, Algorithm, fit
from lib.device import place, release, usable
from lib.folds import Extra, encode_training, subsample, with_extra
from lib.schema import Schema

ROWS_BAGGED = 200_000  # rows times seeds of a final fit


def fit_final(candidate: dict[str, Any], typed: pd.DataFrame, y: np.ndarray, schema: Schema, *, seed: int = 0,
              threads: int = 1, extra: Extra | None = None, bag: int | None = None,
              device: str = "cpu") -> Any:
    """The fitted scikit-learn Pipeline (encoder, model) of a candidate on all given rows; input: `expand`ed rows.

    The model is the average (a soft VotingClassifier) of `bag` fits that differ in their seed, by default as many as
    `bag_size` says: less variance for the same bias (Breiman 1996, "Bagging predictors", with seeds for resamples).
    They are fitted on `device` where the algorithm's library can use it, else on the processor.
    """
    from joblib import Parallel, delayed
    from sklearn.pipeline import Pipeline

    entry = ALGORITHMS[candidate["algorithm"]]
    kept = subsample(np.arange(len(y)), y, candidate["max_rows"], seed)
    typed, y = with_extra(typed.iloc[kept], y[kept], extra, -1)
    device, _ = usable(device, candidate["algorithm"])
    style = candidate["params"].get("encoding", entry.style)
    matrix, encode, types = encode_training(style, typed, y, schema, seed)

    def member(number: int) -> Any:
        model = place(entry.build(dict(candidate["params"]), seed + number, 1, types), device)
        if candidate["rounds"] is not None:
            model.set_params(n_estimators=candidate["rounds"])
        return release(fit(model, matrix, y, types))

    count = bag or bag_size(entry, len(y))
    models = Parallel(n_jobs=threads, prefer="threads")(delayed(member)(number) for number in range(count))
    return Pipeline([("features", encode), ("model", models[0] if count == 1 else average(models, [1.0] * count))])


def fit_blend(candidates: list[dict[str, Any]], weights: dict[str, float], typed: pd.DataFrame, y: np.ndarray,
              schema: Schema, **options: Any) -> Any:
    """The fitted candidates that `weights` {algorithm: share} names, averaged so; `options` as `fit_final`."""
    chosen = [c for c in candidates if c["algorithm"] in weights]
    return average([fit_final(c, typed, y, schema, **options) for c in chosen],
                   [weights[c["algorithm"]] for c in chosen])


def seconds_of(candidate: dict[str, Any], rows: int, bag: int | None = None, threads: int = 1) -> float:
    """How long `fit_final` of a candidate will take, from its best trial: a fit on all rows for one on all folds but
    one, `bag` times, with a fifth as much again for encoding and bad luck.
    """
    best = max((t for t in candidate["trials"] if t["state"] == "complete"), key=lambda t: t["auc"])
    folds = len(best["fold_scores"])
    fits = -(-(bag or bag_size(ALGORITHMS[candidate["algorithm"]], rows)) // threads)
    return 1.2 * fits * best["seconds"] / max(1, folds - 1)


def affordable(candidates: list[dict[str, Any]], weights: dict[str, float], rows: int, seconds: float,
               threads: int = 1) -> tuple[str, int | None]:
    """("blend" or "single", seeds per model or None for all): the most of `weights` that can be fitted in `seconds`."""
    chosen = [c for c in candidates if c["algorithm"] in weights]
    for what, some in (("blend", chosen), ("single", candidates[:1])):
        for bag in (None, 1):
            if sum(seconds_of(c, rows, bag, threads) for c in some) <= seconds:
                return what, bag
    return "single", 1


def rows_affordable(candidate: dict[str, Any], rows: int, seconds: float) -> int | None:
    """How many rows the single final fit may have (None: all), where the search's fits had to do with fewer.

    Half of the seconds, at the best trial's seconds for a row; never fewer rows than in the search, and never more
    than the algorithm's own bound.
    """
    searched, bound = candidate["max_rows"], ALGORITHMS[candidate["algorithm"]].max_rows
    if searched is None or searched == bound:
        return searched
    best = max((t for t in candidate["trials"] if t["state"] == "complete"), key=lambda t: t["auc"])
    per_row = best["seconds"] / (len(best["fold_scores"]) * searched)
    reach = max(searched, int(0.5 * seconds / per_row))
    return None if reach >= min(rows, bound or rows) and bound is None else min(reach, bound or reach)


def bag_size(entry: Algorithm, rows: int) -> int:
    """How many seeds a final fit averages: the entry's `bag`, fewer on large tables, where one varies little."""
    return max(1, min(entry.bag, ROWS_BAGGED // max(1, rows)))


def average(models: list[Any], weights: list[float]) -> Any:
    """A soft VotingClassifier of fitted models for the classes 0 and 1: their weighted mean probability."""
    from sklearn.ensemble import VotingClassifier
    from sklearn.preprocessing import LabelEncoder

    voting = VotingClassifier([(f"m{number}", None) for number in range(len(models))], voting="soft",
                              weights=[float(w) for w in weights])
    voting.estimators_, voting.le_ = models, LabelEncoder().fit([0, 1])
    voting.classes_ = voting.le_.classes_
    return voting
