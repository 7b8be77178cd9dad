"""The outcome of a mirror: written whole, found by everybody, told once."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from fivefold.core import settings
from fivefold.tracking import client, mirror_outcome
from fivefold.tracking.mirror_outcome import FAILED, INTERRUPTED, RUNNING, MirrorResult

DONE = MirrorResult(
    status="mirrored",
    uri="http://ann:***@host",
    run_id="abc",
    children={"lightgbm": "def"},
    model_name="m",
    model_version="3",
    seconds=1.5,
)
HOLD = """
import sys
from fivefold.tracking import mirror_outcome
with mirror_outcome.locked("7"):
    mirror_outcome.begin("7", "http://ann:s3cret@host")
    print("begun", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the outcomes, which exists."""
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    settings.mirrors_folder().mkdir(parents=True)
    return settings.mirrors_folder()


@pytest.fixture
def holder():
    """A process that mirrors run 7 until it is killed, or its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    yield process
    process.kill()
    process.communicate()


def test_a_result_is_read_as_it_was_written(folder):
    assert mirror_outcome.read("7") is None
    mirror_outcome.write("7", DONE)
    assert mirror_outcome.read("7") == mirror_outcome.read("7", folder) == DONE
    assert [path.name for path in folder.iterdir()] == ["7.json"]


def test_what_cannot_be_read_is_no_outcome(folder):
    (folder / "7.json").write_text('{"status": "mirr')
    assert mirror_outcome.read("7") is None


def test_the_file_of_a_run_is_asked_before_its_artifact(monkeypatch):
    run, kept = SimpleNamespace(id="7"), {"mlflow": None}
    monkeypatch.setattr(client, "read", lambda _, name: kept[name])
    assert mirror_outcome.find(run) is None
    kept["mlflow"] = {"status": "unchanged", "uri": "sqlite:///old.db", "model_version": "2"}
    expected = MirrorResult(status="unchanged", uri="sqlite:///old.db", model_version="2")
    assert mirror_outcome.find(run) == expected
    mirror_outcome.write("7", DONE)
    assert mirror_outcome.find(run) == DONE


def test_a_mirror_goes_on_as_long_as_its_process_lives(holder):
    result = mirror_outcome.read("7")
    assert (result.status, result.pid, result.warning) == (RUNNING, holder.pid, "")
    assert result.uri == "http://ann:***@host"
    holder.kill()
    holder.wait()
    result = mirror_outcome.read("7")
    assert result.status == INTERRUPTED
    assert "flows/mirror.py --run-id 7" in result.warning
    assert str(holder.pid) in result.warning


def test_a_mirror_that_is_over_its_time_counts_as_interrupted(holder):
    result = mirror_outcome.read("7")
    long_ago = datetime.now(UTC) - timedelta(seconds=mirror_outcome.LIMIT + 1)
    mirror_outcome.write("7", replace(result, started=long_ago.isoformat()))
    assert mirror_outcome.read("7").status == INTERRUPTED


def test_a_second_mirror_of_the_same_run_waits_for_the_first(holder):
    second = subprocess.Popen(
        [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(2)
        assert mirror_outcome.read("7").pid == holder.pid
        holder.kill()
        assert second.stdout.readline() == "begun\n"
        assert mirror_outcome.read("7").pid == second.pid
    finally:
        second.kill()
        second.communicate()


def test_an_outcome_is_told_once(capsys):
    mirror_outcome.write("7", DONE)
    mirror_outcome.tell()
    assert capsys.readouterr() == ("", "")
    mirror_outcome.expect_telling("7")
    mirror_outcome.tell()
    assert capsys.readouterr().err == "MLflow: run 7 was mirrored to http://ann:***@host\n"
    mirror_outcome.tell()
    assert capsys.readouterr() == ("", "")


def test_one_command_tells_the_newest_outcome_and_the_next_one_the_other(capsys, folder):
    for age, run_id in ((60, "7"), (30, "8")):
        mirror_outcome.write(run_id, replace(DONE, status=FAILED, warning=f"w{run_id}"))
        mirror_outcome.expect_telling(run_id)
        when = (folder / f"{run_id}.news").stat().st_mtime - age
        os.utime(folder / f"{run_id}.news", (when, when))
    told = []
    for _ in range(3):
        mirror_outcome.tell()
        told.append(capsys.readouterr().err)
    warning = "warning: run {0} was not mirrored to MLflow: w{0}\n"
    assert told == [warning.format(8), warning.format(7), ""]


def test_a_mirror_that_goes_on_is_told_later_and_one_that_was_killed_too(holder, capsys):
    mirror_outcome.expect_telling("7")
    mirror_outcome.tell()
    assert capsys.readouterr().err == ""
    holder.kill()
    holder.wait()
    mirror_outcome.tell()
    assert capsys.readouterr().err.startswith("warning: run 7 was not mirrored to MLflow: the proc")
    mirror_outcome.tell()
    assert capsys.readouterr().err == ""


def test_what_a_person_has_seen_is_not_told_again(capsys):
    mirror_outcome.write("7", DONE)
    mirror_outcome.expect_telling("7")
    mirror_outcome.no_telling("7")
    mirror_outcome.tell()
    assert capsys.readouterr().err == ""


def test_telling_never_fails(folder, capsys):
    mirror_outcome.expect_telling("7")  # of a run without a result
    mirror_outcome.tell()
    folder.rename(folder.with_name("gone"))
    mirror_outcome.tell()
    assert capsys.readouterr() == ("", "")
