"""Searches and candidates for tests of training."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.training import final_fit
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.candidate import Candidate, ScoredTrial, Setting, Trial
from fivefold.training.search import Progress, SearchHooks, search
from fivefold.training.training_data import FitOptions, TrainingData


def searched(
    name: str,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    *,
    trials: int = 12,
    seconds: float = np.inf,
    seed: int = 0,
    saved: Iterable[ScoredTrial] = (),
    save: Callable[[ScoredTrial], Any] = lambda scored: None,
    report: Callable[[Progress], Any] = lambda progress: None,
    rival: Callable[[], float] = lambda: -np.inf,
) -> tuple[Candidate, np.ndarray]:
    """`search` on the parts that `tests.support.tables.prepared` gives."""
    return search(
        name,
        TrainingData(typed, y, fold_ids, schema),
        FitOptions(seed=seed),
        trials=trials,
        seconds=seconds,
        saved=saved,
        hooks=SearchHooks(save, report, rival),
    )


def fit_final(
    candidate: Candidate,
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    options: FitOptions | None = None,
    *,
    seeds: int | None = None,
    stop: final_fit.StoppingRows | None = None,
) -> Any:
    """`final_fit.fit_final`, by default with as many seeds as the algorithm has for these rows."""
    most = min(len(y), candidate.max_rows or len(y))
    seeds = seeds or candidate.entry.seeds_of(most)
    options, rows = options or FitOptions(), np.arange(len(y))
    data = TrainingData(typed, y, np.zeros(len(y), dtype="int8"), schema)
    return final_fit.fit_final(candidate, data, rows, options, seeds=seeds, stop=stop)


def trial(number: int = 0, auc: float = 0.8, seconds: float = 4.0, folds: int = 5) -> Trial:
    return Trial(number, "complete", auc, [auc] * folds, {}, None, seconds, None)


def candidate(
    name: str,
    *,
    params: dict[str, Any] | None = None,
    rounds: int | None = 20,
    seconds: float = 4.0,
    folds: int = 5,
    **changes: Any,
) -> Candidate:
    """A candidate of one setting, by default the first default of the algorithm."""
    entry = ALGORITHMS.get(name)
    if params is None:
        params = dict(entry.defaults[0]) if entry else {}
    rounds = rounds if entry and entry.boosted else None
    plain = Candidate(
        algorithm=name,
        params=params,
        rounds=rounds,
        auc_mean=0.8,
        auc_std=0.01,
        fold_scores=[0.8] * folds,
        settings=[Setting(None, params, rounds)],
        seconds=seconds,
        max_rows=None,
        trials=[trial(seconds=seconds, folds=folds)],
        rows_fit=640,
    )
    return replace(plain, **changes)
