"""The child process of `fivefold.tracking.mlflow_mirror`, which writes a run's record to MLflow.

It is started as `python -m fivefold.tracking.mlflow_child FOLDER`.
"""

from __future__ import annotations

import json
import math
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fivefold.tracking.client import RunRecord
from fivefold.tracking.mlflow_mirror import COMPLETE, PATHSPEC, slug
from fivefold.tracking.mlflow_model import register, send_model, version_of
from fivefold.tracking.mlflow_store import Report, check, connect, find_run, locked

Row = Mapping[str, Any]  # a row of the leaderboard or a trial, as record.json has it
MetricRow = tuple[str, Any, int, int]  # key, value, milliseconds since 1970, step


def main(folder: Path) -> None:
    """Do what `folder`/request.json asks; write result.json, with {"fault": text} on failure."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    stage = folder / "stage"
    # the alarm ends this process even when its caller is gone
    signal.alarm(math.ceil(request["timeout"]) + 5)
    uri, report = request["uri"], stage.write_text
    try:
        check(uri, report)
        with locked(uri, report):
            if "models" in request:
                client, answer = connect(uri), {}
                for alias, model in request["models"].items():
                    client.set_registered_model_alias(model["name"], alias, model["version"])
            else:
                location, aliases = request["artifact_location"], request["aliases"]
                answer = mirror_here(uri, folder, report, location, aliases)
    except Exception as fault:
        where = stage.read_text(encoding="utf-8")
        answer = {"fault": f"{fault or type(fault).__name__} ({where})"}
    (folder / "result.json").write_text(json.dumps(answer), encoding="utf-8")


def mirror_here(
    uri: str, folder: Path, report: Report, location: str | None, aliases: Sequence[str] = ()
) -> dict[str, Any]:
    """Mirror the run whose files lie in `folder`; raises whatever MLflow raises.

    Returns the fields of `fivefold.tracking.mlflow_mirror.MirrorResult` that are known here.
    """
    written = (folder / "artifacts" / "record.json").read_text(encoding="utf-8")
    record = RunRecord.from_dict(json.loads(written))
    run, title = record.run, record.scope.get("title") or record.scope["target"]
    experiment = f"{run.flow}: {title}"[:500]
    name = slug(f"{run.flow} {title}")

    report("opening the store")
    client = connect(uri)
    report("looking for the run")
    parent = find_run(client, run.pathspec)
    is_complete = parent is not None and parent.data.tags.get(COMPLETE) == "complete"
    if parent is None:
        report("creating the experiment")
        experiment_id = _experiment_id(client, experiment, location)
        report("creating the parent run")
        parent = client.create_run(
            experiment_id, _milliseconds(run.started), _parent_tags(record), run.pathspec
        )
    experiment_id, parent_id = parent.info.experiment_id, parent.info.run_id
    runs = client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    begun = {child.data.tags["fivefold.algorithm"]: child for child in runs}
    children = {}
    for row in record.leaderboard:
        algorithm = row["algorithm"]
        child = begun.get(algorithm)
        if not is_complete:
            report(f"writing the child run {algorithm}")
            child = child or _create_child(client, parent, row, record)
            _write_child(client, child, row, record)
        if child:
            children[algorithm] = child.info.run_id
    if not is_complete:
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
        "children": children,
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
    run = record.run
    tags = {
        PATHSPEC: run.pathspec,
        "metaflow.flow": run.flow,
        "metaflow.run_id": run.run_id,
        "metaflow.origin_run_id": run.origin_run_id,
        "mlflow.user": run.user,
        "mlflow.source.name": run.flow,
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": run.git_commit,
        "git.dirty": run.git_dirty,
        "fivefold.winner": record.winner,
        "fivefold.bundle_sha256": record.bundle["sha256"],
        "fivefold.data_md5": record.data["md5"],
        "fivefold.caution": " ".join(record.cautions),
        "mlflow.note.content": "\n\n".join([*record.cautions, record.scope.get("question") or ""]),
    }
    return {key: _text(value, 8000) for key, value in tags.items() if value not in (None, "")}


def _create_child(client: Any, parent: Any, row: Row, record: RunRecord) -> Any:
    algorithm = row["algorithm"]
    tags = {
        "mlflow.parentRunId": parent.info.run_id,
        "fivefold.algorithm": algorithm,
        "mlflow.user": record.run.user or "",
        "mlflow.source.name": record.run.flow,
    }
    if row["status"] != "ok":
        tags["error"] = _text(row["error"], 8000)
    begin = _milliseconds(record.run.started)
    return client.create_run(parent.info.experiment_id, begin, tags, algorithm)


def _write_child(client: Any, run: Any, row: Row, record: RunRecord) -> None:
    """Write the search of one algorithm: its result, and every trial as a step."""
    begin, limit = _milliseconds(record.run.started), _milliseconds(record.run.finished)
    end = max(begin, min(limit, begin + int(1000 * row["seconds"])))
    metrics = _trial_metrics(row["trials"], begin, limit)
    metrics += [(key, row[key], end, 0) for key in ("auc_mean", "auc_std", "seconds", "rank")]
    metrics += [("fold_auc", score, end, fold) for fold, score in enumerate(row["fold_scores"])]
    _log(client, run, metrics, row["params"])
    failed = row["status"] != "ok" and not row.get("skipped")  # left out on purpose is no failure
    status = "FAILED" if failed else "FINISHED"
    client.set_terminated(run.info.run_id, status, end)


def _trial_metrics(trials: Sequence[Row], begin: int, limit: int) -> list[MetricRow]:
    metrics: list[MetricRow] = []
    best, clock = -math.inf, float(begin)
    for trial in trials:
        clock += 1000 * trial["seconds"]
        moment, step, auc = min(int(clock), limit), trial["number"], trial["auc"]
        if auc is not None and trial["state"] == "complete":
            best = max(best, auc)
        metrics += [("trial_auc", auc, moment, step), ("best_auc", best, moment, step)]
    return metrics


def _write_parent(
    client: Any, parent: Any, name: str, record: RunRecord, folder: Path, report: Report
) -> None:
    """Write everything of the parent run; the tag `COMPLETE` comes last."""
    parent_id, finished = parent.info.run_id, _milliseconds(record.run.finished)
    report("writing the parent run")
    _log(client, parent, [], _parent_params(record))
    client.log_inputs(parent_id, [_dataset_input(record)])
    report("sending the artifacts")
    _send_artifacts(client, parent_id, record, folder)
    report("sending the model")
    model_id = send_model(client, parent, name, record, folder)
    report("writing the metrics")
    metrics = [(key, value, finished, 0) for key, value in _scores(record).items()]
    _log(client, parent, metrics, {}, model_id)
    report("registering the model")
    register(client, name, model_id, parent_id, record)
    report("finishing the run")
    client.set_terminated(parent_id, "FINISHED", finished)
    client.set_tag(parent_id, COMPLETE, "complete")


def _parent_params(record: RunRecord) -> dict[str, Any]:
    params = {**record.parameters, "winner": record.winner}
    for row in record.leaderboard:
        if row["algorithm"] == record.winner:
            params |= {f"winner.{key}": value for key, value in row["params"].items()}
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
    source = data["source"]
    kind = source.split("://", 1)[0] if "://" in source else "local"
    address = {"url" if kind.startswith("http") else "uri": source}
    last_part = re.split(r"[/\\]", source.rstrip("/"))[-1]
    used = [column for column in record.schema["columns"] if column.get("used", True)]
    types = {"numeric": "double"}  # all others are texts
    columns = [{"type": types.get(c["kind"], "string"), "name": c["name"]} for c in used]
    dataset = Dataset(
        name=(last_part or "data")[:500],
        digest=data["md5"][:36],
        source_type="http" if kind == "https" else kind[:36],
        source=json.dumps(address)[:65535],
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": data["rows"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _send_artifacts(client: Any, run_id: str, record: RunRecord, folder: Path) -> None:
    """Send cards/<name>.html, record.json, and two tables for MLflow's table view."""
    send = folder / "artifacts"
    board: list[Row] = []
    trials: list[Row] = []
    for row in record.leaderboard:
        board.append({**row, "trials": len(row["trials"])})
        trials += [{"algorithm": row["algorithm"], **trial} for trial in row["trials"]]
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
    evaluation = record.evaluation
    scores = {"threshold": evaluation["threshold"]["value"], "rows": record.data["rows"]}
    for name, estimate in {**evaluation["metrics"], "auc": evaluation["auc"]}.items():
        scores[name] = estimate["value"]
        scores[f"{name}_low"] = estimate.get("low")
        scores[f"{name}_high"] = estimate.get("high")
    for baseline in evaluation["baselines"]:
        scores[f"baseline_auc.{baseline['name']}"] = baseline["auc"]
    return scores


def _log(
    client: Any,
    run: Any,
    rows: Sequence[MetricRow],
    values: Mapping[str, Any],
    model_id: str | None = None,
) -> None:
    """Write 1,000 metrics or 100 parameters at a time, as MLflow takes them."""
    from mlflow.entities import Metric, Param

    metrics = [
        Metric(_key(key), float(value), moment, step, model_id=model_id)
        for key, value, moment, step in rows
        if value is not None and math.isfinite(value)
    ]
    # a parameter cannot be changed in MLflow: what an earlier attempt wrote stays
    params = [
        Param(_key(key), _text(value, 6000))
        for key, value in values.items()
        if _key(key) not in run.data.params
    ]
    for start in range(0, len(metrics), 1000):
        client.log_batch(run.info.run_id, metrics[start : start + 1000])
    for start in range(0, len(params), 100):
        client.log_batch(run.info.run_id, params=params[start : start + 100])


def _key(name: str) -> str:
    """Return `name` in the characters that MLflow allows in keys."""
    return re.sub(r"[^\w.\-: /]", "_", str(name))[:250] or "_"


def _text(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _milliseconds(moment: str) -> int:
    """Return milliseconds since 1970 of an ISO time with a zone."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
