"""Cases: single rows as plain data (numbers, texts, ISO dates, None for unknown), and the tables they stand for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fivefold.core.schema import Column, Schema

Case = Mapping[str, Any]  # column -> plain value
_DTYPES = {"numeric": "float64", "boolean": "float64", "date": "datetime64[us]"}


def plain(column: Column, value: Any) -> Any:
    """A typed cell (`fivefold.data.coerce`) as plain data.

    >>> plain(Column("paid", "boolean", levels=("no", "yes")), 1.0), plain(Column("age", "numeric", integer=True), 41.0)
    ('yes', 41)
    """
    if pd.isna(value):
        return None
    if column.kind == "boolean":
        return _levels(column)[int(value)]
    if column.kind == "date":
        return value.isoformat() if value != value.normalize() else f"{value:%Y-%m-%d}"
    if column.kind == "numeric":
        return int(value) if column.integer and float(value).is_integer() else float(value)
    return str(value)


def typed_cell(column: Column, value: Any) -> Any:
    """The inverse of `plain`: NaN, NaT or None for unknown."""
    if value is None:
        return (
            pd.NaT
            if column.kind == "date"
            else None
            if column.kind in ("categorical", "text")
            else float("nan")
        )
    if column.kind == "boolean":
        return float(_levels(column).index(value))
    if column.kind == "date":
        return pd.Timestamp(value)
    return (
        float(value) if column.kind == "numeric" else str(value).strip()
    )  # as `fivefold.data.parsing.texts` reads it


def typed_table(cases: Sequence[Case], schema: Schema) -> pd.DataFrame:
    """Cases as a typed table of the used columns, as `fivefold.data.coerce.coerce_table` would give it; nothing is checked."""
    return pd.DataFrame(
        {
            name: pd.Series(
                [typed_cell(schema[name], case[name]) for case in cases],
                dtype=_DTYPES.get(schema[name].kind, "str"),
            )
            for name in schema.names()
        }
    )


def raw_table(case: Case, schema: Schema) -> pd.DataFrame:
    """One case as the raw table that `Bundle.score` reads: dates as dates, whatever the contract's date format is."""
    row = {}
    for name, value in case.items():
        if schema[name].kind == "date":
            row[name] = pd.Series([value], dtype="datetime64[us]")
        elif schema[name].kind == "numeric" and not isinstance(value, str):
            row[name] = pd.Series([value], dtype="float64")
        else:
            row[name] = pd.Series([value], dtype="str")
    return pd.DataFrame(row)


def request_body(case: Case, schema: Schema) -> dict[str, Any]:
    """The JSON body of a request for this case, {"rows": [{column: value}]}; dates in the contract's format."""
    row = dict(case)
    for name, value in case.items():
        form = schema[name].parse.get("format", "ISO8601")
        if schema[name].kind == "date" and value is not None and form != "ISO8601":
            row[name] = pd.Timestamp(value).strftime(form)
    return {"rows": [row]}


def curl(body: Mapping[str, Any], address: str) -> str:
    """A shell command that posts the body; safe to paste whatever the values hold."""
    text = json.dumps(body, ensure_ascii=False, indent=1).replace("'", "'\\''")
    return (
        f"curl -sS {address} \\\n  -H 'Content-Type: application/json' \\\n  --data-binary '{text}'"
    )


def python(body: Mapping[str, Any], address: str) -> str:
    """A Python program of the standard library that posts the body and prints the answer."""
    return (
        f"import json\nimport urllib.request\n\nbody = json.loads({json.dumps(body, ensure_ascii=True)!r})\n"
        f"request = urllib.request.Request({address!r}, json.dumps(body).encode(),\n"
        '                                 {"Content-Type": "application/json"})\n'
        "print(json.load(urllib.request.urlopen(request, timeout=10)))\n"
    )


def _levels(column: Column) -> tuple[str, ...]:
    return column.levels if len(column.levels) == 2 else ("no", "yes")
