"""Sources: every format and refusal, on real files, a web server, SQLite and PostgreSQL."""

from __future__ import annotations

import datetime as dt
import gzip
import hashlib
import http.server
import io
import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fivefold.core.findings import Refused
from fivefold.core.urls import mask
from fivefold.data.reading import csv_files, database, download
from fivefold.data.reading.read_log import ReadLog
from fivefold.data.reading.source import Dataset, content_md5, read
from fivefold.data.reading.table_parts import cut_table, read_part
from tests.support.databases import postgresql

CHURN = "id,plan,fee,left\n1,basic,9.5,no\n2,pro,20,yes\n3,basic,,no\n"


def written(folder: Path, content: str | bytes, name: str = "t.csv") -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def cells(data: Dataset) -> list[list[object]]:
    """Rows with None for missing, so that they compare."""
    return [
        [None if pd.isna(v) else v for v in row]
        for row in data.frame.astype(object).to_numpy().tolist()
    ]


def codes(data: Dataset) -> dict[str, str]:
    return {f.code: f.severity for f in data.findings}


# CSV that can be read


def test_csv_facts(tmp_path: Path) -> None:
    data = read(written(tmp_path, CHURN))
    assert cells(data) == [
        [1, "basic", 9.5, "no"],
        [2, "pro", 20.0, "yes"],
        [3, "basic", None, "no"],
    ]
    assert data.frame.dtypes.astype(str).tolist() == ["int64", "str", "float64", "str"]
    assert data.md5 == hashlib.md5(CHURN.encode()).hexdigest()
    assert (data.rows, data.source) == (3, str(tmp_path / "t.csv"))
    assert data.details.to_dict() == {
        "format": "csv",
        "bytes": len(CHURN),
        "compression": None,
        "encoding": "ascii",
        "delimiter": ",",
        "rows": 3,
        "columns": 4,
        "missing_markers": {"": 1},
    }
    assert codes(data) == {"encoding": "passed", "delimiter": "passed", "missing-empty": "passed"}


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,x\n", ","),
        ("a;b\n1,5;x\n2,5;y\n", ";"),
        ("a\tb c\n1\tx, y\n", "\t"),
        ("a|b\n1|x\n", "|"),
        ('a,b\n1,"x;y;z"\n2,"p;q;r"\n', ","),
        ('"a,1";b\n"x\ny,z";2\n', ";"),
        ("a,b\r\n1,x\r\n", ","),
        ("a,b\r1,x\r", ","),
        ("\n\na;b\n\n1;2\n", ";"),
        ("sep=;\r\na;b\r\n1;2\r\n", ";"),
    ],
)
def test_delimiter(tmp_path: Path, text: str, delimiter: str) -> None:
    data = read(written(tmp_path, text))
    assert data.details.delimiter == delimiter
    assert data.details.columns == 2


@pytest.mark.parametrize(
    ("encoding", "reported", "code", "severity"),
    [
        ("utf-8", "utf-8", "encoding", "passed"),
        ("utf-8-sig", "utf-8-sig", "encoding", "passed"),
        ("utf-16", "utf-16", "encoding", "passed"),
        ("utf-16-le", "utf-16-le", "encoding", "passed"),
        ("utf-16-be", "utf-16-be", "encoding", "passed"),
        ("utf-32", "utf-32", "encoding", "passed"),
        ("cp1252", "cp1252", "encoding-guessed", "warning"),
    ],
)
def test_encoding(tmp_path: Path, encoding: str, reported: str, code: str, severity: str) -> None:
    data = read(written(tmp_path, "name,straße\nJosé,Zürich\nÀ,b\n".encode(encoding)))
    assert cells(data) == [["José", "Zürich"], ["À", "b"]]
    assert data.frame.columns.tolist() == ["name", "straße"]
    assert data.details.encoding == reported
    assert codes(data)[code] == severity


def test_encoding_latin_1_where_windows_1252_has_no_character_and_damaged_utf_8(
    tmp_path: Path,
) -> None:
    assert read(written(tmp_path, b"a,b\n\x81\xe9,1\n")).details.encoding == "latin-1"
    data = read(written(tmp_path, "a,b\nééé,1\n".encode() + b"\xc3,2\n"))
    assert cells(data) == [["ééé", 1], ["\ufffd", 2]]
    assert [f.message for f in data.findings if f.code == "encoding-damaged"] == [
        "encoding-damaged [t.csv]: expected whole characters; "
        "found 1 broken characters in UTF-8 text, the first in "
        "line 3; replaced by \ufffd; to do: export the file again, as UTF-8"
    ]


