"""Finalist: the winner refitted, calibrated, given its threshold, and looked at once on the held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from lib.bundle import Bundle, reference
from lib.calibration import choose_threshold, fit_calibration, judged_scores
from lib.evaluation import evaluate, permutation_importance
from lib.explain import background
from lib.features import TREES, expand, plan
from lib.folds import Extra, encode_training
from lib.refit import fit_blend, fit_final
from lib.schema import Schema
from lib.scope import Scope
from lib.splits import HOLDOUT, training_rows


def finish(candidate: dict[str, Any], oof: np.ndarray, typed: pd.DataFrame, y: np.ndarray, place: np.ndarray,
           schema: Schema, scope: Scope, provenance: dict[str, Any], *, seed: int = 0, threads: int = 1,
           extra: Extra | None = None, truth: np.ndarray | None = None, others: Sequence[dict[str, Any]] = (),
           weights: dict[str, float] | None = None, bag: int | None = None, device: str = "cpu") -> Bundle:
    """The `Bundle` of the winning candidate, evaluated once on the rows whose `place` is `HOLDOUT`.

    With `weights` {algorithm: share} it is the blend of the candidate and `others`; `oof` is then the blend's.
    Calibration and threshold come from out-of-fold scores of the training rows; the threshold from scores calibrated
    by other folds. `truth`: known P(positive) of every row of generated data, for the best achievable ROC AUC.
    """
    train, held = training_rows(place), np.flatnonzero(place == HOLDOUT)
    judged = place >= 0
    options: dict[str, Any] = {"seed": seed, "threads": threads, "extra": extra, "bag": bag, "device": device}
    used = [c for c in (candidate, *others) if weights and c["algorithm"] in weights] or [candidate]
    pipeline = fit_blend(used, weights, typed.iloc[train], y[train], schema, **options) if weights else fit_final(
        candidate, typed.iloc[train], y[train], schema, **options)
    calibration = fit_calibration(y[judged], oof[judged], place[judged])
    _, crossed = judged_scores(y, oof, place, calibration)
    threshold = choose_threshold(y[judged], crossed, scope.cost_miss, scope.cost_false_alarm, scope.capacity)
    recipe = plan(expand(typed.iloc[train], schema), schema)
    about = {"algorithm": "blend" if weights else candidate["algorithm"],
             "params": {} if weights else candidate["params"], "rounds": None if weights else candidate["rounds"],
             "members": [{"algorithm": c["algorithm"], "weight": weights[c["algorithm"]] if weights else 1.0,
                          "params": c["params"], "rounds": c["rounds"],
                          "rows_fitted": min(len(train), c["max_rows"] or len(train))} for c in used],
             "rows_fitted": max(min(len(train), c["max_rows"] or len(train)) for c in used),
             "rows_training": len(train),
             "calibration": calibration, "threshold": threshold,
             "phrases": [scope.negative_phrase, scope.positive_phrase], "scope": scope.to_dict(),
             "features": {k: recipe[k] for k in ("numbers", "low", "high", "text", "derived", "dropped")},
             "reference": reference(typed.iloc[train], schema, crossed),
             "background": background(typed.iloc[train], schema, seed), "provenance": provenance, "evaluation": {}}
    bundle = Bundle(pipeline, schema, about)
    rows, labels = typed.iloc[held], y[held]
    q = bundle.probability(rows)
    compared = baselines(typed.iloc[train], y[train], rows, schema, seed)
    if truth is not None:
        compared["best achievable (known truth)"] = truth[held]
    watched = [n for n in scope.protected_columns if n in rows.columns and schema[n].kind in ("categorical", "boolean")]
    report = evaluate(labels, q, threshold, scope, seed=seed, baselines=compared, groups=rows[watched])
    report["importance"] = permutation_importance(bundle.probability, rows, labels, schema.names(), seed)
    about["evaluation"] = report
    return bundle


def baselines(typed: pd.DataFrame, y: np.ndarray, held: pd.DataFrame, schema: Schema,
              seed: int) -> dict[str, np.ndarray]:
    """Held-out probabilities of what any model must beat: the base rate, and an untuned logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    matrix, encode, _ = encode_training(TREES, typed, y, schema, seed)
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(matrix, y)
    return {"base rate": np.full(len(held), y.mean()),
            "plain logistic regression": plain.predict_proba(encode.transform(expand(held, schema)))[:, 1]}
