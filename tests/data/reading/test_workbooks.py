"""Workbooks and JSON rows: they read as the CSV file of the same table does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.data.reading.source import Dataset, read
from fivefold.data.reading.table_parts import cut_table, read_part
from tests.support.workbooks import ods, xls, xlsx

ROWS: list[list[object]] = [
    ["id", "plan", "zip", "fee"],
    *([n, f"p{n % 3}", f"0{n}", n / 4 if n % 5 else None] for n in range(40)),
]


def written(folder: Path, content: str | bytes, name: str) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def as_csv(folder: Path) -> Dataset:
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in ROWS]
    return read(written(folder, "\n".join(lines), "t.csv"))


@pytest.mark.parametrize("kind", ["xlsx", "xls", "ods"])
def test_a_sheet_reads_as_its_csv_file(tmp_path: Path, kind: str) -> None:
    content = {"xlsx": lambda: xlsx({"S": ROWS}), "xls": lambda: xls(ROWS, "S")}.get(
        kind, lambda: ods({"S": ROWS})
    )()
    path = written(tmp_path, content, f"t.{kind}")
    data = read(path)
    pd.testing.assert_frame_equal(data.frame, as_csv(tmp_path).frame)
    assert data.details.format == "excel"
    assert [f.found for f in data.findings if f.code == "sheet"] == ["the sheet 'S'"]
    parts, _ = cut_table(path, None, tmp_path / "parts", 15)
    frames = [read_part(parts, number) for number in range(3)]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), data.frame)


def test_the_sheet_is_chosen_by_name_or_is_the_first_table_and_said(tmp_path: Path) -> None:
    other = [["a", "b"], [1, 2]]
    book = {"Read me": [["made in May"]], "Hidden": other, "Data": ROWS, "More": other}
    path = written(tmp_path, xlsx(book, hidden=["Hidden"]), "t.xlsx")
    data = read(path)
    assert data.rows == 40
    assert [(f.severity, f.found) for f in data.findings if f.code == "sheet"] == [
        (
            "warning",
            "3 sheets: 'Read me' (1 rows), 'Data' (41 rows), 'More' (2 rows); took 'Data'",
        )
    ]
    assert read(path, query="More").frame.to_dict("list") == {"a": [1], "b": [2]}
    assert read(path, query="Hidden").rows == 1
    with pytest.raises(Refused, match=r"sheet-missing.*no sheet 'Moor'; sheets here: Read me"):
        read(path, query="Moor")


def test_cells_of_a_sheet(tmp_path: Path) -> None:
    rows = [
        ["day", "time", "flag", "sum", "text"],
        [45000, 45000.25, True, "#N/A", " a "],
        [45001, 45001, False, 2.5, "NA"],
        [None] * 5,
        [None, 45002, None, 3, None],
    ]
    path = written(tmp_path, xlsx({"S": rows}, date_columns=[0, 1]), "t.xlsx")
    frame = read(path).frame
    assert frame["day"].tolist()[:2] == ["2023-03-15", "2023-03-16"]
    assert frame["time"].tolist() == [
        "2023-03-15 06:00:00",
        "2023-03-16 00:00:00",
        "2023-03-17 00:00:00",
    ]
    assert frame["flag"].tolist()[:2] == ["True", "False"]
    assert frame["sum"].tolist()[1:] == [2.5, 3.0]
    assert frame["text"].tolist()[0] == "a"
    assert frame.isna().sum().tolist() == [1, 0, 1, 1, 2]


def test_blank_rows_and_columns_of_a_sheet_are_no_part_of_the_table(tmp_path: Path) -> None:
    rows = [[None] * 9, [None, "a", None, "b"], *([None, n, None, -n] for n in range(3))]
    wide = [*rows, [None] * 400, [None] * 399 + [5]]
    path = written(tmp_path, xlsx({"S": rows}), "t.xlsx")
    assert read(path).frame.to_dict("list") == {"a": [0, 1, 2], "b": [0, -1, -2]}
    data = read(written(tmp_path, xlsx({"S": wide}), "t.xlsx"))
    assert data.frame.columns.tolist() == ["a", "b", "unnamed_3"]
    assert data.frame["unnamed_3"].tolist()[3] == 5


def test_a_title_and_groups_above_the_header_of_a_sheet(tmp_path: Path) -> None:
    rows = [["Report", None, None, None], [None, None, "Place", None], *ROWS]
    data = read(written(tmp_path, xlsx({"S": rows}), "t.xlsx"))
    assert data.frame.columns.tolist() == ["id", "plan", "zip", "fee"]
    assert [f.severity for f in data.findings if f.code == "lines-above-header"] == ["warning"]


@pytest.mark.parametrize(
    ("content", "name", "match"),
    [
        (xlsx({"S": ROWS})[:900], "t.xlsx", "excel-damaged"),
        (xls(ROWS)[:1500], "t.xls", "excel-damaged"),
        (xlsx({"S": []}), "t.xlsx", "empty.*no cell in the sheets S"),
        (xlsx({"S": [["a", "b"]]}), "t.xlsx", "no-rows"),
        (xlsx({"S": [["a"], [1], [2]]}), "t.xlsx", "one-column"),
        (xlsx({"S": [["a", "a"], [1, 2]]}), "t.xlsx", "duplicate-columns"),
        ("<html><table><tr><td>1", "t.xls", "html-page.*under the name of a workbook"),
        ("<html><table><tr><td>1", "t.csv", "html-page.*a web page"),
        ("<table><tr><td>1", "t.csv", "html-page"),
    ],
)
def test_sheets_that_are_refused(
    tmp_path: Path, content: str | bytes, name: str, match: str
) -> None:
    with pytest.raises(Refused, match=match):
        read(written(tmp_path, content, name))


def test_text_under_the_name_of_a_workbook_is_read(tmp_path: Path) -> None:
    data = read(written(tmp_path, "a\tb\n1\t2\n", "t.xls"))
    assert data.frame.to_dict("list") == {"a": [1], "b": [2]}
    assert [f.code for f in data.findings if f.severity == "warning"] == ["format-differs"]


JSON = (
    '{"a": 1, "b": "x", "n": 9007199254740993}\n{"a": 2.50, "c": null}\n\n'
    '{"a": "NA", "b": "Я", "c": true}\n'
)


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        "[" + ",".join(line for line in JSON.split("\n") if line) + "]",
        "[\n  " + ",\n  ".join(line for line in JSON.split("\n") if line) + "\n]\n",
        "\ufeff " + JSON,
    ],
)
def test_json_rows(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text, "t.jsonl")
    data = read(path)
    frame = data.frame
    assert frame.columns.tolist() == ["a", "b", "n", "c"]
    assert frame["a"].tolist()[:2] == [1.0, 2.5]
    assert frame["b"].tolist()[::2] == ["x", "Я"]
    assert frame["n"].tolist()[0] == "9007199254740993"
    assert frame["c"].tolist()[2] == "True"
    assert frame.isna().sum().tolist() == [1, 1, 2, 2]
    parts, _ = cut_table(path, None, tmp_path / "parts", 2)
    frames = [read_part(parts, number) for number in range(2)]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), frame)


def test_nested_json_is_written_as_text(tmp_path: Path) -> None:
    data = read(written(tmp_path, '{"a": 1, "b": {"c": "d"}}\n{"a": 2}\n', "t.jsonl"))
    assert data.frame["b"].tolist()[0] == '{"c": "d"}'
    assert [(f.code, f.subject) for f in data.findings if f.severity == "warning"] == [
        ("nested-values", "b")
    ]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('{"a": 1}\n{"a": 2\n', "json-file.*no JSON in line 2"),
        ('{"a": 1}\n3\n', "json-file.*another value than an object in line 2"),
        ('{"a": 1, "a": 2}\n', "duplicate-columns.*the key 'a' twice in object 1"),
        ('{"columns": ["a"], "data": [[1]]}', "json-file.*one object with the keys columns, data"),
        ('{\n"columns": ["a"], "data": [[1]]}', "json-file.*one object with the keys columns"),
        ("[[1, 2], [3, 4]]", "json-file.*no list of rows"),
        ('[{"a": 1}, 3]', "json-file.*a list of other values"),
        ("{}\n{}\n", "no-rows"),
        ('{"a": ' + "[" * 100_000, "json-file"),
    ],
)
def test_json_that_is_refused(tmp_path: Path, text: str, match: str) -> None:
    with pytest.raises(Refused, match=match):
        read(written(tmp_path, text, "t.json"))
