"""The child process of `fivefold.tracking.mlflow_mirror`, which writes a run's record to MLflow.

It is started as `python -m fivefold.tracking.mlflow_child FOLDER`.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fivefold.tracking.client import RunRecord
from fivefold.tracking.mlflow_mirror import COMPLETE, PATHSPEC, slug
from fivefold.tracking.mlflow_model import register, send_model, signature, version_of
from fivefold.tracking.mlflow_store import Report, check, connect, find_run, locked

Row = Mapping[str, Any]  # a row of the leaderboard or a trial, as record.json has it
MetricRow = tuple[str, Any, int, int]  # key, value, milliseconds since 1970, step


@dataclass(frozen=True)
class Batch:
    """What is written to one MLflow run at a time."""

    metrics: Sequence[MetricRow] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def main(folder: Path) -> None:
    """Do what `folder`/request.json asks; write result.json, with {"fault": text} on failure."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    stage = folder / "stage"
    # the alarm ends this process even when its caller is gone
    signal.alarm(math.ceil(request["timeout"]) + 5)
    try:
        check(request["uri"], stage.write_text)
        with locked(request["uri"], stage.write_text):
            answer = _answer(request, folder, stage.write_text)
    except Exception as fault:
        where = stage.read_text(encoding="utf-8")
        answer = {"fault": f"{fault or type(fault).__name__} ({where})"}
    (folder / "part").write_text(json.dumps(answer), encoding="utf-8")
    (folder / "part").rename(folder / "result.json")


def _answer(request: Mapping[str, Any], folder: Path, report: Report) -> dict[str, Any]:
    uri = request["uri"]
    if request["do"] == "mirror":
        location = request["artifact_location"]
        return mirror_here(uri, folder, report, location, request["aliases"])
    client = connect(uri)
    for alias, model in request["models"].items():
        client.set_registered_model_alias(model["name"], alias, model["version"])
    return {}


def mirror_here(
    uri: str, folder: Path, report: Report, location: str | None, aliases: Sequence[str] = ()
) -> dict[str, Any]:
    """Mirror the run whose files lie in `folder`; raises whatever MLflow raises.

    Returns the fields of `fivefold.tracking.mlflow_mirror.MirrorResult` that are known here.
    """
    written = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    record = RunRecord.from_dict(written)
    title = record.scope.get("title") or record.scope.get("target") or ""
    experiment = f"{record.flow}: {title}"[:500] if title else record.flow
    name = slug(f"{record.flow} {title}")

    report("opening the store")
    client = connect(uri)
    report("looking for the run")
    parent = find_run(client, record.pathspec)
    is_complete = parent is not None and parent.data.tags.get(COMPLETE) == "complete"
    if parent is None:
        report("creating the experiment")
        experiment_id = _experiment_id(client, experiment, location)
        report("creating the parent run")
        parent = client.create_run(
            experiment_id, _milliseconds(record.started), _parent_tags(record), record.pathspec
        )
    experiment_id, parent_id = parent.info.experiment_id, parent.info.run_id
    runs = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    children = {run.data.tags["fivefold.algorithm"]: run for run in runs}
    algorithms = [row["algorithm"] for row in record.leaderboard]
    if not is_complete:
        for row in record.leaderboard:
            algorithm = row["algorithm"]
            report(f"writing the child run {algorithm}")
            if algorithm not in children:
                children[algorithm] = _create_child(client, parent, algorithm, record)
            _write_child(client, children[algorithm], row, record)
        _write_parent(client, parent, name, record, folder, report)
    version = version_of(client, name, parent_id)
    number = str(version.version) if version else ""
    for alias in aliases if version else ():
        client.set_registered_model_alias(name, alias, number)
    return {
        "status": "unchanged" if is_complete else "mirrored",
        "experiment": experiment,
        "experiment_id": experiment_id,
        "run_id": parent_id,
        "children": {a: children[a].info.run_id for a in algorithms if a in children},
        "model_name": name,
        "model_version": number,
        "model_uri": f"models:/{name}/{number}" if version else "",
    }


