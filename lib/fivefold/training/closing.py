"""Last words: what a person reads at the end of a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def _promoted(promotion: dict[str, Any], run_id: str) -> str:
    """Whether it is served, and how it can be. A first model that was kept has no champion to prove itself against."""
    if promotion["action"] == "promoted":
        return f"Promoted: the app and the API answer with it ({promotion['why']})"
    prove = (
        f"To let it prove itself: python flows/promote.py challenge {run_id}. "
        if not promotion["action"]
        else ""
    )
    return f"Not promoted: {promotion['why']}. {prove}To serve it as it is: python flows/promote.py promote {run_id}"


def closing_words(run: Any, pathspec: str, root: Path) -> str:
    """What a person reads at the end of a run; `root` is the folder that holds the local datastore."""
    from fivefold.tracking.cards import report_paths
    from fivefold.tracking.client import find_run
    from fivefold.training.leaderboard import title

    auc, best = (
        run.evaluation["auc"],
        next((b for b in run.evaluation["baselines"] if "truth" in b["name"]), None),
    )
    run_id = pathspec.split("/")[1]
    lines = [
        f"Winner: {title(run.winner)}",
        f"Served: {'the blend' if run.blend['served'] == 'blend' else 'the winner'} ({run.blend['why']})"
        + (", fitted once more with the held-out rows" if run.blend["fits"].get("refit") else ""),
        f"Held-out ROC AUC: {auc['value']:.4f}, 95% interval {auc['low']:.4f} to {auc['high']:.4f} "
        f"({run.evaluation['rows']:,} rows, {auc['method']})",
    ]
    if best:
        lines.append(f"Best achievable on the same rows (known truth): {best['auc']:.4f}")
    lines.append(_promoted(run.promotion, run_id))
    lines += [
        "Cards:",
        *(f"  {name:12} {place}" for name, place in report_paths(find_run(run_id), root).items()),
        "Next:",
        f"  python flows/train.py card view {run_id}/eda     # also select, evaluate",
        "  make app                           # predictions in a browser",
        f"  python flows/score.py run --data new.csv --out scored.csv --run-id {run_id}",
        "  python flows/train.py resume       # after a failed or killed run",
        f"  mlflow ui --backend-store-uri {run.mlflow['uri']}",
    ]
    return "\n".join(lines)
