"""Tuning: a seeded search for one algorithm on folds that all algorithms share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.core.settings import TRIALS
from fivefold.data.splits import MANY_ROWS, Split
from fivefold.training.algorithms import ALGORITHMS, Algorithm, fit, fit_rounds, predict_at
from fivefold.training.device import place as place_on
from fivefold.training.encode_folds import Extra, Fold, encode_fold, encode_folds
from fivefold.training.encoding import encodings
from fivefold.training.final_fit import bag_size

Save = Callable[[dict[str, Any], np.ndarray | None], None]
Scored = tuple[dict[str, Any], np.ndarray]  # a trial and its out-of-fold probabilities
FIRST_TRIAL = (
    0.3  # share of the seconds that the first trial may take where the rows must be fewer for that
)
FIRST_OF_FEW = (
    1.0  # the same for algorithms that are not boosted, whose first settings are almost their best
)
SMALL_CELLS = 400_000  # of a fold up to which a table of few rows is searched whole, without a look at the time
FEW = 200  # training rows of a fold below which nothing is measured
QUIET_TRIALS = 4  # trials before pruning starts
CELLS_KEPT_ENCODED = (
    4_000_000  # of a table up to which the folds are kept in each encoding that was tried
)


def tune(
    name: str,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    *,
    trials: int = TRIALS,
    seconds: float | None = None,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
    extra: Extra | None = None,
    rival: Callable[[], float | None] = lambda: None,
    saved: Iterable[tuple[dict[str, Any], np.ndarray | None]] = (),
    save: Save = lambda trial, oof: None,
    report: Callable[[dict[str, Any]], None] = lambda state: None,
) -> tuple[dict[str, Any], np.ndarray]:
    """(candidate, out-of-fold probabilities) of one algorithm.

    `typed` and `y` cover all rows; only those in a fold (`fold_ids`) are ever read. The search tries the
    entry's defaults, then Optuna's TPE (Bergstra et al. 2011), maximising the mean ROC AUC over the folds; a trial
    whose mean so far is below the median of earlier ones is pruned between folds. Every trial is a pure function of
    (seed, its number, the trials before it), so that a search continued from `saved` equals an undisturbed one.
    `seconds` bounds the search instead of `trials`; its first trial always ends, and it stops early after the entry's
    `enough` trials, or where its defaults have shown that it cannot reach the mean ROC AUC of `rival()`.
    `extra(typed rows, y, fold)` gives rows that are added to training parts only. `save` is called after each trial,
    `report` after each fold.

    The candidate is JSON-ready: algorithm, params, rounds, auc_mean, auc_std, fold_scores, settings, trials, seconds,
    max_rows, rows_fit (most rows of a fit). `settings`: number, params and rounds of the entry's `team` best trials,
    best first, fewer on large tables (`fivefold.training.final_fit.bag_size`); what it is worth is the worth of the mean of their
    out-of-fold probabilities. `params` and `rounds` are those of the best.
    Out-of-fold probabilities have shape (rows,), NaN outside the folds.
    """
    started = time.monotonic()
    entry = adapted(ALGORITHMS[name], typed, fold_ids, schema)
    team = min(entry.team, bag_size(entry, len(Split(fold_ids).training_rows)))
    history, best = _restore(saved, team)
    limit = trials if seconds is None else entry.enough
    encoded: dict[str, list[Fold]] = {}
    max_rows = history[0]["max_rows"] if history else entry.max_rows
    if seconds is not None and not history:
        max_rows = _affordable_rows(
            entry, typed, y, fold_ids, schema, seconds, seed, threads, device, max_rows, extra
        )
    while len(history) < limit and not _spent(history, started, seconds):
        if (
            seconds is not None
            and best
            and len(history) >= len(entry.defaults)
            and _hopeless(best[0][0], rival())
        ):
            break
        asked = _ask(entry, history, seed)
        style = entry.style_of(asked.params)
        if style not in encoded:
            if typed.size > CELLS_KEPT_ENCODED:  # memory: one encoding at a time
                encoded.clear()
            encoded[style] = list(
                encode_folds(style, typed, y, fold_ids, schema, seed, extra, max_rows)
            )
        reached = best[0][0]["auc"] if best else None
        deadline = started + seconds if seconds is not None and history else None
        trial, oof = _run_trial(
            entry,
            asked,
            encoded[style],
            history,
            len(y),
            seed,
            threads,
            device,
            max_rows,
            limit,
            reached,
            report,
            deadline,
        )
        if trial is None:
            break
        if trial["state"] == "complete":
            best = _among(best, trial, oof, team)
        save(trial, oof if any(kept is trial for kept, _ in best) else None)
        history.append(trial)
    if not best:
        raise RuntimeError(f"{name}: no trial of {len(history)} came to an end")
    first, joint = best[0][0], np.mean([oof for _, oof in best], axis=0)
    scores = [_auc(y[valid], joint[valid]) for _, valid in Split(fold_ids).folds()]
    candidate = {
        "algorithm": name,
        "status": "ok",
        "params": first["params"],
        "rounds": first["rounds"],
        "auc_mean": float(np.mean(scores)),
        "auc_std": float(np.std(scores, ddof=1)),
        "fold_scores": scores,
        "settings": [
            {key: trial[key] for key in ("number", "params", "rounds")} for trial, _ in best
        ],
        "seconds": sum(t["seconds"] for t in history),
        "max_rows": max_rows,
        "trials": history,
        "error": "",
        "rows_fit": min(max(len(rows) for rows, _ in Split(fold_ids).folds()), max_rows or len(y)),
    }
    return candidate, joint


def adapted(
    entry: Algorithm, typed: pd.DataFrame, fold_ids: np.ndarray, schema: Schema
) -> Algorithm:
    """The entry as it is for these training rows: its defaults and space by their number, and of the encodings those
    that make a difference on them.
    """
    rows = Split(fold_ids).training_rows
    if entry.large and len(rows) > MANY_ROWS:
        entry = replace(entry, defaults=entry.large, space={**entry.space, **entry.large_space})
    if "encoding" not in entry.space:
        return entry
    differ = encodings(typed[schema.names("categorical")].iloc[rows], schema)
    known = [style for style in entry.space["encoding"] if style in differ]
    defaults = tuple(
        {**d, "encoding": d["encoding"] if d["encoding"] in known else known[0]}
        for d in entry.defaults
    )
    return replace(entry, defaults=defaults, space={**entry.space, "encoding": known})


def _run_trial(
    entry: Algorithm,
    asked: Any,
    folds: list[Fold],
    history: list[dict[str, Any]],
    rows: int,
    seed: int,
    threads: int,
    device: str,
    max_rows: int | None,
    limit: int,
    best: float | None,
    report: Callable[[dict[str, Any]], None],
    deadline: float | None,
) -> tuple[dict[str, Any] | None, np.ndarray]:
    """(trial, out-of-fold probabilities); (None, ...) when the deadline passed between two folds."""
    began, number = time.monotonic(), len(history)
    params = dict(asked.params)
    models, rounds, scores, pruned = [], [], [], False
    told = {"trial": number, "of": limit, "folds": len(folds), "best": best}
    for step, fold in enumerate(folds):
        model, stopped = _fit_fold(entry, params, fold, seed, threads, device)
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
    trial = {
        "number": number,
        "state": "pruned" if pruned else "complete",
        "auc": float(np.mean(scores)),
        "fold_scores": [float(s) for s in scores],
        "params": params,
        "rounds": common,
        "seconds": round(time.monotonic() - began, 3),
        "max_rows": max_rows,
    }
    return trial, oof


def _fit_fold(
    entry: Algorithm, params: dict[str, Any], fold: Fold, seed: int, threads: int, device: str
) -> tuple[Any, int | None]:
    model = place_on(entry.build(dict(params), seed, threads, fold.types), device)
    if entry.boosted:
        return model, fit_rounds(
            model, fold.train_x, fold.train_y, fold.types, fold.valid_x, fold.valid_y
        )
    return fit(model, fold.train_x, fold.train_y, fold.types), None


def _ask(entry: Algorithm, history: list[dict[str, Any]], seed: int) -> Any:
    """An Optuna trial that knows the history; its sampler is seeded by the trial's number alone."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = len(history)
    space = {name: _distribution(span) for name, span in entry.space.items()}
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=QUIET_TRIALS),
        sampler=optuna.samplers.TPESampler(
            seed=(seed * 100_003 + number) % 2**32, n_startup_trials=6
        ),
    )
    states = {
        "complete": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
    }
    for past in history:
        means = np.cumsum(past["fold_scores"]) / np.arange(1, len(past["fold_scores"]) + 1)
        study.add_trial(
            optuna.trial.create_trial(
                state=states[past["state"]],
                params=past["params"],
                distributions=space,
                value=past["auc"],
                intermediate_values={step: float(mean) for step, mean in enumerate(means)},
            )
        )
    if number < len(entry.defaults):
        study.enqueue_trial(entry.defaults[number])
    return study.ask(space)


