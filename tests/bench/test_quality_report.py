"""The arithmetic of the quality benchmark's report."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from tests.bench import quality_report
from tests.support.halves import HALVES, half


def run(table, seed, system, auc, **more):
    costs = {"log_loss": 0.5, "wall_s": 58.0, "peak_mb": 300, "row_ms": 1.0, "rows_10k_ms": 9.0}
    flags = {"failed": False, "busy": False, "best_auc": None, "code": None}
    return {"table": table, "seed": seed, "system": system, "auc": auc, **costs, **flags, **more}


def frame(*runs):
    return pd.DataFrame(list(runs))


def test_seeds_are_averaged_before_tables():
    """A table with three seeds weighs as much as one with one."""
    runs = frame(
        *(run("a", seed, "fivefold", auc) for seed, auc in enumerate((0.6, 0.7, 0.8))),
        run("b", 0, "fivefold", 0.9),
    )
    aucs = quality_report.by_table(runs)
    assert aucs["fivefold"].tolist() == pytest.approx([0.7, 0.9])
    assert quality_report.summary(runs, 60)["auc"]["fivefold"] == pytest.approx(0.8)


def test_interval_is_a_paired_t_interval():
    differences = np.array([0.01, -0.002, 0.004, 0.003])
    mean, low, high = quality_report.interval(differences)
    expected = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((differences.mean(), expected.low, expected.high))


def test_interval_of_one_table_has_no_limits():
    mean, low, high = quality_report.interval([0.01])
    assert mean == 0.01
    assert np.isnan([low, high]).all()


def test_comparison_is_over_tables_not_over_pairs():
    """Three equal seeds of a table say no more than one: the interval stays the same."""

    def line(seeds):
        runs = [
            run(table, seed, system, auc)
            for seed in range(seeds)
            for table, ours, theirs in (("a", 0.8, 0.79), ("b", 0.7, 0.68), ("c", 0.9, 0.915))
            for system, auc in (("fivefold", ours), ("flaml", theirs))
        ]
        return quality_report.comparison(quality_report.by_table(frame(*runs)), "flaml")

    assert line(1) == line(3)
    assert line(1).endswith("3 tables: ahead on 2, behind on 1, by more than .01 on 1")


def test_gaps_ranks_and_worst_table():
    runs = frame(
        run("a", 0, "fivefold", 0.80),
        run("a", 0, "flaml", 0.82),
        run("b", 0, "fivefold", 0.71),
        run("b", 0, "flaml", 0.70),
    )
    table = quality_report.summary(runs, 60)
    assert table.loc["fivefold", "worst_gap"] == pytest.approx(0.02)
    assert table.loc["fivefold", "worst_table"] == "a"
    assert table.loc["fivefold", "behind_.01"] == 1
    assert table.loc["flaml", "worst_table"] == "b"
    assert table["rank"].tolist() == [1.5, 1.5]


def test_failed_and_missing_runs_count_as_a_half():
    runs = quality_report.counted(
        frame(
            run("a", 0, "fivefold", 0.9),
            run("a", 0, "flaml", 0.9, failed=True),
            run("a", 0, "autogluon-best", None),
        )
    )
    assert runs["auc"].tolist() == [0.9, 0.5, 0.5]
    table = quality_report.summary(runs, 60)
    assert table["failed"].to_dict() == {"fivefold": 0, "flaml": 1, "autogluon-best": 1}


def test_busy_runs_take_their_seed_out_for_all():
    runs = quality_report.counted(
        frame(
            run("a", 0, "fivefold", 0.9, busy=True),
            run("a", 0, "flaml", 0.8),
            run("a", 1, "fivefold", 0.7),
            run("a", 1, "flaml", 0.6),
        )
    )
    kept = quality_report.in_common(runs)
    assert kept["seed"].unique().tolist() == [1]
    assert len(runs) - len(kept) == 1


@pytest.mark.parametrize(("wall_s", "late"), [(63.0, 0), (63.1, 1)])
def test_late_is_more_than_five_percent_over_the_budget(wall_s, late):
    runs = frame(run("a", 0, "fivefold", 0.9, wall_s=wall_s))
    assert quality_report.summary(runs, 60)["late"]["fivefold"] == late


def test_report_shows_halves_apart_and_what_did_not_count(tmp_path):
    results = {
        "churn/0/fivefold": {"auc": 0.86, "code": "abc"},
        "churn/0/flaml": {"auc": None, "failed": True},
        "telco/0/fivefold": {"auc": 0.85, "busy": True},
        "telco/0/flaml": {"auc": 0.84},
        "spam/0/fivefold": {"auc": 0.98, "best_auc": 0.99, "code": "abd+"},
        "spam/0/flaml": {"auc": 0.97, "wall_s": 66.0},
    }
    for name, result in results.items():
        folder = tmp_path / name
        folder.mkdir(parents=True)
        whole = run("", 0, "", None) | {"failed": False} | result
        kept = {k: v for k, v in whole.items() if k not in ("table", "seed", "system")}
        (folder / "result.json").write_text(json.dumps(kept))
    found = quality_report.read_results(tmp_path, ["fivefold", "flaml"])
    choose, reported = quality_report.report(found, 60, HALVES).split("\n\n")
    assert choose.startswith("== 60 s, half choose ==\n1 tables, 1 pairs")
    assert "1 runs left out" in choose
    assert "1 because others used the machine" in choose
    assert "failed: churn/0/flaml" in choose
    assert "busy: telco/0/fivefold" in choose
    assert "spam" not in choose
    assert "fivefold - flaml: +0.0100" in reported
    assert "late: spam/0/flaml (66 s)" in reported
    assert "0.99" in reported  # the best that is possible


def test_runs_of_two_commits_are_reported():
    results = frame(
        run("churn", 0, "fivefold", 0.9, code="abc"), run("telco", 0, "fivefold", 0.9, code="abd")
    )
    assert "2 commits: abc, abd" in quality_report.half_report(results, 60)


def test_report_without_results_says_so(tmp_path):
    text = quality_report.report(quality_report.read_results(tmp_path, ["flaml"]), 60, HALVES)
    assert text.count("0 tables") == 2


def test_half_is_the_parity_of_the_crc_of_the_name():
    names = [f"table{k}" for k in range(400)]
    assert [half(name) for name in ("churn", "telco", "credit")] == ["choose"] * 3
    assert [half(name) for name in ("spam", "mushroom")] == ["report"] * 2
    assert 160 < sum(half(name) == "choose" for name in names) < 240
