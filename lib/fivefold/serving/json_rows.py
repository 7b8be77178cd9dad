"""Rows of JSON values: as a table, the answers to them, and the contract as JSON Schema."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING, Finding, Refused, problem, refuse_errors
from fivefold.core.schema import Column, Schema
from fivefold.data.cells import cells_of
from fivefold.data.coerce import coerce_columns, compare_types, other_names, similar_name
from fivefold.data.date_texts import example
from fivefold.data.decorations import describe
from fivefold.model.bundle import Assessment, Bundle
from fivefold.model.input_warnings import (
    InputWarning,
    absent_column,
    find_warnings,
    messages_by_row,
)
from fivefold.serving.reasons import REQUEST, as_records, explain_rows, limits_text

MAX_NOTES = 20
MAX_FINDINGS = 100
_REFUSED = "The request does not fit the model"
_JSON_TYPES = {"numeric": ["number", "string"], "date": ["string", "number"]}
_ANY_TYPE = ["string", "number", "boolean"]  # numbers and booleans are read as a file writes them
_KINDS_OF_JSON = {dict: "an object", list: "a list"}


class Table(NamedTuple):
    """The rows of a request as the raw table that `Bundle.assess` reads.

    notes: names of unknown columns. absent: warnings on columns that rows lack.
    """

    frame: pd.DataFrame
    notes: list[str]
    absent: list[InputWarning]


def table_of(
    rows: Sequence[Mapping[str, Any]], schema: Schema, optional: Collection[str] = ()
) -> Table:
    """Return the table of some rows.

    Only `optional` columns may be left out. Raises `Refused` that names everything that is wrong:
    each missing used column and its rows, and each cell that cannot be read.
    """
    problems = _nested(rows)
    unknown = sorted(other_names(set().union(*rows), schema))
    cells, absent = {}, []
    for column in schema.columns:
        name = column.name
        if not column.used:
            continue
        lacking = [number for number, row in enumerate(rows) if name not in row]
        if lacking and name in optional:
            absent.append(absent_column(name, np.array(lacking), unknown))
        elif lacking:
            problems.append(_missing(column, lacking, len(rows), unknown))
        cells[name] = cells_of([_plain(row.get(name)) for row in rows], column)
    frame = pd.DataFrame(cells, copy=False)
    if problems:
        raise Refused(_REFUSED, [*problems, *unreadable(frame, schema)][:MAX_FINDINGS])
    notes = [f"{name[:80]}: not a column of the model, ignored" for name in unknown[:MAX_NOTES]]
    if len(unknown) > MAX_NOTES:
        notes.append(f"and {len(unknown) - MAX_NOTES:,} more")
    return Table(frame, notes, absent)


def assess(bundle: Bundle, table: Table) -> Assessment:
    """Score the table. Raises `Refused` that names everything that cannot be read."""
    try:
        return bundle.assess(table.frame, absent=table.absent)
    except Refused:
        refuse_errors(_REFUSED, unreadable(table.frame, bundle.schema)[:MAX_FINDINGS])
        raise


def unreadable(frame: pd.DataFrame, schema: Schema) -> list[Finding]:
    """Return a problem for each column in which nothing, and each cell that cannot be read."""
    typed, cells = coerce_columns(frame, schema)
    by_type = compare_types(frame, schema, cells)
    told = {finding.subject for finding in by_type}
    warnings = find_warnings(frame, typed, cells, schema)
    others = [warning for warning in warnings if warning.column not in told]
    return [*by_type, *_unreadable_cells(others, several=len(frame) > 1)]


def refuse_unreadable(warnings: Iterable[InputWarning], several: bool) -> None:
    """Raise `Refused` naming each cell that could not be read, at most `MAX_FINDINGS` of them.

    `several`: the request had several rows, so that the row is named too.
    """
    refuse_errors(_REFUSED, _unreadable_cells(warnings, several)[:MAX_FINDINGS])


def answers(
    scores: pd.DataFrame,
    warnings: Iterable[InputWarning],
    ids: Sequence[str],
    control: Sequence[bool] | None = None,
) -> list[dict[str, Any]]:
    """Return [{id, probability, decision, warnings: [...]}] of assessed rows.

    `control`, if given: which of them are to be left alone; then each says so.
    """
    messages = messages_by_row(warnings, WARNING)
    columns = zip(ids, scores["probability"].tolist(), scores["decision"], strict=True)
    alone = [{} if control is None else {"control": is_control} for is_control in control or ids]
    return [
        {
            "id": row_id,
            "probability": probability,
            "decision": decision,
            "warnings": [f"{column}: {text}" for column, text in messages.get(number, ())],
            **alone[number],
        }
        for number, (row_id, probability, decision) in enumerate(columns)
    ]


def add_reasons(answer: dict[str, Any], bundle: Bundle, table: Table) -> None:
    """Add `reasons` to each prediction of an answer: what adds most to its probability.

    They are null for rows beyond the limits, which a note says.
    """
    count = len(table.frame)
    explained = explain_rows(bundle, table.frame, range(count), REQUEST)
    for number, prediction in enumerate(answer["predictions"]):
        has_some = number in explained
        prediction["reasons"] = as_records(explained[number]) if has_some else None
    answer["base"] = explained[0].base
    if len(explained) < count:
        answer["notes"].append(limits_text(len(explained), count, REQUEST))


def contract_schema(schema: Schema, optional: Collection[str]) -> dict[str, Any]:
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
        "required": [column.name for column in used if column.name not in optional],
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


def _missing(column: Column, lacking: Sequence[int], rows: int, others: Sequence[str]) -> Finding:
    """Return the problem that some rows lack a column."""
    shown = ", ".join(map(str, lacking[:5]))
    where = f" in rows {shown}" if rows > 1 else ""
    near = similar_name(column.name, others)
    action = "add it; null says that the value is unknown"
    if near:
        action = f"rename {near[:80]!r} to {column.name!r}"
    found, expected = f"no such field{where}", f"a {column.kind} value"
    return problem("column-missing", column.name, found, expected, action)


def _nested(rows: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return a problem for each cell that is a list or an object."""
    expected, action = "a number, a text, true, false or null", "give one plain value"
    problems = []
    for number, row in enumerate(rows):
        for name, cell in row.items():
            if isinstance(cell, (list, dict)):
                field = f"rows[{number}].{name}"[:200]
                found = _KINDS_OF_JSON[type(cell)]
                problems.append(problem("value-nested", field, found, expected, action))
    return problems


def _plain(cell: Any) -> Any:
    """Return a cell, None for a nested one."""
    return None if isinstance(cell, (list, dict)) else cell


def _unreadable_cells(warnings: Iterable[InputWarning], several: bool) -> list[Finding]:
    problems = []
    expected, action = "a value of the column's kind", "correct the value, or null for unknown"
    for number, cells in sorted(messages_by_row(warnings, ERROR).items()):
        for column, message in cells:
            field = f"rows[{number}].{column}" if several else column
            problems.append(problem("value-unreadable", field, message, expected, action))
    return problems
