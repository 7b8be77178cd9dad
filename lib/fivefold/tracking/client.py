"""Training runs through the Metaflow Client: find one, read its artifacts, make its record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fivefold.core.findings import Refused, refusal
from fivefold.core.stored import Stored

if TYPE_CHECKING:
    from fivefold.model.bundle import Bundle

FLOW = "TrainFlow"
PACKAGES = (  # that a model's figures depend on
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "lightgbm",
    "xgboost-cpu",
    "xgboost",
    "skops",
    "pyarrow",
)
# Artifacts that other processes read, and the step that keeps each. Old runs stay readable as long
# as no name and no step is changed here.
STEP_OF = {
    "problem": "start",
    "options": "start",
    "source": "start",
    "table": "start",
    "origin": "start",
    "labels": "validate",
    "summary": "eda",
    "place": "split",
    "contract": "split",
    "typed": "split",
    "arms": "split",
    "leaderboard": "select",
    "winner": "select",
    "blend": "select",
    "evaluation": "evaluate",
    "bundle": "evaluate",
    "bundle_sha256": "evaluate",
    "judged": "evaluate",
    "example": "evaluate",
    "mlflow": "record",
}


def find_run(run: str | None = None) -> Any:
    """Return a Metaflow `Run`: that of an id or pathspec, by default the newest that succeeded.

    Raises
    ------
    Refused
        There is no such run.
    """
    if run:
        found = _find(lambda metaflow: metaflow.Run(f"{FLOW}/{run.rpartition('/')[2]}"))
    else:
        found = next(finished_runs(), None)
    if found is None:
        raise refusal(
            "There is no model",
            code="run-missing",
            subject=FLOW,
            found=f"no run {run!r}" if run else "no finished run",
            expected="a finished training run",
            action="python flows/train.py run",
        )
    return found


def all_runs() -> list[Any]:
    """Return all runs, newest first; none where the flow never ran."""
    return list(_find(lambda metaflow: metaflow.Flow(FLOW)) or [])


def finished_runs() -> Iterator[Any]:
    """Yield the runs that succeeded, newest first."""
    return (run for run in all_runs() if run.successful)


def _find(look_up: Callable[[Any], Any]) -> Any:
    """Return what is looked up in `metaflow`, in all namespaces; None where it is missing."""
    import metaflow
    from metaflow.exception import MetaflowInvalidPathspec, MetaflowNotFound

    client: Any = metaflow
    client.namespace(None)
    try:
        return look_up(client)
    except (MetaflowNotFound, MetaflowInvalidPathspec):
        return None


def read(run: Any, name: str) -> Any:
    """Return an artifact of `STEP_OF`; None where it is missing or cannot be read."""
    return _read(run, STEP_OF[name], name)


def require(run: Any, name: str, code: str = "artifact-missing") -> Any:
    """Return an artifact of `STEP_OF`. Raises `Refused` where it is missing or cannot be read."""
    value = read(run, name)
    if value is None:
        raise unreadable(run, f"artifact {name}", STEP_OF[name], code)
    return value


def unreadable(run: Any, what: str, step: str, code: str) -> Refused:
    """Return the error to raise where a run lacks something that a step keeps."""
    return refusal(
        "The run cannot be read",
        code=code,
        subject=run.pathspec,
        found=f"no readable {what}",
        expected=f"a run that passed the step {step}",
        action="resume it, choose another run, or train again",
    )


def out_of_fold_scores(run: Any) -> Any:
    """Return the probabilities behind the threshold, shape (searched rows,); None without them."""
    # they moved twice, the newest first
    for step, name in (
        ("evaluate", "served_oof"),
        ("select", "served_oof"),
        ("select", "winner_oof"),
    ):
        scores = _read(run, step, name)
        if scores is not None:
            return scores
    return None


def _read(run: Any, step: str, name: str) -> Any:
    try:
        return run[step].task[name].data
    except Exception:  # the client raises many kinds for what is missing or damaged
        return None


def bundle_bytes(run: Any) -> tuple[bytes, str]:
    """Return the bundle of a run and its sha256. Raises `Refused` where they cannot be read."""
    code = "bundle-missing"
    return require(run, "bundle", code), require(run, "bundle_sha256", code)


def evaluated_bundle(run: Any, served: Bundle) -> Bundle:
    """Return the model of a run that never saw its held-out rows.

    That is `served`, the bundle of the run, unless it was fitted once more on all rows: then it is
    the model as it was before, which the run keeps beside it.

    Raises
    ------
    Refused
        That model is lost or damaged. The served model is no substitute.
    """
    from fivefold.model.bundle import from_bytes

    refit = served.metadata.refit
    if refit is None:
        return served
    return from_bytes(require(run, "judged", "judged-missing"), refit.judged_sha256)


def earlier_summary(source: str, current_run: str) -> tuple[dict[str, Any], str] | None:
    """Return (EDA summary, pathspec) of the newest other run on the same source. Never raises."""
    try:
        for run in finished_runs():
            if run.id != current_run and read(run, "source")["source"] == source:
                summary = read(run, "summary")
                return None if summary is None else (summary, run.pathspec)
    except Exception:  # an old or damaged run must not stop a new one
        return None
    return None


@dataclass(frozen=True)
class RunFacts(Stored):
    """Where a run comes from."""

    flow: str
    run_id: str
    pathspec: str
    started: str  # ISO 8601
    finished: str
    user: str | None
    git_commit: str | None
    git_dirty: bool | None
    origin_run_id: str | None  # of a resumed run: the one that it goes on from


@dataclass(frozen=True)
class RunRecord(Stored):
    """Everything that a mirror needs to know of a finished run; all values are JSON-ready."""

    run: RunFacts
    scope: Mapping[str, Any]
    parameters: Mapping[str, Any]
    data: Mapping[str, Any]
    leaderboard: list[Mapping[str, Any]]
    winner: str
    evaluation: Mapping[str, Any]
    bundle: Mapping[str, str]  # sha256
    schema: Mapping[str, Any]
    example: list[Mapping[str, Any]]
    versions: Mapping[str, str]
    blend: Mapping[str, Any] | None = None
    cautions: Sequence[str] = ()  # that have to stand beside the figures


def run_record(pathspec: str, artifacts: Any) -> RunRecord:
    """Return the record of a run. `artifacts`: the flow itself, or the data of its step `record`.

    The same artifacts give the same record, whether inside the run or years later.
    """
    from fivefold.model.evaluation import Evaluation  # heavy

    flow, run_id = pathspec.split("/")[:2]
    first_run_id = artifacts.first_run_id
    run = RunFacts(
        flow=flow,
        run_id=run_id,
        pathspec=f"{flow}/{run_id}",
        started=artifacts.started,
        finished=artifacts.finished,
        user=artifacts.user,
        origin_run_id=None if first_run_id == run_id else first_run_id,
        **artifacts.source["code"],
    )
    return RunRecord(
        run=run,
        scope=artifacts.problem,
        parameters=artifacts.options,
        data=artifacts.source,
        leaderboard=artifacts.leaderboard,
        winner=artifacts.winner,
        evaluation=artifacts.evaluation,
        bundle={"sha256": artifacts.bundle_sha256},
        schema=json.loads(artifacts.contract),
        example=artifacts.example,
        versions=artifacts.versions,
        blend=getattr(artifacts, "blend", None),  # runs before there was a blend have none
        cautions=Evaluation.from_dict(artifacts.evaluation).cautions,
    )


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return {package: version} of the packages that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
