"""The app in the loop: served model, records, decisions, monitoring and feedback."""

# ruff: noqa: F811  fixtures of tests.frontend.test_app

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest

from fivefold.charts import monitoring
from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.journal import alerts as journal_alerts
from fivefold.journal import database, labels, promotions
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle import decisions, promotion_mirror
from fivefold.lifecycle.performance import ASSUMPTION
from fivefold.lifecycle.report import WindowReport
from frontend.data import served_model
from tests.frontend.test_app import (  # noqa: F401
    MINE,
    calm,
    model_of,
    one_run,
    page,
    press,
    promoted,
    tables,
    texts,
    upload,
)
from tests.frontend.test_browser import ATTACKS, EVIL, IMAGE, LINK
from tests.support.browser import Visit, app, chromium
from tests.support.promotions import decide

pytestmark = pytest.mark.slow

PROBLEM = "churned"
EVERYBODY = "Use this threshold for everybody"


@pytest.fixture
def engine(page):
    """The journal of the app, as another process sees it."""
    made = []

    def opened():
        if not made:
            made.append(database.open_journal(os.environ["FIVEFOLD_JOURNAL"]))
        return made[0]

    yield opened
    for one in made:
        one.dispose()


@pytest.fixture(autouse=True)
def spool(tmp_path, monkeypatch):
    """A spool of its own."""
    monkeypatch.setattr(settings, "spool_folder", lambda: tmp_path / "spool")
    return tmp_path / "spool"


@pytest.fixture(autouse=True)
def mirrored(monkeypatch):
    """The lines whose mirrors were asked to follow; tests of the mirror itself are elsewhere."""
    lines = []
    monkeypatch.setattr(
        promotion_mirror,
        "mirror",
        lambda engine, line, root: lines.append(line) or [f"no MLflow {IMAGE}"],
    )
    return lines


def chosen(app) -> str:
    return next(s for s in app.selectbox if s.label == "Model").value


def fill(app, label: str, text: str):
    next(t for t in app.text_input if t.label == label).set_value(text)


def fill_form(app, key: str, who: str = "ann", why: str = "because"):
    """Name and reason of one of the forms."""
    app.text_input(key=f"name {key}").set_value(who)
    app.text_input(key=f"reason {key}").set_value(why)


def report(start: str, end: str, columns: tuple[str, ...] = ("age", EVIL), **more) -> dict:
    """A report of `fivefold.lifecycle.window.evaluate_window`, as the journal keeps it."""
    bins = [
        {"label": IMAGE, "reference": 0.7, "current": 0.2},
        {"label": LINK, "reference": 0.3, "current": 0.8},
    ]
    drift = [
        {
            "column": name,
            "kind": "numeric",
            "rows": 900,
            "test": "KS",
            "statistic": 0.3,
            "p_test": 1e-9,
            "missing_reference": 0.0,
            "missing_current": 0.1,
            "p_missing": 1e-5,
            "p_value": 1e-9,
            "q_value": 1e-8,
            "psi": 0.31,
            "distance": 0.3,
            "weight": 0.5,
            "stake": 0.15,
            "drifted": True,
            "judged": True,
            "bins": bins,
        }
        for name in columns
    ]
    share = {"value": 0.3, "low": 0.25, "high": 0.35}
    actual = [
        {
            "code": "input-drift",
            "severity": "warning",
            "subject": name,
            "found": f"moved {IMAGE}",
            "expected": LINK,
            "action": "look",
        }
        for name in columns
    ]
    actual.append(
        {
            "code": "latency",
            "severity": "passed",
            "subject": "journal",
            "found": "2 ms",
            "expected": "",
            "action": "",
        }
    )
    auc = {"value": 0.81, "low": 0.78, "high": 0.84, "se": 0.01}
    return {
        "start": start,
        "end": end,
        "model": "TrainFlow/1",
        "rows": 900,
        "others": 0,
        "rejects": 12,
        "drift": drift,
        "score": {
            "rows": [9, 9],
            "psi": 0.1,
            "distance": 0.1,
            "drifted": False,
            "judged": True,
            "bins": bins,
        },
        "estimated": {
            "rows": 900,
            "judged": True,
            "auc": auc,
            "positive_rate": 0.2,
            "flagged": 0.25,
            "precision": 0.5,
            "recall": 0.6,
            "brier": 0.12,
            "cost_per_1000": 500.0,
            "assumption": ASSUMPTION,
        },
        "realised": {
            "rows": 400,
            "positives": 80,
            "judged": True,
            "auc": {**auc, "value": 0.71},
            "positive_rate": share,
            "flagged": 0.2,
            "precision": 0.4,
            "recall": 0.5,
            "brier": 0.15,
            "cost_per_1000": 700.0,
        },
        "coverage": 0.44,
        "delay_days": 3.5,
        "warned": 0.02,
        "latency_ms": 2.0,
        "bad": True,
        "reasons": [f"input-drift: {EVIL}"],
        "findings": actual,
        **more,
    }


