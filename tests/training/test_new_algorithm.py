"""A new algorithm, boosted or not, is one entry of `ALGORITHMS`: search to bundle's score."""

import math

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.naive_bayes import GaussianNB

from fivefold.data.splits import Split
from fivefold.model import trusted
from fivefold.model.bundle import from_bytes, sha256
from fivefold.model.metadata import Provenance
from fivefold.training.algorithms import ALGORITHMS, Algorithm, usable_device
from fivefold.training.boosting import BoostedLibrary, Encoded
from fivefold.training.candidate import Candidate
from fivefold.training.encoding import ONE_HOT, TREES
from fivefold.training.ensemble import blend
from fivefold.training.finalize import Selection, finalize
from fivefold.training.fit_plan import FitPlan, Resources, plan_fits
from fivefold.training.leaderboard import rank, title
from fivefold.training.time_budget import TimeBudget
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import SCOPE, mixed, prepared
from tests.support.training import searched

MOST_ROUNDS = 40


class HistGradientBoosting(BoostedLibrary):
    """scikit-learn's gradient boosting, in the place of a further boosted library."""

    rounds_parameter = "max_iter"

    @staticmethod
    def classifier(params, seed, threads, types):
        return HistGradientBoostingClassifier(early_stopping=False, random_state=seed, **params)

    def fit_rounds(self, model, train, stop, seconds=None):
        self.set_rounds(model, MOST_ROUNDS).fit(train.x, train.y)
        losses = []
        for answers in model.staged_predict_proba(stop.x):
            p = np.clip(answers[:, 1], 1e-15, 1 - 1e-15)
            losses.append(-np.mean(np.where(stop.y == 1, np.log(p), np.log(1 - p))))
        return int(np.argmin(losses)) + 1

    def predict(self, model, x, rounds):
        stages = list(model.staged_predict_proba(x))
        return stages[min(rounds, len(stages)) - 1][:, 1]

    def shorten(self, model, rounds):
        model._predictors = model._predictors[:rounds]
        return self.set_rounds(model, rounds)


BOOSTED = Algorithm(
    "Histogram boosting",
    ONE_HOT,
    HistGradientBoosting.classifier,
    ({"learning_rate": 0.1, "max_leaf_nodes": 8},),
    {"learning_rate": (0.05, 0.3, "log"), "max_leaf_nodes": (4, 16)},
    boosted=HistGradientBoosting(),
    seeds=2,
    top_k=2,
)
BAYES = Algorithm(
    "Naive Bayes",
    TREES,
    lambda params, seed, threads, types: GaussianNB(**params),
    ({"var_smoothing": 1e-3},),
    {"var_smoothing": (1e-12, 1.0, "log")},
)
ENTRIES = {"histogram_boosting": BOOSTED, "naive_bayes": BAYES}
# Types that a bundle may not hold yet: the second file that a new algorithm may touch.
TYPES = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)


@pytest.fixture(params=list(ENTRIES))
def name(request, monkeypatch):
    monkeypatch.setitem(ALGORITHMS, request.param, ENTRIES[request.param])
    monkeypatch.setattr("fivefold.model.bundle.TRUSTED", (*trusted.TRUSTED, *TYPES))
    return request.param


def test_it_is_searched_ranked_fitted_bundled_and_scored(name):
    parts = prepared()
    typed, y, fold_ids, schema = parts
    candidate, oof = searched(name, *parts, trials=3)
    assert Candidate.from_dict(candidate.to_dict()) == candidate
    assert (candidate.rounds is not None) == (ALGORITHMS[name].boosted is not None)
    other, other_oof = searched("logistic_regression", *parts, trials=1)
    oofs = {name: oof, other.algorithm: other_oof}
    leaderboard = rank([candidate, other], oofs, y, fold_ids)
    assert {row.algorithm for row in leaderboard.rows} == set(oofs)
    assert title(name) == ALGORITHMS[name].title
    ensemble, nested = blend(oofs, y, fold_ids, leaderboard.winner.algorithm)
    assert set(ensemble.weights) <= set(oofs)
    plan = plan_fits([candidate, other], ensemble.weights, Resources(320, 60.0))
    data = TrainingData(typed, y, fold_ids, schema)
    for selection in (
        Selection([candidate], oof, {}, FitPlan()),
        Selection([candidate, other], nested, {name: 0.5, other.algorithm: 0.5}, plan),
        Selection([candidate], oof, {}, FitPlan(seeds=1, early_stopped=True, rows={name: 320})),
    ):
        bundle, _ = finalize(selection, data, FitOptions(), SCOPE, Provenance())
        assert bundle.metadata.members[0]["algorithm"] == name
        assert bundle.metadata.evaluation.auc["value"] > 0.6
        blob = bundle.to_bytes()
        again = from_bytes(blob, sha256(blob))
        scores = again.score(mixed(400))
        assert scores.equals(bundle.score(mixed(400)))
        assert scores["probability"].between(0, 1).all()


def test_it_has_its_part_of_a_budget_and_of_the_devices(name):
    assert name in TimeBudget(math.inf, 5.0, 1000, 2).algorithms()
    assert name not in TimeBudget(20, 10.0, 0, 2).algorithms()  # the others have a priority
    assert TimeBudget(600, 10.0, 0, 1).for_search(10, [name, "xgboost"]) > 1
    assert usable_device("cuda", name) == ("cpu", "")


def test_early_stopped_rounds_are_those_of_the_library():
    typed, y, fold_ids, _ = prepared()
    rows = Split(fold_ids).training_rows
    numbers = typed[["amount", "age"]].to_numpy()[rows]
    library, model = BOOSTED.boosted, BOOSTED.build(BOOSTED.defaults[0], 0, 1, "qq")
    train = Encoded(numbers, y[rows], "qq")
    rounds = library.fit_rounds(model, train, Encoded(numbers[:80], y[rows][:80], "qq"))
    assert 1 <= rounds <= MOST_ROUNDS
    expected = library.predict(model, numbers, rounds)
    short = library.shorten(model, rounds)
    np.testing.assert_array_equal(short.predict_proba(numbers)[:, 1], expected)
    assert library.rounds_of(short) == rounds
