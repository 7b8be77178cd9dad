"""The MLflow mirror of a run that has just ended, in a process that outlives the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from fivefold.core.settings import MIRROR_LOCK, mirrors_folder, mlflow_uri
from fivefold.core.urls import mask
from fivefold.tracking import mirror_outcome


def start(run: Any, root: Path) -> str:
    """Start flows/mirror.py for a run and return one line that says so. Never raises.

    Parameters
    ----------
    run : the finished `metaflow.Run`; if it was mirrored in its step `record`, nothing is started
        and the line is empty
    root : folder of the project
    """
    try:
        artifacts = run.data
        if "mlflow" in artifacts:
            return ""
        uri = mlflow_uri(artifacts.mlflow_uri, root)
        _start_process(run.id, uri, root / "flows" / "mirror.py")
    except Exception as error:
        action = f"python flows/mirror.py --run-id {run.id}"
        return f"warning: the run is not mirrored to MLflow: {mask(str(error))}; to do: {action}"
    return (
        f"MLflow: this run is being mirrored to {mask(uri)} in the background. "
        "The next command will tell the outcome, and so does the app's page Models."
    )


def _start_process(run_id: str, uri: str, script: Path) -> None:
    """Start the mirror in a session of its own, so that no Ctrl-C ends it.

    The shell ends at once: what kills the children of this process does not find the mirror. The
    address goes through the environment, because a process list would show its password.
    """
    with mirror_outcome.locked(run_id) as lock:
        mirror_outcome.begin(run_id, uri)
        mirror_outcome.expect_telling(run_id)
        command = [sys.executable, str(script), "--run-id", run_id]
        with (mirrors_folder() / f"{run_id}.log").open("wb") as log:
            subprocess.run(
                ["sh", "-c", '"$@" &', "sh", *command],
                env={**os.environ, "MLFLOW_TRACKING_URI": uri, MIRROR_LOCK: str(lock)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],
                start_new_session=True,
                check=True,
            )
