"""The model of a mirrored run: a pyfunc with signature and pinned requirements, registered once."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from fivefold.tracking.mlflow_mirror import PACKAGE, PATHSPEC

_NEEDED = (
    "mlflow",
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "skops",
)  # to score; a booster is added by name
_BOOSTERS = {"lightgbm": "lightgbm", "xgboost": "xgboost-cpu"}


def signature(record: Mapping[str, Any]) -> Any:
    """The used columns: numbers as double (an integer type would cut 42.5 to 42), everything else as string.

    REST clients may send true or 3 for a string; in Python MLflow refuses datetime, bool and category columns there.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = [c for c in record["schema"]["columns"] if c.get("used", True)]
    return ModelSignature(
        Schema(
            [
                ColSpec(
                    "double" if c["kind"] == "numeric" else "string",
                    c["name"],
                    required=not c.get("nullable", False),
                )
                for c in columns
            ]
        ),
        Schema(
            [
                ColSpec("double", "probability", required=False),
                ColSpec("string", "decision", required=False),
            ]
        ),
    )


def _example(record: Mapping[str, Any]) -> Any:
    """The record's example rows in the types of the signature, or None."""
    import pandas as pd

    columns = [c for c in record["schema"]["columns"] if c.get("used", True)]
    rows = record.get("example") or []
    if not rows or not columns:
        return None
    return pd.DataFrame(
        {c["name"]: [_cell(r.get(c["name"]), c["kind"]) for r in rows] for c in columns}
    )


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind != "numeric":
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _requirements(record: Mapping[str, Any]) -> list[str]:
    """What scoring needs, at the versions of the training run (or, where it does not say, those installed)."""
    winner = str(record.get("winner", ""))
    boosters = [package for name, package in _BOOSTERS.items() if name in winner]
    versions = record.get("versions") or {}
    pinned = []
    for package in (*_NEEDED, *boosters):
        with contextlib.suppress(metadata.PackageNotFoundError):
            pinned.append(f"{package}=={versions.get(package) or metadata.version(package)}")
    return pinned


def send_model(client: Any, parent: Any, name: str, record: Mapping[str, Any], folder: Path) -> str:
    """The id of the run's logged model; one that an earlier attempt began is finished instead of doubled."""
    import mlflow.pyfunc
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    run_id, experiment_id = parent.info.run_id, parent.info.experiment_id
    begun = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    model = (
        begun[0]
        if begun
        else client.create_logged_model(
            experiment_id,
            name,
            run_id,
            {PATHSPEC: record["run"]["pathspec"]},
            model_type="binary classifier",
        )
    )
    if str(getattr(model.status, "value", model.status)) != "READY":
        shutil.rmtree(folder / "code", ignore_errors=True)
        shutil.copytree(
            PACKAGE,
            folder / "code" / "fivefold",
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"),
        )
        sha256 = record.get("bundle", {}).get("sha256")
        target = folder / "model"
        shutil.rmtree(target, ignore_errors=True)
        mlflow.pyfunc.save_model(
            str(target),
            python_model=str(PACKAGE / "tracking" / "mlflow_pyfunc.py"),
            artifacts={"bundle": str(folder / "bundle.bin")},
            code_paths=[str(folder / "code" / "fivefold")],
            signature=signature(record),
            input_example=_example(record),
            pip_requirements=_requirements(record),
            model_config={"sha256": sha256},
            mlflow_model=Model(
                artifact_path=model.artifact_location,
                model_uuid=model.model_id,
                run_id=run_id,
                model_id=model.model_id,
            ),
        )
        client.log_model_artifacts(model.model_id, str(target))
        client.finalize_logged_model(model.model_id, "READY")
    outputs = client.get_run(run_id).outputs
    if not any(o.model_id == model.model_id for o in (outputs.model_outputs if outputs else [])):
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return model.model_id


def version_of(client: Any, name: str, run_id: str) -> Any:
    """Return the oldest registered version of the MLflow run, or None."""
    found = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return min(found, key=lambda v: int(v.version), default=None)


def register(client: Any, name: str, model_id: str, run_id: str, record: Mapping[str, Any]) -> None:
    """One version per run; aliases are left alone, they belong to promotion."""
    version = version_of(client, name, run_id)
    if version is None:
        try:
            client.create_registered_model(
                name, description=record["scope"].get("question") or None
            )
        except Exception:
            client.get_registered_model(name)  # it is there already, or this says why not
        version = client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id,
            {
                PATHSPEC: record["run"]["pathspec"],
                "fivefold.winner": str(record.get("winner")),
                "fivefold.bundle_sha256": str(record.get("bundle", {}).get("sha256")),
            },
            model_id=model_id,
        )
    shown = [
        {"name": name, "version": version.version}
    ]  # with it MLflow's page of the model names the version
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(shown)})
