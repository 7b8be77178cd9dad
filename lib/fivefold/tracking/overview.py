"""What the app shows of each training run, read through the Metaflow Client.

An unfinished run cannot be asked whether it is alive. Its last sign of life (a task that started or
ended, a card that was drawn) tells: a fresh one means "running", an old one "stopped".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fivefold.tracking import client
from fivefold.tracking.metaflow_cards import drawn_at

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
    started: str  # ISO 8601, UTC
    ended: str  # of an unfinished run: its last sign of life
    seconds: float
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
    cautions: Sequence[str] = ()  # that have to stand beside the ROC AUC

    @property
    def finished(self) -> bool:
        return self.status == FINISHED


@dataclass(frozen=True)
class RunDetails:
    """What a run kept, as far as it got; None for what is missing."""

    leaderboard: list[dict[str, Any]] | None
    blend: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    options: dict[str, Any] | None
    failures: Mapping[str, str]  # step -> error of a failed task


@dataclass(frozen=True)
class ThresholdData:
    """The rows from which a threshold is chosen: arrays of shape (rows,)."""

    y: np.ndarray[Any, Any]  # 1: positive, 0: negative
    scores: np.ndarray[Any, Any]  # out-of-fold probabilities, not calibrated
    fold_ids: np.ndarray[Any, Any]  # the fold of each row, negative outside the folds


def overview(run_id: str) -> RunOverview:
    """Return the overview of a run."""
    run = client.find_run(run_id)
    started = _utc(run.created_at)
    status, step, ended = _state(run)
    problem = client.read(run, "problem") or {}
    source = client.read(run, "source") or {}
    code = source.get("code") or {}
    from fivefold.model.evaluation import Evaluation  # heavy

    evaluation = client.read(run, "evaluation") or {}
    auc = evaluation.get("auc") or {}
    users = [tag.removeprefix("user:") for tag in run.system_tags if tag.startswith("user:")]
    return RunOverview(
        run_id=run_id,
        status=status,
        started=started.isoformat(timespec="seconds"),
        ended=ended.isoformat(timespec="seconds"),
        seconds=(ended - started).total_seconds(),
        user=next(iter(users), None),
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
        cautions=Evaluation.from_dict(evaluation).cautions,
    )


def details(run_id: str) -> RunDetails:
    """Return what a run kept, and why its tasks failed."""
    run = client.find_run(run_id)
    names = ("leaderboard", "blend", "evaluation", "options")
    kept = {name: client.read(run, name) for name in names}
    return RunDetails(**kept, failures=_failures(run))


def summary(run_id: str) -> dict[str, Any]:
    """Return the EDA summary of a run. Raises `Refused` where it cannot be read."""
    return dict(client.require(client.find_run(run_id), "summary", "summary-missing"))


def threshold_data(run_id: str) -> ThresholdData:
    """Return the rows from which a threshold is chosen. Raises `Refused` where they are missing."""
    run = client.find_run(run_id)
    code = "scores-missing"
    labels, fold_ids = client.require(run, "labels", code), client.require(run, "place", code)
    scores = client.out_of_fold_scores(run)
    if scores is None:
        raise client.unreadable(run, "out-of-fold scores", "select", code)
    return ThresholdData(labels["y"], scores, fold_ids)


def _state(run: Any) -> tuple[str, str | None, datetime]:
    """Return (status, last step begun, last sign of life)."""
    steps = sorted(run, key=lambda step: step.created_at)
    last_step = steps[-1].id if steps else None
    if run.successful:
        return FINISHED, last_step, _utc(run.finished_at)
    tasks = [task for step in steps for task in step]
    signs = [_utc(run.created_at)]
    for task in tasks:
        signs += [_utc(when) for when in (task.created_at, task.finished_at) if when]
        if drawn := drawn_at(task):
            signs.append(drawn)
    last_sign = max(signs)
    if any(_has_failed(task) for task in tasks):
        return FAILED, last_step, last_sign
    is_alive = (datetime.now(UTC) - last_sign).total_seconds() < ALIVE
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


def _utc(when: datetime) -> datetime:
    return when.astimezone(UTC)  # Metaflow's times are naive and local
