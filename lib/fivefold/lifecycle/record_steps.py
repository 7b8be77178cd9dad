"""Record stages: what the step `record` of `flows/train.py` does with a finished model: serve a first one, mirror."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lib.settings import journal_place, mlflow_place


def promote_first(run: Any, pathspec: str) -> dict[str, Any]:
    """{action, why} of the first model of its problem (`lib.promotion.first`); a journal that fails is a warning."""
    from lib import journal, promotion, promotion_mirror
    from lib.journal_promotions import PROMOTED

    try:
        engine = journal.open_journal(journal_place())
        line = promotion.first(engine, run.problem, pathspec, run.bundle_sha256, run.evaluation)
    except Exception as broken:  # a run that is trained must not be lost for its promotion
        print(f"warning: the model could not be promoted: {broken}; to do: python flows/promote.py promote {pathspec}")
        return {"action": "failed", "why": str(broken)}
    if line is None:
        return {"action": "", "why": "another model is served"}
    served = line["model"]  # of a resumed run that which was killed after it had promoted itself
    if line["action"] == PROMOTED and (told := promotion_mirror.tag({promotion_mirror.CHAMPION: served}, {served})):
        print(f"warning: {told}")
    return {"action": line["action"], "why": line["why"]}


def roles(problem: dict[str, Any], sha256: str) -> list[str]:
    """The aliases that the journal gives the model of this digest: ["champion"] or none, also without a journal."""
    from lib import journal, journal_promotions, promotion_mirror
    from lib.scope import problem_name

    try:
        held = journal_promotions.champion(journal.open_journal(journal_place()), problem_name(problem))
    except Exception as broken:  # the mirror must not fail for it
        print(f"warning: the journal does not say which model is served, so no alias was set: {broken}")
        return []
    return [promotion_mirror.CHAMPION] if held and held["sha256"] == sha256 else []


def mirror(run: Any, pathspec: str, uri: str, root: Path, aliases: Sequence[str] = ()) -> dict[str, Any]:
    """The result of `lib.tracking.mirror`; a failed mirror is a printed warning, never a failed run."""
    import metaflow

    from lib import runs, tracking

    metaflow.namespace(None)
    place = mlflow_place(uri, root)
    cards = runs.cards_of(metaflow.Run(pathspec))
    told = tracking.mirror(runs.record_of(pathspec, run), run.bundle, cards, place, aliases=aliases)
    print(f"MLflow: {told['status']} {told['uri']}" + (f"\nwarning: {told['warning']}" if told.get("warning") else ""))
    return told
