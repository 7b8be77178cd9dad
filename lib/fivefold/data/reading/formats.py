"""The table of file formats: one entry describes one format.

To read a new format, add an entry to `FORMATS`. Reading whole tables and streams, the detection,
the endings that the app accepts and the messages all follow from the table.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from fivefold.data.reading.arrow_files import read_feather, read_parquet
from fivefold.data.reading.csv_files import read_csv
from fivefold.data.reading.files import Content
from fivefold.data.reading.json_rows import read_json_rows
from fivefold.data.reading.read_log import ReadLog, unreadable
from fivefold.data.reading.workbooks import ODS_TYPE, read_workbook

Reader: TypeAlias = Callable[[Content, ReadLog], Iterator[pa.Table]]


@dataclass(frozen=True)
class Format:
    """A file format.

    Parameters
    ----------
    name
        Short name, as stored with a run.
    titles
        Names for people.
    endings
        Endings of file names, with the dot.
    magic
        First bytes, one of which every such file has. Text has none: a file that no other
        format recognises is read by the format without first bytes.
    read
        Yields the rows as Arrow tables of one schema, at least one, which may be empty. It
        notes findings in the log and raises `Refused` for a damaged file.
    untyped
        Whether all cells are text that may turn out to be numbers.
    inside
        For a format that shares its first bytes with others: bytes of which one occurs in the file.
    text
        Pattern of the beginning of a text format, after white space and a byte order mark.
    holds_tables
        Whether a file holds several tables, one of which a query names.
    """

    name: str
    titles: tuple[str, ...]
    endings: tuple[str, ...]
    magic: tuple[bytes, ...]
    read: Reader
    untyped: bool = False
    inside: tuple[bytes, ...] = ()
    text: str = ""
    holds_tables: bool = False

    def matches(self, content: Content, head: bytes) -> bool:
        """Return whether a file is of this format."""
        if self.text:
            return re.match(self.text.encode(), _text_start(head)) is not None
        if not any(head.startswith(magic) for magic in self.magic):
            return False
        return not self.inside or any(_occurs(part, content) for part in self.inside)


_ZIP = b"PK\x03\x04"
_OLD_OFFICE = b"\xd0\xcf\x11\xe0"
FORMATS = (
    Format("csv", ("CSV", "TSV"), (".csv", ".tsv", ".txt"), (), read_csv, untyped=True),
    Format("parquet", ("Parquet",), (".parquet", ".pq"), (b"PAR1",), read_parquet),
    Format("feather", ("Feather",), (".feather", ".arrow"), (b"ARROW1", b"FEA1"), read_feather),
    Format(
        "excel",
        ("Excel", "ODS"),
        (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"),
        (_ZIP,),
        read_workbook,
        untyped=True,
        inside=(b"xl/workbook", ODS_TYPE),
        holds_tables=True,
    ),
    Format(
        "excel",
        (),
        (),
        (_OLD_OFFICE,),
        read_workbook,
        untyped=True,
        holds_tables=True,
    ),
    Format(
        "json",
        ("JSON lines",),
        (".jsonl", ".ndjson", ".json"),
        (),
        read_json_rows,
        untyped=True,
        text=r"(\[\s*)?\{\s*[\"}]",
    ),
)

_GUNZIP = "decompress it first, or use gzip"
_JSON = "write one object a row (pandas: to_json(orient='records', lines=True))"
_EXPORT = "save the table in one of these formats"
_OTHERS = (  # first bytes, code, what the file is, what to do
    (
        b"SQLite format 3\0",
        "sqlite-file",
        "an SQLite database",
        "name it as sqlite:///PATH, with a query or a table name",
    ),
    (b"BZh", "compressed-file", "a bzip2 file", _GUNZIP),
    (b"\xfd7zXZ\0", "compressed-file", "an xz file", _GUNZIP),
    (b"\x28\xb5\x2f\xfd", "compressed-file", "a zstandard file", _GUNZIP),
    (b"7z\xbc\xaf", "compressed-file", "a 7z archive", "unpack it first"),
    (_ZIP, "compressed-file", "a zip archive", "unpack it first"),
    (b"%PDF", "not-a-table", "a PDF document", _EXPORT),
    (b"\x89PNG", "not-a-table", "a PNG image", _EXPORT),
    (b"\xff\xd8\xff", "not-a-table", "a JPEG image", _EXPORT),
    (b"\x80\x04", "not-a-table", "a Python pickle", _EXPORT),
)
_OTHER_TEXTS = (  # the same; white space and capital letters do not count
    (
        (b"version https://git-lfs.github.com/spec/",),
        "pointer-file",
        "a pointer of Git LFS in place of the table",
        "fetch the table: git lfs pull",
    ),
    (
        (b"outs:\n- ", b"outs:\r\n- "),
        "pointer-file",
        "a pointer of DVC in place of the table",
        "fetch the table: dvc pull; then name the file that this one points to",
    ),
    (
        (b"/annex/objects/",),
        "pointer-file",
        "a pointer of git-annex in place of the table",
        "fetch the table: git annex get",
    ),
    (
        (b"<!doctype html", b"<html", b"<head", b"<body", b"<table", b"<?xml", b"<!--"),
        "html-page",
        "a web page (HTML or XML)",
        "use the link to the raw file; a login page also looks like this",
    ),
    ((b"{", b"[{", b"[[", b"[\n"), "json-file", "JSON that is no list of rows", _JSON),
)


def detect_format(content: Content) -> Format:
    """Return the format by the first bytes. Raises `Refused` for a file that is no table."""
    head = content.head()
    for entry in FORMATS:
        if entry.matches(content, head):
            return entry
    _refuse_others(content, head)
    return next(entry for entry in FORMATS if not entry.magic and not entry.text)


def format_of_name(path: Path) -> Format | None:
    """Return the format that the endings of a file name promise, the last one first."""
    for ending in reversed(path.suffixes):
        for entry in FORMATS:
            if ending in entry.endings:
                return entry
    return None


def titles() -> str:
    """Return all formats in words, for example "CSV, TSV, Parquet or Feather"."""
    names = [title for entry in FORMATS for title in entry.titles]
    return f"{', '.join(names[:-1])} or {names[-1]}"


def upload_endings() -> list[str]:
    """Return the endings of files that the app accepts, without the dot."""
    endings = [ending for entry in FORMATS for ending in entry.endings]
    return [ending.removeprefix(".") for ending in (*endings, ".gz")]


def _refuse_others(content: Content, head: bytes) -> None:
    expected = f"a table as {titles()}"
    start = _text_start(head).lower()
    promised = format_of_name(Path(content.name))
    if promised and promised.holds_tables and start.startswith(_OTHER_TEXTS[-2][0]):
        raise unreadable(
            "html-page",
            content.name,
            "an HTML or XML page under the name of a workbook",
            expected=expected,
            action="open it in a spreadsheet program and save it as .xlsx",
        )
    for text, entries in ((head, _OTHERS), (start, _OTHER_TEXTS)):
        for first, code, what, action in entries:
            if text.startswith(first):
                raise unreadable(code, content.name, what, expected=expected, action=action)


def _text_start(head: bytes) -> bytes:
    """Return the beginning of a text, without white space and a byte order mark."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return head[:1024].decode("utf-16", "ignore").lstrip().encode()
    return head[:512].lstrip(b"\xef\xbb\xbf \t\r\n")


def _occurs(part: bytes, content: Content) -> bool:
    """Return whether some bytes occur in a file, also over the border of two blocks."""
    rest = b""
    for block in content.blocks():
        if part in rest + block:
            return True
        rest = block[-len(part) :]
    return False
