"""Cases: single rows as plain data (numbers, texts, ISO dates, None for unknown)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fivefold.core.schema import Column, Schema

Case = Mapping[str, Any]  # column name -> plain value
ISO = "ISO8601"
_DTYPES = {"numeric": "float64", "boolean": "float64", "date": "datetime64[us]"}
_UNKNOWN = {"categorical": None, "text": None, "date": pd.NaT}


def plain(column: Column, value: Any) -> Any:
    """Return a typed cell (`fivefold.data.coerce`) as plain data.

    >>> plain(Column("paid", "boolean", levels=("no", "yes")), 1.0)
    'yes'
    >>> plain(Column("age", "numeric", integer=True), 41.0)
    41
    """
    if pd.isna(value):
        return None
    if column.kind == "boolean":
        return _levels(column)[int(value)]
    if column.kind == "date":
        has_time = value != value.normalize()
        return value.isoformat() if has_time else f"{value:%Y-%m-%d}"
    if column.kind == "numeric":
        return int(value) if column.integer and float(value).is_integer() else float(value)
    return str(value)


def typed_cell(column: Column, value: Any) -> Any:
    """Return plain data as a typed cell, the inverse of `plain`."""
    if value is None:
        return _UNKNOWN.get(column.kind, float("nan"))
    if column.kind == "boolean":
        return float(_levels(column).index(value))
    if column.kind == "date":
        return pd.Timestamp(value)
    if column.kind == "numeric":
        return float(value)
    return str(value).strip()  # as `fivefold.data.parsing.texts` reads it


def typed_table(cases: Sequence[Case], schema: Schema) -> pd.DataFrame:
    """Return cases as a typed table of the used columns; nothing is checked."""
    columns = {}
    for name in schema.names():
        column = schema[name]
        cells = [typed_cell(column, case[name]) for case in cases]
        columns[name] = pd.Series(cells, dtype=_DTYPES.get(column.kind, "str"))
    return pd.DataFrame(columns)


def raw_table(case: Case, schema: Schema) -> pd.DataFrame:
    """Return one case as a raw table for `Bundle.score`; dates are dates in any date format."""
    row = {}
    for name, value in case.items():
        kind = schema[name].kind
        dtype = "str"
        if kind == "date" or (kind == "numeric" and not isinstance(value, str)):
            dtype = _DTYPES[kind]
        row[name] = pd.Series([value], dtype=dtype)
    return pd.DataFrame(row)


def request_body(case: Case, schema: Schema) -> dict[str, Any]:
    """Return the JSON body of a request, {"rows": [case]}, with dates in the schema's format."""
    row = dict(case)
    for name, value in case.items():
        date_format = schema[name].parse.get("format", ISO)
        if schema[name].kind == "date" and value is not None and date_format != ISO:
            row[name] = pd.Timestamp(value).strftime(date_format)
    return {"rows": [row]}


def curl(body: Mapping[str, Any], address: str) -> str:
    """Return a shell command that posts the body; safe to paste whatever the values hold."""
    text = json.dumps(body, ensure_ascii=False, indent=1).replace("'", "'\\''")
    return (
        f"curl -sS {address} \\\n  -H 'Content-Type: application/json' \\\n  --data-binary '{text}'"
    )


def python(body: Mapping[str, Any], address: str) -> str:
    """Return a Python program of the standard library that posts the body and prints the answer."""
    text = json.dumps(body, ensure_ascii=True)
    return f"""import json
import urllib.request

body = json.loads({text!r})
headers = {{"Content-Type": "application/json"}}
request = urllib.request.Request({address!r}, json.dumps(body).encode(), headers)
print(json.load(urllib.request.urlopen(request, timeout=10)))
"""


def _levels(column: Column) -> tuple[str, ...]:
    return column.levels if len(column.levels) == 2 else ("no", "yes")
