"""Costs, thresholds and what they mean, on rows that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fivefold.core.intervals import wilson
from fivefold.model.calibration import (
    IDENTITY,
    calibrate,
    choose_threshold,
    cross_calibrate,
    fit_calibration,
    judged_scores,
)
from fivefold.model.threshold import consequences, cost_curve, decide, with_threshold
from tests.support.models import bundle_of
from tests.support.tables import mixed

Y = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
Q = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.3, 0.2, 0.1, 0.1, 0.05])


def test_the_confusion_of_a_threshold_and_what_it_costs():
    found = consequences(Y, Q, 0.5, 5.0, 1.0)
    assert found["confusion"] == {"tp": 2, "fp": 2, "fn": 1, "tn": 5}
    assert found["per_1000"] == {"tp": 200, "fp": 200, "fn": 100, "tn": 500}
    assert found["cost_per_1000"] == 1000 * (5 * 1 + 2) / 10
    assert found["nobody_per_1000"] == 1500
    assert found["everybody_per_1000"] == 700
    assert found["recall"] == {"value": 2 / 3, "low": wilson(2, 3)[0], "high": wilson(2, 3)[1]}
    assert found["precision"]["value"] == 0.5
    assert found["flagged"]["value"] == 0.4


def test_acting_on_nobody_has_no_precision():
    assert consequences(Y, Q, 1.0, 5, 1)["precision"] == {"value": None, "low": None, "high": None}


def test_the_cost_curve_agrees_with_counting_at_every_threshold():
    for point in cost_curve(Y, Q, 3.0, 2.0):
        told = consequences(Y, Q, point["threshold"], 3.0, 2.0)
        assert point["cost_per_1000"] == pytest.approx(told["cost_per_1000"])
        assert point["flagged"] == pytest.approx(told["flagged"]["value"])


def test_decide_takes_the_threshold_of_the_finalist_and_keeps_the_capacity():
    free, tight = decide(Y, Q, 5, 1, None), decide(Y, Q, 5, 1, 0.2)
    assert free["threshold"] == choose_threshold(Y, Q, 5, 1)
    assert free["consequences"]["confusion"]["tp"] == 3
    assert tight["consequences"]["flagged"]["value"] <= 0.2


def test_judged_scores_are_those_of_the_finalist():
    rng = np.random.default_rng(0)
    fold_ids = np.array([-1] * 20 + [0, 1, 2] * 60)
    y = rng.integers(0, 2, 200)
    oof = np.clip(0.3 * y + 0.6 * rng.random(200), 0.01, 0.99)
    judged = fold_ids >= 0
    calibration = fit_calibration(y[judged], oof[judged], fold_ids[judged])
    labels, q = judged_scores(y, oof, fold_ids, {**calibration, "method": "beta"})
    np.testing.assert_array_equal(labels, y[judged])
    np.testing.assert_array_equal(q, cross_calibrate(y[judged], oof[judged], fold_ids[judged]))
    np.testing.assert_array_equal(
        judged_scores(y, oof, fold_ids, IDENTITY)[1], calibrate(IDENTITY, oof[judged])
    )


def test_another_threshold_leaves_the_given_bundle_alone():
    frame = mixed(60).drop(columns="left")
    bundle = bundle_of(frame, lambda x: np.full(len(x), 0.4))
    other = with_threshold(bundle, {"value": 0.3, "why": "mine"})
    assert set(bundle.score(frame)["decision"]) == {"will stay"}
    assert set(other.score(frame)["decision"]) == {"will leave"}
    assert bundle.about["threshold"]["why"] == "given"
