"""Run overview: what a person wants to know of each training run, read through the Metaflow Client.

An unfinished run cannot be asked whether it lives: its last sign of life (a task that started or ended, a card that
was drawn) says "running" when it is fresh and "stopped" when it is old.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.tracking.cards import drawn_at
from fivefold.tracking.client import FLOW, artifact, find_run

FINISHED, FAILED, RUNNING, STOPPED = "finished", "failed", "running", "stopped"
ALIVE = 900.0  # seconds without a sign of life after which a run counts as stopped; one long fit may be silent


def run_ids(flow: str = FLOW) -> list[str]:
    """The ids of all runs, newest first; empty where the flow never ran."""
    import metaflow
    from metaflow.exception import MetaflowNotFound

    metaflow.namespace(None)
    try:
        return [run.id for run in metaflow.Flow(flow)]
    except MetaflowNotFound:
        return []


def overview(run_id: str, flow: str = FLOW, now: datetime | None = None) -> dict[str, Any]:
    """One line about a run; JSON-ready. What cannot be read is None, whatever the reason.

    Keys: run_id, status, started and ended (ISO 8601, UTC), seconds, user, step (the last one begun), target, positive,
    title, source, md5, rows, git_commit, git_dirty, algorithm, auc, low, high.
    """
    run = find_run(run_id, flow)
    now = now or datetime.now(UTC)
    started, ended = _utc(run.created_at), _utc(run.finished_at)
    status, step, last = _state(run, now)
    source, problem, evaluation = (
        artifact(run, *place) or {}
        for place in (("start", "source"), ("start", "problem"), ("evaluate", "evaluation"))
    )
    auc, code = evaluation.get("auc") or {}, source.get("code") or {}
    until = ended if status == FINISHED else last
    return {
        "run_id": run_id,
        "status": status,
        "started": _iso(started),
        "ended": _iso(until),
        "seconds": (until - started).total_seconds() if started and until else None,
        "user": next(
            (t.removeprefix("user:") for t in run.system_tags if t.startswith("user:")), None
        ),
        "step": step,
        "target": problem.get("target"),
        "positive": problem.get("positive"),
        "title": problem.get("title") or problem.get("target"),
        "source": source.get("source"),
        "md5": source.get("md5"),
        "rows": source.get("rows"),
        "git_commit": code.get("git_commit"),
        "git_dirty": code.get("git_dirty"),
        "algorithm": artifact(run, "select", "winner"),
        "auc": auc.get("value"),
        "low": auc.get("low"),
        "high": auc.get("high"),
    }


def details(run_id: str, flow: str = FLOW) -> dict[str, Any]:
    """{leaderboard, blend, evaluation, options, mlflow, failed} of a run, as far as it got; else None.

    `failed`: {step: what was raised} of tasks that ended without success.
    """
    run = find_run(run_id, flow)
    found = {
        name: artifact(run, step, name)
        for step, name in (
            ("select", "leaderboard"),
            ("select", "blend"),
            ("evaluate", "evaluation"),
            ("start", "options"),
            ("record", "mlflow"),
        )
    }
    return found | {"failed": _failures(run)}


def summary(run_id: str, flow: str = FLOW) -> dict[str, Any]:
    """The EDA summary of a run. Raises `Refused` where the run has none that loads."""
    found = artifact(find_run(run_id, flow), "eda", "summary")
    if found is None:
        raise Refused(
            "There is no data report",
            [
                Finding(
                    code="summary-missing",
                    severity=ERROR,
                    subject=f"{flow}/{run_id}",
                    found="no readable summary",
                    expected="a run that passed the step eda",
                    action="choose another run, or train again",
                )
            ],
        )
    return found


def judged(run_id: str, flow: str = FLOW) -> dict[str, Any]:
    """{labels, oof, place}: arrays of shape (rows,) from which a threshold is chosen. Raises `Refused` without them."""
    run = find_run(run_id, flow)
    labels, fold_ids = artifact(run, "validate", "labels"), artifact(run, "split", "place")
    kept = (
        artifact(run, step, name)
        for step, name in (
            ("evaluate", "served_oof"),
            ("select", "served_oof"),
            ("select", "winner_oof"),
        )
    )  # older runs lack the first ones
    oof = next((found for found in kept if found is not None), None)
    if labels is None or fold_ids is None or oof is None:
        raise Refused(
            "The threshold cannot be weighed",
            [
                Finding(
                    code="scores-missing",
                    severity=ERROR,
                    subject=f"{flow}/{run_id}",
                    found="no readable out-of-fold scores",
                    expected="a run that passed the step select",
                    action="choose another run, or train again",
                )
            ],
        )
    return {"labels": labels["y"], "oof": oof, "place": fold_ids}


def _state(run: Any, now: datetime) -> tuple[str, str | None, datetime | None]:
    """(status, last step begun, last sign of life)."""
    steps = sorted(run, key=lambda s: s.created_at)
    step = steps[-1].id if steps else None
    if run.successful:
        return FINISHED, step, _utc(run.finished_at)
    tasks = [task for s in steps for task in s]
    signs = [
        t
        for task in tasks
        for t in (_utc(task.created_at), _utc(task.finished_at), drawn_at(task))
        if t
    ]
    last = max(signs, default=_utc(run.created_at))
    if any(map(_failed, tasks)):
        return FAILED, step, last
    alive = last is not None and (now - last).total_seconds() < ALIVE
    return RUNNING if alive else STOPPED, step, last


def _failures(run: Any) -> dict[str, str]:
    """{step: what was raised, without its traceback} of tasks that ended without success."""
    found = {}
    for step in run:
        for task in filter(_failed, step):
            try:
                found[step.id] = str(task.exception.exception or task.exception.type)[:2000]
            except Exception:  # what was raised could not be kept, or cannot be read
                found[step.id] = "no reason was kept"
    return found


def _failed(task: Any) -> bool:
    """Whether the newest attempt of a task has ended without success (`Task.finished` is False)."""
    told = task.metadata_dict
    return told.get("attempt_ok") == "False" and told.get("attempt-done") == told.get("attempt")


def _utc(when: datetime | None) -> datetime | None:
    return when.astimezone(UTC) if when else None  # Metaflow's times are naive and local


def _iso(when: datetime | None) -> str | None:
    return when.isoformat(timespec="seconds") if when else None
