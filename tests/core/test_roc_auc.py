"""DeLong's AUC, variance, interval and paired test, against direct computation and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest
from sklearn.metrics import roc_auc_score

from fivefold.core import roc_auc
from fivefold.core.roc_auc import (
    auc_components,
    auc_interval,
    holm,
    newcombe_interval,
    paired_test,
)

scored_rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 6), st.integers(0, 6)), min_size=4, max_size=40
).filter(lambda rows: 2 <= sum(r[0] for r in rows) <= len(rows) - 2)


def kernel(y, score):
    """psi[i, j]: 1 where positive i is above negative j, half for a tie."""
    positive, negative = score[y == 1][:, None], score[y == 0][None, :]
    return (positive > negative) + 0.5 * (positive == negative)


def direct(y, a, b):
    """DeLong et al. (1988), equations 4 to 6, term by term: (AUCs, covariance)."""
    psis = [kernel(y, a), kernel(y, b)]
    m, n = psis[0].shape
    aucs = [p.mean() for p in psis]
    s10, s01 = np.zeros((2, 2)), np.zeros((2, 2))
    for r in range(2):
        for s in range(2):
            s10[r, s] = sum(
                (psis[r][i].mean() - aucs[r]) * (psis[s][i].mean() - aucs[s]) for i in range(m)
            ) / (m - 1)
            s01[r, s] = sum(
                (psis[r][:, j].mean() - aucs[r]) * (psis[s][:, j].mean() - aucs[s])
                for j in range(n)
            ) / (n - 1)
    return aucs, s10 / m + s01 / n


@settings(max_examples=150, deadline=None)
@given(scored_rows)
def test_auc_and_covariance_equal_delongs_formula_with_ties_counted_half(rows):
    y, a, b = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    aucs, covariance = auc_components(y, [a, b])
    expected_aucs, expected_covariance = direct(y, a, b)
    assert aucs == pytest.approx(expected_aucs, abs=1e-12)
    assert covariance == pytest.approx(expected_covariance, abs=1e-12)
    assert aucs[0] == pytest.approx(roc_auc_score(y, a), abs=1e-12)


def test_auc_and_variance_worked_by_hand():
    # positives .35 .8, negatives .1 .4: pairs 1, 0, 1, 1.
    # V10 = (.5, 1), V01 = (1, .5): variance .125/2 + .125/2.
    aucs, covariance = auc_components(np.array([0, 0, 1, 1]), [np.array([0.1, 0.4, 0.35, 0.8])])
    assert aucs.tolist() == [0.75]
    assert covariance.tolist() == [[0.125]]


@pytest.mark.parametrize("y", [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
def test_fewer_than_two_rows_of_a_class_are_refused(y):
    with pytest.raises(
        ValueError,
        match=rf"at least two rows of each class, found {sum(y)} positive and {4 - sum(y)} neg",
    ):
        auc_components(np.array(y), [np.arange(4.0)])


def test_with_many_rows_the_interval_is_delongs_on_the_logit_scale(monkeypatch):
    monkeypatch.setattr(roc_auc, "FEW", 0)
    result = auc_interval(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))
    # Two equal variances of one degree of freedom each make two; t quantile 4.302653.
    width = 4.30265273 * math.sqrt(0.125) / (0.75 * 0.25)
    assert result["se"] == pytest.approx(math.sqrt(0.125))
    assert result["low"] == pytest.approx(1 / (1 + math.exp(width - math.log(3))))
    assert result["high"] == pytest.approx(1 / (1 + math.exp(-width - math.log(3))))
    assert result["method"] == "DeLong, logit scale"


@pytest.mark.parametrize("auc", [0.0, 0.02, 0.5, 0.8, 0.999, 1.0])
def test_newcombes_ends_are_196_of_their_own_standard_errors_away(auc):
    low, high = newcombe_interval(auc, 20, 180)
    mirrored = newcombe_interval(1 - auc, 20, 180)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-6)
    for end in (low, high):
        if 0 < end < 1:
            terms = 1 + 99 * (1 - end) / (2 - end) + 99 * end / (1 + end)
            error = math.sqrt(end * (1 - end) * terms / (20 * 180))
            assert abs(auc - end) == pytest.approx(1.959964 * error, rel=1e-4)


def test_with_few_rows_the_interval_is_the_wider_of_two():
    y = np.repeat([1, 0], [4, 96])
    result = auc_interval(y, np.random.default_rng(0).normal(size=100) + y)
    few = newcombe_interval(result["value"], 4, 96)
    assert result["low"] <= few[0] < few[1] <= result["high"]
    assert result["method"] == "DeLong and Newcombe, the wider"


@pytest.mark.parametrize(("positives", "judged"), [(2, False), (4, False), (5, True)])
def test_below_five_rows_of_a_class_nothing_can_be_judged(positives, judged):
    y = np.repeat([1, 0], [positives, 50])
    assert auc_interval(y, np.arange(len(y)) % 7.0)["judged"] is judged
    assert auc_interval(1 - y, np.arange(len(y)) % 7.0)["judged"] is judged


@pytest.mark.parametrize("positives", [2, 5, 10, 40])
@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize("auc", [0.6, 0.9])
def test_the_95_percent_interval_covers_the_truth_from_two_positives_on(positives, spread, auc):
    """Of 300 worlds at least 273 are covered, three standard errors (3.8) below 285."""
    rng, y = np.random.default_rng(11), np.repeat([1, 0], [positives, 120])
    middle = ndtri(auc) * math.hypot(1, spread)  # P(N(middle, spread) > N(0, 1)) = auc
    hits = 0
    for _ in range(300):
        score = np.concatenate([rng.normal(middle, spread, positives), rng.normal(size=120)])
        result = auc_interval(y, score)
        hits += result["low"] <= auc <= result["high"]
    assert hits >= 273


@pytest.mark.parametrize(
    ("score", "low", "high"),
    [(np.arange(10.0), 0.025 ** (1 / 4), 1.0), (-np.arange(10.0), 0.0, 1 - 0.025 ** (1 / 4))],
)
def test_a_perfect_or_perfectly_wrong_ranking_has_the_clopper_pearson_end(score, low, high):
    result = auc_interval(np.repeat([0, 1], [6, 4]), score)  # 4 is the smaller class
    assert (result["low"], result["high"]) == pytest.approx((low, high))
    assert result["se"] == 0
    assert result["method"] == "Clopper-Pearson (no variance)"


def test_p_values_are_uniform_where_two_models_are_equally_good():
    rng, y = np.random.default_rng(5), np.repeat([1, 0], [60, 140])
    p_values = []
    for _ in range(500):
        shared = rng.normal(size=200) + y
        a, b = shared + rng.normal(size=200), shared + rng.normal(size=200)
        p_values.append(paired_test(y, a, b)["p_value"])
    assert kstest(p_values, "uniform").pvalue > 0.01
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.08


def test_p_is_small_for_a_planted_difference_and_its_sign_tells_who_is_better():
    rng, y = np.random.default_rng(6), np.repeat([1, 0], [100, 200])
    good, poor = rng.normal(size=300) + 2.0 * y, rng.normal(size=300) + 0.5 * y
    better, worse = paired_test(y, good, poor), paired_test(y, poor, good)
    assert better["difference"] == pytest.approx(roc_auc_score(y, good) - roc_auc_score(y, poor))
    assert better["p_value"] < 1e-6
    assert worse == pytest.approx({**better, "difference": -better["difference"]})


def test_folds_are_compared_one_by_one_and_their_variances_add():
    rng, y = np.random.default_rng(7), np.tile([1, 0, 0], 60)
    folds = np.repeat([0, 1, 2], 60)
    a, b = rng.normal(size=180) + y, rng.normal(size=180) + y
    whole = paired_test(y, a, b, folds)
    parts = [paired_test(y[folds == f], a[folds == f], b[folds == f]) for f in range(3)]
    assert whole["difference"] == pytest.approx(np.mean([p["difference"] for p in parts]))
    assert whole["se"] == pytest.approx(math.sqrt(sum(p["se"] ** 2 for p in parts)) / 3)
    moved = paired_test(y, a + 100 * folds, b, folds)  # another scale in each fold changes nothing
    assert moved == pytest.approx(whole)


def test_a_fold_with_one_row_of_a_class_is_left_out_of_the_test():
    rng, y = np.random.default_rng(8), np.tile([1, 0, 0], 40)
    folds = np.repeat([0, 1], 60)
    a, b = rng.normal(size=120) + y, rng.normal(size=120) + y
    few = y.copy()
    few[60:][np.flatnonzero(y[60:])[1:]] = 0  # fold 1 keeps one positive
    assert paired_test(few, a, b, folds) == pytest.approx(paired_test(y[:60], a[:60], b[:60]))
    assert (
        paired_test(few[60:], a[60:], b[60:], folds[60:])["p_value"] == 1.0
    )  # nothing can be told


def test_equal_scores_have_p_1_and_a_difference_without_variance_has_p_0():
    y, perfect = np.array([0, 0, 0, 1, 1]), np.arange(5.0)
    assert paired_test(y, perfect, perfect * 2) == {"difference": 0.0, "se": 0.0, "p_value": 1.0}
    assert paired_test(y, perfect, -perfect) == {"difference": 1.0, "se": 0.0, "p_value": 0.0}


def test_holm_worked_by_hand():
    # sorted .01 .02 .03 .6: times 4, 3, 2, 1 = .04 .06 .06 .6, running maximum, in the given order
    assert holm([0.02, 0.6, 0.01, 0.03]) == pytest.approx([0.06, 0.6, 0.04, 0.06])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.9, 0.8]) == [1.0, 1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_never_lowers_a_p_value_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()
