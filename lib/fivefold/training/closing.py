"""Closing text, shown at the end of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fivefold.training.ensemble import Ensemble
from fivefold.training.leaderboard import title


def closing_text(run: Any, pathspec: str, root: Path) -> str:
    """Return the result of a run and the next commands.

    Parameters
    ----------
    run : the flow with its artifacts
    pathspec : of the run, such as "TrainFlow/17"
    root : folder that holds the local datastore
    """
    from fivefold.tracking.cards import report_paths
    from fivefold.tracking.client import find_run

    run_id = pathspec.split("/")[1]
    cards = report_paths(find_run(run_id), root)
    lines = [
        *_result_lines(run),
        promotion_text(run.promotion, run_id),
        "Cards:",
        *(f"  {name:12} {path}" for name, path in cards.items()),
        "Next:",
        f"  python flows/train.py card view {run_id}/eda     # also select, evaluate",
        "  make app                           # predictions in a browser",
        f"  python flows/score.py run --data new.csv --out scored.csv --run-id {run_id}",
        "  python flows/train.py resume       # after a failed or killed run",
        f"  mlflow ui --backend-store-uri {run.mlflow['uri']}",
    ]
    return "\n".join(lines)


def _result_lines(run: Any) -> list[str]:
    evaluation, blend = run.evaluation, Ensemble.from_dict(run.blend)
    auc = evaluation["auc"]
    served = "the blend" if blend.served == "blend" else "the winner"
    refit = ", fitted again with the held-out rows" if blend.plan and blend.plan.refit else ""
    interval = f"95% interval {auc['low']:.4f} to {auc['high']:.4f}"
    lines = [
        f"Winner: {title(run.winner)}",
        f"Served: {served} ({blend.why}){refit}",
        f"Held-out ROC AUC: {auc['value']:.4f}, {interval} "
        f"({evaluation['rows']:,} rows, {auc['method']})",
    ]
    known = [b["auc"] for b in evaluation["baselines"] if "truth" in b["name"]]
    return lines + [f"Best achievable on the same rows (known truth): {a:.4f}" for a in known]


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
    return f"Not promoted: {promotion['why']}. {compare}{serve}"
