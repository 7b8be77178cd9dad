"""A run that is killed in each step and resumed each time ends like an undisturbed one."""

from __future__ import annotations

import itertools
import re

import pytest

from tests.flows.test_train import without_time
from tests.support.running import TINY, open_run, run_flow, run_id, run_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def disturbed(store, small_csv):
    """(outputs by killed step, run, last output): killed in each step; in tune the whole flow."""
    outputs, last = {}, None
    first = [
        "run",
        "--data",
        small_csv,
        "--target",
        "churned",
        "--id-columns",
        "customer_id",
        "--mlflow-uri",
        f"sqlite:///{store}/resumed.db",
        *TINY,
    ]
    for step in (
        "start",
        "validate",
        "eda",
        "split",
        "tune",
        "select",
        "evaluate",
        "record",
        "end",
    ):
        arguments = first if last is None else ["resume", "--origin-run-id", last]
        pattern = r"trial 2/3" if step == "tune" else rf"/{step}/\d+ \(pid \d+\)\] Task is starting"
        outputs[step] = run_until(store, pattern, "train.py", *arguments, whole=step == "tune")
        last = run_id(outputs[step])
    done = run_flow(store, "train.py", "resume", "--origin-run-id", last)
    assert done.returncode == 0, done.stdout
    return outputs, open_run(store, run_id(done.stdout)), done.stdout


def test_the_killed_runs_did_fail_and_say_how_to_go_on(disturbed):
    for step, output in disturbed[0].items():
        if step != "tune":  # there the scheduler itself was killed
            assert f"resume --origin-run-id {run_id(output)}" in output, step


def test_winner_and_numbers_are_those_of_an_undisturbed_run(disturbed, tiny):
    mended, whole = disturbed[1].data, tiny[0].data
    assert mended.winner == whole.winner
    assert without_time(mended.leaderboard) == without_time(whole.leaderboard)
    assert without_time(mended.evaluation) == without_time(whole.evaluation)


def test_no_finished_step_is_done_again(disturbed):
    """Each resumed run starts with the step that was killed before, and ends at the next kill."""
    killed = list(disturbed[0])
    for before, step in itertools.pairwise(killed):
        started = re.findall(r"/(\w+)/\d+ \(pid \d+\)\] Task is starting", disturbed[0][step])
        assert set(started) <= {before, step}, (before, step)
        assert step in started
    assert re.findall(r"/(\w+)/\d+ \(pid \d+\)\] Task is starting", disturbed[2]) == ["end"]


def test_a_killed_arm_loses_one_trial_at_most(disturbed):
    taken = {
        name: int(n)
        for name, n in re.findall(r"(\w+): (\d+) finished trials loaded", disturbed[0]["select"])
    }
    seen = {name: int(n) for name, n in re.findall(r"(\w+): trial (\d)/3 ", disturbed[0]["tune"])}
    assert seen
    for name, trials in seen.items():
        assert taken.get(name, 0) >= trials - 1, (seen, taken)
