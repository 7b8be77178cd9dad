"""Read one table from a file, a folder, a web address or a database.

Cells change only by missing markers and white space (`normalize`). Input that is no
table is refused: the error says what was expected, what was found and what to do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa

from fivefold.core.findings import Finding, refuse_errors
from fivefold.core.urls import mask
from fivefold.data.missing_markers import NO_RULES, CellRules
from fivefold.data.reading.arrow_files import read_folder, without_dictionaries
from fivefold.data.reading.csv_files import tidy_names
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
from fivefold.data.reading.normalize import normalize_table
from fivefold.data.reading.read_log import Details, ReadLog, unreadable

_WEB = ("http", "https")


@dataclass(frozen=True)
class Dataset:
    """A table as it was read.

    `source` is what the user named, without secrets. `md5` is, for a file, that of its raw bytes
    (the one DVC records, also for .gz); for a folder DVC's `.dir` md5; for a web address that of
    the bytes received; for a database the `content_md5` of the rows.
    """

    frame: pd.DataFrame
    source: str
    md5: str
    findings: tuple[Finding, ...]
    details: Details

    @property
    def rows(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Stream:
    """The tables of a source, all of one schema; they can be read once.

    `source` and `md5` are those of `Dataset`, `key` is an md5 of the rows in
    this order. `untyped` says that all cells are text that may turn out to be numbers (CSV). The
    log is complete, and all errors are known, once the tables have been read.
    """

    tables: Iterator[pa.Table]
    source: str
    md5: str
    key: str
    log: ReadLog
    untyped: bool = False


def read(source: str | Path, *, query: str | None = None, rules: CellRules = NO_RULES) -> Dataset:
    """Read one table.

    Parameters
    ----------
    source
        A path (a format of `formats`, also in gzip, or a folder of Parquet parts),
        an http(s) address of such a file, or a database URL (sqlite, postgresql).
    query
        A SELECT or the name of a table, for a database.
    rules
        Which texts mean missing in which column, and which columns stay text.

    Returns
    -------
    The table with its findings.

    Raises
    ------
    Refused
        With all errors that are known at once.
    """
    stream = _open(str(source), query)
    log = stream.log
    table = pa.concat_tables(stream.tables)
    frame = normalize_table(table, log, untyped=stream.untyped, rules=rules)
    log.details.rows, log.details.columns = frame.shape
    for marker, cells in log.markers.items():
        log.details.missing_markers[marker] = cells.total()
    md5 = stream.md5 or content_md5(frame)
    return Dataset(frame, stream.source, md5, tuple(log.findings), log.details)


def open_stream(source: str, query: str | None = None, rules: CellRules = NO_RULES) -> Stream:
    """Open a source as a stream. A database is read whole; files of any size are not.

    Raises `Refused` as `read`, for some errors only while the tables are read.
    """
    if not query and not _is_database(source):
        return _open_file(source, whole=False)
    dataset = read(source, query=query, rules=rules)
    tables = iter([pa.Table.from_pandas(dataset.frame, preserve_index=False)])
    log = ReadLog(list(dataset.findings), dataset.details)
    key = content_md5(dataset.frame, ordered=True)
    return Stream(tables, dataset.source, dataset.md5, key, log)


def content_md5(frame: pd.DataFrame, ordered: bool = False) -> str:
    """Return an md5 of column names, dtypes and rows.

    A database gives rows in any order, so the order of the rows does not count unless `ordered`:
    the md5 is of the sorted 64-bit hashes of the rows (`pandas.util.hash_pandas_object`) after a
    JSON list of names and dtypes.
    """
    head = json.dumps([[str(name), str(dtype)] for name, dtype in frame.dtypes.items()])
    hashes = pd.util.hash_pandas_object(frame, index=False)
    if not ordered:
        hashes = hashes.sort_values()
    content = head.encode() + hashes.to_numpy().astype("<u8").tobytes()
    return bytes_md5(content)


def _is_database(source: str) -> bool:
    return _scheme(source) not in ("", "file", *_WEB)


def _scheme(source: str) -> str:
    scheme, separator, _ = source.partition("://")
    return scheme.lower() if separator else ""


def _open(source: str, query: str | None) -> Stream:
    """Open a source that will be held in memory as a whole."""
    shown = mask(source)
    if _is_database(source):
        # SQLAlchemy is heavy, and most tables are files
        from fivefold.data.reading.database import select

        log = ReadLog()
        return _stream(iter([select(source, query, shown, log)]), shown, "", log)
    if query:
        raise unreadable(
            "query-unused",
            shown,
            "a query for a file",
            expected="a query only with a database URL",
            action="leave out the query",
        )
    return _open_file(source, whole=True)


def _open_file(source: str, *, whole: bool) -> Stream:
    """Open a file, a folder of Parquet parts or a download.

    No CSV, Parquet or Feather file is held whole. `whole` says that the caller will hold all
    tables in memory: they are read fast, in large blocks.
    """
    shown = mask(source)
    scheme = _scheme(source)
    log = ReadLog()
    if scheme in _WEB:
        data = download(source, shown, log)
        return _content_stream(open_bytes(data, shown), shown, bytes_md5(data), log)
    path = Path(unquote(urlsplit(source).path)) if scheme else Path(source)
    path = path.expanduser()
    require_path(path)
    if path.is_dir():
        return _stream(read_folder(path, log, whole=whole), shown, path_md5(path), log)
    content = open_file(path, whole=whole)
    return _content_stream(content, shown, path_md5(path), log, format_of_name(path))


def _content_stream(
    content: Content, shown: str, md5: str, log: ReadLog, promised: Format | None = None
) -> Stream:
    """Return the stream of one file; `promised` is the format that its name promises."""
    entry = detect_format(content)
    log.details.format = entry.name
    log.details.bytes = content.size
    log.details.compression = content.compression
    tables = entry.read(content, log)
    if promised and promised is not entry:
        tables = _note_other_format(tables, content.name, entry, promised, log)
    return _stream(tables, shown, md5, log, entry.untyped)


def _stream(
    tables: Iterator[pa.Table], shown: str, md5: str, log: ReadLog, untyped: bool = False
) -> Stream:
    checked = _checked_tables(tables, shown, log)
    return Stream(checked, shown, md5, key=md5, log=log, untyped=untyped)


def _checked_tables(tables: Iterator[pa.Table], shown: str, log: ReadLog) -> Iterator[pa.Table]:
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


def _note_other_format(
    tables: Iterator[pa.Table], subject: str, entry: Format, promised: Format, log: ReadLog
) -> Iterator[pa.Table]:
    """Note, once the file turns out readable, that its name promises another format."""
    first = next(tables)
    log.warning(
        "format-differs",
        subject,
        f"{entry.name}, by its first bytes",
        expected=f"{promised.name}, by its name",
        action="rename the file",
    )
    yield first
    yield from tables
