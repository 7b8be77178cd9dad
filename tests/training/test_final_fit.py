"""The final fit: seeds averaged, candidates blended, and no more than the time allows."""

import math
from dataclasses import replace

import numpy as np
import pytest
import skops.io

from fivefold.data.splits import Split
from fivefold.model.fast_predict import fast_predictor
from fivefold.model.inputs import expand, expand_columns
from fivefold.model.trusted import TRUSTED
from fivefold.training import final_fit
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.boosting import OutOfTime
from fivefold.training.candidate import Setting
from fivefold.training.encoding import ONE_HOT
from fivefold.training.final_fit import StoppingRows, average
from fivefold.training.fit_plan import (
    FitPlan,
    Resources,
    plan_fits,
    rows_affordable,
    seconds_of,
)
from fivefold.training.training_data import FitOptions
from tests.support.tables import prepared
from tests.support.training import candidate, fit_final, trial


def training():
    typed, y, fold_ids, schema = prepared()
    rows = Split(fold_ids).training_rows
    return typed.iloc[rows], y[rows], schema


def test_several_seeds_are_the_mean_of_fits_that_differ_in_their_seed():
    typed, y, schema = training()
    served = expand(typed, schema)
    averaged = fit_final(
        candidate("lightgbm"), typed, y, schema, FitOptions(seed=5), seeds=3
    ).predict_proba(served)[:, 1]
    alone = [fit_final(candidate("lightgbm"), typed, y, schema, FitOptions(seed=5), seeds=1)]
    assert not hasattr(alone[0][-1], "estimators_")
    members = fit_final(candidate("lightgbm"), typed, y, schema, FitOptions(seed=5), seeds=3)[
        -1
    ].estimators_
    assert [m.random_state for m in members] == [5, 6, 7]
    encoded = alone[0][0].transform(served)
    np.testing.assert_allclose(
        averaged, np.mean([m.predict_proba(encoded)[:, 1] for m in members], axis=0)
    )
    assert np.ptp([m.predict_proba(encoded)[0, 1] for m in members]) > 0


def three(name="lightgbm"):
    """A candidate of three settings, in two encodings."""
    base = dict(ALGORITHMS[name].defaults[0])
    varied = [
        base,
        {**base, "encoding": ONE_HOT, "learning_rate": 0.1},
        {**base, "learning_rate": 0.15},
    ]
    settings = [Setting(n, params, 20 + n) for n, params in enumerate(varied)]
    return candidate(name, settings=settings)


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
def test_a_final_fit_goes_through_the_settings_in_turn_each_with_a_seed_of_its_own(seeds):
    typed, y, schema = training()
    served, actual = expand(typed, schema), three()

    def alone(number):
        """The last of `number` + 1 seeds of one setting."""
        one = replace(actual, settings=[actual.settings[number % 3]])
        fitted = fit_final(one, typed, y, schema, seeds=number + 1)
        last = fitted[-1].estimators_[-1] if number else fitted[-1]
        return last.predict_proba(fitted[0].transform(served))[:, 1]

    model = fit_final(actual, typed, y, schema, seeds=seeds)
    expected = np.mean([alone(number) for number in range(seeds)], axis=0)
    np.testing.assert_allclose(model.predict_proba(served)[:, 1], expected)
    columns = expand_columns({name: typed[name].array for name in typed}, schema)
    np.testing.assert_allclose(fast_predictor(model)(columns), expected, rtol=1e-6)


def test_the_description_of_a_final_fit_names_each_setting_once_with_its_weight():
    actual = replace(three(), max_rows=100)
    result = actual.members(0.6, 1000, 3)
    assert [(m.params, m.rounds, m.rows_fitted) for m in result] == [
        (s.params, s.rounds, 100) for s in actual.settings
    ]
    assert [m.weight for m in result] == pytest.approx([0.2, 0.2, 0.2])
    assert [m.weight for m in actual.members(0.6, 1000, 4)] == pytest.approx([0.3, 0.15, 0.15])
    assert [m.rounds for m in actual.members(1.0, 1000, 1)] == [20]
    assert (
        len(candidate("lightgbm").members(1.0, 1000, 3)) == 1
    )  # of an older run: three seeds of one setting


