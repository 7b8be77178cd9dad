"""Evaluation on held-out rows: metrics, intervals, segments, success finding, importance."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given
from hypothesis import strategies as st

from fivefold.core.intervals import UNKNOWN, wilson
from fivefold.core.roc_auc import auc_interval, paired_test
from fivefold.core.scope import Scope
from fivefold.model import evaluation
from fivefold.model.evaluation import (
    CURVE_POINTS,
    Evaluation,
    check_decides,
    check_success,
    curves,
    permutation_importance,
    segments,
    spread_between,
)
from fivefold.model.threshold import ConfusionMatrix, Threshold, confusion

THRESHOLD = Threshold(0.5, 0.1, 0.3, 0.2, "as given")
SCOPE = Scope(cost_miss=5.0, cost_false_alarm=2.0)


def rows(count=500, seed=0):
    rng = np.random.default_rng(seed)
    q = rng.beta(1.5, 2.5, count)
    return (rng.random(count) < q).astype("int8"), q


def evaluate(y, q, threshold, scope, seed=0, baselines=None, groups=None):
    """The evaluation without baselines and without segments, unless there are some."""
    groups = pd.DataFrame(index=range(len(y))) if groups is None else groups
    return evaluation.evaluate(
        y, q, threshold, scope, seed=seed, baselines=baselines or {}, groups=groups
    )


# --- metrics -------------------------------------------------------------------------------------


def test_metrics_equal_scikit_learns():
    y, q = rows()
    flags = q >= 0.5
    result = {k: v.value for k, v in evaluate(y, q, THRESHOLD, SCOPE).metrics.items()}
    misses, alarms = ((y == 1) & ~flags).sum(), ((y == 0) & flags).sum()
    assert result == pytest.approx(
        {
            "roc_auc": sk.roc_auc_score(y, q),
            "pr_auc": sk.average_precision_score(y, q),
            "log_loss": sk.log_loss(y, q),
            "brier": sk.brier_score_loss(y, q),
            "brier_skill": 1 - sk.brier_score_loss(y, q) / (y.mean() * (1 - y.mean())),
            "cost_per_1000": 1000 * (5 * misses + 2 * alarms) / len(y),
            "precision": sk.precision_score(y, flags),
            "recall": sk.recall_score(y, flags),
            "specificity": sk.recall_score(y, flags, pos_label=0),
            "accuracy": sk.accuracy_score(y, flags),
            "flagged": flags.mean(),
        }
    )


def test_every_interval_holds_its_value_and_shares_have_wilsons():
    y, q = rows()
    report = evaluate(y, q, THRESHOLD, SCOPE)
    for name, result in report.metrics.items():
        assert result.low < result.value < result.high, name
    c = report.confusion
    for name, hits, of in (
        ("precision", c.tp, c.tp + c.fp),
        ("recall", c.tp, c.tp + c.fn),
        ("specificity", c.tn, c.tn + c.fp),
    ):
        assert (report.metrics[name].low, report.metrics[name].high) == wilson(hits, of)
    assert report.metrics["roc_auc"].to_dict() == {
        k: report.auc[k] for k in ("value", "low", "high")
    }


def test_bootstrap_intervals_have_the_width_that_theory_says_and_depend_on_the_seed_alone():
    y, q = rows(2000)
    result = [evaluate(y, q, THRESHOLD, SCOPE, seed=s).metrics["brier"] for s in (0, 0, 1, 2, 3)]
    expected = 2 * 1.96 * np.std((q - y) ** 2) / math.sqrt(2000)
    assert np.mean([t.high - t.low for t in result[1:]]) == pytest.approx(expected, rel=0.07)
    assert result[0] == result[1] != result[2]


def test_a_share_of_nothing_is_none_not_zero():
    y, q = rows()
    result = evaluate(y, q, Threshold(1.0), SCOPE).metrics
    assert result["precision"] == UNKNOWN
    assert result["recall"].value == 0


def test_the_confusion_worked_by_hand_and_the_threshold_itself_is_flagged():
    y, q = np.array([1, 1, 0, 0, 1]), np.array([0.9, 0.2, 0.5, 0.1, 0.5])
    assert confusion(y, q >= 0.5) == ConfusionMatrix(tp=2, fp=1, fn=1, tn=1)
    report = evaluate(y, q, THRESHOLD, SCOPE)
    assert report.confusion == ConfusionMatrix(tp=2, fp=1, fn=1, tn=1)
    assert (report.rows, report.positives) == (5, 3)


def test_the_report_is_json_without_nan_even_without_any_figure():
    y, q = rows(200)
    groups = pd.DataFrame(
        {
            "sex": pd.Series(["f", "m", None, "x"] * 50, dtype="str"),
            "flag": [0.0, 1.0, np.nan, 1.0] * 50,
        }
    )
    for scores, cut in (
        (q, 0.5),
        (np.full(200, 0.3), 0.5),
        (y * 0.98 + 0.01, 0.5),
        (q, 1.0),
        (q, 0.0),
    ):
        report = evaluate(
            y,
            scores,
            replace(THRESHOLD, value=cut),
            SCOPE,
            groups=groups,
            baselines={"base rate": np.full(200, 0.4)},
        )
        plain = report.to_dict()
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain
        assert Evaluation.from_dict(plain) == report


# --- Wilson --------------------------------------------------------------------------------------


def test_wilson_worked_by_hand():
    assert wilson(0, 10)[0] == 0.0
    assert wilson(0, 10) == pytest.approx((0.0, 1.959963984540054**2 / (10 + 1.959963984540054**2)))
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_ends_are_where_the_score_test_says_so(counts):
    hits, of = counts
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    assert (low == 0, high == 1) == (hits == 0, hits == of)
    for end in (low, high):
        if 0 < end < 1:
            assert abs(hits / of - end) / math.sqrt(end * (1 - end) / of) == pytest.approx(
                1.959963984540054, rel=1e-6
            )


# --- curves --------------------------------------------------------------------------------------


def test_curves_worked_by_hand():
    y, q = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.6, 0.1])
    result = curves(y, q, SCOPE)
    assert result["lift"] == {
        "share": [0.25, 0.5, 0.75, 1.0],
        "gain": [0.5, 0.5, 1.0, 1.0],
        "lift": [2.0, 1.0, 1.333333, 1.0],
    }
    assert (result["cost"]["threshold"][0], result["cost"]["cost"][0]) == (
        0.0,
        1.0,
    )  # two false alarms of 2 on four rows
    assert (result["cost"]["threshold"][70], result["cost"]["cost"][70]) == pytest.approx(
        (0.7, (5 + 2) / 4)
    )
    assert result["cost"]["cost"][100] == pytest.approx(10 / 4)
    assert result["roc"]["fpr"][0] == result["roc"]["tpr"][0] == 0
    assert result["roc"]["fpr"][-1] == result["roc"]["tpr"][-1] == 1


def test_long_curves_are_thinned_and_keep_their_ends_and_area():
    y, q = rows(5000)
    result = curves(y, q, SCOPE)
    for name in ("roc", "pr", "lift"):
        assert all(len(values) <= CURVE_POINTS for values in result[name].values())
    assert np.trapezoid(result["roc"]["tpr"], result["roc"]["fpr"]) == pytest.approx(
        sk.roc_auc_score(y, q), abs=0.003
    )


def test_calibration_bins_hold_all_rows_and_their_shares():
    y, q = rows(1003)
    result = curves(y, q, SCOPE)["calibration"]
    assert sum(b["count"] for b in result) == 1003
    assert {b["count"] for b in result} == {100, 101}
    assert sum(b["observed"] * b["count"] for b in result) == pytest.approx(y.sum())
    assert (np.diff([b["predicted"] for b in result]) > 0).all()
    assert all(b["low"] <= b["observed"] <= b["high"] for b in result)
    assert len(curves(y[:7] * 0 + [1, 0, 1, 0, 1, 0, 1], q[:7], SCOPE)["calibration"]) == 7


# --- segments ------------------------------------------------------------------------------------


def test_segments_worked_by_hand():
    y = np.array([1] * 20 + [0] * 20 + [1] * 3 + [0] * 57)
    q = np.where(y == 1, 0.8, 0.3)
    q[:5], q[20:30] = 0.2, 0.9
    groups = pd.DataFrame({"sex": ["f"] * 40 + ["m"] * 60})
    male, female = segments(y, q, q >= 0.5, groups)  # the more frequent first
    assert (
        female.level,
        female.rows,
        female.positive_rate,
        female.recall,
        female.false_alarm_rate,
    ) == ("f", 40, 0.5, 0.75, 0.5)
    assert female.flagged == pytest.approx(25 / 40)
    assert female.mean_probability == pytest.approx(q[:40].mean())
    expected = auc_interval(y[:40], q[:40])
    assert (female.auc, female.auc_low, female.auc_high, female.note) == (
        expected["value"],
        expected["low"],
        expected["high"],
        "",
    )
    assert (male.rows, male.auc, male.auc_low, male.note) == (
        60,
        None,
        None,
        "too few rows to evaluate",
    )  # 3 positives
    assert male.recall == 1.0


@pytest.mark.parametrize(
    ("count", "positives", "judged"),
    [
        (30, 5, True),
        (29, 10, False),
        (30, 4, False),
        (30, 26, False),
        (30, 25, True),
        (30, 0, False),
    ],
)
def test_a_segment_is_evaluated_from_30_rows_and_5_of_each_class(count, positives, judged):
    y = np.array([1] * positives + [0] * (count - positives))
    q = np.linspace(0.1, 0.9, count)
    [line] = segments(y, q, q >= 0.5, pd.DataFrame({"g": ["a"] * count}))
    assert (line.note == "") == judged
    assert (line.auc is not None) == judged
    assert (line.recall is None) == (positives == 0)


def test_missing_values_are_a_segment_and_at_most_12_are_shown():
    y, q = rows(300)
    groups = pd.DataFrame(
        {
            "g": pd.Series([None, "a", "b"] * 100, dtype="str"),
            "many": [f"l{i % 20}" for i in range(300)],
            "member": [1.0, 0.0, np.nan] * 100,
        }
    )
    result = segments(y, q, q >= 0.5, groups)
    assert {(s.column, s.level): s.rows for s in result if s.column != "many"} == {
        **{("g", level): 100 for level in ("(missing)", "a", "b")},
        **{("member", level): 100 for level in ("(missing)", "0.0", "1.0")},
    }
    missing = next(s for s in result if s.level == "(missing)")
    assert missing.positive_rate == pytest.approx(y[::3].mean())
    assert sum(s.column == "many" for s in result) == 12


@pytest.mark.parametrize(
    ("counts", "severity", "told"),
    [
        (ConfusionMatrix(tp=1, fn=9, tn=90), "passed", "0.4 flags 1.0% of the held-out rows"),
        (ConfusionMatrix(fn=10, tn=90), "warning", "0.4 flags nobody among 100 held-out rows"),
        (ConfusionMatrix(tp=10, fp=90), "warning", "0.4 flags everybody among 100"),
    ],
)
def test_a_threshold_that_flags_nobody_or_everybody_is_said(counts, severity, told):
    finding = check_decides(counts, Threshold(0.4))
    assert (finding.code, finding.severity) == ("threshold-decides", severity)
    assert told in finding.found
    evaluation = Evaluation(findings=[finding])
    assert bool(evaluation.decides_nothing) == (severity == "warning")
    if evaluation.decides_nothing:
        assert "[costs] miss, false_alarm" in evaluation.cautions[0]


def test_success_cannot_be_judged_on_fewer_than_five_rows_of_a_class():
    auc = {"value": 0.95, "low": 0.9, "high": 1.0, "judged": False}
    finding = check_success(auc, Scope(min_roc_auc=0.7))
    assert finding.severity == "not_applicable"
    assert "cannot be judged on fewer than 5 held-out rows of a class" in finding.found


# --- success, baselines, importance --------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "severity", "told"),
    [
        (None, "not_applicable", "a wanted ROC AUC in the scope"),
        (0.75, "passed", "at least 0.75"),
        (0.7, "passed", "at least 0.7"),
        (0.8, "not_applicable", "too few rows to decide"),
        (0.851, "warning", "a smaller aim"),
        (0.85, "not_applicable", "few rows"),
    ],
)
def test_success_is_yes_or_no_only_where_the_interval_says_so(wanted, severity, told):
    finding = check_success({"value": 0.8, "low": 0.75, "high": 0.85}, Scope(min_roc_auc=wanted))
    assert (finding.code, finding.severity) == ("success-roc-auc", severity)
    assert "ROC AUC 0.800, 95% interval 0.750 to 0.850" in finding.message
    assert told in finding.message


def test_baselines_are_compared_on_the_same_rows():
    y, q = rows()
    noise = np.random.default_rng(9).random(500)
    plain, base = evaluate(
        y, q, THRESHOLD, SCOPE, baselines={"noise": noise, "base rate": np.full(500, 0.4)}
    ).baselines
    against = paired_test(y, q, noise)
    assert (plain.name, plain.auc, plain.gain, plain.p_value) == (
        "noise",
        pytest.approx(sk.roc_auc_score(y, noise)),
        against["difference"],
        against["p_value"],
    )
    assert plain.gain > 0.2
    assert (base.auc, base.low, base.high) == (0.5, 0.5, 0.5)


def test_importance_finds_the_planted_column_and_leaves_noise_at_zero():
    rng = np.random.default_rng(1)
    typed = pd.DataFrame(
        {
            "noise": rng.normal(size=800),
            "signal": rng.normal(size=800),
            "level": rng.choice(["a", "b"], 800),
        }
    )
    y = (rng.random(800) < 1 / (1 + np.exp(-2 * typed["signal"]))).astype(int).to_numpy()
    before = typed.copy()
    result = permutation_importance(
        lambda t: t["signal"].to_numpy() + (t["level"] == "b").to_numpy() * 1e-9,
        typed,
        y,
        ["noise", "signal", "level"],
        seed=0,
    )
    assert result[0].column == "signal"
    assert result[0].mean == pytest.approx(sk.roc_auc_score(y, typed["signal"]) - 0.5, abs=0.03)
    assert {t.column: abs(t.mean) < 1e-3 for t in result[1:]} == {"noise": True, "level": True}
    assert result[0].sd > 0
    pd.testing.assert_frame_equal(typed, before)


@pytest.mark.parametrize("seed", range(6))
def test_importance_of_a_rare_class_is_a_number(seed):
    y = np.zeros(10_000, dtype="int8")
    y[:5] = 1
    typed = pd.DataFrame({"signal": y + np.random.default_rng(seed).random(10_000)})
    result = permutation_importance(lambda t: t["signal"].to_numpy(), typed, y, ["signal"], seed)
    assert result[0].mean > 0.2


def test_of_a_wide_table_the_columns_that_vary_with_the_scores_are_permuted():
    rng = np.random.default_rng(0)
    typed = pd.DataFrame(rng.normal(size=(3000, 400)), columns=[f"c{i}" for i in range(400)])
    typed["level"] = rng.choice(["a", "b"], 3000)
    asked = []

    def predict(t):
        asked.append(len(t))
        return t["c7"].abs().to_numpy() + t["c300"].to_numpy() / 2 + (t["level"] == "b").to_numpy()

    y = (predict(typed) > np.median(predict(typed))).astype("int8")
    asked.clear()
    result = permutation_importance(predict, typed, y, list(typed.columns), seed=0)
    assert len(result) == 13
    assert {line.column for line in result[:3]} == {"c7", "c300", "level"}
    assert asked == [1000] * (1 + 3 * 13)


@pytest.mark.parametrize(
    ("values", "answers", "share"),
    [
        ([1.0, 1.0, 2.0, 2.0], [0.0, 1.0, 0.0, 1.0], 0.0),
        (["a", "a", "b", "b"], [0.1, 0.1, 0.5, 0.5], 1.0),
        (["a", "a", "b", "b"], [0.0, 1.0, 1.0, 2.0], 0.5),
        ([1.0, None, None, 2.0], [0.0, 0.5, 0.5, 0.0], 1.0),
        (["a", "b"], [1.0, 1.0], 0.0),
    ],
)
def test_the_spread_between_levels_and_tenths(values, answers, share):
    kind = "float64" if isinstance(values[0], float) else "str"
    assert spread_between(pd.Series(values, dtype=kind), np.array(answers)) == pytest.approx(share)


def test_the_rarest_levels_are_one_wherever_they_stand():
    values = [f"rare {n}" for n in range(40)] + ["A", "B"] * 480
    answers = np.array([0.5] * 40 + [0.0, 1.0] * 480)
    for order in (slice(None), slice(None, None, -1)):
        assert spread_between(
            pd.Series(values[order], dtype="str"), answers[order]
        ) == pytest.approx(1.0)


def test_importance_looks_at_a_sample_of_a_large_table():
    rng, sizes = np.random.default_rng(1), []
    typed = pd.DataFrame({"signal": rng.normal(size=6000)})
    y = (rng.random(6000) < 0.5).astype(int)
    permutation_importance(
        lambda t: sizes.append(len(t)) or t["signal"].to_numpy(),
        typed,
        y,
        ["signal"],
        seed=0,
    )
    assert sizes == [1500] * 4


def test_importance_without_time_measures_ten_columns_and_with_enough_all():
    rng, sizes = np.random.default_rng(2), []
    typed = pd.DataFrame(rng.normal(size=(3000, 20)), columns=[f"c{i}" for i in range(20)])

    def predict(t):
        sizes.append(len(t))
        return t["c3"].to_numpy() + t["c11"].to_numpy()

    y = (predict(typed) > 0).astype("int8")
    sizes.clear()
    hurried = permutation_importance(predict, typed, y, list(typed.columns), 0, seconds=0.0)
    assert len(hurried) == 10
    assert {line.column for line in hurried[:2]} == {"c3", "c11"}
    assert sizes == [1000] * (2 + 3 * 10)
    whole = permutation_importance(predict, typed, y, list(typed.columns), 0)
    assert permutation_importance(predict, typed, y, list(typed.columns), 0, seconds=60.0) == whole
    assert len(whole) == 20
