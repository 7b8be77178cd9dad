"""Publish a finished model: promote the first one of a problem, and mirror it to MLflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fivefold.core.findings import Finding, warnings
from fivefold.core.scope import Scope, problem_name
from fivefold.core.settings import journal_url, mlflow_uri
from fivefold.journal import database, promotions
from fivefold.journal.database import Engine
from fivefold.journal.promotions import Decision, Promotion
from fivefold.lifecycle import promotion_mirror
from fivefold.lifecycle.floor import held_back_by, reasons, smoke_finding
from fivefold.model.bundle import from_bytes
from fivefold.model.evaluation import SUCCESS, Evaluation
from fivefold.serving.local_server import has_server, smoke
from fivefold.tracking import client, metaflow_cards, mirror_outcome, mlflow_mirror
from fivefold.tracking.mirror_outcome import MirrorResult


def promote_first(run: Any, pathspec: str, root: Path) -> dict[str, Any]:
    """Promote the first model of its problem if nothing holds it back; return {action, why}.

    `root` is the folder of the project, with the server in which the model is tried.

    A journal that fails is a printed warning: a trained run must not be lost for it.
    """
    try:
        engine = database.open_journal(journal_url())
        decision = First(run.problem, pathspec, run.bundle_sha256, run.evaluation)
        promotion = first(engine, decision, lambda: _try_in_server(run, pathspec, root))
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


@dataclass(frozen=True)
class First:
    """A model that would be the first of its problem: scope, run, digest, evaluation, as stored."""

    problem: dict[str, Any]
    pathspec: str
    sha256: str
    evaluation: Mapping[str, Any]


def first(engine: Engine, model: First, try_in_server: Callable[[], Finding]) -> Promotion | None:
    """Promote a problem's first model if nothing holds it back, and return what was recorded.

    A model is held back if it is not proven to rank, or is proven worse than the plain baseline, or
    is too good to be believed, or misses the scope's aim, or fails in the real server, which is
    tried last. The reason is recorded. If another model is served, nothing is recorded and the
    result is None.
    """
    name = problem_name(model.problem)
    if served := promotions.champion(engine, name):
        resumed = served.sha256 == model.sha256 and served.action == promotions.PROMOTED
        return served if resumed else None
    evaluation, scope = Evaluation.from_dict(model.evaluation), Scope.from_dict(model.problem)
    findings = held_back_by(evaluation, scope) or warnings([try_in_server()])
    promoted = not findings
    if promoted:
        success = next(f for f in evaluation.findings if f.code == SUCCESS)
        aim = (
            f"wanted {scope.min_roc_auc:g}" if scope.min_roc_auc else "nothing wanted in the scope"
        )
        why = f"first model; {success.found}, {aim}"
    else:
        why = f"first model, kept back: {reasons(findings)}"
    decision = Decision(
        action=promotions.PROMOTED if promoted else promotions.KEPT,
        model=model.pathspec,
        sha256=model.sha256,
        threshold=evaluation.threshold.value,
        who=promotions.SELF,
        why=why,
        numbers={
            "roc_auc": evaluation.auc,
            "held_back_by": [finding.to_dict() for finding in findings],
        },
        replaces=0 if promoted else None,
    )
    return promotions.append(engine, name, decision)


def _try_in_server(run: Any, pathspec: str, root: Path) -> Finding:
    """Return the finding on the smoke test of a model in the real server."""
    if not has_server(root):  # on a cluster, where only the package is shipped
        return smoke_finding(None)
    bundle = from_bytes(run.bundle, run.bundle_sha256)
    expected = bundle.score(pd.DataFrame(run.example))["probability"].tolist()
    return smoke_finding(smoke(pathspec, run.example, expected, root))


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