def test_threads_do_not_change_an_average_of_seeds():
    typed, y, schema = training()
    served = expand(typed, schema)
    one, two = (
        fit_final(
            candidate("xgboost"), typed, y, schema, FitOptions(threads=t), seeds=4
        ).predict_proba(served)
        for t in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_a_blend_is_the_weighted_mean_of_its_members_and_survives_the_file():
    typed, y, schema = training()
    served = expand(typed, schema)
    two = [
        fit_final(candidate(name), typed, y, schema, seeds=2)
        for name in ("lightgbm", "logistic_regression")
    ]
    blend = average(two, [0.75, 0.25])
    boosted, linear = (model.predict_proba(served)[:, 1] for model in two)
    expected = 0.75 * boosted + 0.25 * linear
    np.testing.assert_allclose(blend.predict_proba(served)[:, 1], expected)
    again = skops.io.loads(skops.io.dumps(blend), trusted=list(TRUSTED))
    np.testing.assert_allclose(again.predict_proba(served)[:, 1], expected)
    assert again.predict(served).tolist() == (expected > 0.5).astype(int).tolist()


def test_the_average_takes_probabilities_by_weight():
    class Fixed:
        def __init__(self, p):
            self.p = p

        def predict_proba(self, x):
            return np.tile([1 - self.p, self.p], (len(x), 1))

    assert average([Fixed(0.2), Fixed(0.8)], [3, 1]).predict_proba(np.zeros((2, 1)))[
        :, 1
    ] == pytest.approx([0.35, 0.35])


@pytest.mark.parametrize(
    ("rows", "seeds"), [(10, 3), (50_000, 3), (100_000, 2), (200_000, 1), (10**7, 1)]
)
def test_large_tables_are_have_fewer_seeds(rows, seeds):
    assert ALGORITHMS["xgboost"].seeds_of(rows) == seeds
    assert ALGORITHMS["logistic_regression"].seeds_of(rows) == 1


def test_the_time_of_a_final_fit_is_estimated_from_the_best_trial():
    assert seconds_of(candidate("xgboost", seconds=8.0), Resources(800), seeds=1) == pytest.approx(
        1.2 * 8 / 4
    )
    assert seconds_of(
        candidate("xgboost", seconds=8.0), Resources(800, threads=2)
    ) == pytest.approx(2 * 1.2 * 8 / 4)


def test_the_time_of_several_settings_is_their_own():
    actual = three()
    trials = [trial(n, seconds=seconds) for n, seconds in enumerate((8.0, 2.0, 5.0))]
    actual = replace(actual, trials=trials)
    assert seconds_of(actual, Resources(800), seeds=1) == pytest.approx(1.2 * 8 / 4)
    assert seconds_of(actual, Resources(800)) == pytest.approx(1.2 * 15 / 4)


def test_what_cannot_be_fitted_in_time_is_left_out():
    candidates = [
        candidate("xgboost", seconds=8.0),
        candidate("lightgbm", seconds=8.0),
        candidate("adaboost", seconds=8.0),
    ]
    weights = {"xgboost": 0.5, "adaboost": 0.5}
    plans = {
        seconds: plan_fits(candidates, weights, Resources(800, seconds))
        for seconds in (100.0, 9.7, 9.5, 4.9, 4.7, 2.5, 0.0)
    }
    result = {seconds: (plan.served, plan.seeds) for seconds, plan in plans.items()}
    assert result == {
        100.0: ("blend", None),
        9.7: ("blend", None),
        9.5: ("blend", 1),
        4.9: ("blend", 1),
        4.7: ("single", 1),
        2.5: ("single", 1),
        0.0: ("single", 1),
    }


def test_a_final_fit_takes_more_rows_than_the_search_could_afford():
    few = {"max_rows": 2000, "rows_fit": 2000}
    arm = candidate("xgboost", seconds=10.0, **few)  # a millisecond a row
    assert rows_affordable(arm, 100_000, 40.0) == 20_000
    assert rows_affordable(arm, 15_000, 40.0) is None  # all of them
    assert rows_affordable(arm, 100_000, 1.0) == 2000
    assert rows_affordable(replace(arm, max_rows=None), 100_000, 1.0) is None
    ada = candidate("adaboost", seconds=10.0, **few)
    assert rows_affordable(ada, 100_000, 1e6) == ALGORITHMS["adaboost"].max_rows
    most = ALGORITHMS["adaboost"].max_rows
    assert rows_affordable(replace(ada, max_rows=most), 100_000, 1e6) == most


def test_a_member_that_cannot_use_the_accelerator_is_fitted_on_the_processor(monkeypatch):
    """XGBoost may be fitted on an accelerator beside a LightGBM whose build has none."""
    placed = []
    monkeypatch.setattr(
        final_fit,
        "usable_device",
        lambda asked, name: (asked, "") if name == "xgboost" else ("cpu", "no"),
    )

    def use_device(self, model, device):
        placed.append((type(model).__name__, device))
        return model

    for name in ("lightgbm", "xgboost"):
        monkeypatch.setattr(type(ALGORITHMS[name].boosted), "use_device", use_device)
    typed, y, schema = training()
    for name in ("lightgbm", "xgboost"):
        fit_final(candidate(name), typed, y, schema, FitOptions(device="cuda"), seeds=1)
    assert placed == [("LGBMClassifier", "cpu"), ("XGBClassifier", "cuda")]


# --- early-stopped fits: the search saw a small part of the rows ---------------------------------


def test_where_the_search_saw_most_rows_its_rounds_and_seeds_stand():
    result = plan_fits(
        [candidate("xgboost"), candidate("lightgbm")],
        {"xgboost": 0.5, "lightgbm": 0.5},
        Resources(1000),
    )
    assert FitPlan.from_dict(result.to_dict()) == result
    assert result.to_dict() == {
        "served": "blend",
        "bag": None,
        "grown": False,
        "seconds": None,
        "refit": False,
        "rows": {"xgboost": None, "lightgbm": None},
    }


def test_where_it_saw_few_the_boosted_models_stop_early_and_the_others_keep_their_bound():
    board = [candidate("lightgbm"), candidate("adaboost")]
    result = plan_fits(board, {"lightgbm": 0.5, "adaboost": 0.5}, Resources(1_000_000))
    assert result.to_dict() == {
        "served": "blend",
        "bag": 1,
        "grown": True,
        "seconds": None,
        "refit": False,
        "rows": {"lightgbm": 1_000_000, "adaboost": ALGORITHMS["adaboost"].max_rows},
    }
    assert plan_fits(board, {}, Resources(10**8)).rows == {"lightgbm": 2_000_000}
    forest = plan_fits([candidate("random_forest")], {}, Resources(10**6))
    assert not forest.early_stopped  # it has no rounds to find


def test_a_winner_without_rounds_that_replaces_a_blend_leaves_no_rows_out():
    forest = candidate("random_forest", seconds=0.1)
    slow = candidate("lightgbm", seconds=100.0)
    result = plan_fits(
        [forest, slow], {"random_forest": 0.5, "lightgbm": 0.5}, Resources(10_000, 5.0)
    )
    assert (result.served, result.early_stopped, list(result.rows)) == (
        "single",
        False,
        ["random_forest"],
    )


def test_a_budget_takes_rows_from_an_early_stopped_fit_and_gives_up_the_blend_for_them():
    board = [
        candidate("lightgbm", seconds=0.1),
        candidate("xgboost", seconds=1.0),
    ]  # 31 and 310 microseconds a row
    weights = {"lightgbm": 0.5, "xgboost": 0.5}
    rich, poor = (
        plan_fits(board, weights, Resources(1_000_000, seconds)) for seconds in (10_000.0, 40.0)
    )
    assert (rich.served, rich.rows["xgboost"]) == ("blend", 1_000_000)
    assert sum(rich.seconds.values()) == pytest.approx(10_000)
    assert poor.served == "single"
    assert poor.seconds == {"lightgbm": 40.0}
    assert 500_000 < poor.rows["lightgbm"] < 1_000_000
    least = plan_fits(board, {}, Resources(1_000_000, 0.0))  # the fits have 2 s in any case
    assert 20_000 < least.rows["lightgbm"] < 40_000
    cost = (1.15 * 0.1 / 5 / 640 + 8e-6) * least.rows["lightgbm"]
    assert cost <= 0.8 * 2.0
    assert least.seconds == {"lightgbm": pytest.approx(1.5 * cost)}


def test_an_early_stopped_fit_that_could_have_no_more_rows_takes_the_rounds_of_the_search():
    slow = candidate("lightgbm", seconds=20.0, max_rows=640)  # 4 s a fit of 640 rows
    result = plan_fits([slow], {}, Resources(1_000_000, 3.0))
    assert not result.early_stopped
    assert result.seconds is None
    assert result.rows == {"lightgbm": 640}


def test_an_early_stopped_fit_has_half_as_long_again_as_planned_before_it_is_given_up():
    board = [candidate("lightgbm", seconds=0.1, rows_fit=640)]
    result = plan_fits(board, {}, Resources(10_000, 0.45))
    cost = 1.15 * 10_000 * 0.1 / 5 / 640 + 8e-6 * 10_000
    assert result.seconds == {"lightgbm": pytest.approx(2.0)}  # all there is, more than 1.5 times
    assert 1.5 * cost < 2.0
    tight = plan_fits(board, {}, Resources(58_000, 2.5))
    cost = 1.15 * tight.rows["lightgbm"] * 0.1 / 5 / 640 + 8e-6 * tight.rows["lightgbm"]
    assert tight.seconds == {"lightgbm": pytest.approx(max(2.5, 1.5 * cost))}


def test_the_blend_of_a_small_table_is_planned_however_little_time_is_left():
    board = [candidate(name, seconds=1.0, rows_fit=480) for name in ("xgboost", "adaboost")]
    weights = {"xgboost": 0.5, "adaboost": 0.5}
    result = plan_fits(board, weights, Resources(600, 0.0))  # .3 s a fit, four of them
    assert (result.served, result.seeds) == ("blend", None)
    assert sum(seconds_of(c, Resources(600)) for c in board) == pytest.approx(1.2)


def test_a_slow_machine_still_fits_the_winner_on_all_rows_with_the_rounds_of_the_search():
    """10,000 rows, 4 s a fit of 6,400 (eight times the usual), one fold, almost no time left."""
    slow = candidate("lightgbm", folds=1, rows_fit=6400)
    plain = candidate("logistic_regression", seconds=0.8, folds=1, rows_fit=6400)
    weights = {"lightgbm": 0.5, "logistic_regression": 0.5}
    for refit in ("no", "auto"):
        result = plan_fits([slow, plain], weights, Resources(8000, 1.0), refit)
        assert (result.served, result.seeds, result.early_stopped) == ("single", 1, False)
        assert (result.rows, result.refit) == ({"lightgbm": None}, False)


def test_folds_that_a_search_gave_up_do_not_change_the_estimate_of_a_fit():
    few, all_folds = (
        candidate("xgboost", seconds=1.6 * folds, folds=folds, rows_fit=640) for folds in (1, 5)
    )
    for seeds in (1, 3):
        costs = [seconds_of(c, Resources(800), seeds) for c in (few, all_folds)]
        assert costs == pytest.approx([1.2 * 1.6 * 800 / 640] * 2 if seeds == 1 else [costs[0]] * 2)


def test_what_is_served_is_fitted_once_more_where_the_time_allows_both_fits_and_all_rows():
    board = [
        candidate("xgboost"),
        candidate("adaboost", seconds=1.875, max_rows=300, rows_fit=300),
    ]  # a fit takes 1.2 s, three of them 3.6
    weights = {"xgboost": 0.5, "adaboost": 0.5}

    def told(seconds, refit="auto", some=board, rows=800):
        actual = plan_fits(some, weights, Resources(rows, seconds), refit)
        return actual.served, actual.seeds, actual.refit

    assert told(12.0) == ("blend", None, True)  # 2.25 times 4.8
    assert told(10.0) == ("blend", 1, True)
    assert told(3.0) == ("single", 1, True)
    assert told(2.6) == (
        "blend",
        1,
        False,
    )  # not even two fits of the winner: then all of the time for one
    assert told(12.0, "no") == ("blend", None, False)
    assert told(0.0, "yes") == ("single", 1, True)  # a person wants it
    assert told(math.inf, "yes") == ("blend", None, True)
    assert not told(12.0, rows=100_000)[2]  # stopped
    assert told(math.inf, "yes", rows=100_000)[2]
    # 3 of the 6 s of each, at 1.25 ms a row
    rows = plan_fits(board, weights, Resources(800, 12.0)).rows
    assert rows == {"xgboost": None, "adaboost": 2400}
    fewer = [candidate("xgboost", max_rows=300, rows_fit=300)]
    assert not plan_fits(
        fewer, {}, Resources(640, 3.0), "auto"
    ).refit  # it has not the time for all training rows


@pytest.mark.parametrize("name", ["lightgbm", "xgboost"])
def test_an_early_stopped_model_stops_by_rows_that_it_does_not_learn_from(name):
    typed, y, schema = training()
    half = len(y) // 2
    stop = StoppingRows(expand(typed.iloc[half:], schema), y[half:])
    options = FitOptions(threads=2)
    stopped = fit_final(candidate(name), typed.iloc[:half], y[:half], schema, options, stop=stop)
    assert 1 <= stopped[-1].n_estimators < 400
    again = skops.io.loads(skops.io.dumps(stopped), trusted=list(TRUSTED))
    served = expand(typed, schema)
    np.testing.assert_array_equal(again.predict_proba(served), stopped.predict_proba(served))
    plain = fit_final(
        candidate(name, rounds=stopped[-1].n_estimators),
        typed.iloc[:half],
        y[:half],
        schema,
        seeds=1,
    )
    np.testing.assert_allclose(
        plain.predict_proba(served), stopped.predict_proba(served), atol=1e-6
    )
    with pytest.raises(OutOfTime, match="the time was up after 1 round") as raised:
        fit_final(
            candidate(name), typed.iloc[:half], y[:half], schema, stop=replace(stop, seconds=0.0)
        )
    assert raised.value.rounds == 1