def plant(engine, columns: tuple[str, ...] = ("age", EVIL)) -> None:
    """Two judged windows and an alert."""
    for start, end in (
        ("2026-01-01T00:00:00", "2026-01-08T00:00:00"),
        ("2026-01-08T00:00:00", "2026-01-15T00:00:00"),
    ):
        journal_reports.keep(engine, PROBLEM, report(start, end, columns), datetime(2026, 1, 15))
    alert = {f"input-drift/{EVIL}": (f"{EVIL} {IMAGE}", "docs/runbook.md#input-drift")}
    claimed = journal_alerts.claim(engine, PROBLEM, alert, 24.0, datetime(2026, 1, 15))
    sent = {"log": "sent", "email": "failed: refused"}
    journal_alerts.store_results(engine, claimed.values(), sent)


def test_the_promoted_model_is_shown_and_changes_of_others_are_followed(page, engine, tiny):
    app = calm(page().run())
    assert chosen(app) == "served"
    assert next(s for s in app.selectbox if s.label == "Model").options[:2] == ["Served", "Latest"]
    assert f"Run {tiny[0].id}" in texts(app)
    decisions.change_threshold(engine(), PROBLEM, 0.999, "bo", "fewer calls")
    time.sleep(5.1)
    press(app, "Predict")
    assert "acting at 99.9% or more" in texts(app)
    line = database.read_predictions(engine(), PROBLEM).iloc[0]
    assert (line["threshold"], line["decision"]) == (0.999, app.metric[1].value)
    decisions.roll_back(engine(), PROBLEM, "bo", "back")
    served_model.refresh()  # as five seconds do
    app.run()
    assert "press Predict to decide by it" in texts(
        app
    )  # what was decided stays as it is on record
    assert f"acting at {model_of(tiny).metadata.threshold.value:.1%}" in texts(app)


def test_a_first_promotion_is_followed_by_visits_that_never_chose(page, engine, tiny):
    app = calm(page(fresh=True).run())
    assert chosen(app) == "latest"
    assert "No model is promoted" in texts(app)
    model = model_of(tiny)
    decide(
        engine(),
        PROBLEM,
        tiny[0].pathspec,
        sha256=tiny[0]["evaluate"].task["bundle_sha256"].data,
        replaces=0,
    )
    served_model.refresh()
    assert chosen(app.run()) == "served"
    next(s for s in app.selectbox if s.label == "Model").set_value("latest").run()
    assert chosen(app.run()) == "latest"
    app = page()
    app.query_params["model"] = tiny[0].id
    assert "This run is served, acting at 50.0%" in texts(app.run())
    press(app, "Predict")
    assert (
        app.session_state["answer"].bundle.metadata.threshold.value
        == model.metadata.threshold.value
    )


