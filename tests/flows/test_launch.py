"""Who mirrors a run to MLflow: its launcher or its own step; and what a refused run advises."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import launch
import pytest

from fivefold.core.findings import refusal
from fivefold.core.settings import MIRRORED_AFTER, REFUSED_IN


@pytest.mark.parametrize(
    ("storage", "setting", "expected"),
    [("local", "1", True), ("local", None, False), ("s3", "1", False)],
)
def test_the_launcher_mirrors_runs_of_a_local_datastore(monkeypatch, storage, setting, expected):
    monkeypatch.delenv(MIRRORED_AFTER, raising=False)
    if setting:
        monkeypatch.setenv(MIRRORED_AFTER, setting)
    flow = SimpleNamespace(_datastore=SimpleNamespace(_storage_impl=SimpleNamespace(TYPE=storage)))
    assert launch.is_mirrored_after(flow) is expected


def test_a_refused_input_advises_run_not_resume(monkeypatch):
    words = ["train.py", "run", "--data", "my table.csv", "--target", "y"]
    monkeypatch.setattr(sys, "argv", words)
    text = launch.how_to_start_again()
    assert "train.py run --data 'my table.csv' --target y\n" in text
    assert "resume --origin-run-id" not in text
    monkeypatch.setattr(sys, "argv", ["train.py", "resume", "--origin-run-id", "3"])
    assert "train.py run, with the options of that run\n" in launch.how_to_start_again()
    monkeypatch.setattr(sys, "argv", ["train.py", "run", "--data", "postgresql://me:secret@h/d"])
    assert "secret" not in launch.how_to_start_again()


def test_a_step_that_refuses_says_so_to_the_launcher(monkeypatch, tmp_path):
    monkeypatch.setenv(REFUSED_IN, str(tmp_path / "step"))
    error = refusal("no", code="a", subject="b", found="c", expected="d", action="e")
    task = launch.refusals_shown("validate")
    next(task)
    with pytest.raises(launch.Stopped, match=r"a \[b\]"):
        task.throw(error)
    assert (tmp_path / "step").read_text() == "validate"
    assert "validate" in launch.INPUT_STEPS
    assert "select" not in launch.INPUT_STEPS
