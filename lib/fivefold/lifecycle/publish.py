"""Publish a finished model: promote the first one of a problem, and mirror it to MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fivefold.core.scope import problem_name
from fivefold.core.settings import journal_url, mlflow_uri
from fivefold.journal import database, promotions
from fivefold.lifecycle import promotion, promotion_mirror
from fivefold.tracking import client, metaflow_cards, mlflow_mirror
from fivefold.tracking.mlflow_mirror import MirrorResult


def promote_first(run: Any, pathspec: str) -> dict[str, Any]:
    """Promote the first model of its problem and return {action, why}.

    A journal that fails is a printed warning: a trained run must not be lost for it.
    """
    try:
        engine = database.open_journal(journal_url())
        first = promotion.first(engine, run.problem, pathspec, run.bundle_sha256, run.evaluation)
    except Exception as error:
        action = f"python flows/promote.py promote {pathspec}"
        print(f"warning: the model could not be promoted: {error}; to do: {action}")
        return {"action": "failed", "why": str(error)}
    if first is None:
        return {"action": "", "why": "another model is served"}
    warning = ""
    if first.action == promotions.PROMOTED:
        # In a resumed run, `first` is the model of the run that was killed after it was promoted.
        warning = promotion_mirror.tag({promotion_mirror.CHAMPION: first.model}, {first.model})
    if warning:
        print(f"warning: {warning}")
    return {"action": first.action, "why": first.why}


def roles(problem: dict[str, Any], sha256: str) -> list[str]:
    """Return the aliases of the model with this digest: ["champion"] or []."""
    try:
        engine = database.open_journal(journal_url())
        champion = promotions.champion(engine, problem_name(problem))
    except Exception as error:  # the mirror must not fail for it
        print(f"warning: no alias was set: the journal does not say which model is served: {error}")
        return []
    is_served = champion is not None and champion.sha256 == sha256
    return [promotion_mirror.CHAMPION] if is_served else []


def mirror(run: Any, pathspec: str, uri: str, root: Path, aliases: Sequence[str]) -> MirrorResult:
    """Mirror a run to MLflow; a failed mirror is a printed warning, never a failed run."""
    record = client.run_record(pathspec, run)
    report_cards = metaflow_cards.report_cards(client.find_run(pathspec))
    uri = mlflow_uri(uri, root)
    result = mlflow_mirror.mirror(record, run.bundle, report_cards, uri, aliases=aliases)
    print(f"MLflow: {result.status} {result.uri}")
    if result.warning:
        print(f"warning: {result.warning}")
    return result