def _experiment_id(client: Any, name: str, location: str | None) -> str:
    """Return the id of an experiment, which is made when missing."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except Exception:  # another mirror may have made it at this very moment
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        raise RuntimeError(
            f"the experiment {name!r} is in MLflow's bin: use `mlflow experiments restore` or `gc`"
        )
    return str(experiment.experiment_id)


def _parent_tags(record: RunRecord) -> dict[str, str]:
    tags = {
        PATHSPEC: record.pathspec,
        "metaflow.flow": record.flow,
        "metaflow.run_id": record.run_id,
        "metaflow.origin_run_id": record.origin_run_id,
        "mlflow.user": record.user,
        "mlflow.source.name": record.flow,
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": record.git.get("git_commit"),
        "git.dirty": record.git.get("git_dirty"),
        "fivefold.winner": record.winner,
        "fivefold.bundle_sha256": record.bundle_sha256,
        "fivefold.data_md5": record.data.get("md5"),
        "mlflow.note.content": record.scope.get("question"),
    }
    return {key: _text(value, 8000) for key, value in tags.items() if value not in (None, "")}


def _create_child(client: Any, parent: Any, algorithm: str, record: RunRecord) -> Any:
    tags = {
        "mlflow.parentRunId": parent.info.run_id,
        "fivefold.algorithm": algorithm,
        "mlflow.user": parent.data.tags.get("mlflow.user", ""),
        "mlflow.source.name": record.flow,
    }
    begin = _milliseconds(record.started)
    return client.create_run(parent.info.experiment_id, begin, tags, algorithm)


def _write_child(client: Any, run: Any, row: Row, record: RunRecord) -> None:
    """Write the search of one algorithm: its result, and every trial as a step."""
    begin, limit = _milliseconds(record.started), _milliseconds(record.finished)
    end = max(begin, min(limit, begin + int(1000 * (row.get("seconds") or 0))))
    metrics = _trial_metrics(row.get("trials") or [], begin, limit)
    metrics += [(key, row.get(key), end, 0) for key in ("auc_mean", "auc_std", "seconds", "rank")]
    fold_scores = row.get("fold_scores") or []
    metrics += [("fold_auc", score, end, fold) for fold, score in enumerate(fold_scores)]
    if row.get("status") == "ok":
        status = "FINISHED"
        batch = Batch(metrics, params=row.get("params") or {})
    else:
        status = "FAILED"
        error = _text(row.get("error") or "no reason was recorded", 8000)
        batch = Batch(metrics, tags={"error": error})
    _log(client, run, batch)
    client.set_terminated(run.info.run_id, status, end)


def _trial_metrics(trials: Sequence[Row], begin: int, limit: int) -> list[MetricRow]:
    metrics: list[MetricRow] = []
    best, clock = -math.inf, float(begin)
    for trial in trials:
        clock += 1000 * (trial.get("seconds") or 0)
        moment, step, auc = min(int(clock), limit), trial["number"], trial.get("auc")
        if auc is not None and trial.get("state") == "complete":
            best = max(best, auc)
        metrics.append(("trial_auc", auc, moment, step))
        metrics.append(("best_auc", best, moment, step))
    return metrics


def _write_parent(
    client: Any, parent: Any, name: str, record: RunRecord, folder: Path, report: Report
) -> None:
    """Write everything of the parent run; the tag `COMPLETE` comes last."""
    parent_id, finished = parent.info.run_id, _milliseconds(record.finished)
    report("writing the parent run")
    _log(client, parent, Batch(params=_parent_params(record)))
    client.log_inputs(parent_id, [_dataset_input(record)])
    report("sending the artifacts")
    _send_artifacts(client, parent_id, record, folder)
    report("sending the model")
    model_id = send_model(client, parent, name, record, folder)
    report("writing the metrics")
    metrics = [(key, value, finished, 0) for key, value in _scores(record).items()]
    _log(client, parent, Batch(metrics), model_id)
    report("registering the model")
    register(client, name, model_id, parent_id, record)
    report("finishing the run")
    client.set_terminated(parent_id, "FINISHED", finished)
    client.set_tag(parent_id, COMPLETE, "complete")


def _parent_params(record: RunRecord) -> dict[str, Any]:
    params = {**record.parameters, "winner": record.winner}
    for row in record.leaderboard:
        if row["algorithm"] == record.winner:
            params |= {f"winner.{key}": value for key, value in (row.get("params") or {}).items()}
    if blend := record.blend:
        params["served"] = blend["served"]
        params |= {f"blend.{algorithm}": share for algorithm, share in blend["weights"].items()}
        params["blend.auc_mean"] = blend["auc_mean"]
        params["blend.gain"] = blend["gain"]
    return params


def _dataset_input(record: RunRecord) -> Any:
    """Return the data as an input of the run; its digest is the md5 of the data."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = record.data
    source = str(data.get("source", ""))
    kind = source.split("://", 1)[0] if "://" in source else "local"
    address = {"url" if kind.startswith("http") else "uri": source}
    last_part = re.split(r"[/\\]", source.rstrip("/"))[-1]
    columns = [{"type": c.type.name, "name": c.name} for c in signature(record).inputs]
    dataset = Dataset(
        name=(last_part or "data")[:500],
        digest=str(data["md5"])[:36],
        source_type="http" if kind == "https" else kind[:36],
        source=json.dumps(address)[:65535],
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": data.get("rows")}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _send_artifacts(client: Any, run_id: str, record: RunRecord, folder: Path) -> None:
    """Send cards/<name>.html, record.json, and two tables for MLflow's table view."""
    send = folder / "artifacts"
    shutil.copytree(folder / "cards", send / "cards", dirs_exist_ok=True)
    shutil.copy(folder / "record.json", send / "record.json")
    board: list[Row] = []
    trials: list[Row] = []
    for row in record.leaderboard:
        own = row.get("trials") or []
        board.append({**row, "trials": len(own)})
        trials += [{"algorithm": row["algorithm"], **trial} for trial in own]
    tables = {"leaderboard.json": board, "trials.json": trials}
    for file, rows in tables.items():
        (send / file).write_text(json.dumps(_table(rows)), encoding="utf-8")
    client.log_artifacts(run_id, str(send))
    shown = [{"path": file, "type": "table"} for file in tables]
    client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps(shown))


