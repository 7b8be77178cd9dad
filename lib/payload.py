"""Payload: the bytes of a request as plain rows, or a refusal that names what was expected and found.

JSON is read strictly (RFC 8259): no NaN or Infinity, no key twice in one object, UTF-8 only, numbers that a float can
hold. MLflow's own request forms become the same rows.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from typing import Any

from lib.findings import ERROR, Finding, Refused

Row = dict[str, Any]
FORMS = '{"rows": [{column: value}]}'
MLFLOW_FORMS = ('{"dataframe_records": [{column: value}]}, {"dataframe_split": {"columns": [...], "data": [[...]]}}, '
                '{"instances": [{column: value}]} or {"inputs": {column: [values]}}')


def bad(found: str, expected: str, action: str = "correct the request", *, field: str = "body",
        code: str = "request-unreadable") -> Refused:
    """A refusal of a request with one reason."""
    return Refused("The request cannot be used", [Finding(code, ERROR, field, found, expected, action)])


def parse(body: bytes) -> Any:
    """The JSON value of a request body. Raises `Refused`."""
    if not body.strip():
        raise bad("an empty body", "JSON")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as broken:
        found = f"byte {body[broken.start]:#04x} at position {broken.start}, which is no UTF-8"
        raise bad(found, "UTF-8 text") from None
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_constant, parse_float=_float, parse_int=_int)
    except json.JSONDecodeError as broken:
        raise bad(f"{broken.msg.lower()} at line {broken.lineno}, column {broken.colno}", "valid JSON") from None
    except RecursionError:
        raise bad("values nested too deeply", "rows of plain values") from None


def rows_of(value: Any, limit: int) -> list[Row]:
    """The rows of a /predict request: {"rows": [...]}, a list of rows, or one row. Raises `Refused`."""
    if isinstance(value, Mapping) and set(value) == {"rows"}:
        value = value["rows"]
    elif isinstance(value, Mapping):
        value = [value]
    return _checked(value, limit, FORMS)


def invocation_rows(value: Any, limit: int) -> list[Row]:
    """The rows of an MLflow /invocations request. Raises `Refused`."""
    if not isinstance(value, Mapping):
        raise bad(_kind(value), MLFLOW_FORMS)
    known = [k for k in ("dataframe_records", "dataframe_split", "instances", "inputs") if k in value]
    if len(known) != 1:
        raise bad(f"the keys {sorted(map(str, value))[:10]}", f"one of {MLFLOW_FORMS}")
    held = value[known[0]]
    if known[0] == "dataframe_split":
        columns, data = (held.get("columns"), held.get("data")) if isinstance(held, Mapping) else (None, None)
        if not isinstance(columns, list) or not isinstance(data, list) or not all(
                isinstance(c, str) for c in columns) or len(set(columns)) != len(columns):
            raise bad(_kind(held), "columns (different texts) and data (a list of rows)", field="dataframe_split")
        _limit(len(data), limit)
        wrong = [n for n, row in enumerate(data) if not isinstance(row, list) or len(row) != len(columns)]
        if wrong:
            raise bad(f"row {wrong[0]} of another length", f"{len(columns)} values in each row",
                      field="dataframe_split")
        return _checked([dict(zip(columns, row, strict=True)) for row in data], limit, MLFLOW_FORMS)
    if known[0] == "inputs" and isinstance(held, Mapping):
        lists = {k: v if isinstance(v, list) else [v] for k, v in held.items()}
        lengths = {len(v) for v in lists.values()}
        if len(lengths) != 1:
            raise bad(f"columns of {len(lengths)} different lengths", "one length for all columns", field="inputs")
        _limit(max(lengths), limit)
        held = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    return _checked(held, limit, MLFLOW_FORMS)


def csv_rows(body: bytes, limit: int) -> list[Row]:
    """The rows of a text/csv request with a header; empty cells are missing. Raises `Refused`."""
    try:
        lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as broken:
        raise bad(str(broken)[:200], "comma-separated UTF-8 text with a header") from None
    if not lines or len(set(lines[0])) != len(lines[0]):
        raise bad("no header, or a column twice", "a header of different names")
    if wrong := [n for n, line in enumerate(lines[1:], 2) if len(line) != len(lines[0])]:
        raise bad(f"line {wrong[0]} with another number of cells", f"{len(lines[0])} cells in each line")
    _limit(len(lines) - 1, limit)
    return _checked([{k: v or None for k, v in zip(lines[0], line, strict=True)} for line in lines[1:]], limit, "rows")


def _checked(value: Any, limit: int, forms: str) -> list[Row]:
    if not isinstance(value, list) or not value:
        raise bad("an empty list" if value == [] else _kind(value), forms)
    _limit(len(value), limit)
    wrong = [Finding("row-no-object", ERROR, f"rows[{n}]", _kind(row), "an object {column: value}", "correct the row")
             for n, row in enumerate(value) if not isinstance(row, Mapping)]
    if wrong:
        raise Refused("The request cannot be used", wrong[:100])
    nested = [Finding("value-nested", ERROR, f"rows[{n}].{name}"[:200], _kind(cell),
                      "a number, a text, true, false or null", "give one plain value")
              for n, row in enumerate(value) for name, cell in row.items() if isinstance(cell, (list, dict))]
    if nested:
        raise Refused("The request cannot be used", nested[:100])
    return value


def _limit(rows: int, limit: int) -> None:
    if rows > limit:
        raise bad(f"{rows:,} rows", f"at most {limit:,} in one request",
                  "send several requests, or score the file with flows/score.py", code="too-many-rows")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise bad(f"the key {twice[:80]!r} twice in one object", "each key once", field=twice[:80], code="key-repeated")
    return found


def _constant(word: str) -> Any:
    raise bad(word, "a finite number, or null for an unknown value", code="number-not-finite")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise bad(f"the number {text[:40]}", "a number below 1.8e308", code="number-too-large")
    return value


def _int(text: str) -> int | float:
    return int(text) if len(text) <= 18 else _float(text)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
