"""A run that is killed in each step and resumed each time ends like an undisturbed one.

Nobody names the run to go on from: a bare `resume` takes the one that got furthest.
"""

from __future__ import annotations

import re

import pytest

from tests.flows.test_train import without_time
from tests.support.running import TINY, mlflow_file, run_id, run_until, table_options, train

pytestmark = pytest.mark.slow
# The step split runs beside eda: where one of them is killed, the other may have ended or not.
KILLED = ["start", "validate", "eda", "tune", "select", "evaluate", "record", "end"]
EVENT = r"/(\w+)/\d+ \(pid \d+\)\] Task "


@pytest.fixture(scope="module")
def disturbed(store, small_csv, tiny):
    """(outputs by killed step, run, last output): killed in each step; in tune the whole flow.

    `tiny`, which has the same options, was trained before.
    """
    outputs, last = {}, None
    first = ["run", *table_options(small_csv), *mlflow_file(store), *TINY]
    for step in KILLED:
        arguments = first if last is None else ["resume"]
        pattern = r"trial 2/3" if step == "tune" else rf"/{step}/\d+ \(pid \d+\)\] Task is starting"
        outputs[step] = run_until(store, pattern, "train.py", *arguments, whole=step == "tune")
        last = run_id(outputs[step])
    run, output = train(store, "resume")
    return outputs, run, output


def test_the_killed_runs_did_fail_and_say_how_to_go_on(disturbed):
    for step, output in disturbed[0].items():
        if step != "tune":  # there the scheduler itself was killed
            assert f"resume --origin-run-id {run_id(output)}" in output, step


def test_the_same_seed_gives_the_winner_and_numbers_of_an_undisturbed_run(disturbed, tiny):
    resumed, whole = disturbed[1].data, tiny[0].data
    assert resumed.winner == whole.winner
    assert without_time(resumed.leaderboard) == without_time(whole.leaderboard)
    assert without_time(resumed.evaluation) == without_time(whole.evaluation)


def test_the_eda_card_compares_the_data_with_those_of_the_run_before(disturbed):
    changes = disturbed[1].data.changes
    assert changes["since"].startswith("TrainFlow/")
    assert not [change for change in changes["changes"] if change["notable"]]


def test_no_finished_step_is_done_again(disturbed):
    """A search is a task of its own: tune is finished when select starts."""
    outputs, finished = {**disturbed[0], "last": disturbed[2]}, set()
    for step, output in outputs.items():
        started = set(re.findall(EVENT + "is starting", output))
        assert not started & finished, (step, started, finished)
        assert step in started | {"last"}
        finished |= set(re.findall(EVENT + "finished successfully", output)) - {"tune"}
        finished |= {"tune"} if "select" in started else set()
    assert finished == {*KILLED, "split"}
    assert re.findall(EVENT + "is starting", disturbed[2]) == ["end"]


def test_a_killed_search_loses_one_trial_at_most(disturbed):
    lines = re.findall(r"(\w+): (\d+) finished trials loaded", disturbed[0]["select"])
    loaded = {name: int(n) for name, n in lines}
    lines = re.findall(r"(\w+): trial (\d)/3 ", disturbed[0]["tune"])
    seen = {name: int(n) for name, n in lines}
    assert seen
    for name, trials in seen.items():
        assert loaded.get(name, 0) >= trials - 1, (seen, loaded)
