"""The app through Streamlit's test client: each page on real runs, and each failure."""

from __future__ import annotations

import fcntl
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fivefold.core.clock import timestamp
from fivefold.journal import database
from fivefold.lifecycle import promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.tracking import client
from fivefold.tracking.mirror_outcome import MirrorResult
from fivefold.training.leaderboard import title
from tests.support.running import (
    ROOT,
    SHORTEST,
    copy_runs,
    open_run,
    run_flow,
    run_id,
    run_until,
    table_options,
    wait_for_mirror,
)

pytestmark = pytest.mark.slow

MINE = "Use this threshold during my visit"
PAGES = ("predict", "batch", "models", "data", "decision", "monitoring", "feedback")


@pytest.fixture(scope="session")
def one_run(tmp_path_factory, store, tiny) -> Path:
    """A datastore with the tiny run only: pages show the newest run, whatever else was trained."""
    folder = tmp_path_factory.mktemp("one_run")
    copy_runs(store, folder, tiny[0].id)
    return folder


@pytest.fixture(scope="module")
def other(tmp_path_factory, store, tiny) -> Path:
    """A copy of the datastore, for tests that damage it."""
    folder = tmp_path_factory.mktemp("copy")
    copy_runs(store, folder, tiny[0].id)
    return folder


@pytest.fixture(scope="session")
def promoted(store, tiny, tmp_path_factory) -> Path:
    """A journal in which the tiny run's model is promoted, to be copied."""
    path = tmp_path_factory.mktemp("promoted") / "journal.db"
    engine = database.open_journal(f"sqlite:///{path}")
    open_run(store, tiny[0].id)
    promotion.promote(engine, tiny[0].id, "ann", "a first one")
    engine.dispose()
    return path


@pytest.fixture
def page(one_run, store, tiny, promoted, monkeypatch, tmp_path_factory):
    """page(name, folder, fresh): the app at a page, on the runs of a folder, with its own journal.

    In that journal the tiny run's model is promoted; with `fresh` it is empty.
    """
    import streamlit as st

    journal = tmp_path_factory.mktemp("journal") / "journal.db"
    monkeypatch.setenv("FIVEFOLD_JOURNAL", f"sqlite:///{journal}")

    def opened(name: str = "predict", folder: Path = one_run, fresh: bool = False) -> AppTest:
        st.cache_data.clear()
        st.cache_resource.clear()
        if not fresh and not journal.exists():
            shutil.copy(promoted, journal)
        from metaflow.plugins.datastores.local_storage import LocalStorage

        (folder / ".metaflow").mkdir(exist_ok=True)
        monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(folder))
        monkeypatch.setattr(LocalStorage, "datastore_root", str(folder / ".metaflow"))
        import metaflow

        metaflow.metadata(f"local@{folder}")
        app = AppTest.from_file(str(ROOT / "frontend" / "app.py"), default_timeout=300)
        return app if name == "predict" else app.switch_page(f"views/{name}.py")

    yield opened
    open_run(store, tiny[0].id)


TEXTS = (
    *("title", "text", "caption", "info", "warning"),
    *("error", "code", "markdown", "subheader"),
)


def texts(app: AppTest) -> str:
    """Return all that a person reads outside tables."""
    elements = [element for kind in TEXTS for element in app.get(kind)]
    return "\n".join(str(element.value) for element in elements)


def tables(app: AppTest) -> str:
    return "\n".join(
        pd.DataFrame(e.value).to_csv()
        for kind in ("table", "dataframe", "arrow_data_frame")
        for e in app.get(kind)
    )


def calm(app: AppTest) -> AppTest:
    """Neither an exception nor a traceback nor the text of the error guard is on the page."""
    assert not app.exception
    assert "Traceback" not in texts(app)
    assert "could not be shown" not in texts(app)
    return app


def press(app: AppTest, label: str) -> AppTest:
    """Press the button of that name."""
    return next(b for b in app.button if b.label == label).click().run()


def model_of(tiny) -> Bundle:
    """The model of the tiny run, which is promoted."""
    return from_bytes(*client.bundle_bytes(tiny[0]))


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_drawn_on_a_real_run(page, name):
    app = calm(page(name).run())
    assert app.title[0].value
    assert not app.error


@pytest.mark.parametrize("name", PAGES)
def test_without_a_run_every_page_says_what_to_type(page, name, tmp_path):
    app = calm(page(name, tmp_path, fresh=True).run())
    assert "python flows/train.py run" in [c.value for c in app.code]


def test_a_prediction_is_that_of_the_bundle_and_its_reasons_add_up(page, tiny):
    app = page().run()
    next(n for n in app.number_input if n.label.startswith("age")).set_value(70)
    app.button[0].click().run()
    calm(app)
    bundle = model_of(tiny)
    case = app.session_state["answer"].case
    assert case["age"] == 70
    answer = app.session_state["answer"]
    assert app.metric[0].value == f"{answer.probability:.1%}"
    outcomes = bundle.metadata.outcomes
    is_positive = bundle.metadata.threshold.is_positive(answer.probability)
    assert app.metric[1].value == outcomes[int(is_positive)]
    why = answer.explanation
    assert why.base + sum(line.contribution for line in why.contributions) == pytest.approx(
        answer.probability, abs=1e-9
    )
    assert answer.id in texts(app)
    assert bundle.metadata.provenance.pathspec in texts(app)


