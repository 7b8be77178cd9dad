"""Calibration that helps or is left out, and the threshold that costs and capacity ask for."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fivefold.core.scores import log_loss
from fivefold.model.calibration import (
    IDENTITY,
    calibrate,
    choose_threshold,
    cross_calibrate,
    fit_calibration,
)


def drawn(distort, rows=20_000, seed=0):
    """(y, scores, folds, true probabilities) where the scores are `distort`ed true probabilities."""
    rng = np.random.default_rng(seed)
    truth = rng.beta(1.5, 3, rows)
    return (rng.random(rows) < truth).astype(int), distort(truth), np.arange(rows) % 5, truth


# --- calibration --------------------------------------------------------------------------------------------


def test_calibrate_is_the_stated_formula():
    told = calibrate({"a": 2.0, "b": 0.5, "c": -1.0}, np.array([0.3, 0.9]))
    logits = [2 * math.log(p) - 0.5 * math.log(1 - p) - 1 for p in (0.3, 0.9)]
    assert told == pytest.approx([1 / (1 + math.exp(-x)) for x in logits])


def test_a_known_miscalibration_is_recovered():
    # scores p with logit p = 2 logit(truth) + 1; so logit truth = .5 ln p - .5 ln(1 - p) - .5
    y, p, folds, truth = drawn(lambda t: 1 / (1 + np.exp(-(2 * np.log(t / (1 - t)) + 1))))
    told = fit_calibration(y, p, folds)
    assert told["method"] == "beta"
    assert (told["a"], told["b"], told["c"]) == pytest.approx((0.5, 0.5, -0.5), abs=0.06)
    assert np.abs(calibrate(told, p) - truth).mean() < 0.01 < np.abs(p - truth).mean() / 5
    assert told["log_loss_after"] < told["log_loss_before"] - 0.02


def test_a_one_sided_miscalibration_is_recovered():
    y, p, folds, truth = drawn(lambda t: t**3)  # only a beta family with a != b can undo this
    told = fit_calibration(y, p, folds)
    assert np.abs(calibrate(told, p) - truth).mean() < 0.02


def test_scores_that_are_right_already_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    used = 0
    for seed in range(10):
        y, p, folds, _ = drawn(lambda t: t, rows=300, seed=seed)
        told = fit_calibration(y, p, folds)
        used += told["method"] != "none"
        if told["method"] == "none":
            assert {k: told[k] for k in IDENTITY} == IDENTITY
            assert told["log_loss_after"] == told["log_loss_before"]
    assert used <= 3
    y = rng.integers(0, 2, 400)
    assert (
        fit_calibration(y, np.full(400, y.mean()), np.arange(400) % 5)["method"] == "none"
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
    low, high = calibrate({"a": a, "b": b, "c": c}, np.sort([p, q]))
    assert 0 < low < high < 1


def test_scores_of_0_and_1_stay_finite():
    assert calibrate(IDENTITY, np.array([0.0, 1.0])).tolist() == pytest.approx([1e-6, 1 - 1e-6])
    y, p = np.tile([0, 1], 50), np.tile([0.0, 1.0], 50)
    told = fit_calibration(
        y, p, np.arange(100) % 5
    )  # perfectly separated: no maximum of the likelihood
    assert np.isfinite(
        [told["a"], told["b"], told["c"], told["log_loss_before"], told["log_loss_after"]]
    ).all()
    assert (np.diff(calibrate(told, np.array([0.0, 0.5, 1.0]))) > 0).all()


def test_no_probability_is_1_so_that_a_threshold_of_1_flags_nobody():
    assert (calibrate({"a": 1.0, "b": 100.0, "c": 50.0}, np.array([0.5, 0.999999, 1.0])) < 1).all()


def test_log_loss_worked_by_hand():
    assert log_loss(np.array([1, 0, 1]), np.array([0.5, 0.25, 1.0])) == pytest.approx(
        (math.log(2) - math.log(0.75)) / 3
    )
    assert log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-15))


# --- threshold ----------------------------------------------------------------------------------------------


def test_the_cheapest_cut_worked_by_hand():
    # cost of flagging the top k, miss 3, false alarm 1: k=0 6, 1 3, 2 4, 3 1, 4 2, 5 3
    y, q = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.6, 0.4, 0.1])
    told = choose_threshold(y, q, 3, 1)
    assert told["value"] == pytest.approx(0.5)
    assert told["cost"] == pytest.approx(1 / 5)
    assert told["flagged"] == pytest.approx(3 / 5)
    assert told["theory"] == pytest.approx(1 / 4)
    assert told["why"] == "cheapest on out-of-fold rows when a miss costs 3 and a false alarm 1"


def test_capacity_bounds_the_flagged_share():
    y, q = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.6, 0.4, 0.1])
    told = choose_threshold(y, q, 3, 1, capacity=0.4)  # of k = 0, 1, 2 the cheapest is 1
    assert (told["value"], told["flagged"], told["cost"]) == pytest.approx((0.85, 0.2, 0.6))
    assert told["why"].endswith(" and at most 40% can be acted upon")
    nobody = choose_threshold(y, q, 3, 1, capacity=0.1)
    assert (nobody["value"], nobody["flagged"]) == (1.0, 0.0)


def test_equal_scores_are_never_parted():
    y, q = np.array([1, 1, 0, 0]), np.array([0.7, 0.7, 0.7, 0.2])
    told = choose_threshold(y, q, 1, 1)
    assert (told["value"], told["flagged"], told["cost"]) == pytest.approx((0.45, 0.75, 0.25))
    assert (
        choose_threshold(y, q, 1, 1, capacity=0.5)["flagged"] == 0
    )  # half of the tie cannot be flagged


def test_of_equally_cheap_cuts_the_highest_is_taken():
    y, q = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])  # top 1 and top 3 both cost 1
    assert choose_threshold(y, q, 1, 1)["value"] == pytest.approx(0.85)


def test_a_cut_below_everything_and_a_cut_above_everything():
    y, q = np.array([1, 0, 1]), np.array([0.9, 0.6, 0.5])
    all_in = choose_threshold(y, q, 10, 1)
    assert (all_in["value"], all_in["flagged"]) == pytest.approx((0.25, 1.0))
    assert choose_threshold(np.zeros(3, int), q, 10, 1)["value"] == 1.0
    assert choose_threshold(y, q, 0, 1)["value"] == 1.0


def test_no_costs_at_all_flag_nobody_and_say_one_half():
    told = choose_threshold(np.array([1, 0]), np.array([0.9, 0.1]), 0, 0)
    assert (told["theory"], told["flagged"]) == (0.5, 0.0)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(1e-6, 1 - 1e-6)), min_size=1, max_size=30),
    st.floats(0.1, 10),
    st.one_of(st.none(), st.floats(0.05, 1)),
)
def test_the_value_flags_just_what_it_says_and_no_cut_is_cheaper(rows, miss, capacity):
    y, q = np.array([int(r[0]) for r in rows]), np.array([r[1] for r in rows])
    told = choose_threshold(y, q, miss, 1.0, capacity)

    def cost(flags):
        return (miss * ((y == 1) & ~flags).sum() + ((y == 0) & flags).sum()) / len(y)

    flags = q >= told["value"]
    assert flags.mean() == pytest.approx(told["flagged"])
    assert cost(flags) == pytest.approx(told["cost"])
    others = [
        q >= cut for cut in (*q, 2.0) if capacity is None or (q >= cut).sum() <= capacity * len(y)
    ]
    assert min(cost(other) for other in others) >= told["cost"] - 1e-12


def test_neighbouring_floats_are_parted_at_the_upper_one():
    for low in np.nextafter([0.5, 0.25 + 2**-54, 0.3, 0.7], 1):
        high = np.nextafter(low, 1)
        told = choose_threshold(np.array([1, 0]), np.array([high, low]), 1, 1)
        assert (np.array([high, low]) >= told["value"]).tolist() == [True, False]


@pytest.mark.parametrize("percent", [1, 7, 14, 28, 29, 55, 57, 58, 99, 100])
def test_a_capacity_in_percent_allows_exactly_so_many_of_a_hundred(percent):
    y, q = np.ones(100, dtype=int), np.linspace(0.01, 0.99, 100)
    assert choose_threshold(y, q, 1, 1, percent / 100)["flagged"] == pytest.approx(percent / 100)
