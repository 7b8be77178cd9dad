"""The search: honest folds, untouched holdout, same seed, resuming, pruning, deadline."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion, Pipeline

from fivefold.core.roc_auc import auc_interval
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.infer import infer_schema
from fivefold.data.splits import Assignment, Split, split_rows, subsample
from fivefold.model.inputs import expand
from fivefold.training import search, search_size
from fivefold.training.algorithms import ALGORITHMS, Algorithm
from fivefold.training.candidate import Candidate, Setting
from fivefold.training.encode_folds import encode_fold, fitted_rows, interactions
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    NATIVE,
    TREES,
    WORDS,
    encoder,
    plan,
    words_encoder,
)
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import mixed, prepared
from tests.support.training import candidate as candidate_of
from tests.support.training import fit_final, searched

STYLES = (LINEAR, CROSSED, TREES, NATIVE)
ENTRIES = dict(ALGORITHMS)
BAYES = Algorithm(
    "Naive Bayes",
    TREES,
    lambda params, seed, threads, types: GaussianNB(**params),
    ({"var_smoothing": 1e-9},),
    {"var_smoothing": (1e-12, 1.0, "log")},
)


@pytest.fixture(autouse=True)
def _small_forests(monkeypatch):
    """The real entries with few trees: quick, and no less strict."""
    for name, trees in (("adaboost", (5, 15, "log")), ("random_forest", [15])):
        few = tuple({**d, "n_estimators": 15} for d in ALGORITHMS[name].defaults)
        monkeypatch.setitem(
            ALGORITHMS,
            name,
            replace(
                ALGORITHMS[name],
                defaults=few,
                space={**ALGORITHMS[name].space, "n_estimators": trees},
            ),
        )


@pytest.fixture
def bayes(monkeypatch):
    """A sixth algorithm, by one entry."""
    monkeypatch.setitem(ALGORITHMS, "naive_bayes", BAYES)
    return "naive_bayes"


def timeless(candidate):
    """The candidate without what a clock says."""
    trials = [replace(trial, seconds=0.0) for trial in candidate.trials]
    return replace(candidate, seconds=0.0, trials=trials)


def encode_folds(data, style, options):
    return [encode_fold(data, fold, style, options) for fold in range(data.split.fold_count)]


def same(one, two):
    assert timeless(one[0]) == timeless(two[0])
    np.testing.assert_array_equal(one[1], two[1])


# --- honest folds --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_out_of_fold_scores_are_those_of_a_whole_fresh_pipeline_per_fold(name):
    typed, y, fold_ids, schema = prepared()
    candidate, oof = searched(name, typed, y, fold_ids, schema, trials=1)
    entry, scores = ALGORITHMS[name], []
    assert np.isnan(oof[fold_ids < 0]).all()
    for fold in range(3):
        train, valid = (fold_ids >= 0) & (fold_ids != fold), fold_ids == fold
        inside, outside = expand(typed[train], schema), expand(typed[valid], schema)
        recipe, style = plan(inside, schema), entry.encoding_of(candidate.params)
        if style == WORDS:
            encode = FeatureUnion(
                [
                    ("columns", encoder(replace(recipe, text=[]), LINEAR, 0)),
                    ("words", words_encoder(recipe)),
                ]
            )
        else:
            encode = encoder(recipe, LINEAR if style == CROSSED else style, 0)
        x = encode.fit_transform(inside, y[train])
        if style == CROSSED:
            products, x = interactions(x, y[train])
            encode = Pipeline([("columns", encode), ("crosses", products)])
        codes = len(recipe.native) if style == NATIVE else 0
        model = entry.build(dict(candidate.params), 0, 1, "c" * codes + "q" * (x.shape[1] - codes))
        options = {}
        if entry.boosted:
            model.set_params(n_estimators=candidate.rounds)
        if name == "lightgbm":
            options["categorical_feature"] = list(range(codes))
        expected = model.fit(x, y[train], **options).predict_proba(encode.transform(outside))[:, 1]
        np.testing.assert_allclose(oof[valid], expected, rtol=1e-4, atol=1e-6)
        scores.append(roc_auc_score(y[valid], oof[valid]))
    assert candidate.fold_scores == pytest.approx(scores)
    assert candidate.auc_mean == pytest.approx(np.mean(scores))
    assert candidate.auc_std == pytest.approx(np.std(scores, ddof=1))
    assert candidate.params == (entry.text_defaults or entry.defaults)[0]
    stored = candidate.to_dict()
    assert json.loads(json.dumps(stored, allow_nan=False)) == stored
    assert Candidate.from_dict(stored) == candidate


@pytest.mark.parametrize("style", STYLES)
def test_a_folds_validation_rows_never_touch_its_own_encoding(style):
    typed, y, fold_ids, schema = prepared()
    clean = encode_folds(TrainingData(typed, y, fold_ids, schema), style, FitOptions())
    turned = np.where(fold_ids == 1, 1 - y, y).astype("int8")
    wild = typed.copy()
    wild.loc[fold_ids == 1, ["amount", "age", "noise"]] = 1e6
    wild.loc[fold_ids == 1, ["region", "shop", "note"]] = "wild"
    by_label, by_value = (
        encode_folds(TrainingData(t, labels, fold_ids, schema), style, FitOptions())
        for t, labels in ((typed, turned), (wild, y))
    )
    np.testing.assert_array_equal(clean[1].train.x, by_label[1].train.x)
    np.testing.assert_array_equal(clean[1].valid.x, by_label[1].valid.x)
    np.testing.assert_array_equal(clean[1].train.x, by_value[1].train.x)
    for others in (
        (by_label, by_value) if style != NATIVE else (by_value,)
    ):  # the check can fail: in other folds the rows of fold 1 train
        assert clean[0].train.x.shape != others[0].train.x.shape or not np.array_equal(
            clean[0].train.x, others[0].train.x, equal_nan=True
        )


def test_folds_hold_the_rows_that_the_split_names():
    typed, y, fold_ids, schema = prepared()
    for fold, (train, valid) in zip(
        encode_folds(TrainingData(typed, y, fold_ids, schema), TREES, FitOptions()),
        Split(fold_ids).folds(),
        strict=True,
    ):
        assert fold.rows.tolist() == valid.tolist()
        assert fold.train.y.tolist() == y[train].tolist()
        assert fold.valid.y.tolist() == y[valid].tolist()
        assert (len(fold.train.x), len(fold.valid.x)) == (len(train), len(valid))


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_the_holdout_has_no_part_in_the_search_or_the_final_fit(name):
    typed, y, fold_ids, schema = prepared()
    held = fold_ids == Assignment.HOLDOUT
    other, other_y = typed.copy(), np.where(held, 1 - y, y).astype("int8")
    other.loc[held, ["amount", "age", "noise"]] = [1e9, -5.0, np.nan]
    other.loc[held, ["region", "shop", "note"]] = "never seen"
    clean, corrupt = (
        searched(name, t, labels, fold_ids, schema, trials=2)
        for t, labels in ((typed, y), (other, other_y))
    )
    same(clean, corrupt)
    rows = Split(fold_ids).training_rows
    finals = [
        fit_final(clean[0], t.iloc[rows], labels[rows], schema)
        for t, labels in ((typed, y), (other, other_y))
    ]
    served = expand(typed, schema)
    np.testing.assert_array_equal(finals[0].predict_proba(served), finals[1].predict_proba(served))


def test_rows_without_a_label_have_no_part_in_the_search(bayes):
    typed, y, _, schema = prepared()
    some = y.copy()
    some[::9] = -1
    fold_ids = split_rows(some, 3, 0)
    other = typed.copy()
    other.loc[some < 0, ["amount", "age"]] = 1e9
    same(
        searched(bayes, typed, some, fold_ids, schema, trials=2),
        searched(bayes, other, some, fold_ids, schema, trials=2),
    )


def test_folds_in_time_score_only_the_rows_after_the_first_block(bayes):
    typed, y, _, schema = prepared()
    fold_ids = split_rows(y, 3, 0, times=np.arange(400.0))
    candidate, oof = searched(bayes, typed, y, fold_ids, schema, trials=1)
    assert (np.isnan(oof) == (fold_ids < 0)).all()
    assert len(candidate.fold_scores) == 3


# --- reproducible, and continued -----------------------------------------------------------------


def test_the_same_seed_gives_the_same_search_and_another_seed_another(bayes):
    typed, y, fold_ids, schema = prepared()
    one, two = (searched(bayes, typed, y, fold_ids, schema, trials=5, seed=3) for _ in range(2))
    same(one, two)
    other = searched(bayes, typed, y, fold_ids, schema, trials=5, seed=4)
    assert [t.params for t in other[0].trials[1:]] != [t.params for t in one[0].trials[1:]]


def test_a_search_continued_from_any_prefix_equals_an_undisturbed_one(bayes):
    typed, y, fold_ids, schema = prepared()
    kept = []
    whole = searched(
        bayes,
        typed,
        y,
        fold_ids,
        schema,
        trials=9,
        save=kept.append,
    )
    assert [scored.trial.number for scored in kept] == list(range(9))
    assert "pruned" in {scored.trial.state for scored in kept}
    for done in range(10):
        more = []
        continued = searched(
            bayes,
            typed,
            y,
            fold_ids,
            schema,
            trials=9,
            saved=kept[:done],
            save=lambda scored, more=more: more.append(scored.trial.number),
        )
        same(whole, continued)
        assert more == list(range(done, 9))


def test_saved_trials_after_a_gap_are_done_again(bayes):
    typed, y, fold_ids, schema = prepared()
    kept = []
    whole = searched(
        bayes,
        typed,
        y,
        fold_ids,
        schema,
        trials=4,
        save=kept.append,
    )
    same(whole, searched(bayes, typed, y, fold_ids, schema, trials=4, saved=[kept[0], *kept[2:]]))


def test_out_of_fold_scores_are_saved_where_a_trial_is_the_best_so_far(bayes):
    typed, y, fold_ids, schema = prepared()
    kept = []
    candidate, oof = searched(
        bayes,
        typed,
        y,
        fold_ids,
        schema,
        trials=6,
        save=kept.append,
    )
    best = -1.0
    for scored in kept:
        better = scored.trial.complete and scored.trial.auc > best
        assert (scored.oof is not None) == better
        best = scored.trial.auc if better else best
    assert candidate.auc_mean == best
    np.testing.assert_array_equal(
        [scored.oof for scored in kept if scored.oof is not None][-1], oof
    )


def test_a_boosted_candidate_is_the_mean_of_its_three_best_settings():
    typed, y, fold_ids, schema = prepared()
    kept = []
    candidate, oof = searched(
        "lightgbm",
        typed,
        y,
        fold_ids,
        schema,
        trials=6,
        save=kept.append,
    )
    best = sorted((t for t in candidate.trials if t.complete), key=lambda t: -t.auc)[:3]
    assert candidate.settings == [Setting(t.number, t.params, t.rounds) for t in best]
    assert (candidate.params, candidate.rounds) == (best[0].params, best[0].rounds)
    scores = {scored.trial.number: scored.oof for scored in kept}
    np.testing.assert_allclose(oof, np.mean([scores[t.number] for t in best], axis=0), rtol=1e-6)
    by_fold = [roc_auc_score(y[fold_ids == fold], oof[fold_ids == fold]) for fold in range(3)]
    assert candidate.fold_scores == pytest.approx(by_fold)
    assert candidate.auc_mean == pytest.approx(np.mean(by_fold))
    same(
        (candidate, oof), searched("lightgbm", typed, y, fold_ids, schema, trials=6, saved=kept[:4])
    )


def test_a_candidate_has_no_more_settings_than_its_final_fit_has_models(monkeypatch):
    monkeypatch.setattr(
        "fivefold.training.algorithms.MOST_ROWS_TIMES_SEEDS", 700
    )  # of 320 training rows: two
    typed, y, fold_ids, schema = prepared()
    assert len(searched("lightgbm", typed, y, fold_ids, schema, trials=4)[0].settings) == 2
    assert len(searched("random_forest", typed, y, fold_ids, schema, trials=2)[0].settings) == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_each_algorithm_continues_as_if_undisturbed(name):
    typed, y, fold_ids, schema = prepared()
    kept = []
    whole = searched(
        name,
        typed,
        y,
        fold_ids,
        schema,
        trials=6,
        save=kept.append,
    )
    same(whole, searched(name, typed, y, fold_ids, schema, trials=6, saved=kept[:3]))


def test_no_trial_at_all_is_an_error(bayes):
    typed, y, fold_ids, schema = prepared()
    with pytest.raises(RuntimeError, match=r"naive_bayes: none of 0 trials was completed"):
        searched(bayes, typed, y, fold_ids, schema, trials=0)


def test_every_fold_is_reported(bayes):
    typed, y, fold_ids, schema = prepared()
    result = []
    candidate, _ = searched(bayes, typed, y, fold_ids, schema, trials=2, report=result.append)
    assert [(s.trial, s.fold, s.folds, s.of) for s in result] == [
        (t, f, 3, 2) for t in (0, 1) for f in (1, 2, 3)
    ]
    assert [s.best for s in result] == [None] * 3 + [candidate.trials[0].auc] * 3
    assert result[2].auc == pytest.approx(candidate.trials[0].auc, abs=1e-3)  # kept as float32


# --- pruning and the deadline --------------------------------------------------------------------


class Dial:
    """Scores by a mixture of an informative and a useless column; fitting may move a clock."""

    def __init__(self, skill, clock=None, cost=lambda rows: 0.0):
        self.skill, self.clock, self.cost = skill, clock, cost

    def fit(self, x, y):
        if self.clock is not None:
            self.clock.now += self.cost(len(x))
        return self

    def predict_proba(self, x):
        score = self.skill * x[:, 0] + (1 - self.skill) * x[:, 1]
        return np.column_stack([-score, score])


def dialled(rows=600, folds=3):
    """(typed, y, fold_ids, schema): column 1 is informative in fold 0, column 2 never."""
    rng = np.random.default_rng(0)
    y = (rng.random(rows) < 0.5).astype("int8")
    fold_ids = split_rows(y, folds, 0)
    typed = pd.DataFrame(
        {
            "telling": y + rng.normal(size=rows) * np.where(fold_ids == 0, 0.3, 3.0),
            "noise": rng.normal(size=rows),
        }
    )
    return (
        typed,
        y,
        fold_ids,
        Schema((Column("telling", "numeric"), Column("noise", "numeric")), "y", "0", "1"),
    )


def dial(defaults, **options):
    return Algorithm(
        "Dial",
        NATIVE,
        lambda params, seed, threads, types: Dial(params["skill"], **options),
        tuple({"skill": s} for s in defaults),
        {"skill": (0.0, 1.0)},
    )


def test_poor_trials_are_pruned_after_the_quiet_ones_and_never_win(monkeypatch):
    monkeypatch.setitem(ALGORITHMS, "dial", dial([1.0, 0.9, 0.95, 0.98, 0.7, 0.0]))
    candidate, oof = searched("dial", *dialled(), trials=6)
    trials = candidate.trials
    assert [t.state for t in trials] == ["complete"] * 4 + ["pruned", "pruned"]
    assert [len(t.fold_scores) for t in trials] == [3, 3, 3, 3, 1, 1]
    assert trials[4].auc > max(
        t.auc for t in trials if t.complete
    )  # its only fold was the easy one
    assert candidate.auc_mean == max(t.auc for t in trials if t.complete)
    assert candidate.params in [t.params for t in trials[:4]]
    assert not np.isnan(oof[dialled()[2] >= 0]).any()


def clocked(monkeypatch, defaults=(1.0,) * 20, cost=lambda rows: 1.0):
    clock = SimpleNamespace(now=0.0)
    for module in (search, search_size):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setitem(ALGORITHMS, "dial", dial(defaults, clock=clock, cost=cost))
    return clock


@pytest.mark.parametrize(
    ("seconds", "trials", "folds"),
    [
        (0.0, 1, 1),
        (2.9, 1, 1),
        (3.2, 2, 1),
        (4.4, 1, 2),
        (5.1, 1, 3),
        (6.0, 1, 3),
        (6.2, 2, 3),
        (9.0, 2, 3),
        (9.2, 3, 3),
    ],
)
def test_the_time_bounds_the_search_but_the_first_trial_ends(monkeypatch, seconds, trials, folds):
    """A fit takes 1 s, one more loads the libraries; the first trial may take 0.6 of the time.

    Another begins while 0.7 of one still fits, or all of one where folds were given up.
    """
    clocked(monkeypatch)
    candidate, oof = searched("dial", *dialled(), seconds=seconds)
    assert len(candidate.trials) == trials
    assert candidate.folds_scored == len(candidate.fold_scores) == folds
    assert candidate.seconds == folds * trials
    assert (np.isfinite(oof) == np.isin(dialled()[2], range(folds))).all()
    assert bool(candidate.given_up) == (folds < 3)


def test_a_trial_that_turns_out_slow_is_given_up_between_folds(monkeypatch):
    fits, saved = [], []
    clocked(monkeypatch, cost=lambda rows: fits.append(rows) or (1.0 if len(fits) <= 3 else 50.0))
    candidate, _ = searched(
        "dial", *dialled(), seconds=20.0, save=lambda scored: saved.append(scored.trial.number)
    )
    assert len(fits) == 4
    assert saved == [0]
    assert len(candidate.trials) == 1


def test_saved_trials_count_for_a_time_that_is_up(monkeypatch):
    clocked(monkeypatch)
    kept = []
    first = searched("dial", *dialled(), trials=2, save=kept.append)
    again = searched("dial", *dialled(), seconds=0.0, saved=kept)
    same(first, again)


def test_a_large_table_loses_trials_then_folds_and_rows_last(monkeypatch):
    """A millisecond a row, 16,000 rows in a fold: two measured fits tell what it costs."""
    fits = []
    clocked(monkeypatch, cost=lambda rows: fits.append(rows) or rows / 1000)
    typed, y, fold_ids, schema = dialled(30_000)
    expected = {
        80.0: ([200, 500, 2000] + 3 * [16_000], None),  # a probe of 8,000 rows costs too much
        60.0: ([200, 500, 2000] + 2 * [16_000], None),
        30.0: ([200, 500, 2000, 16_000], None),
        15.0: ([200, 500, 2000, 9000], 9000),
        5.0: ([200, 500, 3000], 3000),  # one probe is enough to see it
    }
    for seconds, (rows, most) in expected.items():
        fits.clear()
        candidate, oof = searched("dial", typed, y, fold_ids, schema, seconds=seconds)
        assert (fits, candidate.max_rows) == (rows, most)
        assert candidate.rows_fit == rows[-1]
        assert candidate.folds_scored == sum(row == rows[-1] for row in rows)
        assert np.isfinite(oof).sum() == 8000 * candidate.folds_scored
    text = "Dial: 1 of 3 folds, 3,000 of 16,000 rows, 1 trial: the time allowed no more"
    assert candidate.given_up == text
    fits.clear()
    fit_final(candidate, typed, y, schema)
    assert fits == [3000]


def test_a_machine_eight_times_slower_gives_up_trials_and_folds_but_no_rows(monkeypatch):
    searches = {}
    for speed in (1, 8):
        clocked(monkeypatch, cost=lambda rows, speed=speed: speed * rows / 10_000)
        searches[speed], _ = searched("dial", *dialled(30_000), seconds=30.0)
    assert [c.folds_scored for c in searches.values()] == [3, 1]
    assert [len(c.trials) for c in searches.values()] == [6, 2]
    assert [c.rows_fit for c in searches.values()] == [16_000, 16_000]


def test_a_machine_that_becomes_busy_after_the_first_fold_ends_with_fewer_folds(monkeypatch):
    """Four times slower: after two folds, of 1 s and 4 s, a third would end at 10 s."""
    result = {}
    for seconds in (9.0, 11.0):
        costs = iter([1.0, 1.0, 4.0, 4.0])  # of the fit that loads the libraries, and the folds
        clock = clocked(monkeypatch, (1.0,), cost=lambda rows, costs=costs: next(costs))
        candidate, _ = searched("dial", *dialled(), seconds=seconds)
        result[seconds] = (candidate.folds_scored, clock.now)
    assert result == {9.0: (2, 6.0), 11.0: (3, 10.0)}


def test_rows_that_were_given_up_for_nothing_come_back_after_the_first_fold(monkeypatch):
    """The machine was busy while it was measured: 1 ms a row then, a tenth of that later."""
    fits = []

    def cost(rows):
        fits.append(rows)
        return rows / (1000 if len(fits) <= 3 else 10_000)

    clocked(monkeypatch, cost=cost)
    typed, y, fold_ids, schema = dialled(30_000)
    candidate, oof = searched("dial", typed, y, fold_ids, schema, seconds=15.0)
    assert fits[:7] == [200, 500, 2000, 9000] + 3 * [16_000]
    assert (candidate.folds_scored, candidate.max_rows, candidate.given_up) == (3, None, "")
    assert np.isfinite(oof).sum() == 24_000


def test_no_fold_is_given_up_for_a_handful_of_a_rare_class(monkeypatch):
    clocked(monkeypatch)
    typed, y, fold_ids, schema = dialled()
    rare = np.where(np.cumsum(y) <= 100, y, 0).astype("int8")  # some 27 in each of three folds
    assert search_size.fold_choices(TrainingData(typed, rare, fold_ids, schema)) == [3, 2]
    candidate, _ = searched("dial", typed, rare, fold_ids, schema, seconds=0.0)
    assert candidate.folds_scored == 2


def test_a_search_that_gave_up_folds_continues_with_the_same(monkeypatch):
    clocked(monkeypatch)
    kept = []
    first = searched("dial", *dialled(), seconds=2.9, save=kept.append)
    again = searched("dial", *dialled(), seconds=2.9, saved=kept)
    assert again[0].folds_scored == 1
    assert timeless(replace(again[0], trials=again[0].trials[:1])) == timeless(first[0])


def test_folds_in_time_order_are_given_up_from_the_oldest(monkeypatch):
    clocked(monkeypatch)
    typed, y, _, schema = dialled()
    fold_ids = split_rows(y, 3, 0, times=np.arange(600.0))
    candidate, oof = searched("dial", typed, y, fold_ids, schema, seconds=0.0)
    assert set(fold_ids[np.isfinite(oof)]) == {2}
    assert candidate.folds_scored == 1


def test_the_spread_of_a_single_fold_is_delongs_standard_error(monkeypatch):
    clocked(monkeypatch)
    typed, y, fold_ids, schema = dialled()
    candidate, oof = searched("dial", typed, y, fold_ids, schema, seconds=0.0)
    rows = fold_ids == 0
    assert candidate.auc_std == pytest.approx(auc_interval(y[rows], oof[rows])["se"])


def test_under_a_budget_the_cheap_default_is_the_first(monkeypatch):
    typed, y, fold_ids, schema = prepared()
    timed, _ = searched("logistic_regression", typed, y, fold_ids, schema, seconds=0.0)
    assert timed.trials[0].params == {"encoding": LINEAR, "C": 0.1}
    styles = [d["encoding"] for d in search.cheap_first(ENTRIES["logistic_regression"]).defaults]
    assert styles == [LINEAR, CROSSED, LINEAR]
    counted, _ = searched("logistic_regression", typed, y, fold_ids, schema, trials=1)
    assert counted.trials[0].params == ALGORITHMS["logistic_regression"].text_defaults[0]


def test_the_plain_regression_is_that_trial_on_the_folds_that_are_asked_for():
    typed, y, fold_ids, schema = prepared()
    data = TrainingData(typed, y, fold_ids, schema)
    size = search_size.SearchSize((0, 2), None)
    plain, oof = search.plain_regression(data, FitOptions(), size)
    assert plain.params == {"encoding": LINEAR, "C": 0.1}
    assert (plain.folds_scored, plain.folds, len(plain.trials)) == (2, 3, 1)
    assert (np.isfinite(oof) == np.isin(fold_ids, (0, 2))).all()


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_a_trial_whose_rounds_the_clock_cut_does_not_count(name, monkeypatch):
    typed, y, fold_ids, schema = prepared()
    library = type(ALGORITHMS[name].boosted)
    real, limits = library.fit_rounds, []

    def slow(self, model, train, stop, seconds=np.inf):
        limits.append(seconds)
        return real(self, model, train, stop, np.inf if len(limits) <= 4 else 0.0)

    monkeypatch.setattr(library, "fit_rounds", slow)
    candidate, _ = searched(name, typed, y, fold_ids, schema, seconds=600.0)
    assert len(candidate.trials) == 1
    assert limits[:4] == [np.inf] * 4  # the libraries are loaded, then the first trial ends
    assert 0 < limits[4] < 600


def test_a_search_ends_after_enough_trials_or_when_a_rival_is_out_of_reach(monkeypatch):
    clocked(monkeypatch, cost=lambda rows: 0.0)
    monkeypatch.setitem(
        ALGORITHMS,
        "dial",
        replace(ALGORITHMS["dial"], defaults=ALGORITHMS["dial"].defaults[:2], enough_trials=7),
    )
    assert len(searched("dial", *dialled(), seconds=1e9)[0].trials) == 7
    best = searched("dial", *dialled(), trials=2)[0]
    error = best.auc_std / 3**0.5
    for reach, trials in ((1.9, 7), (2.1, 2)):
        rival = best.auc_mean + reach * error
        assert (
            len(searched("dial", *dialled(), seconds=1e9, rival=lambda r=rival: r)[0].trials)
            == trials
        )
    assert (
        len(searched("dial", *dialled(), trials=9, rival=lambda: 1.0)[0].trials) == 9
    )  # a counted search is reproducible


# --- extra rows ----------------------------------------------------------------------------------


MARK = -12345.0


def planter(count, seen):
    def extra(typed, y, fold):
        seen.append((fold, set(typed.index), y.tolist()))
        return typed.head(count).assign(amount=MARK), np.ones(count, dtype=y.dtype)

    return extra


def test_extra_rows_reach_training_parts_only():
    typed, y, fold_ids, schema = prepared()
    seen, data = [], TrainingData(typed, y, fold_ids, schema)
    plain, more = (
        encode_folds(data, NATIVE, FitOptions(sampler=sampler))
        for sampler in (None, planter(17, seen))
    )
    assert [number for number, _, _ in seen] == [0, 1, 2]
    for without, having, (_, given, given_y), (train, _) in zip(
        plain, more, seen, Split(fold_ids).folds(), strict=True
    ):
        assert given == set(train.tolist())
        assert given_y == y[train].tolist()
        assert len(having.train.x) == len(without.train.x) + 17 == len(having.train.y)
        assert ((having.train.x == MARK).any(axis=1)).sum() == 17
        assert having.train.y[(having.train.x == MARK).any(axis=1)].tolist() == [1] * 17
        assert not (having.valid.x == MARK).any()
        assert having.rows.tolist() == without.rows.tolist()
        assert having.valid.y.tolist() == without.valid.y.tolist()


def test_extra_rows_reach_the_final_fit_once(monkeypatch):
    fits, seen = [], []
    clocked(monkeypatch, cost=lambda rows: fits.append(rows) or 0.0)
    typed, y, _place, schema = dialled()
    candidate = candidate_of("dial", params={"skill": 1.0})

    def extra(rows, labels, fold):
        seen.append(fold)
        return rows.head(9), labels[:9]

    fit_final(candidate, typed, y, schema, FitOptions(sampler=extra))
    assert (fits, seen) == ([609], [-1])


# --- a sixth algorithm, and the rest -------------------------------------------------------------


def test_a_sixth_algorithm_is_one_entry(bayes):
    typed, y, fold_ids, schema = prepared()
    candidate, oof = searched(bayes, typed, y, fold_ids, schema, trials=3)
    assert candidate.algorithm == "naive_bayes"
    assert candidate.auc_mean > 0.6
    pipeline = fit_final(
        candidate,
        typed.iloc[Split(fold_ids).training_rows],
        y[Split(fold_ids).training_rows],
        schema,
    )
    assert isinstance(pipeline[-1], GaussianNB)
    assert pipeline[-1].var_smoothing == candidate.params["var_smoothing"]
    assert np.isfinite(oof[fold_ids >= 0]).all()


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_defaults_lie_in_the_space_and_every_drawn_value_too(name):
    entry = ENTRIES[name]
    drawn = [search.ask(entry, [], seed).params for seed in range(100, 103)]
    assert drawn[0] == dict(entry.defaults[0])
    free = [search.ask(replace(entry, defaults=()), [], seed).params for seed in range(30)]
    for params in (*entry.defaults, *free):
        assert set(params) == set(entry.space)
        for key, span in entry.space.items():
            assert (
                params[key] in span if isinstance(span, list) else span[0] <= params[key] <= span[1]
            ), (key, params[key])


def test_a_subsample_keeps_the_order_and_the_share_of_positives():
    y = np.tile([1, 0, 0, 0], 250)
    rows = subsample(np.arange(1000), y, 400, seed=0)
    assert (len(rows), y[rows].sum()) == (400, 100)
    assert (np.diff(rows) > 0).all()
    assert subsample(np.arange(1000), y, 1000, seed=0).tolist() == list(range(1000))


@pytest.mark.parametrize(
    ("positives", "most", "kept"),
    [(20, 200, 5), (3, 200, 3), (0, 200, 0), (980, 200, 195), (40, 200, 8)],
)
def test_a_subsample_keeps_some_rows_of_a_class_however_rare(positives, most, kept):
    y = np.r_[np.ones(positives, dtype="int8"), np.zeros(1000 - positives, dtype="int8")]
    rows = subsample(np.arange(1000), y, most, seed=0)
    assert (len(rows), len(set(rows.tolist())), y[rows].sum()) == (most, most, kept)
    assert (np.diff(rows) > 0).all()


@pytest.mark.parametrize("rows", [3, 100, 8001])
def test_a_subsample_may_leave_out_a_single_row(rows):
    """scikit-learn's stratified split refuses a remainder of one row."""
    y = np.tile([1, 0, 0], rows)[:rows]
    kept = subsample(np.arange(rows), y, rows - 1, seed=0)
    assert len(set(kept.tolist())) == rows - 1
    assert y[kept].sum() == y.sum()