CITIES = {
    "cp1251": ("город", ["Москва", "Санкт-Петербург", "Казань", "Нижний Новгород"]),
    "koi8_r": ("город", ["Москва", "Санкт-Петербург", "Казань", "Нижний Новгород"]),
    "cp1253": ("πόλη", ["Αθήνα", "Θεσσαλονίκη", "Πάτρα", "Ηράκλειο"]),
    "cp932": ("都市", ["東京", "大阪市", "名古屋", "さいたま市"]),
    "euc_jp": ("都市", ["東京", "大阪市", "名古屋", "さいたま市"]),
    "gb18030": ("城市", ["北京市", "上海市", "广州市", "深圳市"]),
    "cp949": ("도시", ["서울특별시", "부산광역시", "대구", "인천"]),
}


def cities(encoding: str, rows: int) -> bytes:
    name, words = CITIES[encoding]
    lines = [f"id,{name},note", *(f"{n},{words[n % 4]},plain text" for n in range(rows))]
    return ("\n".join(lines) + "\n").encode(encoding)


@pytest.mark.parametrize(
    ("encoding", "rows"),
    [
        *((encoding, rows) for encoding in CITIES for rows in (40, 100_000)),
        *((encoding, 4) for encoding in CITIES if encoding != "euc_jp"),  # like cp949 if short
    ],
)
def test_encodings_of_other_scripts(tmp_path: Path, encoding: str, rows: int) -> None:
    path = written(tmp_path, cities(encoding, rows))
    data = read(path)
    name, words = CITIES[encoding]
    assert data.frame[name].head(4).tolist() == words
    assert data.details.encoding == encoding
    actual = [f.found for f in data.findings if f.code == "encoding-guessed"]
    assert len(actual) == 1
    start = f"bytes that are not UTF-8 (first in line 1); read as {encoding}: 100% of its words fit"
    assert actual[0].startswith(start)
    parts, _ = cut_table(path, None, tmp_path / "parts", 60_000)
    frames = [read_part(parts, number) for number in range(len(parts.row_counts))]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), data.frame)


@pytest.mark.parametrize("encoding", ["cp1251", "cp932"])
def test_an_encoding_that_shows_late_in_a_large_file(tmp_path: Path, encoding: str) -> None:
    words = CITIES[encoding][1]
    plain = "id,city\n" + "1,plain text\n" * 150_000
    late = "".join(f"2,{word}\n" for word in words)
    data = read(written(tmp_path, (plain + late).encode(encoding)))
    assert data.frame["city"].tail(4).tolist() == words
    assert data.details.encoding == encoding


@pytest.mark.parametrize(
    "words",
    [
        ["Müller", "Köln", "Straße", "Gießen"],
        ["Hélène", "Besançon", "à", "Noël"],
        ["Muñoz", "Málaga", "Peña", "¿qué?"],
        ["João", "São Paulo", "Conceição", "É"],
        ["Åsa", "Malmö", "ö", "Västerås"],
        ["5 €", "10 €", "£ 3", "20 °C"],
        ["ünï", "x", "y", "z"],
    ],
)
@pytest.mark.parametrize("repeats", [1, 50, 20_000])
def test_western_text_stays_windows_1252(tmp_path: Path, words: list[str], repeats: int) -> None:
    text = "word,n\n" + "".join(f"{word},1\n" for word in words) * repeats
    data = read(written(tmp_path, text.encode("cp1252")))
    assert data.details.encoding == "cp1252"
    assert data.frame["word"].head(4).tolist() == words


def test_gzip(tmp_path: Path) -> None:
    content = gzip.compress(CHURN.encode())
    data = read(written(tmp_path, content, "t.csv.gz"))
    assert (data.rows, data.details.compression) == (3, "gzip")
    assert data.md5 == hashlib.md5(content).hexdigest()


def test_missing_markers_in_words_and_in_numbers(tmp_path: Path) -> None:
    data = read(written(tmp_path, "w,n,d\nNA,1,-\nNone,?,a\n  ,2.5,?\nx,missing,b\nnone,N/A,c\n"))
    assert cells(data) == [
        [None, 1.0, "-"],
        [None, None, "a"],
        [None, 2.5, "?"],
        ["x", None, "b"],
        ["none", None, "c"],
    ]
    assert data.details.missing_markers == {
        "": 1,
        "NA": 1,
        "None": 1,
        "?": 1,
        "missing": 1,
        "N/A": 1,
    }
    actual = {f.found: f.severity for f in data.findings if f.code.startswith("missing")}
    assert actual == {
        "1 cells of w are empty; read as missing": "passed",
        "'NA' in 1 cells of w; read as missing": "warning",
        "'None' in 1 cells of w; read as missing": "warning",
        "'?' in 1 cells of n; read as missing": "passed",
        "'missing' in 1 cells of n; read as missing": "passed",
        "'N/A' in 1 cells of n; read as missing": "passed",
    }


def test_sentinels_are_reported_and_kept(tmp_path: Path) -> None:
    data = read(written(tmp_path, "age,income,code\n20,-999,998\n999,5,999\n40,-3,997\n"))
    assert data.frame["age"].tolist() == [20, 999, 40]
    assert [(f.subject, f.found) for f in data.findings if f.code == "sentinel-suspected"] == [
        ("age", "999 in 1 cells, the others from 20 to 40"),
        ("income", "-999 in 1 cells, the others from -3 to 5"),
    ]


