"""Running flows as a user does: as processes, from another directory, in a datastore of their own."""

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
    """This process's environment without its Metaflow and MLflow settings, with a datastore of its own."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("METAFLOW", "MLFLOW", "FIVEFOLD", "COVERAGE"))
    }
    return {**kept, "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(store), "PYTHONUNBUFFERED": "1"}


def command(script: str, *arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "flows" / script), *map(str, arguments)]


def run_flow(
    store: Path,
    script: str,
    *arguments: object,
    env: dict[str, str] | None = None,
    timeout: float = 300,
) -> subprocess.CompletedProcess[str]:
    """The finished process; its working directory is the datastore's folder, not the project's."""
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
    """Start a flow and SIGKILL the task that prints `pattern` (with its pid), or the whole flow; its output."""
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
    """The id that Metaflow printed when the run started."""
    found = re.search(r"\(run-id (\d+)\)", output)
    assert found, output
    return found[1]


def open_run(store: Path, number: str, flow: str = "TrainFlow"):
    """The finished run, read through the Metaflow Client."""
    metaflow.namespace(None)
    metaflow.metadata(f"local@{store}")
    from metaflow.plugins.datastores.local_storage import LocalStorage

    LocalStorage.datastore_root = str(store / ".metaflow")
    return metaflow.Run(f"{flow}/{number}")
