"""The MLflow mirror of finished Metaflow runs: the only way to mlflow, which lives in `fivefold.tracking.mlflow_*`.

Metaflow is the record of truth, so a mirror may fail but must never stop or stall a flow. All contact with MLflow
is made by a child process (`fivefold.tracking.mlflow_child`) that is killed when its time is up; this also keeps
mlflow's 1.2 s import, environment variables and global state out of the caller.

The experiment is "<flow>: <scope title>", because scores of different problems are not comparable. The parent run
carries the tag metaflow.pathspec and is found by it; `COMPLETE` is set last. Every step before it can be repeated
without effect (all timestamps come from the record), so an interrupted mirror is completed by the next call. On
SQLite a file lock makes mirrors wait for each other; on a server, do not mirror one and the same run twice at once.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fivefold.core.findings import WARNING, Finding

PACKAGE = Path(__file__).resolve().parent.parent  # the whole of fivefold
PATHSPEC = "metaflow.pathspec"
COMPLETE = "fivefold.mirror"  # "complete" once nothing is left to do
TIMEOUT = 30.0  # seconds for everything; a healthy mirror needs 3 to 5, and 10 on busy cores (measured, 2 cores)
CONTACT, REQUEST = (
    3,
    5,
)  # seconds for the first answer of a store, and for each answer after it; no second try
_ENV = {
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
_ADVICE = (  # what an error text contains -> what to do about it; the first match counts
    (
        r"out-of-date database schema|locate revision|alembic",
        "the store belongs to another MLflow version: back it "
        "up, then `mlflow db upgrade <uri>` with the newer MLflow, or move it away",
    ),
    (r"not a database|malformed|file is encrypted", "move the damaged database file away"),
    (r"disk is full|No space left|EFBIG|File too large", "free disk space"),
    (
        r"read-?only|[Pp]ermission denied|unable to open|Not a directory|File exists|No such file|Read-only",
        "make that folder writable, or name another",
    ),
    (r"table \S+ already exists|no such (table|column)", "move the half-made database file away"),
    (r"database is locked|another mirror", "let the other writer finish"),
    (
        r"maintenance mode|filesystem tracking",
        "name a database (sqlite:///path.db) or an http address",
    ),
    (
        r"refused|timed out|not known|unreachable|no answer|HTTP 5\d\d|error code 5\d\d|Connection",
        "start the MLflow server or correct its address",
    ),
    (
        r"401|403|PERMISSION_DENIED|UNAUTHENTICATED",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
    ),
)
_NOISE = r"\[SQL: .*\](?= \()|\(Background on this error at: \S+\)|<urlopen error (.*?)>(?= \()"


def mirror(
    record: Mapping[str, Any],
    blob: bytes,
    cards: Mapping[str, str],
    uri: str,
    timeout: float = TIMEOUT,
    aliases: Sequence[str] = (),
) -> dict[str, Any]:
    """Copy one finished Metaflow run to the MLflow store at `uri`; a second call changes nothing.

    record: the run as JSON-ready data; blob: the bundle's bytes; cards: {name: HTML}. timeout: seconds for the whole.
    aliases: of the registry, pointed at the model.
    Returns {"status": "mirrored" | "unchanged" | "failed" | "skipped" (no uri), "uri" (without credentials),
    "experiment", "experiment_id", "run_id", "children": {algorithm: run id}, "model_name", "model_version",
    "model_uri", "link", "seconds", "warning"}. Never raises for a fault of MLflow: "warning" then says what was
    expected, what was found and what to do.
    """
    started = time.monotonic()
    result: dict[str, Any] = {
        "status": "skipped",
        "uri": mask(uri or ""),
        "experiment": "",
        "experiment_id": "",
        "run_id": "",
        "children": {},
        "model_name": "",
        "model_version": "",
        "model_uri": "",
        "link": "",
        "seconds": 0.0,
        "warning": "",
    }
    if uri:
        run_id = record.get("run", {}).get("run_id", "ID")
        try:
            with _folder() as folder:
                (folder / "cards").mkdir()
                for name, html in cards.items():
                    (folder / "cards" / f"{slug(name)}.html").write_text(html, encoding="utf-8")
                (folder / "bundle.bin").write_bytes(blob)
                # a password in a data source's address must not travel on: the whole record is masked
                text = mask(json.dumps(_finite(record), ensure_ascii=False))
                (folder / "record.json").write_text(text, encoding="utf-8")
                result |= _ask(
                    {"do": "mirror", "uri": _absolute(uri), "aliases": list(aliases)},
                    folder,
                    timeout,
                )
        except Exception as fault:
            result |= {
                "status": "failed",
                "warning": _warning(uri, fault, f"python flows/mirror.py --run-id {run_id}"),
            }
        result["link"] = (
            link(uri, result["run_id"], result["experiment_id"]) if result["run_id"] else ""
        )
    return {**result, "seconds": round(time.monotonic() - started, 2)}


def find(uri: str, pathspec: str, timeout: float = TIMEOUT) -> str | None:
    """The MLflow id of the parent run that mirrors `pathspec`, complete or not; None when there is none.

    Raises ConnectionError when the store cannot be asked. Costs about 2 s: keep the id that `mirror` returns.
    """
    path = sqlite_path(uri)
    if path and not path.exists():
        return None
    try:
        with _folder() as folder:
            asked = _ask(
                {"do": "find", "uri": _absolute(uri), "pathspec": pathspec}, folder, timeout
            )
            return asked["run_id"] or None
    except Exception as fault:
        raise ConnectionError(_warning(uri, fault, "ask again")) from None


def alias(models: Mapping[str, Mapping[str, str]], uri: str, timeout: float = TIMEOUT) -> str:
    """Point the registry's aliases {alias: {name, version}} at these versions; "" or a warning. Never raises."""
    try:
        with _folder() as folder:
            _ask({"do": "alias", "uri": _absolute(uri), "models": models}, folder, timeout)
    except Exception as fault:
        return _warning(uri, fault, "python flows/promote.py mirror")
    return ""


