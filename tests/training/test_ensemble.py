"""The blend: weights chosen greedily, a figure independent of that choice, and what is served."""

import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fivefold.core.roc_auc import roc_auc
from fivefold.data.splits import Assignment, split_rows
from fivefold.training.ensemble import (
    STEPS,
    Ensemble,
    _choose,
    blend,
    choose_served,
    mixed,
    prior_share,
)

ROWS = 3000
RNG = np.random.default_rng(0)
Y = (RNG.random(ROWS) < 0.3).astype("int8")
PLACE = split_rows(Y, 5, 0)


def scores(strength, seed):
    """Probabilities on training rows, NaN elsewhere; arms of different seeds err independently."""
    raw = strength * Y + np.random.default_rng(seed).normal(size=ROWS)
    return np.where(PLACE >= 0, 1 / (1 + np.exp(-raw)), np.nan).astype("float32")


def test_two_equal_candidates_that_err_independently_gain_what_theory_says():
    oofs = {"a": scores(1.0, 1), "b": scores(1.0, 2)}
    actual, nested = blend(oofs, Y, PLACE, "a")
    assert actual.weights == pytest.approx({"a": 0.5, "b": 0.5}, abs=0.1)
    assert actual.auc_mean == pytest.approx(
        0.841, abs=0.02
    )  # d' 1 becomes sqrt 2: Phi(1) = .841, from Phi(.707) = .760
    assert actual.gain == pytest.approx(0.081, abs=0.02)
    assert actual.gain_low > 0.05
    assert actual.gain_low < actual.gain < actual.gain_high
    stored = actual.to_dict()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert Ensemble.from_dict(stored) == actual
    assert (np.isnan(nested) == (PLACE == Assignment.HOLDOUT)).all()


def test_a_blend_uses_the_folds_that_all_have_scored():
    oofs = {"a": scores(1.0, 1), "b": np.where(np.isin(PLACE, (0, 3)), scores(1.0, 2), np.nan)}
    actual, nested = blend(oofs, Y, PLACE, "a")
    common = np.isin(PLACE, (0, 3))
    assert (np.isfinite(nested) == common).all()
    assert len(actual.fold_scores) == 2
    same, expected = blend(oofs, Y, np.where(common, PLACE, Assignment.TRAIN_ONLY), "a")
    assert actual == same
    np.testing.assert_array_equal(nested, expected)


def test_a_single_fold_in_common_is_divided_into_three_and_the_choice_stays_nested():
    """Scores of one fold are of the same models, so its parts are as good as folds."""
    oofs = {"a": scores(1.0, 1), "b": np.where(PLACE == 0, scores(1.0, 2), np.nan)}
    actual, nested = blend(oofs, Y, PLACE, "a")
    rows = np.flatnonzero(PLACE == 0)
    parts = np.full(ROWS, Assignment.TRAIN_ONLY)
    parts[rows] = np.arange(len(rows)) % 3
    same, expected = blend(oofs, Y, parts, "a")
    assert actual == same
    np.testing.assert_array_equal(nested, expected)
    assert actual.gain > 0.02


def test_noise_gets_no_weight_and_nothing_is_gained():
    actual, _ = blend({"a": scores(2.0, 1), "noise": scores(0.0, 2)}, Y, PLACE, "a")
    assert actual.weights.get("noise", 0.0) < 0.1
    assert (
        -0.005 < actual.gain < 0.002
    )  # 2,400 rows: it has its part of the equal weights that 500 others count for
    alone, same = blend({"a": scores(2.0, 1)}, Y, PLACE, "a")
    assert alone.weights == {"a": 1.0}
    assert (alone.gain, alone.gain_low, alone.gain_high) == (0, 0, 0)
    np.testing.assert_array_equal(same, scores(2.0, 1))


def test_a_fold_is_scored_with_weights_that_its_labels_had_no_part_in():
    oofs = {"a": scores(1.0, 1), "b": scores(1.0, 2), "c": scores(0.8, 3)}
    _, nested = blend(oofs, Y, PLACE, "a")
    turned = np.where(PLACE == 2, oofs["c"] > 0.5, Y).astype("int8")  # there c is perfect now
    actual, after = blend(oofs, turned, PLACE, "a")
    here = PLACE == 2
    np.testing.assert_array_equal(after[here], nested[here])
    assert not np.array_equal(
        after[PLACE == 1], nested[PLACE == 1]
    )  # it can fail: fold 2 has a vote there
    assert actual.fold_scores[2] == pytest.approx(
        roc_auc_score(turned[here], nested[here]), abs=1e-9
    )