def test_what_must_stay_text(tmp_path: Path) -> None:
    text = (
        "zip,big,bigger,gap,money,percent,hex,flag,mixed,comma\n"
        '00123,9007199254740993,9223372036854775808,9007199254740993,"$1,200",5%,0x1F,True,1,"1,5"\n'
        '10115,1,1,,$3,6%,2,False,b,"2,5"\n'
    )
    data = read(written(tmp_path, text))
    assert cells(data) == [
        [
            "00123",
            9007199254740993,
            "9223372036854775808",
            "9007199254740993",
            "$1,200",
            "5%",
            "0x1F",
            "True",
            "1",
            "1,5",
        ],
        ["10115", 1, "1", None, "$3", "6%", "2", "False", "b", "2,5"],
    ]
    assert data.frame.dtypes.astype(str).to_dict()["big"] == "int64"
    assert {(f.code, f.subject) for f in data.findings} >= {
        ("leading-zeros", "zip"),
        ("long-integers", "bigger"),
        ("long-integers", "gap"),
    }


def test_what_becomes_a_number(tmp_path: Path) -> None:
    data = read(written(tmp_path, "a,b,c,d,e\n+1,1e3,0,inf,\n-2.5,.5,0.5,1,\n"))
    assert cells(data) == [[1.0, 1000.0, 0.0, np.inf, None], [-2.5, 0.5, 0.5, 1.0, None]]
    assert data.frame["e"].dtype == "float64"
    assert [(f.subject, f.severity) for f in data.findings if f.code == "infinite-values"] == [
        ("d", "warning")
    ]


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("950 1.500 12.000 120", "'1.500' read as 1.5"),
        ("-1.500 +2.250 7", "'-1.500' read as -1.5"),
        ("950 NA 45.000", "'45.000' read as 45"),
        ("0.750 1.500 2.250", ""),
        ("950 1.500 12000", ""),
        ("950 1.500 1.5", ""),
        ("950 1200.500", ""),
        ("950 1500", ""),
        ("+5 7 NA", ""),
        ("1.500 1e3", ""),
        ("1.500 inf", ""),
        ("1.500 2.2500", ""),
        ("950 1.234.567", ""),
    ],
)
def test_a_point_before_three_digits_may_be_the_thousands_sign(
    tmp_path: Path, column: str, said: str
) -> None:
    data = read(written(tmp_path, "n,w\n" + "".join(f"{cell},a\n" for cell in column.split())))
    assert [
        (f.severity, f.subject, f.found) for f in data.findings if f.code == "written-numbers"
    ] == (
        [("warning", "n", f"{said} (decimal '.'), but '.' could as well be the thousands sign")]
        if said
        else []
    )


def test_a_column_that_changes_its_kind_far_down(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n}\n" for n in range(200_000))
    data = read(written(tmp_path, "a,b\n" + rows + "word,7\n"))
    assert data.frame.dtypes.astype(str).tolist() == ["str", "int64"]
    assert data.frame["a"].iloc[[0, -1]].tolist() == ["0", "word"]


def test_white_space_and_headers(tmp_path: Path) -> None:
    data = read(written(tmp_path, " a ,,b\n x , 1,\u00a02 \ny,2,3\n"))
    assert data.frame.columns.tolist() == ["a", "unnamed_2", "b"]
    assert cells(data) == [["x", 1, 2], ["y", 2, 3]]
    assert codes(data) | {
        "header-white-space": "passed",
        "header-empty": "warning",
        "white-space": "passed",
    } == codes(data)
    assert [f.found for f in data.findings if f.code == "white-space"] == [
        "white space around 3 cells of a, unnamed_2, b; removed"
    ]


VALUES = st.text(
    st.characters(
        min_codepoint=33,
        max_codepoint=0x24F,
        exclude_characters="\x7f",
        exclude_categories=["Cc", "Zs"],
    )
    | st.sampled_from(',;\t|"\n '),
    max_size=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            VALUES,
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        min_size=1,
        max_size=8,
    ),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_a_written_frame_reads_back(
    tmp_path: Path, rows: list[tuple[str, int, float]], delimiter: str, encoding: str
) -> None:
    frame = pd.DataFrame(
        [("w" + word, n, x) for word, n, x in rows], columns=["word", "whole", "real"]
    )
    path = tmp_path / "t.csv"
    frame.to_csv(path, index=False, sep=delimiter, encoding=encoding, lineterminator="\n")
    data = read(str(path))
    assert data.frame["word"].tolist() == frame["word"].str.strip().tolist()
    assert data.frame["whole"].tolist() == frame["whole"].tolist()
    assert data.frame["real"].tolist() == frame["real"].tolist()


