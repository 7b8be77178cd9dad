"""How the seconds of a budget are shared, and where a model is fitted."""

import numpy as np
import pytest

from lib import budget
from lib.algorithms import ALGORITHMS
from lib.device import place, release, usable
from lib.findings import Refused
from lib.intake import check_options

ARMS = list(ALGORITHMS)


def test_without_a_budget_nothing_is_bounded():
    assert budget.arms(0, 10.0, 2) == ARMS
    assert budget.seconds_left(0, 5.0, 5.0, ARMS, 2) is None
    assert budget.seconds_for_fits(0, 5.0, 5.0) is None


@pytest.mark.parametrize(("seconds", "expected"), [
    (600, ARMS), (60, ARMS), (38, ["logistic_regression", "random_forest", "lightgbm", "xgboost"]), (30, ["lightgbm", "xgboost"]),
    (20, ["lightgbm", "xgboost"]), (1, ["lightgbm", "xgboost"])])
def test_a_small_budget_starts_the_arms_that_have_the_time(seconds, expected):
    assert budget.arms(seconds, 10.0, 2) == expected  # 10 s gone, 17 s kept for the end, 5 s an arm


def test_the_last_arms_get_all_that_is_left_and_never_less_than_a_second():
    left = (60 - 30 - 1.7 * 10) * 0.85
    assert budget.seconds_left(60, 30, 10, ["lightgbm", "xgboost"], 2) == pytest.approx(left)
    assert budget.seconds_left(60, 30, 10, ["xgboost"], 2) == pytest.approx(left)
    assert budget.seconds_left(60, 90, 10, ["xgboost"], 2) == 1.0
    assert budget.seconds_for_fits(60, 90, 10) == 0.0


def test_earlier_arms_get_their_share_less_the_time_of_a_new_process():
    shares = {name: ALGORITHMS[name].share for name in ARMS}
    assert sum(shares.values()) == pytest.approx(1.0)
    left = (600 - 10 - 17) * 0.85
    assert budget.seconds_left(600, 10, 10, ARMS, 2) == pytest.approx(2 * left * shares["logistic_regression"] - 3)
    assert budget.seconds_left(600, 10, 10, ["lightgbm", "xgboost"], 1) == pytest.approx(left * 0.34 / 0.67 - 3)


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
    with pytest.raises(Refused, match=r"--serve(.|\n)*auto or single or blend(.|\n)*--device(.|\n)*cpu or cuda"):
        check_options({"trials": 1, "serve": "both", "device": "tpu"})


def test_the_final_fits_get_what_the_last_steps_leave():
    assert budget.seconds_for_fits(60, 40, 10) == pytest.approx(60 - 40 - 13.5)
