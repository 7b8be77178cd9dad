"""Runs: what this project reads through the Metaflow Client, and the record that mirrors are rebuilt from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fivefold.core.findings import ERROR, Finding, Refused

if TYPE_CHECKING:
    from fivefold.model.bundle import Bundle

FLOW = "TrainFlow"
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
CARDS = {"eda": "eda", "select": "leaderboard", "evaluate": "evaluation"}


def find_run(run_id: str | None = None, flow: str = FLOW) -> Any:
    """The Metaflow `Run` of an id, else the newest one that succeeded. Raises `Refused` where there is none."""
    import metaflow
    from metaflow.exception import MetaflowInvalidPathspec, MetaflowNotFound

    metaflow.namespace(None)
    try:
        if run_id:
            return metaflow.Run(f"{flow}/{run_id}")
        run = metaflow.Flow(flow).latest_successful_run
    except (MetaflowNotFound, MetaflowInvalidPathspec):
        run = None
    if run is None:
        found = f"no run {run_id!r}" if run_id else "no finished run"
        raise Refused(
            "There is no model",
            [
                Finding(
                    code="run-missing",
                    severity=ERROR,
                    subject=flow,
                    found=found,
                    expected="a finished training run",
                    action="python flows/train.py run",
                )
            ],
        )
    return run


def finished_runs(flow: str = FLOW) -> Iterator[Any]:
    """All successful runs, newest first."""
    import metaflow
    from metaflow.exception import MetaflowNotFound

    metaflow.namespace(None)
    try:
        yield from (run for run in metaflow.Flow(flow) if run.successful)
    except MetaflowNotFound:
        return


def bundle_of(run: Any) -> tuple[bytes, str]:
    """(bundle bytes, sha256) of a run. Raises `Refused` where the run has none that loads."""
    try:
        return run["evaluate"].task["bundle"].data, run["evaluate"].task["bundle_sha256"].data
    except Exception as broken:  # the client raises many kinds for a missing or damaged artifact
        raise Refused(
            "There is no model",
            [
                Finding(
                    code="bundle-missing",
                    severity=ERROR,
                    subject=run.pathspec,
                    found=f"no readable bundle ({type(broken).__name__})",
                    expected="a run that passed the step evaluate",
                    action="resume it, or choose another run with --run-id",
                )
            ],
        ) from None


def judged_of(run: Any, served: Bundle) -> Bundle:
    """The model of a run that never saw its held-out rows: `served`, the run's loaded bundle, or where that was fitted
    once more (`fivefold.training.finalize.refit`) the one that was judged. Raises `Refused` as `fivefold.model.bundle.from_bytes`, and where
    that one is lost: the served model is no substitute.
    """
    from fivefold.model.bundle import from_bytes

    if "refit" not in served.about:
        return served
    blob = artifact(run, "evaluate", "judged")
    if not blob:
        raise Refused(
            "Nothing can be judged",
            [
                Finding(
                    code="judged-missing",
                    severity=ERROR,
                    subject=run.pathspec,
                    found="no readable model that has not seen the held-out rows",
                    expected="the artifact judged of the step evaluate",
                    action="train again: python flows/train.py run",
                )
            ],
        )
    return from_bytes(blob, served.about["refit"]["judged_sha256"])


def artifact(run: Any, step: str, name: str) -> Any:
    """An artifact of a run; None where the step, the task or the artifact is not there or cannot be read."""
    try:
        return run[step].task[name].data
    except Exception:  # the client raises many kinds for what is missing or damaged
        return None


def earlier_summary(
    source: str, current_run: str, flow: str = FLOW
) -> tuple[dict[str, Any], str] | None:
    """(EDA summary, pathspec) of the newest other run on the same source, else None. Never raises."""
    try:
        for run in finished_runs(flow):
            if run.id != current_run and run["start"].task["source"].data["source"] == source:
                return run["eda"].task["summary"].data, run.pathspec
    except Exception:  # an old or damaged run must not stop a new one
        return None
    return None


def cards_of(run: Any) -> dict[str, str]:
    """{name: HTML} of the report cards of a run; a card that failed to render is left out."""
    return _each_card(run, lambda card: card.get())


def card_files(run: Any, root: Path) -> dict[str, str]:
    """{name: where a person finds the card}: the local file, else the address in the datastore."""

    def place(card: Any) -> str:
        beside = root / ".metaflow" / "mf.cards" / card.path
        return str(beside if beside.exists() else card.path)

    return _each_card(run, place)


def _each_card(run: Any, read: Callable[[Any], str]) -> dict[str, str]:
    from metaflow.cards import get_cards

    found = {}
    for step, name in CARDS.items():
        try:
            found[name] = read(get_cards(run[step].task, id=name)[0])
        except Exception:  # noqa: S112
            continue
    return found


def record_of(pathspec: str, data: Any) -> dict[str, Any]:
    """Everything that a mirror needs, JSON-ready, from a run's artifacts (`data`: an object with them as attributes).

    The same artifacts give the same record, whether inside the run or years later.
    """
    flow, run_id = pathspec.split("/")[:2]
    code = data.source["code"]
    return {
        "run": {
            "flow": flow,
            "run_id": run_id,
            "pathspec": f"{flow}/{run_id}",
            "started": data.started,
            "finished": data.finished,
            "user": data.user,
            **code,
            "origin_run_id": None if data.first_run_id == run_id else data.first_run_id,
        },
        "scope": data.problem,
        "parameters": data.options,
        "data": data.source,
        "leaderboard": data.leaderboard,
        "winner": data.winner,
        "blend": getattr(data, "blend", None),  # runs before there was a blend have none
        "evaluation": data.evaluation,
        "bundle": {"sha256": data.bundle_sha256},
        "schema": json.loads(data.contract),
        "example": data.example,
        "versions": data.versions,
    }


def package_versions() -> dict[str, str]:
    """{package: installed version} of what a model's numbers depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
