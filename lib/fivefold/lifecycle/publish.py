"""Publish a finished model: promote the first one of a problem, and mirror it to MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fivefold.core.findings import PASSED
from fivefold.core.scope import problem_name
from fivefold.core.settings import journal_url, mlflow_uri
from fivefold.journal import database, promotions
from fivefold.journal.database import Engine
from fivefold.journal.promotions import Decision, Promotion
from fivefold.lifecycle import promotion_mirror
from fivefold.tracking import client, metaflow_cards, mirror_outcome, mlflow_mirror
from fivefold.tracking.mirror_outcome import MirrorResult


def promote_first(run: Any, pathspec: str) -> dict[str, Any]:
    """Promote the first model of its problem and return {action, why}.

    A journal that fails is a printed warning: a trained run must not be lost for it.
    """
    try:
        engine = database.open_journal(journal_url())
        promotion = first(engine, run.problem, pathspec, run.bundle_sha256, run.evaluation)
    except Exception as error:
        action = f"python flows/promote.py promote {pathspec}"
        print(f"warning: the model could not be promoted: {error}; to do: {action}")
        return {"action": "failed", "why": str(error)}
    if promotion is None:
        return {"action": "", "why": "another model is served"}
    warning = ""
    if promotion.action == promotions.PROMOTED:
        # In a resumed run it is the model of the run that was killed after it was promoted.
        roles = {promotion_mirror.CHAMPION: promotion.model}
        warning = promotion_mirror.tag(roles, {promotion.model})
    if warning:
        print(f"warning: {warning}")
    return {"action": promotion.action, "why": promotion.why}


def first(
    engine: Engine,
    problem: dict[str, Any],
    pathspec: str,
    sha256: str,
    evaluation: Mapping[str, Any],
) -> Promotion | None:
    """Promote a problem's first model if it meets the scope, and return what was recorded.

    Without a wanted ROC AUC in the scope any first model is promoted. A model that is below it, or
    that has too few rows to tell, is recorded as kept back, with the reason. If another model is
    served, nothing is recorded and the result is None.
    """
    name = problem_name(problem)
    if served := promotions.champion(engine, name):
        resumed = served.sha256 == sha256 and served.action == promotions.PROMOTED
        return served if resumed else None
    success = next(f for f in evaluation["findings"] if f["code"] == "success-roc-auc")
    wanted = problem.get("min_roc_auc")
    promoted = wanted is None or success["severity"] == PASSED
    if promoted:
        aim = f"wanted {wanted:g}" if wanted else "nothing wanted in the scope"
        why = f"first model; {success['found']}, {aim}"
    else:
        why = f"first model, kept back: {success['found']}, wanted {success['expected']}"
    decision = Decision(
        action=promotions.PROMOTED if promoted else promotions.KEPT,
        model=pathspec,
        sha256=sha256,
        threshold=evaluation["threshold"]["value"],
        who=promotions.SELF,
        why=why,
        numbers={"roc_auc": evaluation["auc"]},
        replaces=0 if promoted else None,
    )
    return promotions.append(engine, name, decision)


def roles(problem: dict[str, Any], sha256: str) -> list[str]:
    """Return the aliases of the model with this digest: champion, challenger, both or none."""
    try:
        engine = database.open_journal(journal_url())
        name = problem_name(problem)
        champion, newest = promotions.champion(engine, name), promotions.newest(engine, name)
    except Exception as error:  # the mirror must not fail for it
        print(f"warning: no alias was set: the journal does not say which model is served: {error}")
        return []
    aliases = []
    if champion and champion.sha256 == sha256:
        aliases.append(promotion_mirror.CHAMPION)
    if newest and newest.sha256 == sha256 and newest.action in promotion_mirror.CHALLENGES:
        aliases.append(promotion_mirror.CHALLENGER)
    return aliases


def mirror(
    run: Any, pathspec: str, uri: str, root: Path, timeout: float | None = None
) -> MirrorResult:
    """Mirror a run to MLflow; a failed mirror is a printed warning, never a failed run.

    `run`: the flow itself, or the data of its step `record`.
    """
    record = client.run_record(pathspec, run)
    report_cards = metaflow_cards.report_cards(client.find_run(pathspec))
    aliases = roles(run.problem, run.bundle_sha256)
    uri = mlflow_uri(uri, root)
    result = mlflow_mirror.mirror(record, run.bundle, report_cards, uri, aliases, timeout)
    print(f"MLflow: {result.status} {result.uri}")
    if result.warning:
        print(f"warning: {result.warning}")
    return result


def mirror_finished(run: Any, uri: str, root: Path) -> MirrorResult:
    """Mirror a `metaflow.Run`, and write down what came of it.

    Somebody may decide about the model meanwhile, without finding it in MLflow. So the journal is
    read again once the result can be found, until there is no news.
    """
    with mirror_outcome.locked(run.id):
        mirror_outcome.begin(run.id, mlflow_uri(uri, root))
        artifacts = run["record"].task.data
        known = _newest_decision(artifacts.problem)
        result = mirror(artifacts, run.pathspec, uri, root, mlflow_mirror.PATIENCE)
        mirror_outcome.write(run.id, result)
        while result.model_version:
            newest = _newest_decision(artifacts.problem)
            if newest is None or newest == known:
                break
            known = newest
            engine = database.open_journal(journal_url())
            for warning in promotion_mirror.mirror(engine, newest, root, uri):
                print(f"warning: {warning}")
    return result


def _newest_decision(problem: dict[str, Any]) -> Promotion | None:
    try:
        engine = database.open_journal(journal_url())
        return promotions.newest(engine, problem_name(problem))
    except Exception:  # `roles` says so
        return None
