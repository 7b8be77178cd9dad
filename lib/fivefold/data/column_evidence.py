"""Evidence: the few cells of each column that decide what `fivefold.data.normalize.settle` makes of it.

`settle` looks at a whole column: one leading zero, one word or one gap anywhere changes what its other cells become.
Put before a part of a table, the evidence of the whole table makes the part read as it would be read within it.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fivefold.data.missing_markers import MARKERS, NUMBER_MARKERS
from fivefold.data.normalize import EXACT, TEXT, Log, settle

_HARD = pa.array(sorted(MARKERS), TEXT)
_SOFT = pa.array(sorted(NUMBER_MARKERS), TEXT)
Cells = dict[str, pa.Array]  # what a cell is evidence of: an array of that one cell


class Evidence:
    """Looks at tables of one schema, one after another, and keeps at most seven cells a column.

    `texts`: the cells are texts that may be numbers (`settle(numbers=True)`), as in CSV.
    """

    def __init__(self, texts: bool):
        self._texts = texts
        self._found: dict[str, Cells] = {}

    def look(self, table: pa.Table) -> None:
        """Take what is new in the rows of a table, which must have some."""
        for name, column in zip(table.column_names, table.columns, strict=True):
            found = self._found.setdefault(name, {"first": _cell(column, 0)})
            (_of_text if self._texts else _of_declared)(found, column)

    def table(self) -> pa.Table:
        """The evidence as rows; columns with less of it repeat a cell."""
        most = max(len(found) for found in self._found.values())
        return pa.table(
            {
                name: pa.concat_arrays([*found.values(), *[found["first"]] * (most - len(found))])
                for name, found in self._found.items()
            }
        )

    def words(self) -> list[str]:
        """Columns of texts that are known not to be numbers: they read alike with `numbers=False`, and faster."""
        return [name for name, found in self._found.items() if "word" in found]


def _of_text(found: Cells, column: pa.ChunkedArray) -> None:
    """A gap, a marker of numbers (such as "?"), and what keeps the others from being numbers, or whole ones."""
    if "word" in found:
        return
    column = pc.utf8_trim_whitespace(column)
    cells = _without(found, "gap", column, pc.is_in(column, _HARD))
    if (odd := _first_not(cells, pa.float64())) is not None:
        cells = _without(found, "marker", cells, pc.is_in(pc.utf8_lower(cells), _SOFT))
        odd = _first_not(cells, pa.float64())
    if odd is None:
        odd = pc.index(pc.match_substring_regex(cells, "^[+-]?0[0-9]"), True).as_py()
    if odd >= 0:
        found["word"] = _cell(cells, odd)
    elif len(cells):
        found.setdefault("number", _cell(cells, 0))
        if "fraction" not in found and (odd := _first_not(cells, pa.int64())) is not None:
            found["fraction"] = _cell(cells, odd)
        size = pc.abs(cells.cast(pa.float64()))
        if "long" not in found and pc.max(size).as_py() >= EXACT:
            long = pc.and_(
                pc.match_substring_regex(cells, "^[+-]?[0-9]{16,}$"), pc.greater_equal(size, EXACT)
            )
            if (place := pc.index(long, True).as_py()) >= 0:
                found["long"] = _cell(cells, place)


def _of_declared(found: Cells, column: pa.ChunkedArray) -> None:
    """Of integers a gap and both ends; of other types that may turn into text a cell that is not missing."""
    is_, kind = pa.types, column.type
    if is_.is_integer(kind):
        if column.null_count and "gap" not in found:
            found["gap"] = _cell(column, pc.index(column.is_null(), True).as_py())
        for name, value in pc.min_max(column).as_py().items():
            held = found.get(name)
            if value is not None and (held is None or (value < held[0].as_py()) == (name == "min")):
                found[name] = pa.array([value], kind)
    elif "word" not in found and not any(
        fixed(kind) for fixed in (is_.is_floating, is_.is_decimal, is_.is_timestamp, is_.is_date)
    ):
        there = settle(pa.table({"": column}), Log(), numbers=False)[""].notna().to_numpy()
        if there.any():
            found["word"] = _cell(column, int(there.argmax()))


def _without(found: Cells, name: str, cells: pa.ChunkedArray, hit: Any) -> pa.ChunkedArray:
    """The cells without those that are hit, one of which becomes evidence."""
    if name not in found and (place := pc.index(hit, True).as_py()) >= 0:
        found[name] = _cell(cells, place)
    return cells.filter(pc.invert(hit))


def _first_not(cells: pa.ChunkedArray, kind: pa.DataType) -> int | None:
    """The place of the first text that Arrow does not read as `kind`; None where it reads all.

    In lots that grow: a cast that fails in many cells is slow, and most columns of words begin with one.
    """
    start, size = 0, 1
    while start < len(cells):
        try:
            cells.slice(start, size).cast(kind)
        except pa.ArrowInvalid:
            if size == 1:
                return start
            size = 1
        else:
            start, size = start + size, size * 2
    return None


def _cell(column: pa.ChunkedArray, place: int) -> pa.Array:
    """One cell, copied: a slice would keep its whole table."""
    return column.take(pa.array([place])).combine_chunks()
