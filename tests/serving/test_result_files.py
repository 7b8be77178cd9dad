"""A table in, the same table with scores out; files written whole or not at all."""

import os

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier

from fivefold.core.findings import Refused
from fivefold.core.schema import Column, Schema
from fivefold.model.bundle import SCORE_COLUMNS, Bundle
from fivefold.model.metadata import Metadata, Outcomes
from fivefold.serving.batch import ID, Tally, score_batch
from fivefold.serving.result_files import WRITERS, check_out, join, write

SCHEMA = Schema(
    (
        Column("age", "numeric", low=18.0, high=90.0),
        Column("city", "categorical", distinct=2, levels=("Bern", "Rome")),
    ),
    "left",
    "no",
    "yes",
)


@pytest.fixture(scope="module")
def bundle():
    model = DummyClassifier(strategy="prior").fit(np.zeros((4, 2)), [0, 0, 0, 1])
    return Bundle(
        model,
        SCHEMA,
        Metadata(outcomes=Outcomes("stays", "leaves")),
    )


def scored_rows(bundle, frame):
    return score_batch(bundle, frame, "md5").rows


def table(**columns):
    return pd.DataFrame({"age": [30, 40, 50], "city": ["Bern", "Rome", "Bern"], **columns})


# --- tables --------------------------------------------------------------------------------------


def test_all_columns_and_rows_are_kept_in_order_beside_the_scores(bundle):
    frame = table(note=["a", "b", "c"], left=["no", "yes", "no"]).set_axis([9, 9, 4])
    scored = score_batch(bundle, frame, "md5")
    result, findings = scored.rows, scored.findings
    assert result.columns.tolist() == [ID, "age", "city", "note", "left", *SCORE_COLUMNS]
    assert result[frame.columns].equals(frame.reset_index(drop=True))
    assert result["probability"].tolist() == pytest.approx([0.25] * 3)
    assert result["decision"].tolist() == ["stays"] * 3
    assert [f.code for f in findings] == ["column-extra"]
    assert "note" in findings[0].found
    assert "left" not in findings[0].found


def test_reordered_columns_are_a_finding(bundle):
    assert [f.code for f in score_batch(bundle, table()[["city", "age"]], "md5").findings] == [
        "column-order"
    ]
    assert score_batch(bundle, table(), "md5").findings == []


def test_input_columns_of_our_names_are_kept(bundle):
    result = scored_rows(bundle, table(probability=[7, 8, 9], error=["x", "y", "z"]))
    assert result.columns.tolist() == [
        ID,
        "age",
        "city",
        "input_probability",
        "input_error",
        *SCORE_COLUMNS,
    ]
    assert result["input_probability"].tolist() == [7, 8, 9]
    assert result["error"].tolist() == [""] * 3


def test_a_result_can_be_scored_again_and_again(bundle, tmp_path):
    frame = table()
    for _ in range(4):
        frame = scored_rows(bundle, frame)
    assert frame.columns.is_unique
    assert [name for name in frame.columns if ID not in name][:2] == ["age", "city"]
    assert len(frame.columns) == 2 + 4 * 5
    assert frame.columns.tolist()[-4:] == SCORE_COLUMNS
    write(frame, tmp_path / "again.parquet")


def test_names_that_are_no_texts_become_texts(bundle):
    numbered = Bundle(
        bundle.pipeline,
        Schema((Column("0", "numeric"), Column("1", "categorical")), "y", "0", "1"),
        bundle.metadata,
    )
    result = scored_rows(numbered, table().set_axis([0, 1], axis=1))
    assert result.columns.tolist() == [ID, "0", "1", *SCORE_COLUMNS]
    assert result["error"].tolist() == [""] * 3


def test_a_table_that_does_not_fit_is_refused(bundle):
    with pytest.raises(Refused, match=r"column-missing \[city\]"):
        scored_rows(bundle, table().drop(columns="city"))
    with pytest.raises(Refused, match=r"column-repeated \[age\]"):
        scored_rows(bundle, pd.concat([table(), table()[["age"]]], axis=1))


