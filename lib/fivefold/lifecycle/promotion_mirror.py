"""Promotion mirror: what the journal says of champion and challenger, as Metaflow tags and MLflow aliases.

The journal is the record; a mirror that fails is a warning, and the next one puts it right.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fivefold.core.findings import Refused
from fivefold.core.settings import mlflow_uri
from fivefold.journal import promotions
from fivefold.tracking import client, mlflow_mirror

CHAMPION, CHALLENGER = "champion", "challenger"
CHALLENGES = (promotions.KEPT, promotions.WAITING, promotions.DECLINED, promotions.OVERTAKEN)


def mirror(engine: Any, line: Mapping[str, Any], root: Path) -> list[str]:
    """Tag and alias the problem's champion, and the line's model as challenger where it is one; warnings."""
    held = promotions.champion(engine, line["problem"])
    wanted = {
        CHAMPION: held["model"] if held else None,
        CHALLENGER: line["model"] if line["action"] in CHALLENGES else None,
    }
    known = {x["model"] for x in promotions.history(engine, line["problem"])}
    return [told for told in (tag(wanted, known), _aliases(wanted, mlflow_uri("", root))) if told]


def tag(wanted: Mapping[str, str | None], known: set[str]) -> str:
    """Metaflow's tags of the models `known` as `wanted` {role: pathspec} says; "" or a warning."""
    faults: list[Exception] = []
    for pathspec in sorted(known):
        try:
            run = client.find_run(pathspec)
            mine = {role for role, model in wanted.items() if model == pathspec}
            ours = {CHAMPION, CHALLENGER} & set(run.user_tags)
            if mine != ours:
                run.replace_tags(sorted(ours - mine), sorted(mine - ours))
        except (
            Refused
        ) as gone:  # a run that was removed has no tags; where it is wanted, that is told
            faults += [gone] if pathspec in wanted.values() else []
        except Exception as broken:  # the client raises many kinds
            faults.append(broken)
    return (
        f"Metaflow tags could not be set ({type(faults[0]).__name__}: {faults[0]})"
        if faults
        else ""
    )


def _aliases(wanted: Mapping[str, str | None], uri: str) -> str:
    models = {}
    for role, pathspec in wanted.items():
        if pathspec is None:
            continue
        try:
            kept = client.read(client.find_run(pathspec), "mlflow") or {}
        except Refused as gone:
            return f"MLflow's aliases could not be set ({gone})"
        mirrored = mlflow_mirror.MirrorResult.from_dict(kept)
        if mirrored.model_version:
            models[role] = {"name": mirrored.model_name, "version": mirrored.model_version}
            if mirrored.uri and "***" not in mirrored.uri:
                uri = mirrored.uri
    return mlflow_mirror.set_aliases(models, uri) if models else ""
