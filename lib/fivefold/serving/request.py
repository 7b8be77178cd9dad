"""Payload: the bytes of a request as plain rows, or a refusal that names what was expected and found.

JSON is read strictly (RFC 8259): no NaN or Infinity, no key twice in one object, UTF-8 only, numbers that a float can
hold, texts that are Unicode (no half of a surrogate pair). MLflow's own request forms become the same rows.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused

Row = dict[str, Any]
FORMS = '{"rows": [{column: value}]}'
MLFLOW_FORMS = (
    '{"dataframe_records": [{column: value}]}, {"dataframe_split": {"columns": [...], "data": [[...]]}}, '
    '{"instances": [{column: value}]} or {"inputs": {column: [values]}}'
)
_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # an escape that may be half of a character


def bad(
    found: str,
    expected: str,
    action: str = "correct the request",
    *,
    field: str = "body",
    code: str = "request-unreadable",
) -> Refused:
    """A refusal of a request with one reason."""
    return Refused(
        "The request cannot be used",
        [
            Finding(
                code=code,
                severity=ERROR,
                subject=field,
                found=found,
                expected=expected,
                action=action,
            )
        ],
    )


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
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
        if _HALF.search(text):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except json.JSONDecodeError as broken:
        raise bad(
            f"{broken.msg.lower()} at line {broken.lineno}, column {broken.colno}", "valid JSON"
        ) from None
    except UnicodeEncodeError as broken:
        raise bad(
            f"the escape \\u{ord(broken.object[broken.start]):04x} without its other half",
            "Unicode text",
            code="text-no-unicode",
        ) from None
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
        raise bad(kind(value), MLFLOW_FORMS)
    known = [
        k for k in ("dataframe_records", "dataframe_split", "instances", "inputs") if k in value
    ]
    if len(known) != 1:
        raise bad(f"the keys {sorted(map(str, value))[:10]}"[:300], f"one of {MLFLOW_FORMS}")
    held = value[known[0]]
    if known[0] == "dataframe_split":
        columns, data = (
            (held.get("columns"), held.get("data")) if isinstance(held, Mapping) else (None, None)
        )
        if (
            not isinstance(columns, list)
            or not isinstance(data, list)
            or not all(isinstance(c, str) for c in columns)
            or len(set(columns)) != len(columns)
        ):
            raise bad(
                kind(held),
                "columns (different texts) and data (a list of rows)",
                field="dataframe_split",
            )
        check_number(len(data), limit)
        wrong = [
            n for n, row in enumerate(data) if not isinstance(row, list) or len(row) != len(columns)
        ]
        if wrong:
            raise bad(
                f"row {wrong[0]} of another length",
                f"{len(columns)} values in each row",
                field="dataframe_split",
            )
        return _checked([dict(zip(columns, row, strict=True)) for row in data], limit, MLFLOW_FORMS)
    if known[0] == "inputs" and isinstance(held, Mapping):
        lists = {k: v if isinstance(v, list) else [v] for k, v in held.items()}
        lengths = {len(v) for v in lists.values()}
        if len(lengths) != 1:
            raise bad(
                f"columns of {len(lengths)} different lengths",
                "one length for all columns",
                field="inputs",
            )
        check_number(max(lengths), limit)
        held = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
    return _checked(held, limit, MLFLOW_FORMS)


def csv_rows(body: bytes, limit: int) -> list[Row]:
    """The rows of a text/csv request with a header; empty cells are missing. Raises `Refused`."""
    try:
        lines = [
            line
            for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
            if line
        ]
    except (UnicodeDecodeError, csv.Error) as broken:
        raise bad(str(broken)[:200], "comma-separated UTF-8 text with a header") from None
    if not lines or len(set(lines[0])) != len(lines[0]):
        raise bad("no header, or a column twice", "a header of different names")
    if wrong := [n for n, line in enumerate(lines[1:]) if len(line) != len(lines[0])]:
        raise bad(
            "another number of cells",
            f"{len(lines[0])} cells, as in the header",
            field=f"rows[{wrong[0]}]",
        )
    check_number(len(lines) - 1, limit)
    return _checked(
        [{k: v or None for k, v in zip(lines[0], line, strict=True)} for line in lines[1:]],
        limit,
        "rows",
    )


def _checked(value: Any, limit: int, forms: str) -> list[Row]:
    if not isinstance(value, list) or not value:
        raise bad("an empty list" if value == [] else kind(value), forms)
    check_number(len(value), limit)
    wrong = [
        Finding(
            code="row-no-object",
            severity=ERROR,
            subject=f"rows[{n}]",
            found=kind(row),
            expected="an object {column: value}",
            action="correct the row",
        )
        for n, row in enumerate(value)
        if not isinstance(row, Mapping)
    ]
    if wrong:
        raise Refused("The request cannot be used", wrong[:100])
    nested = [
        Finding(
            code="value-nested",
            severity=ERROR,
            subject=f"rows[{n}].{name}"[:200],
            found=kind(cell),
            expected="a number, a text, true, false or null",
            action="give one plain value",
        )
        for n, row in enumerate(value)
        for name, cell in row.items()
        if isinstance(cell, (list, dict))
    ]
    if nested:
        raise Refused("The request cannot be used", nested[:100])
    return value


def check_number(rows: int, limit: int) -> None:
    """Raise `Refused` for more rows than one request may hold."""
    if rows > limit:
        raise bad(
            f"{rows:,} rows",
            f"at most {limit:,} in one request",
            "send several requests, or score the file with flows/score.py",
            code="too-many-rows",
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = _shown(Counter(name for name, _ in pairs).most_common(1)[0][0])
        raise bad(
            f"the key {twice!r} twice in one object",
            "each key once",
            field=twice,
            code="key-repeated",
        )
    return found


def _constant(word: str) -> Any:
    raise bad(word, "a finite number, or null for an unknown value", code="number-not-finite")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise bad(f"the number {text[:40]}", "a number below 1.8e308", code="number-too-large")
    return value


def _int(text: str) -> int:
    """Every digit counts: long whole numbers are mostly ids."""
    _float(text)
    return int(text)


def _shown(name: str) -> str:
    """A key as a message can hold it: short, and Unicode whatever it is."""
    return name[:80].encode("utf-8", "replace").decode()


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "a number")