def test_a_model_that_is_not_the_promoted_one_is_refused(page, engine, tiny):
    page()
    line = promotions.champion(engine(), PROBLEM)
    decide(engine(), PROBLEM, tiny[0].pathspec, sha256="0" * 64, replaces=line.seq)
    app = calm(page().run())
    assert "cannot be served" in app.error[0].value
    assert not app.metric


def test_predict_records_what_it_shows_once(page, engine, tiny):
    app = page().run()
    next(n for n in app.number_input if n.label.startswith("age")).set_value(70)
    press(app, "Predict")
    answer = app.session_state["answer"]
    app.selectbox(key=f"what {answer.id}").set_value("active_member").run()
    box = app.radio[-1]
    box.set_value(next(o for o in box.options if o != box.value)).run()
    (line,) = database.read_predictions(engine(), PROBLEM).to_dict("records")
    model = model_of(tiny)
    assert (line["id"], line["source"], line["model"]) == (answer.id, "app", tiny[0].pathspec)
    assert line["id"] in texts(app)
    assert line["sha256"] == tiny[0]["evaluate"].task["bundle_sha256"].data
    assert line["probability"] == answer.probability
    assert line["decision"] == app.metric[1].value
    assert line["threshold"] == model.metadata.threshold.value
    assert line["latency_ms"] > 0
    from fivefold.lifecycle.window import typed_inputs

    typed = typed_inputs(pd.Series([line["inputs"]]), model)
    assert model.probability(typed)[0] == pytest.approx(answer.probability, abs=1e-12)
    next(n for n in app.number_input if n.label.startswith("age")).set_value(None)
    press(app, "Predict")
    (refused,) = database.read_rejects(engine(), PROBLEM).to_dict("records")
    assert refused["reason"].startswith("age: a value is needed")
    assert len(database.read_predictions(engine(), PROBLEM)) == 1


def test_a_visitors_threshold_is_recorded_as_it_was_shown(page, engine, tiny):
    app = page("decision").run()
    app.slider[0].set_value(0.0).run()
    press(app, MINE)
    app.switch_page("views/predict.py").run()
    press(app, "Predict")
    (line,) = database.read_predictions(engine(), PROBLEM).to_dict("records")
    assert (line["threshold"], line["decision"]) == (1.0, model_of(tiny).metadata.outcomes.negative)
    press(app, "Back to the model's threshold")
    assert "Decided at 100.0%" in texts(app)
    assert promotions.champion(engine(), PROBLEM).threshold < 1


def test_a_file_is_recorded_once_however_often_it_comes(page, engine, small_csv):
    table = pd.read_csv(small_csv, dtype="str").head(20)
    table.loc[2, "age"] = "old"
    content = table.to_csv(index=False).encode()
    app = upload(page("batch").run(), "new.csv", content)
    scored = app.session_state["batch_result"].scored
    lines, refused = (
        database.read_predictions(engine(), PROBLEM),
        database.read_rejects(engine(), PROBLEM),
    )
    good = scored[scored["error"] == ""]
    assert sorted(lines["id"]) == sorted(good["prediction_id"])
    assert refused["id"].tolist() == [scored["prediction_id"][2]]
    assert set(lines["source"]) == {"app"}
    by_id = good.set_index("prediction_id")
    assert all(by_id.loc[x.id, "decision"] == x.decision for x in lines.itertuples())
    assert json.loads(lines["entity"][0])[0] in set(table["customer_id"])
    again = upload(page("batch").run(), "renamed.csv", content)
    assert (
        again.session_state["batch_result"].scored["prediction_id"].tolist()
        == scored["prediction_id"].tolist()
    )
    assert len(database.read_predictions(engine(), PROBLEM)) == 19
    decisions.change_threshold(engine(), PROBLEM, 0.99, "bo", "fewer")
    upload(page("batch").run(), "new.csv", content)
    assert sorted(database.read_predictions(engine(), PROBLEM)["threshold"].unique())[-1] == 0.99


