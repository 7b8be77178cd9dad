"""One tiny real training run per session, which many tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fivefold.data.synthetic.bank import write
from tests.support.running import NO_MLFLOW, TOO_SHORT, train, train_tiny


@pytest.fixture(scope="session")
def small_csv(tmp_path_factory) -> Path:
    """600 rows of the bundled table's model."""
    path = tmp_path_factory.mktemp("data") / "small.csv"
    write(path, rows=600, seed=3)
    return path


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> Path:
    """The folder that holds the session's Metaflow datastore and MLflow file."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def tiny(store, small_csv):
    """(run, output) of one training run on `small_csv`."""
    return train_tiny(store, small_csv)


@pytest.fixture(scope="session")
def scope_file(store, small_csv) -> Path:
    """The scope of the run `second`."""
    path = store / "scope.toml"
    path.write_text(
        f"""
title = "Bank churn"
question = "Which customers will leave?"
data = "{small_csv}"
[target]
column = "churned"
positive = "yes"
positive_phrase = "will leave"
negative_phrase = "will stay"
[columns]
id = ["customer_id"]
changeable = ["n_products", "complaints_12m", "active_member"]
[columns.units]
age = "years"
[costs]
miss = 5
capacity = 0.25
"""
    )
    return path


@pytest.fixture(scope="session")
def second(tiny, store, scope_file):
    """(run, output) of another run on `small_csv`: with a scope, too little time and no MLflow."""
    scope = ["--config", "scope", scope_file]
    return train(store, *scope, "run", "--seed", "1", *TOO_SHORT, *NO_MLFLOW)
