"""Alerts that end: references follow what is served, answered drift and calm months are quiet."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import warnings
from fivefold.journal import database, promotions
from fivefold.journal.labels import Label, add_labels
from fivefold.lifecycle import decisions, monitor_steps
from fivefold.lifecycle.challenge import HELD_OUT, RECENT
from fivefold.lifecycle.drift import drift_table, is_answered, score_drift
from fivefold.lifecycle.performance import RealisedPerformance, performance_findings
from fivefold.lifecycle.report import WindowReport, retrain_due
from fivefold.lifecycle.window import Past, Reference, evaluate_window, followed, typed_inputs
from fivefold.model.label_sample import RANDOM, UNJUDGED, LabelSample
from fivefold.training import labelled_rows
from tests.lifecycle.test_label_regimes import (
    START,
    THRESHOLD,
    WEEK,
    chance,
    reference,
    world,
)

assert reference  # a fixture


def traffic(rows: pd.DataFrame, seed: int = 0, known: float = 0.6) -> pd.DataFrame:
    """A week of cases, of which a share gets a label after two days."""
    rng = np.random.default_rng(seed)
    at = START + pd.to_timedelta(np.sort(rng.uniform(0, 7, len(rows))), unit="D")
    label = (rng.random(len(rows)) < chance(rows)) * 1.0
    return pd.DataFrame(
        {
            "id": [f"{seed}-{n}" for n in range(len(rows))],
            "at": at.as_unit("us"),
            "model": "TrainFlow/1",
            "inputs": [json.dumps(r) for r in rows.to_dict("records")],
            "probability": chance(rows),
            "threshold": THRESHOLD,
            "warnings": "",
            "latency_ms": 4.0,
            "label": np.where(rng.random(len(rows)) < known, label, np.nan),
            "labelled_at": (at + timedelta(days=2)).as_unit("us"),
            "acted": False,
            "control": False,
        }
    )


def judge(frame: pd.DataFrame, reference: Reference, **past) -> WindowReport:
    window = WindowReport(start=START, end=START + WEEK)
    known = Past(predictions=frame, **past)
    return evaluate_window(window, frame, None, known, START + 2 * WEEK, lambda _: reference)


def moved(rows: int, seed: int, by: float) -> pd.DataFrame:
    frame = world(rows, seed)
    return frame.assign(x=frame["x"] + by)


def test_drift_that_was_answered_is_quiet_until_it_changes_again(reference):
    first = judge(traffic(moved(900, 11, 1.0), 11, known=0), reference)
    assert {"input-drift", "score-drift"} <= {f.code for f in warnings(first.findings)}
    assert first.bad
    same = judge(traffic(moved(900, 12, 1.0), 12, known=0), reference, answered=first)
    assert not warnings(same.findings)
    assert not same.bad
    assert [line.column for line in same.drifted] == ["x"]  # it is still told
    (finding,) = (f for f in same.findings if f.code == "input-drift")
    assert "answered, and unchanged since then" in finding.found
    again = judge(traffic(moved(900, 13, 2.0), 13, known=0), reference, answered=first)
    assert {"input-drift", "score-drift"} <= {f.code for f in warnings(again.findings)}
    assert again.bad
    stranger = replace(first, model="TrainFlow/0")
    other = judge(traffic(moved(900, 12, 1.0), 12, known=0), reference, answered=stranger)
    assert other.bad


def test_is_answered_by_hand():
    rng = np.random.default_rng(0)
    old, once, twice = (rng.normal(m, 1, 1000) for m in (0, 1, 2))
    (then,) = drift_table(pd.DataFrame({"x": old}), pd.DataFrame({"x": once}), {"x": "numeric"})
    (now,) = drift_table(pd.DataFrame({"x": old}), pd.DataFrame({"x": twice}), {"x": "numeric"})
    assert is_answered(then, then)
    assert not is_answered(now, then)
    assert not is_answered(then, None)
    assert not is_answered(then, replace(then, drifted=False))
    scores = score_drift(np.linspace(0, 1, 500), np.linspace(0, 0.5, 500))
    assert is_answered(scores, scores)


def test_after_a_challenge_was_won_drift_is_seen_from_the_rows_before_it(reference):
    bundle = reference.bundle
    new_world = traffic(moved(900, 21, 1.0), 21)
    recent = typed_inputs(new_world["inputs"], bundle, new_world["at"])
    recent_auc = {"value": 0.75, "low": 0.71, "high": 0.79, "se": 0.02}
    numbers = {
        "strata": [
            {"name": HELD_OUT, "challenger": {"value": 0.9}},
            {"name": RECENT, "challenger": recent_auc},
        ]
    }
    follows = followed(reference, recent, reference.typed, bundle, numbers)
    assert follows.baseline == recent_auc
    assert len(follows.typed) == len(follows.scores) == 900
    quiet = judge(traffic(moved(900, 22, 1.0), 22), follows)
    assert not warnings(quiet.findings)
    assert not quiet.drifted
    assert warnings(judge(traffic(moved(900, 22, 1.0), 22), reference).findings)
    assert judge(traffic(world(900, 23), 23, known=0), follows).bad  # and when it goes back
    few = followed(reference, recent.head(100), reference.typed, bundle, numbers)
    assert few.typed is reference.typed
    assert few.baseline == recent_auc
    learnt = followed(reference, recent, recent.head(600), bundle, numbers)
    assert len(learnt.scores) == 300  # rows that were learnt from give no scores


def test_a_calm_month_that_is_looked_at_every_day_has_no_alert(reference):
    codes = []
    for week in range(4):
        frame = traffic(world(900, 40 + week), 40 + week)
        for day in (2, 4, 6):
            now = START + timedelta(days=day)
            known = frame[frame["at"] < now]
            known = known.assign(label=known["label"].where(known["labelled_at"] <= now))
            window = WindowReport(start=START, end=now)
            past = Past(predictions=known, running=True)
            report = evaluate_window(window, known, None, past, now, lambda _: reference)
            codes += [f.code for f in warnings(report.findings)]
    assert codes == []


def test_looks_at_a_running_window_share_its_error():
    auc = {"value": 0.76, "se": 0.012, "low": 0.73, "high": 0.78}
    window = RealisedPerformance(rows=900, positives=300, enough_rows=True, auc=auc)
    baseline = {"value": 0.80, "se": 0.01}
    estimated = judge_estimate()
    once = performance_findings(estimated, window, baseline)[1]
    often = performance_findings(estimated, window, baseline, looks=10)[1]
    assert (once.severity, often.severity) == ("warning", "passed")  # z 2.56, p .005


def judge_estimate():
    from fivefold.lifecycle.performance import EstimatedPerformance

    return EstimatedPerformance(rows=0)


def report_of(week: int, bad: bool, judged: bool = True, model: str = "TrainFlow/1"):
    verdict = RANDOM if judged else UNJUDGED
    return WindowReport(
        start=START + week * WEEK,
        end=START + (week + 1) * WEEK,
        model=model,
        labels=LabelSample(verdict=verdict, why=""),
        realised=RealisedPerformance(rows=900, enough_rows=judged),
        reasons=["performance-realised: x"] if bad else [],
        label_reasons=["performance-realised: x"] if bad else [],
    )


def test_the_rule_looks_at_the_newest_windows_that_labels_could_judge():
    later = START + 20 * WEEK
    young = [report_of(week, bad=False, judged=False) for week in (3, 4, 5, 6)]
    asking = [report_of(0, False), report_of(1, True), report_of(2, True), *young]
    decision = retrain_due(asking, later)
    assert decision.retrain
    assert "2 of the last 3 windows with labels bad" in decision.why
    calm_again = [report_of(0, True), report_of(1, True), report_of(2, False), *young]
    assert not retrain_due(calm_again, later).retrain
    assert not retrain_due(asking, later, served="TrainFlow/2").retrain
    assert retrain_due(asking, later, served="TrainFlow/1").retrain


@pytest.fixture
def engine(tmp_path):
    opened = database.open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    yield opened
    opened.dispose()


def test_a_person_acknowledges_drift_and_nothing_else_changes(engine):
    with pytest.raises(Exception, match="Nothing can be acknowledged"):
        decisions.acknowledge(engine, "p", "ann", "known")
    decision = promotions.Decision(
        action=promotions.PROMOTED,
        model="TrainFlow/1",
        sha256="0",
        threshold=0.5,
        who="ann",
        why="first",
        replaces=0,
    )
    promoted = promotions.append(engine, "p", decision, START)
    assert monitor_steps._answered(engine, "p", START, START + WEEK, []) is None
    row = decisions.acknowledge(engine, "p", "ann", "a campaign")
    assert promotions.champion(engine, "p").seq == promoted.seq
    assert monitor_steps.last_challenge(engine, "p", row.at) is None
    stood = WindowReport(start=row.at - WEEK, end=row.at, model="TrainFlow/1")
    later = WindowReport(start=row.at + WEEK, end=row.at + 2 * WEEK, model="TrainFlow/1")
    end = row.at + 3 * WEEK
    found = monitor_steps._answered(engine, "p", row.at + 2 * WEEK, end, [stood, later])
    assert found == stood
    assert monitor_steps._answered(engine, "p", row.at - WEEK, row.at - timedelta(1), []) is None


def harvest(engine, frame: pd.DataFrame, now: datetime, **scope):
    """(origin of the harvested rows, findings) of labels on these predictions."""
    from fivefold.core.scope import Scope

    columns = ["id", "at", "model", "inputs", "probability", "threshold", "warnings", "control"]
    more = {"problem": "left", "sha256": "0", "source": "api", "entity": None, "decision": "x"}
    rows = [row | more | {"latency_ms": 1.0} for row in frame[columns].to_dict("records")]
    database.write(engine, rows)
    for _, row in frame[frame["label"].notna()].groupby("labelled_at"):
        labels = [
            Label(prediction_id=r["id"], label=int(r["label"]), acted=bool(r["acted"]))
            for r in row.to_dict("records")
        ]
        at = row["labelled_at"].iloc[0].to_pydatetime()
        add_labels(engine, "left", labels, source="api", who="a", now=at)
    names = labelled_rows.COLUMNS
    read = database.read_predictions(engine, "left", columns=names)
    return labelled_rows.usable(read, Scope(target="left", **scope), now, events_alone=False)


def daily(frame: pd.DataFrame) -> pd.DataFrame:
    """Labels come once a day, so that a test has few transactions."""
    return frame.assign(labelled_at=frame["labelled_at"].dt.ceil("D"))


def test_labels_are_learnt_from_by_the_verdict_by_which_they_are_judged(engine):
    frame = daily(traffic(world(400, 50), 50))
    frame.loc[:19, "acted"] = True
    rows, findings = harvest(engine, frame, START + 3 * WEEK)
    expected = frame["label"].notna() & ~frame["acted"]
    assert sorted(rows["id"]) == sorted(frame.loc[expected, "id"])
    assert (rows[labelled_rows.STANDS_FOR] == 1).all()
    assert findings[0].code == "feedback-chosen"
    assert "somebody acted upon the case" in findings[0].found


def test_labels_of_flagged_cases_alone_teach_nothing(engine):
    frame = daily(traffic(world(400, 51), 51, known=1.0))
    flagged = frame["probability"] >= THRESHOLD
    frame["label"] = frame["label"].where(flagged)
    rows, findings = harvest(engine, frame, START + 3 * WEEK)
    assert len(rows) == 0
    assert "cases that are not flagged has a label" in findings[0].found


def test_labels_younger_than_the_horizon_teach_nothing(engine):
    frame = daily(traffic(world(400, 52), 52))
    now = START + timedelta(days=10)
    rows, _ = harvest(engine, frame, now, horizon_days=6)
    assert rows["at"].max() <= now - timedelta(days=6)
    assert len(rows) > 50


def test_of_chosen_labels_those_set_aside_are_thinned_to_a_random_sample(engine):
    frame = daily(traffic(world(900, 53), 53, known=1.0))
    flagged = (frame["probability"] >= THRESHOLD).to_numpy()
    drawn = np.random.default_rng(1).random(len(frame)) < np.where(flagged, 1.0, 0.25)
    frame["label"] = frame["label"].where(drawn)
    rows, _ = harvest(engine, frame, START + 3 * WEEK)
    assert len(rows) == drawn.sum()
    aside = np.full(len(rows), labelled_rows.ASIDE)
    stays = labelled_rows.representative(rows, aside)
    before, after = (r["probability"].mean() for r in (rows, rows[stays]))
    assert before > frame["probability"].mean() + 0.1
    assert after == pytest.approx(frame["probability"].mean(), abs=0.05)
    learnt = np.full(len(rows), labelled_rows.LEARNT)
    assert labelled_rows.representative(rows, learnt).all()


def test_the_monitor_judges_each_window_when_its_labels_are_final(engine, reference, monkeypatch):
    frame = daily(traffic(world(600, 60), 60))
    harvest(engine, frame, START + 4 * WEEK)  # writes predictions and labels into the journal
    url = str(engine.url)
    bundle = reference.bundle
    scope = replace(bundle.metadata.scope, horizon_days=20)
    metadata = replace(bundle.metadata, scope=scope)
    known = replace(reference, bundle=replace(bundle, metadata=metadata))
    monkeypatch.setattr(monitor_steps, "journal_url", lambda: url)
    monkeypatch.setattr(monitor_steps.window, "reference_of", lambda model: known)
    monkeypatch.setattr(monitor_steps, "_scope_of", lambda *_: {"horizon_days": 20})

    now = START + timedelta(days=30, hours=6)
    name, time, windows = monitor_steps.plan("left", 7.0, 2, now.isoformat())
    starts = [datetime.fromisoformat(start) for start, _ in windows]
    assert starts == [START, START + 3 * WEEK, START + 4 * WEEK]  # the first is of age now
    reports, decision = monitor_steps.evaluate(name, windows, time)
    assert reports[0].labels.verdict == RANDOM
    assert reports[0].judged_on_labels
    assert not decision.retrain

    early = START + timedelta(days=8)
    name, time, windows = monitor_steps.plan("left", 7.0, 2, early.isoformat())
    reports, _ = monitor_steps.evaluate(name, windows, time)
    assert reports[0].labels.why == "younger than the horizon of 20 days"
    assert not warnings(reports[0].findings)