def test_a_wide_table_of_few_rows_is_not_measured(monkeypatch):
    monkeypatch.setattr(search_size, "SMALL_CELLS", 0)
    monkeypatch.setattr(search_size, "encode_fold", None)
    typed, y, fold_ids, schema = prepared(rows=60)
    entry = replace(ALGORITHMS["adaboost"], max_rows=None)
    data = TrainingData(typed, y, fold_ids, schema)
    size = search_size.plan_size(entry, data, FitOptions(), 1e6)
    assert size == search_size.SearchSize((0, 1, 2), None)


def test_a_rare_class_does_not_end_the_search_of_what_is_measured_on_few_rows():
    """200 rows of 20,000 with 20 positives: a plain sample has no positive, and a fit raises."""
    rng = np.random.default_rng(0)
    y = np.r_[np.ones(20, dtype="int8"), np.zeros(19_980, dtype="int8")]
    typed, fold_ids = pd.DataFrame({"a": rng.normal(size=len(y)) + y}), split_rows(y, 5, 0)
    schema = infer_schema(typed.assign(y=y), Scope(target="y", positive="1"), ("0", "1"))
    _, oof = searched("logistic_regression", typed, y, fold_ids, schema, seconds=2.0)
    assert np.isfinite(oof[fold_ids >= 0]).all()


