"""A file, folder or download of any size as a sequence of Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fivefold.core.findings import refuse_errors
from fivefold.data.reading.arrow_files import read_folder, without_dictionaries
from fivefold.data.reading.column_names import tidy_names
from fivefold.data.reading.download import download
from fivefold.data.reading.files import (
    Content,
    bytes_md5,
    open_bytes,
    open_file,
    path_md5,
    require_path,
)
from fivefold.data.reading.formats import Format, detect_format, format_of_name
from fivefold.data.reading.read_log import ReadLog, unreadable


@dataclass(frozen=True)
class Stream:
    """The tables of a source, all of one schema; they can be read once.

    `source` and `md5` are those of `source.Dataset`, `key` is an md5 of the rows in
    this order. `untyped` says that all cells are text that may turn out to be numbers (CSV). The
    log is complete, and all errors are known, once the tables have been read.
    """

    tables: Iterator[pa.Table]
    source: str
    md5: str
    key: str
    log: ReadLog
    untyped: bool = False


def stream_path(path: Path, shown: str, *, whole: bool) -> Stream:
    """Open a file or a folder of Parquet parts; no CSV, Parquet or Feather file is held whole.

    Parameters
    ----------
    path
        The file or folder.
    shown
        What the user named, without secrets, for messages.
    whole
        The caller will hold all tables in memory: read fast, in large blocks.

    Raises
    ------
    Refused
        If there is no such file or it is no table; for some errors only while the tables are
        read. The errors of a CSV are named all at once.
    """
    require_path(path)
    log = ReadLog()
    if path.is_dir():
        tables = read_folder(path, log, whole=whole)
        return _stream(tables, shown, path_md5(path), log)
    content = open_file(path, whole=whole)
    entry = detect_format(content)
    tables = _read(content, entry, log)
    promised = format_of_name(path)
    if promised and promised is not entry:
        tables = _note_other_format(tables, content.name, entry, promised, log)
    return _stream(tables, shown, path_md5(path), log, entry.untyped)


def stream_url(url: str, shown: str) -> Stream:
    """Download a file and open it. Raises `Refused` as `stream_path`."""
    log = ReadLog()
    data = download(url, shown, log)
    content = open_bytes(data, shown)
    entry = detect_format(content)
    return _stream(_read(content, entry, log), shown, bytes_md5(data), log, entry.untyped)


def checked_tables(tables: Iterator[pa.Table], shown: str, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the tables that have rows, with tidy names and without dictionaries.

    Raises `Refused` for duplicate names, and at the end if there was no row.
    """
    names: list[str] | None = None
    rows = 0
    for table in tables:
        if names is None:
            names = tidy_names(table.column_names, log)
            refuse_errors(f"{shown} cannot be read", log.findings)
        if table.num_rows and names:
            rows += table.num_rows
            yield without_dictionaries(table.rename_columns(names))
    if not rows:
        raise unreadable(
            "no-rows",
            shown,
            f"{len(names or ())} columns, no rows",
            expected="rows",
            action="write or select rows",
        )


def _stream(
    tables: Iterator[pa.Table], shown: str, md5: str, log: ReadLog, untyped: bool = False
) -> Stream:
    checked = checked_tables(tables, shown, log)
    return Stream(checked, shown, md5, key=md5, log=log, untyped=untyped)


def _read(content: Content, entry: Format, log: ReadLog) -> Iterator[pa.Table]:
    log.details.format = entry.name
    log.details.bytes = content.size
    log.details.compression = content.compression
    return entry.read(content, log)


def _note_other_format(
    tables: Iterator[pa.Table], subject: str, entry: Format, promised: Format, log: ReadLog
) -> Iterator[pa.Table]:
    """Note, once the file turns out readable, that its name promises another format."""
    for number, table in enumerate(tables):
        if number == 0:
            log.warning(
                "format-differs",
                subject,
                f"{entry.name}, by its first bytes",
                expected=f"{promised.name}, by its name",
                action="rename the file",
            )
        yield table