# CSV and other files that are refused


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            "",
            r"empty \[t.csv\]: expected a header line and rows; found no content; "
            r"to do: write the table again",
        ),
        (" \n\n", "empty"),
        ("a,b\n", "no-rows.*found a header and no rows"),
        (
            "a\n1\n2\n",
            "one-column.*found one column only: none of comma, semicolon, tab, vertical bar",
        ),
        (
            "Report 2024\n\na\nb\nc\nd,e\n",
            "one-column.*first line of one field, and up to 2 fields below.*lines above the header",
        ),
        (
            "a,b,a\n1,2,3\n",
            r"duplicate-columns \[a\]: expected each name once; found the name 'a' in columns 1, 3",
        ),
        ("a, a\n1,2\n", "duplicate-columns"),
        ("5.1,3.5\n4.9,3.0\n", "header-missing.*found a first line of numbers: 5.1, 3.5"),
        (
            "a,b\n1,2\n1,2,3\n4\n5,6\n",
            r"row-width.*expected 2 fields.*found 2 rows of another width; "
            r"row \(fields\): 3 \(3\), 4 \(1\)",
        ),
        ('a,b\n1,"x\n3,4\n', "quote-open.*a quote that never closes, in row 2"),
        ('a,b,c\n1,"x,2\n3,4,5\n', "row-width.*close the quote that runs over several lines"),
        (b"a,b\n1,\x002\n", "nul-bytes.*the first in line 2"),
        (bytes(range(1, 32)) * 50 + b"\xff\xfe", "not-a-table.*bytes that are no text"),
        (b"\xff\xfea\x00,\x00b\x00\n\x001", "encoding-damaged.*truncated data"),
        (b"PK\x03\x04 ... xl/workbook.xml", "excel-damaged.*save the sheet as CSV"),
        (b"PK\x03\x04 ... other", "compressed-file.*a zip archive.*unpack it first"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "excel-damaged"),
        (b"SQLite format 3\0....", "sqlite-file.*sqlite:///PATH"),
        (b"BZh91AY", "compressed-file.*a bzip2 file.*use gzip"),
        (b"\x89PNG\r\n", "not-a-table.*a PNG image"),
        ("<!DOCTYPE html><p>", "html-page.*the raw file"),
        ('[["a", 1]]', "json-file.*found JSON that is no list of rows"),
        (
            gzip.compress(CHURN.encode(), mtime=0)[:-12],  # the same name in every process
            "gzip-damaged.*a whole gzip file.*copy or download it again",
        ),
        (b"PAR1" + b"x" * 40, r"parquet-damaged.*a whole parquet file"),
        (b"ARROW1" + b"x" * 40, r"feather-damaged.*a whole feather file"),
    ],
)
def test_refused(tmp_path: Path, content: str | bytes, match: str) -> None:
    with pytest.raises(Refused, match=match) as caught:
        read(written(tmp_path, content))
    assert all(f.severity != "error" or (f.expected and f.action) for f in caught.value.findings)


def test_a_row_beyond_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, 'a,b\n1,"' + "x" * 300_000 + '"\n')
    assert read(path).frame["b"].str.len().tolist() == [300_000]
    monkeypatch.setattr(csv_files, "MAX_ROW_BYTES", 1 << 16)
    with pytest.raises(Refused, match=r"row-too-long.*close the quote left open"):
        read(path)


def test_all_errors_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="3 problems") as caught:
        read(written(tmp_path, "a,a,b,b\n1,2,3,4\n1,2\n"))
    assert [f.code for f in caught.value.findings if f.severity == "error"] == [
        "duplicate-columns"
    ] * 2 + ["row-width"]


def test_missing_file_folder_and_query(tmp_path: Path) -> None:
    written(tmp_path, CHURN, "churn.csv")
    with pytest.raises(
        Refused,
        match=r"file-missing \[.*chrun.csv\].*found no such file; to do: did you mean churn.csv\?",
    ):
        read(str(tmp_path / "chrun.csv"))
    with pytest.raises(
        Refused, match=r"file-missing.*found no folder .*nowhere; to do: correct the path"
    ):
        read(str(tmp_path / "nowhere" / "x.csv"))
    with pytest.raises(
        Refused, match=r"folder-without-parquet.*found churn.csv; to do: name one file"
    ):
        read(str(tmp_path))
    with pytest.raises(Refused, match=r"query-unused.*leave out the query"):
        read(str(tmp_path / "churn.csv"), query="SELECT 1")


# Parquet and Feather


def typed() -> pa.Table:
    return pa.table(
        {
            "i8": pa.array([1, 2], pa.int8()),
            "gap": pa.array([1, None]),
            "u64": pa.array([2**64 - 1, 1], pa.uint64()),
            "f32": pa.array([0.5, None], pa.float32()),
            "dec": pa.array([Decimal("1.25"), None]),
            "flag": pa.array([True, None]),
            "day": pa.array([dt.date(2024, 2, 29), None]),
            "zone": pa.array(
                [dt.datetime(2024, 1, 1, 12), None], pa.timestamp("ns", "Europe/Berlin")
            ),
            "wait": pa.array([dt.timedelta(minutes=1), None]),
            "cat": pa.array(["x", "y"]).dictionary_encode(),
            "code": pa.array([7, 8]).dictionary_encode(),
            "digits": ["1", " 2 "],
            "nest": [{"k": 1}, None],
            "raw": [b"\x01", b"\xff"],
            "none": pa.nulls(2),
        }
    )


