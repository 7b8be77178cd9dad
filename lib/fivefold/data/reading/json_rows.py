"""JSON rows: one object a line, or one list of objects.

Cells become text as they are written, as in CSV, so that a table reads the same from both. An
absent key is a missing cell.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from fivefold.core.findings import Refused, refuse_errors
from fivefold.core.text import error_line, listed
from fivefold.data.reading.files import Content
from fivefold.data.reading.normalize import TEXT, json_text
from fivefold.data.reading.read_log import ReadLog, unreadable
from fivefold.data.reading.text_encoding import TextFile, detect_encoding

_TABLE_ROWS = 1 << 16  # of one table
_EXPORT = "write one object a row (pandas: to_json(orient='records', lines=True))"
Pairs: TypeAlias = list[tuple[str, Any]]


def read_json_rows(content: Content, log: ReadLog) -> Iterator[pa.Table]:
    """Yield the rows as tables of text, an empty one first.

    The text is read twice: the names of all columns are known first. Raises `Refused` for text
    that is no JSON, naming the line, for other values than objects, and for a key that stands
    twice in one object.
    """
    text = detect_encoding(content, log)
    names: dict[str, None] = {}
    nested: set[str] = set()
    rows = 0
    for number, pairs in enumerate(_objects(text), 1):
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            _refuse_twice(keys, number, content.name)
        names.update(dict.fromkeys(keys))
        nested.update(key for key, value in pairs if isinstance(value, dict | list))
        rows = number
    if rows == 1 and nested:
        raise _damaged(content.name, f"one object with the keys {listed(list(names))}")
    for name in sorted(nested):
        log.warning(
            "nested-values",
            name,
            "lists or objects; written as JSON text",
            expected="one plain value a cell",
            action="split it into columns at the source",
        )
    log.passed("json-rows", content.name, f"{rows:,} objects, {len(names)} keys")
    yield _table([], list(names))
    batch: list[Pairs] = []
    for pairs in _objects(text):
        batch.append(pairs)
        if len(batch) == _TABLE_ROWS:
            yield _table(batch, list(names))
            batch = []
    if batch:
        yield _table(batch, list(names))


def _table(rows: Sequence[Pairs], names: Sequence[str]) -> pa.Table:
    values = [dict(pairs) for pairs in rows]
    columns = [pa.array([_cell(row.get(name)) for row in values], TEXT) for name in names]
    return pa.Table.from_arrays(columns, names=list(names))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json_text(value) if isinstance(value, dict | list) else str(value)


def _objects(text: TextFile) -> Iterator[Pairs]:
    """Yield the objects of a text; numbers keep the form in which they are written."""
    decoder = json.JSONDecoder(
        object_pairs_hook=_Object, parse_float=str, parse_int=str, parse_constant=str
    )
    name = text.content.name
    with io.TextIOWrapper(text.open(), encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = decoder.decode(line)
            except (ValueError, RecursionError) as error:
                why = getattr(error, "msg", "nested too deeply")
                rest = line + lines.read() if number == 1 or line.strip() in "[{" else ""
                if not rest:
                    raise _damaged(name, f"no JSON in line {number:,} ({why})") from None
                yield from _document(decoder, rest, name)
                return
            if isinstance(value, list) and number == 1:
                yield from _rows_of(value, name)
            elif isinstance(value, _Object):
                yield value.pairs
            else:
                raise _damaged(name, f"another value than an object in line {number:,}")


def _document(decoder: json.JSONDecoder, text: str, name: str) -> Iterator[Pairs]:
    """Yield the rows of a JSON document over several lines, which is one list of objects."""
    try:
        value = decoder.decode(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(name, f"no JSON ({error_line(error)})") from None
    yield from _rows_of(value, name)


def _rows_of(value: Any, name: str) -> Iterator[Pairs]:
    if isinstance(value, list) and value and all(isinstance(row, _Object) for row in value):
        for row in value:
            yield row.pairs
        return
    what = "an empty list"
    if isinstance(value, _Object):
        what = f"one object with the keys {listed([key for key, _ in value.pairs])}"
    elif value:
        what = "a list of other values than objects"
    raise _damaged(name, what)


class _Object(dict[str, Any]):
    """An object that remembers a key which stands twice."""

    def __init__(self, pairs: Pairs):
        super().__init__(pairs)
        self.pairs = pairs


def _refuse_twice(keys: Sequence[str], number: int, subject: str) -> None:
    problems = ReadLog()
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        problems.error(
            "duplicate-columns",
            key,
            f"the key {key!r} twice in object {number:,}",
            expected="each name once",
            action="rename or delete one",
        )
    refuse_errors(f"{subject} cannot be read", problems.findings)


def _damaged(name: str, found: str) -> Refused:
    return unreadable("json-file", name, found, expected="one JSON object a line", action=_EXPORT)
