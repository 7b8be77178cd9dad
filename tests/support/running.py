"""Flows run as a user runs them: as processes, from another folder, in their own datastore."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import metaflow

from fivefold.tracking import mirror_outcome
from fivefold.tracking.mirror_outcome import MirrorResult

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--trials", "3", "--folds", "3"]
SHORTEST = ["--trials", "1", "--folds", "3"]
TOO_SHORT = ["--budget", "5"]  # seconds, with which only the two quickest algorithms are trained
NO_MLFLOW = [
    "--mlflow-uri",
    "http://127.0.0.1:9",
]  # nothing listens there, which is noticed at once
PATIENCE = 1200  # seconds that a flow may take on a slow machine


def environment(store: Path) -> dict[str, str]:
    """Return this environment with the datastore `store` and no settings of Metaflow or MLflow."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("METAFLOW", "MLFLOW", "FIVEFOLD", "COVERAGE"))
    }
    return {**kept, "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(store), "PYTHONUNBUFFERED": "1"}


def command(script: str, *arguments: object) -> list[str]:
    """Return the command line of a script in flows/."""
    return [sys.executable, str(ROOT / "flows" / script), *map(str, arguments)]


def run_flow(
    store: Path,
    script: str,
    *arguments: object,
    env: dict[str, str] | None = None,
    timeout: float = PATIENCE,
) -> subprocess.CompletedProcess[str]:
    """Run a flow in the datastore's folder and return the finished process."""
    return subprocess.run(
        command(script, *arguments),
        cwd=store,
        env={**environment(store), **(env or {})},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
        check=False,
    )


def run_until(
    store: Path, pattern: str, script: str, *arguments: object, whole: bool = False
) -> str:
    """Kill the task (or the whole flow) that prints `pattern`; return the flow's output."""
    process = subprocess.Popen(
        command(script, *arguments),
        cwd=store,
        env=environment(store),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    lines = []
    assert process.stdout is not None
    try:
        for line in process.stdout:
            lines.append(line)
            if re.search(pattern, line):
                if whole:
                    break
                pid = re.search(r"\(pid (\d+)\)", line)
                assert pid, f"no pid in {line!r}"
                os.kill(int(pid[1]), signal.SIGKILL)
        else:
            process.wait(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=120)
        process.stdout.close()
    return "".join(lines)


def run_id(output: str) -> str:
    """Return the id that Metaflow printed when the run started."""
    match = re.search(r"\(run-id (\d+)\)", output)
    assert match, output
    return match[1]


def open_run(store: Path, number: str, flow: str = "TrainFlow"):
    """Return a run of `store`, read through the Metaflow Client from now on."""
    metaflow.namespace(None)
    metaflow.metadata(f"local@{store}")
    from metaflow.plugins.datastores.local_storage import LocalStorage

    LocalStorage.datastore_root = str(store / ".metaflow")
    return metaflow.Run(f"{flow}/{number}")


def table_options(rows: Path) -> list[str]:
    """Return the options that name the bundled table's target and ids."""
    return ["--data", str(rows), "--target", "churned", "--id-columns", "customer_id"]


def mlflow_file(folder: Path) -> list[str]:
    """Return the option that mirrors to an MLflow file in `folder`."""
    return ["--mlflow-uri", f"sqlite:///{folder}/mlflow.db"]


def train(
    store: Path, *arguments: object, env: dict[str, str] | None = None
) -> tuple[metaflow.Run, str]:
    """Run the training flow in the datastore `store`; return the run and what it printed.

    Its MLflow mirror has ended then, too.
    """
    done = run_flow(store, "train.py", *arguments, env=env)
    assert done.returncode == 0, done.stdout
    number = run_id(done.stdout)
    wait_for_mirror(store, number)
    return open_run(store, number), done.stdout


def wait_for_mirror(store: Path, number: str) -> MirrorResult:
    """Wait until the background mirror of a run has ended, and return what came of it."""
    folder = store / ".metaflow" / "mirrors"
    deadline = time.monotonic() + PATIENCE
    while True:
        result = mirror_outcome.read(number, folder)
        if result is not None and result.status != mirror_outcome.RUNNING:
            return result
        assert time.monotonic() < deadline, f"no outcome of run {number} in {folder}: {result}"
        time.sleep(0.1)


def train_tiny(store: Path, rows: Path) -> tuple[metaflow.Run, str]:
    """Train on `rows` with all figures that tests look at."""
    return train(store, "run", *table_options(rows), *mlflow_file(store), *TINY)


def copy_runs(store: Path, folder: Path, *run_ids: str) -> None:
    """Copy runs of the training flow, with cards and outcomes, to the datastore `folder`."""
    source, copy = store / ".metaflow", folder / ".metaflow"
    (copy / "mirrors").mkdir(parents=True, exist_ok=True)
    for number in run_ids:
        shutil.copy(source / "mirrors" / f"{number}.json", copy / "mirrors")
    for number in run_ids:
        for part in (f"TrainFlow/{number}", f"mf.cards/TrainFlow/runs/{number}"):
            shutil.copytree(source / part, copy / part)
    for part in ("TrainFlow/_meta", "TrainFlow/data"):  # artifacts lie there by their hash
        shutil.copytree(source / part, copy / part)
    old, new = str(store).encode(), str(folder).encode()
    for path in copy.rglob("*.json"):  # a task's metadata names the folder of its artifacts
        text = path.read_bytes()
        if old in text:
            path.write_bytes(text.replace(old, new))
