"""The MLflow mirror of real runs: after their end, in the background, and by hand."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing

import pytest

from fivefold.tracking import mirror_outcome
from tests.support.running import command, environment, run_flow, wait_for_mirror

pytestmark = pytest.mark.slow


def rows(path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def test_a_run_is_mirrored_after_its_closing_words(tiny, store):
    run, output = tiny
    before, _, line = output.rstrip().rpartition("\n")
    assert "mlflow ui --backend-store-uri" in before
    assert f"being mirrored to sqlite:///{store}/mlflow.db in the background" in line
    assert "mlflow" not in run.data
    result = wait_for_mirror(store, run.id)
    assert result.status in ("mirrored", "unchanged"), result.warning
    champions = rows(store / "mlflow.db", "select alias, version from registered_model_aliases")
    assert champions == [("champion", int(result.model_version))]
    times = rows(
        store / "mlflow.db",
        f"select start_time, end_time from runs where run_uuid = '{result.run_id}'",
    )
    assert times[0][0] < times[0][1]


def test_the_mirror_can_be_rebuilt_from_metaflow_alone(tiny, store, tmp_path):
    uri = f"sqlite:///{tmp_path}/rebuilt.db"
    first = run_flow(store, "mirror.py", "--run-id", tiny[0].id, "--mlflow-uri", uri)
    second = run_flow(store, "mirror.py", "--run-id", tiny[0].id, "--mlflow-uri", uri)
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + second.stdout
    assert "mirrored" in first.stdout
    assert "unchanged" in second.stdout
    assert wait_for_mirror(store, tiny[0].id).status == "unchanged"


def test_two_mirrors_of_a_run_at_once_make_one_run(tiny, store, tmp_path):
    words = ["--run-id", tiny[0].id, "--mlflow-uri", f"sqlite:///{tmp_path}/twice.db"]
    both = [
        subprocess.Popen(
            command("mirror.py", *words),
            cwd=store,
            env=environment(store),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("MLflow: mirrored" in output for output in outputs) == 1
    assert sum("MLflow: unchanged" in output for output in outputs) == 1
    query = "select count(*) from tags where key = 'metaflow.pathspec'"
    assert rows(tmp_path / "twice.db", query) == [(1,)]


def test_a_dead_mlflow_server_costs_seconds_and_is_told_once_by_the_next_command(second, store):
    """The run has succeeded; whichever command came next has told it."""
    run, output = second
    assert run.successful
    assert "being mirrored to http://127.0.0.1:9 in the background" in output
    result = wait_for_mirror(store, run.id)
    assert result.status == mirror_outcome.FAILED
    assert result.seconds < 15
    (store / ".metaflow" / "mirrors" / f"{run.id}.news").touch()
    told = [run_flow(store, "promote.py", "status").stdout for _ in range(2)]
    warning = (
        f"warning: run {run.id} was not mirrored to MLflow: mirror-failed [http://127.0.0.1:9]"
    )
    assert [warning in text for text in told] == [True, False]
    assert f"python flows/mirror.py --run-id {run.id}" in told[0]
