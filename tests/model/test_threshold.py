"""Costs, thresholds and what they mean, on rows that can be counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score as balanced
from sklearn.metrics import f1_score

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


HAND_Y, HAND_Q = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.8, 0.6, 0.4, 0.1])


def test_the_threshold_of_the_costs_and_its_check_worked_by_hand():
    # cost of flagging the top k, miss 3, false alarm 1: k=0 6, 1 3, 2 4, 3 1, 4 2, 5 3
    result = choose_threshold(HAND_Y, HAND_Q, Costs(3, 1))
    assert (result.value, result.theory) == (0.25, 0.25)
    assert (result.cost, result.flagged) == pytest.approx((2 / 5, 4 / 5))
    assert result.cheapest == pytest.approx(0.5)
    assert result.why == (
        "best for calibrated probabilities when a miss costs 3 and a false alarm 1; "
        "on out-of-fold rows 0.500 would cost 50.0% less, as chance has it"
    )


def test_probabilities_that_are_not_calibrated_are_told_by_the_check():
    rng = np.random.default_rng(0)
    truth = rng.random(4000)
    y = (rng.random(4000) < truth).astype(int)
    assert "as chance has it" in choose_threshold(y, truth, Costs(5, 1)).why
    assert "beyond chance" in choose_threshold(y, truth / 10, Costs(5, 1)).why


def test_capacity_bounds_the_flagged_share():
    result = choose_threshold(HAND_Y, HAND_Q, Costs(3, 1, 0.4))  # the top two
    assert (result.value, result.flagged, result.cost) == pytest.approx((0.7, 0.4, 0.8))
    assert result.theory == 0.25
    assert ", but at most 40% can be acted upon; " in result.why
    nobody = choose_threshold(HAND_Y, HAND_Q, Costs(3, 1, 0.1))
    assert (nobody.value, nobody.flagged) == (1.0, 0.0)
    enough = choose_threshold(HAND_Y, HAND_Q, Costs(3, 1, 0.8))  # the costs flag no more
    assert (enough.value, "acted upon" in enough.why) == (0.25, False)


def test_equal_scores_are_never_parted():
    y, q = np.array([1, 1, 0, 0]), np.array([0.7, 0.7, 0.7, 0.2])
    result = choose_threshold(y, q, Costs(1, 1))
    assert (result.value, result.flagged, result.cost) == (0.5, 0.75, 0.25)
    tight = choose_threshold(y, q, Costs(1, 1, 0.5))  # half of the tie cannot be flagged
    assert tight.flagged == 0


def test_a_threshold_below_everything_and_one_above_everything():
    y, q = np.array([1, 0, 1]), np.array([0.9, 0.6, 0.5])
    all_in = choose_threshold(y, q, Costs(10, 1))
    assert (all_in.value, all_in.flagged) == pytest.approx((1 / 11, 1.0))
    assert choose_threshold(y, q, Costs(0, 1)).value == 1.0
    assert choose_threshold(y, q, Costs(0, 0)).value == 0.5


@pytest.mark.parametrize(
    ("aim", "value"),
    # F1 of the top k: 1.8/3.8, 3.4/4.8, 4.6/5.8, 5.4/6.8 (the best), 5.6/7.8; mean 2.8/5;
    # expected positives of the top k: 0.9, 1.7, 2.3 of 2.8
    [("f1", 2.7 / 6.8), ("balanced accuracy", 0.56), ("recall 0.8", 0.6), ("recall 1", 0.1)],
)
def test_aims_where_costs_are_unknown_worked_by_hand(aim, value):
    result = choose_threshold(HAND_Y, HAND_Q, Costs(1, 1, aim=aim))
    assert result.value == pytest.approx(value)
    tight = choose_threshold(HAND_Y, HAND_Q, Costs(1, 1, 0.2, aim))
    assert tight.flagged == pytest.approx(0.2)


@pytest.mark.parametrize(("aim", "score"), [("f1", f1_score), ("balanced accuracy", balanced)])
def test_an_aim_is_reached_on_new_rows_as_well_as_by_any_threshold(aim, score):
    rng = np.random.default_rng(1)
    q = rng.beta(1, 5, 40_000)
    y = (rng.random(40_000) < q).astype(int)
    chosen = choose_threshold(y[:2000], q[:2000], Costs(1, 1, aim=aim)).value
    best = max(score(y, q >= cut) for cut in np.linspace(0.05, 0.6, 56))
    assert score(y, q >= chosen) > best - 0.005


def test_on_few_rows_the_theory_is_cheaper_on_new_rows_than_the_cheapest_of_the_rows():
    """The cheapest threshold of 100 calibrated rows costs some percent more than need be."""
    rng = np.random.default_rng(2)
    q = rng.beta(1, 4, 20_000)
    costs = Costs(5, 1)

    def expected(cut):  # cost of a new row
        return np.where(q >= cut, costs.false_alarm * (1 - q), costs.miss * q).mean()

    theory, cheapest = [], []
    for _ in range(100):
        some = rng.choice(q, 100)
        result = choose_threshold((rng.random(100) < some).astype(int), some, costs)
        theory.append(expected(result.value))
        cheapest.append(expected(result.cheapest))
    least = min(expected(cut) for cut in np.linspace(0, 1, 101))
    assert np.mean(theory) == pytest.approx(least, rel=0.001)
    assert np.mean(cheapest) > 1.04 * least


@given(
    st.lists(st.tuples(st.booleans(), st.floats(1e-6, 1 - 1e-6)), min_size=1, max_size=30),
    st.floats(0.1, 10),
    st.one_of(st.none(), st.floats(0.05, 1)),
)
def test_the_value_flags_just_what_it_says_and_no_cut_is_cheaper_than_the_check(
    rows, miss, capacity
):
    y, q = np.array([int(r[0]) for r in rows]), np.array([r[1] for r in rows])
    result = choose_threshold(y, q, Costs(miss, 1.0, capacity))

    def cost(flags):
        return (miss * ((y == 1) & ~flags).sum() + ((y == 0) & flags).sum()) / len(y)

    flags = q >= result.value
    assert flags.mean() == pytest.approx(result.flagged)
    assert cost(flags) == pytest.approx(result.cost)
    others = [
        q >= cut
        for cut in (*q, 2.0)
        if capacity is None or (q >= cut).sum() <= capacity * len(y) + 1e-9
    ]
    assert min(cost(o) for o in others) == pytest.approx(cost(q >= result.cheapest))
    if capacity is None:
        assert result.value == result.theory
    else:
        assert flags.sum() <= capacity * len(y) + 1e-9


def test_neighbouring_floats_are_parted_at_the_upper_one():
    for low in np.nextafter([0.5, 0.25 + 2**-54, 0.3, 0.7], 1):
        high = np.nextafter(low, 1)
        result = choose_threshold(np.array([1, 0]), np.array([high, low]), Costs(1, 1, 0.5))
        assert (np.array([high, low]) >= result.cheapest).tolist() == [True, False]


@pytest.mark.parametrize("percent", [1, 7, 14, 28, 29, 55, 57, 58, 99, 100])
def test_a_capacity_in_percent_allows_exactly_so_many_of_a_hundred(percent):
    y, q = np.ones(100, dtype=int), np.linspace(0.01, 0.99, 100)
    assert choose_threshold(y, q, Costs(9, 0, percent / 100)).flagged == pytest.approx(
        percent / 100
    )
