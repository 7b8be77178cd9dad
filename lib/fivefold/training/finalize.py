"""Finalize: fit, calibrate and evaluate the selected model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding, problem, refuse_errors
from fivefold.core.intervals import Estimate
from fivefold.core.roc_auc import roc_auc
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.splits import Assignment, subsample
from fivefold.model.ageing import Ageing, ageing_curve
from fivefold.model.bundle import Bundle, reference
from fivefold.model.calibration import calibrated_oof, fit_calibration, scored_rows
from fivefold.model.doubts import Scored, check_triumph
from fivefold.model.evaluation import (
    PLAIN_BASELINE,
    Evaluation,
    evaluate,
    permutation_importance,
)
from fivefold.model.explain import background
from fivefold.model.inputs import expand
from fivefold.model.metadata import Metadata, Outcomes, Provenance, Refit
from fivefold.model.monotone import broken, check_directions
from fivefold.model.threshold import Costs, choose_threshold
from fivefold.model.words import words_that_matter
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.boosting import OutOfTime
from fivefold.training.candidate import Candidate, Member, Setting
from fivefold.training.encode_folds import encode_training
from fivefold.training.encoding import LINEAR, TREES, plan
from fivefold.training.final_fit import StoppingRows, average, fit_final
from fivefold.training.fit_plan import FitPlan
from fivefold.training.training_data import FitOptions, TrainingData

MOST_REFERENCE = 200_000  # training rows behind the percentiles, shares and recipe of a bundle
MOST_BASELINE = 50_000  # training rows of the baseline logistic regression
LEAST_SPEED = 0.5  # of the search's speed, below which a boosted model out of time is replaced


@dataclass(frozen=True)
class Selection:
    """What was selected to be fitted finally.

    Parameters
    ----------
    candidates : the winner first
    oof : out-of-fold probabilities of the winner, or of the blend, shape (rows,)
    weights : share of each algorithm in the blend; empty for the winner alone
    plan : how to fit
    """

    candidates: Sequence[Candidate]
    oof: np.ndarray
    weights: Mapping[str, float]
    plan: FitPlan

    @property
    def members(self) -> list[Candidate]:
        """The candidates to fit, with the rows of the plan."""
        rows = self.plan.rows
        used = [c for c in self.candidates if c.algorithm in self.weights] or self.candidates[:1]
        return [replace(c, max_rows=rows.get(c.algorithm, c.max_rows)) for c in used]


def finalize(
    selection: Selection,
    data: TrainingData,
    options: FitOptions,
    scope: Scope,
    provenance: Provenance,
    truth: np.ndarray | None = None,
    doubted: Sequence[Finding] = (),
) -> tuple[Bundle, np.ndarray]:
    """Return the bundle of the selected model, and its out-of-fold probabilities.

    These probabilities also chose its threshold.

    Calibration and threshold come from out-of-fold scores of the training rows, the threshold from
    scores calibrated by other folds. Where the plan is early-stopped, the rows of the last fold
    that the search has scored are not fitted on: rounds, calibration and threshold come from them,
    scored by the final model itself. The rows of the holdout are scored once, at the end.

    Parameters
    ----------
    selection, data, options : what to fit, on what, and how
    scope : of the problem: costs, capacity, phrases, protected columns
    provenance : origin of the model
    truth : known probability of the positive class of every row of generated data, for the best
        achievable ROC AUC
    doubted : findings on the table that have to stand beside every figure
    """
    y, seed = data.y, options.seed
    train = data.split.training_rows
    fit = _fit(selection, data, options, len(train))
    pipeline, fitted, oof = fit.pipeline, fit.members, fit.oof
    scored, folds = scored_rows(oof, data.fold_ids)
    calibration = fit_calibration(y[scored], oof[scored], folds)
    _, calibrated = calibrated_oof(y, oof, data.fold_ids, calibration)
    threshold = choose_threshold(y[scored], calibrated, Costs.of(scope))
    typed = data.typed.iloc[subsample(train, y, MOST_REFERENCE, seed)]
    features = plan(expand(typed, data.schema), data.schema)
    blended = bool(selection.weights)
    metadata = Metadata(
        algorithm="blend" if blended else fitted[0].algorithm,
        params={} if blended else fitted[0].params,
        rounds=None if blended else fitted[0].rounds,
        members=[member.to_dict() for member in fitted],
        rows_fitted=max(member.rows_fitted for member in fitted),
        rows_training=len(train),
        calibration=calibration,
        threshold=threshold,
        outcomes=Outcomes(scope.negative_phrase, scope.positive_phrase),
        scope=scope,
        features=features.to_dict(),
        reference=replace(reference(typed, data.schema, calibrated), rows=len(train)),
        background=background(typed, data.schema, seed),
        provenance=provenance,
        given_up=[*(c.given_up for c in selection.members if c.given_up), *fit.emergencies],
    )
    bundle = _checked(Bundle(pipeline, data.schema, metadata), typed)
    if data.schema.names("text"):
        words = words_that_matter(bundle.probability, *data.rows(train), data.schema, seed)
        bundle = replace(bundle, metadata=replace(bundle.metadata, words=words))
    evaluation = _evaluate_holdout(bundle, data, options, truth)
    triumph = _check_triumph(bundle, evaluation, data, roc_auc(y[scored], calibrated))
    findings = [*evaluation.findings, triumph, *doubted]
    evaluation = replace(evaluation, findings=findings)
    return replace(bundle, metadata=replace(bundle.metadata, evaluation=evaluation)), oof


def _checked(bundle: Bundle, typed: pd.DataFrame) -> Bundle:
    """Return the bundle with the check of its directions.

    Raises `Refused` where the model does not follow one: it would be served as if it did.
    """
    checks = check_directions(bundle.probability, typed, bundle.schema)
    wrong = [
        problem(
            "monotone-broken",
            check.column,
            f"the probability moves {check.wrong_way:.2g} the other way",
            f"{check.direction}, as [columns.monotone] says",
            "report this as a fault of Fivefold; without that line of the scope the run goes on",
        )
        for check in broken(checks)
    ]
    refuse_errors("The model cannot be served", wrong)
    return replace(bundle, metadata=replace(bundle.metadata, monotone=checks))


def _evaluate_holdout(
    bundle: Bundle, data: TrainingData, options: FitOptions, truth: np.ndarray | None
) -> Evaluation:
    """Evaluate a bundle on the held-out rows."""
    scope, schema, seed = bundle.metadata.scope, data.schema, options.seed
    train, held = data.split.training_rows, data.split.holdout_rows
    rows, labels = data.rows(held)
    some = subsample(train, data.y, MOST_BASELINE, seed)
    compared = baselines(*data.rows(some), rows, schema, seed)
    if truth is not None:
        compared["best achievable (known truth)"] = truth[held]
    known = schema.names("categorical", "boolean")
    groups = [name for name in scope.protected_columns if name in known]
    evaluation = evaluate(
        labels,
        bundle.probability(rows),
        bundle.metadata.threshold,
        scope,
        seed=seed,
        baselines=compared,
        groups=rows[groups],
    )
    importance = permutation_importance(
        bundle.probability,
        rows,
        labels,
        schema.names(),
        seed,
        threads=options.threads,
        seconds=options.importance_seconds,
        schema=schema,
    )
    metrics = dict(evaluation.metrics)
    weights = data.weights_of(held)
    if scope.weight_column and weights is not None:
        metrics |= weighted_figures(labels, bundle.probability(rows), weights)
    return replace(evaluation, importance=importance, metrics=metrics)


def weighted_figures(y: np.ndarray, q: np.ndarray, weights: np.ndarray) -> dict[str, Estimate]:
    """Return the ROC AUC in which each row counts by its weight, without an interval.

    >>> y, q, weights = np.array([0, 0, 1]), np.array([0.1, 0.9, 0.5]), np.array([3.0, 1.0, 1.0])
    >>> weighted_figures(y, q, weights)["roc_auc_weighted"].value
    0.75
    """
    from sklearn.metrics import roc_auc_score

    area = float(roc_auc_score(y, q, sample_weight=weights))
    return {"roc_auc_weighted": Estimate(area, None, None)}


def _check_triumph(
    bundle: Bundle, evaluation: Evaluation, data: TrainingData, out_of_fold: float
) -> Finding:
    """Return the finding on a ROC AUC that is too good to be believed."""
    metadata = bundle.metadata
    rows, labels = data.rows(data.split.holdout_rows)
    scored = Scored(bundle.probability, rows, labels, data.schema)
    important = [line.column for line in evaluation.importance]
    seed, auc = metadata.provenance.seed, evaluation.auc["value"]
    return check_triumph(auc, out_of_fold, scored, important, metadata.scope, seed)


def refit_on_all_rows(
    bundle: Bundle, digest: str, selection: Selection, data: TrainingData, options: FitOptions
) -> Bundle:
    """Return the bundle to serve: the evaluated model, refitted on all labelled rows.

    The settings stay the same.

    Contract, calibration, threshold and evaluation stay those of the evaluated bundle, which has
    the sha256 `digest`. Its figures are an estimate for the new model that is a little too low, as
    it was fitted on a fifth less. `Metadata.refit` has the rows of the new fit, its members and the
    digest.

    References
    ----------
    Hastie, Tibshirani and Friedman 2009, "The Elements of Statistical Learning", section 7.10.1:
    the bias of training sets that are smaller than the whole.

    Raises
    ------
    OutOfTime : where a fit reached its time limit; the evaluated model is then served
    """
    fold_ids = data.fold_ids.copy()
    fold_ids[data.split.holdout_rows] = Assignment.TRAIN_ONLY
    evaluated_rows = len(data.split.training_rows)
    every_row = replace(data, fold_ids=fold_ids)
    fit = _fit(selection, every_row, options, evaluated_rows)
    if fit.emergencies:
        raise OutOfTime(0)
    rows = max(member.rows_fitted for member in fit.members)
    refit = Refit(rows, digest, [member.to_dict() for member in fit.members])
    refitted = Bundle(fit.pipeline, bundle.schema, replace(bundle.metadata, refit=refit))
    return _checked(refitted, data.typed.iloc[every_row.split.training_rows])


@dataclass(frozen=True)
class _Fit:
    """What was fitted: the pipeline, its members and its out-of-fold probabilities, shape (rows,).

    `emergencies`: a sentence for each boosted model that was replaced because its time was up.
    """

    pipeline: Any
    members: list[Member]
    oof: np.ndarray
    emergencies: list[str]


def _fit(
    selection: Selection, data: TrainingData, options: FitOptions, evaluated_rows: int
) -> _Fit:
    """Fit the winner or the blend on the training rows.

    `evaluated_rows`: training rows of the evaluated model, by whose number a model has its seeds,
    so that two models of different rows have as many.
    """
    used, fit_plan, oof = selection.members, selection.plan, selection.oof
    rows, stop = data.split.training_rows, None
    if fit_plan.early_stopped:
        scored = (data.fold_ids >= 0) & ~np.isnan(oof)
        stopping = np.flatnonzero(scored & (data.fold_ids == data.fold_ids[scored].max()))
        stopping_rows, labels = data.rows(stopping)
        weights = data.weights_of(stopping)
        stop = StoppingRows(expand(stopping_rows, data.schema), labels, weights=weights)
        most = max(c.max_rows or len(rows) for c in used)
        others = np.setdiff1d(rows, stopping, assume_unique=True)
        rows = subsample(others, data.y, most, options.seed)
    fitted = []
    shares = []
    all_members: list[Member] = []
    emergencies: list[str] = []
    for candidate in used:
        most = min(evaluated_rows, candidate.max_rows or evaluated_rows)
        seeds = fit_plan.seeds or candidate.entry.seeds_of(most)
        share = selection.weights.get(candidate.algorithm, 1.0)
        if stop is not None:
            limits = fit_plan.seconds or {}
            stop = replace(stop, seconds=limits.get(candidate.algorithm, np.inf))
        try:
            model = fit_final(candidate, data, rows, options, seeds=seeds, stop=stop)
        except OutOfTime as reached:
            emergency = f"{candidate.entry.title}: the final fit was given up, as {reached}"
            candidate = instead_of(candidate, len(rows), reached.rounds)
            model = fit_final(candidate, data, rows, options, seeds=1, stop=None)
            fewer = min(len(rows), candidate.max_rows or len(rows))
            emergency += f"; {candidate.entry.title} on {fewer:,} rows took its place"
            emergencies.append(emergency)
        else:
            library = candidate.entry.boosted
            if stop is not None and library is not None:
                own = Setting(None, candidate.params, library.rounds_of(model[-1]))
                candidate = replace(candidate, settings=[own])
        fitted.append(model)
        shares.append(share)
        all_members += candidate.members(share, len(rows), seeds)
    pipeline = average(fitted, shares)
    if stop is not None:
        oof = np.full(len(data.y), np.nan, dtype="float32")
        oof[stopping] = pipeline.predict_proba(stop.rows)[:, 1]
    return _Fit(pipeline, all_members, oof, emergencies)


def instead_of(candidate: Candidate, rows: int, rounds: int) -> Candidate:
    """Return what is fitted instead of an early-stopped model that reached its time limit.

    It had `rounds` rounds on `rows` rows by then. As long again is enough for the rounds of the
    search on so many rows as its speed allows, at least those of the search. If that is not even
    `LEAST_SPEED` of the search's rows, it is the plain logistic regression on the search's rows.
    """
    affordable = int(rows * rounds / max(1, candidate.rounds or 1))
    if affordable >= LEAST_SPEED * candidate.rows_fit:
        return replace(candidate, max_rows=max(candidate.rows_fit, min(affordable, rows)))
    name, params = "logistic_regression", {"encoding": LINEAR, "C": 0.1}
    bound = min(candidate.rows_fit, ALGORITHMS[name].max_rows or rows)
    setting = Setting(None, params, None)
    return replace(
        candidate, algorithm=name, params=params, rounds=None, settings=[setting], max_rows=bound
    )


def ageing(
    candidate: Candidate, data: TrainingData, times: np.ndarray, unit: str, options: FitOptions
) -> Ageing:
    """Return the ageing curve of a candidate's settings over the folds, which follow time.

    Held-out rows have no part in it. `times`: shape (rows,).
    """
    folds = [train for train, _ in data.split.folds()]

    def scores_of(cut: int) -> np.ndarray:
        model = fit_final(candidate, data, folds[cut], options, seeds=1, stop=None)
        later = np.flatnonzero(data.fold_ids >= cut)
        scores = np.full(len(data.y), np.nan)
        rows, _ = data.rows(later)
        scores[later] = model.predict_proba(expand(rows, data.schema))[:, 1]
        return scores

    return ageing_curve(data.y, data.fold_ids, times, scores_of, unit)


def baselines(
    typed: pd.DataFrame, y: np.ndarray, held: pd.DataFrame, schema: Schema, seed: int
) -> dict[str, np.ndarray]:
    """Return held-out probabilities of two simple models.

    They are the base rate and an untuned logistic regression. Any useful model beats both.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, encode = encode_training(TREES, typed, y, schema, seed)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(train.x, y)
    held_matrix = encode.transform(expand(held, schema))
    return {
        "base rate": np.full(len(held), y.mean()),
        PLAIN_BASELINE: logistic.predict_proba(held_matrix)[:, 1],
    }