def test_the_tally_worked_by_hand(bundle):
    tally = score_batch(bundle, table(age=[30, "x", 99]), "md5").tally
    actual = tally.to_dict()
    assert {name: actual[name] for name in actual if name not in ("bins", "doubts", "reasons")} == {
        "rows": 3,
        "scored": 2,
        "refused": 1,
        "with_warnings": 1,
        "decisions": {"stays": 2},
        "mean_probability": pytest.approx(0.25),
        "spooled": 0,
        "explained": 0,
    }
    assert tally.warning_counts == {"unreadable": {"age": 1}, "outside": {"age": 1}}
    assert tally.reasons == {"age: 'x' is not a number": 1}
    assert [line["rows"] for line in tally.bins] == [0] * 5 + [2] + [0] * 14
    nothing = score_batch(bundle, table().head(0), "md5").tally
    assert nothing == Tally(
        rows=0,
        scored=0,
        refused=0,
        with_warnings=0,
        decisions={},
        mean_probability=None,
        warning_counts={},
        bins=[{**line, "rows": 0} for line in tally.bins],
        reasons={},
    )


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "back"), [(".csv", pd.read_csv), (".parquet", pd.read_parquet)])
def test_what_is_written_reads_back(bundle, tmp_path, ending, back):
    out = check_out(str(tmp_path / f"scored{ending}"))
    scored = scored_rows(bundle, table().set_axis([5, 6, 7]))
    write(scored, out)
    result = back(out)
    assert result.columns.tolist() == scored.columns.tolist()
    assert result["probability"].tolist() == scored["probability"].tolist()
    assert os.listdir(tmp_path) == [f"scored{ending}"]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, ending):
    out = tmp_path / f"scored{ending}"
    write(table(), out)
    before = out.read_bytes()

    def broken(frame, path):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setitem(WRITERS, ending, broken)
    with pytest.raises(OSError, match="No space left on device"):
        write(table(age=[1, 2, 3]), out)
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == [out.name]


def test_the_new_file_appears_at_once(tmp_path, monkeypatch):
    out, seen = tmp_path / "scored.csv", []
    real = WRITERS[".csv"]
    monkeypatch.setitem(
        WRITERS,
        ".csv",
        lambda frame, path: (real(frame, path), seen.append((path.name, out.exists()))),
    )
    write(table(), out)
    assert seen == [(f".scored.csv.part{os.getpid()}", False)]
    assert out.exists()


def test_an_unknown_ending_and_a_missing_folder_are_refused_together(tmp_path):
    with pytest.raises(
        Refused,
        match=r"(?s)2 problems.*out-format.*\.csv or \.parquet.*'\.xlsx'.*"
        r"out-folder.*no such folder",
    ):
        check_out(str(tmp_path / "nowhere" / "scored.xlsx"))
    with pytest.raises(Refused, match=r"1 problem\n.*out-folder"):
        check_out(str(tmp_path / "nowhere" / "scored.csv"))
    with pytest.raises(Refused, match=r"1 problem\n.*out-format.*the ending ''"):
        check_out(str(tmp_path / "scored"))
    assert check_out(str(tmp_path / "scored.csv")) == tmp_path / "scored.csv"


def test_a_folder_instead_of_the_output_is_refused(tmp_path):
    (tmp_path / "scored.csv").mkdir()
    with pytest.raises(Refused, match=r"out-folder.*a folder of that name"):
        check_out(str(tmp_path / "scored.csv"))


def test_a_csv_file_holds_no_text_that_a_spreadsheet_runs_and_parquet_all_as_it_came(tmp_path):
    frame = pd.DataFrame({"=name": ["=1+1", "-5", None], "n": [1.5, None, -2.0]})
    for suffix in (".csv", ".parquet"):
        write(frame, tmp_path / f"part{suffix}")
        join([tmp_path / f"part{suffix}"], tmp_path / f"out{suffix}")
    text = (tmp_path / "out.csv").read_text()
    assert text == "'=name,n\n'=1+1,1.5\n-5,\n,-2.0\n"
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out.parquet"), frame)
