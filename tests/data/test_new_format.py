"""A new file format is one entry in the table of formats: here JSON Lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.json as arrow_json
import pytest

from fivefold.core.findings import Refused
from fivefold.data import formats
from fivefold.data.files import Content
from fivefold.data.formats import Format
from fivefold.data.read_log import ReadLog
from fivefold.data.source import read
from fivefold.data.table_parts import cut_table, read_part
from frontend.data import uploads
from tests.support.running import ROOT

ROWS = [{"id": n, "plan": ["basic", "NA"][n % 2], "code": f"0{n}"} for n in range(20)]


def read_json_lines(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    for batch in arrow_json.open_json(content.arrow_file()):
        yield pa.Table.from_batches([batch])


JSON_LINES = Format("jsonl", ("JSON Lines",), (".jsonl",), (b'{"',), read_json_lines)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, JSON_LINES))
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_it_is_read_whole(path: Path) -> None:
    data = read(path)
    assert data.frame["id"].tolist() == list(range(20))
    assert data.frame["plan"].isna().sum() == 10
    assert data.frame["code"].tolist()[3] == "03"  # a declared text stays text
    assert (data.details.format, data.details.bytes) == ("jsonl", path.stat().st_size)
    assert [finding.code for finding in data.findings] == ["missing-marker"]


def test_it_is_read_as_a_stream(path: Path, tmp_path: Path) -> None:
    parts, _ = cut_table(str(path), None, tmp_path / "parts", 7)
    assert parts.row_counts == [7, 7, 6]
    frames = [read_part(parts, number) for number in range(3)]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), read(path).frame)


def test_it_is_read_as_an_upload_in_gzip_too(path: Path) -> None:
    import gzip

    for name, content in (
        ("any.jsonl", path.read_bytes()),
        ("any.jsonl.gz", gzip.compress(path.read_bytes())),
    ):
        assert uploads.table(name, content).rows == 20
    assert "jsonl" in uploads.endings()
    assert uploads.label() == "CSV, TSV, Parquet, Feather or JSON Lines, also compressed by gzip"


def test_messages_name_it_and_a_wrong_name_is_noted(path: Path, tmp_path: Path) -> None:
    (tmp_path / "t.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(Refused, match="a table as CSV, TSV, Parquet, Feather or JSON Lines"):
        read(tmp_path / "t.pdf")
    renamed = path.rename(tmp_path / "t.csv")
    assert "format-differs" in [finding.code for finding in read(renamed).findings]


def test_without_the_entry_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(Refused, match="json-file"):
        read(tmp_path / "t.jsonl")


@pytest.mark.parametrize("flow", ["train", "score", "feedback"])
def test_the_help_of_each_flow_names_all_formats(flow: str) -> None:
    text = (ROOT / "flows" / f"{flow}.py").read_text()
    for entry in formats.FORMATS:
        for title in entry.titles:
            assert title in text
