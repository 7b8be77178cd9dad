"""Rows of JSON values: as a table, the answers to them, and the contract as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING, problem, refuse_errors
from fivefold.core.schema import Column, Schema
from fivefold.data.date_texts import example
from fivefold.data.decorations import describe
from fivefold.model.input_warnings import InputWarning, messages_by_row

MAX_NOTES = 20
MAX_FINDINGS = 100
_REFUSED = "The request does not fit the model"
_JSON_TYPES = {"numeric": ["number", "string"], "date": ["string", "number"]}
_ANY_TYPE = ["string", "number", "boolean"]  # numbers and booleans are read as a file writes them
_TEXT = pd.StringDtype(na_value=np.nan)  # "str", without asking pandas each time what that means


def table_of(rows: Sequence[Mapping[str, Any]], schema: Schema) -> tuple[pd.DataFrame, list[str]]:
    """Return the raw table that `Bundle.assess` reads, and notes on unknown columns.

    A column that may be empty may be left out. Raises `Refused` that names each missing used column
    and its rows.
    """
    problems = []
    cells = {}
    for column in schema.columns:
        if not column.used:
            continue
        missing = [str(n) for n, row in enumerate(rows) if column.name not in row]
        if missing and not column.nullable:
            where = f" in rows {', '.join(missing[:5])}" if len(rows) > 1 else ""
            found, expected = f"no such field{where}", f"a {column.kind} value"
            action = "add it; null says that the value is unknown"
            problems.append(problem("column-missing", column.name, found, expected, action))
        cells[column.name] = _cells([row.get(column.name) for row in rows], column)
    refuse_errors(_REFUSED, problems)
    known = {column.name for column in schema.columns} | {schema.target}
    unknown = sorted(set().union(*rows) - known)
    notes = [f"{name[:80]}: not a column of the model, ignored" for name in unknown[:MAX_NOTES]]
    if len(unknown) > MAX_NOTES:
        notes.append(f"and {len(unknown) - MAX_NOTES:,} more")
    return pd.DataFrame(cells, copy=False), notes


def refuse_unreadable(warnings: Iterable[InputWarning], several: bool) -> None:
    """Raise `Refused` naming each cell that could not be read, at most `MAX_FINDINGS` of them.

    `several`: the request had several rows, so that the row is named too.
    """
    problems = []
    for number, cells in sorted(messages_by_row(warnings, ERROR).items()):
        for column, message in cells:
            field = f"rows[{number}].{column}" if several else column
            expected = "a value of the column's kind"
            action = "correct the value, or null for unknown"
            problems.append(problem("value-unreadable", field, message, expected, action))
    refuse_errors(_REFUSED, problems[:MAX_FINDINGS])


def answers(
    scores: pd.DataFrame, warnings: Iterable[InputWarning], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return [{id, probability, decision, warnings: [...]}] of assessed rows."""
    messages = messages_by_row(warnings, WARNING)
    columns = zip(ids, scores["probability"].tolist(), scores["decision"], strict=True)
    return [
        {
            "id": row_id,
            "probability": probability,
            "decision": decision,
            "warnings": [f"{column}: {text}" for column, text in messages.get(number, ())],
        }
        for number, (row_id, probability, decision) in enumerate(columns)
    ]


def contract_schema(schema: Schema) -> dict[str, Any]:
    """Return the model's input contract as the JSON Schema of one row."""
    fields = {}
    used = [column for column in schema.columns if column.used]
    for column in used:
        types = _JSON_TYPES.get(column.kind, _ANY_TYPE)
        field: dict[str, Any] = {"type": [*types, "null"], "description": _described(column)}
        if column.kind in ("categorical", "boolean") and column.levels:
            field["examples"] = list(column.levels[:10])
        elif column.typical is not None and column.kind == "numeric":
            field["examples"] = [column.typical]
        fields[column.name] = field
    return {
        "type": "object",
        "properties": fields,
        "required": [column.name for column in used if not column.nullable],
        "additionalProperties": {"type": [*_ANY_TYPE, "null"]},
    }


def _described(column: Column) -> str:
    text = column.kind
    if column.kind == "numeric" and column.low is not None:
        text += f", {column.low:g} to {column.high:g} in training"
        text += "".join(f", {words}" for words in describe(column.parse))
    if column.kind == "date":
        text += f", such as {example(column.parse.get('format', ''))}"
    return text if column.nullable else f"{text}; training never saw it missing"


def _cells(values: list[Any], column: Column) -> Any:
    """Return an array: making a `Series` of each column is slower than scoring some models."""
    plain_types = (int, float, type(None))  # a bool is none of them
    if column.kind == "numeric" and all(type(value) in plain_types for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return pd.array([_text(value, column) for value in values], dtype=_TEXT)


def _text(value: Any, column: Column) -> str | None:
    """Return a JSON value as a file would write it, in the spelling of training."""
    if value is None or isinstance(value, str):
        return value
    text = str(value)
    if isinstance(value, bool):
        lower = text.lower()
        return next((level for level in column.levels if level.lower() == lower), lower)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return text if text in column.levels else str(int(value))
    if column.kind == "numeric":  # among texts, and read as they are: 1.234 is not 1,234
        return text.replace(".", column.parse.get("decimal", "."))
    return text
