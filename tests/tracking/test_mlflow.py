"""The MLflow mirror: exact contents, repetition, interruption, and every kind of broken store."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fivefold.core.scope import Scope
from fivefold.core.urls import mask
from fivefold.serving import json_rows
from fivefold.tracking import mlflow_child, mlflow_mirror, mlflow_model, mlflow_store
from fivefold.tracking.client import RunRecord
from fivefold.tracking.mirror_outcome import MirrorResult
from tests.support import servers

ALGORITHMS = ("lightgbm", "xgboost", "forest", "logistic", "adaboost")
STARTED = 1_795_428_000_000  # ms, 2026-11-23T10:00:00Z
COLUMNS = [
    {"name": "age", "kind": "numeric", "low": 18.0, "high": 90.0},
    {
        "name": "plan",
        "kind": "categorical",
        "nullable": True,
        "distinct": 2,
        "levels": ["basic", "plus"],
    },
    {"name": "since", "kind": "date", "nullable": True, "low": 18000.0, "high": 20000.0},
    {"name": "vip", "kind": "boolean", "nullable": True, "levels": ["no", "yes"]},
    {"name": "customer", "kind": "id", "used": False},
]


def record(run_id: str = "1700000000", trials: int = 3, sha256: str | None = None) -> RunRecord:
    """A finished run of five algorithms; the last one failed after its first trial."""
    leaderboard: list[dict[str, Any]] = []
    for rank, algorithm in enumerate(ALGORITHMS, 1):
        rows = [
            {
                "number": n,
                "state": "complete" if n != 1 else "pruned",
                "auc": [0.70, 0.99, 0.75][n % 3],
                "fold_scores": [0.7] * 5,
                "seconds": 2.0,
                "params": {"depth": n},
            }
            for n in range(trials)
        ]
        leaderboard.append(
            {
                "rank": rank,
                "algorithm": algorithm,
                "status": "ok",
                "auc_mean": 0.8 - rank / 100,
                "auc_std": 0.01,
                "fold_scores": [0.8, 0.79, 0.81, 0.8, 0.8],
                "seconds": 10.0,
                "params": {"depth": rank},
                "error": "",
                "trials": rows,
            }
        )
    leaderboard[-1] |= {
        "status": "failed",
        "auc_mean": None,
        "auc_std": float("nan"),
        "fold_scores": [],
        "params": {},
        "error": "ValueError: planted",
        "trials": leaderboard[-1]["trials"][:1],
        "rank": None,
    }
    values = {
        "run": {
            "flow": "TrainFlow",
            "run_id": run_id,
            "pathspec": f"TrainFlow/{run_id}",
            "user": "ada",
            "started": "2026-11-23T10:00:00+00:00",
            "finished": "2026-11-23T10:01:00Z",
            "git_commit": "abc123",
            "git_dirty": False,
            "origin_run_id": None,
        },
        "scope": {"title": "Customer churn", "target": "churn", "question": "Who leaves?"},
        "parameters": {"seed": 7, "trials": trials, "winner": "a name that collides"},
        "data": {
            "source": "postgresql://ada:secret@db.example/churn",
            "md5": "d41d8cd98f00b204e9800998ecf8427e",
            "rows": 10000,
            "details": {},
            "revision": {},
        },
        "leaderboard": leaderboard,
        "winner": "lightgbm",
        "evaluation": {
            "auc": {"value": 0.81, "low": 0.78, "high": 0.84, "method": "DeLong"},
            "metrics": {
                "brier": {"value": 0.12, "low": 0.1, "high": None},
                "recall@10%": {"value": 0.4},
                "undefined": {"value": None, "low": None, "high": None},
            },
            "baselines": [{"name": "majority", "auc": 0.5}],
            "threshold": {"value": 0.3, "why": "costs"},
        },
        "bundle": {"sha256": sha256},
        "schema": {"columns": COLUMNS, "target": "churn", "negative": "no", "positive": "yes"},
        "example": [
            {"age": 40, "plan": "plus", "since": "2020-01-31", "vip": "yes", "customer": "c1"},
            {"age": None, "plan": None, "since": None, "vip": None, "customer": "c2"},
        ],
        "versions": {"numpy": "2.4.0"},
    }
    return RunRecord.from_dict(values)


UV = shutil.which("uv") or ""
CARDS = {"winner": "<html><b>Winner</b></html>", "../../escape": "<html>stays inside</html>"}


def uri_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with MLflow's schema and nothing in it: making one costs 1.2 s."""
    folder = tmp_path_factory.mktemp("empty")
    mlflow_store.connect(uri_of(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def store(empty_store: Path, tmp_path: Path) -> str:
    """The address of an empty store of this test's own, in a folder with a space and an umlaut."""
    folder = tmp_path / "a földer"
    folder.mkdir()
    shutil.copy(empty_store, folder / "mlflow.db")
    return uri_of(folder)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in mlflow_mirror._ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # mlflow sets it; the test's end takes it back


class Interrupted(BaseException):
    """Raised in place of a process that is killed: no handler of ours catches it."""


def here(
    uri: str, folder: Path, values: RunRecord, stop_at: int = 10**9, blob: bytes = b"blob"
) -> tuple[dict[str, Any], list[str]]:
    """Mirror in this process, killed before stage `stop_at`; return the result and the stages."""
    work = folder / f"work{time.monotonic_ns()}"
    (work / "artifacts" / "cards").mkdir(parents=True)
    (work / "artifacts" / "cards" / "winner.html").write_text(CARDS["winner"])
    (work / "bundle.bin").write_bytes(blob)
    plain = json.dumps(mlflow_mirror.json_ready(values.to_dict()))
    (work / "artifacts" / "record.json").write_text(plain)
    stages: list[str] = []

    def report(stage: str) -> None:
        if len(stages) == stop_at:
            raise Interrupted(stage)
        stages.append(stage)

    return mlflow_child.mirror_here(uri, work, report, mlflow_mirror.artifact_location(uri)), stages


def counts(uri: str) -> dict[str, int]:
    """Rows of every table that a mirror writes."""
    tables = (
        "experiments",
        "runs",
        "metrics",
        "params",
        "tags",
        "datasets",
        "inputs",
        "logged_models",
        "logged_model_metrics",
        "registered_models",
        "model_versions",
    )
    with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
        return {t: database.execute(f"select count(*) from {t}").fetchone()[0] for t in tables}


# 4 full searches: 3 trials x 2 + 5 folds + auc_mean, auc_std, seconds, rank;
# the failed: 2 + seconds;
# parent: brier x 2, recall, auc x 3, threshold, rows, one baseline
METRICS = 4 * (3 * 2 + 5 + 4) + (2 + 1) + 9
EXACT = {
    "experiments": 2,
    "runs": 6,
    "metrics": METRICS,
    "datasets": 1,
    "inputs": 2,
    "logged_models": 1,
    "logged_model_metrics": 9,
    "registered_models": 1,
    "model_versions": 1,
    "params": 3 + 1 + 4,
}


def assert_exact(uri: str) -> None:
    actual = counts(uri)
    assert {k: actual[k] for k in EXACT} == EXACT


def test_every_fact_of_the_record_is_in_mlflow(store: str, tmp_path: Path) -> None:
    result, _ = here(store, tmp_path, record())
    assert_exact(store)
    client = mlflow_store.connect(store)
    parent = client.get_run(result["run_id"])
    assert result["status"] == "mirrored"
    assert (
        client.get_experiment(result["experiment_id"]).name
        == result["experiment"]
        == "TrainFlow: Customer churn"
    )
    assert parent.info.status == "FINISHED"
    assert (parent.info.start_time, parent.info.end_time) == (STARTED, STARTED + 60_000)
    assert parent.data.params == {
        "seed": "7",
        "trials": "3",
        "winner": "lightgbm",
        "winner.depth": "1",
    }
    assert parent.data.metrics == {
        "brier": 0.12,
        "brier_low": 0.1,
        "recall_10_": 0.4,
        "auc": 0.81,
        "auc_low": 0.78,
        "auc_high": 0.84,
        "threshold": 0.3,
        "rows": 10000.0,
        "baseline_auc.majority": 0.5,
    }
    expected = {
        "metaflow.pathspec": "TrainFlow/1700000000",
        "mlflow.user": "ada",
        "mlflow.source.git.commit": "abc123",
        "git.dirty": "false",
        "fivefold.winner": "lightgbm",
        "fivefold.mirror": "complete",
    }
    assert {k: parent.data.tags.get(k) for k in expected} == expected
    data = parent.inputs.dataset_inputs[0].dataset
    assert (data.name, data.digest, data.source_type) == (
        "churn",
        "d41d8cd98f00b204e9800998ecf8427e",
        "postgresql",
    )
    assert json.loads(data.profile) == {"num_rows": 10000}
    assert [f"models:/{o.model_id}" for o in parent.outputs.model_outputs] == [
        client.get_model_version(result["model_name"], "1").source
    ]

    assert list(result["children"]) == list(ALGORITHMS)
    child = client.get_run(result["children"]["xgboost"])
    assert child.data.tags["mlflow.parentRunId"] == result["run_id"]
    assert child.data.params == {"depth": "2"}
    history = {
        k: [
            (m.step, m.value, m.timestamp - STARTED)
            for m in client.get_metric_history(child.info.run_id, k)
        ]
        for k in ("trial_auc", "best_auc", "fold_auc", "auc_mean")
    }
    assert history["trial_auc"] == [(0, 0.70, 2000), (1, 0.99, 4000), (2, 0.75, 6000)]
    assert history["best_auc"] == [
        (0, 0.70, 2000),
        (1, 0.70, 4000),
        (2, 0.75, 6000),
    ]  # a pruned trial is no best
    assert [v for _, v, _ in history["fold_auc"]] == [0.8, 0.79, 0.81, 0.8, 0.8]
    assert history["auc_mean"] == [(0, 0.78, 10_000)]
    failed = client.get_run(result["children"]["adaboost"])
    assert (failed.info.status, failed.data.tags["error"]) == ("FAILED", "ValueError: planted")


def test_the_model_is_registered_once_with_a_signature_and_its_code(
    store: str, tmp_path: Path
) -> None:
    import mlflow

    result, _ = here(store, tmp_path, record())
    client = mlflow_store.connect(store)
    version = client.get_model_version("trainflow-customer-churn", "1")
    assert result["model_uri"] == "models:/trainflow-customer-churn/1"
    assert version.run_id == result["run_id"]
    assert version.tags["metaflow.pathspec"] == "TrainFlow/1700000000"
    assert client.get_registered_model("trainflow-customer-churn").aliases == {}
    info = mlflow.models.get_model_info(result["model_uri"])
    inputs = info.signature.inputs
    assert inputs.input_names() == ["age", "plan", "since", "vip"]
    assert inputs.required_input_names() == ["age", "plan", "since", "vip"]
    folder = Path(mlflow.artifacts.download_artifacts(result["model_uri"]))
    assert (folder / "artifacts" / "bundle.bin").read_bytes() == b"blob"
    assert (folder / "code" / "fivefold" / "core" / "schema.py").is_file()
    assert not [
        p for p in folder.rglob("*") if p.name == "__pycache__" or p.suffix in (".pkl", ".pyc")
    ]
    pinned = (folder / "requirements.txt").read_text().split()
    assert "numpy==2.4.0" in pinned  # the training run's, not the one installed here
    assert [p.split("==")[0] for p in pinned] == [
        "mlflow",
        "numpy",
        "pandas",
        "pyarrow",
        "scipy",
        "scikit-learn",
        "skops",
        "lightgbm",
    ]


@pytest.mark.parametrize(("served", "boosters"), [("blend", {"xgboost"}), ("single", set())])
def test_the_packages_are_those_of_the_members_that_are_served(
    served: str, boosters: set[str]
) -> None:
    blend = {"served": served, "weights": {"forest": 0.5, "xgboost": 0.5}}
    pinned = mlflow_model.requirements(replace(record(), winner="forest", blend=blend), b"")
    names = {pin.split("==")[0] for pin in pinned}
    assert {name.removesuffix("-cpu") for name in names} & {"lightgbm", "xgboost"} == boosters


def test_a_second_mirror_changes_nothing(store: str, tmp_path: Path) -> None:
    first, _ = here(store, tmp_path, record())
    before = counts(store)
    second, stages = here(store, tmp_path, record())
    assert counts(store) == before
    assert second == {**first, "status": "unchanged"}
    assert stages == ["opening the store", "looking for the run"]


def test_a_mirror_killed_before_each_of_its_stages_is_completed_without_doubles(
    store: str, tmp_path: Path
) -> None:
    """One store, killed before stage 0, then 1, 2, ...: every attempt starts from what is left."""
    result: dict[str, Any] = {}
    for stop_at in range(100):
        try:
            result, _ = here(store, tmp_path, record(), stop_at)
            break
        except Interrupted:
            continue
    assert (result["status"], stop_at) == ("mirrored", 13)
    assert_exact(store)


CALLS = (
    "create_experiment",
    "create_run",
    "log_batch",
    "log_inputs",
    "log_artifacts",
    "create_logged_model",
    "log_model_artifacts",
    "finalize_logged_model",
    "log_outputs",
    "create_registered_model",
    "create_model_version",
    "set_terminated",
    "set_tag",
)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_inside_each_call_is_completed_without_doubles(
    when: str, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the worst moment: MLflow has done it and the answer is lost."""
    import mlflow

    for number, call in enumerate(CALLS):
        real = getattr(mlflow.MlflowClient, call)

        def broken(
            self: Any, *args: Any, _real: Any = real, _call: str = call, **kwargs: Any
        ) -> Any:
            if when == "after":
                _real(self, *args, **kwargs)
            raise Interrupted(_call)

        with monkeypatch.context() as patch:
            patch.setattr(mlflow.MlflowClient, call, broken)
            uri = uri_of(tmp_path / f"{when}{number}")
            Path(uri.removeprefix("sqlite:///")).parent.mkdir()
            shutil.copy(store.removeprefix("sqlite:///"), uri.removeprefix("sqlite:///"))
            with pytest.raises(Interrupted, match=call):
                here(uri, tmp_path, record())
        assert here(uri, tmp_path, record())[0]["status"] == "mirrored"
        assert_exact(uri)


@pytest.fixture
def real_bundle() -> tuple[bytes, RunRecord]:
    """A real bundle's bytes and its record: a logistic regression on age alone, .5 at age 50."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from fivefold.core import schema
    from fivefold.data import coerce
    from fivefold.model import bundle, inputs

    columns = [{**c, "levels": tuple(c.get("levels", ()))} for c in COLUMNS]
    contract = schema.Schema(tuple(schema.Column(**c) for c in columns), "churn", "no", "yes")  # type: ignore[arg-type]
    raw = pd.DataFrame(
        {"age": [20.0, 40.0, 60.0, 80.0], "plan": "plus", "since": "2020-01-31", "vip": "yes"}
    )
    typed, _ = coerce.coerce_table(raw, contract)
    pipeline = make_pipeline(
        make_column_transformer(("passthrough", ["age"])), LogisticRegression()
    )
    pipeline.fit(inputs.expand(typed, contract), np.array([0, 0, 1, 1]))
    from fivefold.model import metadata

    scope = {"target": "churn", "optional_columns": ("plan", "since", "vip")}
    described = metadata.Metadata(
        outcomes=metadata.Outcomes("stays", "leaves"), scope=Scope.from_dict(scope)
    )
    blob = bundle.Bundle(pipeline, contract, described).to_bytes()
    values = record(sha256=bundle.sha256(blob))
    return blob, replace(values, scope={**values.scope, **scope})


SCORE = """
import json, os, sys
import mlflow, pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
plans, days = ["plus", None, "unseen"], ["2020-01-31", None, "2021-05-01"]
frame = pd.DataFrame({"age": [20, 80, 50.5], "plan": plans, "since": days})
import fivefold.model.bundle
print(json.dumps([model.predict(frame).to_dict("list"), fivefold.model.bundle.__file__]))
"""


@pytest.mark.slow
def test_the_model_loads_elsewhere_without_the_checkout(
    real_bundle: tuple[bytes, RunRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way, child process included; a relative address means the caller's folder."""
    blob, values = real_bundle
    monkeypatch.chdir(tmp_path)
    result = mlflow_mirror.mirror(values, blob, CARDS, "sqlite:///mlflow.db")
    assert (result.status, result.warning) == ("mirrored", "")
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "mlartifacts",
        "mlflow.db",
        "mlflow.db.lock",
    ]
    artifacts = tmp_path / "mlartifacts" / result.run_id / "artifacts"
    assert sorted(str(p.relative_to(artifacts)) for p in artifacts.rglob("*") if p.is_file()) == [
        "cards/escape.html",
        "cards/winner.html",
        "leaderboard.json",
        "record.json",
        "trials.json",
    ]
    assert (artifacts / "cards" / "winner.html").read_text() == CARDS["winner"]
    assert "secret" not in (artifacts / "record.json").read_text()
    assert json.loads((artifacts / "leaderboard.json").read_text())["columns"][:3] == [
        "rank",
        "algorithm",
        "status",
    ]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCORE, uri_of(tmp_path), result.model_uri],
        cwd=elsewhere,
        env={"PATH": "/usr/bin", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    scores, file = json.loads(done.stdout.splitlines()[-1])
    assert str(mlflow_mirror.PACKAGE) not in file
    assert scores["decision"] == ["stays", "leaves", "leaves"]
    assert (
        scores["probability"][0]
        < 0.1
        < 0.5
        < scores["probability"][2]
        < 0.9
        < scores["probability"][1]
    )
    client = mlflow_store.connect(uri_of(tmp_path))
    assert mlflow_store.find_run(client, "TrainFlow/1700000000").info.run_id == result.run_id
    assert mlflow_store.find_run(client, "TrainFlow/2") is None


def saved_model(tmp_path: Path, store: str, blob: bytes, values: RunRecord) -> Path:
    """The folder of the model that a mirror saves."""
    here(store, tmp_path, values, blob=blob)
    return next(tmp_path.rglob("MLmodel")).parent


def test_the_model_takes_any_types_that_pandas_gives(
    real_bundle: tuple[bytes, RunRecord], store: str, tmp_path: Path
) -> None:
    import io

    import mlflow
    import pandas as pd

    from fivefold.model.bundle import from_bytes

    blob, values = real_bundle
    model = mlflow.pyfunc.load_model(str(saved_model(tmp_path, store, blob, values)))
    text = "age,plan,since,vip,other\n20,plus,2020-01-31,True,1\n80,,2021-05-01,False,2\n"
    table = pd.read_csv(io.StringIO(text))
    assert (str(table["age"].dtype), str(table["vip"].dtype)) == ("int64", "bool")
    rows = [{"age": 20, "plan": "plus", "since": "2020-01-31", "vip": True}]
    rows.append({"age": 80, "plan": None, "since": "2021-05-01", "vip": False})
    bundle = from_bytes(blob)
    expected = json_rows.assess(bundle, json_rows.table_of(rows, bundle.schema)).scores
    types = {"age": "Int64", "plan": "category", "vip": "boolean", "since": "datetime64[ns]"}
    tables = [
        table,
        table.astype(types),
        table.astype({"plan": "string", "age": "int32"}),
        table.astype("object"),
        table.convert_dtypes(),
        pd.read_csv(io.StringIO(text), dtype_backend="pyarrow"),
    ]
    for actual in map(model.predict, tables):
        assert actual.to_dict("list") == expected.to_dict("list")
    gap = model.predict(table.assign(age=pd.array([None, 3], dtype="Int64"), vip=[None, True]))
    assert gap["warnings"].tolist() == [
        "age: missing, which training never saw",
        "age: 3 is outside the training range 18 to 90",
    ]


def test_a_column_that_the_model_lacks_is_refused_or_warned_of(
    real_bundle: tuple[bytes, RunRecord], store: str, tmp_path: Path
) -> None:
    import mlflow
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(saved_model(tmp_path, store, *real_bundle)))
    table = pd.DataFrame({"age": [20, 30], "since": ["2020-01-31", None], "vip": "yes"})
    assert set(model.predict(table)["warnings"]) == {"plan: no such column, taken as missing"}
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs \\['age'\\]"):
        model.predict(table.drop(columns="age"))
    signature = mlflow_model.signature(replace(real_bundle[1], scope={"target": "churn"}))
    assert signature.inputs.required_input_names() == ["age", "plan", "since", "vip"]


@pytest.fixture(scope="module")
def blend_of_all() -> tuple[bytes, RunRecord]:
    """A model of which XGBoost and LightGBM are members, whose names the record does not hold."""
    import numpy as np
    import pandas as pd
    from lightgbm import LGBMClassifier
    from xgboost import XGBClassifier

    from fivefold.core import schema
    from fivefold.model import bundle, metadata
    from fivefold.training.final_fit import average

    x = pd.DataFrame({"age": np.arange(40.0)})
    boosted = [
        LGBMClassifier(n_estimators=2, min_child_samples=2, n_jobs=1, verbose=-1),
        XGBClassifier(n_estimators=2, n_jobs=1),
    ]
    pipeline = average([model.fit(x, np.arange(40) >= 20) for model in boosted], [0.5, 0.5])
    contract = schema.Schema((schema.Column("age", "numeric"),), "churn", "no", "yes")
    blob = bundle.Bundle(pipeline, contract, metadata.Metadata()).to_bytes()
    values = replace(record(sha256=bundle.sha256(blob)), winner="blend", example=[])
    return blob, replace(values, schema=contract.to_dict(), versions={})


def test_the_requirements_hold_the_libraries_of_all_members(
    blend_of_all: tuple[bytes, RunRecord],
) -> None:
    blob, values = blend_of_all
    pinned = mlflow_model.requirements(values, blob)
    names = [pin.split("==")[0].removesuffix("-cpu") for pin in pinned]
    assert {"xgboost", "lightgbm", "scikit-learn", "pandas"} <= set(names)
    assert len(pinned) == len(set(pinned))
    assert mlflow_model.requirements(values, b"damaged") != pinned


@pytest.mark.slow
@pytest.mark.skipif(not UV, reason="making an environment takes minutes without uv")
def test_the_model_scores_in_an_environment_made_from_its_requirements(
    blend_of_all: tuple[bytes, RunRecord], store: str, tmp_path: Path
) -> None:
    model = saved_model(tmp_path, store, *blend_of_all)
    made = tmp_path / "clean"
    python = str(made / "bin" / "python")
    steps = [
        [UV, "venv", "-q", "-p", sys.executable, str(made)],
        [UV, "pip", "install", "-q", "-p", python, "-r", str(model / "requirements.txt")],
    ]
    for step in steps:
        subprocess.run(step, check=True, timeout=900, env={**os.environ, "PYTHONPATH": ""})
    score = (
        "import mlflow, pandas, sys; model = mlflow.pyfunc.load_model(sys.argv[1]); "
        "print(model.predict(pandas.DataFrame({'age': [1, 39]}))['decision'].tolist())"
    )
    done = subprocess.run(
        [python, "-c", score, str(model)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['negative', 'positive']"


@pytest.mark.slow
def test_a_real_server_is_mirrored_to_over_http(
    real_bundle: tuple[bytes, RunRecord], tmp_path: Path
) -> None:
    blob, values = real_bundle
    with servers.mlflow_server(tmp_path) as uri:
        first = mlflow_mirror.mirror(values, blob, CARDS, uri)
        assert (first.status, first.warning) == ("mirrored", "")
        assert_exact(f"sqlite:///{tmp_path / 'server.db'}")
        actual = mlflow_store.find_run(mlflow_store.connect(uri), "TrainFlow/1700000000")
        assert actual.info.run_id == first.run_id
        assert first.link == f"{uri}/#/experiments/1/runs/{first.run_id}"
        second = mlflow_mirror.mirror(values, blob, CARDS, uri)
        assert_exact(f"sqlite:///{tmp_path / 'server.db'}")
        assert replace(second, status="", seconds=0) == replace(first, status="", seconds=0)
        assert second.status == "unchanged"
        assert (
            tmp_path / "served" / "1" / first.run_id / "artifacts" / "cards" / "winner.html"
        ).is_file()


@pytest.mark.slow
def test_the_model_answers_json_when_mlflow_serves_it(
    real_bundle: tuple[bytes, RunRecord], store: str, tmp_path: Path
) -> None:
    """Missing optional columns are scored; an unreadable cell gives null, never NaN (no JSON)."""
    blob, values = real_bundle
    here(store, tmp_path, values, blob=blob)
    source = next(tmp_path.glob("*/mlartifacts/**/MLmodel")).parent
    port = servers.free_port()
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(source)]
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    command = [*serve, "--env-manager", "local", *listen]

    def ask(rows: list[dict[str, Any]]) -> tuple[int, str]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"dataframe_records": rows}).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    with servers.running(command, f"http://127.0.0.1:{port}/ping", tmp_path):
        status, text = ask(
            [
                {"age": 20, "plan": "plus", "since": "2020-01-31", "vip": "yes"},
                {"age": 80.5, "plan": None},
                {"age": 80, "since": "31 of May"},
            ]
        )
        missing = ask([{"plan": "plus"}])
        loose = [
            ask([row])[0]
            for row in ({"age": 20, "vip": True}, {"age": "20", "vip": 1}, {"age": 20, "plan": 3})
        ]
    assert status == 200
    assert "NaN" not in text
    predictions = json.loads(text)["predictions"]
    assert [p["decision"] for p in predictions] == ["stays", "leaves", ""]
    assert [p["probability"] is None for p in predictions] == [False, False, True]
    assert predictions[2]["error"] == "since: '31 of May' is not a date, such as 2024-12-31"
    assert loose == [200, 200, 200]  # JSON's own true and 1 for a text column, a number in quotes
    assert missing[0] == 400
    assert "age" in missing[1]


@pytest.mark.slow
def test_two_runs_at_once_on_a_fresh_store_both_arrive(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(
                lambda run: mlflow_mirror.mirror(record(run), b"blob", {}, uri_of(tmp_path)),
                ["1", "2"],
            )
        )
    assert [r.status for r in done] == ["mirrored", "mirrored"], done
    assert sorted(r.model_version for r in done) == ["1", "2"]
    actual = counts(uri_of(tmp_path))
    assert (actual["runs"], actual["model_versions"], actual["experiments"]) == (12, 2, 2)


def fails(uri: str, match: str, seconds: float) -> MirrorResult:
    """Mirror to a store that cannot take it: one warning, within `seconds`."""
    started = time.monotonic()
    result = mlflow_mirror.mirror(record(), b"blob", CARDS, uri)
    assert time.monotonic() - started < seconds
    assert (result.status, result.run_id) == ("failed", "")
    assert match in result.warning
    assert "`python flows/mirror.py --run-id 1700000000`" in result.warning
    assert "\n" not in result.warning
    return result


def test_without_an_address_nothing_is_done() -> None:
    result = mlflow_mirror.mirror(record(), b"blob", CARDS, "")
    assert (result.status, result.warning) == ("skipped", "")


def test_a_refused_port_is_one_warning_without_the_password() -> None:
    address = f"127.0.0.1:{servers.free_port()}"
    result = fails(f"http://ada:secret@{address}", "Connection refused", 5)
    assert "start the MLflow server" in result.warning
    assert "secret" not in json.dumps(result.to_dict())
    assert result.uri == f"http://ada:***@{address}"


def test_a_refused_database_is_one_warning() -> None:
    fails(f"postgresql://ada:secret@127.0.0.1:{servers.free_port()}/x", "Connection refused", 5)


@pytest.mark.slow
def test_a_silent_server_is_given_up() -> None:
    with servers.silent() as uri:
        fails(uri, "timed out", 10)


@pytest.mark.slow
def test_a_server_that_is_healthy_and_then_hangs_is_given_up() -> None:
    with servers.answering(200, health=200, delay=60) as (uri, _):
        fails(uri, "timed out", 15)


@pytest.mark.slow
def test_a_server_that_outlasts_every_limit_is_cut_off_with_its_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mlflow_mirror, "TIMEOUT", 4)
    with servers.answering(200, health=200, delay=60) as (uri, _):
        result = mlflow_mirror.mirror(record(), b"blob", {}, uri)
    assert (result.status, result.seconds < 8) == ("failed", True)
    assert "no answer within 4 s (" in result.warning


def test_a_server_that_answers_500_is_one_warning() -> None:
    with servers.answering(500, health=500) as (uri, asked):
        fails(uri, "HTTP 500", 5)
    assert asked == ["/health"]


@pytest.mark.slow
def test_a_server_that_is_healthy_and_then_answers_500_is_asked_once() -> None:
    with servers.answering(500, health=200) as (uri, asked):
        fails(uri, "500", 10)
    assert len(asked) == 2


def test_a_corrupt_database_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"not a database, " * 500)
    result = fails(uri_of(tmp_path), "file is not a database", 5)
    assert "move the damaged database file away" in result.warning
    assert (tmp_path / "mlflow.db").read_bytes() == b"not a database, " * 500