@pytest.mark.parametrize("place", ["sqlite:////proc/nowhere/journal.db", "nonsense"])
def test_without_a_journal_the_app_goes_on_and_lines_wait_in_the_spool(
    page, spool, monkeypatch, place
):
    app = page()
    monkeypatch.setenv("FIVEFOLD_JOURNAL", place)
    calm(app.run())
    assert chosen(app) == "latest"
    assert "The journal cannot be read" in texts(app)
    press(app, "Predict")
    assert app.metric
    assert "recorded in a file" in texts(calm(app))
    (kept,) = [
        json.loads(text) for path in spool.glob("*.jsonl") for text in path.read_text().splitlines()
    ]
    assert kept[1]["id"] == app.session_state["answer"].id
    for name in ("decision", "monitoring", "feedback"):
        app.switch_page(f"views/{name}.py").run()
        assert "The journal cannot be used" in [e.value.partition(":")[0] for e in calm(app).error]


def test_an_answer_that_could_not_be_recorded_is_not_shown(page, spool, monkeypatch, small_csv):
    spool.write_text("in the way")
    app = page()
    monkeypatch.setenv("FIVEFOLD_JOURNAL", "sqlite:////proc/nowhere/journal.db")
    press(calm(app.run()), "Predict")
    assert "could not be recorded" in calm(app).error[0].value
    assert not app.metric
    app = page("batch").run()
    app.file_uploader[0].upload("new.csv", small_csv.read_bytes())
    app.run()
    assert "could not be recorded" in calm(app).error[0].value
    assert not app.metric


def test_lines_that_had_to_wait_are_moved_when_the_journal_is_back(
    page, engine, spool, monkeypatch
):
    app = page().run()
    place = os.environ["FIVEFOLD_JOURNAL"]
    monkeypatch.setenv("FIVEFOLD_JOURNAL", "sqlite:////proc/nowhere/journal.db")
    press(app, "Predict")
    first = app.session_state["answer"].id
    monkeypatch.setenv("FIVEFOLD_JOURNAL", place)
    answered = {first}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:  # it is tried again every few seconds, not at every answer
        press(app, "Predict")
        answered.add(app.session_state["answer"].id)
        if not list(spool.glob("*.jsonl")):
            break
        time.sleep(1)
    assert set(database.read_predictions(engine(), PROBLEM)["id"]) == answered
    assert not list(spool.glob("*.jsonl"))


def test_a_threshold_for_everybody_and_the_way_back(page, engine, mirrored):
    app = page("decision").run()
    before = promotions.champion(engine(), PROBLEM).threshold
    app.slider[0].set_value(8.0).run()
    press(app, EVERYBODY)
    assert "a reason and your name must go on record" in app.error[0].value
    fill_form(app, "threshold", why="fewer calls")
    press(app, EVERYBODY)
    held = promotions.champion(engine(), PROBLEM)
    assert (held.action, held.who, held.why) == ("threshold", "ann", "fewer calls")
    assert held.threshold != before
    assert f"acting at {held.threshold:.1%}" in texts(calm(app))
    assert "fewer calls" in tables(app)
    fill_form(app, "rollback", who="bo", why="a mistake")
    press(app, "Rollback")
    assert "Tick the box" in app.error[0].value
    app.checkbox(key="rollback sure").check()
    press(app, "Rollback")
    held = promotions.champion(engine(), PROBLEM)
    assert (held.action, held.who, held.threshold) == ("rolled-back", "bo", before)
    assert "Rolled back" in calm(app).success[0].value
    assert [line.action for line in mirrored] == ["threshold", "rolled-back"]
    assert "a mirror of it failed: no MLflow !\\[x" in texts(app)


def test_a_decision_is_refused_after_a_change_in_the_meantime(page, engine):
    app = page("decision").run()
    app.slider[0].set_value(8.0).run()
    decisions.change_threshold(engine(), PROBLEM, 0.77, "bo", "at the same time")
    fill_form(app, "threshold")
    press(app, EVERYBODY)
    assert "another decision was taken in the meantime" in tables(calm(app))
    assert promotions.champion(engine(), PROBLEM).threshold == 0.77


