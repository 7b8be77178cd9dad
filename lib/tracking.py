"""The MLflow mirror of finished Metaflow runs, and the only home of mlflow.

Metaflow is the record of truth, so a mirror may fail but must never stop or stall a flow. All contact with MLflow
is made by a child process (`python -m lib.tracking FOLDER`) that is killed when its time is up; this also keeps
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
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lib.findings import WARNING, Finding

LIB = Path(__file__).resolve().parent
PATHSPEC = "metaflow.pathspec"
COMPLETE = "fivefold.mirror"  # "complete" once nothing is left to do
TIMEOUT = 30.0  # seconds for everything; a healthy mirror needs 3 to 5, and 10 on busy cores (measured, 2 cores)
CONTACT, REQUEST = 3, 5  # seconds for the first answer of a store, and for each answer after it; no second try
_ENV = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(REQUEST),
        "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "MLFLOW_TRUNCATE_LONG_VALUES": "true",
        "PYTHONWARNINGS": "ignore", "PYTHONDONTWRITEBYTECODE": "1", "GIT_PYTHON_REFRESH": "quiet"}
_UNSET = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID",
          "MLFLOW_EXPERIMENT_NAME", "MLFLOW_ACTIVE_MODEL_ID")
_NEEDED = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "skops")  # to score; a booster is added by name
_BOOSTERS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu"}
_ADVICE = (  # what an error text contains -> what to do about it; the first match counts
    (r"out-of-date database schema|locate revision|alembic", "the store belongs to another MLflow version: back it "
     "up, then `mlflow db upgrade <uri>` with the newer MLflow, or move it away"),
    (r"not a database|malformed|file is encrypted", "move the damaged database file away"),
    (r"disk is full|No space left|EFBIG|File too large", "free disk space"),
    (r"read-?only|[Pp]ermission denied|unable to open|Not a directory|File exists|No such file|Read-only",
     "make that folder writable, or name another"),
    (r"table \S+ already exists|no such (table|column)", "move the half-made database file away"),
    (r"database is locked|another mirror", "let the other writer finish"),
    (r"maintenance mode|filesystem tracking", "name a database (sqlite:///path.db) or an http address"),
    (r"refused|timed out|not known|unreachable|no answer|HTTP 5\d\d|error code 5\d\d|Connection", "start the MLflow "
     "server or correct its address"),
    (r"401|403|PERMISSION_DENIED|UNAUTHENTICATED", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
)
_NOISE = r"\[SQL: .*\](?= \()|\(Background on this error at: \S+\)|<urlopen error (.*?)>(?= \()"


def mirror(record: Mapping[str, Any], blob: bytes, cards: Mapping[str, str], uri: str,
           timeout: float = TIMEOUT) -> dict[str, Any]:
    """Copy one finished Metaflow run to the MLflow store at `uri`; a second call changes nothing.

    record: the run as JSON-ready data; blob: the bundle's bytes; cards: {name: HTML}. timeout: seconds for the whole.
    Returns {"status": "mirrored" | "unchanged" | "failed" | "skipped" (no uri), "uri" (without credentials),
    "experiment", "experiment_id", "run_id", "children": {algorithm: run id}, "model_name", "model_version",
    "model_uri", "link", "seconds", "warning"}. Never raises for a fault of MLflow: "warning" then says what was
    expected, what was found and what to do.
    """
    started = time.monotonic()
    result: dict[str, Any] = {
        "status": "skipped", "uri": mask(uri or ""), "experiment": "", "experiment_id": "", "run_id": "",
        "children": {}, "model_name": "", "model_version": "", "model_uri": "", "link": "", "seconds": 0.0,
        "warning": ""}
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
                result |= _ask({"do": "mirror", "uri": _absolute(uri)}, folder, timeout)
        except Exception as fault:
            result |= {"status": "failed", "warning": _warning(uri, fault, f"python flows/mirror.py --run-id {run_id}")}
        result["link"] = link(uri, result["run_id"], result["experiment_id"]) if result["run_id"] else ""
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
            asked = _ask({"do": "find", "uri": _absolute(uri), "pathspec": pathspec}, folder, timeout)
            return asked["run_id"] or None
    except Exception as fault:
        raise ConnectionError(_warning(uri, fault, "ask again")) from None


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
    return Path(uri.removeprefix("sqlite:///")) if re.match(r"sqlite:///(?!:memory:)[^?]+$", uri) else None


def artifact_place(uri: str) -> str | None:
    """The address of the artifacts: beside a SQLite file, in the current folder for another database, else the
    server's own choice (None)."""
    if uri.startswith(("http://", "https://")):
        return None
    path = sqlite_path(uri)
    return ((path.absolute().parent if path else Path.cwd()) / "mlartifacts").as_uri()