def _table(rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows as MLflow's table view reads them; nested values become JSON text."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    data = []
    for row in rows:
        values = [row.get(column) for column in columns]
        data.append([json.dumps(v) if isinstance(v, (dict, list)) else v for v in values])
    return {"columns": columns, "data": data}


def _scores(record: RunRecord) -> dict[str, Any]:
    """Return the evaluation as flat metrics.

    Keys: <name>, <name>_low, <name>_high, baseline_auc.<name>, threshold, rows.
    """
    evaluation = record.evaluation or {}
    threshold = evaluation.get("threshold") or {}
    scores = {"threshold": threshold.get("value"), "rows": record.data.get("rows")}
    estimates = {**(evaluation.get("metrics") or {}), "auc": evaluation.get("auc") or {}}
    for name, estimate in estimates.items():
        scores[name] = estimate.get("value")
        scores[f"{name}_low"] = estimate.get("low")
        scores[f"{name}_high"] = estimate.get("high")
    for baseline in evaluation.get("baselines") or []:
        scores[f"baseline_auc.{baseline['name']}"] = baseline.get("auc")
    return scores


def _log(client: Any, run: Any, batch: Batch, model_id: str | None = None) -> None:
    """Write a batch in MLflow's sizes: 1,000 entries, of them at most 100 parameters and tags."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(_key(key), float(value), moment, step, model_id=model_id)
        for key, value, moment, step in batch.metrics
        if isinstance(value, (int, float)) and math.isfinite(value)
    ]
    # a parameter cannot be changed in MLflow: what an earlier attempt wrote stays
    params = [
        Param(_key(key), _text(value, 6000))
        for key, value in batch.params.items()
        if _key(key) not in run.data.params
    ]
    tags = [RunTag(key, value) for key, value in batch.tags.items()]
    for start in range(0, max(len(metrics), len(params) * 8, 1), 800):
        some_params = params[start // 8 : start // 8 + 100]
        some_tags = tags if start == 0 else []
        client.log_batch(run.info.run_id, metrics[start : start + 800], some_params, some_tags)


def _key(name: str) -> str:
    """Return `name` in the characters that MLflow allows in keys."""
    return re.sub(r"[^\w.\-: /]", "_", str(name))[:250] or "_"


def _text(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _milliseconds(moment: str) -> int:
    """Return milliseconds since 1970 of an ISO time; one without a zone is UTC."""
    parsed = datetime.fromisoformat(moment)
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int(parsed.timestamp() * 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