EXPECTED = [
    [
        1,
        1.0,
        "18446744073709551615",
        0.5,
        1.25,
        "True",
        pd.Timestamp("2024-02-29"),
        pd.Timestamp("2024-01-01 12:00"),
        60.0,
        "x",
        7,
        "1",
        '{"k": 1}',
        "01",
        None,
    ],
    [2, None, "1", None, None, None, None, None, None, "y", 8, "2", None, "ff", None],
]


@pytest.mark.parametrize("kind", ["parquet", "feather"])
def test_typed_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"t.{kind}"
    parquet.write_table(typed(), path) if kind == "parquet" else feather.write_feather(
        typed(), path
    )
    data = read(str(path))
    assert cells(data) == EXPECTED
    assert set(data.frame.dtypes.astype(str)) == {"int64", "float64", "str", "datetime64[us]"}
    assert data.md5 == hashlib.md5(path.read_bytes()).hexdigest()
    assert data.details.format == kind
    result = {(f.code, f.subject, f.severity) for f in data.findings}
    assert result >= {
        ("time-zone", "zone", "passed"),
        ("nested-values", "nest", "warning"),
        ("durations", "wait", "passed"),
        ("binary-values", "raw", "warning"),
        ("long-integers", "u64", "passed"),
    }


@pytest.mark.parametrize("kind", [pa.decimal128(10, 2), pa.decimal256(40, 2), pa.decimal64(10, 2)])
def test_a_decimal_is_the_number_that_its_digits_say(tmp_path: Path, kind: pa.DataType) -> None:
    """A cast of 3.30 gives 3.3000000000000003, which is not the number in a CSV of the table."""
    parquet.write_table(
        pa.table({"fee": pa.array([Decimal("3.30"), Decimal("-0.07"), None], kind)}),
        tmp_path / "t.parquet",
    )
    data = read(str(tmp_path / "t.parquet"))
    assert cells(data) == [[3.3], [-0.07], [None]]
    assert cells(read(written(tmp_path, "fee,a\n3.30,1\n-0.07,1\n,1\n")))[0][0] == 3.3


def test_whole_decimals_that_a_float_would_round_stay_text(tmp_path: Path) -> None:
    ids = pa.array([Decimal(2**53 + 1), Decimal(2**53), None], pa.decimal128(38, 0))
    small, cents = (
        pa.array([Decimal(2**53 - 1), Decimal(1), None], pa.decimal128(38, 0)),
        ids.cast(pa.decimal128(38, 2)),
    )
    parquet.write_table(
        pa.table({"id": ids, "small": small, "cents": cents}), tmp_path / "t.parquet"
    )
    data = read(str(tmp_path / "t.parquet"))
    assert cells(data) == [
        ["9007199254740993", 2.0**53 - 1, 2.0**53],
        ["9007199254740992", 1.0, 2.0**53],
        [None, None, None],
    ]
    assert [
        (f.code, f.severity, f.subject) for f in data.findings if f.code == "long-integers"
    ] == [("long-integers", "passed", "id")]


@pytest.mark.parametrize(
    ("values", "expected", "said"),
    [
        ([Decimal(2**53 + 1), None], ["9007199254740993", None], ["long-integers"]),
        ([Decimal(-(2**53)), 1], ["-9007199254740992", "1"], ["long-integers"]),
        ([Decimal(2**53 - 1), None], [2.0**53 - 1, None], []),
        ([Decimal("3.30"), Decimal("NaN"), 5.5], [3.3, "nan", 5.5], []),
        ([Decimal("9007199254740993.50"), None], [9007199254740994.0, None], []),
        ([2**53 + 1, 1], [2**53 + 1, 1], []),
    ],
)
def test_decimals_of_a_database(
    values: list[object], expected: list[object], said: list[str]
) -> None:
    log = ReadLog()
    got = [str(v) if v != v else v for v in database._column("n", values, log).to_pylist()]
    assert (got, [f.code for f in log.findings]) == (expected, said)


def test_a_parquet_file_under_another_name_and_an_empty_one(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "t.csv")
    data = read(str(tmp_path / "t.csv"))
    assert (cells(data), codes(data)) == ([[1, "x"]], {"format-differs": "warning"})
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "e.parquet")
    with pytest.raises(Refused, match=r"no-rows.*found 1 columns, no rows"):
        read(str(tmp_path / "e.parquet"))


LABELLED = pd.DataFrame({"a": [1, 2]}, index=["x", "y"])


