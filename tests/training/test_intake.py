"""From what the user typed to a table that may be trained on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Finding, Refused
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import Split
from fivefold.data.target import read_target
from fivefold.training.intake import (
    check_options,
    collect,
    merge_findings,
    resolve_scope,
    split,
    validate,
)
from tests.support.running import ROOT

GOOD = {"trials": 12, "budget": 0, "folds": 5, "threads": 1, "synthetic_rows": 0, "seed": 0}


def test_all_wrong_options_are_named_at_once():
    check_options(GOOD)
    with pytest.raises(
        Refused,
        match=r"2 problems(.|\n)*--trials(.|\n)*found 0(.|\n)*--folds(.|\n)*expected 2 to 20",
    ):
        check_options({**GOOD, "trials": 0, "folds": 1})


def test_the_bundled_problem_is_the_default_and_other_data_forgets_it():
    scope = resolve_scope({}, ROOT)
    assert (scope.target, scope.truth) == ("churned", "synthetic")
    other = resolve_scope({}, ROOT, data="x.csv", target="y", id_columns="a, b")
    assert (other.target, other.truth, other.id_columns, other.cost_miss) == (
        "y",
        "",
        ("a", "b"),
        1.0,
    )


def test_options_win_over_the_scope_and_its_data_starts_at_its_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PLACE", str(tmp_path))
    config = {"data": "t.csv", "target": {"column": "y", "positive": "a"}}
    assert resolve_scope(config, ROOT, "PLACE").data == str(tmp_path / "t.csv")
    assert resolve_scope(config, ROOT, "PLACE", positive="b").positive == "b"


def test_a_relative_table_is_found_from_any_folder_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ann")
    for given, actual in (
        ("t.csv", str(tmp_path / "t.csv")),
        ("/a/t.csv", "/a/t.csv"),
        ("~/t.csv", "/home/ann/t.csv"),
        ("https://h/t.csv", "https://h/t.csv"),
        ("postgresql://ann@h/shop", "postgresql://ann@h/shop"),
    ):
        assert resolve_scope({}, ROOT, data=given).data == actual
    assert resolve_scope({}, ROOT, data="~nobody-of-this-name.csv").data == str(
        tmp_path / "~nobody-of-this-name.csv"
    )
    assert (
        resolve_scope({"data": "~/t.csv", "target": {"column": "y"}}, ROOT).data
        == "/home/ann/t.csv"
    )


def test_no_data_is_refused_with_what_to_do():
    with pytest.raises(Refused, match=r"no source of data(.|\n)*pass --data"):
        collect(Scope(target="y"), ROOT, "")


def test_every_error_of_a_table_is_in_one_message():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=200), "y": np.r_[np.ones(4), np.zeros(196)].astype(int)}
    )
    frame["copy"] = frame["y"].map({0: "no", 1: "yes"})
    with pytest.raises(Refused, match=r"few-labels(.|\n)*expected at least") as refused:
        validate(frame, Scope(target="y", id_columns=("gone",)), [], 0)
    assert {f.code for f in refused.value.findings if f.severity == "error"} >= {
        "few-labels",
        "scope-column-missing",
    }


def test_different_findings_are_all_reported_and_none_hides_a_more_severe_one():
    def find(severity, text, code="a", subject="x"):
        return Finding(code=code, severity=severity, subject=subject, found=text)

    none, two = find("passed", "1 cell"), find("warning", "2 cells")
    assert merge_findings([none, two, two], []) == [none, two]  # other content; a repetition
    assert merge_findings([find("warning", "read")], [find("warning", "checked")]) == [
        find("warning", "read")
    ]
    assert merge_findings([none], [two]) == [two]
    assert merge_findings([two], [none]) == [two]
    assert merge_findings([two], [two, find("warning", "3 cells")]) == [
        two,
        find("warning", "3 cells"),
    ]
    assert merge_findings([none], [find("error", "b", "b"), find("error", "y", "a", "y"), two]) == [
        find("error", "b", "b"),
        find("error", "y", "a", "y"),
        two,
    ]


def test_both_rare_classes_and_both_faults_of_a_group_column_are_reported():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=120), "y": np.repeat(["yes", "no"], 60)})
    frame["who"] = np.where(np.arange(120) < 5, None, np.repeat([f"p{i}" for i in range(12)], 10))
    marker = [
        Finding(
            code="missing-marker",
            severity=s,
            subject="table",
            found=f"{m!r} in 1 cells of a; read as missing",
        )
        for m, s in (("NA", "passed"), ("None", "warning"))
    ]
    _, _, actual = validate(frame, Scope(target="y", group_column="who"), marker, 0)
    assert [f.found for f in actual if f.code == "few-labels"] == [
        "60 rows labelled 'yes'",
        "60 rows labelled 'no'",
    ]
    assert [f.found for f in actual if f.code == "group-column"] == [
        "12 groups, the largest with 10 of 115 rows",
        "5 rows without a group",
    ]
    assert [f for f in actual if f.code == "missing-marker"] == marker
    assert len(actual) == len(set(actual))


def test_a_declared_date_that_no_rule_reads_names_the_known_spellings():
    frame = pd.DataFrame(
        {
            "when": pd.Series(["Q1 2024", "Q2 2024"] * 100, dtype="str"),
            "a": np.arange(200) % 7,
            "y": [0, 1] * 100,
        }
    )
    with pytest.raises(
        Refused,
        match=r"kind-unreadable \[when\](.|\n)*date values \(%Y-%m-%d, ISO8601, .*%d\.%m\.%y\)",
    ):
        validate(frame, Scope(target="y", kinds={"when": "date"}), [], 0)


def cut(frame, scope, y, folds):
    """What `split` makes of a table with seed 0."""
    typed, _ = coerce_table(frame, infer_schema(frame, scope))
    return split(frame, typed, scope, y, folds, 0)


def rows(values, y):
    frame = pd.DataFrame({"x": values, "y": y})
    scope = Scope(target="y")
    target, _ = read_target(frame, scope)
    return cut(frame, scope, target.y, 3), frame


def test_equal_rows_stay_on_one_side():
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=300), rng.integers(1, 3, 300))
    (fold_ids, actual), frame = rows(values, rng.integers(0, 2, len(values)))
    assert frame.assign(fold=fold_ids).groupby("x")["fold"].nunique().max() == 1
    assert [f.severity for f in actual] == ["passed"]


def test_in_a_coarse_table_equal_rows_are_different_cases():
    rng = np.random.default_rng(1)
    (fold_ids, actual), frame = rows(rng.integers(0, 4, 400), rng.integers(0, 2, 400))
    assert frame.assign(fold=fold_ids).groupby("x")["fold"].nunique().min() > 1
    assert [f.severity for f in actual] == ["not_applicable"]


def test_copies_of_noise_stay_on_one_side_and_the_findings_say_so():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 5))).rename(columns="x{}".format)
    frame["y"] = rng.integers(0, 2, 400)
    frame = frame.loc[frame.index.repeat(3)].reset_index(drop=True)
    scope = Scope(target="y")
    fold_ids, actual = cut(frame, scope, frame["y"].to_numpy("int8"), 5)
    assert pd.Series(fold_ids).groupby(frame["x0"]).nunique().max() == 1
    assert [(f.code, f.severity) for f in actual] == [("split-straddle", "passed")]
    _, _, checked = validate(frame, scope, [], 0)
    said = next(f for f in checked if f.code == "duplicate-rows").action
    assert said.startswith("nothing for the split, which keeps equal rows on one side")


def test_no_finding_promises_that_a_coarse_table_is_kept_together():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 3, (600, 3))).rename(columns="x{}".format)
    frame["y"] = rng.integers(0, 2, 600)
    _, _, checked = validate(frame, Scope(target="y"), [], 0)
    said = next(f for f in checked if f.code == "duplicate-rows").action
    assert said.startswith("know that equal rows are on both sides of the split")


def visits(patients, times, seed=0):
    """A table of patients who come again at random times, with noise and a label of the patient."""
    rng = np.random.default_rng(seed)
    who = np.repeat(rng.permutation(patients), times)
    frame = pd.DataFrame({"who": who, "day": rng.permutation(len(who)), "y": who % 2})
    return frame.assign(x=rng.normal(size=len(who)))


def test_with_time_and_groups_every_model_is_scored_on_later_rows_of_other_groups():
    frame = visits(200, 6)
    scope = Scope(target="y", time_column="day", group_column="who")
    fold_ids, actual = cut(frame, scope, frame["y"].to_numpy("int8"), 5)
    parts = Split(fold_ids)
    day, who = frame["day"].to_numpy(), frame["who"].to_numpy()
    sides = [*parts.folds(), (parts.training_rows, parts.holdout_rows)]
    for learnt, scored in sides:
        assert day[learnt].max() < day[scored].min()
        assert not set(who[learnt]) & set(who[scored])
        assert set(frame["y"].iloc[learnt]) == set(frame["y"].iloc[scored]) == {0, 1}
    assert len(sides) == 6
    in_use = len(parts.training_rows) + len(parts.holdout_rows)
    assert len(parts.holdout_rows) >= 0.1 * in_use
    assert in_use >= 0.55 * len(frame)
    codes = {f.code: f for f in actual}
    assert codes["split-straddle"].severity == "passed"
    assert codes["split-rows-left-out"].found.startswith(f"{len(frame) - in_use:,} rows are left")


def test_time_and_groups_leave_nothing_out_where_groups_are_short():
    frame = visits(200, 6).sort_values("who", ignore_index=True)
    frame["day"] = np.arange(len(frame)) // 6
    scope = Scope(target="y", time_column="day", group_column="who")
    y = frame["y"].to_numpy("int8")
    fold_ids, actual = cut(frame, scope, y, 5)
    alone, _ = cut(frame, Scope(target="y", time_column="day"), y, 5)
    assert (fold_ids == alone).all()
    assert [f.code for f in actual] == ["split-straddle"]


@pytest.mark.parametrize(("alone", "share"), [(8, None), (300, None), (900, "14%"), (1200, "10%")])
def test_a_holdout_far_from_a_fifth_is_reported(alone, share):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=2000), "y": rng.integers(0, 2, 2000)})
    frame["who"] = np.r_[np.zeros(alone, dtype=int), 1 + np.arange(2000 - alone) // 8]
    scope = Scope(target="y", group_column="who")
    _, actual = cut(frame, scope, frame["y"].to_numpy("int8"), 5)
    result = [f for f in actual if f.code == "split-holdout-share"]
    assert [(f.severity, f.subject, f.found.split()[0]) for f in result] == (
        [("warning", "who", share)] if share else []
    )


@pytest.mark.parametrize(
    ("years", "told"),
    [
        (2, [("split-holdout-share", "50%"), ("split-folds-unordered", "1")]),
        (3, [("split-holdout-share", "33%"), ("split-folds-unordered", "2")]),
        (4, [("split-fewer-folds", "2")]),
        (6, [("split-fewer-folds", "4")]),
        (7, [("split-holdout-share", "14%")]),
        (10, []),
        (60, []),
    ],
)
def test_few_times_make_fewer_folds_and_that_is_reported(years, told):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=840),
            "year": 1960 + np.arange(840) // (840 // years),
            "y": rng.integers(0, 2, 840),
        }
    )
    scope = Scope(target="y", time_column="year")
    fold_ids, actual = cut(frame, scope, frame["y"].to_numpy("int8"), 5)
    assert [(f.code, f.found.split()[0]) for f in actual if f.severity == "warning"] == told
    assert frame.loc[fold_ids == -1, "year"].min() > frame.loc[fold_ids != -1, "year"].max()
