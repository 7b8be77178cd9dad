"""The leaderboard: order, ties, failures, and who cannot be told from the winner."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fivefold.core.findings import Refused
from fivefold.core.roc_auc import holm, paired_test
from fivefold.data.splits import split_rows
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.candidate import Candidate, FailedSearch
from fivefold.training.leaderboard import Leaderboard, rank, significantly_below, title
from tests.support.training import candidate as candidate_of

ROWS = 600
RNG = np.random.default_rng(2)
Y = (RNG.random(ROWS) < 0.4).astype("int8")
PLACE = split_rows(Y, 3, 0)


def candidate(name, mean, std=0.01):
    return candidate_of(name, auc_mean=mean, auc_std=std)


def scores(strength, seed):
    """Probability-like scores on training rows, NaN elsewhere."""
    raw = strength * Y + np.random.default_rng(seed).normal(size=ROWS)
    return np.where(PLACE >= 0, raw, np.nan).astype("float32")


def ranked(*candidates, **oofs):
    return rank(
        list(candidates),
        {**{c.algorithm: scores(1, 0) for c in candidates if isinstance(c, Candidate)}, **oofs},
        Y,
        PLACE,
    )


def names(leaderboard):
    return [row.algorithm for row in leaderboard.rows]


def test_best_mean_first_and_failed_ones_last_by_name():
    result = ranked(
        candidate("a", 0.7),
        FailedSearch("z", "boom"),
        candidate("b", 0.9),
        FailedSearch("c", "bang"),
        candidate("d", 0.8),
    )
    assert names(result) == ["b", "d", "a", "c", "z"]
    assert [row.rank for row in result.rows] == [1, 2, 3, None, None]
    assert [row.indistinguishable for row in result.rows[3:]] == [False, False]
    assert [row.p_value for row in result.rows] == [None, 1.0, 1.0, None, None]


def test_ties_go_to_the_smaller_spread_and_then_to_the_earlier_name():
    result = ranked(
        candidate("c", 0.8, 0.02),
        candidate("b", 0.8, 0.01),
        candidate("a", 0.8, 0.02),
        candidate("d", 0.8, 0.01),
    )
    assert names(result) == ["b", "d", "a", "c"]
    assert names(ranked(*reversed([candidate("a", 0.8), candidate("b", 0.8)]))) == ["a", "b"]


def test_a_twin_cannot_be_distinguished_from_the_winner_and_a_worse_one_can():
    best = scores(2.0, 1)
    twin = best + np.random.default_rng(3).normal(scale=0.05, size=ROWS).astype("float32")
    result = ranked(
        candidate("best", 0.92),
        candidate("twin", 0.919),
        candidate("worse", 0.6),
        best=best,
        twin=twin,
        worse=scores(0.3, 4),
    )
    assert {row.algorithm: row.indistinguishable for row in result.rows} == {
        "best": True,
        "twin": True,
        "worse": False,
    }
    assert result.rows[1].p_value > 0.05 > 1e-6 > result.rows[2].p_value


def test_p_values_are_delongs_fold_by_fold_and_adjusted_by_holm():
    oofs = {"a": scores(1.5, 1), "b": scores(1.2, 2), "c": scores(1.0, 3)}
    result = ranked(candidate("a", 0.9), candidate("b", 0.8), candidate("c", 0.7), **oofs)
    rows = PLACE >= 0
    raw = [
        paired_test(Y[rows], oofs["a"][rows], oofs[n][rows], PLACE[rows])["p_value"] for n in "bc"
    ]
    assert [row.p_value for row in result.rows[1:]] == holm(raw)
    shifted = {
        n: o + 5 * PLACE for n, o in oofs.items() if n != "a"
    }  # a scale of its own in each fold
    moved = ranked(
        candidate("a", 0.9), candidate("b", 0.8), candidate("c", 0.7), a=oofs["a"], **shifted
    )
    assert [row.p_value for row in moved.rows[1:]] == pytest.approx(holm(raw), rel=1e-3)


def test_all_failed_is_an_error_with_every_reason():
    failed = [FailedSearch(name, f"reason of {name}") for name in ALGORITHMS]
    with pytest.raises(
        Refused,
        match=rf"There is no model(.|\n)*all {len(ALGORITHMS)} algorithms failed(.|\n)*resume tune",
    ) as raised:
        ranked(*failed)
    assert all(f"  {name}: reason of {name}" in str(raised.value) for name in ALGORITHMS)


def test_one_survivor_wins_without_a_test():
    result = ranked(candidate("only", 0.6), FailedSearch("b", "killed"))
    first = result.rows[0]
    assert (first.rank, first.p_value, first.indistinguishable) == (1, None, True)


def test_ten_positives_in_five_folds_still_give_a_leaderboard():
    y = np.repeat([1, 0], [10, 90]).astype(
        "int8"
    )  # the fewest that the checks let pass: some folds get one
    fold_ids = split_rows(y, 5, 0)
    assert min(int(y[fold_ids == f].sum()) for f in range(5)) == 1
    oofs = {n: np.random.default_rng(i).normal(size=100) for i, n in enumerate("ab")}
    result = rank([candidate("a", 0.9), candidate("b", 0.8)], oofs, y, fold_ids)
    assert 0 <= result.rows[1].p_value <= 1


def test_the_leaderboard_is_json_without_nan():
    board = ranked(candidate("a", 0.9), candidate("b", 0.8), FailedSearch("c", "killed", 3.5))
    result = board.to_dicts()
    assert Leaderboard.from_dicts(result) == board
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result[2] | {"rank": None, "p_value": None, "indistinguishable": False} == result[2]
    assert (result[2]["status"], result[2]["error"], result[2]["seconds"]) == (
        "failed",
        "killed",
        3.5,
    )


def test_titles_are_for_people_and_unknown_names_stay():
    titles = [title(name) for name in ALGORITHMS]
    assert titles == [entry.title for entry in ALGORITHMS.values()]
    assert len(set(titles)) == len(titles)
    assert set(titles) >= {
        "AdaBoost",
        "Random forest",
        "XGBoost",
        "LightGBM",
        "Logistic regression",
    }
    assert title("mine") == "mine"


# --- searches that gave up folds -----------------------------------------------------------------


def on_folds(oof, *folds):
    return np.where(np.isin(PLACE, folds), oof, np.nan)


def test_searches_of_other_folds_are_compared_on_those_in_common(monkeypatch):
    monkeypatch.setattr("fivefold.training.leaderboard.COMPARABLE", 50)
    a, b = scores(1.2, 1), scores(1.0, 2)
    some = on_folds(b, 0, 2)
    aucs = {
        name: [roc_auc_score(Y[f == PLACE], oof[f == PLACE]) for f in (0, 2)]
        for name, oof in (("a", a), ("b", b))
    }
    own = candidate_of("b", auc_mean=np.mean(aucs["b"]), auc_std=np.std(aucs["b"], ddof=1))
    own = replace(own, fold_scores=aucs["b"])
    result = ranked(candidate("a", 0.6), own, a=a, b=some)
    assert [row.algorithm for row in result.rows] == sorted(aucs, key=lambda n: -np.mean(aucs[n]))
    for row in result.rows:
        assert row.result.fold_scores == pytest.approx(aucs[row.algorithm])
        assert row.result.auc_mean == pytest.approx(np.mean(aucs[row.algorithm]))
        assert row.result.auc_std == pytest.approx(np.std(aucs[row.algorithm], ddof=1))
    rows = np.isin(PLACE, (0, 2))
    expected = paired_test(Y[rows], a[rows], b[rows], PLACE[rows])["p_value"]
    assert result.rows[1].p_value == pytest.approx(expected)
    assert result.comparable == names(result)
    assert result.given_up == []


def test_a_search_with_too_few_scored_rows_keeps_its_own_figures_and_leaves_the_others_theirs():
    """160 rows in a fold, 64 of the rarer class: below 200, and the others have 192."""
    few = on_folds(scores(1.0, 2), 0)
    result = ranked(
        candidate("a", 0.8), candidate("b", 0.7), candidate("few", 0.75), few=few, b=scores(0.8, 3)
    )
    assert names(result) == ["a", "few", "b"]
    assert [row.too_few_rows for row in result.rows] == [False, True, False]
    assert [row.result.auc_mean for row in result.rows] == [0.8, 0.75, 0.7]
    assert result.comparable == ["a", "b"]
    assert result.given_up == ["few: too few scored rows to be compared fully, not in the blend"]
    assert Leaderboard.from_dicts(result.to_dicts()) == result


def test_a_winner_that_is_proven_worse_than_the_plain_regression_changes_places_with_it():
    plain = scores(2.5, 1)
    arms = (candidate("lucky", 0.95), candidate("logistic_regression", 0.9))
    for strength, first in ((0.3, "logistic_regression"), (2.5, "lucky")):
        lucky = on_folds(scores(strength, 2), 0)  # few rows, on its own fold
        result = ranked(*arms, lucky=lucky, logistic_regression=plain)
        assert result.winner.algorithm == first
    assert significantly_below(on_folds(scores(0.3, 2), 0), plain, Y, PLACE)
    assert not significantly_below(plain, on_folds(scores(0.3, 2), 0), Y, PLACE)
