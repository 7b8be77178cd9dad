"""The app, through Streamlit's own test client, on a real run."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from lib.bundle import from_bytes
from tests.running import ROOT, open_run

pytestmark = pytest.mark.slow


def page(store, monkeypatch) -> AppTest:
    import streamlit as st

    st.cache_data.clear()
    st.cache_resource.clear()
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(store))
    return AppTest.from_file(str(ROOT / "frontend" / "app.py"), default_timeout=60)


def test_a_prediction_is_that_of_the_bundle(tiny, store, monkeypatch):
    open_run(store, tiny[0].id)
    app = page(store, monkeypatch).run()
    assert not app.exception
    app.number_input[0].set_value(70.0)
    app.button[0].click().run()
    assert not app.exception
    assert app.metric[0].value.endswith("%")
    shown = float(app.metric[0].value.rstrip("%")) / 100
    assert 0 <= shown <= 1
    from lib import runs

    bundle = from_bytes(*runs.bundle_of(runs.find_run()))
    decision = bundle.about["phrases"][int(shown >= bundle.about["threshold"]["value"])]
    assert app.metric[1].value == decision


def test_without_a_run_the_page_says_what_to_type(tmp_path, monkeypatch):
    open_run_free = tmp_path / "empty"
    open_run_free.mkdir()
    from metaflow.plugins.datastores.local_storage import LocalStorage

    monkeypatch.setattr(LocalStorage, "datastore_root", str(open_run_free / ".metaflow"))
    app = page(open_run_free, monkeypatch).run()
    assert not app.exception
    assert app.code[0].value == "python flows/train.py run"
