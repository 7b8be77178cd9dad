"""How the seconds of a budget are shared, and where a model is fitted."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.parquet import from_parquet
from fivefold.core.scope import Scope
from fivefold.training import steps, time_budget
from fivefold.training.algorithms import ALGORITHMS, usable_device
from fivefold.training.intake import check_options, draw
from fivefold.training.time_budget import TimeBudget, refit_choice

# The figures below are those of these algorithms; one that is added later changes none of them.
ALL = ["logistic_regression", "adaboost", "random_forest", "lightgbm", "xgboost"]


@pytest.fixture(autouse=True)
def only_these_algorithms(monkeypatch):
    """Make a budget share its time among these algorithms only, in the order of the table."""
    entries = {name: entry for name, entry in ALGORITHMS.items() if name in ALL}
    monkeypatch.setattr(time_budget, "ALGORITHMS", entries)


def test_without_a_budget_nothing_is_bounded():
    budget = TimeBudget(math.inf, 5.0, 1000, 2)
    assert budget.algorithms() == ALL
    assert budget.for_search(5.0, ALL) == math.inf
    assert budget.for_final_fits(5.0) == math.inf


def kept(budget: TimeBudget, steps=time_budget.AFTER_SEARCH) -> float:
    """Return the seconds that are kept for the end of a run, without the final fits."""
    smoke = min(5.0, 0.08 * budget.seconds)
    return budget.expected(steps) + 0.04 * budget.seconds + smoke


def with_left(seconds: float, **options) -> TimeBudget:
    """Return a budget that has so many seconds for the searches after 10 s."""
    end = time_budget.AFTER_SEARCH[0] * options.get("slowness", 1.0)
    return TimeBudget((10 + end + seconds + 1e-6) / 0.88, 10.0, 0, 2, **options)


@pytest.mark.parametrize(
    ("seconds", "slowness", "expected"),
    [
        (300, 1, ALL),
        (15, 1, ALL),
        (10, 1, ["logistic_regression", "random_forest", "lightgbm", "xgboost"]),
        (9, 1, ["lightgbm", "xgboost"]),
        (1, 1, ["lightgbm", "xgboost"]),
        (-20, 1, ["lightgbm", "xgboost"]),
        (25, 2, ["logistic_regression", "random_forest", "lightgbm", "xgboost"]),
        (15, 3, ["lightgbm", "xgboost"]),
    ],
)
def test_a_small_budget_starts_the_searches_that_have_the_time(seconds, slowness, expected):
    """Each pair of searches needs 5 s, on a slow machine more."""
    assert with_left(seconds, slowness=slowness).algorithms() == expected


def test_with_many_rows_fewer_searches_are_started_and_more_time_is_kept_for_the_final_fits():
    assert TimeBudget(60, 10.0, 0, 2).algorithms() == ALL
    budget = TimeBudget(60, 20.0, 1_000_000, 2)
    assert budget.algorithms() == ["lightgbm", "xgboost"]
    assert kept(budget) == pytest.approx(8.5 + 5 + 2.4 + 4.8)
    assert budget.for_search(20, ["xgboost"]) == pytest.approx((40 - kept(budget)) * 0.6)


def test_the_speed_of_the_machine_is_measured_twice():
    assert time_budget.slowness(0.85, 0) == 1.0
    assert time_budget.slowness(4.1, 75_000) == pytest.approx(2.0)
    quick = TimeBudget(60, 10, 0, 2)
    assert quick.expected((4.0, 0.0)) == 4.0
    assert replace(quick, slowness=2.5).expected((4.0, 0.0)) == 10.0
    assert quick.after(0.5) == quick  # never quicker than it was
    assert quick.after(5 * time_budget.GAP[0]).slowness == pytest.approx(5)
    assert quick.after(3600) == quick  # the run was resumed
    busy = quick.after(3 * time_budget.GAP[0])
    least = time_budget.AFTER_SELECT[0]
    assert quick.for_final_fits(30) - busy.for_final_fits(30) == pytest.approx(2 * least)


def test_a_budget_bounds_the_rows_before_they_are_read_the_same_on_every_machine():
    frame = pd.DataFrame({"a": np.arange(1000), "y": [0, 1] * 500})
    assert draw(frame, None) == (frame, [])
    assert draw(frame, 1000)[1] == []
    drawn, actual = draw(frame, 300)
    assert actual[0].code == "rows-drawn"
    assert "1,000 rows" in actual[0].message
    assert "300 of them" in actual[0].message
    assert drawn["a"].is_monotonic_increasing
    assert len(drawn) == drawn["a"].nunique() == 300
    assert drawn.equals(draw(frame, 300)[0])


def test_the_last_searches_get_all_that_is_left_and_never_less_than_a_second():
    budget = TimeBudget(60, 10, 0, 2)
    left = (60 - 30 - kept(budget)) * 0.88
    assert budget.for_search(30, ["lightgbm", "xgboost"]) == pytest.approx(left)
    assert budget.for_search(30, ["xgboost"]) == pytest.approx(left)
    assert budget.for_search(90, ["xgboost"]) == 1.0
    assert budget.for_final_fits(90) == 0.0


@pytest.mark.parametrize(("columns", "started"), [(0, 5), (100, 5), (250, 4), (600, 2), (5000, 2)])
def test_wide_tables_start_fewer_searches(columns, started):
    """31.6 s for the searches: six waves of two of 5 s each, two of 12.5, one of 30."""
    assert len(with_left(31.6).algorithms(columns)) == started


def test_a_second_fit_of_what_is_served_has_its_time_kept():
    once, auto, yes = (TimeBudget(62, 10, 0, 2, refit) for refit in ("no", "auto", "yes"))
    second = time_budget.SECOND_BUNDLE[0]  # a second model is written
    left = 62 - 30 - kept(once)
    assert once.for_search(30, ["xgboost"]) == pytest.approx(left * 0.88)
    assert auto.for_search(30, ["xgboost"]) == pytest.approx((left - second) * (1 - 2.25 * 0.12))
    end = kept(once, time_budget.AFTER_SELECT)
    assert once.for_final_fits(30) == pytest.approx(62 - 30 - end)
    assert auto.for_final_fits(30) == pytest.approx(62 - 30 - end - second)
    assert yes.for_search(30, ["xgboost"]) == auto.for_search(30, ["xgboost"])
    once, auto, yes = (with_left(19, refit=refit) for refit in ("no", "auto", "yes"))
    plain = once.for_search(11, ["xgboost"])  # too little for all searches to keep some for that
    assert auto.for_search(11, ["xgboost"]) == plain
    assert yes.for_search(11, ["xgboost"]) < plain
    once, auto = (with_left(21, refit=refit) for refit in ("no", "auto"))
    assert auto.for_search(11, ["xgboost"]) < once.for_search(11, ["xgboost"])
    many = 100_000
    assert refit_choice("auto", 600, many) == "no"
    once, yes = (TimeBudget(600, 10, many, 2, refit) for refit in ("no", "yes"))
    assert yes.for_search(30, ["xgboost"]) < once.for_search(30, ["xgboost"])


def test_earlier_searches_get_their_share_less_the_time_of_a_new_process():
    shares = {name: ALGORITHMS[name].time_share for name in ALL}
    total = sum(shares.values())
    budget, start = TimeBudget(600, 10, 0, 2), time_budget.START[0]
    left = 600 - 10 - kept(budget) - 6  # the final fits need no more
    assert budget.for_search(10, ALL) == pytest.approx(
        2 * left * shares["logistic_regression"] / total - start
    )
    assert replace(budget, workers=1).for_search(10, ["lightgbm", "xgboost"]) == pytest.approx(
        left * 0.32 / 0.63 - start
    )


def test_every_entry_of_the_table_has_a_share_and_boosted_ones_come_last():
    """The last searches get all the time that is left: those with short trials use it up."""
    assert all(entry.time_share > 0 for entry in ALGORITHMS.values())
    boosted = [entry.boosted is not None for entry in ALGORITHMS.values()]
    assert boosted == sorted(boosted)


def test_the_final_fits_of_more_rows_may_have_more_seconds():
    small, large = (TimeBudget(600, 10, rows, 2) for rows in (100_000, 10_000_000))
    assert small.for_search(10, ["xgboost"]) == pytest.approx(600 - 10 - kept(small) - 15 - 6)
    assert large.for_search(10, ["xgboost"]) == pytest.approx(0.6 * (600 - 10 - kept(large)))


def test_a_processor_is_always_there_and_an_accelerator_is_looked_up():
    assert usable_device("cpu", "xgboost") == ("cpu", "")
    assert usable_device("cuda", "random_forest") == (
        "cpu",
        "",
    )  # it knows no accelerator: nothing to say


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_without_an_accelerator_the_processor_is_used_and_that_is_reported(name):
    device, result = usable_device("cuda", name)
    if device == "cuda":
        pytest.skip("this machine has an accelerator")
    assert device == "cpu"
    assert ALGORITHMS[name].title in result
    assert "--device cuda was asked for, but" in result


def test_models_are_moved_to_the_device_and_back_for_serving():
    xgboost, lightgbm = ALGORITHMS["xgboost"], ALGORITHMS["lightgbm"]
    placed = xgboost.boosted.use_device(xgboost.build(xgboost.defaults[0], 0, 1, "qq"), "cuda")
    assert placed.get_params()["device"] == "cuda"
    assert xgboost.boosted.use_processor(placed).get_params()["device"] == "cpu"
    placed = lightgbm.boosted.use_device(lightgbm.build(lightgbm.defaults[0], 0, 1, "qq"), "cuda")
    assert placed.get_params()["device_type"] == "cuda"
    assert ALGORITHMS["adaboost"].boosted is None
    untouched = xgboost.build(xgboost.defaults[0], 0, 1, "qq")
    assert xgboost.boosted.use_device(untouched, "cpu").get_params()["device"] is None
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    fitted = untouched.set_params(n_estimators=1).fit(x, y)
    assert xgboost.boosted.use_processor(fitted).get_params()["device"] is None


def test_options_that_are_no_choice_are_all_named():
    with pytest.raises(
        Refused,
        match=r"--serve(.|\n)*auto or single or blend(.|\n)*--refit(.|\n)*auto or yes or no"
        r"(.|\n)*--device(.|\n)*cpu or cuda",
    ):
        check_options({"trials": 1, "serve": "both", "refit": "maybe", "device": "tpu"})


def test_a_run_with_a_budget_says_what_it_drew_and_one_without_takes_all(monkeypatch, tmp_path):
    monkeypatch.setattr(time_budget, "FEWEST_ROWS", 40)
    monkeypatch.setattr(time_budget, "ROWS_A_SECOND", 0)
    pd.DataFrame({"a": np.arange(100), "y": [0, 1] * 50}).to_csv(tmp_path / "t.csv", index=False)
    scope = Scope(data=str(tmp_path / "t.csv"), target="y")
    result = steps.collect(scope, tmp_path, "", 60, False)
    assert len(from_parquet(result.table)) == 40
    assert result.source["rows"] == 100
    assert [f["code"] for f in result.findings if f["severity"] == "warning"] == ["rows-drawn"]
    result = steps.collect(scope, tmp_path, "", 0, False)
    assert len(from_parquet(result.table)) == 100
    assert "rows-drawn" not in {f["code"] for f in result.findings}