def test_a_folder_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for uri in (f"sqlite:///{tmp_path}/file/mlflow.db", "sqlite:////proc/nothing/mlflow.db"):
        assert "make that folder writable" in fails(uri, "mlflow.db", 5).warning


def test_a_percent_code_in_the_path_is_refused(tmp_path: Path) -> None:
    fails(f"sqlite:///{tmp_path}/a%20b/mlflow.db", "percent code", 5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_schema_of_another_mlflow_version_is_one_warning(store: str) -> None:
    with sqlite3.connect(store.removeprefix("sqlite:///")) as database:
        database.execute("update alembic_version set version_num = '0123456789ab'")
    assert "mlflow db upgrade" in fails(store, "0123456789ab", 15).warning


@pytest.mark.slow
def test_a_full_disk_is_one_warning_and_the_next_mirror_completes(tmp_path: Path) -> None:
    """A file size limit stands in for the full disk; no half-made schema may stay."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))
    try:
        result = mlflow_mirror.mirror(record(), b"blob", {}, uri_of(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, old)
    assert (result.status, result.seconds < 15) == ("failed", True)
    again = mlflow_mirror.mirror(record(), b"blob", {}, uri_of(tmp_path))
    assert (again.status, again.warning) == ("mirrored", "")


def test_the_callers_environment_and_process_stay_clean() -> None:
    """mlflow is never imported by `mirror` itself, and no setting of it leaks."""
    code = (
        "import json, os, sys; from fivefold.tracking.mlflow_mirror import RunRecord, mirror;"
        "record = RunRecord.from_dict(json.loads(sys.argv[1]));"
        "before = dict(os.environ);"
        "r = mirror(record, b'', {}, 'http://127.0.0.1:9');"
        "print(r.status, 'mlflow' in sys.modules, before == dict(os.environ))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(record().to_dict())],
        cwd=mlflow_mirror.PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout.split() == ["failed", "False", "True"]


def test_links_and_names() -> None:
    assert mlflow_mirror.link("sqlite:///x.db", "r", "1") == ""
    assert (
        mlflow_mirror.link("https://me:pw@host/mlflow", "r", "1")
        == "https://host/mlflow/#/experiments/1/runs/r"
    )
    assert mlflow_mirror.slug(" ../Ä b/ ") == "ä-b"
    assert (
        mask("sqlite:////tmp/a@b.db and http://u:p@h/x")
        == "sqlite:////tmp/a@b.db and http://u:***@h/x"
    )
