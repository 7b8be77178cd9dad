"""Record stages: what the step `record` of `flows/train.py` does with a finished model: serve a first one, mirror."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fivefold.core.settings import journal_url, mlflow_uri

if TYPE_CHECKING:
    from fivefold.tracking.mlflow_mirror import MirrorResult


def promote_first(run: Any, pathspec: str) -> dict[str, Any]:
    """{action, why} of the first model of its problem (`fivefold.lifecycle.promotion.first`); a journal that fails is a warning."""
    from fivefold.journal import database
    from fivefold.journal.promotions import PROMOTED
    from fivefold.lifecycle import promotion, promotion_mirror

    try:
        engine = database.open_journal(journal_url())
        line = promotion.first(engine, run.problem, pathspec, run.bundle_sha256, run.evaluation)
    except Exception as broken:  # a run that is trained must not be lost for its promotion
        print(
            f"warning: the model could not be promoted: {broken}; to do: python flows/promote.py promote {pathspec}"
        )
        return {"action": "failed", "why": str(broken)}
    if line is None:
        return {"action": "", "why": "another model is served"}
    served = line.model  # of a resumed run that which was killed after it had promoted itself
    if line.action == PROMOTED and (
        told := promotion_mirror.tag({promotion_mirror.CHAMPION: served}, {served})
    ):
        print(f"warning: {told}")
    return {"action": line.action, "why": line.why}


def roles(problem: dict[str, Any], sha256: str) -> list[str]:
    """The aliases that the journal gives the model of this digest: ["champion"] or none, also without a journal."""
    from fivefold.core.scope import problem_name
    from fivefold.journal import database, promotions
    from fivefold.lifecycle import promotion_mirror

    try:
        held = promotions.champion(database.open_journal(journal_url()), problem_name(problem))
    except Exception as broken:  # the mirror must not fail for it
        print(
            f"warning: the journal does not say which model is served, so no alias was set: {broken}"
        )
        return []
    return [promotion_mirror.CHAMPION] if held and held.sha256 == sha256 else []


def mirror(
    run: Any, pathspec: str, uri: str, root: Path, aliases: Sequence[str] = ()
) -> MirrorResult:
    """Mirror a run to MLflow; a failed mirror is a printed warning, never a failed run."""
    from fivefold.tracking import cards, client, mlflow_mirror

    record = client.run_record(pathspec, run)
    report_cards = cards.report_cards(client.find_run(pathspec))
    result = mlflow_mirror.mirror(
        record, run.bundle, report_cards, mlflow_uri(uri, root), aliases=aliases
    )
    print(f"MLflow: {result.status} {result.uri}")
    if result.warning:
        print(f"warning: {result.warning}")
    return result
