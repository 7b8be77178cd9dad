"""The MLflow model of a mirrored run: a pyfunc with signature and requirements, registered once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fivefold.core.schema import Schema as InputSchema
from fivefold.core.scope import Scope
from fivefold.tracking.client import PACKAGES, RunRecord, package_versions
from fivefold.tracking.mlflow_mirror import PACKAGE, PATHSPEC

# what every model needs; `requirements` adds boosters
_NEEDED = ("mlflow", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "skops")


def signature(record: RunRecord) -> Any:
    """Return the used columns, of any type, and which of them a table may lack.

    With types, MLflow refuses what `pandas.read_csv` gives (int64 for double; bool, Int64 and dates
    for string) or cuts it (42.5 for an integer), before the model sees it. The model reads any.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    from fivefold.model.bundle import optional_columns  # costs the time of pandas

    evaluated = record.evaluation.get("importance") or ()
    importance = {line["column"]: line["mean"] for line in evaluated}
    scope = Scope.from_dict(record.scope)
    optional = optional_columns(InputSchema.from_dict(record.schema), scope, importance)
    anything: Any = AnyType
    inputs: list[Any] = [
        ColSpec(anything(), column["name"], required=column["name"] not in optional)
        for column in _used_columns(record)
    ]
    outputs: list[Any] = [ColSpec("double", "probability", required=False)]
    outputs += [ColSpec("string", name) for name in ("decision", "warnings", "error")]
    return ModelSignature(Schema(inputs), Schema(outputs))


def send_model(client: Any, parent: Any, name: str, record: RunRecord, folder: Path) -> str:
    """Send the model of a run and return its id; one that an earlier attempt began is finished."""
    from mlflow.entities import LoggedModelOutput

    run_id, experiment_id = parent.info.run_id, parent.info.experiment_id
    begun = client.search_logged_models([experiment_id], f"source_run_id = '{run_id}'")
    if begun:
        model = begun[0]
    else:
        tags = {PATHSPEC: record.run.pathspec}
        model = client.create_logged_model(
            experiment_id, name, run_id, tags, model_type="binary classifier"
        )
    if model.status != "READY":
        _save_model(model, run_id, record, folder)
        client.log_model_artifacts(model.model_id, str(folder / "model"))
        client.finalize_logged_model(model.model_id, "READY")
    outputs = client.get_run(run_id).outputs
    known = [output.model_id for output in outputs.model_outputs] if outputs else []
    if model.model_id not in known:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return str(model.model_id)


def _save_model(model: Any, run_id: str, record: RunRecord, folder: Path) -> None:
    """Write MLflow's model folder to `folder`/model, with this package beside the bundle."""
    import mlflow.pyfunc
    from mlflow.models import Model

    code = folder / "code" / "fivefold"
    unwanted = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
    shutil.copytree(PACKAGE, code, ignore=unwanted)
    mlflow_model = Model(
        artifact_path=model.artifact_location,
        model_uuid=model.model_id,
        run_id=run_id,
        model_id=model.model_id,
    )
    mlflow.pyfunc.save_model(
        str(folder / "model"),
        python_model=str(PACKAGE / "tracking" / "mlflow_pyfunc.py"),
        artifacts={"bundle": str(folder / "bundle.bin")},
        code_paths=[str(code)],
        signature=signature(record),
        input_example=_example(record),
        pip_requirements=requirements(record, (folder / "bundle.bin").read_bytes()),
        model_config=dict(record.bundle),
        mlflow_model=mlflow_model,
    )


def version_of(client: Any, name: str, run_id: str) -> Any:
    """Return the registered version of a run's model, or None."""
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return min(versions, key=lambda version: int(version.version), default=None)


def register(client: Any, name: str, model_id: str, run_id: str, record: RunRecord) -> None:
    """Register one version for the run; aliases are left alone, they belong to promotion."""
    version = version_of(client, name, run_id)
    if version is None:
        try:
            client.create_registered_model(name, description=record.scope.get("question") or None)
        except Exception:
            client.get_registered_model(name)  # it is there already, or this says why not
        tags = {
            PATHSPEC: record.run.pathspec,
            "fivefold.winner": record.winner,
            "fivefold.bundle_sha256": str(record.bundle["sha256"]),
        }
        if record.cautions:
            tags["fivefold.caution"] = " ".join(record.cautions)
        source = f"models:/{model_id}"
        version = client.create_model_version(name, source, run_id, tags, model_id=model_id)
    # with this tag MLflow's page of the model names the version
    shown = [{"name": name, "version": version.version}]
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": json.dumps(shown)})


def _used_columns(record: RunRecord) -> list[Mapping[str, Any]]:
    return [column for column in record.schema["columns"] if column.get("used", True)]


def _example(record: RunRecord) -> Any:
    """Return the record's example rows, or None."""
    import pandas as pd

    if not record.example:
        return None
    columns = {}
    for column in _used_columns(record):
        name = column["name"]
        cells = pd.Series([row.get(name) for row in record.example], dtype=object)
        if column["kind"] == "numeric":
            columns[name] = pd.to_numeric(cells, errors="coerce").astype(float)
        else:
            columns[name] = cells.map(str, na_action="ignore")
    return pd.DataFrame(columns)


def requirements(record: RunRecord, bundle: bytes) -> list[str]:
    """Return what the model needs, at the versions of the run, else those installed.

    The libraries are those of the algorithms that are served, and of every type that the bundle
    holds.
    """
    from fivefold.model.bundle import model_libraries

    served = record.winner
    if record.blend and record.blend["served"] == "blend":
        served = " ".join(record.blend["weights"])
    libraries = model_libraries(bundle) | set(served.split())
    boosters = [package for package in PACKAGES if package.partition("-")[0] in libraries]
    packages = tuple(dict.fromkeys([*_NEEDED, *boosters]))
    known = {**package_versions(packages), **record.versions}
    return [f"{package}=={known[package]}" for package in packages if package in known]
