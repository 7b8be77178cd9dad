"""The child process of `fivefold.tracking.mlflow_mirror`: writes a run's record to MLflow. `python -m fivefold.tracking.mlflow_child FOLDER`."""

from __future__ import annotations

import json
import math
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fivefold.tracking.mlflow_mirror import COMPLETE, PATHSPEC, slug
from fivefold.tracking.mlflow_model import register, send_model, signature, version_of
from fivefold.tracking.mlflow_store import Report, alone, check, connect, find_run


def main(folder: Path) -> None:
    """Do what `folder`/request.json asks; write result.json, or {"fault": text} in its place."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    stage = folder / "stage"
    signal.alarm(
        math.ceil(request["timeout"]) + 5
    )  # ends this process even when its caller is gone
    try:
        check(request["uri"], stage.write_text)
        with alone(request["uri"], stage.write_text):
            if request["do"] == "find":
                answer = find_here(request["uri"], request["pathspec"])
            elif request["do"] == "alias":
                answer = alias_here(request["uri"], request["models"])
            else:
                answer = mirror_here(
                    request["uri"],
                    folder,
                    stage.write_text,
                    request["place"],
                    request.get("aliases", ()),
                )
    except Exception as fault:
        answer = {"fault": f"{fault or type(fault).__name__} ({stage.read_text(encoding='utf-8')})"}
    (folder / "part").write_text(json.dumps(answer), encoding="utf-8")
    (folder / "part").rename(folder / "result.json")


def find_here(uri: str, pathspec: str) -> dict[str, Any]:
    """`fivefold.tracking.mlflow_mirror.find` in this process: {"run_id": id or ""}."""
    run = find_run(connect(uri), pathspec)
    return {"run_id": run.info.run_id if run else ""}


def alias_here(uri: str, models: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """`fivefold.tracking.mlflow_mirror.alias` in this process."""
    client = connect(uri)
    for name, model in models.items():
        client.set_registered_model_alias(model["name"], name, model["version"])
    return {}


def mirror_here(
    uri: str, folder: Path, report: Report, place: str | None, aliases: Sequence[str] = ()
) -> dict[str, Any]:
    """`mirror` in this process, from the files in `folder`; raises whatever MLflow raises."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    facts, scope, arms = record["run"], record["scope"], record["leaderboard"]
    title = scope.get("title") or scope.get("target") or ""
    report("opening the store")
    client = connect(uri)
    experiment = f"{facts['flow']}: {title}"[:500] if title else facts["flow"]
    name = slug(f"{facts['flow']} {title}")
    result: dict[str, Any] = {"experiment": experiment, "model_name": name}

    report("looking for the run")
    parent = find_run(client, facts["pathspec"])
    known = parent is not None and parent.data.tags.get(COMPLETE) == "complete"
    if parent is None:
        report("creating the experiment")
        experiment_id = _experiment(client, experiment, place)
        report("creating the parent run")
        parent = client.create_run(
            experiment_id, _ms(facts["started"]), _parent_tags(record), facts["pathspec"]
        )
    experiment_id, parent_id = parent.info.experiment_id, parent.info.run_id
    children = {
        r.data.tags["fivefold.algorithm"]: r
        for r in client.search_runs([experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    }
    if not known:
        for arm in arms:
            report(f"writing the child run {arm['algorithm']}")
            children[arm["algorithm"]] = _child(
                client, parent, children.get(arm["algorithm"]), arm, facts
            )
        report("writing the parent run")
        _write_parent(client, parent, record)
        report("sending the artifacts")
        _send_artifacts(client, parent_id, record, folder)
        report("sending the model")
        model_id = send_model(client, parent, name, record, folder)
        report("writing the metrics")
        _log(
            client,
            parent_id,
            [(k, v, _ms(facts["finished"]), 0) for k, v in _scores(record).items()],
            model_id=model_id,
        )
        report("registering the model")
        register(client, name, model_id, parent_id, record)
        report("finishing the run")
        client.set_terminated(parent_id, "FINISHED", _ms(facts["finished"]))
        client.set_tag(parent_id, COMPLETE, "complete")
    version = version_of(client, name, parent_id)
    for alias in aliases if version else ():
        client.set_registered_model_alias(name, alias, str(version.version))
    return {
        **result,
        "status": "unchanged" if known else "mirrored",
        "experiment_id": experiment_id,
        "run_id": parent_id,
        "children": {
            k: children[k].info.run_id for k in (a["algorithm"] for a in arms) if k in children
        },
        "model_version": str(version.version) if version else "",
        "model_uri": f"models:/{name}/{version.version}" if version else "",
    }


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
        raise RuntimeError(
            f"the experiment {name!r} is in MLflow's bin: use `mlflow experiments restore` or `gc`"
        )
    return found.experiment_id


def _parent_tags(record: Mapping[str, Any]) -> dict[str, str]:
    facts, data = record["run"], record.get("data", {})
    tags = {
        PATHSPEC: facts["pathspec"],
        "metaflow.flow": facts["flow"],
        "metaflow.run_id": facts["run_id"],
        "metaflow.origin_run_id": facts.get("origin_run_id"),
        "mlflow.user": facts.get("user"),
        "mlflow.source.name": facts["flow"],
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": facts.get("git_commit"),
        "git.dirty": facts.get("git_dirty"),
        "fivefold.winner": record.get("winner"),
        "fivefold.bundle_sha256": record.get("bundle", {}).get("sha256"),
        "fivefold.data_md5": data.get("md5"),
        "mlflow.note.content": record["scope"].get("question"),
    }
    return {k: _text(v, 8000) for k, v in tags.items() if v not in (None, "")}


def _child(
    client: Any, parent: Any, run: Any, arm: Mapping[str, Any], facts: Mapping[str, Any]
) -> Any:
    """The child run of one algorithm with every trial as a step; `run` is what an earlier attempt left."""
    begin, limit = _ms(facts["started"]), _ms(facts["finished"])
    if run is None:
        tags = {
            "mlflow.parentRunId": parent.info.run_id,
            "fivefold.algorithm": arm["algorithm"],
            "mlflow.user": parent.data.tags.get("mlflow.user", ""),
            "mlflow.source.name": facts["flow"],
        }
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
    rows += [
        ("fold_auc", score, end, fold) for fold, score in enumerate(arm.get("fold_scores") or [])
    ]
    failed = arm.get("status") != "ok"
    _log(
        client,
        run.info.run_id,
        rows,
        {} if failed else arm.get("params") or {},
        run.data.params,
        {"error": _text(arm.get("error") or "no reason was recorded", 8000)} if failed else {},
    )
    client.set_terminated(run.info.run_id, "FAILED" if failed else "FINISHED", end)
    return run


def _write_parent(client: Any, parent: Any, record: Mapping[str, Any]) -> None:
    """Parameters, and the data as a dataset input whose digest is its md5."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    params = {**record.get("parameters", {}), "winner": record.get("winner")}
    winner: Mapping[str, Any] = next(
        (a for a in record["leaderboard"] if a["algorithm"] == record.get("winner")), {}
    )
    params |= {f"winner.{k}": v for k, v in (winner.get("params") or {}).items()}
    if blend := record.get("blend"):
        params |= {
            "served": blend["served"],
            **{f"blend.{k}": v for k, v in blend["weights"].items()},
            "blend.auc_mean": blend["auc_mean"],
            "blend.gain": blend["gain"],
        }
    _log(client, parent.info.run_id, [], params, parent.data.params)
    data = record["data"]
    source = str(data.get("source", ""))
    kind = source.split("://", 1)[0] if "://" in source else "local"
    where = {"url" if kind.startswith("http") else "uri": source}
    columns = [{"type": c.type.name, "name": c.name} for c in signature(record).inputs]
    client.log_inputs(
        parent.info.run_id,
        [
            DatasetInput(
                Dataset(
                    name=(re.split(r"[/\\]", source.rstrip("/"))[-1] or "data")[:500],
                    digest=str(data["md5"])[:36],
                    source_type="http" if kind == "https" else kind[:36],
                    source=json.dumps(where)[:65535],
                    schema=json.dumps({"mlflow_colspec": columns}),
                    profile=json.dumps({"num_rows": data.get("rows")}),
                ),
                [InputTag("mlflow.data.context", "training")],
            )
        ],
    )


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
        cells = [
            [json.dumps(v) if isinstance(v, (dict, list)) else v for v in map(row.get, columns)]
            for row in rows
        ]
        (send / file).write_text(json.dumps({"columns": columns, "data": cells}), encoding="utf-8")
    client.log_artifacts(run_id, str(send))
    client.set_tag(
        run_id, "mlflow.loggedArtifacts", json.dumps([{"path": p, "type": "table"} for p in tables])
    )


def _scores(record: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation as flat metrics: <name>, <name>_low, <name>_high, baseline_auc.<name>, threshold, rows."""
    evaluation = record.get("evaluation") or {}
    flat = {
        "threshold": (evaluation.get("threshold") or {}).get("value"),
        "rows": record.get("data", {}).get("rows"),
    }
    for name, told in {
        **(evaluation.get("metrics") or {}),
        "auc": evaluation.get("auc") or {},
    }.items():
        flat |= {
            name: told.get("value"),
            f"{name}_low": told.get("low"),
            f"{name}_high": told.get("high"),
        }
    return {
        **flat,
        **{f"baseline_auc.{b['name']}": b.get("auc") for b in evaluation.get("baselines") or []},
    }


def _log(
    client: Any,
    run_id: str,
    rows: list[tuple[str, Any, int, int]],
    params: Mapping[str, Any] | None = None,
    written: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    model_id: str | None = None,
) -> None:
    """Write (key, value, ms, step) rows, parameters not yet `written`, and tags, in MLflow's batch sizes."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [
        Metric(_key(k), float(v), ms, step, model_id=model_id)
        for k, v, ms, step in rows
        if isinstance(v, (int, float)) and math.isfinite(v)
    ]
    # a parameter cannot be changed in MLflow: what an earlier attempt wrote stays
    pairs = [
        Param(_key(k), _text(v, 6000))
        for k, v in (params or {}).items()
        if _key(k) not in (written or {})
    ]
    marks = [RunTag(k, v) for k, v in (tags or {}).items()]
    for start in range(0, max(len(metrics), len(pairs) * 8, 1), 800):
        part = slice(start // 8, start // 8 + 100)
        client.log_batch(
            run_id, metrics[start : start + 800], pairs[part], marks if start == 0 else []
        )


def _key(name: str) -> str:
    """`name` in the characters that MLflow allows in keys."""
    return re.sub(r"[^\w.\-: /]", "_", str(name))[:250] or "_"


def _text(value: Any, limit: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _ms(moment: str) -> int:
    """Milliseconds since 1970 of an ISO time; one without a zone is UTC."""
    parsed = datetime.fromisoformat(moment)
    return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp() * 1000)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