def _distribution(span: tuple | list) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(span, list):
        return CategoricalDistribution(span)
    kind = IntDistribution if isinstance(span[0], int) else FloatDistribution
    return kind(span[0], span[1], log=len(span) > 2)


def _restore(
    saved: Iterable[tuple[dict[str, Any], np.ndarray | None]], team: int
) -> tuple[list[dict[str, Any]], list[Scored]]:
    """(history, the best `team` trials) from the unbroken run of saved trials."""
    history: list[dict[str, Any]] = []
    best: list[Scored] = []
    for trial, oof in saved:
        if trial["number"] != len(history):
            break
        history.append(trial)
        if oof is not None:
            best = _among(best, trial, oof, team)
    return history, best


def _among(best: list[Scored], trial: dict[str, Any], oof: np.ndarray, team: int) -> list[Scored]:
    """The best `team` trials, best first, when this one has come to an end; of equal ones the earlier is better."""
    return sorted([*best, (trial, oof)], key=lambda scored: -scored[0]["auc"])[:team]


def _spent(history: list[dict[str, Any]], started: float, seconds: float | None) -> bool:
    """Whether another trial of usual length would end after the time is up; never before the first trial."""
    if seconds is None or not history:
        return False
    return (
        time.monotonic() - started + 0.7 * float(np.median([t["seconds"] for t in history]))
        > seconds
    )