def test_a_rare_class_has_a_say_in_the_weights_of_a_large_table():
    y, fold_ids = np.zeros(60_000, dtype="int8"), (np.arange(60_000) % 5).astype("int8")
    blind = np.setdiff1d(
        np.arange(60_000), np.random.default_rng(0).choice(60_000, 20_000, replace=False)
    )
    y[[blind[fold_ids[blind] == fold][n] for fold in range(5) for n in range(3)]] = (
        1  # rows that a blind draw has not
    )
    noise, result = np.random.default_rng(0).random(60_000), np.random.default_rng(1).random(60_000)
    actual, _ = blend(
        {"noise": noise, "told": np.where(y == 1, 0.99, result)}, y, fold_ids, "noise"
    )
    assert actual.weights.get("told", 0) > 0.5


def test_many_useless_candidates_do_not_make_a_gain():
    gains = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        y = (rng.random(500) < 0.4).astype("int8")
        fold_ids = split_rows(y, 5, seed)
        oofs = {f"n{k}": np.where(fold_ids >= 0, rng.random(500), np.nan) for k in range(5)}
        winner = max(
            oofs,
            key=lambda n: np.mean(
                [roc_auc(y[fold_ids == f], oofs[n][fold_ids == f]) for f in range(5)]
            ),
        )
        gains.append(blend(oofs, y, fold_ids, winner)[0].auc_mean - 0.5)
    assert abs(np.mean(gains)) < 0.03  # chosen and judged on the same rows it would be about +.04


def test_the_choice_is_the_best_prefix_of_the_greedy_steps_by_hand():
    y = np.array([0, 0, 1, 1])
    oofs = {
        "a": np.array([0.1, 0.6, 0.5, 0.9]),
        "b": np.array([0.2, 0.1, 0.3, 0.15]),
    }  # AUC 3/4 each; together 1
    assert _choose(["a", "b"], oofs, y, [np.arange(4)], 0.0) in (
        {"a": 0.5, "b": 0.5},
        {"a": 2 / 3, "b": 1 / 3},
        {"a": 1 / 3, "b": 2 / 3},
    )
    perfect = {"a": np.array([0.1, 0.2, 0.3, 0.4]), "b": np.array([0.4, 0.3, 0.2, 0.1])}
    assert _choose(["a", "b"], perfect, y, [np.arange(4)], 0.0) == {"a": 1.0}
    assert _choose(["a", "b"], perfect, y, [np.arange(4)], 0.5) == {"a": 0.75, "b": 0.25}
    assert sum(_choose(["a", "b"], oofs, y, [np.arange(4)], 0.0).values()) == pytest.approx(1)
    assert STEPS >= 10


@pytest.mark.parametrize(
    ("rows", "arms", "even"),
    [
        (500, 2, 0.5),
        (500, 5, 0.5),
        (1500, 5, 0.25),
        (1900, 5, 500 / 2400),
        (1901, 5, 0.0),
        (5500, 2, 1 / 12),
        (5501, 2, 0.0),
        (500, 1, 0.5),
    ],
)
def test_of_few_rows_the_weights_are_drawn_to_equal_ones(rows, arms, even):
    """As if equal weights had been best on 500 other rows; a weight below 1/24 becomes zero."""
    assert prior_share(rows, arms) == pytest.approx(even)
    y, fold_ids = np.tile([0, 1], rows)[:rows], np.arange(rows) // 2 % 5
    oofs = {"best": y + 0.0} | {f"other {n}": 1.0 - y for n in range(1, arms)}
    actual, nested = blend(oofs, y, fold_ids, "best")
    assert actual.weights["best"] == pytest.approx(1 - even * (arms - 1) / arms)
    assert sum(actual.weights.values()) == pytest.approx(1)
    assert len(actual.weights) == (arms if even else 1)
    np.testing.assert_allclose(
        nested, mixed(oofs, actual.weights), rtol=1e-6
    )  # what is judged is what is served


def test_ranks_give_scikit_learns_roc_auc_with_ties():
    score = np.round(np.random.default_rng(1).random(ROWS), 1)
    assert roc_auc(Y, score) == pytest.approx(roc_auc_score(Y, score), abs=1e-12)


def test_a_mixture_is_the_weighted_mean():
    assert mixed(
        {"a": np.array([0.0, 1.0]), "b": np.array([1.0, 1.0])}, {"a": 0.75, "b": 0.25}
    ).tolist() == [0.25, 1.0]


@pytest.mark.parametrize(
    ("asked", "high", "weights", "expected"),
    [
        ("auto", 0.004, {"a": 0.5, "b": 0.5}, "blend"),
        ("auto", 0.0, {"a": 0.5, "b": 0.5}, "blend"),
        ("auto", -0.0001, {"a": 0.5, "b": 0.5}, "single"),
        ("blend", -0.1, {"a": 0.5, "b": 0.5}, "blend"),
        ("single", 0.1, {"a": 0.5, "b": 0.5}, "single"),
        ("blend", 0.0, {"a": 1.0}, "single"),
    ],
)
def test_what_is_served_and_why(asked, high, weights, expected):
    ensemble = Ensemble(weights, 0.8, 0.01, [], high - 0.002, high - 0.004, high)
    served, why = choose_served(asked, ensemble)
    assert served == expected
    assert why
