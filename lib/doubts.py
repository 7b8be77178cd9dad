"""Doubts: what is unusual or unreadable in the rows of a table that is to be scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lib.findings import ERROR, WARNING
from lib.kinds import days
from lib.schema import Column, Schema


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


_UNREADABLE = {"not-a-number": "not a number", "infinite": "not finite", "not-a-date": "not a date",
               "not-yes-or-no": "neither yes nor no, taken as missing"}


def doubts(frame: pd.DataFrame, typed: Mapping[str, Any], problems: pd.DataFrame, schema: Schema) -> list[Doubt]:
    """All doubts about a raw table; `typed` and `problems` are what `lib.conform.conform_columns` made of it."""
    found = [_unreadable(str(column), str(code), cells) for (column, code), cells in
             problems.groupby(["column", "code"], sort=False)] if len(problems) else []
    lost = set(problems["column"])
    for column in (c for c in schema.columns if c.used):
        values = typed[column.name]
        gone = pd.isna(frame[column.name] if column.name in lost else values)  # an unreadable cell is no gap
        found += _of_column(values, np.asarray(gone), column)
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
    return Doubt(column, code if soft else "unreadable", WARNING if soft else ERROR, cells["row"].to_numpy(dtype=int),
                 texts)


def _of_column(values: Any, gone: np.ndarray, column: Column) -> list[Doubt]:
    """Gaps, far values and new categories of one typed column."""
    name, found = column.name, list[Doubt]()

    def doubt(code: str, where: np.ndarray, told: str | Callable[[Any], str]) -> None:
        if len(rows := np.flatnonzero(where)):
            texts = told if isinstance(told, str) else [told(value) for value in values[rows]]
            found.append(Doubt(name, code, WARNING, rows, texts))

    if not column.nullable:
        doubt("missing", gone, f"{name}: missing, which training never saw")
    if column.kind == "numeric" and column.low is not None and column.high is not None:
        doubt("outside", (values < column.low) | (values > column.high),
              lambda v: f"{name}: {v:g} is outside the training range {column.low:g} to {column.high:g}")
    if column.kind == "date" and column.low is not None and column.high is not None:
        span, when = column.high - column.low + 365, days(values)  # later dates are usual, far ones are mistakes
        doubt("outside", (when < column.low - span) | (when > column.high + span),
              lambda v: f"{name}: {v:%Y-%m-%d} is far from the dates in training")
    if column.kind == "categorical" and column.distinct <= len(column.levels):  # else not all levels are known
        new = {word for word in values.unique() if isinstance(word, str)} - set(column.levels)
        doubt("unseen", np.asarray(values.isin(list(new))) if new else np.zeros(len(values), dtype=bool),
              lambda v: f"{name}: {str(v)[:80]!r} was not seen in training")
    return found
