"""Input warnings: cells of a table to be scored that are unusual or cannot be read.

A warning stays an object until a person or a file needs its text: values may contain anything, so
that joined texts cannot be taken apart again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING
from fivefold.core.schema import Column, Schema
from fivefold.data.ages import ages
from fivefold.data.coerce import different, similar_name
from fivefold.data.parsing import days

MAX_CHARACTERS = 80  # of a category that a text quotes
HIDDEN = "unusual or unreadable"  # text for a column whose values must not be shown
MEANINGS = {  # of the codes, for tables that count them
    "absent": "no such column, taken as missing",
    "unreadable": "cannot be read: the row is not scored",
    "odd": "cannot be read, taken as missing as in training",
    "not-yes-or-no": "neither yes nor no, taken as missing",
    "missing": "missing, which training never saw",
    "outside": "outside the range of training",
    "unseen": "not seen in training",
}


class _Kind(NamedTuple):
    code: str
    text: str
    severity: str = WARNING


# Rows with an error are not scored.
_KINDS = {
    "absent": _Kind("absent", "no such column, taken as missing{value}"),
    "not-a-number": _Kind("unreadable", "{value!r} is not a number", ERROR),
    "infinite": _Kind("unreadable", "{value!r} is not finite", ERROR),
    "not-a-date": _Kind("unreadable", "{value!r} is not a date", ERROR),
    "odd": _Kind("odd", "{value!r} cannot be read, taken as missing as in training"),
    "not-yes-or-no": _Kind("not-yes-or-no", "{value!r} is neither yes nor no, taken as missing"),
    "needed": _Kind("missing", "a value is needed; training never saw it missing", ERROR),
    "missing": _Kind("missing", "missing, which training never saw"),
    "outside": _Kind("outside", "{value:g} is outside the training range {low:g} to {high:g}"),
    "far-date": _Kind("outside", "{value:%Y-%m-%d} is far from the dates in training"),
    "far-age": _Kind("outside", "{value:%Y-%m-%d} is much earlier or later than usual in training"),
    "unseen": _Kind("unseen", "{value!r} was not seen in training"),
}


@dataclass(frozen=True)
class InputWarning:
    """Cells of one column with the same problem.

    Parameters
    ----------
    column
        Name of the column.
    kind
        A key of the table of texts.
    rows
        Positions in the table, ascending, shape (cells,).
    values
        The cells, for texts that quote them, shape (cells,).
    low, high
        The range in training, for texts that state it.
    """

    column: str
    kind: str
    rows: np.ndarray
    values: Sequence[Any] = field(default_factory=list)
    low: float | None = None
    high: float | None = None

    @property
    def code(self) -> str:
        """A key of `MEANINGS`, by which warnings are counted."""
        return _KINDS[self.kind].code

    @property
    def severity(self) -> str:
        """ERROR where the rows cannot be scored, else WARNING."""
        return _KINDS[self.kind].severity

    def messages(self) -> list[str]:
        """Return the text of each cell, without the name of the column."""
        text = _KINDS[self.kind].text
        if "{" not in text:
            return [text] * len(self.rows)
        return [text.format(value=value, low=self.low, high=self.high) for value in self.values]

    def part(self, start: int, stop: int) -> InputWarning:
        """Return the warning for the rows `start` to `stop` of the table, counted from `start`."""
        first, last = np.searchsorted(self.rows, (start, stop))
        return replace(self, rows=self.rows[first:last] - start, values=self.values[first:last])


def absent_column(name: str, rows: np.ndarray, others: Iterable[str]) -> InputWarning:
    """Return the warning on rows that lack a column; a similar name among `others` is told."""
    near = similar_name(name, others)
    hint = f"; is it {near[:MAX_CHARACTERS]!r}?" if near else ""
    return InputWarning(name, "absent", rows, [hint] * len(rows))


def find_warnings(
    frame: pd.DataFrame, typed: Mapping[str, Any], problems: pd.DataFrame, schema: Schema
) -> list[InputWarning]:
    """Find all warnings on a raw table.

    Parameters
    ----------
    frame
        The raw table.
    typed, problems
        What `fivefold.data.coerce.coerce_columns` made of it.
    """
    warnings = []
    known_ages = ages(typed, schema)
    unreadable = set(problems["column"])
    if unreadable:
        for (name, code), cells in problems.groupby(["column", "code"], sort=False):
            rows, kind = cells["row"].to_numpy(dtype=int), str(code)
            if schema[str(name)].odd_cells and _KINDS[kind].severity == ERROR:
                kind = "odd"
            warnings.append(InputWarning(str(name), kind, rows, cells["value"].tolist()))
    for column in schema.columns:
        if not column.used:
            continue
        values = typed[column.name]
        where = {}
        if column.name != schema.reference:  # time goes on; a wrong moment makes odd ages
            where = _unusual_cells(column, values, known_ages.get(column.name))
        if not column.nullable:
            # An unreadable cell is not a missing one.
            raw = frame[column.name] if column.name in unreadable else values
            where = {"missing": np.asarray(pd.isna(raw)), **where}
        for kind, is_unusual in where.items():
            rows = np.flatnonzero(is_unusual)
            if not len(rows):
                continue
            quoted = list(values[rows])
            if kind == "unseen":
                quoted = [str(value)[:MAX_CHARACTERS] for value in quoted]
            warning = InputWarning(column.name, kind, rows, quoted, column.low, column.high)
            warnings.append(warning)
    return warnings


def severity_texts(
    count: int, warnings: Sequence[InputWarning], hidden: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (errors, warnings) of each row as texts, both of shape (count,).

    A text has "; " between two messages and is "" for a row without any. Columns in `hidden` come
    last and once, and their values are not quoted.
    """
    errors, others = (np.full(count, "", dtype=object) for _ in range(2))
    for severity, texts in ((ERROR, errors), (WARNING, others)):
        for row, pairs in messages_by_row(warnings, severity).items():
            shown = [f"{column}: {text}" for column, text in pairs if column not in hidden]
            masked = [f"{column}: {HIDDEN}" for column, _ in pairs if column in hidden]
            texts[row] = "; ".join([*shown, *dict.fromkeys(masked)])
    return errors, others


