"""A run, its bundle and its journal, made by the release before the package `fivefold`, still open.

tests/fixtures/README.md says how old_run.tar.xz was made.
"""

from __future__ import annotations

import contextlib
import tarfile
from pathlib import Path

import metaflow
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn.metrics import roc_auc_score
from streamlit.testing.v1 import AppTest

from fivefold.core.parquet import from_parquet
from fivefold.data.splits import Assignment
from fivefold.journal import database, labels, promotions, reports
from fivefold.lifecycle import window
from fivefold.model.bundle import from_bytes
from fivefold.serving import served_model
from fivefold.tracking import client, metaflow_cards, mirror_outcome, mlflow_mirror, overview
from tests.support.running import ROOT, open_run

FIXTURE = ROOT / "tests" / "fixtures" / "old_run.tar.xz"
MADE_IN = "/tmp/bank"  # the folder of the run, which Metaflow's metadata name
PROBLEM = "churned"


@pytest.fixture(scope="module")
def old_store(tmp_path_factory) -> Path:
    """The folder with the old datastore, journal.db and scored.csv."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="data")
    for path in (folder / ".metaflow").rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        if MADE_IN in text:
            path.write_text(text.replace(MADE_IN, str(folder)), encoding="utf-8")
    return folder


@pytest.fixture
def run(old_store):
    """The old run; afterwards Metaflow reads where it read before."""
    from metaflow.plugins.datastores.local_storage import LocalStorage

    datastore, metadata = LocalStorage.datastore_root, metaflow.get_metadata()
    number = (old_store / ".metaflow" / "TrainFlow" / "latest_run").read_text().strip()
    yield open_run(old_store, number)
    with contextlib.suppress(ValueError):  # there may have been no datastore
        metaflow.metadata(metadata)
    LocalStorage.datastore_root = datastore


@pytest.fixture
def journal(old_store, tmp_path):
    """The old journal, in a copy that is migrated when it is opened."""
    copy = tmp_path / "journal.db"
    copy.write_bytes((old_store / "journal.db").read_bytes())
    engine = database.open_journal(f"sqlite:///{copy}")
    yield engine
    engine.dispose()


@pytest.fixture
def scored(old_store) -> pd.DataFrame:
    """Rows that the old code scored, with its probabilities; cells as text."""
    return pd.read_csv(old_store / "scored.csv", dtype="str")


def test_every_artifact_that_other_processes_read_is_there(run):
    missing = [name for name in client.STEP_OF if client.read(run, name) is None]
    assert missing == []


def test_the_overview_is_complete(run):
    shown = overview.overview(run.id)
    assert (shown.status, shown.step) == (overview.FINISHED, "end")
    assert (shown.target, shown.rows) == (PROBLEM, 240)
    assert shown.algorithm == client.read(run, "winner")
    assert 0 < shown.low < shown.auc < shown.high < 1
    unread = {name for name, value in vars(shown).items() if value is None}
    assert unread <= {"positive"}  # the scope of this run names no label


def test_the_details_are_complete(run):
    kept = overview.details(run.id)
    assert sorted(row["rank"] for row in kept.leaderboard) == [1, 2, 3, 4, 5]
    assert kept.blend["served"] == "single"
    assert kept.options["trials"] == 1
    assert mirror_outcome.find(run).status == "mirrored"
    assert kept.failures == {}


def test_the_data_report_opens(run):
    assert overview.summary(run.id)["overview"]["rows"] == 240


def test_the_served_bundle_gives_the_stored_probabilities(run, scored):
    bundle = from_bytes(*client.bundle_bytes(run))
    stored = scored["probability"].astype(float).to_numpy()
    again = bundle.score(scored)["probability"].to_numpy()
    np.testing.assert_allclose(again, stored, rtol=1e-9)
    assert len(stored) == 40


def test_the_evaluated_bundle_gives_the_stored_evaluation(run):
    served = from_bytes(*client.bundle_bytes(run))
    evaluated = client.evaluated_bundle(run, served)
    assert evaluated is not served
    typed, fold_ids = from_parquet(client.read(run, "typed")), client.read(run, "place")
    held_out = fold_ids == Assignment.HOLDOUT
    y = client.read(run, "labels")["y"][held_out]
    auc = roc_auc_score(y, evaluated.probability(typed[held_out].reset_index(drop=True)))
    assert auc == pytest.approx(client.read(run, "evaluation")["auc"]["value"], abs=1e-9)


def test_a_threshold_can_be_chosen_again(run):
    rows = overview.threshold_data(run.id)
    assert rows.y.shape == rows.scores.shape == rows.fold_ids.shape == (240,)
    assert np.isfinite(rows.scores[rows.fold_ids >= 0]).all()


def test_a_window_finds_its_reference(run):
    assert window.reference_of(run.pathspec)


def test_cards_that_are_gone_are_no_error(run):
    assert metaflow_cards.report_cards(run) == {}
    assert metaflow_cards.card_html(run, "eda") is None
    assert len(metaflow_cards.searches(run)) == 5


def test_the_record_is_complete(run):
    record = client.run_record(run.pathspec, run["record"].task.data)
    plain = record.to_dict()
    assert client.RunRecord.from_dict(plain).to_dict() == plain
    assert record.bundle["sha256"] == client.read(run, "bundle_sha256")
    assert record.leaderboard[0]["algorithm"] == record.winner


@pytest.mark.slow
def test_the_run_can_be_mirrored_again(run, scored, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setattr(mlflow_mirror, "TIMEOUT", 120)
    record = client.run_record(run.pathspec, run["record"].task.data)
    bundle, uri = client.read(run, "bundle"), f"sqlite:///{tmp_path}/mlflow.db"
    result = mlflow_mirror.mirror(record, bundle, metaflow_cards.report_cards(run), uri)
    assert (result.status, result.warning) == ("mirrored", "")
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    model = mlflow.pyfunc.load_model(result.model_uri)
    rows = scored[[column.name for column in model.metadata.signature.inputs]].astype(object)
    rows = rows.where(rows.notna(), None)
    stored = scored["probability"].astype(float)
    np.testing.assert_allclose(model.predict(rows)["probability"], stored, rtol=1e-9)


def test_the_promoted_model_of_the_journal_is_served(run, journal):
    promotion = promotions.champion(journal, PROBLEM)
    assert promotion.model == run.pathspec
    model = served_model.load(promotion.model, promotion)
    assert model.bundle.metadata.threshold.value == promotion.threshold


def test_the_journal_keeps_predictions_labels_and_reports(journal, scored):
    with journal.connect() as connection:
        rows = connection.execute(sa.text("select id, probability from predictions"))
        predictions = dict(rows.all())
    stored = dict(zip(scored["prediction_id"], scored["probability"].astype(float), strict=True))
    assert predictions == pytest.approx(stored)
    assert labels.counts(journal, PROBLEM)
    assert len(reports.reports(journal, PROBLEM)) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("part", ["Facts", "Leaderboard", "Curves", "Cards"])
def test_the_model_page_of_the_app_shows_it(run, old_store, monkeypatch, part):
    import streamlit as st

    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(old_store))
    monkeypatch.setenv("FIVEFOLD_JOURNAL", f"sqlite:///{old_store}/journal.db")
    app = AppTest.from_file(str(ROOT / "frontend" / "app.py"), default_timeout=60)
    app = app.switch_page("views/models.py")
    app.query_params["part"] = part
    app.run()
    assert not app.exception
    assert not app.error
    tables = "\n".join(pd.DataFrame(table.value).to_csv() for table in app.dataframe)
    assert run.id in tables