def test_row_labels_of_pandas_without_a_name_are_no_column(tmp_path: Path) -> None:
    LABELLED.to_parquet(tmp_path / "t.parquet")
    feather.write_feather(pa.Table.from_pandas(LABELLED), tmp_path / "t.feather")
    for name in ("t.parquet", "t.feather"):
        data = read(str(tmp_path / name))
        assert data.frame.to_dict("list") == {"a": [1, 2]}
        assert [(f.code, f.severity, f.subject, f.found) for f in data.findings] == [
            (
                "index-dropped",
                "passed",
                "__index_level_0__",
                "row labels of pandas without a name; not read",
            )
        ]


def test_named_row_labels_and_columns_that_only_look_like_labels_stay(tmp_path: Path) -> None:
    LABELLED.rename_axis("who").to_parquet(tmp_path / "named.parquet")
    parquet.write_table(pa.table({"a": [1], "__index_level_0__": [2]}), tmp_path / "own.parquet")
    LABELLED.reset_index(drop=True).to_parquet(tmp_path / "plain.parquet")
    for name, columns in (
        ("named", ["a", "who"]),
        ("own", ["a", "__index_level_0__"]),
        ("plain", ["a"]),
    ):
        data = read(str(tmp_path / f"{name}.parquet"))
        assert (data.frame.columns.tolist(), codes(data)) == (columns, {})


def test_row_labels_of_parts_are_left_out_of_each(tmp_path: Path) -> None:
    LABELLED.to_parquet(tmp_path / "1.parquet")
    LABELLED.reset_index(drop=True).to_parquet(tmp_path / "2.parquet")
    data = read(str(tmp_path))
    assert data.frame.to_dict("list") == {"a": [1, 2, 1, 2]}
    assert [f.code for f in data.findings] == ["index-dropped"]


def test_folder_of_parts(tmp_path: Path) -> None:
    for name, table in {
        "year=2024/p2": {"a": [2], "b": ["y"]},
        "year=2023/p1": {"a": [1.5], "b": ["x"]},
    }.items():
        (tmp_path / name).parent.mkdir()
        parquet.write_table(pa.table(table), tmp_path / f"{name}.parquet")
    (tmp_path / "_SUCCESS").write_text("")
    data = read(str(tmp_path))
    assert cells(data) == [[1.5, "x", 2023], [2.0, "y", 2024]]
    assert data.details.parts == 2
    assert data.md5.endswith(".dir")
    parquet.write_table(pa.table({"a": [1], "c": [1]}), tmp_path / "year=2024" / "p3.parquet")
    with pytest.raises(
        Refused, match=r"parts-differ \[year=2024/p3.parquet\].*no column 'b'; one more column 'c'"
    ):
        read(str(tmp_path))
    parquet.write_table(
        pa.table({"a": ["word"], "b": ["z"]}), tmp_path / "year=2024" / "p3.parquet"
    )
    with pytest.raises(Refused, match=r"parts-differ.*parts of different types"):
        read(str(tmp_path))


def parts(folder: Path, tables: dict[str, dict[str, object]]) -> str:
    for name, columns in tables.items():
        (folder / name).mkdir(parents=True)
        parquet.write_table(pa.table(columns), folder / name / "p.parquet")
    return str(folder)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["k=01", "k=09", "k=10"], ["01", "09", "10"]),
        (["k=1", "k=US"], ["1", "US"]),
        (["k=1", "k=12"], [1, 12]),
        (["k=-3", "k=0"], [-3, 0]),
        (["k=-0", "k=1"], ["-0", "1"]),
        (["k=1", "k=__HIVE_DEFAULT_PARTITION__"], [1, None]),
        (["k=a%20b", "k=__HIVE_DEFAULT_PARTITION__"], [None, "a b"]),
        (["k=1", "k=12345678901234567890"], ["1", "12345678901234567890"]),
        (["k=", "k=1"], [None, "1"]),
        (["k=٣", "k=4"], ["4", "٣"]),
    ],
)
def test_the_type_of_a_key_is_decided_over_all_parts(
    tmp_path: Path, folders: list[str], expected: list[object]
) -> None:
    data = read(parts(tmp_path / "t", {name: {"a": [1.5]} for name in folders}))
    assert [row[1] for row in cells(data)] == expected


def test_parts_of_dictionaries_and_of_plain_text_are_one_table(tmp_path: Path) -> None:
    words = pa.array(["x", None])
    data = read(
        parts(
            tmp_path / "t",
            {
                "1": {"a": words.dictionary_encode()},
                "2": {"a": words},
                "3": {"a": words.cast(pa.large_string()).dictionary_encode()},
            },
        )
    )
    assert [row[0] for row in cells(data)] == ["x", None] * 3


