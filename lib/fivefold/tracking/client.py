"""Training runs through the Metaflow Client: find one, read its artifacts, make its record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from fivefold.core.findings import refusal

if TYPE_CHECKING:
    from fivefold.model.bundle import Bundle

FLOW = "TrainFlow"
TRAIN = "python flows/train.py run"
PACKAGES = (
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
# The out-of-fold scores behind the threshold moved twice: (step, artifact), the newest first.
OUT_OF_FOLD = (("evaluate", "served_oof"), ("select", "served_oof"), ("select", "winner_oof"))


def find_run(run: str | None = None) -> Any:
    """Return a Metaflow `Run`: that of an id or pathspec, by default the newest that succeeded.

    Raises
    ------
    Refused
        There is no such run.
    """
    import metaflow
    from metaflow.exception import MetaflowInvalidPathspec, MetaflowNotFound

    client: Any = metaflow
    client.namespace(None)
    newest = None
    try:
        if run:
            return client.Run(f"{FLOW}/{run.rpartition('/')[2]}")
        newest = client.Flow(FLOW).latest_successful_run
    except (MetaflowNotFound, MetaflowInvalidPathspec):
        pass
    if newest is None:
        raise refusal(
            "There is no model",
            code="run-missing",
            subject=FLOW,
            found=f"no run {run!r}" if run else "no finished run",
            expected="a finished training run",
            action=TRAIN,
        )
    return newest


def all_runs() -> list[Any]:
    """Return all runs, newest first; none where the flow never ran."""
    import metaflow
    from metaflow.exception import MetaflowNotFound

    client: Any = metaflow
    client.namespace(None)
    try:
        return list(client.Flow(FLOW))
    except MetaflowNotFound:
        return []


def finished_runs() -> Iterator[Any]:
    """Yield the runs that succeeded, newest first."""
    return (run for run in all_runs() if run.successful)


def read(run: Any, name: str) -> Any:
    """Return an artifact of `STEP_OF`; None where it is missing or cannot be read."""
    return _read(run, STEP_OF[name], name)


def require(run: Any, name: str) -> Any:
    """Return an artifact of `STEP_OF`. Raises `Refused` where it is missing or cannot be read."""
    value = read(run, name)
    if value is None:
        raise refusal(
            "The run cannot be read",
            code="artifact-missing",
            subject=run.pathspec,
            found=f"no readable artifact {name}",
            expected=f"a run that passed the step {STEP_OF[name]}",
            action="resume it, or choose another run with --run-id",
        )
    return value


def out_of_fold_scores(run: Any) -> Any:
    """Return the probabilities behind the threshold, shape (searched rows,); None without them."""
    for step, name in OUT_OF_FOLD:
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
    blob, digest = read(run, "bundle"), read(run, "bundle_sha256")
    if blob is None or digest is None:
        raise refusal(
            "There is no model",
            code="bundle-missing",
            subject=run.pathspec,
            found="no readable bundle",
            expected="a run that passed the step evaluate",
            action="resume it, or choose another run with --run-id",
        )
    return blob, digest


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
    blob = read(run, "judged")
    if not blob:
        raise refusal(
            "The model cannot be evaluated",
            code="judged-missing",
            subject=run.pathspec,
            found="no readable model that has not seen the held-out rows",
            expected="the artifact judged of the step evaluate",
            action=f"train again: {TRAIN}",
        )
    return from_bytes(blob, refit.judged_sha256)


def earlier_summary(source: str, current_run: str) -> tuple[dict[str, Any], str] | None:
    """Return (EDA summary, pathspec) of the newest other run on the same source. Never raises."""
    try:
        for run in finished_runs():
            if run.id == current_run or read(run, "source")["source"] != source:
                continue
            summary = read(run, "summary")
            return None if summary is None else (summary, run.pathspec)
    except Exception:  # an old or damaged run must not stop a new one
        return None
    return None


@dataclass(frozen=True)
class RunRecord:
    """Everything that a mirror needs to know of a finished run; all values are JSON-ready."""

    flow: str = FLOW
    run_id: str = ""
    started: str = ""  # ISO 8601
    finished: str = ""
    user: str | None = None
    git: Mapping[str, Any] = field(default_factory=dict)  # git_commit, git_dirty
    origin_run_id: str | None = None  # of a resumed run: the one that it goes on from
    scope: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    leaderboard: list[Mapping[str, Any]] = field(default_factory=list)
    winner: str | None = None
    blend: Mapping[str, Any] | None = None
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    bundle_sha256: str | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    example: list[Mapping[str, Any]] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def pathspec(self) -> str:
        return f"{self.flow}/{self.run_id}"

    def to_dict(self) -> dict[str, Any]:
        """Return the record as the mirror keeps it in record.json."""
        values = dict(vars(self))
        run = {name: values.pop(name) for name in _RUN}
        run |= {"pathspec": self.pathspec, **values.pop("git")}
        return {"run": run, "bundle": {"sha256": values.pop("bundle_sha256")}, **values}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """Return the record that `to_dict` wrote; what is missing keeps its default."""
        rest = dict(values)
        run, bundle = dict(rest.pop("run", {})), rest.pop("bundle", {})
        run.pop("pathspec", None)
        named = {name: run.pop(name) for name in _RUN if name in run}
        return cls(**named, **rest, git=run, bundle_sha256=bundle.get("sha256"))


_RUN = ("flow", "run_id", "started", "finished", "user", "origin_run_id")


def run_record(pathspec: str, artifacts: Any) -> RunRecord:
    """Return the record of a run. `artifacts`: the flow itself, or the data of its step `record`.

    The same artifacts give the same record, whether inside the run or years later.
    """
    flow, run_id = pathspec.split("/")[:2]
    first_run_id = artifacts.first_run_id
    return RunRecord(
        flow=flow,
        run_id=run_id,
        started=artifacts.started,
        finished=artifacts.finished,
        user=artifacts.user,
        git=artifacts.source["code"],
        origin_run_id=None if first_run_id == run_id else first_run_id,
        scope=artifacts.problem,
        parameters=artifacts.options,
        data=artifacts.source,
        leaderboard=artifacts.leaderboard,
        winner=artifacts.winner,
        blend=getattr(artifacts, "blend", None),  # runs before there was a blend have none
        evaluation=artifacts.evaluation,
        bundle_sha256=artifacts.bundle_sha256,
        schema=json.loads(artifacts.contract),
        example=artifacts.example,
        versions=artifacts.versions,
    )


def package_versions() -> dict[str, str]:
    """Return {package: installed version} of the packages that a model's figures depend on."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
