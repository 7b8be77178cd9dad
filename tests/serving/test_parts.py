"""A source in parts: what is read, refused, scored and journalled is what the whole table gives."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import os
import random
import re
import sqlite3
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.findings import Refused, errors
from fivefold.data.reading import csv_files
from fivefold.data.reading import source as sources
from fivefold.data.reading.table_parts import TableParts, cut_table, read_part, remove_parts
from fivefold.journal import database
from fivefold.model.bundle import SCORE_COLUMNS, from_bytes
from fivefold.serving import batch, result_files, steps
from fivefold.serving.batch import ID, Tally, score_batch
from fivefold.serving.journal_rows import Recorder
from fivefold.serving.served_model import ServedModel
from tests.charts.test_charts import NASTY
from tests.flows.test_cards import cells, check  # puts flows/ on the path
from tests.support.models import bundle_of
from tests.support.running import ROOT, open_run, run_flow, run_id, run_until

from cards import score as cards_score  # isort: skip

FRAME = pd.DataFrame(
    {
        "age": np.arange(20.0, 60.0),
        "town": pd.Series(["Ulm", "Bonn"] * 20, dtype="str"),
        "since": pd.Series([f"2024-01-{1 + n % 28:02d}" for n in range(40)], dtype="str"),
    }
)
POOLS = {  # cells that decide how a column of text is read, and cells that do not
    "whole": ["1", "2", "-7", "+5", "0"],
    "fraction": ["1.5", "2.0", "1e3", "-0.0", ".5"],
    "zero": ["007", "-03"],
    "gap": ["", "NA", "NaN", "None", " "],
    "marker": ["?", "-", ".", "unknown"],
    "word": ["abc", "ünï", "quoted, comma", "line\nbreak", 'say "hi"', "$5", "True", "inf", "nAn"],
    "long": ["9007199254740993", "12345678901234567890"],
    "big": ["1e300"],
}


def pieces(source, folder, rows, query=None):
    """(what was cut, the parts as they are read)."""
    result, _ = cut_table(str(source), query, folder, rows)
    return result, [read_part(result, number) for number in range(len(result.row_counts))]


def refusal(work, *arguments, **options):
    """(what it gives, None) or (None, its errors)."""
    try:
        return work(*arguments, **options), None
    except Refused as refused:
        return None, errors(refused.findings)


def read_alike(source, folder, rows, query=None):
    """Hold that the parts together are what `sources.read` gives, or refused alike."""
    want, wrong = refusal(sources.read, source, query=query)
    got, wrong_too = refusal(pieces, source, folder, rows, query)
    if wrong or wrong_too:
        assert [(f.code, f.subject) for f in wrong_too or ()] == [
            (f.code, f.subject) for f in wrong or ()
        ]
        assert not folder.exists()
        return
    result, parts = got
    assert (result.md5, result.rows, result.source) == (want.md5, want.rows, want.source)
    assert max(result.row_counts) <= rows
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), want.frame, check_exact=True)


# --- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_parts_of_a_csv_read_like_the_whole_wherever_the_decisive_cells_stand(
    tmp_path, monkeypatch, seed
):
    rng = random.Random(seed)
    rows, columns = rng.randint(2, 60), {}
    for number in range(5):
        kinds = rng.sample(list(POOLS), rng.randint(1, 4))
        weights = [rng.choice([1, 1, 10, 40]) for _ in kinds]
        columns[f"c{number}"] = [
            rng.choice(POOLS[kind]) for kind in rng.choices(kinds, weights, k=rows)
        ]
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(
            file, delimiter=rng.choice(",;\t|"), lineterminator=rng.choice(["\n", "\r\n"])
        )
        writer.writerows([list(columns), *zip(*columns.values(), strict=True)])
    if rng.random() < 0.3:
        path.write_bytes(gzip.compress(path.read_bytes()))
    monkeypatch.setattr(csv_files, "STREAM_BLOCK_BYTES", rng.choice([64, 300, 1 << 20]))
    read_alike(path, tmp_path / "parts" / "1", rng.randint(1, 20))


TEXT = "name;größe\n" + "".join(f"Zoë {n};{n},5\n" for n in range(50))
PLAIN = "a,b\n" + "".join(f"{n},x\n" for n in range(30))
FILES = {
    "utf-8": TEXT.encode(),
    "mark": TEXT.encode("utf-8-sig"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-16 without mark": PLAIN.encode("utf-16-le"),
    "utf-32": TEXT.encode("utf-32"),
    "cp1252": TEXT.encode("cp1252"),
    "latin-1": TEXT.encode("latin-1") + b"\x81;1\n",
    "damaged": TEXT.encode() + b"\xff;2\n",
    "cut character": TEXT.encode() + "5;Zoë".encode()[:-1],
    "cut utf-16": TEXT.encode("utf-16") + b"\0",
    "nul": PLAIN.encode() + b"x\0,1\n",
    "gzip of two": gzip.compress(PLAIN.encode()) + gzip.compress(b"99,y\n"),
    "cut gzip": gzip.compress(random.Random(0).randbytes(9000).hex().encode())[:5000],
    "sep": b"sep=;\r\n" + TEXT.encode(),
    "open quote": PLAIN.encode() + b'1,"abc\ndef\n',
    "wide": PLAIN.encode() + b"1,2,3\n4\n",
    "header": b"a,b\n",
    "empty": b"",
    "one column": b"a\n1\n",
    "numbers": b"1,2\n3,4\n",
    "twice": b"a,a\n1,2\n",
    "no name": b"a,\n1,2\n",
    "json": b'{"a": 1}',
    "zip": b"PK\x03\x04xl/",
    "long row": b"a,b\n" + b"5,z\n" * 100 + b"1," + b"x" * 3000 + b"\n2,y\n",
    "stray quote": b'a,b\n5" pipe,1\n3" pipe,"x\ny"\n',
    "old Mac": PLAIN.replace("\n", "\r").encode(),
    "no end": PLAIN.encode()[:-1],
    "bomb": gzip.compress(b"a,b\n" + b"1,2\n" * 5_000_000),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_texts_of_any_encoding_and_damage_read_or_are_refused_like_the_whole(
    tmp_path, monkeypatch, name, block
):
    monkeypatch.setattr(csv_files, "STREAM_BLOCK_BYTES", block if name != "bomb" else 1 << 20)
    (tmp_path / "t.csv").write_bytes(FILES[name])
    read_alike(tmp_path / "t.csv", tmp_path / "parts" / "1", 7)


def test_rows_of_another_width_are_named_by_their_line_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_files, "STREAM_BLOCK_BYTES", 64)
    (tmp_path / "t.csv").write_text("a,b\n" + "1,2\n" * 40 + "1,2,3\n" + "1,2\n" * 40)
    with pytest.raises(
        Refused, match=r"row-width .* 1 rows of another width; row \(fields\): 42 \(3\)"
    ):
        pieces(tmp_path / "t.csv", tmp_path / "parts", 7)


def declared() -> pa.Table:
    return pa.table(
        {
            "gap late": pa.array([1, 2, 3, 4, 5, None], pa.int32()),
            "long": pa.array([1, None, 2, 3, 4, 2**60], pa.int64()),
            "unsigned": pa.array([1, 2, 3, 4, 5, 2**64 - 1], pa.uint64()),
            "text": ["", "NA", "", "a", "07", None],
            "flag": pa.array([None, None, None, None, True, False]),
            "level": pa.array(list("aabbab")).dictionary_encode(),
            "time": pa.array([None] * 5 + [3], pa.time32("s")),
            "list": pa.array([None, None, None, [1], [], None]),
            "whole": pa.array([1, 2, None, 3, 2**60, 2**61]).cast(pa.decimal128(38, 0)),
            "cents": pa.array([3.3] * 6).cast(pa.decimal128(9, 2)),
            "at": pa.array([0, 1, 2, 3, 4, None], pa.timestamp("s", "Europe/Zurich")),
            "none": pa.nulls(6),
        }
    )


@pytest.mark.parametrize("rows", [1, 2, 4, 100])
def test_declared_types_read_like_the_whole(tmp_path, rows):
    table, folder = declared(), tmp_path / "folder"
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=4)
    feather.write_feather(table, tmp_path / "t.feather", chunksize=4)
    for number, key in enumerate(("k=1", "k=__HIVE_DEFAULT_PARTITION__", "k=3")):
        (folder / key).mkdir(parents=True)
        part = table.slice(2 * number, 2)
        parquet.write_table(
            part if number else part.select(part.column_names[::-1]), folder / key / "p.parquet"
        )
    (folder / "_hidden.parquet").write_bytes(b"no")
    for name in ("t.parquet", "t.feather", "folder"):
        read_alike(tmp_path / name, tmp_path / "parts" / name, rows)


def test_row_labels_of_pandas_are_left_out_like_in_the_whole(tmp_path):
    frame = pd.DataFrame({"a": range(6), "b": list("xyzxyz")})
    (tmp_path / "folder").mkdir()
    for name, rows in (
        ("folder/1.parquet", frame.iloc[[3, 1, 2]]),
        ("folder/2.parquet", frame),
        ("t.parquet", frame.iloc[[5, 0, 3]]),
        ("named.parquet", frame.iloc[[5, 0, 3]].rename_axis("who")),
    ):
        rows.to_parquet(tmp_path / name)
    feather.write_feather(pa.Table.from_pandas(frame.iloc[[4, 2, 5]]), tmp_path / "t.feather")
    for name, columns in (
        ("folder", ["a", "b"]),
        ("t.parquet", ["a", "b"]),
        ("t.feather", ["a", "b"]),
        ("named.parquet", ["a", "b", "who"]),
    ):
        read_alike(tmp_path / name, tmp_path / "parts" / name, 4)
        result, actual = cut_table(str(tmp_path / name), None, tmp_path / "more" / name, 4)
        assert result.columns == columns
        assert [f.code for f in actual] == ([] if "who" in columns else ["index-dropped"])


@pytest.mark.parametrize(
    "folders",
    [
        ["k=01", "k=11"],
        ["k=1", "k=US"],
        ["k=1", "k=2"],
        ["k=1", "k=__HIVE_DEFAULT_PARTITION__"],
        ["k=1", "other"],
        ["k=", "k=x"],
    ],
)
def test_keys_and_dictionaries_of_parts_read_like_the_whole(tmp_path, folders):
    words = pa.array(["x", None, "y"])
    for name, column in zip(folders, (words.dictionary_encode(), words), strict=True):
        (tmp_path / "t" / name).mkdir(parents=True)
        parquet.write_table(pa.table({"a": column}), tmp_path / "t" / name / "p.parquet")
    read_alike(tmp_path / "t", tmp_path / "parts", 2)


def test_folders_and_files_that_cannot_be_read_are_refused_alike(tmp_path):
    for name in ("empty", "types", "names"):
        (tmp_path / name).mkdir()
    for name, other in (("types", pa.table({"a": ["x"]})), ("names", pa.table({"b": [1]}))):
        parquet.write_table(pa.table({"a": [1]}), tmp_path / name / "1.parquet")
        parquet.write_table(other, tmp_path / name / "2.parquet")
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    whole = (tmp_path / "none.parquet").read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-9])
    for name in ("empty", "types", "names", "none.parquet", "cut.parquet", "absent.csv"):
        read_alike(tmp_path / name, tmp_path / "parts", 5)


def test_databases_are_read_whole_and_cut(tmp_path):
    with sqlite3.connect(tmp_path / "d.db") as connection:
        pd.DataFrame({"n": [1, None, 3], "code": ["007", "NA", "x"]}).to_sql(
            "t", connection, index=False
        )
    read_alike(f"sqlite:///{tmp_path}/d.db", tmp_path / "parts", 2, query="t")
    result = [
        cut_table(
            f"sqlite:///{tmp_path}/d.db", f"select * from t order by rowid {way}", tmp_path / way, 2
        )[0]
        for way in ("asc", "desc")
    ]
    assert result[0].md5 == result[1].md5  # the same rows
    assert (
        result[0].key != result[1].key
    )  # but not the same first row: its id must not be that of another case
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    with pytest.raises(Refused, match="query-unused"):
        cut_table(str(tmp_path / "t.csv"), "SELECT 1", tmp_path / "parts2")


def test_memory_does_not_grow_with_the_file(tmp_path):
    script = (
        "import re, sys; from pathlib import Path\n"
        "from fivefold.data.reading.table_parts import cut_table\n"
        "cut_table(sys.argv[1], None, Path(sys.argv[2]), 10_000)\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    line, peaks = ",".join(["some words of a cell"] * 20) + "\n", []
    for rows in (100_000, 200_000):  # 42 and 84 MB
        (tmp_path / "t.csv").write_text(",".join(f"c{n}" for n in range(20)) + "\n" + line * rows)
        done = subprocess.run(
            [sys.executable, "-c", script, tmp_path / "t.csv", tmp_path / "parts" / str(rows)],
            cwd=ROOT,
            text=True,
            check=True,
            capture_output=True,
        )
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] < peaks[0] + 20, peaks


# --- scoring -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle():
    return bundle_of(FRAME, lambda x: x["age"] / 100)


def scored_parts(bundle, source, folder, rows):
    result, _ = cut_table(str(source), None, folder, rows)
    actual = batch.check_parts(result, bundle)
    return (
        result,
        actual,
        [
            batch.score_part(bundle, result, n, read_part(result, n))
            for n in range(len(result.row_counts))
        ],
    )


def test_parts_that_lack_an_optional_column_are_scored_with_a_warning_in_each_row(tmp_path):
    loose = bundle_of(FRAME, lambda x: x["age"].fillna(50.0) / 100, optional_columns=("age",))
    FRAME.drop(columns="age").to_csv(tmp_path / "t.csv", index=False)
    _, findings, parts = scored_parts(loose, tmp_path / "t.csv", tmp_path / "parts", 25)
    assert [f.code for f in findings] == ["column-absent"]
    rows = pd.concat([part.rows for part in parts])
    assert set(rows["probability"]) == {0.5}
    assert rows["warnings"].str.startswith("age: no such column, taken as missing").all()
    assert Tally.merge(part.tally for part in parts).warning_counts["absent"] == {"age": 40}


def awkward() -> pd.DataFrame:
    """Rows with all warnings; `age` is unreadable in rows 10 to 19, `since` in 20 to 29."""
    frame = FRAME.astype("object").assign(note='said "a,\nb"', probability=7, prediction_id="x")
    frame.loc[10:19, "age"] = [f"old {n}" for n in range(10)]
    frame.loc[20:29, "since"] = "soon"
    frame.loc[3:5, "town"] = [None, "Rome", " Ulm "]
    frame.loc[33, "age"] = 99
    return frame


@pytest.mark.parametrize("rows", [1, 7, 10, 39, 40, 1000])
def test_scored_parts_are_the_whole_scored_at_once(bundle, tmp_path, rows):
    awkward().to_csv(tmp_path / "t.csv", index=False)
    read = sources.read(tmp_path / "t.csv")
    whole = score_batch(bundle, read.frame, read.md5)
    want, tally = whole.rows, asdict(whole.tally)
    result, actual, parts = scored_parts(bundle, tmp_path / "t.csv", tmp_path / "parts", rows)
    pd.testing.assert_frame_equal(
        pd.concat([part.rows for part in parts], ignore_index=True), want, check_exact=True
    )
    merged = Tally.merge(part.tally for part in parts)
    got = asdict(merged)
    assert {key: got[key] for key in tally if key != "mean_probability"} == {
        key: value for key, value in tally.items() if key != "mean_probability"
    }
    assert merged.mean_probability == pytest.approx(tally["mean_probability"])
    assert sum(b["rows"] for b in merged.bins) == tally["scored"]
    assert merged.reasons["since: 'soon' is not a date, such as 2024-12-31"] == 10
    assert actual == whole.findings
    assert TableParts.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert Tally.from_dict(json.loads(json.dumps(merged.to_dict()))) == merged


@pytest.mark.parametrize(
    ("change", "refused_not"),
    [
        ({"age": "x"}, False),
        ({"town": None, "age": [None] * 35 + ["x"] * 5}, False),
        ({"drop": ["since"]}, False),
        ({"drop": ["since"], "age": "x"}, False),
        ({"age": [None] * 36 + ["x"] * 4}, True),
        ({"since": None}, True),
        ({"age": ["x"] * 39 + ["5"]}, True),
    ],
)
def test_tables_are_refused_as_a_whole_before_anything_is_scored(
    bundle, tmp_path, change, refused_not
):
    frame = (
        FRAME.astype("object")
        .drop(columns=change.get("drop", []))
        .assign(**{name: value for name, value in change.items() if name != "drop"})
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    _, wrong = refusal(bundle.score, sources.read(tmp_path / "t.csv").frame)
    assert refusal(scored_parts, bundle, tmp_path / "t.csv", tmp_path / "parts", 7)[1] == wrong
    assert (wrong is None) == refused_not


@pytest.mark.parametrize("hidden", [(), ("town", "age")])
def test_lines_for_the_journal_are_those_of_records(tmp_path, hidden):
    frame = FRAME.assign(
        n=range(40), seen=pd.Timestamp("2024-02-01 10:00:00.5"), text='ä "b"\n\u2028'
    )
    bundle = bundle_of(
        frame, lambda x: x["age"] / 100, id_columns=("town", "n"), pseudonymised_columns=hidden
    )
    rows = (
        awkward()
        .drop(columns=["probability", "prediction_id"])
        .assign(
            n=range(40),
            seen=[pd.Timestamp("2024-02-01"), None] * 20,
            text=frame["text"],
            x=[0.1, -0.0, np.inf, None] * 10,
        )
    )
    rows["age"] = rows["age"].astype("str")
    parquet.write_table(pa.Table.from_pandas(rows), tmp_path / "t.parquet")
    result, _ = cut_table(str(tmp_path / "t.parquet"), None, tmp_path / "parts")
    batch.check_parts(result, bundle)
    read = read_part(result, 0)
    scored = batch.score_part(bundle, result, 0, read)
    recorder, at = Recorder(ServedModel(bundle, "sha", "TrainFlow/1"), "batch", b"k"), utc_now()
    for part in (
        slice(0, 40),
        slice(10, 20),
        slice(30, 40),
        slice(0, 0),
    ):  # mixed, all refused, none refused, no rows
        rows, ids = read.iloc[part].to_dict("records"), scored.ids[part]
        assessment = scored.assessment.part(part.start, part.stop)
        want = recorder.rows(rows, assessment, ids, at)
        assert recorder.table(read.iloc[part], assessment, ids, at) == want


def test_a_task_that_is_repeated_scores_only_what_is_not_there_yet(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "from_bytes", lambda blob, digest: bundle)
    monkeypatch.setenv("FIVEFOLD_JOURNAL", f"sqlite:///{tmp_path}/j.db")
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    FRAME.to_csv(tmp_path / "t.csv", index=False)
    result, _ = steps.prepare(str(tmp_path / "t.csv"), "", tmp_path / "out.csv", "1", 15, bundle)
    assert [len(group) for group in batch.groups(len(result["parts"]), 2)] == [2, 1]
    task = (result, [0, 1, 2], b"", "sha", None, str(tmp_path / "out.csv"), True)
    real, calls = result_files.write, []

    def dies(scored, out):
        calls.append(out.name)
        if len(calls) == 2:
            raise OSError("No space left on device")
        real(scored, out)

    monkeypatch.setattr(result_files, "write", dies)
    with pytest.raises(OSError, match="No space"):
        steps.score(*task)
    assert not (tmp_path / "out.csv").exists()
    tallies = steps.score(*task)
    assert calls == ["scored-00000.csv", "scored-00001.csv", "scored-00001.csv", "scored-00002.csv"]
    assert steps.gather(result, tallies, str(tmp_path / "out.csv")).rows == 40
    engine = database.open_journal(settings.journal_url())
    kept = database.read_predictions(engine, "left")
    engine.dispose()
    out = pd.read_csv(tmp_path / "out.csv")
    assert sorted(kept["id"]) == sorted(out[ID])  # once each, though part 1 was recorded twice
    assert out["age"].tolist() == FRAME["age"].tolist()
    remove_parts(tmp_path / "out.csv.parts" / "1")
    assert not (tmp_path / "out.csv.parts").exists()
    with pytest.raises(Refused, match=r"parts-gone.*start again"):
        steps.score(*task)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_results_are_joined_in_order_or_not_at_all(tmp_path, suffix):
    frames = [
        pd.DataFrame({'a "x", \n y': [n, n + 1], "text": pd.Series(["ä\nb", None], dtype="str")})
        for n in (0, 2)
    ]
    paths = [tmp_path / f"{n}{suffix}" for n in range(2)]
    for frame, path in zip(frames, paths, strict=True):
        result_files.write(frame, path)
    out, whole = tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    result_files.join(paths, out)
    result_files.write(pd.concat(frames, ignore_index=True), whole)
    if suffix == ".csv":
        assert out.read_bytes() == whole.read_bytes()
    else:
        pd.testing.assert_frame_equal(pd.read_parquet(out), pd.read_parquet(whole))
    before = out.read_bytes()
    paths[1].unlink()
    with pytest.raises(FileNotFoundError):
        result_files.join(paths, out)
    assert out.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == sorted([paths[0].name, out.name, whole.name])


def test_the_card_of_a_scored_table_is_safe_and_complete(bundle, tmp_path):
    frame = awkward()
    frame.loc[10, "age"] = frame.loc[4, "town"] = NASTY
    frame.to_csv(tmp_path / "t.csv", index=False)
    tally = Tally.merge(
        part.tally for part in scored_parts(bundle, tmp_path / "t.csv", tmp_path / "parts", 7)[2]
    )
    parts = cards_score.scored_components(tally, {"source": NASTY, "model": "TrainFlow/1"}, 0.5)
    check(parts)
    text = " | ".join(cells(parts))
    for result in (
        "will stay",
        "cannot be read: the row is not scored",
        "not seen in training",
        "since: 'soon' is not a date, such as 2024-12-31",
    ):
        assert result in text
    nothing = Tally.merge([])
    assert nothing.to_dict() == {
        "rows": 0,
        "scored": 0,
        "refused": 0,
        "with_warnings": 0,
        "decisions": {},
        "mean_probability": None,
        "doubts": {},
        "bins": [],
        "reasons": {},
        "spooled": 0,
        "explained": 0,
    }
    check(cards_score.scored_components(nothing, {}, 0.5))


# --- the flow ------------------------------------------------------------------------------------


def lines_of(store):
    with sqlite3.connect(store / "journal.db") as connection:
        return np.array(
            [
                connection.execute(
                    f"SELECT count(*) FROM {table} WHERE source = 'batch'"
                ).fetchone()[0]
                for table in ("predictions", "rejects")
            ]
        )


def new_rows(small_csv, path):
    """60 rows, two of them unreadable, each with a quoted line break."""
    frame = (
        pd.read_csv(small_csv, dtype=str, keep_default_na=False)
        .head(60)
        .assign(note='two\nlines, and "quotes"')
    )
    frame.loc[[1, 55], "age"] = ["old", "young"]
    frame.to_csv(path, index=False)


@pytest.mark.slow
def test_shards_of_a_flow_are_the_table_scored_at_once_and_are_journalled_once(
    tiny, store, small_csv, tmp_path
):
    new_rows(small_csv, tmp_path / "new.csv")
    (tmp_path / "new.csv.gz").write_bytes(gzip.compress((tmp_path / "new.csv").read_bytes()))
    read, data, before = sources.read(tmp_path / "new.csv.gz"), tiny[0].data, lines_of(store)
    want = score_batch(from_bytes(data.bundle, data.bundle_sha256), read.frame, read.md5).rows
    want.to_csv(tmp_path / "want.csv", index=False)
    options = ["--data", tmp_path / "new.csv.gz", "--shard-rows", 13, "--run-id", tiny[0].id]
    one_at_a_time = {"METAFLOW_RUN_MAX_WORKERS": "1"}
    for name in ("out.csv", "out.parquet"):
        done = run_flow(
            store, "score.py", "run", *options, "--out", tmp_path / name, env=one_at_a_time
        )
        assert done.returncode == 0, done.stdout
        assert "58 of 60 rows scored" in done.stdout
        back = pd.read_csv if name.endswith("csv") else pd.read_parquet
        pd.testing.assert_frame_equal(
            back(tmp_path / name),
            back(tmp_path / "want.csv") if back is pd.read_csv else want,
            check_exact=False,
            rtol=1e-12,
        )  # BLAS adds up by the size of the matrix
    assert sorted(os.listdir(tmp_path)) == [
        "new.csv",
        "new.csv.gz",
        "out.csv",
        "out.parquet",
        "want.csv",
    ]
    assert (lines_of(store) - before).tolist() == [58, 2]
    run = open_run(store, run_id(done.stdout), "ScoreFlow")
    assert run["start"].task.data.shards == [[0, 1, 2], [3, 4]]
    assert len(list(run["score"])) == 2
    html = next(
        store.glob(f".metaflow/mf.cards/ScoreFlow/runs/{run.id}/steps/join/tasks/*/cards/*.html")
    ).read_text()
    content = base64.b64decode(re.search(r'__MF_DATA__\[".*?"\] = "([^"]+)"', html)[1]).decode()
    assert "young" in content
    assert tiny[0].pathspec in content


@pytest.mark.slow
def test_a_killed_run_leaves_nothing_half_and_resumes_with_the_promoted_model(
    tiny, store, small_csv, tmp_path
):
    new_rows(small_csv, tmp_path / "new.csv")
    # other tests train other problems in this store
    done = run_flow(store, "promote.py", "promote", tiny[0].id)
    assert done.returncode == 0, done.stdout
    out = tmp_path / "out.csv"
    files = ["--data", tmp_path / "new.csv", "--out", out]
    options = [*files, "--shard-rows", 20, "--record", "False"]
    output = run_until(store, r"rows \d+ to \d+: ", "score.py", "run", *options, whole=True)
    assert not out.exists()
    assert (tmp_path / "out.csv.parts").exists(), output
    assert os.listdir(tmp_path / "out.csv.parts") == [run_id(output)]
    assert list((tmp_path / "out.csv.parts").rglob("scored-*.csv"))
    done = run_flow(store, "score.py", "resume", "--origin-run-id", run_id(output))
    assert done.returncode == 0, done.stdout
    assert "(promoted " in done.stdout
    scored = pd.read_csv(out)
    assert scored["customer_id"].tolist() == pd.read_csv(small_csv)["customer_id"].head(60).tolist()
    assert scored.columns[-4:].tolist() == SCORE_COLUMNS
    assert not (tmp_path / "out.csv.parts").exists()
