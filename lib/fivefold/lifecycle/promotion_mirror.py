"""Promotion mirror: the journal's champion and challenger as Metaflow tags and MLflow aliases.

The journal is the record. A mirror that fails is a warning; the next one corrects it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fivefold.core.findings import Refused
from fivefold.core.settings import mlflow_uri
from fivefold.journal import promotions
from fivefold.journal.database import Engine
from fivefold.journal.promotions import Promotion
from fivefold.tracking import client, mirror_outcome, mlflow_mirror

CHAMPION, CHALLENGER = "champion", "challenger"
CHALLENGES = (promotions.KEPT, promotions.WAITING, promotions.DECLINED, promotions.OVERTAKEN)
Roles = Mapping[str, str | None]  # {role: pathspec of the model}


def mirror(engine: Engine, promotion: Promotion, root: Path, uri: str = "") -> list[str]:
    """Tag the problem's champion, and the model of `promotion` if it is a challenger; warnings.

    A model whose mirror still goes on gets no alias here, but from that mirror
    (`fivefold.lifecycle.publish.mirror_finished`).
    """
    champion = promotions.champion(engine, promotion.problem)
    challenger = promotion.model if promotion.action in CHALLENGES else None
    roles = {CHAMPION: champion.model if champion else None, CHALLENGER: challenger}
    models = {row.model for row in promotions.history(engine, promotion.problem)}
    warnings = [tag(roles, models), _set_aliases(roles, mlflow_uri(uri, root))]
    return [warning for warning in warnings if warning]


def tag(roles: Roles, models: set[str]) -> str:
    """Set the Metaflow tags of these models as `roles` says; "" or a warning."""
    fault: Exception | None = None
    for pathspec in sorted(models):
        try:
            run = client.find_run(pathspec)
            wanted = {role for role, model in roles.items() if model == pathspec}
            present = {CHAMPION, CHALLENGER} & set(run.user_tags)
            if wanted != present:
                run.replace_tags(sorted(present - wanted), sorted(wanted - present))
        except Refused as missing:  # a run that was removed needs no tags, unless it has a role
            if pathspec in roles.values():
                fault = fault or missing
        except Exception as error:  # the client raises many kinds
            fault = fault or error
    return f"Metaflow tags could not be set ({type(fault).__name__}: {fault})" if fault else ""


def _set_aliases(roles: Roles, uri: str) -> str:
    models = {}
    for role, pathspec in roles.items():
        if pathspec is None:
            continue
        try:
            run = client.find_run(pathspec)
        except Refused as missing:
            return f"MLflow's aliases could not be set ({missing})"
        mirrored = mirror_outcome.find(run)
        if mirrored is None or not mirrored.model_version:
            continue
        models[role] = {"name": mirrored.model_name, "version": mirrored.model_version}
        if mirrored.uri and "***" not in mirrored.uri:
            uri = mirrored.uri
    return mlflow_mirror.set_aliases(models, uri) if models else ""