def link(uri: str, run_id: str, experiment_id: str) -> str:
    """The address of a run's page, or "" for a store that no server shows (a database).

    >>> link("http://me:secret@host:5000/", "abc", "1")
    'http://host:5000/#/experiments/1/runs/abc'
    """
    if not uri.startswith(("http://", "https://")):
        return ""
    return f"{re.sub(r'://[^/@]*@', '://', uri).rstrip('/')}/#/experiments/{experiment_id}/runs/{run_id}"


def mask(text: str) -> str:
    """`text` with the credentials of every address in it hidden.

    >>> mask("at postgresql://me:secret@db/x")
    'at postgresql://***@db/x'
    """
    return re.sub(r"://[^/@\s\"']+@", "://***@", text)


def slug(text: str) -> str:
    """A name fit for files and for MLflow's registry.

    >>> slug("Customer churn / 2026")
    'customer-churn-2026'
    """
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-_")[:100] or "unnamed"


# ---- the caller's side of the child process ------------------------------------------------------------------


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fivefold-mirror-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _absolute(uri: str) -> str:
    """A SQLite address with an absolute path: the child works in another folder."""
    path = sqlite_path(uri)
    return f"sqlite:///{path.absolute()}" if path else uri


def sqlite_path(uri: str) -> Path | None:
    """The file of a sqlite:/// address, or None for any other address."""
    return (
        Path(uri.removeprefix("sqlite:///"))
        if re.match(r"sqlite:///(?!:memory:)[^?]+$", uri)
        else None
    )


def artifact_place(uri: str) -> str | None:
    """The address of the artifacts: beside a SQLite file, in the current folder for another database, else the
    server's own choice (None).
    """
    if uri.startswith(("http://", "https://")):
        return None
    path = sqlite_path(uri)
    return ((path.absolute().parent if path else Path.cwd()) / "mlartifacts").as_uri()


def _ask(request: Mapping[str, Any], folder: Path, timeout: float) -> dict[str, Any]:
    """Let a child process do `request` with the files in `folder`; raises RuntimeError with its complaint."""
    place = artifact_place(request["uri"])
    (folder / "request.json").write_text(
        json.dumps({**request, "place": place, "timeout": timeout}), encoding="utf-8"
    )
    (folder / "stage").write_text("starting", encoding="utf-8")
    paths = [str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {k: v for k, v in os.environ.items() if k not in _UNSET}
    env |= {**_ENV, "PYTHONPATH": os.pathsep.join(paths)}
    if place:  # else MLflow's own "Default" experiment would keep its files in the child's temporary folder
        env["_MLFLOW_SERVER_ARTIFACT_ROOT"] = place
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "fivefold.tracking.mlflow_child", str(folder)],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            stage = (folder / "stage").read_text(encoding="utf-8")
            raise RuntimeError(f"no answer within {timeout:g} s ({stage})") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                with contextlib.suppress(
                    subprocess.TimeoutExpired
                ):  # a child in a dead file system cannot die
                    child.wait(2)
    if not (folder / "result.json").exists():
        lines = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(
            f"the mirror's process ended with {child.returncode}: {lines[-1] if lines else 'no words'}"
        )
    answer = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if "fault" in answer:
        raise RuntimeError(answer["fault"])
    return answer


def _warning(uri: str, fault: BaseException, again: str) -> str:
    """One line for a person: what went wrong with the mirror, and how to rebuild it."""
    text = mask(" ".join(str(fault).split()) or type(fault).__name__)
    text = " ".join(re.sub(_NOISE, r"\1", text).split())
    advice = next((a for pattern, a in _ADVICE if re.search(pattern, text)), "look at that store")
    return Finding(
        code="mirror-failed",
        severity=WARNING,
        subject=mask(uri),
        found=text if len(text) <= 400 else text[:397] + "...",
        expected="an MLflow store that takes the run (the Metaflow run keeps everything)",
        action=f"{advice}; then `{again}`",
    ).message


def _finite(value: Any) -> Any:
    """`value` with NaN and infinities as None, as JSON wants it."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
