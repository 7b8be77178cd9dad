"""The MLflow mirror of finished Metaflow runs; the rest of the project reaches MLflow only here.

Metaflow is the record of truth, so a mirror may fail but must never stop or stall a flow. A child
process (`fivefold.tracking.mlflow_child`) makes all contact with MLflow and is killed when its time
is up. This also keeps mlflow's 1.2 s import, environment variables and global state out of the
caller.

The experiment is "<flow>: <scope title>", because scores of different problems are not comparable.
The parent run is found by its tag metaflow.pathspec, and the tag `COMPLETE` is set last. Every step
before it can be repeated without effect (all timestamps come from the record), so the next call
completes an interrupted mirror. On SQLite a file lock makes mirrors wait for each other; on a
server, `fivefold.tracking.mirror_outcome.locked` keeps the processes of one machine from mirroring
the same run twice at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fivefold.core.findings import WARNING, problem
from fivefold.core.text import one_line
from fivefold.core.urls import mask
from fivefold.tracking.client import RunRecord
from fivefold.tracking.mirror_outcome import FAILED, MirrorResult

PACKAGE = Path(__file__).resolve().parent.parent  # the folder of fivefold
PATHSPEC = "metaflow.pathspec"
COMPLETE = "fivefold.mirror"  # "complete" once nothing is left to do
TIMEOUT = 30.0  # seconds; a healthy mirror needs 3 to 5, and 10 on busy cores (measured, 2 cores)
PATIENCE = 120.0  # seconds where nobody waits: other mirrors may write, and cores be busy
CONTACT = 3  # seconds for the first answer of a store
REQUEST = 5  # seconds for each answer after it; there is no second try
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST),
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_TRUNCATE_LONG_VALUES": "true",
    "PYTHONWARNINGS": "ignore",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}
_UNSET = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ACTIVE_MODEL_ID",
)
_ADVICE = {  # pattern in the text of an error: what to do about it; the first match counts
    r"out-of-date database schema|locate revision|alembic": (
        "the store belongs to another MLflow version: back it up, then `mlflow db upgrade <uri>` "
        "with the newer MLflow, or move it away"
    ),
    r"not a database|malformed|file is encrypted": "move the damaged database file away",
    r"disk is full|No space left|EFBIG|File too large": "free disk space",
    r"[Rr]ead-?only|[Pp]ermission denied|unable to open|Not a directory|File exists|No such file": (
        "make that folder writable, or name another"
    ),
    r"table \S+ already exists|no such (table|column)": "move the half-made database file away",
    r"database is locked|another mirror": "let the other writer finish",
    r"maintenance mode|filesystem tracking": (
        "name a database (sqlite:///path.db) or an http address"
    ),
    r"refused|timed out|not known|unreachable|no answer|HTTP 5\d\d|error code 5\d\d|Connection": (
        "start the MLflow server or correct its address"
    ),
    r"401|403|PERMISSION_DENIED|UNAUTHENTICATED": (
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    ),
}
_NOISE = r"\[SQL: .*\](?= \()|\(Background on this error at: \S+\)|<urlopen error (.*?)>(?= \()"


def mirror(
    record: RunRecord,
    bundle: bytes,
    cards: Mapping[str, str],
    uri: str,
    aliases: Sequence[str] = (),
    timeout: float | None = None,
) -> MirrorResult:
    """Copy a finished run to the MLflow store at `uri`; a second call changes nothing.

    Never raises for a fault of MLflow: the result's `warning` then says what to do.

    Parameters
    ----------
    record
        The run as MLflow records it.
    bundle
        The bytes of the model that is served.
    cards
        {name: HTML} of the run's report cards.
    uri
        Tracking and registry address; "" mirrors nothing.
    aliases
        Aliases of the registry to point at the model, such as "champion".
    timeout
        Seconds after which it is given up; None: `TIMEOUT`.
    """
    result = MirrorResult(uri=mask(uri))
    if not uri:
        return result
    started = time.monotonic()
    try:
        with _folder() as name:
            folder = Path(name)
            artifacts = folder / "artifacts"
            (artifacts / "cards").mkdir(parents=True)
            for card, html in cards.items():
                (artifacts / "cards" / f"{slug(card)}.html").write_text(html, encoding="utf-8")
            (folder / "bundle.bin").write_bytes(bundle)
            _write_json(artifacts / "record.json", json_ready(record.to_dict()))
            answer = _ask({"aliases": list(aliases)}, uri, folder, timeout)
        address = link(uri, answer["run_id"], answer["experiment_id"])
        result = replace(result, **answer, link=address)
    except Exception as fault:
        again = f"python flows/mirror.py --run-id {record.run.run_id}"
        result = replace(result, status=FAILED, warning=_warning(uri, fault, again))
    return replace(result, seconds=round(time.monotonic() - started, 2))


def set_aliases(models: Mapping[str, Mapping[str, str]], uri: str) -> str:
    """Point the registry's aliases at model versions: {alias: {name, version}}. Never raises.

    Returns a warning, or "".
    """
    try:
        with _folder() as folder:
            _ask({"models": models}, uri, Path(folder))
    except Exception as fault:
        return _warning(uri, fault, "python flows/promote.py mirror")
    return ""


def link(uri: str, run_id: str, experiment_id: str) -> str:
    """Return the address of a run's page, or "" for a store that no server shows (a database).

    >>> link("http://me:secret@host:5000/", "abc", "1")
    'http://host:5000/#/experiments/1/runs/abc'
    """
    if not is_server(uri):
        return ""
    return f"{without_credentials(uri)}/#/experiments/{experiment_id}/runs/{run_id}"


def is_server(uri: str) -> bool:
    """Return whether the store is an MLflow server, not a database."""
    return uri.startswith(("http://", "https://"))


def without_credentials(uri: str) -> str:
    """Return the address of a server without user, password and closing slash."""
    return re.sub(r"://[^/@]*@", "://", uri).rstrip("/")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a sqlite:/// address, or None for any other address."""
    if not re.match(r"sqlite:///(?!:memory:)[^?]+$", uri):
        return None
    return Path(uri.removeprefix("sqlite:///"))


