"""A file scored for a person: ids, outcomes, doubts counted, formulas disarmed, lift."""

from __future__ import annotations

import io
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.model.metadata import Provenance
from fivefold.serving.batch import histogram, lift_at, neutralise, score_batch, top
from tests.support.models import bundle_of, changed

FRAME = pd.DataFrame(
    {"age": np.arange(20.0, 60.0), "town": pd.Series(["Ulm", "Bonn"] * 20, dtype="str")}
)


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(FRAME, lambda x: x["age"] / 100)


def test_every_row_comes_back_with_its_outcome_and_warnings_are_counted(bundle):
    rows = pd.DataFrame(
        {
            "age": ["30", "99", None, "old"],
            "town": ["Ulm", "Rome", "Bonn", "Ulm"],
            "extra": [1, 2, 3, 4],
        }
    )
    table = score_batch(bundle, rows, "md5")
    scored, tally = table.rows, table.tally
    assert list(scored.columns) == [
        "prediction_id",
        "age",
        "town",
        "extra",
        "probability",
        "decision",
        "warnings",
        "error",
    ]
    assert scored["probability"].iloc[:2].tolist() == pytest.approx([0.30, 0.99])
    assert scored["error"].iloc[3] == "age: 'old' is not a number"
    assert tally.warning_counts == {
        "unreadable": {"age": 1},
        "missing": {"age": 1},
        "outside": {"age": 1},
        "unseen": {"town": 1},
    }
    assert (tally.rows, tally.scored, tally.refused, tally.with_warnings) == (
        4,
        3,
        1,
        2,
    )
    assert [f.code for f in table.findings] == ["column-extra"]


def test_ids_are_the_same_for_the_same_file_and_differ_between_rows_files_and_models(bundle):
    first, again, other = (
        score_batch(bundle, FRAME, key).rows["prediction_id"] for key in ("a", "a", "b")
    )
    assert first.tolist() == again.tolist()
    assert len({*first, *other}) == 80
    bundle2 = changed(
        bundle_of(FRAME, lambda x: x["age"] / 100), provenance=Provenance("TrainFlow/2")
    )
    assert not set(score_batch(bundle2, FRAME, "a").rows["prediction_id"]) & set(first)


def test_lots_change_nothing_and_progress_reaches_the_end(bundle, monkeypatch):
    seen, whole = [], score_batch(bundle, FRAME, "a").rows
    monkeypatch.setattr("fivefold.model.bundle.BATCH_ROWS", 7)
    small = score_batch(bundle, FRAME, "a", lambda done, of: seen.append((done, of))).rows
    pd.testing.assert_frame_equal(small, whole)
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


def test_bad_cells_of_one_lot_cost_their_rows_and_of_all_lots_the_table(bundle, monkeypatch):
    monkeypatch.setattr("fivefold.model.bundle.BATCH_ROWS", 10)
    bad = FRAME.astype({"age": "object"})
    bad.loc[10:19, "age"] = "x"
    table = score_batch(bundle, bad, "a")  # nothing in the second lot reads
    scored, tally = table.rows, table.tally
    assert scored["error"].ne("").tolist() == [10 <= row < 20 for row in range(40)]
    assert (tally.refused, tally.warning_counts) == (10, {"unreadable": {"age": 10}})
    with pytest.raises(
        Refused,
        match=r"column-type \[age\]: expected numeric values; "
        r"found no cell of that kind, such as 'x'",
    ):
        score_batch(bundle, FRAME.assign(age="x"), "a")


def test_no_rows_give_a_table_of_all_columns(bundle):
    table = score_batch(bundle, FRAME.head(0), "a")
    scored, tally = table.rows, table.tally
    assert (list(scored.columns)[:2], len(scored)) == (["prediction_id", "age"], 0)
    assert (tally.rows, tally.warning_counts) == (0, {})


def test_columns_of_our_names_are_kept_under_another(bundle):
    scored = score_batch(bundle, FRAME.assign(prediction_id="mine", probability=7), "a").rows
    assert scored["input_prediction_id"].unique().tolist() == ["mine"]
    assert scored["input_probability"].unique().tolist() == [7]


def test_a_table_of_other_columns_is_refused_with_the_diff(bundle):
    with pytest.raises(Refused, match=r"- town \(categorical\)"):
        score_batch(bundle, FRAME.rename(columns={"town": "city"}), "a")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\uff1d1",
        "-",
        "=cmd|' /C calc'!A0",
        "+49 30 1234",
        "\n=1",
        "\u00a0=1",
        "\ufeff=1",
        "\u200b@x",
        "\x0b=1",
        "+.e5",
        "-,123",
    ],
)
def test_formulas_are_disarmed(text):
    assert neutralise(pd.DataFrame({"a": [text]}))["a"].iloc[0] == "'" + text


@pytest.mark.parametrize(
    "text",
    [
        "-5",
        "+3.2",
        "-1,234.5",
        "1e5",
        "-1e-3",
        "-5%",
        "-.5",
        "+5.",
        "-1,234,567",
        "plain",
        "a=b",
        "",
        "3-4",
        "'=1",
    ],
)
def test_numbers_and_plain_texts_stay(text):
    assert neutralise(pd.DataFrame({"a": [text]}))["a"].iloc[0] == text


def test_names_are_disarmed_numbers_and_gaps_stay_and_the_table_reads_back():
    frame = pd.DataFrame(
        {
            "=x": [-1.5, 2.0],
            "b": pd.Series(["=1", None], dtype="str"),
            "c": pd.Categorical(["@a", "b"]),
        }
    )
    safe = neutralise(frame)
    assert list(safe.columns) == ["'=x", "b", "c"]
    assert safe["'=x"].tolist() == [-1.5, 2.0]
    assert safe["b"].isna().tolist() == [False, True]
    assert pd.read_csv(io.StringIO(safe.to_csv(index=False)))["c"].tolist() == ["'@a", "b"]
    assert frame["b"].iloc[0] == "=1"


def test_times_and_mixed_cells_are_disarmed_too():
    frame = pd.DataFrame(
        {
            "t": pd.to_timedelta([-1, 1], unit="D"),
            "o": pd.Series(["=1", -5], dtype="object"),
            "d": pd.Timestamp("2024-01-02"),
        }
    )
    safe = neutralise(frame)
    assert safe["t"].tolist() == ["'-1 days", "1 days"]
    assert safe["o"].tolist() == ["'=1", "-5"]
    assert safe["d"].equals(frame["d"])
    assert neutralise(frame.head(0)).shape == (0, 3)


def test_lift_is_cut_at_the_rows_there_are_and_leaves_out_those_without_a_probability():
    actual = lift_at(pd.Series([0.6, np.nan, 0.2, 0.4]), 2)
    assert asdict(actual) == {
        "count": 2,
        "expected_positives": pytest.approx(1.0),
        "rate": pytest.approx(0.5),
        "lift": pytest.approx(1.25),
    }
    assert lift_at(pd.Series([0.6, 0.2]), 9).count == 2
    assert lift_at(pd.Series([0.6, 0.2]), -1).count == 0
    assert lift_at(pd.Series([0.0, 0.0]), 1).lift is None


def test_histogram_and_top(monkeypatch):
    monkeypatch.setattr("fivefold.serving.batch.BINS", 10)
    assert [b["rows"] for b in histogram(pd.Series([0.0, 0.05, 0.5, 1.0, np.nan]))] == [
        2,
        0,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        1,
    ]
    scored = pd.DataFrame({"i": [0, 1, 2, 3], "probability": [0.5, 0.9, np.nan, 0.5]})
    assert top(scored, 3)["i"].tolist() == [1, 0, 3]
