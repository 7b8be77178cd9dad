"""The metric that chooses: hand-computed values, and what it chooses where metrics disagree."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope
from fivefold.training.candidate import Candidate, Trial
from fivefold.training.ensemble import blend, choose_served
from fivefold.training.leaderboard import rank
from fivefold.training.metric import METRICS, average_precision
from fivefold.training.search import SearchHooks, search
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import prepared
from tests.support.training import candidate

FOLDS = np.arange(400) % 4


def worlds():
    """Labels; scores that rank better; scores that rank a little worse and are honest."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.95, 400)
    y = (rng.random(400) < truth).astype(int)
    sharp = np.clip(truth + rng.normal(0, 0.05, 400), 0.01, 0.99) ** 8  # ranks well, far too low
    honest = np.clip(truth + rng.normal(0, 0.1, 400), 0.02, 0.98)
    return y, sharp, honest


def test_each_metric_has_its_value_and_a_higher_score_is_better():
    y, p = np.array([1, 0, 1, 0]), np.array([0.8, 0.6, 0.5, 0.1])
    assert METRICS["roc_auc"].score(y, p) == 0.75
    assert METRICS["pr_auc"].score(y, p) == pytest.approx((1 + 2 / 3) / 2)
    loss = -np.log([0.8, 0.4, 0.5, 0.9]).mean()
    assert METRICS["log_loss"].value(y, p) == pytest.approx(loss)
    assert METRICS["log_loss"].score(y, p) == pytest.approx(-loss)


def test_the_pr_auc_is_that_of_scikit_learn_with_ties_too():
    rng = np.random.default_rng(1)
    for _ in range(20):
        y, p = rng.integers(0, 2, 50), rng.integers(0, 12, 50) / 12
        assert average_precision(y, p) == pytest.approx(average_precision_score(y, p))


@pytest.mark.parametrize("name", list(METRICS))
def test_the_paired_test_is_quiet_for_noise_and_fires_for_a_planted_difference(name):
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(40):
        truth = rng.uniform(0.05, 0.95, 400)
        y = (rng.random(400) < truth).astype(int)
        a, b = (np.clip(truth + rng.normal(0, 0.15, 400), 0.02, 0.98) for _ in range(2))
        p_values.append(METRICS[name].compare(y, a, b, FOLDS)["p_value"])
    assert np.mean(np.array(p_values) < 0.05) <= 0.125  # 2 expected of 40, 5 at most
    worse = np.clip(truth + rng.normal(0, 0.5, 400), 0.02, 0.98)
    test = METRICS[name].compare(y, truth, worse, FOLDS)
    assert test["difference"] > 0
    assert test["p_value"] < 0.01
    nothing = METRICS[name].compare(y, truth, truth, FOLDS)
    assert (nothing["difference"], nothing["p_value"]) == (0.0, 1.0)


@pytest.mark.parametrize(("name", "expected"), [("roc_auc", "xgboost"), ("log_loss", "lightgbm")])
def test_leaderboard_and_blend_choose_by_it(name, expected):
    y, sharp, honest = worlds()
    oofs, metric = {"xgboost": sharp, "lightgbm": honest}, METRICS[name]
    candidates = []
    for algorithm, oof in oofs.items():
        by_fold = [(y[at], oof[at]) for at in (np.flatnonzero(fold == FOLDS) for fold in range(4))]
        scores = [metric.score(*fold) for fold in by_fold]
        aucs = [METRICS["roc_auc"].score(*fold) for fold in by_fold]
        made = candidate(algorithm, auc_mean=float(np.mean(aucs)), fold_scores=aucs)
        is_auc = name == "roc_auc"
        candidates.append(
            Candidate.from_dict(
                {**made.to_dict(), "metric": name, "scores": None if is_auc else scores}
            )
        )
    board = rank(candidates, oofs, y, FOLDS, metric)
    assert board.winner.algorithm == expected
    mixed, _ = blend(oofs, y, FOLDS, expected, metric)
    assert mixed.metric == name
    if name == "log_loss":
        assert mixed.weights["lightgbm"] > mixed.weights.get("xgboost", 0.0)
        assert board.rows[1].p_value < 0.05
    elif len(mixed.weights) > 1:
        assert choose_served("auto", mixed)[1].endswith("in ROC AUC")


@pytest.mark.parametrize("name", list(METRICS))
def test_a_search_keeps_the_trial_that_is_best_by_it(name):
    typed, y, fold_ids, schema = prepared()
    hooks = SearchHooks(lambda scored: None, lambda progress: None, lambda: -np.inf)
    found, oof = search(
        "logistic_regression",
        TrainingData(typed, y, fold_ids, schema),
        FitOptions(metric=name),
        trials=4,
        seconds=np.inf,
        saved=(),
        hooks=hooks,
    )
    complete = [trial for trial in found.trials if trial.complete]
    assert found.params == max(complete, key=lambda trial: trial.score).params
    numbers = np.unique(fold_ids[fold_ids >= 0])
    by_fold = [METRICS[name].score(y[fold_ids == f], oof[fold_ids == f]) for f in numbers]
    assert found.score == pytest.approx(np.mean(by_fold), abs=1e-6)
    assert (found.scores is None) == (name == "roc_auc")
    assert Candidate.from_dict(found.to_dict()) == found


def test_trials_and_candidates_from_before_there_was_a_choice_are_of_roc_auc():
    stored = candidate("xgboost").to_dict()
    for key in ("metric", "scores"):
        del stored[key]
    old = Candidate.from_dict(stored)
    assert (old.metric, old.score) == ("roc_auc", 0.8)
    trial = Trial(0, "complete", 0.7, [0.6, 0.8], {}, None, 1.0, None)
    assert (trial.score, trial.metric_scores) == (0.7, [0.6, 0.8])


def test_the_scope_names_the_metrics():
    assert Scope.from_dict({"success": {"metric": "pr_auc"}}).metric == "pr_auc"
    assert Scope().metric == "roc_auc"
    with pytest.raises(Refused, match=r"metric.*roc_auc.*pr_auc.*log_loss"):
        Scope.from_dict({"success": {"metric": "accuracy"}})