def test_what_if_moves_the_probability(page):
    app = page().run()
    app.button[0].click().run()
    before = app.session_state["answer"].probability
    app.selectbox(key=f"what {app.session_state['answer'].id}").set_value("active_member").run()
    box = app.radio[-1]
    box.set_value(next(o for o in box.options if o != box.value)).run()
    calm(app)
    assert [m.label for m in app.metric][-2:] == ["Probability then", "Decision then"]
    assert float(app.metric[-2].value.rstrip("%")) != pytest.approx(100 * before, abs=0.05)


def test_unknown_is_taken_where_training_knew_it_and_refused_elsewhere(page):
    app = page().run()
    next(n for n in app.number_input if n.label.startswith("salary")).set_value(None)
    app.button[0].click().run()
    assert app.session_state["answer"].case["salary"] is None
    assert not calm(app).error
    next(n for n in app.number_input if n.label.startswith("age")).set_value(None)
    app.button[0].click().run()
    assert "A value is needed" in calm(app).error[0].value
    assert "age" in texts(app)


def test_warnings_are_shown(page):
    app = page().run()
    next(n for n in app.number_input if n.label.startswith("age")).set_value(150)
    app.button[0].click().run()
    assert any("150 is outside the training range" in w.value for w in calm(app).warning)


def upload(app: AppTest, name: str, content: bytes) -> AppTest:
    app.file_uploader[0].upload(name, content)
    return calm(app.run())


def test_a_file_is_scored_row_by_row(page, small_csv, tiny):
    table = pd.read_csv(small_csv, dtype="str").head(20)
    table.loc[2, "age"], table.loc[5, "branch"] = "old", "B99"
    app = upload(page("batch").run(), "new.csv", table.to_csv(index=False).encode())
    assert {m.label: m.value for m in app.metric}["Not scored"] == "1"
    assert "age: 'old' is not a number" in tables(app)
    assert "not seen in training" in tables(app)
    scored = app.session_state["batch_result"].scored
    bundle = model_of(tiny)
    pd.testing.assert_series_equal(scored["probability"], bundle.score(table)["probability"])


