"""Read one table from a file, a folder, a web address or a database.

Cells change only by missing markers and white space (`normalize`). Input that is no
table is refused: the error says what was expected, what was found and what to do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
import pyarrow as pa

from fivefold.core.findings import Finding
from fivefold.core.urls import mask
from fivefold.data.missing_markers import MARKERS
from fivefold.data.reading.normalize import normalize_table
from fivefold.data.reading.read_log import Details, ReadLog, unreadable
from fivefold.data.reading.stream import Stream, checked_tables, stream_path, stream_url

_FILE = ("", "file")
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


def read(
    source: str | Path,
    *,
    query: str | None = None,
    missing: Sequence[str] = (),
    keep: Sequence[str] = (),
    max_rows: int | None = None,
) -> Dataset:
    """Read one table.

    Parameters
    ----------
    source
        A path (a format of `formats`, also in gzip, or a folder of Parquet parts),
        an http(s) address of such a file, or a database URL (sqlite, postgresql).
    query
        A SELECT or the name of a table, for a database.
    missing
        More markers of missing cells.
    keep
        Default markers ("NA", "None") that are values here.
    max_rows
        Keep the first rows only; the md5 of a file is of all of it nevertheless.

    Returns
    -------
    The table with its findings.

    Raises
    ------
    Refused
        With all errors that are known at once.
    """
    if max_rows is not None and max_rows < 1:
        raise unreadable(
            "rows-limit",
            mask(str(source)),
            f"max_rows={max_rows}",
            expected="1 or more",
            action="raise or leave out the limit",
        )
    markers = (set(MARKERS) | set(missing)) - set(keep)
    stream = _open(str(source), query, max_rows=max_rows, markers=markers)
    log = stream.log
    table = pa.concat_tables(stream.tables)
    if max_rows is not None and table.num_rows > max_rows:
        table = table.slice(0, max_rows)
        log.warning(
            "rows-limited",
            "table",
            f"more than {max_rows:,} rows; read the first",
            expected="all rows",
            action="raise or leave out the limit",
        )
    frame = normalize_table(table, log, untyped=stream.untyped, missing=missing, keep=keep)
    log.details.rows, log.details.columns = frame.shape
    for marker, cells in log.markers.items():
        log.details.missing_markers[marker] = sum(cells.values())
    md5 = stream.md5 or content_md5(frame)
    return Dataset(frame, stream.source, md5, tuple(log.findings), log.details)


def open_stream(source: str, query: str | None = None) -> Stream:
    """Open a source as a stream. A database is read whole; files of any size are not.

    Raises `Refused` as `read`, for some errors only while the tables are read.
    """
    scheme = _scheme(source)
    if not query and scheme in (*_FILE, *_WEB):
        return _open_file(source, scheme, whole=False)
    dataset = read(source, query=query)
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
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _scheme(source: str) -> str:
    scheme, separator, _ = source.partition("://")
    return scheme.lower() if separator else ""


def _open(source: str, query: str | None, max_rows: int | None, markers: Collection[str]) -> Stream:
    """Open a source that will be held in memory as a whole."""
    scheme = _scheme(source)
    shown = mask(source)
    if scheme not in (*_FILE, *_WEB):
        from fivefold.data.reading.database import (
            select,  # SQLAlchemy is heavy; most tables are files
        )

        log = ReadLog()
        table = select(source, query, shown, log, max_rows=max_rows, markers=markers)
        return Stream(checked_tables(iter([table]), shown, log), shown, md5="", key="", log=log)
    if query:
        raise unreadable(
            "query-unused",
            shown,
            "a query for a file",
            expected="a query only with a database URL",
            action="leave out the query",
        )
    return _open_file(source, scheme, whole=True)


def _open_file(source: str, scheme: str, whole: bool) -> Stream:
    shown = mask(source)
    if scheme in _WEB:
        return stream_url(source, shown)
    path = Path(unquote(urlsplit(source).path)) if scheme else Path(source)
    return stream_path(path.expanduser(), shown, whole=whole)
