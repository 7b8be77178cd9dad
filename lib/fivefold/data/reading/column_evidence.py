"""Column evidence: the few cells of each column that decide how `normalize_table` converts it.

`normalize_table` looks at whole columns: one leading zero, one word or one gap anywhere changes
what the other cells become. The evidence of the whole table, put before a part of it, makes the
part read as it does within the table.
"""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from fivefold.data.missing_markers import NO_RULES, CellRules
from fivefold.data.reading.normalize import (
    LEADING_ZERO,
    TEXT,
    long_integers,
    marker_texts,
    normalize_table,
    number_marker_texts,
)
from fivefold.data.reading.read_log import ReadLog

Cells: TypeAlias = dict[str, pa.Array]  # by what it shows, one cell of a column as an array


class ColumnEvidence:
    """Looks at tables of one schema, one after another, and keeps at most seven cells a column.

    Parameters
    ----------
    untyped
        The cells are text that may turn out to be numbers, as in CSV.
    rules
        Which texts mean missing in which column.
    """

    def __init__(self, untyped: bool, rules: CellRules = NO_RULES):
        self._untyped = untyped
        self._rules = rules
        self._columns: dict[str, Cells] = {}

    def add(self, table: pa.Table) -> None:
        """Keep what is new in the rows of a table, which must have some."""
        for name, column in zip(table.column_names, table.columns, strict=True):
            cells = self._columns.setdefault(name, {"first": _cell(column, 0)})
            if self._untyped:
                _add_untyped(cells, column, name, self._rules)
            else:
                _add_typed(cells, column)

    def table(self) -> pa.Table:
        """Return the evidence as rows; columns with less of it repeat a cell."""
        rows = max(len(cells) for cells in self._columns.values())
        columns = {}
        for name, cells in self._columns.items():
            fill = [cells["first"]] * (rows - len(cells))
            columns[name] = pa.concat_arrays([*cells.values(), *fill])
        return pa.table(columns)

    def text_columns(self) -> list[str]:
        """Return the untyped columns that are text for certain.

        They read the same as columns of a declared type, and faster.
        """
        if not self._untyped:
            return []
        return [name for name, cells in self._columns.items() if "word" in cells]


def _add_untyped(cells: Cells, column: pa.ChunkedArray, name: str, rules: CellRules) -> None:
    """Keep a gap, a marker such as "?", and what keeps the others from being (whole) numbers."""
    if "word" in cells:
        return
    column = pc.utf8_trim_whitespace(column)
    texts = _take_out(cells, "gap", column, pc.is_in(column, marker_texts(rules, name)))
    word = _first_not(texts, pa.float64())
    if word is not None:
        is_marker = pc.is_in(pc.utf8_lower(texts), number_marker_texts(rules, name))
        texts = _take_out(cells, "marker", texts, is_marker)
        word = _first_not(texts, pa.float64())
    if word is None:
        word = _first_true(pc.match_substring_regex(texts, LEADING_ZERO))
    if word is not None:
        cells["word"] = _cell(texts, word)
    elif len(texts):
        _add_numbers(cells, texts)


def _add_numbers(cells: Cells, texts: pa.ChunkedArray) -> None:
    """Keep one number, one that is not whole, and one that float64 would round."""
    cells.setdefault("number", _cell(texts, 0))
    if "fraction" not in cells:
        fraction = _first_not(texts, pa.int64())
        if fraction is not None:
            cells["fraction"] = _cell(texts, fraction)
    _add_long(cells, texts, texts)


def _add_long(cells: Cells, column: pa.ChunkedArray, texts: pa.ChunkedArray) -> None:
    """Keep one number that float64 would round; `texts` are the cells as text."""
    if "long" in cells:
        return
    long = _first_true(long_integers(texts, texts.cast(pa.float64())))
    if long is not None:
        cells["long"] = _cell(column, long)


def _add_typed(cells: Cells, column: pa.ChunkedArray) -> None:
    """Keep what may turn the column into text.

    That is a gap and both ends of integers, a whole decimal that float64 would round, or one
    value of any other type.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        _add_integers(cells, column)
    elif pa.types.is_decimal(kind) and kind.scale == 0:
        _add_long(cells, column, column.cast(TEXT))
    elif "word" not in cells:
        frame = normalize_table(pa.table({"": column}), ReadLog(), untyped=False)
        has_value = frame[""].notna().to_numpy()
        if has_value.any():
            cells["word"] = _cell(column, int(has_value.argmax()))


def _add_integers(cells: Cells, column: pa.ChunkedArray) -> None:
    """Keep a gap, and the smallest and the largest integer so far."""
    known = pa.chunked_array([*cells.values(), *column.chunks])
    if known.null_count:
        cells["gap"] = pa.nulls(1, column.type)
    for end, value in pc.min_max(known).as_py().items():
        cells[end] = pa.array([value], column.type)


def _take_out(
    cells: Cells, name: str, column: pa.ChunkedArray, chosen: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Return the column without the chosen cells, one of which is kept as evidence."""
    position = _first_true(chosen)
    if name not in cells and position is not None:
        cells[name] = _cell(column, position)
    return column.filter(pc.invert(chosen))


def _first_true(flags: pa.ChunkedArray) -> int | None:
    position: int = pc.index(flags, True).as_py()
    return position if position >= 0 else None


def _first_not(texts: pa.ChunkedArray, kind: pa.DataType) -> int | None:
    """Return the position of the first text that is not of a type; None if all are.

    Casts slices of growing size: a cast that fails in many cells is slow, and most columns of
    words begin with one.
    """
    start, size = 0, 1
    while start < len(texts):
        try:
            texts.slice(start, size).cast(kind)
        except pa.ArrowInvalid:
            if size == 1:
                return start
            size = 1
        else:
            start += size
            size *= 2
    return None


def _cell(column: pa.ChunkedArray, position: int) -> pa.Array:
    """Return one cell, copied: a slice would keep its whole table in memory."""
    return column.take(pa.array([position])).combine_chunks()
