"""Calibration that helps or is left out, and the threshold that costs and capacity ask for."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fivefold.core.log_loss import log_loss
from fivefold.model.calibration import (
    IDENTITY,
    Calibration,
    cross_calibrate,
    fit_calibration,
)


def drawn(distort, rows=20_000, seed=0):
    """(y, scores, folds, true probabilities); the scores are `distort`ed true probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(1.5, 3, rows)
    return (rng.random(rows) < truth).astype(int), distort(truth), np.arange(rows) % 5, truth


# --- calibration ---------------------------------------------------------------------------------


def test_calibrate_is_the_stated_formula():
    result = Calibration(a=2.0, b=0.5, c=-1.0).apply(np.array([0.3, 0.9]))
    logits = [2 * math.log(p) - 0.5 * math.log(1 - p) - 1 for p in (0.3, 0.9)]
    assert result == pytest.approx([1 / (1 + math.exp(-x)) for x in logits])


def test_a_known_miscalibration_is_recovered():
    # scores p with logit p = 2 logit(truth) + 1; so logit truth = .5 ln p - .5 ln(1 - p) - .5
    y, p, folds, truth = drawn(lambda t: 1 / (1 + np.exp(-(2 * np.log(t / (1 - t)) + 1))))
    result = fit_calibration(y, p, folds)
    assert result.method == "beta"
    assert (result.a, result.b, result.c) == pytest.approx((0.5, 0.5, -0.5), abs=0.06)
    assert np.abs(result.apply(p) - truth).mean() < 0.01 < np.abs(p - truth).mean() / 5
    assert result.log_loss_after < result.log_loss_before - 0.02


def test_a_one_sided_miscalibration_is_recovered():
    y, p, folds, truth = drawn(lambda t: t**3)  # only a beta family with a != b can undo this
    result = fit_calibration(y, p, folds)
    assert np.abs(result.apply(p) - truth).mean() < 0.02


def test_scores_that_are_right_already_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    used = 0
    for seed in range(10):
        y, p, folds, _ = drawn(lambda t: t, rows=300, seed=seed)
        result = fit_calibration(y, p, folds)
        used += result.method != "none"
        if result.method == "none":
            assert replace(result, log_loss_before=None, log_loss_after=None) == IDENTITY
            assert result.log_loss_after == result.log_loss_before
    assert used <= 3
    y = rng.integers(0, 2, 400)
    assert (
        fit_calibration(y, np.full(400, y.mean()), np.arange(400) % 5).method == "none"
    )  # nothing to gain


def test_cross_calibration_never_uses_the_rows_own_fold():
    y, p, folds, _ = drawn(lambda t: t**2, rows=600)
    before = cross_calibrate(y, p, folds)
    changed = np.where(folds == 2, 1 - y, y)
    after = cross_calibrate(changed, p, folds)
    assert (before[folds == 2] == after[folds == 2]).all()
    assert (before[folds != 2] != after[folds != 2]).all()


@given(
    st.floats(0.05, 3),
    st.floats(0.05, 3),
    st.floats(-5, 5),
    st.floats(1e-5, 1 - 1e-5),
    st.floats(1e-5, 1 - 1e-5),
)
def test_calibration_is_strictly_increasing_and_stays_inside_0_and_1(a, b, c, p, q):
    assume(abs(p - q) > 1e-9)
    assume(
        max(a * abs(math.log(x)) + b * abs(math.log(1 - x)) for x in (p, q)) < 20
    )  # beyond, floats are too coarse
    low, high = Calibration(a=a, b=b, c=c).apply(np.sort([p, q]))
    assert 0 < low < high < 1


def test_scores_of_0_and_1_stay_finite():
    assert IDENTITY.apply(np.array([0.0, 1.0])).tolist() == pytest.approx([1e-6, 1 - 1e-6])
    y, p = np.tile([0, 1], 50), np.tile([0.0, 1.0], 50)
    result = fit_calibration(
        y, p, np.arange(100) % 5
    )  # perfectly separated: no maximum of the likelihood
    assert np.isfinite(
        [result.a, result.b, result.c, result.log_loss_before, result.log_loss_after]
    ).all()
    assert (np.diff(result.apply(np.array([0.0, 0.5, 1.0]))) > 0).all()


def test_no_probability_is_1_so_that_a_threshold_of_1_flags_nobody():
    assert (Calibration(a=1.0, b=100.0, c=50.0).apply(np.array([0.5, 0.999999, 1.0])) < 1).all()


def test_log_loss_worked_by_hand():
    assert log_loss(np.array([1, 0, 1]), np.array([0.5, 0.25, 1.0])) == pytest.approx(
        (math.log(2) - math.log(0.75)) / 3
    )
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-15))
