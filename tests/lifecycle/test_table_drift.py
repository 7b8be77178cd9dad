"""Two tables compared without a model: planted drift fires, everyday differences stay quiet."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope
from fivefold.lifecycle.table_drift import compare_tables, report_lines

ROOT = Path(__file__).resolve().parents[2]


def table(seed, rows=1000, moved=0.0, day="2024-01-01"):
    rng = np.random.default_rng(seed)
    seen = pd.Timestamp(day) + pd.to_timedelta(rng.integers(0, 30, rows), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(rows) + 7_000_000 + 1000 * seed,
            "income": rng.normal(50 + moved, 10, rows).round(2),
            "town": pd.Series(rng.choice(["a", "b", "c"], rows), dtype="str"),
            "opened": seen - pd.to_timedelta(rng.integers(1, 900, rows), unit="D"),
            "seen": seen,
            "left": pd.Series(rng.choice(["no", "yes"], rows, p=[0.8, 0.2]), dtype="str"),
        }
    )


SCOPE = Scope(target="left", reference_column="seen", id_columns=("id",))


def test_tables_of_one_source_are_quiet_whatever_their_month():
    for seed in range(1, 6):
        later = table(seed, day="2024-07-01")
        assert compare_tables(table(0), later, SCOPE).drifted == []


def test_a_planted_drift_is_named_first_and_alone():
    drift = compare_tables(table(0), table(1, moved=8.0), SCOPE)
    assert drift.drifted == ["income"]
    assert drift.lines[0].column == "income"
    assert {line.column for line in drift.lines} == {"income", "town", "opened", "left"}
    assert set(drift.not_compared) == {"id", "seen"}
    assert report_lines(drift)[-1].startswith("Drifted: income")


def test_labels_ages_and_levels_drift_too():
    now = table(1).assign(left=lambda t: np.where(t.index % 2 == 0, "yes", "no"))
    now["opened"] -= pd.Timedelta(days=2000)
    now["town"] = "d"
    assert set(compare_tables(table(0), now, SCOPE).drifted) == {"left", "opened", "town"}


def test_dates_without_a_moment_of_their_row_are_not_compared():
    keep = ["income", "opened"]
    drift = compare_tables(table(0)[keep], table(1, day="2025-01-01")[keep], Scope())
    assert drift.not_compared == ("opened",)
    assert drift.drifted == []


def test_missing_columns_and_unreadable_cells_are_told():
    now = table(1).drop(columns="town").assign(extra=1)
    now["income"] = now["income"].astype("str").where(now.index % 4 > 0, "n.n.")
    drift = compare_tables(table(0), now, SCOPE)
    assert (drift.only_reference, drift.only_current) == (("town",), ("extra",))
    assert drift.unreadable == {"income": 0.25}
    assert "income" in drift.drifted  # a quarter is missing now
    with pytest.raises(Refused, match="no column in common"):
        compare_tables(table(0)[["income"]], table(1)[["town"]], Scope())


def test_few_rows_are_no_drift_and_said():
    drift = compare_tables(table(0, 150), table(1, 150, moved=30.0), SCOPE)
    assert drift.drifted == []
    assert "Too few rows" in report_lines(drift)[1]


def test_the_command_has_an_exit_code_and_json(tmp_path):
    names = [str(tmp_path / name) for name in ("before.csv", "now.csv", "other.csv")]
    for name, made in zip(names, (table(0), table(1), table(2, moved=9.0)), strict=True):
        made.to_csv(name, index=False)

    def run(*words):
        command = [sys.executable, str(ROOT / "flows" / "drift.py"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    options = ["--target", "left", "--reference", "seen", "--drop", "id"]
    calm = run(names[0], names[1], *options)
    assert (calm.returncode, calm.stderr) == (0, "")
    out = tmp_path / "drift.json"
    moved = run(names[0], names[2], *options, "--json", str(out))
    assert moved.returncode == 1
    assert json.loads(out.read_text())["lines"][0]["column"] == "income"
    gone = run(names[0], str(tmp_path / "gone.csv"))
    assert gone.returncode == 2
    assert "Traceback" not in gone.stderr
