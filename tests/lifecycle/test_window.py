"""The monitor's windows, reports and trigger, on planted traffic."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.data.synthetic import shifted
from fivefold.journal.promotions import Promotion
from fivefold.lifecycle import window as monitoring
from fivefold.lifecycle.report import WindowReport, retrain_due
from fivefold.lifecycle.window import (
    Past,
    Reference,
    age_finding,
    cut_windows,
    evaluate_window,
    typed_inputs,
)
from fivefold.model.evaluation import Evaluation, Importance
from tests.support.models import bundle_of, changed
from tests.support.running import ROOT

START = datetime(2026, 3, 1)
SECTIONS = re.findall(r"(?m)^## ([a-z-]+)$", (ROOT / "docs" / "runbook.md").read_text())
BAD, GOOD = ["x"], []  # reasons


def one_by_one(reasons: list[list[str]]) -> list[WindowReport]:
    """Reports of one day after another."""
    return [
        WindowReport(start=datetime(2026, 2, n), end=datetime(2026, 2, n + 1), reasons=why)
        for n, why in enumerate(reasons, 1)
    ]


def world(rows: int, seed: int, shift: float = 0.0, level: str | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    kind = rng.choice(["a", "b", "c"], rows)
    if level:
        kind[rng.random(rows) < 0.5] = level
    return pd.DataFrame(
        {
            "x": rng.normal(shift, 1, rows).round(3),
            "noise": rng.normal(0, 1, rows).round(3),
            "kind": kind,
        }
    )


def chance(rows: pd.DataFrame) -> np.ndarray:
    return 1 / (1 + np.exp(-2 * rows["x"].to_numpy(dtype=float)))


@pytest.fixture(scope="module")
def reference():
    base = world(4000, 1)
    bundle = bundle_of(base, chance)
    evaluation = Evaluation(
        auc={"value": 0.87, "se": 0.008, "low": 0.854, "high": 0.885},
        importance=[Importance("x", 0.3, 0.0), Importance("kind", 0.05, 0.0)],
    )
    provenance = replace(bundle.metadata.provenance, started="2026-01-01T00:00:00+00:00")
    bundle = changed(bundle, evaluation=evaluation, provenance=provenance)
    typed = typed_inputs(pd.Series([json.dumps(r) for r in base.to_dict("records")]), bundle)
    return Reference(bundle=bundle, typed=typed, scores=chance(world(2000, 2)))


def traffic(
    rows: pd.DataFrame, truth: np.ndarray | None = None, model: str = "TrainFlow/1", seed: int = 9
) -> pd.DataFrame:
    q = chance(rows)
    y = (np.random.default_rng(seed).random(len(rows)) < (q if truth is None else truth)).astype(
        float
    )
    at = [START + timedelta(minutes=5 * n) for n in range(len(rows))]
    return pd.DataFrame(
        {
            "id": [str(n) for n in range(len(rows))],
            "at": pd.to_datetime(at),
            "model": model,
            "inputs": [json.dumps(r) for r in rows.to_dict("records")],
            "probability": q,
            "threshold": 0.5,
            "warnings": "",
            "latency_ms": 4.0,
            "label": y,
            "labelled_at": pd.to_datetime(at) + pd.Timedelta(days=10),
            "acted": False,
            "control": False,
        }
    )


def judged(
    frame: pd.DataFrame,
    reference: Reference,
    rejects: int = 0,
    silent: bool = False,
    served: Promotion | None = None,
) -> WindowReport:
    end = START + timedelta(days=7)
    window = WindowReport(start=START, end=end, rejects=rejects)
    report = evaluate_window(window, frame, served, Past(silent), end, lambda _: reference)
    stored = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert WindowReport.from_dict(stored) == report
    return report


def promoted(model: str, threshold: float) -> Promotion:
    return Promotion(
        seq=1,
        at=START,
        problem="p",
        action="promoted",
        model=model,
        sha256="",
        threshold=threshold,
        who="",
        why="",
    )


def codes(report: WindowReport, severity: str) -> set[str]:
    return {f.code for f in report.findings if f.severity == severity}


def test_undisturbed_traffic_is_quiet(reference):
    report = judged(traffic(world(1500, 3)), reference)
    assert codes(report, "warning") == set()
    assert not report.bad
    assert report.reasons == []
    assert report.rows == 1500
    assert report.label_coverage == 1.0
    assert report.label_delay_days == pytest.approx(10)
    assert report.estimated.auc["value"] == pytest.approx(report.realised.auc["value"], abs=0.03)


def test_moved_inputs_are_named_and_ask_for_a_new_model_while_labels_cannot_tell(reference):
    report = judged(traffic(world(1500, 4, shift=1.0)), reference)
    drifted = {line.column for line in report.drift if line.drifted}
    assert drifted == {"x"}
    assert {"input-drift", "score-drift"} <= codes(report, "warning")
    assert not report.bad, "labels say that the model is as good as ever"
    unlabelled = judged(
        traffic(world(1500, 4, shift=1.0)).assign(label=np.nan, labelled_at=pd.NaT), reference
    )
    assert unlabelled.bad
    assert "input-drift: x" in " ".join(unlabelled.reasons)


def test_moved_inputs_that_hardly_matter_do_not(reference):
    frame = world(1500, 5)
    frame["noise"] += 2
    report = judged(traffic(frame), reference)
    assert {line.column for line in report.drift if line.drifted} == {"noise"}
    assert not report.bad


def test_changed_meaning_shows_in_labels_only(reference):
    rows = world(1500, 6)
    report = judged(traffic(rows, truth=1 - chance(rows)), reference)
    assert {"performance-realised"} <= codes(report, "warning")
    assert report.bad
    assert "performance-estimated" not in codes(report, "warning")
    unlabelled = traffic(rows, truth=1 - chance(rows)).assign(label=np.nan, labelled_at=pd.NaT)
    silent = judged(unlabelled, reference)
    assert not silent.bad
    assert "performance-realised" in codes(silent, "not_applicable")
    assert silent.label_coverage == 0


def test_few_rows_cannot_be_tested(reference):
    report = judged(traffic(world(30, 7, shift=3.0)), reference)
    assert not report.bad
    assert {"input-drift", "score-drift", "performance-realised"} <= codes(report, "not_applicable")


def test_no_traffic_is_reported(reference):
    empty = traffic(world(5, 1)).iloc[:0]
    assert codes(judged(empty, reference), "not_applicable") == {"no-traffic"}
    assert codes(judged(empty, reference, rejects=9), "warning") == {"no-traffic"}
    second = judged(empty, reference, silent=True)  # nothing came in the window before either
    assert codes(second, "warning") == {"no-traffic"}
    assert "nor in the window before" in second.findings[0].found
    assert not second.bad  # a new model would not help


def test_warnings_and_refusals_are_reported_where_proven(reference):
    frame = traffic(world(1000, 8))
    frame.loc[:119, "warnings"] = "kind: 'z' was not seen in training"
    report = judged(frame, reference, rejects=60)
    assert {"warnings-share", "rejects-share"} <= codes(report, "warning")


def test_a_trial_at_the_end_of_a_window_decides_nothing(reference):
    """One answer of another model, one of the same at another threshold, as the app allows."""
    many = traffic(world(600, 2))
    other, bold = (
        traffic(world(1, 3), model="TrainFlow/0"),
        traffic(world(1, 4)).assign(threshold=0.95),
    )
    frame = pd.concat([many, bold, other], ignore_index=True)
    for served in (None, promoted("TrainFlow/1", 0.5)):
        report = judged(frame, reference, served=served)
        assert (report.model, report.rows, report.other_rows) == ("TrainFlow/1", 601, 1)
        assert report.estimated.flagged == pytest.approx(
            float((frame["probability"][:601] >= 0.5).mean()), abs=1e-9
        )
    tight = judged(frame, reference, served=promoted("TrainFlow/1", 0.95))
    assert tight.estimated.flagged < 0.1
    few = judged(
        frame, reference, served=promoted("TrainFlow/0", 0.5)
    )  # promoted at the end of the window
    assert (few.model, few.rows) == ("TrainFlow/0", 1)
    assert judged(frame, reference, served=promoted("TrainFlow/7", 0.5)).model == "TrainFlow/1"


def test_refused_rows_are_a_share_of_all_that_came(reference):
    frame = pd.concat(
        [traffic(world(9900, 1), model="TrainFlow/0"), traffic(world(300, 2))], ignore_index=True
    )
    report = judged(frame, reference, rejects=100, served=promoted("TrainFlow/1", 0.5))
    assert report.rows == 300
    (result,) = (f for f in report.findings if f.code == "rejects-share")
    assert (result.severity, result.found) == ("passed", "1.0% refused rows (100 of 10,300)")


def test_a_run_that_was_removed_costs_its_window_only():
    def gone(model):
        raise Refused(
            "No run",
            [
                Finding(
                    code="run-missing",
                    severity=ERROR,
                    subject=model,
                    found="no such run",
                    expected="one",
                    action="restore it",
                )
            ],
        )

    end = START + timedelta(days=7)
    window = WindowReport(start=START, end=end)
    report = evaluate_window(window, traffic(world(300, 2)), None, Past(), end, gone)
    assert codes(report, "warning") == {"model-unreadable"}
    assert (report.rows, report.bad) == (300, False)


@pytest.mark.parametrize(
    "first", [datetime(2026, 1, 3, 17), datetime(2026, 1, 5, 1), datetime(2026, 1, 9, 23, 59)]
)
def test_windows_stay_where_they_are_while_old_predictions_are_forgotten(first):
    actual = cut_windows(first, 7, datetime(2026, 1, 20, 12), known_start=datetime(2026, 1, 17))
    assert actual == [
        (datetime(2026, 1, 3), datetime(2026, 1, 10)),
        (datetime(2026, 1, 10), datetime(2026, 1, 17)),
        (datetime(2026, 1, 17), datetime(2026, 1, 20, 12)),
    ]


def test_days_that_overlap_count_once():
    def window(start, end, bad):
        return WindowReport(
            start=datetime(2026, 3, start),
            end=datetime(2026, 3, end),
            reasons=["x"] if bad else [],
        )

    same = [window(1, 5, True), window(2, 6, True), window(3, 7, True)]
    assert not retrain_due(same, START).retrain
    assert retrain_due([window(1, 3, True), *same], START).retrain


def test_dates_of_a_parquet_file_are_read_by_the_contract_of_a_csv():
    base = world(400, 1).assign(since=pd.date_range("2024-01-05", periods=400).strftime("%d/%m/%Y"))
    bundle = bundle_of(base, chance)
    assert bundle.schema["since"].parse == {"format": "%d/%m/%Y"}
    row = {"x": 1.0, "noise": 0.0, "kind": "a"}
    result = typed_inputs(
        pd.Series(
            [json.dumps({**row, "since": text}) for text in ("25/02/2024", "2024-02-25T00:00:00")]
        ),
        bundle,
    )
    assert result["since"].tolist() == [pd.Timestamp(2024, 2, 25)] * 2


def test_only_the_rows_of_the_model_that_answered_most_are_evaluated(reference):
    frame = pd.concat(
        [traffic(world(400, 1, shift=5.0), model="TrainFlow/0"), traffic(world(600, 2))],
        ignore_index=True,
    )
    report = judged(frame, reference)
    assert (report.model, report.rows, report.other_rows) == ("TrainFlow/1", 600, 400)
    assert not report.bad


def test_windows_cover_everything_once_and_the_last_ends_now():
    actual = cut_windows(datetime(2026, 1, 3, 17), 7, datetime(2026, 1, 20, 12))
    assert actual[0][0] == datetime(2026, 1, 3)
    assert actual[-1] == (datetime(2026, 1, 17), datetime(2026, 1, 20, 12))
    assert all(a[1] == b[0] for a, b in itertools.pairwise(actual))


@pytest.mark.parametrize(
    ("held", "retrain"),
    [
        ([], False),
        ([BAD], False),
        ([BAD, BAD], True),
        ([GOOD, BAD, BAD], True),
        ([BAD, GOOD, BAD], True),
        ([BAD, BAD, GOOD], False),
        ([BAD, GOOD, GOOD, BAD], False),
        ([BAD, BAD, GOOD, GOOD, BAD], False),
    ],
)
def test_the_trigger_wants_several_bad_windows_and_the_newest(held, retrain):
    assert retrain_due(one_by_one(held), START).retrain is retrain


def test_the_trigger_cools_down():
    assert not retrain_due(one_by_one([BAD, BAD]), START, START - timedelta(days=6)).retrain
    assert retrain_due(one_by_one([BAD, BAD]), START, START - timedelta(days=8)).retrain


def test_a_planted_change_affects_its_share_and_nothing_else():
    base = world(5000, 1)
    base["left"] = np.where(np.random.default_rng(0).random(5000) < chance(base), "yes", "no")
    shift = shifted.plan_shift(base, "left", ("no", "yes"))
    assert shift.numbers[0].name == "x"
    assert shift.level_column == "kind"
    changed = shifted.shift_rows(base, shift, 0.4, seed=3)
    here = changed["kind"] == shifted.NEW
    assert here.mean() == pytest.approx(0.4, abs=0.03)
    pd.testing.assert_frame_equal(changed[~here], base[~here], check_dtype=False)
    after, before = changed[here], base[~here]
    assert (
        np.corrcoef(after["x"], after["left"] == "yes")[0, 1]
        < -0.3
        < 0.3
        < np.corrcoef(before["x"], before["left"] == "yes")[0, 1]
    )
    assert after["x"].mean() - base["x"].mean() == pytest.approx(
        shifted.SHIFT * base["x"].std(), abs=0.1
    )
    with pytest.raises(ValueError, match="numeric column with more than ten values"):
        shifted.plan_shift(base[["kind", "left"]], "left", ("no", "yes"))


def test_journal_inputs_are_read_by_the_contract(reference):
    result = typed_inputs(
        pd.Series(['{"x":1.5,"kind":"a"}', '{"x":null,"noise":2,"kind":null}']), reference.bundle
    )
    assert result["x"].tolist()[0] == 1.5
    assert np.isnan(result["x"][1])
    assert result["kind"].isna().tolist() == [False, True]
    assert monitoring.HEAVY == 0.1


def test_a_silence_is_a_window_too(reference):
    actual = cut_windows(datetime(2026, 1, 3, 17), 7, datetime(2026, 2, 2))
    assert actual[-1] == (datetime(2026, 1, 31), datetime(2026, 2, 2))
    assert codes(judged(traffic(world(5, 1)).iloc[:0], reference), "not_applicable") == {
        "no-traffic"
    }


def test_the_age_of_model_and_data_are_separate_findings():
    now = datetime(2026, 6, 1)
    findings = (
        age_finding("stale-model", "trained", "2026-05-30T00:00:00+00:00", now),
        age_finding("stale-data", monitoring.NEWEST_LABEL, "2025-03-01T00:00:00", now),
    )
    result = {f.code: (f.severity, f.found) for f in findings}
    assert result == {
        "stale-model": ("passed", "trained 2 days ago"),
        "stale-data": ("warning", "newest labelled prediction that was learnt from 457 days ago"),
    }
    assert age_finding("stale-model", "trained", None, now).severity == "not_applicable"
    assert age_finding("stale-data", "label", None, now).severity == "not_applicable"


def test_every_code_of_the_monitor_has_a_section_in_the_runbook_and_the_other_way_round():
    code = "".join(
        (ROOT / "lib" / "fivefold" / "lifecycle" / f"{name}.py").read_text()
        for name in ("window", "drift", "performance")
    )
    emitted = set(re.findall(r'"([a-z]+-[a-z]+|latency)"', code)) & set(SECTIONS) | set(
        re.findall(r'Finding\("([a-z-]+)"', code)
    )
    assert emitted == set(SECTIONS)