def messages_by_row(
    warnings: Iterable[InputWarning], severity: str
) -> dict[int, list[tuple[str, str]]]:
    """Return the (column, message) pairs of each row that has a warning of this severity."""
    pairs: dict[int, list[tuple[str, str]]] = {}
    for warning in warnings:
        if warning.severity == severity:
            for row, message in zip(warning.rows.tolist(), warning.messages(), strict=True):
                pairs.setdefault(row, []).append((warning.column, message))
    return pairs


def counts(warnings: Iterable[InputWarning]) -> dict[str, dict[str, int]]:
    """Count cells by code and column: {code: {column: cells}}."""
    cells: dict[str, dict[str, int]] = {}
    for warning in warnings:
        by_column = cells.setdefault(warning.code, {})
        by_column[warning.column] = by_column.get(warning.column, 0) + len(warning.rows)
    return cells


def _unusual_cells(
    column: Column, values: Any, days_ago: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return where a typed column has far values or new categories, by kind of warning.

    A date is judged by its age `days_ago`; by itself only without a reference, as in older models.
    """
    if days_ago is not None and column.youngest is not None and column.oldest is not None:
        span = column.oldest - column.youngest + 365
        too_young, too_old = days_ago < column.youngest - span, days_ago > column.oldest + span
        return {"far-age": too_young | too_old}
    low, high = column.low, column.high
    if column.kind in ("numeric", "date") and low is not None and high is not None:
        if column.kind == "numeric":
            return {"outside": (values < low) | (values > high)}
        # Later dates are usual, far ones are mistakes.
        span, when = high - low + 365, days(values)
        return {"far-date": (when < low - span) | (when > high + span)}
    all_levels_known = column.distinct <= len(column.levels)
    if column.kind == "categorical" and all_levels_known:
        new = set(different(values)[1]) - set(column.levels)
        if new:
            return {"unseen": np.asarray(values.isin(list(new)))}
    return {}