def test_what_a_first_trial_costs_is_measured_on_the_largest_fold_with_what_is_drawn_for_it(
    monkeypatch,
):
    """Folds in time order: the first has the fewest rows. 5,000 rows are drawn for each."""
    asked = []

    def fold(data, number, encoding, options, max_rows=None):
        asked.append((number, options.sampler, max_rows))
        return encode_fold(data, number, encoding, options, max_rows)

    monkeypatch.setattr(search_size, "encode_fold", fold)
    y = np.tile([0, 1], 3000).astype("int8")
    fold_ids = np.repeat([Assignment.ALWAYS_TRAIN, 0, 1, 2, 3, Assignment.HOLDOUT], 1000).astype(
        "int8"
    )
    typed = pd.DataFrame({"amount": np.random.default_rng(0).normal(size=6000)})
    schema = infer_schema(typed.assign(y=y), Scope(target="y", positive="1"), ("0", "1"))

    def extra(typed, y, fold):
        return typed.sample(5000, replace=True, random_state=0), np.tile([0, 1], 2500).astype(
            "int8"
        )

    entry = replace(ALGORITHMS["logistic_regression"], max_rows=None)
    data = TrainingData(typed, y, fold_ids, schema)
    everything = search_size.SearchSize((3, 2, 1, 0), None)
    assert search_size.plan_size(entry, data, FitOptions(), 1e6) == everything
    assert asked == [(3, None, 200)]  # 4,000 rows at most are not measured
    asked.clear()
    assert search_size.plan_size(entry, data, FitOptions(sampler=extra), 1e6) == everything
    assert asked == [(3, extra, n) for n in (200, 500, 2000)]  # 4,000 rows and 5,000 drawn
    asked.clear()
    wide = pd.DataFrame(
        np.random.default_rng(0).normal(size=(6000, 101)), columns=[f"c{i}" for i in range(101)]
    )
    schema = infer_schema(wide.assign(y=y), Scope(target="y", positive="1"), ("0", "1"))
    data = TrainingData(wide, y, fold_ids, schema)
    search_size.plan_size(ALGORITHMS["lightgbm"], data, FitOptions(), 1e6)
    assert [rows for _, _, rows in asked] == [200, 500, 2000]  # a wide table is