# The web


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        secret = self.headers.get("Authorization") == "Basic YW5uOnA6dw=="  # ann:p:w
        status, body, promised = {
            "/t.csv": (200, CHURN.encode(), 0),
            "/page.csv": (200, b"<html><body>log in</body></html>", 0),
            "/short.csv": (200, b"a,b\n1,2\n", 100),
            "/mine.csv": (200 if secret else 401, CHURN.encode(), 0),
            "/t.parquet": (200, Pages.parquet, 0),
            "/slow.csv": (200, b"", -1),
        }.get(path, (404, b"no", 0))
        if promised < 0:
            Pages.release.wait(5)
        self.send_response(status)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(promised or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass

    parquet = b""
    release = threading.Event()


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    buffer = io.BytesIO()
    parquet.write_table(pa.table({"a": [1], "b": ["x"]}), buffer)
    Pages.parquet = buffer.getvalue()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    Pages.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_web(web: str) -> None:
    data = read(f"http://{web}/t.csv?day=1&token=abc")
    assert data.source == f"http://{web}/t.csv?day=1&token=***"
    assert (data.rows, data.details.bytes, data.details.content_type) == (
        3,
        len(CHURN),
        "text/csv",
    )
    assert data.md5 == hashlib.md5(CHURN.encode()).hexdigest()
    assert cells(read(f"http://{web}/t.parquet")) == [[1, "x"]]
    mine = read(f"http://ann:p%3Aw@{web}/mine.csv")
    assert (mine.rows, mine.source) == (3, f"http://ann:***@{web}/mine.csv")


@pytest.mark.parametrize(
    ("page", "match"),
    [
        ("none.csv", "http-status.*found HTTP 404 Not Found; to do: correct the address"),
        ("mine.csv", "http-status.*found HTTP 401 Unauthorized; to do: pass credentials"),
        ("page.csv", "html-page.*found a web page"),
        ("short.csv", "http-(incomplete|unreachable).*(8 of 100 bytes|8 bytes read)"),
    ],
)
def test_web_refused(web: str, page: str, match: str) -> None:
    with pytest.raises(Refused, match=match):
        read(f"http://{web}/{page}")


def test_web_silence_and_nobody_there(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_SECONDS", 0.2)
    with pytest.raises(Refused, match=r"http-timeout.*no answer within 0.2 s"):
        read(f"http://{web}/slow.csv")
    with pytest.raises(
        Refused,
        match=r"http-unreachable \[http://ann:\*\*\*@127.0.0.1:9/t.csv\].*Connection refused",
    ):
        read("http://ann:pw@127.0.0.1:9/t.csv")
    monkeypatch.setattr(download, "MAX_BYTES", 10)
    with pytest.raises(Refused, match="http-too-large"):
        read(f"http://{web}/t.csv")


def test_a_download_without_an_end_is_refused(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MOST_SECONDS", -1)
    with pytest.raises(Refused, match=r"http-timeout.*no end within"):
        read(f"http://{web}/t.csv")


# Databases


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE people "
            '("id" INTEGER, name TEXT, fee REAL, mixed, digits TEXT, day DATE, gap)'
        )
        connection.executemany(
            "INSERT INTO people VALUES (?,?,?,?,?,?,?)",
            [
                (1, "Ann", 2.5, 1, "01", "2024-01-01", 5),
                (2, "NA", None, "x", "7", "2024-01-02", ""),
                (3, " Bo ", 1, 2.5, "8", None, 6),
            ],
        )
        connection.execute("CREATE VIEW adults AS SELECT id, name FROM people WHERE id > 1")
    connection.close()
    return f"sqlite:///{path}"


def test_sqlite(shop: str) -> None:
    data = read(shop, query="people")
    assert cells(data) == [
        [1, "Ann", 2.5, "1", "01", "2024-01-01", 5.0],
        [2, None, None, "x", "7", "2024-01-02", None],
        [3, "Bo", 1.0, "2.5", "8", None, 6.0],
    ]
    assert data.details.query == 'SELECT * FROM "people"'
    assert [(f.subject, f.severity) for f in data.findings if f.code == "mixed-types"] == [
        ("mixed", "warning")
    ]
    assert cells(read(shop, query="adults")) == [[2, None], [3, "Bo"]]
    assert cells(read(shop, query="SELECT ':x' AS a, 5 % 3 AS b, '%s' AS c;")) == [[":x", 2, "%s"]]


def test_the_md5_of_a_query_is_of_its_content_in_any_order(shop: str) -> None:
    up, down = (
        read(shop, query=f"SELECT * FROM people ORDER BY id {way}") for way in ("ASC", "DESC")
    )
    assert up.md5 == down.md5 == content_md5(up.frame)
    assert read(shop, query="SELECT * FROM people WHERE id < 3").md5 != up.md5


@pytest.mark.parametrize(
    ("query", "match"),
    [
        (
            None,
            "query-missing.*expected a SELECT statement or the name of a table; "
            "found no query; tables here: adults, people",
        ),
        ("persons", "table-missing.*found no table 'persons'; tables here: adults, people"),
        ("SELECT nope FROM people", "query-failed.*no such column: nope"),
        ("DELETE FROM people", "query-failed.*attempt to write a readonly database"),
        ("SELECT id, id FROM people", r"duplicate-columns \[id\]"),
        ("SELECT * FROM people WHERE id > 9", "no-rows.*found 7 columns, no rows"),
    ],
)
def test_sqlite_refused(shop: str, query: str | None, match: str) -> None:
    with pytest.raises(Refused, match=match):
        read(shop, query=query)


def test_databases_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"database-missing.*found no file .*none.db"):
        read(f"sqlite:///{tmp_path}/none.db", query="t")
    assert not (tmp_path / "none.db").exists()
    written(tmp_path, "no database " * 100, "bad.db")
    with pytest.raises(Refused, match=r"database-damaged.*a file that is no SQLite database"):
        read(f"sqlite:///{tmp_path}/bad.db", query="t")
    with pytest.raises(
        Refused, match=r"database-unknown \[mysql://ann:\*\*\*@host/x\].*sqlite or postgresql"
    ):
        read("mysql://ann:pw@host/x", query="t")
    with pytest.raises(Refused, match="url-unreadable"):
        read("postgresql://host:port/x", query="t")
    with pytest.raises(
        Refused, match=r"database-unreachable \[postgresql://ann:\*\*\*@127.0.0.1:9/x\].*refused"
    ) as caught:
        read("postgresql://ann:s3cret@127.0.0.1:9/x", query="t")
    assert "s3cret" not in str(caught.value)


@pytest.mark.slow
def test_postgresql() -> None:
    import sqlalchemy as sa

    with postgresql() as url:
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE TABLE t (i int, big bigint, n numeric(9,2), flag boolean, "
                "day date, at timestamptz, wait interval, "
                "word text, js jsonb, tags text[], u uuid, nothing text)"
            )
            connection.exec_driver_sql(
                "INSERT INTO t VALUES (1, 9007199254740993, 1.25, true, "
                "'2024-02-29', '2024-01-01 12:00+02', '90 s', ' a%% ', "
                "'{\"k\": 1}', '{x,y}', '00000000-0000-0000-0000-000000000001', NULL), "
                "(2, 5, NULL, NULL, NULL, NULL, NULL, "
                "'NA', NULL, NULL, NULL, NULL)"
            )
            connection.exec_driver_sql("CREATE SCHEMA other CREATE TABLE s (a int, b int)")
            connection.exec_driver_sql("INSERT INTO other.s VALUES (1, 2)")
        engine.dispose()
        data = read(url, query="t")
        assert cells(data) == [
            [
                1,
                9007199254740993,
                1.25,
                "True",
                pd.Timestamp("2024-02-29"),
                pd.Timestamp("2024-01-01 10:00"),
                90.0,
                "a%",
                '{"k": 1}',
                '["x", "y"]',
                "00000000-0000-0000-0000-000000000001",
                None,
            ],
            [2, 5, None, None, None, None, None, None, None, None, None, None],
        ]
        assert data.details.format == "postgresql"
        assert {("time-zone", "at"), ("nested-values", "js"), ("durations", "wait")} <= {
            (f.code, f.subject) for f in data.findings
        }
        assert cells(read(url, query="other.s")) == [[1, 2]]
        assert cells(read(url, query="SELECT 7 % 4 AS a, ':b' AS b")) == [[3, ":b"]]
        with pytest.raises(
            Refused, match=r"query-failed.*cannot execute DELETE in a read-only transaction"
        ):
            read(url, query="DELETE FROM t")
        with pytest.raises(Refused, match=r"query-missing.*tables here: t"):
            read(url)
        with pytest.raises(Refused, match=r'query-failed.*relation "none" does not exist'):
            read(url, query="SELECT * FROM none")
        with pytest.raises(Refused, match=r'database-unreachable.*database "none" does not exist'):
            read(url.replace("/postgres", "/none").replace("//none", "//postgres"), query="t")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("data/t.csv", "data/t.csv"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("C:/x@y.csv", "C:/x@y.csv"),
        ("postgresql+psycopg://u:p@ss/w@h:5432/d", "postgresql+psycopg://u:***@h:5432/d"),
        (
            "postgresql://h/d?user=u&password=p&sslmode=x",
            "postgresql://h/d?user=u&password=***&sslmode=x",
        ),
        ("http://h:80/a@b.csv", "http://h:80/a@b.csv"),
        ("https://h/x?X-Amz-Signature=1&d=2", "https://h/x?X-Amz-Signature=***&d=2"),
    ],
)
def test_mask(url: str, masked: str) -> None:
    assert mask(url) == masked


def test_a_gzip_file_that_grows_as_no_table_does_is_refused_before_it_fills_the_memory(tmp_path):
    bomb = gzip.compress(b"a,b\n" + b"1,1\n" * 10_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(Refused, match=r"grows more than 100 times.*unpack it yourself"):
        read(written(tmp_path, bomb, "t.csv.gz"))
    tame = gzip.compress(b"a,b\n" + b"1,1\n2,3\n" * 100_000)  # 150 times, but small
    assert len(read(written(tmp_path, tame, "u.csv.gz")).frame) == 200_000
