"""One tiny real training run per session, which many tests read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fivefold.data.synthetic.bank import write
from tests.support.running import train_tiny


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
