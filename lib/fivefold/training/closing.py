"""Closing: the text at the end of a run. It imports nothing heavy: a step waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fivefold.core.urls import mask
from fivefold.tracking.client import find_run
from fivefold.tracking.metaflow_cards import report_paths


def closing_text(run: Any, pathspec: str, root: Path, uri: str) -> str:
    """Return the result of a run and the next commands.

    Parameters
    ----------
    run : the flow with its artifacts; one resumed from an older run lacks `result`
    pathspec : of the run, such as "TrainFlow/17"
    root : folder that holds the local datastore
    uri : of the MLflow store to which the run is mirrored
    """
    run_id = pathspec.split("/")[1]
    cards = report_paths(find_run(run_id), root)
    lines = [
        *_result(run),
        *lost_lines(run.leaderboard, run_id),
        promotion_text(run.promotion, run_id),
        "Cards:",
        *(f"  {name:12} {path}" for name, path in cards.items()),
        "Next:",
        f"  python flows/train.py card view {run_id}/eda     # also select, evaluate",
        "  make app                           # predictions in a browser",
        f"  python flows/score.py run --data new.csv --out scored.csv --run-id {run_id}",
        "  python flows/train.py resume       # after a failed or killed run",
        f"  mlflow ui --backend-store-uri {mask(uri)}",
    ]
    return "\n".join(lines)


def lost_lines(leaderboard: Sequence[Mapping[str, Any]], run_id: str) -> list[str]:
    """Return which searches have failed, why, and the command that repeats just them.

    Nothing where none has; what was left out on purpose is not lost.
    """
    lost = [row for row in leaderboard if row["status"] != "ok" and not row.get("skipped")]
    if not lost:
        return []
    lines = [f"Lost: {row['algorithm'].replace('_', ' ')}: {row['error']}" for row in lost]
    return [*lines, f"To search what was lost: {search_again(run_id)} (finished trials are kept)"]


def search_again(run_id: str) -> str:
    """Return the command that repeats the searches of a run that failed."""
    return f"python flows/train.py resume tune --origin-run-id {run_id}"


def _result(run: Any) -> list[str]:
    if hasattr(run, "result"):
        return list(run.result)
    from fivefold.training.final_steps import result_lines

    return result_lines(run)


def promotion_text(promotion: dict[str, Any], run_id: str) -> str:
    """Return whether the model is served, and how to serve it.

    A first model that was not promoted has no champion to be compared with.
    """
    if promotion["action"] == "promoted":
        return f"Promoted: the app and the API use it ({promotion['why']})"
    compare = ""
    if not promotion["action"]:
        compare = f"To compare it with the champion: python flows/promote.py challenge {run_id}. "
    serve = f"To serve it as it is: python flows/promote.py promote {run_id}"
    if promotion["action"] == "kept":
        serve += ' --why "why that is right"'
    return f"Not promoted: {promotion['why']}. {compare}{serve}"
