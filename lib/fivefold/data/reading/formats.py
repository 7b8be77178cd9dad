"""The table of file formats: one entry describes one format.

To read a new format, add an entry to `FORMATS`. Reading whole tables and streams, the detection,
the endings that the app accepts and the messages all follow from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from fivefold.data.reading.arrow_files import read_feather, read_parquet
from fivefold.data.reading.csv_files import read_csv
from fivefold.data.reading.files import Content
from fivefold.data.reading.read_log import ReadLog, unreadable

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
    """

    name: str
    titles: tuple[str, ...]
    endings: tuple[str, ...]
    magic: tuple[bytes, ...]
    read: Reader
    untyped: bool = False


FORMATS = (
    Format("csv", ("CSV", "TSV"), (".csv", ".tsv", ".txt"), (), read_csv, untyped=True),
    Format("parquet", ("Parquet",), (".parquet", ".pq"), (b"PAR1",), read_parquet),
    Format("feather", ("Feather",), (".feather", ".arrow"), (b"ARROW1", b"FEA1"), read_feather),
)

_GUNZIP = "decompress it first, or use gzip"
_SHEET = "open it and save the sheet as CSV in UTF-8"
_EXPORT = "save the table in one of these formats"
_ZIP = b"PK\x03\x04"
_OTHERS = (  # first bytes, code, what the file is, what to do
    (
        b"SQLite format 3\0",
        "sqlite-file",
        "an SQLite database",
        "name it as sqlite:///PATH, with a query or a table name",
    ),
    (b"\xd0\xcf\x11\xe0", "excel-file", "an old Excel workbook", _SHEET),
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
        (b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--"),
        "html-page",
        "a web page (HTML or XML)",
        "use the link to the raw file; a login page also looks like this",
    ),
    ((b"{", b"[{", b"[[", b"[\n"), "json-file", "JSON", _EXPORT),
)


def detect_format(content: Content) -> Format:
    """Return the format by the first bytes. Raises `Refused` for a file that is no table."""
    head = content.head()
    for entry in FORMATS:
        if entry.magic and head.startswith(entry.magic):
            return entry
    _refuse_others(content, head)
    return next(entry for entry in FORMATS if not entry.magic)


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
    if head.startswith(_ZIP) and any(b"xl/" in block for block in content.blocks()):
        raise unreadable(
            "excel-file", content.name, "an Excel workbook", expected=expected, action=_SHEET
        )
    start = head[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for text, entries in ((head, _OTHERS), (start, _OTHER_TEXTS)):
        for first, code, what, action in entries:
            if text.startswith(first):
                raise unreadable(code, content.name, what, expected=expected, action=action)