def test_no_more_rows_are_drawn_than_a_fit_may_have_real_ones():
    typed, y, seen = pd.DataFrame({"amount": np.arange(100.0)}), np.tile([0, 1], 50), []

    def extra(typed, y, fold):
        seen.append(len(y))
        return pd.DataFrame({"amount": np.full(60, MARK)}), np.tile([0, 1], 30)

    schema = Schema((Column("amount", "numeric"),), "y", "0", "1")
    data = TrainingData(typed, y, np.zeros(100, dtype="int8"), schema)
    for most, real, drawn in (
        (80, 80, 60),
        (40, 40, 40),
        (None, 100, 60),
    ):  # real rows are never crowded out
        rows, labels, _ = fitted_rows(data, np.arange(100), 0, FitOptions(sampler=extra), most)
        assert (seen.pop(), len(rows), len(labels), (rows["amount"] == MARK).sum()) == (
            real,
            real + drawn,
            real + drawn,
            drawn,
        )


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_boosted_models_get_the_median_of_the_folds_best_rounds(name, monkeypatch):
    asked = []
    library = type(ALGORITHMS[name].boosted)
    real = library.fit_rounds

    def spy(*args):
        asked.append(real(*args))
        return asked[-1]

    monkeypatch.setattr(library, "fit_rounds", spy)
    typed, y, fold_ids, schema = prepared()
    candidate, _ = searched(name, typed, y, fold_ids, schema, trials=1)
    assert len(asked) == 3
    assert len(set(asked)) > 1
    assert candidate.rounds == round(np.median(asked))
    models = fit_final(candidate, typed, y, schema)[-1].estimators_
    assert len(models) == ALGORITHMS[name].seeds
    final = models[-1]
    grown = final.n_estimators_ if name == "lightgbm" else final.get_booster().num_boosted_rounds()
    assert grown == candidate.rounds


def test_the_search_finds_what_the_table_holds():
    typed, y, fold_ids, schema = prepared(1200)
    candidate, oof = searched("logistic_regression", typed, y, fold_ids, schema, trials=2)
    assert candidate.auc_mean > 0.75
    shuffled = np.random.default_rng(0).permutation(y)
    null, _ = searched("logistic_regression", typed, shuffled, fold_ids, schema, trials=2)
    assert abs(null.auc_mean - 0.5) < 0.06  # nothing leaks: without a signal there is no score
    assert len(mixed(1200)) == len(oof)


@pytest.mark.parametrize("seed", [20_240_101, 2**31])
def test_large_seeds_work(seed):
    from fivefold.training.search import ask

    assert 0.001 <= ask(ALGORITHMS["logistic_regression"], [], seed).params["C"] <= 30
