"""Tuning: a seeded search for one algorithm on folds that all algorithms share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lib.algorithms import ALGORITHMS, Algorithm, fit, fit_rounds, predict_at
from lib.features import NATIVE, encoder, expand, plan
from lib.schema import Schema
from lib.settings import TRIALS
from lib.splits import fold_rows

QUIET_TRIALS = 4  # trials before pruning starts


@dataclass(frozen=True)
class Fold:
    """One fold, encoded: training matrix and labels, validation matrix, labels and row positions, column types."""

    train_x: np.ndarray
    train_y: np.ndarray
    valid_x: np.ndarray
    valid_y: np.ndarray
    rows: np.ndarray
    types: str


Extra = Callable[[pd.DataFrame, np.ndarray, int], tuple[pd.DataFrame, np.ndarray]]
Save = Callable[[dict[str, Any], np.ndarray | None], None]


def tune(name: str, typed: pd.DataFrame, y: np.ndarray, place: np.ndarray, schema: Schema, *,
         trials: int = TRIALS, seconds: float | None = None, seed: int = 0, threads: int = 1,
         extra: Extra | None = None,
         saved: Iterable[tuple[dict[str, Any], np.ndarray | None]] = (), save: Save = lambda trial, oof: None,
         report: Callable[[dict[str, Any]], None] = lambda state: None) -> tuple[dict[str, Any], np.ndarray]:
    """(candidate, out-of-fold probabilities) of one algorithm.

    `typed` and `y` cover all rows; only those in a fold of `place` (`lib.splits`) are ever read. The search tries the
    entry's defaults, then Optuna's TPE (Bergstra et al. 2011), maximising the mean ROC AUC over the folds; a trial
    whose mean so far is below the median of earlier ones is pruned between folds. Every trial is a pure function of
    (seed, its number, the trials before it), so that a search continued from `saved` equals an undisturbed one.
    `seconds` bounds the search instead of `trials`; its first trial always ends. `extra(typed rows, y, fold)` gives
    rows that are added to training parts only. `save` is called after each trial, `report` after each fold.

    The candidate is JSON-ready: algorithm, params, rounds, auc_mean, auc_std, fold_scores, trials, seconds, max_rows.
    Out-of-fold probabilities have shape (rows,), NaN outside the folds.
    """
    started = time.monotonic()
    entry = ALGORITHMS[name]
    history, best, best_oof = _restore(saved)
    limit = trials if seconds is None else 10_000
    folds: list[Fold] = []
    max_rows = entry.max_rows
    while len(history) < limit and not _spent(history, started, seconds):
        if not folds:
            if seconds is not None and not history:
                max_rows = _affordable_rows(entry, typed, y, place, schema, seconds, seed, threads, max_rows)
            elif history:
                max_rows = history[0]["max_rows"]
            folds = list(encode_folds(entry.style, typed, y, place, schema, seed, extra, max_rows))
        trial, oof = _run_trial(entry, folds, history, len(y), seed, threads, max_rows, limit, best, report,
                                started + seconds if seconds is not None and history else None)
        if trial is None:
            break
        improved = trial["state"] == "complete" and (best is None or trial["auc"] > best["auc"])
        save(trial, oof if improved else None)
        history.append(trial)
        if improved:
            best, best_oof = trial, oof
    if best is None or best_oof is None:
        raise RuntimeError(f"{name}: no trial of {len(history)} came to an end")
    candidate = {"algorithm": name, "status": "ok", "params": best["params"], "rounds": best["rounds"],
                 "auc_mean": best["auc"], "auc_std": float(np.std(best["fold_scores"], ddof=1)),
                 "fold_scores": best["fold_scores"], "seconds": sum(t["seconds"] for t in history),
                 "max_rows": best["max_rows"], "trials": history, "error": ""}
    return candidate, best_oof


def encode_folds(style: str, typed: pd.DataFrame, y: np.ndarray, place: np.ndarray, schema: Schema, seed: int,
                 extra: Extra | None = None, max_rows: int | None = None) -> Iterable[Fold]:
    """Each fold with its own plan and encoder, both learnt from its training part alone."""
    for number, (train, valid) in enumerate(fold_rows(place)):
        kept = _subsample(train, y, max_rows, seed)
        rows, labels = _with_extra(typed.iloc[kept], y[kept], extra, number)
        train_x, encode, types = encode_training(style, rows, labels, schema, seed)
        yield Fold(train_x, labels, encode.transform(expand(typed.iloc[valid], schema)), y[valid], valid, types)


def encode_training(style: str, typed: pd.DataFrame, y: np.ndarray, schema: Schema,
                    seed: int) -> tuple[np.ndarray, Any, str]:
    """(matrix, fitted encoder, column types "c"/"q") of training rows."""
    expanded = expand(typed, schema)
    recipe = plan(expanded, schema)
    encode = encoder(recipe, style, seed)
    matrix = encode.fit_transform(expanded, y)
    codes = len(recipe["native"]) if style == NATIVE else 0
    return matrix, encode, "c" * codes + "q" * (matrix.shape[1] - codes)


def fit_final(candidate: dict[str, Any], typed: pd.DataFrame, y: np.ndarray, schema: Schema, *, seed: int = 0,
              threads: int = 1, extra: Extra | None = None) -> Any:
    """The fitted scikit-learn Pipeline (encoder, model) of a candidate on all given rows; input: `expand`ed rows."""
    from sklearn.pipeline import Pipeline

    entry = ALGORITHMS[candidate["algorithm"]]
    kept = _subsample(np.arange(len(y)), y, candidate["max_rows"], seed)
    typed, y = _with_extra(typed.iloc[kept], y[kept], extra, -1)
    matrix, encode, types = encode_training(entry.style, typed, y, schema, seed)
    model = entry.build(dict(candidate["params"]), seed, threads, types)
    if candidate["rounds"] is not None:
        model.set_params(n_estimators=candidate["rounds"])
    return Pipeline([("features", encode), ("model", fit(model, matrix, y, types))])


def _run_trial(entry: Algorithm, folds: list[Fold], history: list[dict[str, Any]], rows: int, seed: int, threads: int,
               max_rows: int | None, limit: int, best: dict[str, Any] | None, report: Callable[[dict[str, Any]], None],
               deadline: float | None) -> tuple[dict[str, Any] | None, np.ndarray]:
    """(trial, out-of-fold probabilities); (None, ...) when the deadline passed between two folds."""
    began, number = time.monotonic(), len(history)
    asked = _ask(entry, history, seed)
    params = dict(asked.params)
    models, rounds, scores, pruned = [], [], [], False
    told = {"trial": number, "of": limit, "folds": len(folds), "best": best["auc"] if best else None}
    for step, fold in enumerate(folds):
        model, stopped = _fit_fold(entry, params, fold, seed, threads)
        models.append(model)
        rounds += [stopped] if stopped is not None else []
        scores.append(_auc(fold.valid_y, predict_at(model, fold.valid_x, stopped)))
        asked.report(float(np.mean(scores)), step)
        if step + 1 < len(folds):
            report({**told, "fold": step + 1, "auc": float(np.mean(scores))})
            if deadline is not None and time.monotonic() > deadline:
                return None, np.empty(0)
            if number >= QUIET_TRIALS and asked.should_prune():
                pruned = True
                break
    common = round(float(np.median(rounds))) if rounds else None
    oof = np.full(rows, np.nan, dtype="float32")
    if not pruned:
        for fold, model in zip(folds, models, strict=True):
            oof[fold.rows] = predict_at(model, fold.valid_x, common)
        scores = [_auc(fold.valid_y, oof[fold.rows]) for fold in folds]
        report({**told, "fold": len(folds), "auc": float(np.mean(scores))})
    trial = {"number": number, "state": "pruned" if pruned else "complete", "auc": float(np.mean(scores)),
             "fold_scores": [float(s) for s in scores], "params": params, "rounds": common,
             "seconds": round(time.monotonic() - began, 3), "max_rows": max_rows}
    return trial, oof


def _fit_fold(entry: Algorithm, params: dict[str, Any], fold: Fold, seed: int, threads: int) -> tuple[Any, int | None]:
    model = entry.build(dict(params), seed, threads, fold.types)
    if entry.boosted:
        return model, fit_rounds(model, fold.train_x, fold.train_y, fold.types, fold.valid_x, fold.valid_y)
    return fit(model, fold.train_x, fold.train_y, fold.types), None


def _ask(entry: Algorithm, history: list[dict[str, Any]], seed: int) -> Any:
    """An Optuna trial that knows the history; its sampler is seeded by the trial's number alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = len(history)
    space = {name: _distribution(span) for name, span in entry.space.items()}
    study = optuna.create_study(
        direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=QUIET_TRIALS),
        sampler=optuna.samplers.TPESampler(seed=(seed * 100_003 + number) % 2**32, n_startup_trials=6))
    states = {"complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
    for past in history:
        means = np.cumsum(past["fold_scores"]) / np.arange(1, len(past["fold_scores"]) + 1)
        study.add_trial(optuna.trial.create_trial(
            state=states[past["state"]], params=past["params"], distributions=space, value=past["auc"],
            intermediate_values={step: float(mean) for step, mean in enumerate(means)}))
    if number < len(entry.defaults):
        study.enqueue_trial(entry.defaults[number])
    return study.ask(space)


def _distribution(span: tuple | list) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(span, list):
        return CategoricalDistribution(span)
    kind = IntDistribution if isinstance(span[0], int) else FloatDistribution
    return kind(span[0], span[1], log=len(span) > 2)


def _restore(saved: Iterable[tuple[dict[str, Any], np.ndarray | None]]) -> tuple[list, dict | None, np.ndarray | None]:
    """(history, best trial, its out-of-fold probabilities) from the unbroken run of saved trials."""
    history: list[dict[str, Any]] = []
    best, best_oof = None, None
    for trial, oof in saved:
        if trial["number"] != len(history):
            break
        history.append(trial)
        if oof is not None:
            best, best_oof = trial, oof
    return history, best, best_oof


def _spent(history: list[dict[str, Any]], started: float, seconds: float | None) -> bool:
    """Whether another trial of usual length would end after the time is up; never before the first trial."""
    if seconds is None or not history:
        return False
    return time.monotonic() - started + 0.7 * float(np.median([t["seconds"] for t in history])) > seconds


def _affordable_rows(entry: Algorithm, typed: pd.DataFrame, y: np.ndarray, place: np.ndarray, schema: Schema,
                     seconds: float, seed: int, threads: int, cap: int | None) -> int | None:
    """How many training rows a fit may have so that the first trial takes at most half of the time.

    Measured by the first default on 2,000 training rows of one fold, after a small fit that pays for imports, and
    taken as linear in the rows.
    """
    probe = 2000
    train = max((rows for rows, _ in fold_rows(place)), key=len)
    if len(train) <= 2 * probe:
        return cap
    per_row = 0.0
    for rows in (probe // 10, probe):
        began = time.monotonic()
        fold = next(iter(encode_folds(entry.style, typed, y, place, schema, seed, None, rows)))
        _fit_fold(entry, dict(entry.defaults[0]), fold, seed, threads)
        per_row = (time.monotonic() - began) / rows
    count = int(place.max()) + 1
    afford = max(probe, int(0.5 * seconds / count / per_row))
    return cap if afford >= min(len(train), cap or len(train)) else afford


def _with_extra(rows: pd.DataFrame, y: np.ndarray, extra: Extra | None,
                fold: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Training rows and labels with what `extra` draws from them, if anything."""
    if extra is None:
        return rows, y
    more, more_y = extra(rows, y, fold)
    return pd.concat([rows, more], ignore_index=True), np.concatenate([y, more_y])


def _subsample(rows: np.ndarray, y: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """At most `most` of the positions, in order, with the same share of positives."""
    if most is None or len(rows) <= most:
        return rows
    from sklearn.model_selection import train_test_split

    return np.sort(train_test_split(rows, train_size=most, stratify=y[rows], random_state=seed)[0])


def _auc(y: np.ndarray, score: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score))
