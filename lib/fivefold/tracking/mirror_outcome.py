"""Outcomes of MLflow mirrors: who mirrors a run at this moment, and what came of it.

Beside the runs, in `fivefold.core.settings.mirrors_folder`, there are for each run RUN.json (the
`MirrorResult`), RUN.lock (locked by the process that mirrors the run), RUN.log (what a background
mirror printed) and RUN.news (there until a command has told the outcome). A run that was mirrored
within its own step `record` keeps the result in its artifact `mlflow` instead.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fivefold.core.clock import timestamp
from fivefold.core.settings import MIRROR_LOCK, mirrors_folder
from fivefold.core.stored import Stored
from fivefold.core.urls import mask

RUNNING, INTERRUPTED, FAILED = "running", "interrupted", "failed"
LIMIT = 600.0  # seconds after which a mirror that still goes on counts as interrupted


@dataclass(frozen=True)
class MirrorResult(Stored):
    """What a mirror did; a plain dict in the file of the run, or in its artifact `mlflow`."""

    # "skipped": without an address; else "mirrored", "unchanged", "failed", or as long as it goes
    # on "running"; "interrupted" if its process is gone
    status: str = "skipped"
    uri: str = ""  # without credentials
    experiment: str = ""
    experiment_id: str = ""
    run_id: str = ""
    children: Mapping[str, str] = field(default_factory=dict)  # algorithm -> run id
    model_name: str = ""
    model_version: str = ""
    model_uri: str = ""
    link: str = ""
    seconds: float = 0.0
    warning: str = ""  # one line: what was expected, what was found and what to do
    started: str = ""  # ISO 8601, of a mirror that goes on or was interrupted
    pid: int = 0  # its process


def find(run: Any) -> MirrorResult | None:
    """Return what came of the newest mirror of a `metaflow.Run`; None if there was none yet."""
    from fivefold.tracking import client

    result = read(run.id)
    if result is None:
        artifact = client.read(run, "mlflow")
        result = MirrorResult.from_dict(artifact) if artifact else None
    return result


def read(run_id: str, folder: Path | None = None) -> MirrorResult | None:
    """Return what the run's file says; None without one that can be read.

    A mirror counts as interrupted if its process is gone or over its time.
    """
    folder = folder or mirrors_folder()
    result = _load(folder, run_id)
    if result is None or result.status != RUNNING or _goes_on(folder, run_id, result):
        return result
    result = _load(folder, run_id)  # it may have ended between the two looks
    if result is None or result.status != RUNNING:
        return result
    warning = (
        f"the process that mirrored it ended early (process {result.pid}, begun {result.started}, "
        f"log {folder / f'{run_id}.log'}); to do: python flows/mirror.py --run-id {run_id}"
    )
    return replace(result, status=INTERRUPTED, warning=warning)


@contextmanager
def locked(run_id: str) -> Iterator[int]:
    """Hold the lock of a run's mirror, so that nobody else mirrors this run at the same time.

    Yields the number of the open file: a process that inherits it goes on holding the lock.
    """
    folder = mirrors_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{run_id}.lock").open("a") as file:
        if MIRROR_LOCK not in os.environ:  # else it was inherited from the launcher
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def begin(run_id: str, uri: str) -> None:
    """Write that this process mirrors the run now; the lock must be held."""
    started, pid = timestamp(), os.getpid()
    write(run_id, MirrorResult(status=RUNNING, uri=mask(uri), started=started, pid=pid))


def write(run_id: str, result: MirrorResult) -> None:
    """Write the run's file whole, or not at all."""
    path = mirrors_folder() / f"{run_id}.json"
    draft = path.with_suffix(f".{os.getpid()}.part")
    draft.write_text(json.dumps(result.to_dict()), encoding="utf-8")
    draft.replace(path)


def expect_telling(run_id: str) -> None:
    """Let the next command tell the outcome (`tell`)."""
    _news(run_id).touch()


def no_telling(run_id: str) -> None:
    """Leave the outcome untold: a person has just seen it."""
    _news(run_id).unlink(missing_ok=True)


def tell() -> None:
    """Print the outcome of the newest background mirror that was not told yet. Never raises."""
    with suppress(Exception):
        news = [entry for entry in os.scandir(mirrors_folder()) if entry.name.endswith(".news")]
        for entry in sorted(news, key=lambda entry: entry.stat().st_mtime, reverse=True):
            run_id = entry.name.removesuffix(".news")
            result = read(run_id)
            if result is None or result.status != RUNNING:
                os.unlink(entry.path)  # fails where another command tells it
                if result is not None:
                    print(told(run_id, result), file=sys.stderr, flush=True)
                    return


def told(run_id: str, result: MirrorResult) -> str:
    """Return an outcome in one line."""
    if result.status in (FAILED, INTERRUPTED):
        return f"warning: run {run_id} was not mirrored to MLflow: {result.warning}"
    return f"MLflow: run {run_id} was mirrored to {result.uri}"


def _news(run_id: str) -> Path:
    return mirrors_folder() / f"{run_id}.news"


def _load(folder: Path, run_id: str) -> MirrorResult | None:
    try:
        text = (folder / f"{run_id}.json").read_text(encoding="utf-8")
        return MirrorResult.from_dict(json.loads(text))
    except (OSError, ValueError):
        return None


def _goes_on(folder: Path, run_id: str, result: MirrorResult) -> bool:
    """Return whether a process holds the lock, and is not over its time."""
    age = datetime.now(UTC) - datetime.fromisoformat(result.started)
    if age.total_seconds() > LIMIT:
        return False
    try:
        with (folder / f"{run_id}.lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
