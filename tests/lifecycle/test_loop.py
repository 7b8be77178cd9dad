"""The whole loop, as `make demo` simulates it, with fewer trials; its promises are checked."""

from __future__ import annotations

import base64
import json
import re

import pytest

from fivefold.journal import alerts, database, labels, promotions
from fivefold.lifecycle.monitor_steps import timeline
from fivefold.lifecycle.report import window_reports
from tests.support.running import open_run, run_flow

pytestmark = pytest.mark.slow
PROBLEM = "demo-bank-churn"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """(folder, output, journal) of one demo."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    done = run_flow(folder.parent, "demo.py", "--folder", folder, "--trials", "1", timeout=3600)
    assert done.returncode == 0, done.stdout[-4000:]
    engine = database.open_journal(f"sqlite:///{folder}/journal.db")
    yield folder, done.stdout, engine
    engine.dispose()


def test_nothing_is_bad_before_the_change_and_the_change_is_found(played):
    _, out, engine = played
    changed = re.search(r"(\d{4}-\d\d-\d\d) +The data change", out)[1]
    reports = window_reports(engine, PROBLEM)
    assert len(reports) == 12
    before, after = (
        [r for r in reports if (f"{r.end:%Y-%m-%d}" <= changed) == early] for early in (True, False)
    )
    assert len(before) == 6
    assert not any(r.bad for r in before)
    assert after[0].bad
    assert {line.column for line in after[0].drift if line.drifted} >= {"branch"}


def test_an_alert_went_out_once_it_was_bad(played):
    folder, _, engine = played
    lines = [json.loads(text) for text in (folder / "alerts.jsonl").read_text().splitlines()]
    result = {finding["code"] for line in lines for finding in line["findings"]}
    assert "input-drift" in result
    assert "runbook" in json.dumps(lines)
    assert {a.key.partition("/")[0] for a in alerts.alerts(engine, PROBLEM)} == result


def test_the_challenger_proved_itself_and_performance_recovered(played):
    _, _, engine = played
    lines = promotions.history(engine, PROBLEM)[::-1]
    assert lines[0].action == "promoted"
    assert lines[0].numbers["roc_auc"]["value"] > 0.8
    better = [line for line in lines[1:] if line.action == "promoted"]
    assert better
    assert all(line.numbers["gain"]["low"] > 0 for line in better)
    assert {s["name"] for s in better[0].numbers["strata"]} == {"held-out", "recent"}
    judged = [r for r in window_reports(engine, PROBLEM) if r.realised_auc]
    old = [r.realised_auc["value"] for r in judged if r.model == lines[0].model and r.bad]
    new = [r.realised_auc["value"] for r in judged if r.model == better[-1].model]
    assert new
    assert old
    assert new[-1] > min(old) + 0.02


def test_every_answer_and_label_is_in_the_journal(played):
    _, _, engine = played
    frame = database.read_predictions(engine, PROBLEM)
    assert len(frame) == 18_000
    assert set(frame["source"]) == {"api"}
    assert frame["model"].nunique() >= 2
    counts = labels.counts(engine, PROBLEM)
    assert counts["accepted"] > 9000
    assert counts["unknown"] == 0
    assert frame["label"].notna().sum() == counts["accepted"]


def test_the_challenger_learnt_from_feedback_and_never_from_rows_set_aside(played):
    folder, _, engine = played
    line = promotions.champion(engine, PROBLEM)
    run = open_run(folder, line.run_id)
    origin, fold_ids = run["start"].task["origin"].data, run["split"].task["place"].data
    assert run["start"].task["source"].data["feedback"]["rows"] == (origin > 0).sum() > 1000
    assert set(fold_ids[origin >= 2]) == {-1}
    assert (fold_ids[origin == 1] >= 0).all()
    assert 0.25 < (origin >= 2).sum() / (origin > 0).sum() < 0.35
    first = open_run(folder, promotions.history(engine, PROBLEM)[-1].model.rpartition("/")[2])
    assert (
        fold_ids[origin == 0] == first["split"].task["place"].data
    ).all()  # the table itself is split as before
    assert {"champion"} <= set(run.user_tags)
    assert "champion" not in first.user_tags


def test_the_timeline_is_in_order(played):
    folder, out, engine = played
    events = timeline(engine, PROBLEM)
    assert [e.minute for e in events] == sorted(e.minute for e in events)
    assert {"promoted", "alert", "window", "bad window"} <= {e.what for e in events}
    for event in events:
        assert f"{event.minute}  {event.what}" in out
    cards = list(
        folder.glob(
            ".metaflow/mf.cards/MonitorFlow/runs/*/steps/judge/tasks/*/cards/*monitor*.html"
        )
    )
    assert cards
    newest = max(cards, key=lambda p: int(p.parts[p.parts.index("runs") + 1])).read_text()
    result = base64.b64decode(re.search(r'__MF_DATA__\["[^"]*"\] = "([^"]+)"', newest)[1]).decode()
    assert "What happened" in result


def test_rollback_and_retrain_by_hand(played):
    folder, _, engine = played
    env = {"FIVEFOLD_CLOCK": str(folder / "clock")}
    held = promotions.champion(engine, PROBLEM)
    done = run_flow(folder, "retrain.py", "run", env=env)
    assert done.returncode == 0
    assert "Nothing to do" in done.stdout
    done = run_flow(folder, "promote.py", "rollback", "--why", "try it", "--who", "me", env=env)
    assert done.returncode == 0, done.stdout
    assert "rolled-back" in done.stdout
    back = promotions.champion(engine, PROBLEM)
    assert back.model != held.model
    assert (back.who, back.why) == ("me", "try it")
    done = run_flow(folder, "promote.py", "judge", back.model, env=env)
    assert done.returncode == 2
    assert "served already" in done.stdout
    done = run_flow(folder, "promote.py", "status", env=env)
    assert f"serving {back.model}" in done.stdout
    assert "try it" in done.stdout


def test_labels_from_a_file_find_their_cases_by_the_scopes_ids(played):
    folder, _, engine = played
    known = json.loads(database.read_predictions(engine, PROBLEM)["inputs"].iloc[-1])["customer_id"]
    (folder / "labels.csv").write_text(f"customer_id,churned\n{known},yes\nC99999999,no\n")
    before = labels.counts(engine, PROBLEM)
    done = run_flow(
        folder, "feedback.py", folder / "labels.csv", env={"FIVEFOLD_CLOCK": str(folder / "clock")}
    )
    assert done.returncode == 0, done.stdout
    assert re.search("2 labels.*1 unknown", done.stdout)
    after = labels.counts(engine, PROBLEM)
    assert sum(after.values()) - after["late"] == sum(before.values()) - before["late"] + 2
    (folder / "labels.csv").write_text("customer,churned\n1,maybe\n")
    done = run_flow(folder, "feedback.py", folder / "labels.csv")
    assert done.returncode == 1
    assert "feedback-case" in done.stdout
    assert "Traceback" not in done.stdout