@pytest.mark.parametrize("name", ["a." + 200 * "b" + ".csv", "Kunden (neu).CSV", "x.y.csv"])
def test_any_file_name_will_do(page, small_csv, name):
    app = upload(page("batch").run(), name, small_csv.read_bytes())
    assert {m.label: m.value for m in app.metric}["Scored"] == "600"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("broken.parquet", b"PAR1 nonsense", "cannot be read"),
        ("empty.csv", b"", ""),
        ("binary.csv", bytes(range(256)) * 50, ""),
        ("other.csv", b"a,b\n1,2\n3,4\n", "does not fit the model"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(page, name, content, reason):
    app = upload(page("batch").run(), name, content)
    assert app.error
    assert reason in app.error[0].value
    assert app.get("table")  # the reasons, with what to do
    assert not app.metric


def test_wrong_columns_are_shown_as_a_diff(page, small_csv):
    table = (
        pd.read_csv(small_csv, dtype="str")
        .head(5)
        .rename(columns={"age": "Age "})
        .drop(columns="credit_score")
    )
    app = upload(page("batch").run(), "new.csv", table.to_csv(index=False).encode())
    assert "- credit_score (numeric)" in tables(app)
    assert "rename 'Age' to 'age'" in tables(app)


def test_a_visitors_threshold_is_used_for_this_run_only(page, tiny):
    app = page("decision").run()
    own = app.metric[0].value
    app.slider[0].set_value(0.0).run()
    assert calm(app).metric[0].value != own
    press(app, MINE)
    assert app.session_state["own_threshold"]["value"] == 1.0
    app.switch_page("views/predict.py").run()
    press(app, "Predict")
    assert "Your threshold" in texts(app)
    assert app.metric[1].value == model_of(tiny).metadata.outcomes.negative


def test_costs_and_thresholds_belong_to_the_run_they_were_set_for(page, monkeypatch, tiny):
    from frontend.data import runs as reading
    from frontend.widgets import model_choice

    app = page("decision", fresh=True).run()
    first = reading.latest_id()
    own = app.metric[0].value
    app.slider[0].set_value(2.5).run()
    assert app.metric[0].value != own
    real = {name: getattr(reading, name) for name in ("overview", "model", "training_scores")}
    for name, read in real.items():
        monkeypatch.setattr(reading, name, lambda run_id, read=read: read(tiny[0].id))
    monkeypatch.setattr(reading, "latest_id", lambda: "another")
    press(app, MINE)  # the page in the browser is still that of the first run
    assert app.session_state[model_choice.OWN_THRESHOLD]["run"] == first
    assert "Your threshold" not in texts(app)
    assert app.slider[0].value == 1.0
    assert app.metric[0].value == own


def test_models_facts_and_leaderboard_are_those_of_the_run(page, tiny):
    app = calm(page("models").run())
    facts = tables(app)
    assert f"TrainFlow/{tiny[0].id}" in facts
    assert tiny[0]["start"].task["source"].data["md5"] in facts
    app = page("models")
    app.query_params["part"] = "Leaderboard"
    shown = next(d.value for d in calm(app.run()).dataframe if "Mean ROC AUC" in d.value)
    board = tiny[0]["select"].task["leaderboard"].data
    assert shown["Mean ROC AUC"].tolist() == [row["auc_mean"] for row in board]
    blend = tiny[0]["select"].task["blend"].data
    assert f"mean ROC AUC {blend['auc_mean']:.4f}" in texts(app)
    assert all(
        f"{title(name)} {share:.0%}" in texts(app) for name, share in blend["weights"].items()
    )
    assert f"Served: {blend['served']} ({blend['why']})" in texts(app)


def test_models_facts_say_what_came_of_the_mirror(page, tiny, other):
    result = wait_for_mirror(other, tiny[0].id)
    assert f"Mirrored in MLflow as run {result.run_id}" in texts(calm(page("models", other).run()))

    path = other / ".metaflow" / "mirrors" / f"{tiny[0].id}.json"
    failed = replace(result, status="failed", warning="planted warning", run_id="")
    path.write_text(json.dumps(failed.to_dict()))
    text = texts(calm(page("models", other).run()))
    assert "was not mirrored" in text
    assert "planted warning" in text

    now = timestamp()
    path.write_text(json.dumps(MirrorResult(status="running", started=now, pid=1).to_dict()))
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert f"being mirrored to MLflow since {now}" in texts(calm(page("models", other).run()))
    text = texts(calm(page("models", other).run()))
    assert "ended early" in text
    assert f"flows/mirror.py --run-id {tiny[0].id}" in text

    path.unlink()
    assert "Not mirrored to MLflow yet" in texts(calm(page("models", other).run()))
    path.write_text(json.dumps(result.to_dict()))


@pytest.mark.parametrize("words", ["nothing of that name", "large.csv"])
def test_the_list_of_runs_can_be_searched(page, tiny, words):
    app = page("models")
    app.query_params["find"] = words
    assert "No run fits" in texts(calm(app.run()))
    app = page("models")
    app.query_params["find"] = tiny[0].id[-6:]
    assert "No run fits" not in texts(calm(app.run()))


def test_a_run_that_was_killed_is_shown_with_its_cards_and_how_to_go_on(page, other, small_csv):
    options = [*table_options(small_csv), *SHORTEST]
    drawn = r"/eda/\d+ \(pid \d+\)\] Task finished"
    output = run_until(other, drawn, "train.py", "run", *options, whole=True)
    number = run_id(output)
    app = page("models", other)
    app.query_params["run"] = number
    calm(app.run())
    text = texts(app)
    assert f"resume --origin-run-id {number}" in text or "This run is at the step" in text
    app = page("models", other)
    app.query_params["run"] = number
    app.query_params["part"] = "Cards"
    app.query_params["card"] = "eda"
    (frame,) = calm(app.run()).get("iframe")
    assert "Content-Security-Policy" in frame.proto.srcdoc
    assert "fonts.googleapis" not in frame.proto.srcdoc


def test_a_run_that_failed_says_at_which_step_and_why(page, other, small_csv):
    done = run_flow(other, "train.py", "run", "--data", small_csv, "--target", "no_such_column")
    assert done.returncode != 0
    app = page("models", other)
    app.query_params["run"] = run_id(done.stdout)
    text = texts(calm(app.run()))
    assert "This run failed at the step" in text
    assert "no_such_column" in text


def test_a_damaged_model_is_reported_and_another_page_still_works(page, other, tiny):
    for blob in (other / ".metaflow" / "TrainFlow" / "data").rglob("*"):
        if blob.is_file() and blob.stat().st_size > 500:
            blob.write_bytes(b"damaged")
    app = calm(page("predict", other).run())
    assert "The run cannot be read" in app.error[0].value
    assert tiny[0].id in tables(app)
    calm(page("models", other).run())
    assert "All decisions" in texts(calm(page("decision", other).run()))


def test_the_runs_of_another_user_are_there_too(page, tiny, monkeypatch):
    monkeypatch.setenv("METAFLOW_USER", "somebody-else")
    assert tiny[0].id in texts(calm(page().run()))


def test_an_unexpected_error_is_a_number_and_not_a_traceback(page, monkeypatch, caplog):
    from fivefold.tracking import overview

    def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(overview, "summary", broken)
    app = page("data").run()
    assert not app.exception
    assert "could not be shown" in app.error[0].value
    assert "secret detail" not in texts(app)
    assert "secret detail" in caplog.text
