"""Sources: one table from a file, a folder, a web address or a database, with what was detected on the way.

What is read is never repaired beyond missing markers and surrounding white space; `fivefold.data.normalize` has the rules.
Every input that is no table is a `Refused` with what was expected, what was found and what to do.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import pandas as pd

from fivefold.core.findings import WARNING, Finding, refuse_errors
from fivefold.core.urls import mask
from fivefold.data.csv_files import refused, tidy_names
from fivefold.data.files import read_bytes, read_file
from fivefold.data.missing_markers import MARKERS
from fivefold.data.normalize import Log, settle

HTTP_SECONDS = 30  # of silence, not of the whole download
HTTP_BYTES = 2 << 30


@dataclass(frozen=True)
class Dataset:
    """A table as it was read.

    `source` is what the user named, secrets masked. `md5` is, for a file, that of its raw bytes (the one DVC
    records, also for .gz); for a folder DVC's `.dir` md5; for a web address that of the bytes received; for a
    database `content_md5` of the rows read. `details` is JSON-ready: format, rows, columns, missing_markers
    {marker: cells}, and where they apply bytes, compression, delimiter, encoding, parts, query, content_type.
    """

    frame: pd.DataFrame
    source: str
    md5: str
    rows: int
    findings: tuple[Finding, ...]
    details: dict[str, Any]


def read(
    source: str | Path,
    *,
    query: str | None = None,
    missing: Sequence[str] = (),
    keep: Sequence[str] = (),
    max_rows: int | None = None,
) -> Dataset:
    """The table at `source`: a path (CSV, TSV, .gz, Parquet, Feather, a folder of Parquet parts), an http(s)
    address of such a file, or a database URL (sqlite, postgresql) with a `query` (SELECT or table name).

    `missing` adds missing markers, `keep` makes default ones ("NA", "None") values. `max_rows` keeps the
    first rows only; the md5 of a file is of all of it nevertheless. Raises `Refused`, naming all errors known
    at once.
    """
    source = str(source)
    named, log = mask(source), Log()
    scheme = source.partition("://")[0].lower() if "://" in source else ""
    if query and scheme in ("", "file", "http", "https"):
        raise refused(
            "query-unused",
            named,
            "a query for a file",
            "a query only with a database URL",
            "leave out the query",
        )
    if max_rows is not None and max_rows < 1:
        raise refused(
            "rows-limit", named, f"max_rows={max_rows}", "1 or more", "raise or leave out the limit"
        )
    md5 = ""
    if scheme in ("http", "https"):
        content, details = _download(source, named)
        table, found, said = read_bytes(content, named)
        details, md5 = {**said, **details}, hashlib.md5(content, usedforsecurity=False).hexdigest()
    elif scheme in ("", "file"):
        path = Path(unquote(urlsplit(source).path)) if scheme else Path(source)
        table, found, details, md5 = read_file(path.expanduser())
    else:
        from fivefold.data.database import select  # SQLAlchemy is heavy, and most tables are files

        markers = [*(set(MARKERS) | set(missing)) - set(keep)]
        table, details = select(source, query, named, log, max_rows=max_rows, markers=markers)
        found = []
    if not table.num_rows or not table.num_columns:
        raise refused(
            "no-rows",
            named,
            f"{table.num_columns} columns, no rows",
            "rows",
            "write or select rows",
        )
    if details["format"] != "csv":
        names = tidy_names(list(table.column_names), found)
        refuse_errors(f"{named} cannot be read", found)
        table = table.rename_columns(names)
    if max_rows is not None and table.num_rows > max_rows:
        found.append(
            Finding(
                code="rows-limited",
                severity=WARNING,
                subject="table",
                found=f"more than {max_rows:,} rows; read the first",
                expected="all rows",
                action="raise or leave out the limit",
            )
        )
        table = table.slice(0, max_rows)
    frame = settle(table, log, numbers=details["format"] == "csv", missing=missing, keep=keep)
    details |= {
        "rows": len(frame),
        "columns": frame.shape[1],
        "missing_markers": {marker: sum(cells.values()) for marker, cells in log.markers.items()},
    }
    return Dataset(
        frame, named, md5 or content_md5(frame), len(frame), (*found, *log.findings), details
    )


def content_md5(frame: pd.DataFrame, ordered: bool = False) -> str:
    """An md5 of column names, dtypes and rows that does not depend on the order of the rows, unless `ordered`.

    A database gives rows in any order unless told; the md5 is of the sorted 64-bit hashes of the rows
    (`pandas.util.hash_pandas_object`) after a JSON list of names and dtypes.
    """
    head = json.dumps([[str(name), str(kind)] for name, kind in frame.dtypes.items()]).encode()
    hashes = pd.util.hash_pandas_object(frame, index=False)
    rows = (hashes if ordered else hashes.sort_values()).to_numpy()
    return hashlib.md5(head + rows.astype("<u8").tobytes(), usedforsecurity=False).hexdigest()


def _download(url: str, named: str) -> tuple[bytes, dict[str, Any]]:
    """(content, {bytes, content_type}) of an http(s) address; user and password in it go as Basic login."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    plain = urlunsplit(
        (parts.scheme, host, quote(parts.path, safe="/%:@!$&'()*+,;=~"), parts.query, "")
    )
    request = urllib.request.Request(plain, headers={"User-Agent": "fivefold"})  # noqa: S310
    if "@" in parts.netloc:
        login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}".encode()
        request.add_unredirected_header("Authorization", "Basic " + b64encode(login).decode())
    expected = "an address that answers with a table"
    try:
        with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as response:  # noqa: S310
            content = response.read(HTTP_BYTES + 1)
            kind = response.headers.get_content_type()
            promised = int(response.headers.get("Content-Length") or len(content))
    except urllib.error.HTTPError as broken:
        hint = "pass credentials" if broken.code in (401, 403) else "correct the address"
        raise refused(
            "http-status", named, f"HTTP {broken.code} {broken.reason}", expected, hint
        ) from None
    except TimeoutError:
        raise refused(
            "http-timeout",
            named,
            f"no answer within {HTTP_SECONDS} s",
            expected,
            "try again, or download the file first",
        ) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as broken:
        reason = getattr(broken, "reason", None) or broken
        raise refused(
            "http-unreachable",
            named,
            f"no answer: {reason}",
            expected,
            "check the address and the network",
        ) from None
    if len(content) > HTTP_BYTES:
        raise refused(
            "http-too-large",
            named,
            f"more than {HTTP_BYTES >> 30} GiB",
            "a smaller table",
            "download the file first, or send Parquet",
        )
    if len(content) < promised:
        raise refused(
            "http-incomplete",
            named,
            f"{len(content):,} of {promised:,} bytes",
            "the whole file",
            "try again",
        )
    return content, {"bytes": len(content), "content_type": kind}