@pytest.mark.parametrize(
    ("label", "action"), [("Approve: serve it from now on", "promoted"), ("Decline", "declined")]
)
def test_a_waiting_challenger_is_approved_or_declined(page, engine, tiny, label, action):
    page()
    held = promotions.champion(engine(), PROBLEM)
    gain = {"value": 0.021, "low": 0.004, "high": 0.038, "margin": 0.0}
    numbers = {
        "gain": gain,
        "champion": "TrainFlow/1",
        "against": held.seq,
        "strata": [
            {
                "name": "recent",
                "rows": 900,
                "positives": 200,
                "champion": {"value": 0.80},
                "challenger": {"value": 0.82},
                "gain": gain,
                "loss": {"champion": 0.4, "difference": -0.01, "low": -0.02, "high": 0.0},
            }
        ],
        "findings": [
            {
                "code": "challenge-gain",
                "severity": "passed",
                "subject": "ROC AUC",
                "found": f"gain {IMAGE}",
                "expected": "",
                "action": "",
            }
        ],
    }
    decide(
        engine(),
        PROBLEM,
        tiny[0].pathspec,
        action=promotions.WAITING,
        sha256=held.sha256,
        threshold=0.6,
        who="fivefold",
        why=f"Proven better {EVIL}",
        numbers=numbers,
    )
    app = calm(page("decision").run())
    assert "95% interval +0.0040 to +0.0380" in texts(app)
    assert "0.8200" in tables(app)
    assert "gain !\\[x" in tables(app)
    fill_form(app, "challenger", why="looks right")
    press(app, label)
    last = promotions.history(engine(), PROBLEM)[0]
    assert (last.action, last.who, last.why) == (action, "ann", "looks right")
    assert "waits" not in texts(calm(app))
    assert (promotions.champion(engine(), PROBLEM).seq == last.seq) == (action == "promoted")


def test_only_the_served_model_sets_a_threshold_for_everybody(page, engine, tiny):
    page()
    held = promotions.champion(engine(), PROBLEM)
    decide(engine(), PROBLEM, "TrainFlow/1", sha256="0" * 64, replaces=held.seq)
    app = page("decision")
    app.query_params["model"] = tiny[0].id
    calm(app.run())
    assert EVERYBODY not in [b.label for b in app.button]
    assert "not the served one" in texts(app)


def test_feedback_on_the_last_prediction_and_by_file(page, engine, small_csv):
    app = page().run()
    press(app, "Predict")
    number = app.session_state["answer"].id
    app.switch_page("views/feedback.py").run()
    assert next(t for t in app.text_input if t.label == "Prediction id").value == number
    press(app, "Record")
    assert "say what happened" in app.error[0].value
    app.radio[0].set_value("yes")
    app.text_input(key="name label").set_value("ann")
    press(calm(app), "Record")
    assert "1 accepted" in app.success[0].value
    assert {m.label: m.value for m in app.metric}["Accepted"] == "1"
    assert app.metric[0].value == "100.0%"
    labelled = database.read_predictions(engine(), PROBLEM)
    assert labelled["label"].tolist() == [1.0]
    app.radio[0].set_value("no")
    press(app, "Record")
    assert "1 corrected" in app.success[0].value
    table = pd.read_csv(small_csv, dtype="str").head(4)
    upload(page("batch").run(), "new.csv", table.to_csv(index=False).encode())
    app = page("feedback").run()
    known = table[["customer_id"]].assign(label=["yes", "no", "1", "0"])
    app.text_input(key="name labels").set_value("bo")
    app.file_uploader[0].upload("labels.csv", known.to_csv(index=False).encode())
    press(app, "Record all")
    assert "4 accepted" in calm(app).success[0].value
    app.file_uploader[0].upload(
        "labels.csv",
        pd.concat([known, known.assign(customer_id="none")]).to_csv(index=False).encode(),
    )
    press(app, "Record all")
    assert "4 duplicate" in app.success[0].value
    assert "4 unknown: no such prediction yet" in app.success[0].value
    wrong = known.assign(label=["maybe", "no", "perhaps", "1"], observed_at=["", "soon", "", ""])
    app.file_uploader[0].upload("labels.csv", wrong.to_csv(index=False).encode())
    press(app, "Record all")
    assert all(text in tables(calm(app)) for text in ("maybe", "perhaps", "soon"))
    assert labels.counts(engine(), PROBLEM) == {
        "accepted": 5,
        "corrected": 1,
        "duplicate": 4,
        "unknown": 4,
        "late": 0,
    }


