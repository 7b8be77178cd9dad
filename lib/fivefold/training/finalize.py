"""Finalist: the winner refitted, calibrated, given its threshold, looked at once on the held-out rows, and served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.splits import Assignment, Split, subsample
from fivefold.model.bundle import Bundle, reference
from fivefold.model.calibration import calibrated_oof, fit_calibration, scored_rows
from fivefold.model.evaluation import evaluate, permutation_importance
from fivefold.model.explain import background
from fivefold.model.inputs import expand
from fivefold.model.metadata import Metadata, Outcomes, Provenance, Refit
from fivefold.model.threshold import Costs, choose_threshold
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.encode_folds import Extra, encode_training
from fivefold.training.encoding import TREES, plan
from fivefold.training.final_fit import average, bag_size, fit_final, members

MOST_LOOKED_AT = 200_000  # training rows of which a bundle keeps percentiles, shares and the recipe
MOST_PLAIN = 50_000  # training rows of the plain logistic regression


def finish(
    candidate: dict[str, Any],
    oof: np.ndarray,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    scope: Scope,
    provenance: Provenance,
    *,
    seed: int = 0,
    threads: int = 1,
    extra: Extra | None = None,
    truth: np.ndarray | None = None,
    others: Sequence[dict[str, Any]] = (),
    weights: dict[str, float] | None = None,
    fits: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> tuple[Bundle, np.ndarray]:
    """(`Bundle` of the winning candidate, evaluated once on the held-out rows; the out-of-fold
    probabilities that its calibration and threshold rest on).

    With `weights` {algorithm: share} it is the blend of the candidate and `others`; `oof` is then the blend's.
    Calibration and threshold come from out-of-fold scores of the training rows; the threshold from scores calibrated
    by other folds. `truth`: known P(positive) of every row of generated data, for the best achievable ROC AUC.

    `fits`: `fivefold.training.fit_plan.plan_fits`. Where it is `grown`, the rows of the last fold that the search has scored are
    not fitted on: rounds, calibration and threshold come from them, scored by the final model itself.
    """
    train, held = Split(fold_ids).training_rows, np.flatnonzero(fold_ids == Assignment.HOLDOUT)
    pipeline, told, oof = _fitted(
        (candidate, *others),
        oof,
        typed,
        y,
        fold_ids,
        schema,
        weights,
        fits,
        seed=seed,
        threads=threads,
        extra=extra,
        device=device,
    )
    rows = typed.iloc[subsample(train, y, MOST_LOOKED_AT, seed)]
    judged, folds = scored_rows(oof, fold_ids)
    calibration = fit_calibration(y[judged], oof[judged], folds)
    _, crossed = calibrated_oof(y, oof, fold_ids, calibration)
    threshold = choose_threshold(y[judged], crossed, Costs.of(scope))
    recipe = plan(expand(rows, schema), schema)
    metadata = Metadata(
        algorithm="blend" if weights else candidate["algorithm"],
        params={} if weights else candidate["params"],
        rounds=None if weights else told[0]["rounds"],
        members=told,
        rows_fitted=max(member["rows_fitted"] for member in told),
        rows_training=len(train),
        calibration=calibration,
        threshold=threshold,
        outcomes=Outcomes(scope.negative_phrase, scope.positive_phrase),
        scope=scope,
        features={k: recipe[k] for k in ("numbers", "low", "high", "text", "derived", "dropped")},
        reference=replace(reference(rows, schema, crossed), rows=len(train)),
        background=background(rows, schema, seed),
        provenance=provenance,
    )
    bundle = Bundle(pipeline, schema, metadata)
    rows, labels = typed.iloc[held], y[held]
    q = bundle.probability(rows)
    plainly = subsample(train, y, MOST_PLAIN, seed)
    compared = baselines(typed.iloc[plainly], y[plainly], rows, schema, seed)
    if truth is not None:
        compared["best achievable (known truth)"] = truth[held]
    watched = [
        n
        for n in scope.protected_columns
        if n in rows.columns and schema[n].kind in ("categorical", "boolean")
    ]
    report = evaluate(
        labels, q, threshold, scope, seed=seed, baselines=compared, groups=rows[watched]
    )
    importance = permutation_importance(
        bundle.probability, rows, labels, schema.names(), seed, threads=threads
    )
    evaluation = replace(report, importance=importance)
    return replace(bundle, metadata=replace(metadata, evaluation=evaluation)), oof


def refit(
    bundle: Bundle,
    digest: str,
    candidates: Sequence[dict[str, Any]],
    oof: np.ndarray,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    weights: dict[str, float] | None = None,
    fits: Mapping[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> Bundle:
    """The bundle that is served for `bundle` of sha256 `digest`, which `finish` made and judged: its model fitted once
    more with the same settings on all labelled rows, the held-out ones among them.

    Contract, calibration, threshold and evaluation stay those of the judged model. Its figures are an estimate for this
    one that is a little too low, as it learnt from a fifth less (Hastie, Tibshirani and Friedman 2009, "The Elements of
    Statistical Learning", section 7.10.1: the bias of training sets that are smaller than the whole). `Metadata.refit`
    has the rows that it learnt from, its members and the digest. `candidates`: the winner, then the others. `options`
    as `fivefold.training.final_fit.fit_final`.
    """
    whole = fold_ids.copy()
    whole[fold_ids == Assignment.HOLDOUT] = Assignment.TRAIN_ONLY
    pipeline, told, _ = _fitted(
        candidates,
        oof,
        typed,
        y,
        whole,
        bundle.schema,
        weights,
        fits,
        len(Split(fold_ids).training_rows),
        seed=seed,
        **options,
    )
    rows = max(member["rows_fitted"] for member in told)
    metadata = replace(bundle.metadata, refit=Refit(rows, digest, told))
    return Bundle(pipeline, bundle.schema, metadata)


def _fitted(
    candidates: Sequence[dict[str, Any]],
    oof: np.ndarray,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    weights: dict[str, float] | None,
    fits: Mapping[str, Any] | None,
    rows_bagged: int | None = None,
    **options: Any,
) -> tuple[Any, list[dict[str, Any]], np.ndarray]:
    """(fitted pipeline of the first candidate or of the blend, its `fivefold.training.final_fit.members`, out-of-fold probabilities).

    `rows_bagged`: training rows by whose number a model has its fits, so that two models of different rows have as
    many; by default those that are fitted. `options` as `fivefold.training.final_fit.fit_final`.
    """
    fits = fits or {"grown": False, "bag": None, "seconds": None, "rows": {}}
    used = [c for c in candidates if weights and c["algorithm"] in weights] or [candidates[0]]
    used = [{**c, "max_rows": fits["rows"].get(c["algorithm"], c["max_rows"])} for c in used]
    learnt, limits = Split(fold_ids).training_rows, fits["seconds"] or {}
    if fits["grown"]:
        stop = np.flatnonzero((fold_ids == fold_ids.max()) & ~np.isnan(oof))
        options["stop"] = expand(typed.iloc[stop], schema), y[stop]
        learnt = subsample(
            np.setdiff1d(learnt, stop, assume_unique=True),
            y,
            max(c["max_rows"] for c in used),
            options["seed"],
        )
    rows, labels = typed.iloc[learnt], y[learnt]
    sized = rows_bagged or len(learnt)
    bags = [
        fits["bag"] or bag_size(ALGORITHMS[c["algorithm"]], min(sized, c["max_rows"] or sized))
        for c in used
    ]
    fitted = [
        fit_final(c, rows, labels, schema, bag=bag, seconds=limits.get(c["algorithm"]), **options)
        for c, bag in zip(used, bags, strict=True)
    ]
    shares = [weights[c["algorithm"]] if weights else 1.0 for c in used]
    pipeline = average(fitted, shares)
    if fits["grown"]:
        oof = np.full(len(y), np.nan, dtype="float32")
        oof[stop] = pipeline.predict_proba(options["stop"][0])[:, 1]
        used = [
            {**c, "rounds": c["rounds"] and int(m[-1].n_estimators), "settings": None}
            for c, m in zip(used, fitted, strict=True)
        ]
    told = [
        m
        for c, share, bag in zip(used, shares, bags, strict=True)
        for m in members(c, share, len(learnt), bag)
    ]
    return pipeline, told, oof


def baselines(
    typed: pd.DataFrame, y: np.ndarray, held: pd.DataFrame, schema: Schema, seed: int
) -> dict[str, np.ndarray]:
    """Held-out probabilities of what any model must beat: the base rate, and an untuned logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    matrix, encode, _ = encode_training(TREES, typed, y, schema, seed)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(matrix, y)
    return {
        "base rate": np.full(len(held), y.mean()),
        "plain logistic regression": plain.predict_proba(encode.transform(expand(held, schema)))[
            :, 1
        ],
    }