def _hopeless(best: dict[str, Any], rival: float | None) -> bool:
    """Whether the best mean ROC AUC lies below the rival's by more than two standard errors of the folds."""
    if rival is None:
        return False
    return (
        best["auc"]
        + 2 * float(np.std(best["fold_scores"], ddof=1)) / len(best["fold_scores"]) ** 0.5
        < rival
    )


def _affordable_rows(
    entry: Algorithm,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    seconds: float,
    seed: int,
    threads: int,
    device: str,
    cap: int | None,
    extra: Extra | None = None,
) -> int | None:
    """How many training rows a fit may have so that the first trial takes at most `FIRST_TRIAL` (or `FIRST_OF_FEW`)
    of the time.

    Measured by the first default on 2,000 and 10,000 training rows of the largest fold, after a small fit that pays for
    imports, and taken as linear in the rows. Small tables are not measured, unless they are wide.
    """
    probe, count = 2000, int(fold_ids.max()) + 1
    number, (train, valid) = max(
        enumerate(Split(fold_ids).folds()), key=lambda fold: len(fold[1][0])
    )
    whole = len(train)
    if extra is not None:  # a fit of so many rows may have as many drawn ones
        whole = max(whole, (whole + len(extra(typed.iloc[train], y[train], number)[1])) // 2)
    if whole <= 2 * probe and (whole < FEW or whole * typed.shape[1] <= SMALL_CELLS):
        return cap
    probe = min(probe, whole // 2)
    style = entry.style_of(entry.defaults[0])

    def took(rows: int) -> float:
        began = time.monotonic()
        fold = encode_fold(style, number, train, valid, typed, y, schema, seed, extra, rows)
        _fit_fold(entry, dict(entry.defaults[0]), fold, seed, threads, device)
        return time.monotonic() - began

    took(max(FEW // 4, probe // 10))
    first = took(probe)
    always, per_row = 0.0, first / probe
    if whole > 10 * probe and first < 0.06 * seconds:
        more = took(5 * probe)
        per_row = max(more - first, 0.1 * more) / (4 * probe)
        always = max(0.0, more - per_row * 5 * probe)
    share = FIRST_TRIAL if entry.boosted else FIRST_OF_FEW
    afford = max(probe, int((share * seconds / count - always) / per_row))
    return cap if afford >= min(whole, cap or whole) else afford


def _auc(y: np.ndarray, score: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(y, score))
