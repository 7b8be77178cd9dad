"""Parquet and Feather files, and folders of Parquet parts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet

from fivefold.core.findings import refuse_errors
from fivefold.core.text import error_line, listed
from fivefold.data.reading.files import Content, open_file
from fivefold.data.reading.read_log import ReadLog, unreadable

STREAM_ROWS = 1 << 16  # of one table of a stream
WHOLE_ROWS = 1 << 20  # of one table, if all are held in memory anyway


def read_parquet(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows of a Parquet file. Raises `Refused` for a damaged file."""
    rows = WHOLE_ROWS if content.whole else STREAM_ROWS
    with _damage_refused("parquet", content.name):
        file = parquet.ParquetFile(content.arrow_file())
        yield from _tables(file.schema_arrow, file.iter_batches(batch_size=rows), log)


def read_feather(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows of a Feather (Arrow IPC) file. Raises `Refused` for a damaged file."""
    with _damage_refused("feather", content.name):
        if content.head().startswith(b"FEA1"):  # version 1 is no Arrow IPC file
            table = feather.read_table(content.arrow_file())
            yield from _tables(table.schema, table.to_batches(), log)
            return
        # One batch may be as large as the file. A frame must not depend on a mapped file, which
        # another process may rewrite.
        file = pa.ipc.open_file(content.arrow_file(mapped=not content.whole))
        batches = map(file.get_batch, range(file.num_record_batches))
        yield from _tables(file.schema, batches, log)


def read_folder(folder: Path, log: ReadLog, *, whole: bool) -> Iterator[pa.Table]:
    """Yield the rows of all Parquet parts below a folder, by name.

    Folder names such as `key=value` become columns, as in Hive. Raises `Refused` for a folder
    without parts, and naming each part whose columns differ from those of the first.
    """
    paths = _part_paths(folder)
    if not paths:
        names = sorted(path.name for path in folder.iterdir())
        raise unreadable(
            "folder-without-parquet",
            str(folder),
            listed(names) or "an empty folder",
            expected="files named *.parquet",
            action="name one file, or write the parts as Parquet",
        )
    log.details.format = "parquet-folder"
    log.details.parts = len(paths)
    log.details.bytes = sum(path.stat().st_size for path in paths)
    keys = partition_keys([path.relative_to(folder) for path in paths])
    parts = [
        _Part(path, str(path.relative_to(folder)), key)
        for path, key in zip(paths, keys, strict=True)
    ]
    schemas = [next(part.tables(log, whole)).schema for part in parts]
    empty = _common_schema(folder, parts, schemas).empty_table()
    yield empty
    for part in parts:
        for table in part.tables(log, whole):
            yield pa.concat_tables([empty, table], promote_options="permissive")


def partition_keys(paths: Sequence[Path]) -> list[dict[str, pa.Scalar]]:
    """Return the keys in the path of each part, relative to the folder.

    A key is int64 if it is a plain integer in all parts, else text.

    >>> [keys["k"].as_py() for keys in partition_keys([Path("k=01/a"), Path("k=12/a")])]
    ['01', '12']
    """
    parts = [_key_texts(path) for path in paths]
    kinds: dict[str, pa.DataType] = {}
    for texts in parts:
        for key, text in texts.items():
            is_integer = text is None or re.fullmatch("0|-?[1-9][0-9]{0,17}", text)
            kinds[key] = kinds.get(key, pa.int64()) if is_integer else pa.string()
    cells = []
    for texts in parts:
        written = {key: pa.scalar(text, pa.string()) for key, text in texts.items()}
        cells.append({key: cell.cast(kinds[key]) for key, cell in written.items()})
    return cells


def without_dictionaries(table: pa.Table) -> pa.Table:
    """Return the table with plain columns in place of dictionary columns.

    Batches and parts bring dictionaries of their own, so that their tables could not be joined.
    """
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            plain = table.column(position).cast(field.type.value_type)
            table = table.set_column(position, field.name, plain)
    return table


@dataclass(frozen=True)
class _Part:
    """One Parquet file of a folder: its name within the folder and the keys in that name."""

    path: Path
    name: str
    keys: Mapping[str, pa.Scalar]

    def tables(self, log: ReadLog, whole: bool) -> Iterator[pa.Table]:
        """Yield an empty table, then the rows, all with the keys."""
        content = replace(open_file(self.path, whole=whole), name=self.name)
        for table in read_parquet(content, log):
            table = without_dictionaries(table)
            for key, cell in self.keys.items():
                table = table.append_column(key, pa.repeat(cell, len(table)))
            yield table


def _part_paths(folder: Path) -> list[Path]:
    """Return the Parquet files below a folder that are not hidden."""
    paths = []
    for path in sorted(folder.rglob("*.parquet")):
        names = path.relative_to(folder).parts
        if not any(name.startswith((".", "_")) for name in names):
            paths.append(path)
    return paths


def _tables(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], log: ReadLog
) -> Iterator[pa.Table]:
    """Yield an empty table, then the batches, all without unnamed row labels of pandas."""
    indexes = (schema.pandas_metadata or {}).get("index_columns", ())
    unnamed = [name for name in schema.names if re.fullmatch(r"__index_level_\d+__", name)]
    labels = [name for name in unnamed if name in indexes]
    for name in labels:
        log.passed("index-dropped", name, "row labels of pandas without a name; not read")
    _note_categories(schema, log)
    yield schema.empty_table().drop_columns(labels)
    for batch in batches:
        yield pa.Table.from_batches([batch]).drop_columns(labels)


def _note_categories(schema: pa.Schema, log: ReadLog) -> None:
    """Note whole numbers that are categories without an order by the type of Arrow or pandas.

    Parquet itself keeps integer categories as integers; pandas says in its metadata what they were.
    """
    kinds = {field.name: field.type for field in schema}
    names = [
        name
        for name, kind in kinds.items()
        if pa.types.is_dictionary(kind)
        and pa.types.is_integer(kind.value_type)
        and not kind.ordered
    ]
    for column in (schema.pandas_metadata or {}).get("columns", ()):
        name, facts = column.get("name"), column.get("metadata") or {}
        is_category = column.get("pandas_type") == "categorical" and not facts.get("ordered")
        if is_category and name in kinds and pa.types.is_integer(kinds[name]):
            names.append(name)
    if names:
        log.details.categories = sorted({*names, *(log.details.categories or ())})
        found = "whole numbers, categories by the type in the file"
        log.passed("categories-declared", ", ".join(names), found)


def _common_schema(folder: Path, parts: Sequence[_Part], schemas: Sequence[pa.Schema]) -> pa.Schema:
    first = set(schemas[0].names)
    differences = ReadLog()
    for part, schema in zip(parts, schemas, strict=True):
        names = sorted(first ^ set(schema.names))
        if not names:
            continue
        found = [f"{'no' if n in first else 'one more'} column {n!r}" for n in names[:5]]
        differences.error(
            "parts-differ",
            part.name,
            "; ".join(found),
            expected=f"the columns of {parts[0].name}",
            action="write all parts with the same columns and types",
        )
    refuse_errors(f"{folder} cannot be read", differences.findings)
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise unreadable(
            "parts-differ",
            str(folder),
            f"parts of different types ({error})",
            expected="one type a column in all parts",
            action="write all parts with the same columns and types",
        ) from None


def _key_texts(path: Path) -> dict[str, str | None]:
    texts: dict[str, str | None] = {}
    for folder in path.parts[:-1]:
        key, sign, value = folder.partition("=")
        if sign:
            texts[key] = None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
    return texts


@contextlib.contextmanager
def _damage_refused(kind: str, subject: str) -> Iterator[None]:
    """Turn an Arrow error on a damaged file into `Refused`."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise unreadable(
            f"{kind}-damaged",
            subject,
            f"a damaged {kind} file ({error_line(error)})",
            expected=f"a whole {kind} file",
            action="copy or write it again",
        ) from None