def _ask(request: Mapping[str, Any], folder: Path, timeout: float) -> dict[str, Any]:
    """Let a child process do `request` with the files in `folder`; raises RuntimeError with its complaint."""
    place = artifact_place(request["uri"])
    (folder / "request.json").write_text(json.dumps({**request, "place": place, "timeout": timeout}), encoding="utf-8")
    (folder / "stage").write_text("starting", encoding="utf-8")
    paths = [str(LIB.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = {k: v for k, v in os.environ.items() if k not in _UNSET}
    env |= {**_ENV, "PYTHONPATH": os.pathsep.join(paths)}
    if place:  # else MLflow's own "Default" experiment would keep its files in the child's temporary folder
        env["_MLFLOW_SERVER_ARTIFACT_ROOT"] = place
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([sys.executable, "-m", "lib.tracking", str(folder)], cwd=folder, env=env,
                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            stage = (folder / "stage").read_text(encoding="utf-8")
            raise RuntimeError(f"no answer within {timeout:g} s ({stage})") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):  # a child in a dead file system cannot die
                    child.wait(2)
    if not (folder / "result.json").exists():
        lines = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise RuntimeError(f"the mirror's process ended with {child.returncode}: {lines[-1] if lines else 'no words'}")
    answer = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    if "fault" in answer:
        raise RuntimeError(answer["fault"])
    return answer


def _warning(uri: str, fault: BaseException, again: str) -> str:
    """One line for a person: what went wrong with the mirror, and how to rebuild it."""
    text = mask(" ".join(str(fault).split()) or type(fault).__name__)
    text = " ".join(re.sub(_NOISE, r"\1", text).split())
    advice = next((a for pattern, a in _ADVICE if re.search(pattern, text)), "look at that store")
    return Finding("mirror-failed", WARNING, mask(uri), text if len(text) <= 400 else text[:397] + "...",
                   "an MLflow store that takes the run (the Metaflow run keeps everything)",
                   f"{advice}; then `{again}`").message


def _finite(value: Any) -> Any:
    """`value` with NaN and infinities as None, as JSON wants it."""
    if isinstance(value, Mapping):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# ---- the child process -----------------------------------------------------------------------------------------

Report = Callable[[str], Any]  # told the name of each stage before it starts


def main(folder: Path) -> None:
    """Do what `folder`/request.json asks; write result.json, or {"fault": text} in its place."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    stage = folder / "stage"
    signal.alarm(math.ceil(request["timeout"]) + 5)  # ends this process even when its caller is gone
    try:
        check(request["uri"], stage.write_text)
        with _alone(request["uri"], stage.write_text):
            answer = (find_here(request["uri"], request["pathspec"]) if request["do"] == "find"
                      else mirror_here(request["uri"], folder, stage.write_text, request["place"]))
    except Exception as fault:
        answer = {"fault": f"{fault or type(fault).__name__} ({stage.read_text(encoding='utf-8')})"}
    (folder / "part").write_text(json.dumps(answer), encoding="utf-8")
    (folder / "part").rename(folder / "result.json")


def check(uri: str, report: Report) -> None:
    """Touch the store at `uri` without mlflow, which costs 2 s and retries much longer; raises what it finds."""
    report("first contact")
    address = urlsplit(uri)
    if (path := sqlite_path(uri)) is not None:
        if unquote(str(path)) != str(path):
            raise ValueError("a path with a percent code such as %20, which MLflow would decode")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=CONTACT)) as database:
            database.execute("select count(*) from sqlite_master").fetchall()
            database.execute("begin immediate")  # fails where nothing can be written
            database.rollback()
    elif address.scheme in ("http", "https"):
        try:
            request = urllib.request.Request(re.sub(r"://[^/@]*@", "://", uri).rstrip("/") + "/health")  # noqa: S310
            with urllib.request.urlopen(request, timeout=CONTACT) as answer:  # noqa: S310
                answer.read(100)
        except urllib.error.HTTPError as refused:  # 4xx: a proxy without /health; MLflow will say
            if refused.code >= 500:
                raise ConnectionError(f"HTTP {refused.code} from the server's /health") from None
        except urllib.error.URLError as unreachable:
            if not isinstance(unreachable.reason, ssl.SSLError):  # certificates are MLflow's own settings
                raise
    elif address.hostname and address.port:
        socket.create_connection((address.hostname, address.port), CONTACT).close()


@contextlib.contextmanager
def _alone(uri: str, report: Report) -> Iterator[None]:
    """Hold the lock of a SQLite store: making its schema is not safe for two processes (measured: 4 of 5 died)."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    import fcntl

    report("waiting for another mirror that is writing")
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_empty(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("select count(*) from sqlite_master").fetchone()[0] == 0


def _client(uri: str) -> Any:
    import mlflow

    if not uri.startswith(("http://", "https://")):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 1  # its own ten tries take 102 s and no setting changes that
    if (path := sqlite_path(uri)) is not None and _is_empty(path):
        # made elsewhere and moved into place whole: MLflow can neither use nor mend a half-made schema
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{part}")
        utils._initialize_tables(engine)
        engine.dispose()
        part.replace(path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri, uri)


def find_here(uri: str, pathspec: str) -> dict[str, Any]:
    """`find` in this process: {"run_id": id or ""}."""
    run = _find(_client(uri), pathspec)
    return {"run_id": run.info.run_id if run else ""}


def _find(client: Any, pathspec: str) -> Any:
    experiments = [e.experiment_id for e in client.search_experiments()]
    quoted = pathspec.replace("'", "")
    return next(iter(client.search_runs(experiments, f"tags.`{PATHSPEC}` = '{quoted}'", max_results=1,
                                        order_by=["attributes.start_time ASC"])), None)


def mirror_here(uri: str, folder: Path, report: Report, place: str | None) -> dict[str, Any]:
    """`mirror` in this process, from the files in `folder`; raises whatever MLflow raises."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    facts, scope, arms = record["run"], record["scope"], record["leaderboard"]
    title = scope.get("title") or scope.get("target") or ""
    report("opening the store")
    client = _client(uri)
    experiment = f"{facts['flow']}: {title}"[:500] if title else facts["flow"]
    name = slug(f"{facts['flow']} {title}")
    result: dict[str, Any] = {"experiment": experiment, "model_name": name}

    report("looking for the run")
    parent = _find(client, facts["pathspec"])
    known = parent is not None and parent.data.tags.get(COMPLETE) == "complete"
    if parent is None:
        report("creating the experiment")
        experiment_id = _experiment(client, experiment, place)
        report("creating the parent run")
        parent = client.create_run(experiment_id, _ms(facts["started"]), _parent_tags(record), facts["pathspec"])
    experiment_id, parent_id = parent.info.experiment_id, parent.info.run_id
    children = {r.data.tags["fivefold.algorithm"]: r for r in client.search_runs(
        [experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")}
    if not known:
        for arm in arms:
            report(f"writing the child run {arm['algorithm']}")
            children[arm["algorithm"]] = _child(client, parent, children.get(arm["algorithm"]), arm, facts)
        report("writing the parent run")
        _write_parent(client, parent, record)
        report("sending the artifacts")
        _send_artifacts(client, parent_id, record, folder)
        report("sending the model")
        model_id = _send_model(client, parent, name, record, folder)
        report("writing the metrics")
        _log(client, parent_id, [(k, v, _ms(facts["finished"]), 0) for k, v in _scores(record).items()],
             model_id=model_id)
        report("registering the model")
        _register(client, name, model_id, parent_id, record)
        report("finishing the run")
        client.set_terminated(parent_id, "FINISHED", _ms(facts["finished"]))
        client.set_tag(parent_id, COMPLETE, "complete")
    version = _version(client, name, parent_id)
    return {**result, "status": "unchanged" if known else "mirrored", "experiment_id": experiment_id,
            "run_id": parent_id, "children": {k: children[k].info.run_id for k in (a["algorithm"] for a in arms)
                                              if k in children},
            "model_version": str(version.version) if version else "",
            "model_uri": f"models:/{name}/{version.version}" if version else ""}


def _experiment(client: Any, name: str, place: str | None) -> str:
    """The id of the experiment `name`, made when missing (by us, or by another mirror at this very moment)."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name, artifact_location=place)
        except Exception:
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise RuntimeError(f"the experiment {name!r} is in MLflow's bin: use `mlflow experiments restore` or `gc`")
    return found.experiment_id


def _parent_tags(record: Mapping[str, Any]) -> dict[str, str]:
    facts, data = record["run"], record.get("data", {})
    tags = {PATHSPEC: facts["pathspec"], "metaflow.flow": facts["flow"], "metaflow.run_id": facts["run_id"],
            "metaflow.origin_run_id": facts.get("origin_run_id"), "mlflow.user": facts.get("user"),
            "mlflow.source.name": facts["flow"], "mlflow.source.type": "JOB",
            "mlflow.source.git.commit": facts.get("git_commit"), "git.dirty": facts.get("git_dirty"),
            "fivefold.winner": record.get("winner"), "fivefold.bundle_sha256": record.get("bundle", {}).get("sha256"),
            "fivefold.data_md5": data.get("md5"), "mlflow.note.content": record["scope"].get("question")}
    return {k: _text(v, 8000) for k, v in tags.items() if v not in (None, "")}


def _child(client: Any, parent: Any, run: Any, arm: Mapping[str, Any], facts: Mapping[str, Any]) -> Any:
    """The child run of one algorithm with every trial as a step; `run` is what an earlier attempt left."""
    begin, limit = _ms(facts["started"]), _ms(facts["finished"])
    if run is None:
        tags = {"mlflow.parentRunId": parent.info.run_id, "fivefold.algorithm": arm["algorithm"],
                "mlflow.user": parent.data.tags.get("mlflow.user", ""), "mlflow.source.name": facts["flow"]}
        run = client.create_run(parent.info.experiment_id, begin, tags, arm["algorithm"])
    rows: list[tuple[str, Any, int, int]] = []
    best, clock = -math.inf, float(begin)
    for trial in arm.get("trials") or []:
        clock += 1000 * (trial.get("seconds") or 0)
        moment, auc = min(int(clock), limit), trial.get("auc")
        rows.append(("trial_auc", auc, moment, trial["number"]))
        if auc is not None and trial.get("state") == "complete":
            best = max(best, auc)
        rows.append(("best_auc", best, moment, trial["number"]))
    end = max(begin, min(limit, begin + int(1000 * (arm.get("seconds") or 0))))
    rows += [(key, arm.get(key), end, 0) for key in ("auc_mean", "auc_std", "seconds", "rank")]
    rows += [("fold_auc", score, end, fold) for fold, score in enumerate(arm.get("fold_scores") or [])]
    failed = arm.get("status") != "ok"
    _log(client, run.info.run_id, rows, {} if failed else arm.get("params") or {}, run.data.params,
         {"error": _text(arm.get("error") or "no reason was recorded", 8000)} if failed else {})
    client.set_terminated(run.info.run_id, "FAILED" if failed else "FINISHED", end)
    return run


def _write_parent(client: Any, parent: Any, record: Mapping[str, Any]) -> None:
    """Parameters, and the data as a dataset input whose digest is its md5."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    params = {**record.get("parameters", {}), "winner": record.get("winner")}
    winner: Mapping[str, Any] = next((a for a in record["leaderboard"] if a["algorithm"] == record.get("winner")), {})
    params |= {f"winner.{k}": v for k, v in (winner.get("params") or {}).items()}
    _log(client, parent.info.run_id, [], params, parent.data.params)
    data = record["data"]
    source = str(data.get("source", ""))
    kind = source.split("://", 1)[0] if "://" in source else "local"
    where = {"url" if kind.startswith("http") else "uri": source}
    columns = [{"type": c.type.name, "name": c.name} for c in _signature(record).inputs]
    client.log_inputs(parent.info.run_id, [DatasetInput(Dataset(
        name=(re.split(r"[/\\]", source.rstrip("/"))[-1] or "data")[:500], digest=str(data["md5"])[:36],
        source_type="http" if kind == "https" else kind[:36], source=json.dumps(where)[:65535],
        schema=json.dumps({"mlflow_colspec": columns}), profile=json.dumps({"num_rows": data.get("rows")})),
        [InputTag("mlflow.data.context", "training")])])


def _send_artifacts(client: Any, run_id: str, record: Mapping[str, Any], folder: Path) -> None:
    """cards/<name>.html, record.json, and two tables for MLflow's table view."""
    send = folder / "artifacts"
    shutil.copytree(folder / "cards", send / "cards", dirs_exist_ok=True)
    shutil.copy(folder / "record.json", send / "record.json")
    arms = record["leaderboard"]
    board = [{**a, "trials": len(a.get("trials") or [])} for a in arms]
    trials = [{"algorithm": a["algorithm"], **t} for a in arms for t in a.get("trials") or []]
    tables = {"leaderboard.json": board, "trials.json": trials}
    for file, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        cells = [[json.dumps(v) if isinstance(v, (dict, list)) else v for v in map(row.get, columns)] for row in rows]
        (send / file).write_text(json.dumps({"columns": columns, "data": cells}), encoding="utf-8")
    client.log_artifacts(run_id, str(send))
    client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps([{"path": p, "type": "table"} for p in tables]))


def _scores(record: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation as flat metrics: auc, auc_low, auc_high, baseline_auc.<name>, threshold and all of `metrics`."""
    evaluation = record.get("evaluation") or {}
    auc = evaluation.get("auc") or {}
    return {**(evaluation.get("metrics") or {}), "auc": auc.get("value"), "auc_low": auc.get("low"),
            "auc_high": auc.get("high"), "threshold": (evaluation.get("threshold") or {}).get("value"),
            "rows": record.get("data", {}).get("rows"),
            **{f"baseline_auc.{b['name']}": b.get("auc") for b in evaluation.get("baselines") or []}}


def _signature(record: Mapping[str, Any]) -> Any:
    """The used columns: numbers as double (an integer type would cut 42.5 to 42), everything else as string.

    REST clients may send true or 3 for a string; in Python MLflow refuses datetime, bool and category columns there.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = [c for c in record["schema"]["columns"] if c.get("used", True)]
    return ModelSignature(
        Schema([ColSpec("double" if c["kind"] == "numeric" else "string", c["name"],
                        required=not c.get("nullable", False)) for c in columns]),
        Schema([ColSpec("double", "probability", required=False), ColSpec("string", "decision", required=False)]))


def _example(record: Mapping[str, Any]) -> Any:
    """The record's example rows in the types of the signature, or None."""
    import pandas as pd

    columns = [c for c in record["schema"]["columns"] if c.get("used", True)]
    rows = record.get("example") or []
    if not rows or not columns:
        return None
    return pd.DataFrame({c["name"]: [_cell(r.get(c["name"]), c["kind"]) for r in rows] for c in columns})


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind != "numeric":
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _requirements(record: Mapping[str, Any]) -> list[str]:
    """What scoring needs, at the versions of the training run (or, where it does not say, those installed)."""
    winner = str(record.get("winner", ""))
    boosters = [package for name, package in _BOOSTERS.items() if name in winner]
    versions = record.get("versions") or {}
    pinned = []
    for package in (*_NEEDED, *boosters):
        with contextlib.suppress(metadata.PackageNotFoundError):
            pinned.append(f"{package}=={versions.get(package) or metadata.version(package)}")
    return pinned


def _send_model(client: Any, parent: Any, name: str, record: Mapping[str, Any], folder: Path) -> str:
    """The id of the run's logged model; one that an earlier attempt began is finished instead of doubled."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    run_id, experiment_id = parent.info.run_id, parent.info.experiment_id
    begun = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    model = begun[0] if begun else client.create_logged_model(
        experiment_id, name, run_id, {PATHSPEC: record["run"]["pathspec"]}, model_type="binary classifier")
    if str(getattr(model.status, "value", model.status)) != "READY":
        shutil.rmtree(folder / "code", ignore_errors=True)
        shutil.copytree(LIB, folder / "code" / "lib", ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))
        sha256 = record.get("bundle", {}).get("sha256")
        target = folder / "model"
        shutil.rmtree(target, ignore_errors=True)
        mlflow.pyfunc.save_model(
            str(target), python_model=str(LIB / "pyfunc.py"), artifacts={"bundle": str(folder / "bundle.bin")},
            code_paths=[str(folder / "code" / "lib")], signature=_signature(record), input_example=_example(record),
            pip_requirements=_requirements(record), model_config={"sha256": sha256},
            mlflow_model=Model(artifact_path=model.artifact_location, model_uuid=model.model_id, run_id=run_id,
                               model_id=model.model_id))
        client.log_model_artifacts(model.model_id, str(target))
        client.finalize_logged_model(model.model_id, "READY")
    outputs = client.get_run(run_id).outputs
    if not any(o.model_id == model.model_id for o in (outputs.model_outputs if outputs else [])):
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model.model_id


def _version(client: Any, name: str, run_id: str) -> Any:
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return min(found, key=lambda v: int(v.version), default=None)


def _register(client: Any, name: str, model_id: str, run_id: str, record: Mapping[str, Any]) -> None:
    """One version per run; aliases are left alone, they belong to promotion."""
    version = _version(client, name, run_id)
    if version is None:
        try:
            client.create_registered_model(name, description=record["scope"].get("question") or None)
        except Exception:
            client.get_registered_model(name)  # it is there already, or this says why not
        version = client.create_model_version(name, f"models:/{model_id}", run_id, {
            PATHSPEC: record["run"]["pathspec"], "fivefold.winner": str(record.get("winner")),
            "fivefold.bundle_sha256": str(record.get("bundle", {}).get("sha256"))}, model_id=model_id)
    shown = [{"name": name, "version": version.version}]  # with it MLflow's page of the model names the version
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(shown)})


def _log(client: Any, run_id: str, rows: list[tuple[str, Any, int, int]], params: Mapping[str, Any] | None = None,
         written: Mapping[str, str] | None = None, tags: Mapping[str, str] | None = None,
         model_id: str | None = None) -> None:
    """Write (key, value, ms, step) rows, parameters not yet `written`, and tags, in MLflow's batch sizes."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(_key(k), float(v), ms, step, model_id=model_id) for k, v, ms, step in rows
               if isinstance(v, (int, float)) and math.isfinite(v)]
    # a parameter cannot be changed in MLflow: what an earlier attempt wrote stays
    pairs = [Param(_key(k), _text(v, 6000)) for k, v in (params or {}).items() if _key(k) not in (written or {})]
    marks = [RunTag(k, v) for k, v in (tags or {}).items()]
    for start in range(0, max(len(metrics), len(pairs) * 8, 1), 800):
        part = slice(start // 8, start // 8 + 100)
        client.log_batch(run_id, metrics[start:start + 800], pairs[part], marks if start == 0 else [])


def _key(name: str) -> str:
    """`name` in the characters that MLflow allows in keys."""
    return re.sub(r"[^\w.\-: /]", "_", str(name))[:250] or "_"


def _text(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= limit else text[:limit - 3] + "..."


def _ms(moment: str) -> int:
    """Milliseconds since 1970 of an ISO time; one without a zone is UTC."""
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
