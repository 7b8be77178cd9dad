"""Cases: single rows as plain data (numbers, texts, ISO dates, None for unknown)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fivefold.core.schema import NOW, Column, Schema

Case = Mapping[str, Any]  # column name -> plain value
ISO = "ISO8601"
_DTYPES = {"numeric": "float64", "boolean": "float64", "date": "datetime64[us]"}


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


def typed_table(cases: Sequence[Case], schema: Schema) -> pd.DataFrame:
    """Return cases as a typed table of the used columns, the inverse of `plain`; no checks.

    With the day of scoring (`fivefold.core.schema.NOW`) where the cases have it.
    """
    columns = {}
    known = [schema[name] for name in schema.names()]
    if all(NOW in case for case in cases):
        known.append(Column(NOW, "date"))
    for column in known:
        name = column.name
        cells = pd.Series([case[name] for case in cases], dtype="object")
        if column.kind == "boolean":
            no, yes = _levels(column)
            cells = cells.map({no: 0.0, yes: 1.0})
        dtype: Any = _DTYPES.get(column.kind, "str")
        cells = cells.astype(dtype)
        # Texts as `fivefold.data.parsing.texts` reads them.
        columns[name] = cells.str.strip() if cells.dtype == "str" else cells
    return pd.DataFrame(columns)


def raw_table(case: Case, schema: Schema) -> pd.DataFrame:
    """Return one case as a raw table for `Bundle.score`; dates are dates in any date format."""
    row = {}
    for name, value in case.items():
        kind = schema[name].kind
        is_typed = kind == "date" or (kind == "numeric" and not isinstance(value, str))
        row[name] = pd.Series([value], dtype=_DTYPES[kind] if is_typed else "str")
    return pd.DataFrame(row)


def request_body(case: Case, schema: Schema) -> dict[str, Any]:
    """Return the JSON body of a request, {"rows": [case]}, with dates in the schema's format."""
    row = dict(case)
    for name in schema.names("date"):
        date_format = schema[name].parse.get("format", ISO)
        if row.get(name) is not None and "%" in date_format:
            row[name] = pd.Timestamp(row[name]).strftime(date_format)
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
