"""Performance without labels by enumeration; with labels by direct computation, simulation."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import brier_score_loss, precision_score, recall_score, roc_auc_score

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING
from fivefold.core.intervals import Estimate, wilson
from fivefold.core.roc_auc import auc_interval
from fivefold.lifecycle.performance import (
    MIN_ROWS,
    EstimatedPerformance,
    RealisedPerformance,
    estimate,
    estimated_auc,
    performance_findings,
    realised,
)
from fivefold.model.threshold import Costs, Threshold

COSTS = Costs(5.0, 1.0)
HELD_OUT = {"value": 0.80, "se": 0.01}
probabilities = st.lists(
    st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5, 0.7, 0.9, 1.0]), min_size=0, max_size=7
)


def enumerated(q):
    """Expected correctly ordered pairs by expected pairs, over all labellings; None: no pairs."""
    above = pairs = 0.0
    for labels in itertools.product((0, 1), repeat=len(q)):
        y = np.array(labels, dtype=bool)
        chance = np.prod(np.where(y, q, 1 - q))
        difference = q[y][:, None] - q[~y][None, :]
        above += chance * ((difference > 0) + 0.5 * (difference == 0)).sum()
        pairs += chance * difference.size
    return above / pairs if pairs > 0 else None


def drawn(rng, rows, slope=1.0):
    """(y, q): probabilities q, labels drawn with `slope` times the logit; 1: calibrated."""
    logit = rng.normal(-1, 1.3, rows)
    return (rng.random(rows) < 1 / (1 + np.exp(-slope * logit))) * 1, 1 / (1 + np.exp(-logit))


def severities(found):
    return [f.severity for f in found]


def test_estimated_auc_worked_by_hand():
    # pairs (i positive, j negative): (.8, .2) .8 x .8 = .64 in order, (.2, .8) .2 x .2 = .04 not;
    # no row with itself
    assert estimated_auc(np.array([0.2, 0.8])) == pytest.approx(0.64 / 0.68)
    assert estimated_auc(np.array([0.3, 0.3, 0.3])) == pytest.approx(0.5)
    assert estimated_auc(np.array([0.0, 1.0, 0.0])) == 1.0


@settings(max_examples=200, deadline=None)
@given(probabilities)
def test_estimated_auc_is_the_ratio_of_expectations_over_all_labellings(q):
    q = np.array(q)
    actual, expected = estimated_auc(q), enumerated(q)
    assert actual == (None if expected is None else pytest.approx(expected, abs=1e-12))


@pytest.mark.parametrize("q", [[], [0.4], [0.0, 0.0], [1.0, 1.0, 1.0]])
def test_no_auc_where_no_pair_of_a_positive_and_a_negative_can_occur(q):
    assert estimated_auc(np.array(q)) is None


@pytest.mark.parametrize("bad", [[0.5, -0.1], [0.5, 1.1], [0.5, math.nan], [[0.5]]])
def test_probabilities_that_are_none_are_refused(bad):
    for call in (
        estimated_auc,
        lambda q: estimate(q, Threshold(0.5), COSTS, seed=0),
        lambda q: realised(np.ones(2), q, Threshold(0.5), COSTS),
    ):
        with pytest.raises(ValueError, match="expected a list of probabilities from 0 to 1"):
            call(np.array(bad))


@pytest.mark.parametrize("y", [[1], [0, 2], [0, math.nan], [0, 1, 0]])
def test_labels_that_do_not_fit_are_refused(y):
    with pytest.raises(ValueError, match="expected a label 0 or 1 for each probability"):
        realised(np.array(y), np.array([0.2, 0.8]), Threshold(0.5), COSTS)


def test_an_estimate_worked_by_hand():
    result = estimate(np.array([0.9, 0.6, 0.5, 0.2]), Threshold(0.5), COSTS, seed=0)
    # flagged .9 .6 .5: expected 2.0 of them positive, 1.0 not; missed .2
    assert result.positive_rate == pytest.approx(0.55)
    assert (result.rows, result.flagged, result.enough_rows, result.auc) == (4, 0.75, False, None)
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 2.2)
    assert result.brier == pytest.approx((0.09 + 0.24 + 0.25 + 0.16) / 4)
    assert result.cost_per_1000 == pytest.approx(1000 * (5 * 0.2 + 1.0) / 4)
    assert "concept drift is invisible" in result.assumption


def test_an_estimate_is_what_labels_drawn_by_the_probabilities_show_on_average():
    rng = np.random.default_rng(1)
    q = rng.beta(1, 3, 400)
    result = estimate(q, Threshold(0.3), COSTS, seed=0)
    shown = [realised((rng.random(400) < q) * 1, q, Threshold(0.3), COSTS) for _ in range(600)]
    for name in ("precision", "recall", "brier", "cost_per_1000"):
        values = [getattr(s, name) for s in shown]
        assert getattr(result, name) == pytest.approx(
            np.mean(values), abs=4 * np.std(values) / math.sqrt(600)
        )
    assert result.auc["value"] == pytest.approx(np.mean([s.auc["value"] for s in shown]), abs=0.004)


def test_the_interval_is_of_the_auc_that_such_a_window_shows():
    hits, wide, reach = 0, [], []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        y, q = drawn(rng, 300)
        result, shown = estimate(q, Threshold(0.5), COSTS, seed=seed).auc, auc_interval(y, q)
        hits += result["low"] <= shown["value"] <= result["high"]
        wide.append(result["se"] / shown["se"])
        reach.append((result["high"] - result["low"]) / result["se"])
    assert 274 <= hits <= 296  # 285 +- 3 standard errors (3.8)
    assert np.mean(wide) == pytest.approx(1, abs=0.05)
    assert np.mean(reach) == pytest.approx(2 * 1.96, abs=0.15)


def test_the_seed_makes_the_interval():
    q = np.random.default_rng(2).beta(1, 3, 300)
    first, again, other = (estimate(q, Threshold(0.5), COSTS, seed=seed).auc for seed in (1, 1, 2))
    assert first == again
    assert first["value"] == other["value"]
    assert first["low"] != other["low"]


def test_windows_without_rows_or_without_a_class_have_no_auc():
    empty = estimate(np.empty(0), Threshold(0.5), COSTS, seed=0)
    assert {k: v for k, v in empty.to_dict().items() if v is not None and k != "assumption"} == {
        "rows": 0,
        "judged": False,
    }
    nobody = estimate(np.zeros(MIN_ROWS), Threshold(0.5), COSTS, seed=0)
    assert (nobody.auc, nobody.precision, nobody.recall, nobody.cost_per_1000) == (
        None,
        None,
        None,
        0.0,
    )
    scarce = np.append(np.full(MIN_ROWS, 0.0), 0.1)  # nine draws of ten have no positive at all
    assert estimate(scarce, Threshold(0.5), COSTS, seed=0).auc is None
    none = realised(np.empty(0), np.empty(0), Threshold(0.5), COSTS)
    assert (none.rows, none.positives, none.enough_rows, none.auc, none.brier) == (
        0,
        0,
        False,
        None,
        None,
    )
    assert severities(performance_findings(empty, none, HELD_OUT)) == [NOT_APPLICABLE] * 3
    assert severities(performance_findings(nobody, none, HELD_OUT)) == [NOT_APPLICABLE] * 3


def test_realised_performance_equals_direct_computation():
    y, q = drawn(np.random.default_rng(3), 500)
    cut = q[7]  # a case at the threshold is flagged
    result = realised(y, q, Threshold(cut), COSTS)
    assert result.auc == auc_interval(y, q)
    assert result.auc["value"] == pytest.approx(roc_auc_score(y, q))
    assert result.brier == pytest.approx(brier_score_loss(y, q))
    assert result.brier_expected == pytest.approx(np.mean(q * (1 - q)))
    assert result.precision == pytest.approx(precision_score(y, q >= cut))
    assert result.recall == pytest.approx(recall_score(y, q >= cut))
    assert result.cost_per_1000 == pytest.approx(
        2 * (5 * ((q < cut) & (y == 1)).sum() + ((q >= cut) & (y == 0)).sum())
    )
    assert result.flagged == pytest.approx(np.mean(q >= cut))
    assert (result.rows, result.positives) == (500, y.sum())
    assert (result.positive_rate.low, result.positive_rate.high) == wilson(int(y.sum()), 500)
    assert result.expected_positive_rate == pytest.approx(q.mean())


def test_calibration_worked_by_hand():
    result = realised(np.repeat([1, 0], [50, 50]), np.full(100, 0.36), Threshold(0.5), COSTS)
    assert result.calibration_z == pytest.approx(
        (50 - 36) / math.sqrt(100 * 0.36 * 0.64)
    )  # 14 / 4.8
    assert result.calibration_p == pytest.approx(2 * norm.sf(14 / 4.8))


def test_calibration_z_is_standard_normal_while_labels_follow_the_probabilities():
    rng = np.random.default_rng(4)
    z = [realised(*drawn(rng, 400), Threshold(0.5), COSTS).calibration_z for _ in range(500)]
    assert abs(np.mean(z)) < 3 / math.sqrt(500)
    assert np.std(z) == pytest.approx(1, abs=3 / math.sqrt(1000))


@pytest.mark.parametrize(
    ("positives", "judged"), [(29, False), (30, True), (270, True), (271, False)]
)
def test_an_auc_takes_thirty_of_each_class(positives, judged):
    y = (np.arange(300) < positives) * 1
    result = realised(y, np.linspace(0.1, 0.2, 300), Threshold(0.5), COSTS)
    assert result.enough_rows is judged
    assert (result.auc is not None) is judged
    assert result.positives == positives


def test_a_window_without_the_positives_that_were_expected_is_reported():
    result = realised(np.zeros(500), np.full(500, 0.1), Threshold(0.5), COSTS)  # 50 are expected
    actual = performance_findings(
        estimate(np.full(500, 0.1), Threshold(0.5), COSTS, seed=0), result, HELD_OUT
    )
    assert (result.enough_rows, actual[1].severity, actual[2].severity) == (
        False,
        NOT_APPLICABLE,
        WARNING,
    )
    assert actual[1].found == "0 positives in 500 labelled rows: too few"
    assert actual[2].found.startswith("0.0% positives, p ")
    few = realised(np.zeros(500), np.full(500, 0.05), Threshold(0.5), COSTS)  # 25 are expected
    assert (few.calibration_z, few.calibration_p) == (None, None)


def window(value, se, p=1.0, observed=0.3, expected=0.3):
    """(estimated, realised) as far as they are judged."""
    auc = {"value": value, "low": value - 1.96 * se, "high": value + 1.96 * se, "se": se}
    return (
        EstimatedPerformance(rows=500, auc=auc),
        RealisedPerformance(
            rows=500,
            positives=150,
            auc=auc,
            positive_rate=Estimate(observed, None, None),
            expected_positive_rate=expected,
            calibration_p=p,
        ),
    )


@pytest.mark.parametrize(
    ("value", "se", "expected"),
    [
        (0.70, 0.030, WARNING),  # .10 / hypot(.01, .03) = 3.16
        (0.70, 0.045, PASSED),  # .10 / hypot(.01, .045) = 2.17 < 2.33
        (0.765, 0.010, WARNING),  # .035 / .01414 = 2.47
        (0.768, 0.010, PASSED),  # .032 / .01414 = 2.26
        (0.90, 0.010, PASSED),
    ],
)  # better
def test_a_fall_is_reported_where_the_z_test_of_independent_aucs_finds_it(value, se, expected):
    actual = performance_findings(*window(value, se), HELD_OUT)
    assert [f.code for f in actual] == [
        "performance-estimated",
        "performance-realised",
        "calibration-realised",
    ]
    assert severities(actual) == [expected, expected, PASSED]
    assert all(bool(f.action) == (f.severity == WARNING) for f in actual)


def test_a_sure_but_small_fall_is_no_warning():
    exact = {"value": 0.80, "se": 0.0005}
    assert severities(performance_findings(*window(0.7905, 0.0005), exact))[:2] == [PASSED, PASSED]
    assert severities(performance_findings(*window(0.7895, 0.0005), exact))[:2] == [
        WARNING,
        WARNING,
    ]


@pytest.mark.parametrize(
    ("p", "observed", "expected"),
    [
        (0.0005, 0.33, WARNING),
        (0.0005, 0.27, WARNING),
        (0.0005, 0.315, PASSED),
        (0.002, 0.33, PASSED),
    ],
)
def test_a_calibration_gap_is_reported_where_it_is_sure_and_not_small(p, observed, expected):
    actual = performance_findings(*window(0.8, 0.02, p, observed), HELD_OUT)
    assert severities(actual) == [PASSED, PASSED, expected]
    assert actual[2].found == f"{observed:.1%} positives, p {p:.1g}"


@pytest.mark.parametrize(
    "baseline",
    [
        {"value": 0.80, "low": 0.80 - 0.0196, "high": 0.80 + 0.0196},
        {"value": 0.80, "se": 0.0, "low": 0.7804, "high": 0.8196},
    ],
)
def test_the_error_of_the_baseline_is_taken_from_its_interval_where_it_has_none(baseline):
    for value, expected in ((0.765, WARNING), (0.768, PASSED)):  # as for an se of .01 above
        assert performance_findings(*window(value, 0.01), baseline)[1].severity == expected


@pytest.mark.parametrize(
    "baseline", [None, {"value": 0.8}, {"value": 0.8, "low": None, "high": None}]
)
def test_without_a_baseline_no_fall_can_be_tested(baseline):
    actual = performance_findings(*window(0.6, 0.01), baseline)
    assert severities(actual) == [NOT_APPLICABLE, NOT_APPLICABLE, PASSED]
    assert actual[0].expected == "a held-out ROC AUC with its error to compare with"


def test_no_error_at_all_is_certainty():
    sure = {"value": 1.0, "low": 1.0, "high": 1.0, "se": 0.0}
    estimated, shown = window(0.5, 0.0)
    assert severities(performance_findings(estimated, shown, sure))[:2] == [WARNING, WARNING]
    assert severities(performance_findings(*window(1.0, 0.0), sure))[:2] == [PASSED, PASSED]


def test_a_changed_concept_is_invisible_to_the_estimate_and_found_by_the_labels():
    rng = np.random.default_rng(6)
    y, q = drawn(rng, 3000)
    held_out = auc_interval(*drawn(rng, 3000))
    before = estimate(q, Threshold(0.4), COSTS, seed=0)
    assert (
        severities(performance_findings(before, realised(y, q, Threshold(0.4), COSTS), held_out))
        == [PASSED] * 3
    )
    weaker, same = drawn(
        np.random.default_rng(6), 3000, slope=0.3
    )  # the same rows; inputs say less now
    assert (same == drawn(np.random.default_rng(6), 3000)[1]).all()
    actual = performance_findings(
        estimate(same, Threshold(0.4), COSTS, seed=0),
        realised(weaker, same, Threshold(0.4), COSTS),
        held_out,
    )
    assert severities(actual) == [PASSED, WARNING, WARNING]
    assert "estimated without labels" in actual[0].found
    assert "a fall of" in actual[1].found
    assert "retrain" in actual[1].action


def test_less_informative_inputs_are_reported_before_the_labels_come():
    rng = np.random.default_rng(7)
    held_out = auc_interval(*drawn(rng, 3000))
    narrow = 1 / (1 + np.exp(-rng.normal(-1, 0.4, 2000)))  # nearly all cases look alike
    actual = performance_findings(
        estimate(narrow, Threshold(0.4), COSTS, seed=0),
        realised(np.empty(0), np.empty(0), Threshold(0.4), COSTS),
        held_out,
    )
    assert severities(actual) == [WARNING, NOT_APPLICABLE, NOT_APPLICABLE]


def test_false_alarms_stay_within_their_stated_rates():
    alarms, windows = np.zeros(3), 400
    for seed in range(windows):
        rng = np.random.default_rng(seed)
        held_out = auc_interval(*drawn(rng, 800))
        y, q = drawn(rng, 400)
        actual = performance_findings(
            estimate(q, Threshold(0.4), COSTS, seed=seed, draws=50),
            realised(y, q, Threshold(0.4), COSTS),
            held_out,
        )
        alarms += [f.severity == WARNING for f in actual]
    most = windows * 0.01 + 3 * math.sqrt(windows * 0.01 * 0.99)
    assert alarms[0] <= most
    assert alarms[1] <= most
    assert alarms[2] <= 3  # 0.4 are expected


@settings(max_examples=100, deadline=None)
@given(probabilities, st.sampled_from([1, 40, 250]), st.integers(0, 5))
def test_any_window_gives_plain_finite_values(few, times, seed):
    q = np.array(few * times)
    y = (np.random.default_rng(seed).random(len(q)) < q) * 1
    answer = (
        estimate(q, Threshold(0.5), COSTS, seed=seed, draws=20),
        realised(y, q, Threshold(0.5), COSTS),
    )
    for result in answer:
        stored = json.loads(json.dumps(result.to_dict(), allow_nan=False))
        assert type(result).from_dict(stored) == result
    assert answer[0].enough_rows == (len(q) >= MIN_ROWS)
    for name in ("positive_rate", "flagged", "precision", "recall", "brier"):
        assert getattr(answer[0], name) is None or 0 <= getattr(answer[0], name) <= 1 + 1e-12
    if answer[0].auc:
        assert 0 <= answer[0].auc["low"] <= answer[0].auc["high"] <= 1
    assert len(performance_findings(*answer, HELD_OUT)) == 3