def test_todays_date_finds_todays_prediction(page, engine, small_csv):
    table = pd.read_csv(small_csv, dtype="str").head(1)
    upload(page("batch").run(), "new.csv", table.to_csv(index=False).encode())
    app = page("feedback").run()
    fill(app, "customer_id", table["customer_id"][0])
    app.radio[0].set_value("yes")
    app.date_input[0].set_value(utc_now().date())
    app.text_input(key="name label").set_value("ann")
    press(app, "Record")
    assert "1 accepted" in calm(app).success[0].value
    app.date_input[0].set_value(utc_now().date() - timedelta(days=400))
    press(app, "Record")
    assert "1 unknown" in calm(app).warning[0].value


def test_monitoring_shows_what_the_monitor_kept(page, engine):
    app = calm(page("monitoring").run())
    assert "python flows/monitor.py run" in [c.value for c in app.code]
    assert "has not evaluated" in texts(app)
    plant(engine())
    app = calm(page("monitoring").run())
    result, shown = texts(app), tables(app)
    assert "2 windows evaluated" in result
    assert {m.label: m.value for m in app.metric}["Columns drifted"] == "2 of 2"
    assert "0.810 (0.780 to 0.840)" in shown
    assert "0.710" in shown
    assert "Labels for 44.0% of the predictions, in the median 3.5 days after them" in result
    assert "concept drift is invisible" in result
    assert "docs/runbook.md#input-drift" in shown
    assert "log: sent; email: failed: refused" in shown
    app.selectbox(key="window").set_value("2026-01-01T00:00:00").run()
    assert app.query_params["window"] == "2026-01-01T00:00:00"
    app.toggle(key="unusual").set_value(True).run()
    assert "No warnings on record" in texts(calm(app))


def test_changes_of_what_is_served_are_marked_at_the_window_they_fall_into():
    reports = [
        WindowReport.from_dict(report(f"2026-01-{a:02d}T00:00:00", b))
        for a, b in (
            (1, "2026-01-08T00:00:00"),
            (8, "2026-01-15T00:00:00"),
            (15, "2026-01-15T09:30:00"),
        )
    ]
    line = promotions.Promotion(
        seq=2,
        at=datetime(2026, 1, 3),
        problem=PROBLEM,
        action="promoted",
        model="TrainFlow/2",
        sha256="",
        threshold=0.3,
        who="",
        why="",
        replaces=1,
    )
    changes = [replace(line, at=datetime(2026, 1, day)) for day in (3, 14)]
    changes += [
        replace(line, at=datetime(2025, 12, 1), replaces=0),
        replace(line, at=datetime(2026, 1, 9), replaces=None),
    ]
    drawn = monitoring.performance(reports, changes).to_dict()
    marks = drawn["layer"][0]["data"]["values"]
    assert [m["end"] for m in marks] == ["2026-01-08", "2026-01-15 00:00"]
    assert marks[0]["what"] == "2026-01-03 00:00 promoted: TrainFlow/2 at 30.0%"
    assert len(monitoring.performance(reports).to_dict()["layer"]) == 2


