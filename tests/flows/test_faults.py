"""Faults of the machine: one line that names disk, path and what to do; other errors stay."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.core import settings
from tests.support.running import ROOT

sys.path.insert(0, str(ROOT / "flows"))
import faults


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "The disk is full: /data/x. To do: free some space, then resume"),
        (errno.EROFS, "The disk is read-only: /data/x. To do: use another folder"),
        (errno.EFBIG, "A file would be larger than allowed: /data/x. To do: raise the limit"),
        (errno.EACCES, "Writing is not allowed: /data/x."),
    ],
)
def test_a_fault_of_the_disk_names_it_and_the_path(number, words):
    error = OSError(number, os.strerror(number), "/data/x")
    assert faults.explain(error, Path("/runs")).startswith(words)
    wrapped = RuntimeError("a task failed")
    wrapped.__cause__ = error
    assert faults.explain(wrapped, Path("/runs")).startswith(words)


def test_without_a_file_the_folder_of_the_runs_is_named():
    full = OSError(errno.ENOSPC, "No space left on device")
    assert "The disk is full: /runs." in faults.explain(full, Path("/runs"))
    assert "METAFLOW_RUN_MAX_WORKERS=1" in faults.explain(MemoryError(), Path("/runs"))


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("y"), OSError("no number")])
def test_a_fault_of_ours_keeps_its_traceback(error):
    assert faults.explain(error, Path("/runs")) == ""


def test_a_store_is_tried_before_work_starts(tmp_path):
    assert faults.unwritable(tmp_path / "new") == ""
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("")
    why = faults.unwritable(tmp_path / "file" / "runs")
    assert why.startswith(f"The runs cannot be kept in {tmp_path}/file/runs: ")
    assert "METAFLOW_DATASTORE_SYSROOT_LOCAL" in why


def train(tmp_path, *words, **changes):
    """Run the command in a store of its own, without any training."""
    environment = {**os.environ, "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(tmp_path), **changes}
    command = [sys.executable, str(ROOT / "flows" / "train.py"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False, timeout=120
    )


@pytest.mark.slow
def test_an_unknown_run_and_an_empty_store_are_one_line(tmp_path):
    for words in (["resume"], ["resume", "--origin-run-id", "77"]):
        done = train(tmp_path, *words)
        assert done.returncode == 1
        assert "Traceback" not in done.stdout + done.stderr
        assert "There is nothing to resume" in done.stderr
    (tmp_path / ".metaflow" / "TrainFlow").mkdir(parents=True)
    (tmp_path / ".metaflow" / "TrainFlow" / "latest_run").write_text("")
    empty = train(tmp_path, "resume")
    assert empty.returncode == 1
    assert "Traceback" not in empty.stdout + empty.stderr


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_refused_before_work_starts(tmp_path):
    (tmp_path / "store").write_text("")
    done = train(tmp_path / "store", "run")
    assert done.returncode == 1
    assert "The runs cannot be kept in" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Workflow starting" not in done.stdout


def test_a_resumed_run_keeps_the_number_of_workers(monkeypatch):
    for name in (settings.WORKERS, settings.RESUME_WORKERS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(settings.WORKERS, "5")
    settings.keep_workers(before=2)
    assert (os.environ[settings.RESUME_WORKERS], settings.workers()) == ("2", 2)
    monkeypatch.setenv(settings.RESUME_WORKERS, "3")  # said now: it comes first
    settings.keep_workers(before=2)
    assert settings.workers() == 3
    monkeypatch.delenv(settings.RESUME_WORKERS)
    monkeypatch.setenv(settings.WORKERS, "1")
    settings.keep_workers(before=None)
    assert os.environ[settings.RESUME_WORKERS] == "1"


def test_an_option_max_workers_is_seen_by_the_tasks(monkeypatch, tmp_path):
    for name in (settings.WORKERS, settings.RESUME_WORKERS):
        monkeypatch.setenv(name, "9")
    monkeypatch.setattr(sys, "argv", ["train.py", "run", "--max-workers", "2"])
    settings.prepare(tmp_path)
    assert settings.workers() == 2
