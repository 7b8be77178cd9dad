"""Streams: a source of any size as a sequence of Arrow tables, decided on as `fivefold.data.source` decides on the whole.

CSV, TSV (also .gz), Parquet, folders of Parquet parts and Arrow files are never held whole. Other sources (databases,
web addresses, Parquet inside gzip, whatever is no table) are read by `fivefold.data.source.read`, which also says what is wrong.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as parquet

from fivefold.core.findings import ERROR, Finding, Refused, refuse_errors
from fivefold.core.urls import mask
from fivefold.data import files
from fivefold.data import source as sources
from fivefold.data.csv_files import refused, tidy_names
from fivefold.data.csv_stream import BLOCK, delimited

ROWS = 65_536  # rows of one table of a Parquet stream


@dataclass(frozen=True)
class Stream:
    """`tables`, one after another and all of one schema, can be gone through once; `source`, `md5` and `findings` are
    those of `fivefold.data.source.Dataset`; key is an md5 of the rows in this order. texts: whether all columns are texts that
    may yet turn out to be numbers (CSV).
    """

    tables: Iterator[pa.Table]
    texts: bool
    source: str
    md5: str
    findings: list[Finding]
    key: str


def open_stream(source: str, query: str | None = None) -> Stream:
    """The source as a stream. Raises `Refused` as `fivefold.data.source.read`, some errors only while the tables are read."""
    scheme, found = source.partition("://")[0].lower() if "://" in source else "", list[Finding]()
    path = Path(unquote(urlsplit(source).path)) if scheme == "file" else Path(source).expanduser()
    kind = "" if query or scheme not in ("", "file") else _kind(path)
    if not kind:
        whole = sources.read(source, query=query)
        return Stream(
            iter([pa.Table.from_pandas(whole.frame, preserve_index=False)]),
            False,
            whole.source,
            whole.md5,
            list(whole.findings),
            sources.content_md5(whole.frame, ordered=True) if query else whole.md5,
        )
    md5 = files.folder_md5(path) if kind == "folder" else files.file_md5(path)
    tables = delimited(path, found) if kind == "csv" else _declared(path, kind, found)
    return Stream(tables, kind == "csv", mask(source), md5, found, md5)


def _kind(path: Path) -> str:
    """csv, parquet, folder or arrow by the first bytes; "" for all that is better read, or refused, whole."""
    try:
        if path.is_dir():
            return "folder" if _parts(path) else ""
        with path.open("rb") as file:
            head = file.read(BLOCK)
        packed = head.startswith(b"\x1f\x8b")
        if packed:
            with gzip.open(path) as file:
                head = file.read(BLOCK)
        if head.startswith((b"PAR1", b"ARROW1", b"FEA1")):
            return "" if packed else {b"PA": "parquet", b"AR": "arrow"}.get(head[:2], "")
        files._refuse_foreign(head, path.name)
        return "csv" if head.strip() else ""
    except (OSError, EOFError, zlib.error, Refused):
        return ""


def _parts(folder: Path) -> list[Path]:
    return [
        p for p in sorted(folder.rglob("*.parquet")) if not files._hidden(p.relative_to(folder))
    ]


def _declared(path: Path, kind: str, found: list[Finding]) -> Iterator[pa.Table]:
    parts = _parts(path) if kind == "folder" else [path]
    names = {p: str(p.relative_to(path)) if kind == "folder" else p.name for p in parts}
    held = files.keys([p.relative_to(path) for p in parts])  # of a single file none
    shapes, labels = [], list[str]()
    for part, cells in zip(parts, held, strict=True):
        with _damage(names[part], "feather" if kind == "arrow" else "parquet"):
            schema = _arrow_file(part).schema if kind == "arrow" else parquet.read_schema(part)
            row = pa.table([pa.nulls(1, field.type) for field in schema], names=schema.names)
            row, index = files.without_index(row.replace_schema_metadata(schema.metadata))
            shapes.append(files.with_keys(row, cells))
            labels += index
    first = set(shapes[0].column_names)
    differ = [
        Finding(
            code="parts-differ",
            severity=ERROR,
            subject=names[p],
            found="; ".join(
                f"{'no' if n in first else 'one more'} column {n!r}"
                for n in sorted(first ^ set(table.column_names))[:5]
            ),
            expected=f"the columns of {names[parts[0]]}",
            action="write all parts alike",
        )
        for p, table in zip(parts, shapes, strict=True)
        if first != set(table.column_names)
    ]
    refuse_errors(f"{path} cannot be read", differ)
    try:
        model = pa.concat_tables(shapes, promote_options="permissive").slice(0, 0)
    except pa.ArrowException as broken:
        raise refused(
            "parts-differ",
            str(path),
            f"parts of different types ({broken})",
            "one type a column in all parts",
            "write all parts alike",
        ) from None
    tidy = tidy_names(list(model.column_names), found)
    refuse_errors(f"{path.name} cannot be read", found)
    found += files.index_findings(labels)
    return _declared_tables(dict(zip(parts, held, strict=True)), names, kind, model, tidy)


def _declared_tables(
    parts: dict[Path, dict[str, pa.Scalar]],
    names: dict[Path, str],
    kind: str,
    model: pa.Table,
    tidy: list[str],
) -> Iterator[pa.Table]:
    """The tables of the parts, which come with their keys, all as `model` is."""
    for part, cells in parts.items():
        with _damage(names[part], "feather" if kind == "arrow" else "parquet"):
            if kind == "arrow":
                file = _arrow_file(part)
                batches: Iterator[pa.RecordBatch] = map(
                    file.get_batch, range(file.num_record_batches)
                )
            else:
                batches = parquet.ParquetFile(part).iter_batches(batch_size=ROWS)
            for batch in batches:
                table = files.with_keys(
                    files.without_index(pa.Table.from_batches([batch]))[0], cells
                )
                yield pa.concat_tables([model, table], promote_options="permissive").rename_columns(
                    tidy
                )


def _arrow_file(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path)))


class _damage:
    """What Arrow says of a damaged file, as `Refused`."""

    def __init__(self, subject: str, kind: str):
        self.subject, self.kind = subject, kind

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: Any, broken: BaseException | None, __: Any) -> None:
        if isinstance(broken, (pa.ArrowException, OSError)):
            said = (str(broken).splitlines() or [type(broken).__name__])[0][:200]
            raise refused(
                f"{self.kind}-damaged",
                self.subject,
                f"a damaged {self.kind} file ({said})",
                f"a whole {self.kind} file",
                "copy or write it again",
            ) from None
