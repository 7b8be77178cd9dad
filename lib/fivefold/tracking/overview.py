"""What the app shows of each training run, read through the Metaflow Client.

An unfinished run cannot be asked whether it is alive. Its last sign of life (a task that started or
ended, a card that was drawn) tells: a fresh one means "running", an old one "stopped".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fivefold.core.findings import refusal
from fivefold.tracking import client
from fivefold.tracking.cards import drawn_at

if TYPE_CHECKING:
    import numpy as np

FINISHED, FAILED, RUNNING, STOPPED = "finished", "failed", "running", "stopped"
STATUSES = (FINISHED, RUNNING, FAILED, STOPPED)
ALIVE = 900.0  # seconds: one long fit may be silent; longer without a sign of life is "stopped"


@dataclass(frozen=True)
class RunOverview:
    """One line about a run. What cannot be read is None, whatever the reason."""

    run_id: str
    status: str  # one of `STATUSES`
    started: str | None  # ISO 8601, UTC
    ended: str | None  # of an unfinished run: its last sign of life
    seconds: float | None
    user: str | None
    step: str | None  # the last one begun
    target: str | None
    positive: str | None
    title: str | None
    source: str | None
    md5: str | None
    rows: int | None
    git_commit: str | None
    git_dirty: bool | None
    algorithm: str | None  # the winner
    auc: float | None  # on held-out rows, with its 95% interval
    low: float | None
    high: float | None

    @property
    def finished(self) -> bool:
        return self.status == FINISHED

    @property
    def problem(self) -> dict[str, str | None]:
        """The part of the scope that names the problem (`fivefold.core.scope.problem_name`)."""
        return {"title": self.title, "target": self.target}


@dataclass(frozen=True)
class RunDetails:
    """What a run kept, as far as it got; None for what is missing."""

    leaderboard: list[dict[str, Any]] | None
    blend: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    options: dict[str, Any] | None
    mlflow: dict[str, Any] | None
    failures: Mapping[str, str] = field(default_factory=dict)  # step -> error of a failed task


@dataclass(frozen=True)
class ThresholdData:
    """The rows from which a threshold is chosen: arrays of shape (rows,)."""

    y: np.ndarray[Any, Any]  # 1: positive, 0: negative
    scores: np.ndarray[Any, Any]  # out-of-fold probabilities, not calibrated
    fold_ids: np.ndarray[Any, Any]  # the fold of each row, negative outside the folds


def overview(run_id: str, now: datetime | None = None) -> RunOverview:
    """Return the overview of a run."""
    run = client.find_run(run_id)
    started, ended = _utc(run.created_at), _utc(run.finished_at)
    status, step, last_sign = _state(run, now or datetime.now(UTC))
    end = ended if status == FINISHED else last_sign
    problem = client.read(run, "problem") or {}
    source = client.read(run, "source") or {}
    code = source.get("code") or {}
    evaluation = client.read(run, "evaluation") or {}
    auc = evaluation.get("auc") or {}
    users = [tag.removeprefix("user:") for tag in run.system_tags if tag.startswith("user:")]
    return RunOverview(
        run_id=run_id,
        status=status,
        started=_iso(started),
        ended=_iso(end),
        seconds=(end - started).total_seconds() if started and end else None,
        user=users[0] if users else None,
        step=step,
        target=problem.get("target"),
        positive=problem.get("positive"),
        title=problem.get("title") or problem.get("target"),
        source=source.get("source"),
        md5=source.get("md5"),
        rows=source.get("rows"),
        git_commit=code.get("git_commit"),
        git_dirty=code.get("git_dirty"),
        algorithm=client.read(run, "winner"),
        auc=auc.get("value"),
        low=auc.get("low"),
        high=auc.get("high"),
    )


def details(run_id: str) -> RunDetails:
    """Return what a run kept, and why its tasks failed."""
    run = client.find_run(run_id)
    names = ("leaderboard", "blend", "evaluation", "options", "mlflow")
    kept = {name: client.read(run, name) for name in names}
    return RunDetails(**kept, failures=_failures(run))


def summary(run_id: str) -> dict[str, Any]:
    """Return the EDA summary of a run. Raises `Refused` where it cannot be read."""
    run = client.find_run(run_id)
    stored: dict[str, Any] | None = client.read(run, "summary")
    if stored is None:
        raise refusal(
            "There is no data report",
            code="summary-missing",
            subject=run.pathspec,
            found="no readable summary",
            expected="a run that passed the step eda",
            action="choose another run, or train again",
        )
    return stored


def threshold_data(run_id: str) -> ThresholdData:
    """Return the rows from which a threshold is chosen. Raises `Refused` where they are missing."""
    run = client.find_run(run_id)
    labels, fold_ids = client.read(run, "labels"), client.read(run, "place")
    scores = client.out_of_fold_scores(run)
    if labels is None or fold_ids is None or scores is None:
        raise refusal(
            "The threshold cannot be examined",
            code="scores-missing",
            subject=run.pathspec,
            found="no readable out-of-fold scores",
            expected="a run that passed the step select",
            action="choose another run, or train again",
        )
    return ThresholdData(labels["y"], scores, fold_ids)


def _state(run: Any, now: datetime) -> tuple[str, str | None, datetime | None]:
    """Return (status, last step begun, last sign of life)."""
    steps = sorted(run, key=lambda step: step.created_at)
    last_step = steps[-1].id if steps else None
    if run.successful:
        return FINISHED, last_step, _utc(run.finished_at)
    tasks = [task for step in steps for task in step]
    signs = [_utc(run.created_at)]
    for task in tasks:
        signs += [_utc(task.created_at), _utc(task.finished_at), drawn_at(task)]
    last_sign = max((sign for sign in signs if sign), default=None)
    if any(_has_failed(task) for task in tasks):
        return FAILED, last_step, last_sign
    is_alive = last_sign is not None and (now - last_sign).total_seconds() < ALIVE
    return RUNNING if is_alive else STOPPED, last_step, last_sign


def _failures(run: Any) -> dict[str, str]:
    """Return {step: error without its traceback} of the tasks that ended without success."""
    failures = {}
    for step in run:
        for task in filter(_has_failed, step):
            try:
                error = str(task.exception.exception or task.exception.type)
            except Exception:  # the error could not be kept, or cannot be read
                error = "no reason was kept"
            failures[step.id] = error[:2000]
    return failures


def _has_failed(task: Any) -> bool:
    """Return whether the newest attempt of a task failed (`Task.finished` is False then)."""
    metadata = task.metadata_dict
    is_done = bool(metadata.get("attempt-done") == metadata.get("attempt"))
    return metadata.get("attempt_ok") == "False" and is_done


def _utc(when: datetime | None) -> datetime | None:
    return when.astimezone(UTC) if when else None  # Metaflow's times are naive and local


def _iso(when: datetime | None) -> str | None:
    return when.isoformat(timespec="seconds") if when else None
