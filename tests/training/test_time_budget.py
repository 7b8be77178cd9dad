"""How the seconds of a budget are shared, and where a model is fitted."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.parquet import from_parquet
from fivefold.core.scope import Scope
from fivefold.training import steps, time_budget
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.device import place, release, usable
from fivefold.training.intake import check_options, draw

ARMS = list(ALGORITHMS)


def test_without_a_budget_nothing_is_bounded():
    assert time_budget.arms(0, 10.0, 2, 1000) == ARMS
    assert time_budget.seconds_left(0, 5.0, 5.0, ARMS, 2, 1000) is None
    assert time_budget.seconds_for_fits(0, 5.0, 5.0, 1000) is None


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (600, ARMS),
        (60, ARMS),
        (41, ["logistic_regression", "random_forest", "lightgbm", "xgboost"]),
        (30, ["lightgbm", "xgboost"]),
        (20, ["lightgbm", "xgboost"]),
        (1, ["lightgbm", "xgboost"]),
    ],
)
def test_a_small_budget_starts_the_arms_that_have_the_time(seconds, expected):
    assert (
        time_budget.arms(seconds, 10.0, 2, 0) == expected
    )  # 10 s gone, 20.8 s kept for the end, 5 s an arm


def test_with_many_rows_fewer_arms_are_started_and_more_time_is_kept_for_the_final_fits():
    assert time_budget.arms(60, 10.0, 2, 0) == ARMS
    assert time_budget.arms(60, 20.0, 2, 1_000_000) == ["lightgbm", "xgboost"]
    kept = time_budget.after(time_budget.AFTER_ARMS, 20.0, 1_000_000)
    assert kept == pytest.approx(20 * 18.5 / 22.5)
    assert time_budget.seconds_left(60, 20, 20, ["xgboost"], 2, 1_000_000) == pytest.approx(
        (40 - kept) * 0.6
    )


def test_a_budget_bounds_the_rows_before_they_are_read_the_same_on_every_machine():
    frame = pd.DataFrame({"a": np.arange(1000), "y": [0, 1] * 500})
    assert draw(frame, None) == (frame, [])
    assert draw(frame, 1000)[1] == []
    drawn, found = draw(frame, 300)
    assert found[0].code == "rows-drawn"
    assert "1,000 rows" in found[0].message
    assert "300 of them" in found[0].message
    assert drawn["a"].is_monotonic_increasing
    assert len(drawn) == drawn["a"].nunique() == 300
    assert drawn.equals(draw(frame, 300)[0])


def test_the_last_arms_get_all_that_is_left_and_never_less_than_a_second():
    left = (60 - 30 - 10 * 13.5 / 6.5) * 0.88
    assert time_budget.seconds_left(60, 30, 10, ["lightgbm", "xgboost"], 2, 0) == pytest.approx(
        left
    )
    assert time_budget.seconds_left(60, 30, 10, ["xgboost"], 2, 0) == pytest.approx(left)
    assert time_budget.seconds_left(60, 90, 10, ["xgboost"], 2, 0) == 1.0
    assert time_budget.seconds_for_fits(60, 90, 10, 0) == 0.0


@pytest.mark.parametrize(("columns", "started"), [(0, 5), (100, 5), (250, 4), (600, 2), (5000, 2)])
def test_wide_tables_start_fewer_arms(columns, started):
    """31.6 s for the arms: six waves of two of 5 s each, two of 12.5, one of 30."""
    assert len(time_budget.arms(60, 8.0, 2, 0, columns)) == started


def test_a_second_fit_of_what_is_served_has_its_time_kept():
    left = 62 - 30 - 10 * 13.5 / 6.5
    again = left - 10 * 2.0 / 6.5  # a second model is written
    assert time_budget.seconds_left(62, 30, 10, ["xgboost"], 2, 0, "auto") == pytest.approx(
        again * (1 - 2.25 * 0.12)
    )
    assert time_budget.seconds_for_fits(62, 30, 10, 0, "auto") == pytest.approx(
        62 - 30 - 10 * 13 / 6.5
    )
    assert time_budget.seconds_left(62, 30, 10, ["xgboost"], 2, 0, "no") == pytest.approx(
        left * 0.88
    )
    plain = time_budget.seconds_left(
        41, 11, 10, ["xgboost"], 2, 0
    )  # too little for all arms to keep some for that
    assert time_budget.seconds_left(41, 11, 10, ["xgboost"], 2, 0, "auto") == plain
    assert time_budget.seconds_left(41, 11, 10, ["xgboost"], 2, 0, "yes") < plain
    assert time_budget.seconds_left(
        63, 11, 10, ["xgboost"], 2, 0, "auto"
    ) < time_budget.seconds_left(63, 11, 10, ["xgboost"], 2, 0)
    many = 100_000
    assert time_budget.refit("auto", 600, many) == "no"
    assert time_budget.seconds_left(
        600, 30, 10, ["xgboost"], 2, many, "yes"
    ) < time_budget.seconds_left(600, 30, 10, ["xgboost"], 2, many)


def test_earlier_arms_get_their_share_less_the_time_of_a_new_process():
    shares = {name: ALGORITHMS[name].share for name in ARMS}
    assert sum(shares.values()) == pytest.approx(1.0)
    left = 600 - 10 - 10 * 13.5 / 6.5 - 10 * 6 / 6.5  # the final fits need no more
    assert time_budget.seconds_left(600, 10, 10, ARMS, 2, 0) == pytest.approx(
        2 * left * shares["logistic_regression"] - 3
    )
    assert time_budget.seconds_left(600, 10, 10, ["lightgbm", "xgboost"], 1, 0) == pytest.approx(
        left * 0.32 / 0.63 - 3
    )


def test_the_final_fits_of_more_rows_may_have_more_seconds():
    def arms(rows):
        return time_budget.seconds_left(600, 10, 6.5 + 16e-6 * rows, ["xgboost"], 2, rows)

    assert arms(100_000) == pytest.approx(600 - 10 - 13.5 - 0.5 - 15 - 6)
    assert arms(10_000_000) == pytest.approx(0.6 * (600 - 10 - 13.5 - 50))


def test_a_processor_is_always_there_and_an_accelerator_is_asked():
    assert usable("cpu", "xgboost") == ("cpu", "")
    assert usable("cuda", "random_forest") == ("cpu", "")  # it knows no accelerator: nothing to say


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_without_an_accelerator_the_processor_is_used_and_said_so(name):
    device, told = usable("cuda", name)
    if device == "cuda":
        pytest.skip("this machine has an accelerator")
    assert device == "cpu"
    assert ALGORITHMS[name].title in told
    assert "--device cuda was asked for, but" in told


def test_models_are_placed_on_the_device_and_released_for_serving():
    params = {n: dict(ALGORITHMS[n].defaults[0]) for n in ("xgboost", "lightgbm", "adaboost")}
    made = {n: ALGORITHMS[n].build(p, 0, 1, "qq") for n, p in params.items()}
    assert place(made["xgboost"], "cuda").get_params()["device"] == "cuda"
    assert release(made["xgboost"]).get_params()["device"] == "cpu"
    assert place(made["lightgbm"], "cuda").get_params()["device_type"] == "cuda"
    assert place(made["adaboost"], "cuda") is made["adaboost"]
    untouched = ALGORITHMS["xgboost"].build(params["xgboost"], 0, 1, "qq")
    assert place(untouched, "cpu").get_params()["device"] is None
    x, y = np.arange(20.0).reshape(10, 2), np.arange(10) % 2
    assert release(untouched.set_params(n_estimators=1).fit(x, y)).get_params()["device"] is None


def test_options_that_are_no_choice_are_all_named():
    with pytest.raises(
        Refused,
        match=r"--serve(.|\n)*auto or single or blend(.|\n)*--refit(.|\n)*auto or yes or no"
        r"(.|\n)*--device(.|\n)*cpu or cuda",
    ):
        check_options({"trials": 1, "serve": "both", "refit": "maybe", "device": "tpu"})


def test_the_final_fits_get_what_the_last_steps_leave():
    assert time_budget.seconds_for_fits(60, 40, 10, 0) == pytest.approx(60 - 40 - 10 * 11 / 6.5)


def test_a_run_with_a_budget_says_what_it_drew_and_one_without_takes_all(monkeypatch, tmp_path):
    monkeypatch.setattr(time_budget, "FEWEST_ROWS", 40)
    monkeypatch.setattr(time_budget, "ROWS_A_SECOND", 0)
    pd.DataFrame({"a": np.arange(100), "y": [0, 1] * 50}).to_csv(tmp_path / "t.csv", index=False)
    scope = Scope(data=str(tmp_path / "t.csv"), target="y")
    _, table, facts, found = steps.collect(scope, tmp_path, "", 60)
    assert len(from_parquet(table)) == 40
    assert facts["rows"] == 100
    assert [f["code"] for f in found if f["severity"] == "warning"] == ["rows-drawn"]
    _, table, _, found = steps.collect(scope, tmp_path, "")
    assert len(from_parquet(table)) == 100
    assert "rows-drawn" not in {f["code"] for f in found}
