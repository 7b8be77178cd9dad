"""Swallowed rows: quoted cells whose line breaks are those of other rows.

A stray quote in one row that closes in the same column of a later row leaves all rows in between
inside one cell, and every row regular. A cell that people wrote over several lines is another
thing: its lines do not split into the fields of a row.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from fivefold.data.reading.layout import are_values, is_missing, is_value
from fivefold.data.reading.read_log import ReadLog

_BREAKS = re.compile(r"[\r\n]+")
_MOST_LEVELS = 20  # of a column in which each cell has been seen before
_SHOWN_ROWS = 500  # ordinary rows that show what the columns hold
_SUSPECTS = 200  # cells of one table that are looked at line by line
_LINES = 50  # of one cell
_MANY_LINES = 5  # that all have the fields of a row, three or more, as prose hardly has
_ALIKE = 0.9  # least share of lines that hold in a column what the rows hold there


@dataclass(frozen=True)
class Swallowed:
    """A cell that holds other rows: the row of its opening quote and that of its closing one.

    `is_sure` says that the lines inside hold values where the other rows do, or are many.
    """

    opened: int
    closed: int
    column: int
    is_sure: bool


@dataclass
class SwallowedRows:
    """Looks for such cells in the tables of one text, `width` columns of text each."""

    delimiter: str
    width: int
    found: list[Swallowed] = field(default_factory=list)

    def look(self, table: pa.Table, first: int) -> None:
        """Look at a table; `first` is the number of its first row."""
        for position, column in enumerate(table.columns):
            has_break = pc.match_substring_regex(column, r"[\r\n]")
            if not pc.any(has_break).as_py():
                continue
            rows = pc.indices_nonzero(pc.and_(has_break, self._may_be_rows(column)))
            if len(rows):
                shown = [_ordinary(c.slice(0, _SHOWN_ROWS).to_pylist()) for c in table.columns]
                for row in rows[:_SUSPECTS].to_pylist():
                    cells = [c[row].as_py() for c in table.columns]
                    self._judge(cells, position, first + row, shown)

    def look_at_header(
        self, cells: Sequence[str], row: int, below: Sequence[Sequence[str]]
    ) -> None:
        """Look at the cells of a header in one row, with rows below it."""
        for position, cell in enumerate(cells):
            lines = [line for line in _BREAKS.split(cell) if line]
            delimiters = (self.width - 1) * (len(lines) - 1)
            if len(lines) > 1 and cell.count(self.delimiter) == delimiters:
                even = [other for other in below if len(other) == self.width]
                shown = [_ordinary([other[n] for other in even]) for n in range(self.width)]
                self._judge(cells, position, row, shown)

    def _may_be_rows(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return which cells hold as many delimiters as their line breaks would be rows."""
        lines = pc.replace_substring_regex(column, r"[\r\n]+", "\n")
        breaks = pc.count_substring(lines, "\n")
        delimiters = pc.count_substring(lines, self.delimiter)
        return pc.equal(delimiters, pc.multiply(breaks, self.width - 1))

    def _judge(
        self, cells: Sequence[str], position: int, row: int, shown: Sequence[Sequence[str]]
    ) -> None:
        """Keep the cell if its lines are rows, as far as the cells `shown` of each column show."""
        lines = _BREAKS.split(cells[position])
        after = self.delimiter.join(cells[position + 1 :])
        end = self.delimiter.join([lines[-1], after]) if after else lines[-1]
        inner = [self._fields(line) for line in [*lines[1:-1][:_LINES], end]]
        if any(len(fields) != self.width for fields in inner):
            return
        evidence = _evidence(inner, shown)
        if evidence is None:  # no column shows anything
            if len(inner) == 1 and self.width == 2:
                return
            evidence = self.width > 2 and len(inner) >= _MANY_LINES
        elif not evidence:
            return
        closed = row + len(lines) - 1
        self.found.append(Swallowed(row, closed, position, is_sure=evidence))

    def _fields(self, line: str) -> list[str]:
        return next(csv.reader([line], delimiter=self.delimiter), [])


def note_swallowed(swallowed: SwallowedRows, subject: str, log: ReadLog) -> None:
    """Note the cells that hold rows: an error if one is sure, else a warning."""
    if not swallowed.found:
        return
    first = max(swallowed.found, key=lambda cell: cell.is_sure)
    count = sum(cell.closed - cell.opened for cell in swallowed.found)
    found = (
        f"a quote that opens in row {first.opened:,} and closes in row {first.closed:,}, "
        f"in column {first.column + 1}; {count:,} rows stand inside quotes"
    )
    expected = "quotes that close in their own row"
    if first.is_sure:
        action = "delete or double the stray quotes in these two rows"
        log.error("quote-swallows-rows", subject, found, expected=expected, action=action)
        return
    action = "if these lines are rows, delete or double the stray quotes in these two rows"
    log.warning("quote-swallows-rows", subject, found, expected=expected, action=action)


def _ordinary(cells: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in cells if not _BREAKS.search(cell)]


def _evidence(inner: Sequence[Sequence[str]], shown: Sequence[Sequence[str]]) -> bool | None:
    """Return whether lines hold what the columns do; None if no column shows anything.

    A column shows something if it holds values only, or few levels again and again.
    """
    checked = 0
    for column, cells in enumerate(shown):
        levels = set(cells)
        has_values = are_values(cells)
        is_repeated = 0 < 4 * len(levels) <= min(len(cells), 4 * _MOST_LEVELS)
        if not has_values and not is_repeated:
            continue
        checked += 1
        inside = [fields[column].strip().strip('"') for fields in inner]
        if has_values:
            alike = sum(is_value(cell) or is_missing(cell) for cell in inside)
        else:
            alike = sum(cell in levels for cell in inside)
        if alike < _ALIKE * len(inside):
            return False
    return True if checked else None