def artifact_location(uri: str) -> str | None:
    """Return the folder of the artifacts as a file: address; None leaves it to the server.

    It lies beside a SQLite file, and in the current folder for another database.
    """
    if is_server(uri):
        return None
    path = sqlite_path(uri)
    folder = path.absolute().parent if path else Path.cwd()
    return (folder / "mlartifacts").as_uri()


def slug(text: str) -> str:
    """Return a name that is fit for files and for MLflow's registry.

    >>> slug("Customer churn / 2026")
    'customer-churn-2026'
    """
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-_")[:100] or "unnamed"


def json_ready(value: Any) -> Any:
    """Return `value` as JSON takes it: NaN and infinities as None, secrets in URLs masked."""
    if isinstance(value, Mapping):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_ready(item) for item in value]
    if isinstance(value, str):
        return mask(value)
    is_number = not isinstance(value, float) or math.isfinite(value)
    return value if is_number else None


# ---- the caller's side of the child process ---------------------------------------------------


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fivefold-mirror-", ignore_cleanup_errors=True)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _ask(
    request: Mapping[str, Any], uri: str, folder: Path, timeout: float | None = None
) -> dict[str, Any]:
    """Let a child process do `request` with the files in `folder`; return its answer.

    Raises `RuntimeError` with the fault that the child met.
    """
    timeout = timeout or TIMEOUT
    location = artifact_location(uri)
    path = sqlite_path(uri)
    # the child works in another folder
    absolute = f"sqlite:///{path.absolute()}" if path else uri
    whole = {**request, "uri": absolute, "artifact_location": location, "timeout": timeout}
    _write_json(folder / "request.json", whole)
    (folder / "stage").write_text("starting", encoding="utf-8")
    returncode = _run_child(folder, location, timeout)
    answer_file = folder / "result.json"
    if not answer_file.exists():
        log = (folder / "log").read_text(encoding="utf-8", errors="replace")
        last_line = (log.strip().splitlines() or ["it wrote nothing"])[-1]
        raise RuntimeError(f"the mirror's process ended with {returncode}: {last_line}")
    answer: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
    if "fault" in answer:
        raise RuntimeError(answer["fault"])
    return answer


def _run_child(folder: Path, location: str | None, timeout: float) -> int:
    """Run the child until it ends or its time is up; return its exit code."""
    environment = {name: value for name, value in os.environ.items() if name not in _UNSET}
    environment |= _ENVIRONMENT
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if location:  # else MLflow's own "Default" experiment keeps its files in the child's folder
        environment["_MLFLOW_SERVER_ARTIFACT_ROOT"] = location
    command = [sys.executable, "-m", "fivefold.tracking.mlflow_child", str(folder)]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            stage = (folder / "stage").read_text(encoding="utf-8")
            raise RuntimeError(f"no answer within {timeout:g} s ({stage})") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(2)  # a child in a dead file system cannot die


def _warning(uri: str, fault: BaseException, again: str) -> str:
    """Return one line for a person: what went wrong with the mirror, and how to rebuild it."""
    text = one_line(mask(str(fault)), 10_000) or type(fault).__name__
    text = one_line(re.sub(_NOISE, r"\1", text))
    matching = (advice for pattern, advice in _ADVICE.items() if re.search(pattern, text))
    advice = next(matching, "look at that store")
    expected = "an MLflow store that takes the run (the Metaflow run keeps everything)"
    action = f"{advice}; then `{again}`"
    return problem("mirror-failed", mask(uri), text, expected, action, WARNING).message
