"""The winner: refitted, calibrated, its threshold from training rows; evaluated once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB

from fivefold.core.scope import Scope
from fivefold.data.splits import Assignment, Split
from fivefold.model.bundle import from_bytes, sha256
from fivefold.model.calibration import (
    calibrated_oof,
    cross_calibrate,
    fit_calibration,
)
from fivefold.model.inputs import expand
from fivefold.model.metadata import Provenance
from fivefold.model.threshold import Costs, choose_threshold
from fivefold.training import finalize
from fivefold.training.algorithms import ALGORITHMS, Algorithm
from fivefold.training.boosting import OutOfTime
from fivefold.training.encoding import TREES
from fivefold.training.finalize import Selection, baselines, refit_on_all_rows
from fivefold.training.finalize import finalize as finalized
from fivefold.training.fit_plan import FitPlan, Resources, plan_fits
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import SCOPE, mixed, prepared
from tests.support.training import candidate as candidate_of
from tests.support.training import fit_final, searched

PROVENANCE = Provenance("TrainFlow/1", "abc", rows=400)
CHOSEN = (
    "calibration",
    "threshold",
    "reference",
    "features",
    "params",
    "rounds",
    "scope",
    "phrases",
    "provenance",
)


def chosen(bundle):
    """What a bundle keeps of the choices that held-out rows must not change."""
    stored = bundle.metadata.to_dict()
    return {key: stored[key] for key in CHOSEN}


@pytest.fixture(scope="module", autouse=True)
def _bayes():
    """A sixth, quick algorithm for this file."""
    ALGORITHMS["naive_bayes"] = Algorithm(
        "Naive Bayes",
        TREES,
        lambda params, seed, threads, types: GaussianNB(**params),
        ({"var_smoothing": 1e-3},),
        {"var_smoothing": (1e-12, 1.0, "log")},
    )
    yield
    del ALGORITHMS["naive_bayes"]


@pytest.fixture(scope="module")
def parts():
    typed, y, fold_ids, schema = prepared(600)
    candidate, oof = searched("naive_bayes", typed, y, fold_ids, schema, trials=2)
    return candidate, oof, typed, y, fold_ids, schema


def finished(parts, **changes):
    candidate, oof, typed, y, fold_ids, schema = parts
    truth = changes.pop("truth", None)
    data = replace(TrainingData(typed, y, fold_ids, schema), **changes)
    selection = Selection([candidate], oof, {}, FitPlan())
    return finalized(selection, data, FitOptions(), SCOPE, PROVENANCE, truth)[0]


@pytest.fixture(scope="module")
def bundle(parts):
    return finished(parts)


def test_held_out_labels_change_the_evaluation_and_nothing_else(parts, bundle):
    _, _, typed, y, fold_ids, _ = parts
    held = fold_ids == Assignment.HOLDOUT
    shuffled = y.copy()
    shuffled[held] = np.random.default_rng(0).permutation(y[held])
    other = finished(parts, y=shuffled)
    assert chosen(other) == chosen(bundle)
    np.testing.assert_array_equal(other.probability(typed), bundle.probability(typed))
    assert other.metadata.evaluation.auc != bundle.metadata.evaluation.auc
    assert (
        abs(other.metadata.evaluation.auc["value"] - 0.5)
        < 0.12
        < bundle.metadata.evaluation.auc["value"] - 0.5
    )


def test_held_out_values_change_the_evaluation_and_nothing_else(parts, bundle):
    _, _, typed, _, fold_ids, _ = parts
    held, wild = fold_ids == Assignment.HOLDOUT, typed.copy()
    wild.loc[held, ["amount", "age"]] = [1e7, -3.0]
    wild.loc[held, ["region", "shop", "note"]] = "never seen"
    wild.loc[held, "since"] += np.timedelta64(
        5, "h"
    )  # in training all hours are 0 and the column is dropped
    other = finished(parts, typed=wild)
    assert chosen(other) == chosen(bundle)
    np.testing.assert_array_equal(other.probability(typed), bundle.probability(typed))
    assert other.metadata.evaluation.auc != bundle.metadata.evaluation.auc


def test_training_labels_do_change_the_model(parts, bundle):
    _, _, typed, y, fold_ids, _ = parts
    other = finished(parts, y=np.where(fold_ids == 0, 1 - y, y).astype("int8"))
    assert (other.probability(typed) != bundle.probability(typed)).any()
    assert other.metadata.threshold != bundle.metadata.threshold


def test_the_evaluation_is_on_the_held_out_rows(parts, bundle):
    _, _, typed, y, fold_ids, _ = parts
    held = fold_ids == Assignment.HOLDOUT
    report = bundle.metadata.evaluation
    assert report.rows == held.sum() == 120
    assert report.positives == y[held].sum()
    assert report.auc["value"] == pytest.approx(
        roc_auc_score(y[held], bundle.probability(typed[held]))
    )
    assert {s.column for s in report.segments} == {"region"}
    assert sum(s.rows for s in report.segments) == 120
    assert next(line.column for line in report.importance) in (
        "amount",
        "region",
        "member",
        "shop",
    )
    assert {line.column for line in report.importance} == set(parts[5].names())


def test_calibration_and_threshold_are_those_of_the_out_of_fold_scores(parts, bundle):
    candidate, oof, typed, y, fold_ids, schema = parts
    rows = fold_ids >= 0
    calibration = fit_calibration(y[rows], oof[rows], fold_ids[rows])
    assert calibration.method == "beta"  # naive Bayes is far too sure of itself
    assert bundle.metadata.calibration == calibration
    crossed = cross_calibrate(y[rows], oof[rows], fold_ids[rows])
    assert bundle.metadata.threshold == choose_threshold(y[rows], crossed, Costs(5.0, 1.0))
    assert bundle.metadata.reference.scores == pytest.approx(
        np.percentile(crossed, np.linspace(0, 100, 101)).tolist()
    )
    final = fit_final(
        candidate,
        typed.iloc[Split(fold_ids).training_rows],
        y[Split(fold_ids).training_rows],
        schema,
    )
    expected = calibration.apply(final.predict_proba(expand(typed, schema))[:, 1])
    np.testing.assert_allclose(bundle.probability(typed), expected)


def test_baselines_learn_from_training_rows(parts, bundle, monkeypatch):
    _, _, typed, y, fold_ids, schema = parts
    result = {b.name: b for b in bundle.metadata.evaluation.baselines}
    assert set(result) == {"base rate", "plain logistic regression"}
    assert result["base rate"].auc == 0.5
    assert 0.6 < result["plain logistic regression"].auc < 1
    train, held = Split(fold_ids).training_rows, np.flatnonzero(fold_ids == Assignment.HOLDOUT)
    captured = []
    real = finalize.evaluate
    monkeypatch.setattr(
        finalize, "evaluate", lambda *a, **k: captured.append(k["baselines"]) or real(*a, **k)
    )
    for labels in (y, np.where(fold_ids == Assignment.HOLDOUT, 1 - y, y).astype("int8")):
        finished(parts, y=labels)
    for name in result:  # held-out labels have no part in them
        np.testing.assert_array_equal(captured[0][name], captured[1][name])
    raw = baselines(typed.iloc[train], y[train], typed.iloc[held], schema, 0)
    assert set(raw["base rate"].tolist()) == {y[train].mean()}


def test_a_known_truth_is_a_baseline_of_its_own(parts):
    _, _, _, y, _place, _ = parts
    truth = np.where(y == 1, 0.8, 0.2)
    result = finished(parts, truth=truth).metadata.evaluation.baselines[-1]
    assert (result.name, result.auc) == ("best achievable (known truth)", 1.0)
    assert result.gain < 0


def test_what_the_bundle_says_of_itself_is_json_without_nan_and_a_sixth_algorithm_is_served(bundle):
    json.dumps(bundle.metadata.to_dict(), allow_nan=False)
    blob = bundle.to_bytes()
    again = from_bytes(blob, sha256(blob))
    frame = mixed(600)
    assert again.score(frame).equals(bundle.score(frame))
    assert set(bundle.score(frame)["decision"]) == {"negative", "positive"}


# --- the blend -----------------------------------------------------------------------------------


def test_a_blend_is_finalized_like_a_single_model(parts):
    candidate, oof, typed, y, fold_ids, schema = parts
    other, other_oof = searched("logistic_regression", typed, y, fold_ids, schema, trials=1)
    weights = {"naive_bayes": 0.25, "logistic_regression": 0.75}
    mixed_oof = 0.25 * oof + 0.75 * other_oof
    selection = Selection([candidate, other], mixed_oof, weights, FitPlan())
    data = TrainingData(typed, y, fold_ids, schema)
    blended = finalized(selection, data, FitOptions(), SCOPE, PROVENANCE)[0]
    rows = Split(fold_ids).training_rows
    alone = [
        fit_final(c, typed.iloc[rows], y[rows], schema).predict_proba(expand(typed, schema))[:, 1]
        for c in (candidate, other)
    ]
    expected = blended.metadata.calibration.apply(0.25 * alone[0] + 0.75 * alone[1])
    np.testing.assert_allclose(blended.probability(typed), expected, rtol=1e-9)
    assert blended.metadata.algorithm == "blend"
    assert [(m["algorithm"], m["weight"]) for m in blended.metadata.members] == list(
        weights.items()
    )
    assert blended.metadata.members[1]["params"] == other.params
    judged = fold_ids >= 0
    assert blended.metadata.calibration == fit_calibration(
        y[judged], mixed_oof[judged], fold_ids[judged]
    )
    held = fold_ids == Assignment.HOLDOUT
    assert blended.metadata.evaluation.auc["value"] == pytest.approx(
        roc_auc_score(y[held], expected[held])
    )


# --- early-stopped: the search saw a small part of the rows --------------------------------------


def early_stopped(parts, **changes):
    _, _, typed, y, fold_ids, schema = parts
    data = replace(TrainingData(typed, y, fold_ids, schema), **changes)
    boosted = candidate_of("lightgbm", rows_fit=50)
    oof = np.where(fold_ids >= 0, 0.5, np.nan).astype("float32")
    plan = plan_fits([boosted], {}, Resources(len(Split(fold_ids).training_rows)))
    assert plan.early_stopped
    selection = Selection([boosted], oof, {}, plan)
    return finalized(selection, data, FitOptions(), SCOPE, PROVENANCE)


def test_an_early_stopped_model_is_calibrated_on_the_rows_it_stopped_by_and_learns_from_the_others(
    parts,
):
    _, _, typed, y, fold_ids, schema = parts
    bundle, oof = early_stopped(parts)
    stop = fold_ids == fold_ids.max()
    assert (np.isfinite(oof) == stop).all()
    assert bundle.metadata.rows_training == len(Split(fold_ids).training_rows)
    assert bundle.metadata.rows_fitted == len(Split(fold_ids).training_rows) - stop.sum()
    raw = bundle.pipeline.predict_proba(expand(typed[stop], schema))[:, 1]
    np.testing.assert_allclose(oof[stop], raw, rtol=1e-6)
    folds = np.arange(stop.sum()) % 3
    assert bundle.metadata.calibration == fit_calibration(y[stop], oof[stop], folds)
    labels, q = calibrated_oof(
        y, oof, fold_ids, bundle.metadata.calibration
    )  # what the page of decisions shows
    np.testing.assert_array_equal(labels, y[stop])
    assert bundle.metadata.threshold == choose_threshold(labels, q, Costs(5.0, 1.0))


def out_of_time(parts, rows_fit):
    """Finalize with an early-stopped LightGBM that has no time: it ends after its first round."""
    _, _, typed, y, fold_ids, schema = parts
    boosted = candidate_of("lightgbm", rows_fit=rows_fit)
    oof = np.where(fold_ids >= 0, 0.5, np.nan).astype("float32")
    plan = FitPlan(seeds=1, early_stopped=True, seconds={"lightgbm": 0.0}, rows={"lightgbm": 1000})
    selection = Selection([boosted], oof, {}, plan)
    data = TrainingData(typed, y, fold_ids, schema)
    return selection, data, finalized(selection, data, FitOptions(), SCOPE, PROVENANCE)


def test_rounds_that_the_clock_cut_are_not_served_but_those_of_the_search_on_its_rows(parts):
    """One round of 20 on 384 rows: as long again is enough for 19 rows, over half of 30."""
    _, _, (bundle, _) = out_of_time(parts, 30)
    assert (bundle.metadata.algorithm, bundle.metadata.rounds) == ("lightgbm", 20)
    assert bundle.metadata.rows_fitted == 30
    assert bundle.metadata.given_up == [
        "LightGBM: the final fit was given up, as the time was up after 1 round; "
        "LightGBM on 30 rows took its place"
    ]


def test_where_not_even_these_can_be_fitted_the_plain_regression_is_served(parts):
    selection, data, (bundle, oof) = out_of_time(parts, 50)
    member = bundle.metadata.members[0]
    assert bundle.metadata.algorithm == member["algorithm"] == "logistic_regression"
    assert (member["params"], member["rounds"]) == ({"encoding": "linear", "C": 0.1}, None)
    assert "Logistic regression on 50 rows took its place" in bundle.metadata.given_up[0]
    stop = data.fold_ids == data.fold_ids.max()  # it has not seen them, and is calibrated on them
    raw = bundle.pipeline.predict_proba(expand(data.typed[stop], data.schema))[:, 1]
    np.testing.assert_allclose(oof[stop], raw, rtol=1e-6)
    with pytest.raises(OutOfTime):  # such a model is not fitted again: the evaluated one is served
        refit_on_all_rows(bundle, "abc", selection, data, FitOptions())


@pytest.mark.parametrize(
    ("rounds", "algorithm", "rows"),
    [
        (100, "lightgbm", 8000),  # it was nearly there
        (50, "lightgbm", 4000),
        (20, "lightgbm", 2000),  # the rows of the search
        (13, "lightgbm", 2000),
        (12, "logistic_regression", 2000),  # 960 rows, less than half of them
    ],
)
def test_what_takes_the_place_of_a_model_out_of_time(rounds, algorithm, rows):
    boosted = candidate_of("lightgbm", rounds=100, rows_fit=2000)
    result = finalize.instead_of(boosted, 8000, rounds)
    assert (result.algorithm, result.max_rows) == (algorithm, rows)


def test_an_early_stopped_model_stops_by_the_last_fold_that_the_search_has_scored(parts):
    _, _, typed, y, fold_ids, schema = parts
    oof = np.where(np.isin(fold_ids, (0, 1)), 0.5, np.nan).astype("float32")
    plan = FitPlan(seeds=1, early_stopped=True, rows={"lightgbm": 1000})
    selection = Selection([candidate_of("lightgbm", rows_fit=50)], oof, {}, plan)
    data = TrainingData(typed, y, fold_ids, schema)
    _, after = finalized(selection, data, FitOptions(), SCOPE, PROVENANCE)
    assert (np.isfinite(after) == (fold_ids == 1)).all()


def test_a_model_of_one_scored_fold_is_calibrated_on_that_fold(parts):
    candidate, oof, typed, y, fold_ids, schema = parts
    first = np.where(fold_ids == 0, oof, np.nan).astype("float32")
    short = replace(candidate, folds_scored=1)
    data = TrainingData(typed, y, fold_ids, schema)
    bundle, served = finalized(
        Selection([short], first, {}, FitPlan()), data, FitOptions(), SCOPE, PROVENANCE
    )
    np.testing.assert_array_equal(served, first)
    rows = fold_ids == 0
    folds = np.arange(rows.sum()) % 3
    assert bundle.metadata.calibration == fit_calibration(y[rows], oof[rows], folds)
    labels, calibrated = calibrated_oof(y, served, fold_ids, bundle.metadata.calibration)
    assert bundle.metadata.threshold == choose_threshold(labels, calibrated, Costs(5.0, 1.0))
    assert bundle.metadata.given_up == [short.given_up]
    assert short.given_up.startswith("Naive Bayes: 1 of 3 folds, all 320 rows")
    assert candidate.given_up == ""


def test_held_out_labels_have_no_part_in_an_early_stopped_model(parts):
    _, _, typed, y, fold_ids, _ = parts
    flipped = np.where(fold_ids == Assignment.HOLDOUT, 1 - y, y).astype("int8")
    one, two = early_stopped(parts)[0], early_stopped(parts, y=flipped)[0]
    assert chosen(one) == chosen(two)
    np.testing.assert_array_equal(one.probability(typed), two.probability(typed))
    moved = np.where(fold_ids == fold_ids.max(), 1 - y, y).astype(
        "int8"
    )  # the stopping rows do have one
    assert early_stopped(parts, y=moved)[0].metadata.threshold != one.metadata.threshold


# --- what is served, fitted again on all rows ----------------------------------------------------


def test_the_served_model_learns_from_all_rows_and_keeps_the_figures_of_the_evaluated_one(
    parts, bundle
):
    candidate, oof, typed, y, fold_ids, schema = parts
    data = TrainingData(typed, y, fold_ids, schema)
    served = refit_on_all_rows(
        bundle, "abc", Selection([candidate], oof, {}, FitPlan()), data, FitOptions()
    )
    every = fit_final(candidate, typed, y, schema)
    expected = bundle.metadata.calibration.apply(every.predict_proba(expand(typed, schema))[:, 1])
    np.testing.assert_allclose(served.probability(typed), expected)
    members = [{**bundle.metadata.members[0], "rows_fitted": 600}]
    assert served.metadata.to_dict() == {
        **bundle.metadata.to_dict(),
        "refit": {"rows": 600, "members": members, "judged_sha256": "abc"},
    }
    assert bundle.metadata.refit is None
    again = from_bytes(blob := served.to_bytes(), sha256(blob))
    assert again.metadata.refit == served.metadata.refit


def test_rows_without_a_label_stay_out_of_the_served_model(parts, bundle):
    candidate, oof, typed, y, fold_ids, schema = parts
    unlabelled = np.flatnonzero(fold_ids == Assignment.HOLDOUT)[:50]
    fewer, none = fold_ids.copy(), y.copy()
    fewer[unlabelled], none[unlabelled] = Assignment.UNLABELLED, -1
    data = TrainingData(typed, none, fewer, schema)
    served = refit_on_all_rows(
        bundle, "abc", Selection([candidate], oof, {}, FitPlan()), data, FitOptions()
    )
    assert served.metadata.refit.rows == 550


def test_the_served_model_has_as_many_fits_as_the_evaluated_one(parts, monkeypatch):
    """600 rows instead of 480 must not turn three fits into two (limit: 1,200 rows times fits)."""
    _, oof, typed, y, fold_ids, schema = parts
    monkeypatch.setattr("fivefold.training.algorithms.MOST_ROWS_TIMES_SEEDS", 3 * 480)
    selection = Selection(
        [candidate_of("random_forest", params={"n_estimators": 5})], oof, {}, FitPlan()
    )
    data = TrainingData(typed, y, fold_ids, schema)
    scope = Scope(target="label", positive="yes")
    judged = finalized(selection, data, FitOptions(), scope, PROVENANCE)[0]
    served = refit_on_all_rows(judged, "abc", selection, data, FitOptions())
    assert [len(model.pipeline[-1].estimators_) for model in (judged, served)] == [3, 3]


def test_an_early_stopped_model_is_fitted_again_beside_its_stopping_rows(parts):
    _, _, typed, y, fold_ids, schema = parts
    oof = np.where(fold_ids >= 0, 0.5, np.nan).astype("float32")
    plan = FitPlan(seeds=1, early_stopped=True, rows={"lightgbm": 1000})
    selection = Selection([candidate_of("lightgbm")], oof, {}, plan)
    data = TrainingData(typed, y, fold_ids, schema)
    one = early_stopped(parts)[0]
    served = refit_on_all_rows(one, "abc", selection, data, FitOptions())
    stop = int((fold_ids == fold_ids.max()).sum())
    again = served.metadata.refit
    assert (again.rows, again.members[0]["rows_fitted"]) == (
        600 - stop,
        600 - stop,
    )  # the stopping rows are not learnt
    assert again.members[0]["rounds"] != 20  # nor are the rounds those of the search
    flipped = np.where(fold_ids == Assignment.HOLDOUT, 1 - y, y).astype("int8")
    # here the held-out labels do have a part
    other = refit_on_all_rows(one, "abc", selection, replace(data, y=flipped), FitOptions())
    assert (served.probability(typed) != other.probability(typed)).any()
