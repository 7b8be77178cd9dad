"""Doubts: what is unusual or unreadable in the rows of a table that is to be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING
from fivefold.core.schema import Column, Schema
from fivefold.data.coerce import different
from fivefold.data.parsing import days


class Doubt(NamedTuple):
    """One sort of doubt about one column.

    code: unreadable (severity error: the row is not scored), not-yes-or-no, missing (training never saw a gap),
    outside (the training range) or unseen (no such category in training).
    rows: positions in the table, shape (cells,); texts: one for all of them, or one for each.
    """

    column: str
    code: str
    severity: str
    rows: np.ndarray
    texts: str | list[str]


MEANINGS = {  # of the codes
    "unreadable": "cannot be read: the row is not scored",
    "not-yes-or-no": "neither yes nor no, taken as missing",
    "missing": "missing, which training never saw",
    "outside": "outside the range of training",
    "unseen": "not seen in training",
}
_UNREADABLE = {
    "not-a-number": "not a number",
    "infinite": "not finite",
    "not-a-date": "not a date",
    "not-yes-or-no": "neither yes nor no, taken as missing",
}


def doubts(
    frame: pd.DataFrame, typed: Mapping[str, Any], problems: pd.DataFrame, schema: Schema
) -> list[Doubt]:
    """All doubts about a raw table; `typed` and `problems` are what `fivefold.data.coerce.coerce_columns` made of it."""
    found = (
        [
            _unreadable(str(column), str(code), cells)
            for (column, code), cells in problems.groupby(["column", "code"], sort=False)
        ]
        if len(problems)
        else []
    )
    lost = set(problems["column"]) if len(problems) else set()
    for column in (c for c in schema.columns if c.used):
        values = typed[column.name]
        if not column.nullable:  # an unreadable cell is no gap
            gone = np.asarray(pd.isna(frame[column.name] if column.name in lost else values))
            found += _doubt(
                column, "missing", gone, values, f"{column.name}: missing, which training never saw"
            )
        found += _of_values(values, column)
    return found


def join(rows: int, found: Iterable[Doubt]) -> np.ndarray:
    """The texts of each row, "; " between them, "" without any; shape (rows,)."""
    told = np.full(rows, "", dtype=object)
    for doubt in found:
        before = told[doubt.rows]
        between = np.where(before == "", "", "; ").astype(object)
        told[doubt.rows] = before + between + np.array(doubt.texts, dtype=object)
    return told


def counts(found: Iterable[Doubt]) -> dict[str, dict[str, int]]:
    """{code: {column: cells}}; JSON-ready."""
    told: dict[str, dict[str, int]] = {}
    for doubt in found:
        of_code = told.setdefault(doubt.code, {})
        of_code[doubt.column] = of_code.get(doubt.column, 0) + len(doubt.rows)
    return told


def _unreadable(column: str, code: str, cells: pd.DataFrame) -> Doubt:
    texts = [f"{column}: {value!r} is {_UNREADABLE[code]}" for value in cells["value"]]
    soft = code == "not-yes-or-no"
    return Doubt(
        column,
        code if soft else "unreadable",
        WARNING if soft else ERROR,
        cells["row"].to_numpy(dtype=int),
        texts,
    )


def _of_values(values: Any, column: Column) -> list[Doubt]:
    """Far values and new categories of one typed column."""
    name, low, high = column.name, column.low, column.high
    if column.kind == "numeric" and low is not None and high is not None:
        return _doubt(
            column,
            "outside",
            (values < low) | (values > high),
            values,
            lambda v: f"{name}: {v:g} is outside the training range {low:g} to {high:g}",
        )
    if column.kind == "date" and low is not None and high is not None:
        span, when = high - low + 365, days(values)  # later dates are usual, far ones are mistakes
        return _doubt(
            column,
            "outside",
            (when < low - span) | (when > high + span),
            values,
            lambda v: f"{name}: {v:%Y-%m-%d} is far from the dates in training",
        )
    if column.kind != "categorical" or column.distinct > len(
        column.levels
    ):  # then not all levels are known
        return []
    new = set(different(values)[1]) - set(column.levels)
    return (
        _doubt(
            column,
            "unseen",
            np.asarray(values.isin(list(new))),
            values,
            lambda v: f"{name}: {str(v)[:80]!r} was not seen in training",
        )
        if new
        else []
    )


def _doubt(
    column: Column, code: str, where: np.ndarray, values: Any, told: str | Callable[[Any], str]
) -> list[Doubt]:
    """The doubt about these cells, as a list of none or one; `told`: the text, or how a value's text is made."""
    rows = np.flatnonzero(where)
    if not len(rows):
        return []
    texts = told if isinstance(told, str) else [told(value) for value in values[rows]]
    return [Doubt(column.name, code, WARNING, rows, texts)]
