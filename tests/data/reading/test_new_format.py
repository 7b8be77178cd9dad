"""A new file format, here a made-up one, is one entry in the table of formats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from fivefold.core.findings import Refused
from fivefold.data.reading import formats
from fivefold.data.reading.files import Content, open_file
from fivefold.data.reading.formats import Format
from fivefold.data.reading.read_log import ReadLog, unreadable
from fivefold.data.reading.source import read
from fivefold.data.reading.table_parts import cut_table, read_part
from frontend.data import uploads
from tests.support.running import ROOT

ROWS = [{"id": n, "plan": ["basic", "NA"][n % 2], "code": f"0{n}"} for n in range(20)]


MAGIC = b"#piperows 1\n"


def read_pipe_rows(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows: after the first bytes a line of names, then lines of cells, the first whole.

    A damaged file raises `Refused`: a message, where any other error is a traceback.
    """
    text = b"".join(content.blocks()).removeprefix(MAGIC)
    try:
        names, *rows = [line.split("|") for line in text.decode("utf-8").splitlines()]
        columns = list(zip(*rows, strict=True))
        numbers = pa.array([int(cell) for cell in columns[0]], pa.int64())
        texts = [pa.array(cells, pa.string()) for cells in columns[1:]]
        yield pa.Table.from_arrays([numbers, *texts], names=names)
    except (ValueError, IndexError, pa.ArrowException) as error:
        raise unreadable(
            "piperows-damaged",
            content.name,
            f"a damaged file of pipe rows ({error})",
            expected="a line of names and rows of as many cells",
            action="copy or write it again",
        ) from None


PIPE_ROWS = Format("piperows", ("Pipe rows",), (".piperows",), (MAGIC,), read_pipe_rows)


def pipe_rows(rows: list[dict[str, object]]) -> bytes:
    lines = ["|".join(map(str, row)) for row in (rows[0], *(row.values() for row in rows))]
    return MAGIC + "\n".join(lines).encode() + b"\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, PIPE_ROWS))
    path = tmp_path / "t.piperows"
    path.write_bytes(pipe_rows(ROWS))
    return path


def test_it_is_read_whole(path: Path) -> None:
    data = read(path)
    assert data.frame["id"].tolist() == list(range(20))
    assert data.frame["plan"].isna().sum() == 10
    assert data.frame["code"].tolist()[3] == "03"  # a declared text stays text
    assert (data.details.format, data.details.bytes) == ("piperows", path.stat().st_size)
    assert [finding.code for finding in data.findings] == ["missing-marker"]


def test_it_is_read_as_a_stream(path: Path, tmp_path: Path) -> None:
    parts, _ = cut_table(str(path), None, tmp_path / "parts", 7)
    assert parts.row_counts == [7, 7, 6]
    frames = [read_part(parts, number) for number in range(3)]
    pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), read(path).frame)


def test_it_is_read_as_an_upload_in_gzip_too(path: Path) -> None:
    import gzip

    for name, content in (
        ("any.piperows", path.read_bytes()),
        ("any.piperows.gz", gzip.compress(path.read_bytes())),
    ):
        assert uploads.table(name, content).rows == 20
    assert "piperows" in uploads.endings()
    assert uploads.label().startswith("CSV, TSV, Parquet, Feather")
    assert uploads.label().endswith(" or Pipe rows, also compressed by gzip")


def test_messages_name_it_and_a_wrong_name_is_noted(path: Path, tmp_path: Path) -> None:
    (tmp_path / "t.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(Refused, match=r"a table as CSV, TSV, Parquet, Feather.* or Pipe rows"):
        read(tmp_path / "t.pdf")
    renamed = path.rename(tmp_path / "t.csv")
    assert "format-differs" in [finding.code for finding in read(renamed).findings]


def test_its_first_bytes_and_not_its_ending_choose_it(path: Path) -> None:
    path.write_bytes(b" " + path.read_bytes())
    assert formats.detect_format(open_file(path, whole=True)).name == "csv"


@pytest.mark.parametrize("damaged", [MAGIC, MAGIC + b"id|plan\n1|a|b\n", MAGIC + b"id\n\xff\n"])
def test_a_damaged_one_is_refused_without_a_traceback(path: Path, damaged: bytes) -> None:
    path.write_bytes(damaged)
    with pytest.raises(Refused, match="piperows-damaged"):
        read(path)


def test_without_the_entry_it_is_text(tmp_path: Path) -> None:
    path = tmp_path / "t.piperows"
    path.write_bytes(pipe_rows(ROWS))
    assert formats.detect_format(open_file(path, whole=True)).name == "csv"


def test_json_lines_without_an_entry_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [entry for entry in formats.FORMATS if entry.name in ("csv", "parquet", "feather")]
    monkeypatch.setattr(formats, "FORMATS", tuple(first))
    (tmp_path / "t.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(Refused, match="json-file"):
        read(tmp_path / "t.jsonl")


def test_the_readme_names_all_formats() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for entry in formats.FORMATS:
        for title in entry.titles:
            assert title in text