def test_a_window_without_predictions_or_labels_is_shown_too(page, engine):
    page()
    nothing = dict.fromkeys(
        (
            "model",
            "score",
            "estimated",
            "realised",
            "coverage",
            "delay_days",
            "warned",
            "latency_ms",
        )
    )
    journal_reports.keep(
        engine(),
        PROBLEM,
        report(
            "2026-01-01T00:00:00",
            "2026-01-08T00:00:00",
            (),
            rows=0,
            rejects=0,
            bad=False,
            reasons=[],
            **nothing,
        ),
        datetime(2026, 1, 15),
    )
    app = calm(page("monitoring").run())
    assert "No predictions, so there is nothing to evaluate" in texts(app)
    few = report("2026-01-08T00:00:00", "2026-01-15T00:00:00")
    few["estimated"] |= {"auc": None, "precision": None, "positive_rate": None}
    few["realised"] |= {
        "auc": None,
        "precision": None,
        "positive_rate": {"value": None, "low": None, "high": None},
    }
    for line in few["drift"]:
        line |= {
            "q_value": None,
            "psi": None,
            "distance": None,
            "stake": None,
            "drifted": False,
            "judged": False,
            "bins": [],
        }
    journal_reports.keep(engine(), PROBLEM, few | {"score": None}, datetime(2026, 1, 15))
    app = calm(page("monitoring").run())
    assert "too few labels" in tables(app)
    assert "too few rows" in tables(app)


def test_names_and_texts_of_the_loop_do_nothing_in_a_browser(store, promoted, engine, page, tiny):
    page()
    plant(engine(), (EVIL, LINK, IMAGE))
    held = promotions.champion(engine(), PROBLEM)
    decide(
        engine(),
        PROBLEM,
        held.model,
        action=promotions.THRESHOLD,
        sha256=held.sha256,
        who=EVIL,
        why=f"{IMAGE} {LINK}",
        replaces=held.seq,
    )
    decide(
        engine(),
        PROBLEM,
        "TrainFlow/1",
        action=promotions.WAITING,
        sha256="0" * 64,
        who=LINK,
        why=f"{EVIL} {IMAGE}",
        numbers={
            "champion": IMAGE,
            "findings": [
                {
                    "code": "x",
                    "severity": "passed",
                    "subject": LINK,
                    "found": EVIL,
                    "expected": "",
                    "action": "",
                }
            ],
        },
    )
    with (
        app(store, FIVEFOLD_JOURNAL=os.environ["FIVEFOLD_JOURNAL"]) as address,
        chromium() as browser,
    ):
        visit = Visit(browser, address)
        alerts = []
        visit.page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
        for path, last in (
            ("monitoring", "Alerts"),
            ("decision", "Roll back"),
            ("feedback", "Late"),
        ):
            visit.open(path)
            visit.page.get_by_text(last, exact=True).wait_for()
            visit.settle()
            visit.shot(f"loop-{path}")
            assert visit.page.locator(ATTACKS).count() == 0, path
            assert visit.page.get_by_text("could not be shown").count() == 0
        visit.open()
        visit.page.get_by_role("button", name="Predict", exact=True).click()
        visit.page.get_by_text("What would turn the decision").wait_for()
        visit.page.get_by_role(
            "button", name="Help for Decision"
        ).hover()  # it quotes who set the threshold, and why
        visit.page.get_by_text("at 50.0% or more:").wait_for()
        assert visit.page.locator(ATTACKS).count() == 0
        narrow = Visit(browser, address, viewport={"width": 400, "height": 800})
        for path, last in (("monitoring", "Alerts"), ("feedback", "Late")):
            narrow.open(path)
            narrow.page.get_by_text(last, exact=True).wait_for()
            assert (
                narrow.page.evaluate(
                    "() => document.querySelector('[data-testid=stMain]').scrollWidth"
                )
                <= 400
            ), path
        assert visit.faults + narrow.faults + alerts == []
