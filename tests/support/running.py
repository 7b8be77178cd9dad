"""Flows run as a user runs them: as processes, from another folder, in their own datastore."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import metaflow

ROOT = Path(__file__).resolve().parents[2]
TINY = ["--trials", "3", "--folds", "3"]


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
    timeout: float = 300,
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
            process.wait(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
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


def train_tiny(store: Path, rows: Path) -> tuple[metaflow.Run, str]:
    """Train on `rows` in the datastore `store`; return the run and what it printed."""
    mirror = ["--mlflow-uri", f"sqlite:///{store}/mlflow.db"]
    table = ["--data", rows, "--target", "churned", "--id-columns", "customer_id"]
    done = run_flow(store, "train.py", "run", *table, *mirror, *TINY)
    assert done.returncode == 0, done.stdout
    return open_run(store, run_id(done.stdout)), done.stdout
