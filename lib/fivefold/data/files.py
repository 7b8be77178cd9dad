"""Files: from a file, a folder or downloaded bytes to an Arrow table; the first bytes tell the format."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding, Refused
from fivefold.data.csv_files import parse, refused

MOST_EXPANDED, SMALL_EXPANDED = (
    100,
    16 * 2**20,
)  # times its size (tables reach about 30), and bytes always allowed
_CSV = "save the table as CSV in UTF-8, Parquet or Feather"
_SHEET = "open it and save the sheet as CSV in UTF-8"
# first bytes -> (code, what it is, what to do)
_FOREIGN = (
    (
        b"SQLite format 3\0",
        "sqlite-file",
        "an SQLite database",
        "name it as sqlite:///PATH, with a query or a table name",
    ),
    (b"\xd0\xcf\x11\xe0", "excel-file", "an old Excel workbook", _SHEET),
    (b"BZh", "compressed-file", "a bzip2 file", "decompress it first, or use gzip"),
    (b"\xfd7zXZ\0", "compressed-file", "an xz file", "decompress it first, or use gzip"),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed-file",
        "a zstandard file",
        "decompress it first, or use gzip",
    ),
    (b"7z\xbc\xaf", "compressed-file", "a 7z archive", "unpack it first"),
    (b"%PDF", "not-a-table", "a PDF document", _CSV),
    (b"\x89PNG", "not-a-table", "a PNG image", _CSV),
    (b"\xff\xd8\xff", "not-a-table", "a JPEG image", _CSV),
    (b"\x80\x04", "not-a-table", "a Python pickle", _CSV),
)
_ENDINGS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
}


def read_file(path: Path) -> tuple[pa.Table, list[Finding], dict[str, Any], str]:
    """(table, findings, details, md5 of the raw bytes) of one file, or of a folder of Parquet parts.

    Raises `Refused` where there is no such file (naming the nearest) or it is no table.
    """
    subject = path.name or str(path)
    if not path.exists():
        here = path.parent
        held = [p.name for p in here.iterdir()] if here.is_dir() else []
        near = difflib.get_close_matches(path.name, held, n=3)
        action = f"did you mean {', '.join(near)}?" if near else "correct the path"
        raise refused(
            "file-missing",
            str(path),
            "no such file" if here.is_dir() else f"no folder {here}",
            "a file or a folder of Parquet parts",
            action,
        )
    try:
        if path.is_dir():
            return *_read_folder(path), folder_md5(path)
        content = path.read_bytes()
    except OSError as broken:
        raise refused(
            "file-unreadable",
            str(path),
            broken.strerror or str(broken),
            "a readable file",
            "mend the permissions or the disk",
        ) from None
    table, found, details = read_bytes(content, subject)
    wanted = next(
        (_ENDINGS[s] for s in reversed(path.suffixes) if s in _ENDINGS), details["format"]
    )
    if wanted != details["format"]:
        found.append(
            Finding(
                code="format-differs",
                severity=WARNING,
                subject=subject,
                found=f"{details['format']}, by its first bytes",
                expected=f"{wanted}, by its name",
                action="rename the file",
            )
        )
    return table, found, details, hashlib.md5(content, usedforsecurity=False).hexdigest()


def read_bytes(content: bytes, subject: str) -> tuple[pa.Table, list[Finding], dict[str, Any]]:
    """(table, findings, details) of the bytes of a CSV, Parquet or Feather file, or of one of them in gzip.

    `details` holds format, bytes, compression, and for CSV delimiter and encoding. Raises `Refused` for
    anything else.
    """
    details: dict[str, Any] = {"format": "csv", "bytes": len(content), "compression": None}
    if content.startswith(b"\x1f\x8b"):
        try:
            content, details["compression"] = _expanded(content, subject), "gzip"
        except (EOFError, zlib.error, gzip.BadGzipFile) as broken:
            raise refused(
                "gzip-damaged",
                subject,
                f"a gzip file that breaks off or is damaged ({broken})",
                "a whole gzip file",
                "copy or download it again",
            ) from None
    for kind, first in (("parquet", b"PAR1"), ("feather", (b"ARROW1", b"FEA1"))):
        if content.startswith(first):
            table, index = without_index(_arrow(content, subject, kind))
            return table, index_findings(index), {**details, "format": kind}
    _refuse_foreign(content, subject)
    table, found, said = parse(content, subject)
    return table, found, {**details, **said}


def _expanded(content: bytes, subject: str) -> bytes:
    """The content of a gzip file. Raises `Refused` where it grows as no table does: some small files fill a memory."""
    most = max(SMALL_EXPANDED, MOST_EXPANDED * len(content))
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        whole = file.read(most + 1)
    if len(whole) > most:
        raise refused(
            "gzip-bomb",
            subject,
            f"a gzip file that grows more than {MOST_EXPANDED} times",
            f"at most {MOST_EXPANDED} times its size",
            "unpack it yourself and give the file inside",
        )
    return whole


def _refuse_foreign(content: bytes, subject: str) -> None:
    expected = "a table as CSV, Parquet or Feather"
    for first, code, what, action in _FOREIGN:
        if content.startswith(first):
            raise refused(code, subject, what, expected, action)
    if content.startswith(b"PK\x03\x04"):
        if b"xl/" in content:
            raise refused("excel-file", subject, "an Excel workbook", expected, _SHEET)
        raise refused("compressed-file", subject, "a zip archive", expected, "unpack it first")
    start = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        raise refused(
            "html-page",
            subject,
            "a web page (HTML or XML)",
            expected,
            "use the link to the raw file; a login page also looks like this",
        )
    if start.startswith((b"{", b"[{", b"[[", b"[\n")):
        raise refused("json-file", subject, "JSON", expected, _CSV)


def _arrow(content: bytes, subject: str, kind: str) -> pa.Table:
    try:
        source = pa.BufferReader(content)
        return (
            parquet.ParquetFile(source).read() if kind == "parquet" else feather.read_table(source)
        )
    except (pa.ArrowException, OSError, ValueError) as broken:
        said = (str(broken).splitlines() or [type(broken).__name__])[0][:200]
        raise refused(
            f"{kind}-damaged",
            subject,
            f"a damaged {kind} file ({said})",
            f"a whole {kind} file",
            "copy or write it again",
        ) from None


def without_index(table: pa.Table) -> tuple[pa.Table, list[str]]:
    """(the table without the row labels that pandas wrote beside its columns, the names of these); named ones stay."""
    about = table.schema.pandas_metadata or {}
    index = [
        name
        for name in about.get("index_columns", ())
        if isinstance(name, str)
        and re.fullmatch(r"__index_level_\d+__", name)
        and name in table.column_names
    ]
    return table.drop_columns(index), index


def index_findings(names: Iterable[str]) -> list[Finding]:
    """That row labels were left out, once a name."""
    return [
        Finding(
            code="index-dropped",
            severity=PASSED,
            subject=name,
            found="row labels of pandas without a name; not read",
        )
        for name in dict.fromkeys(names)
    ]


def _read_folder(folder: Path) -> tuple[pa.Table, list[Finding], dict[str, Any]]:
    """All Parquet parts below a folder, by name; `key=value` folder names become columns, as in Hive.

    Raises `Refused`, naming each part whose columns differ from those of the first.
    """
    parts = [p for p in sorted(folder.rglob("*.parquet")) if not _hidden(p.relative_to(folder))]
    if not parts:
        held = sorted(p.name for p in folder.iterdir())
        seen = (
            f"{', '.join(held[:5])}{', ...' if len(held) > 5 else ''}"
            if held
            else "an empty folder"
        )
        raise refused(
            "folder-without-parquet",
            str(folder),
            seen,
            "files named *.parquet",
            "name one file, or write the parts as Parquet",
        )
    tables, labels = list[pa.Table](), list[str]()
    for part, found in zip(parts, keys([p.relative_to(folder) for p in parts]), strict=True):
        table, index = without_index(
            _arrow(part.read_bytes(), str(part.relative_to(folder)), "parquet")
        )
        tables.append(with_keys(table, found))
        labels += index
    first = set(tables[0].column_names)
    differ = []
    for part, table in zip(parts, tables, strict=True):
        if names := first ^ set(table.column_names):
            said = "; ".join(
                f"{'no' if n in first else 'one more'} column {n!r}" for n in sorted(names)[:5]
            )
            differ.append(
                Finding(
                    code="parts-differ",
                    severity=ERROR,
                    subject=str(part.relative_to(folder)),
                    found=said,
                    expected=f"the columns of {parts[0].relative_to(folder)}",
                    action="write all parts alike",
                )
            )
    if differ:
        raise Refused(f"{folder} cannot be read", differ)
    try:
        whole = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as broken:
        raise refused(
            "parts-differ",
            str(folder),
            f"parts of different types ({broken})",
            "one type a column in all parts",
            "write all parts alike",
        ) from None
    size = sum(p.stat().st_size for p in parts)
    return (
        whole,
        index_findings(labels),
        {"format": "parquet-folder", "parts": len(parts), "bytes": size},
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def keys(parts: Sequence[Path]) -> list[dict[str, pa.Scalar]]:
    """The keys in the path of each part, relative to the folder: text, or int64 where a key is a plain integer in all.

    >>> [found["k"].as_py() for found in keys([Path("k=01/a"), Path("k=12/a")])]
    ['01', '12']
    """
    cells = [
        {
            key: None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
            for key, _, value in (
                folder.partition("=") for folder in part.parts[:-1] if "=" in folder
            )
        }
        for part in parts
    ]
    words = {(key, word) for found in cells for key, word in found.items() if word is not None}
    whole = {key for key, _ in words} - {
        key for key, word in words if not re.fullmatch("0|-?[1-9][0-9]{0,17}", word)
    }
    return [
        {
            key: pa.scalar(
                int(word) if key in whole and word else word,
                pa.int64() if key in whole else pa.string(),
            )
            for key, word in found.items()
        }
        for found in cells
    ]


def with_keys(table: pa.Table, found: Mapping[str, pa.Scalar]) -> pa.Table:
    """The table of a part with its keys as columns and dictionaries as plain values, so that parts can be joined."""
    table = decoded(table)
    for key, cell in found.items():
        table = table.append_column(key, pa.repeat(cell, len(table)))
    return table


def decoded(table: pa.Table) -> pa.Table:
    """Dictionary columns as plain ones: batches and parts bring dictionaries of their own."""
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            table = table.set_column(
                place, field.name, table.column(place).cast(field.type.value_type)
            )
    return table


def folder_md5(folder: Path) -> str:
    """The `.dir` md5 DVC records for a folder: of the JSON list of its files' md5 and relative paths.

    Source: dvc_data.hashfile.tree.Tree.as_bytes. A `.dvcignore` is not read.
    """
    files = sorted((p.relative_to(folder).as_posix(), p) for p in folder.rglob("*") if p.is_file())
    listed = [{"md5": file_md5(path), "relpath": name} for name, path in files]
    text = json.dumps(listed, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"


def file_md5(path: Path) -> str:
    """The md5 of a file's raw bytes, read as a stream: the one DVC records for it."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
