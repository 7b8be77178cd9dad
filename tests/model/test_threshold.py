"""Costs, thresholds and what they mean, on rows that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.core.intervals import UNKNOWN, Estimate, wilson
from fivefold.model.calibration import (
    IDENTITY,
    calibrated_oof,
    cross_calibrate,
    fit_calibration,
)
from fivefold.model.threshold import (
    ConfusionMatrix,
    Costs,
    Threshold,
    choose_threshold,
    consequences,
    cost_curve,
)
from tests.support.models import bundle_of
from tests.support.tables import mixed

Y = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
Q = np.array([0.9, 0.6, 0.2, 0.7, 0.5, 0.3, 0.2, 0.1, 0.1, 0.05])


def test_the_confusion_of_a_threshold_and_what_it_costs():
    actual = consequences(Y, Q, Threshold(0.5), Costs(5.0, 1.0))
    assert actual.confusion == ConfusionMatrix(tp=2, fp=2, fn=1, tn=5)
    assert actual.confusion.per(1000) == {"tp": 200, "fp": 200, "fn": 100, "tn": 500}
    assert actual.cost_per_1000 == 1000 * (5 * 1 + 2) / 10
    assert actual.nobody_per_1000 == 1500
    assert actual.everybody_per_1000 == 700
    assert actual.recall == Estimate(2 / 3, *wilson(2, 3))
    assert actual.precision.value == 0.5
    assert actual.flagged.value == 0.4


def test_acting_on_nobody_has_no_precision():
    assert consequences(Y, Q, Threshold(1.0), Costs(5, 1)).precision == UNKNOWN


def test_the_cost_curve_agrees_with_counting_at_every_threshold():
    costs = Costs(3.0, 2.0)
    for point in cost_curve(Y, Q, costs):
        result = consequences(Y, Q, Threshold(point["threshold"]), costs)
        assert point["cost_per_1000"] == pytest.approx(result.cost_per_1000)
        assert point["flagged"] == pytest.approx(result.flagged.value)


def test_a_capacity_is_kept():
    tight = Costs(5, 1, 0.2)
    free, kept = choose_threshold(Y, Q, Costs(5, 1)), choose_threshold(Y, Q, tight)
    assert consequences(Y, Q, free, tight).confusion.tp == 3
    assert consequences(Y, Q, kept, tight).flagged.value <= 0.2


def test_the_threshold_itself_is_positive_and_nan_is_not():
    threshold = Threshold(0.5)
    assert threshold.is_positive(np.array([0.4, 0.5, 0.6, np.nan])).tolist() == [
        False,
        True,
        True,
        False,
    ]
    assert Threshold.from_dict(threshold.to_dict()) == threshold


def test_calibrated_out_of_fold_scores_are_those_that_the_threshold_was_chosen_on():
    rng = np.random.default_rng(0)
    fold_ids = np.array([-1] * 20 + [0, 1, 2] * 60)
    y = rng.integers(0, 2, 200)
    oof = np.clip(0.3 * y + 0.6 * rng.random(200), 0.01, 0.99)
    judged = fold_ids >= 0
    calibration = fit_calibration(y[judged], oof[judged], fold_ids[judged])
    labels, q = calibrated_oof(y, oof, fold_ids, replace(calibration, method="beta"))
    np.testing.assert_array_equal(labels, y[judged])
    np.testing.assert_array_equal(q, cross_calibrate(y[judged], oof[judged], fold_ids[judged]))
    np.testing.assert_array_equal(
        calibrated_oof(y, oof, fold_ids, IDENTITY)[1], IDENTITY.apply(oof[judged])
    )


def test_another_threshold_leaves_the_given_bundle_alone():
    frame = mixed(60).drop(columns="left")
    bundle = bundle_of(frame, lambda x: np.full(len(x), 0.4))
    other = bundle.with_threshold(0.3, "mine")
    assert set(bundle.score(frame)["decision"]) == {"will stay"}
    assert set(other.score(frame)["decision"]) == {"will leave"}
    assert bundle.metadata.threshold.why == "given"


# --- threshold -----------------------------------------------------------------------------------


def test_the_cheapest_cut_worked_by_hand():
    # cost of flagging the top k, miss 3, false alarm 1: k=0 6, 1 3, 2 4, 3 1, 4 2, 5 3
    y, q = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.6, 0.4, 0.1])
    result = choose_threshold(y, q, Costs(3, 1))
    assert result.value == pytest.approx(0.5)
    assert result.cost == pytest.approx(1 / 5)
    assert result.flagged == pytest.approx(3 / 5)
    assert result.theory == pytest.approx(1 / 4)
    assert result.why == "cheapest on out-of-fold rows when a miss costs 3 and a false alarm 1"


def test_capacity_bounds_the_flagged_share():
    y, q = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.6, 0.4, 0.1])
    result = choose_threshold(y, q, Costs(3, 1, 0.4))  # of k = 0, 1, 2 the cheapest is 1
    assert (result.value, result.flagged, result.cost) == pytest.approx((0.85, 0.2, 0.6))
    assert result.why.endswith(" and at most 40% can be acted upon")
    nobody = choose_threshold(y, q, Costs(3, 1, 0.1))
    assert (nobody.value, nobody.flagged) == (1.0, 0.0)


def test_equal_scores_are_never_parted():
    y, q = np.array([1, 1, 0, 0]), np.array([0.7, 0.7, 0.7, 0.2])
    result = choose_threshold(y, q, Costs(1, 1))
    assert (result.value, result.flagged, result.cost) == pytest.approx((0.45, 0.75, 0.25))
    assert (
        choose_threshold(y, q, Costs(1, 1, 0.5)).flagged == 0
    )  # half of the tie cannot be flagged


def test_of_equally_cheap_cuts_the_highest_is_taken():
    y, q = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])  # top 1 and top 3 both cost 1
    assert choose_threshold(y, q, Costs(1, 1)).value == pytest.approx(0.85)


def test_a_cut_below_everything_and_a_cut_above_everything():
    y, q = np.array([1, 0, 1]), np.array([0.9, 0.6, 0.5])
    all_in = choose_threshold(y, q, Costs(10, 1))
    assert (all_in.value, all_in.flagged) == pytest.approx((0.25, 1.0))
    assert choose_threshold(np.zeros(3, int), q, Costs(10, 1)).value == 1.0
    assert choose_threshold(y, q, Costs(0, 1)).value == 1.0


def test_no_costs_at_all_flag_nobody_and_say_one_half():
    result = choose_threshold(np.array([1, 0]), np.array([0.9, 0.1]), Costs(0, 0))
    assert (result.theory, result.flagged) == (0.5, 0.0)


@given(
    st.lists(st.tuples(st.booleans(), st.floats(1e-6, 1 - 1e-6)), min_size=1, max_size=30),
    st.floats(0.1, 10),
    st.one_of(st.none(), st.floats(0.05, 1)),
)
def test_the_value_flags_just_what_it_says_and_no_cut_is_cheaper(rows, miss, capacity):
    y, q = np.array([int(r[0]) for r in rows]), np.array([r[1] for r in rows])
    result = choose_threshold(y, q, Costs(miss, 1.0, capacity))

    def cost(flags):
        return (miss * ((y == 1) & ~flags).sum() + ((y == 0) & flags).sum()) / len(y)

    flags = q >= result.value
    assert flags.mean() == pytest.approx(result.flagged)
    assert cost(flags) == pytest.approx(result.cost)
    others = [
        q >= cut for cut in (*q, 2.0) if capacity is None or (q >= cut).sum() <= capacity * len(y)
    ]
    assert min(cost(other) for other in others) >= result.cost - 1e-12


def test_neighbouring_floats_are_parted_at_the_upper_one():
    for low in np.nextafter([0.5, 0.25 + 2**-54, 0.3, 0.7], 1):
        high = np.nextafter(low, 1)
        result = choose_threshold(np.array([1, 0]), np.array([high, low]), Costs(1, 1))
        assert (np.array([high, low]) >= result.value).tolist() == [True, False]


@pytest.mark.parametrize("percent", [1, 7, 14, 28, 29, 55, 57, 58, 99, 100])
def test_a_capacity_in_percent_allows_exactly_so_many_of_a_hundred(percent):
    y, q = np.ones(100, dtype=int), np.linspace(0.01, 0.99, 100)
    assert choose_threshold(y, q, Costs(1, 1, percent / 100)).flagged == pytest.approx(
        percent / 100
    )
