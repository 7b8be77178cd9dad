"""Normalize cells: convert text and database values to the columns of a frame.

Whatever the format, the frame that comes out has four kinds of column only: `int64` (no missing
cell), `float64`, `datetime64[us]` without time zone, and `str`. Booleans are the texts "True" and
"False", so that CSV, Parquet and SQL agree. Text is stripped of white space. Currency, percent,
thousands and decimal commas stay text: `fivefold.data.parsing` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.core.text import listed
from fivefold.data.missing_markers import NO_RULES, SENTINELS, CellRules
from fivefold.data.parsing import EXACT
from fivefold.data.reading.read_log import ReadLog

TEXT = pa.large_string()
LONG_INTEGERS = "integers of 2**53 and more, which float64 would round; kept as text"
LONG_INTEGER = "^[+-]?[0-9]{16,}$"  # as text; only such numbers can reach 2**53
LEADING_ZERO = "^[+-]?0[0-9]"
_MAYBE_THOUSANDS = r"^[+-]?([0-9]{1,3}|[1-9][0-9]{0,2}\.[0-9]{3})$"  # 950, 12.000
_FIRST_CELLS = 100  # most columns fail a check within these
_TICKS = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}  # of a duration, in a second
Column: TypeAlias = pa.ChunkedArray


def normalize_table(
    table: pa.Table,
    log: ReadLog,
    *,
    untyped: bool,
    text_columns: Collection[str] = (),
    rules: CellRules = NO_RULES,
) -> pd.DataFrame:
    """Return the frame of an Arrow table, with one of four dtypes a column (see above).

    Parameters
    ----------
    table
        Any types of Arrow.
    log
        Receives findings and the counts of cells that change.
    untyped
        Text that is all numbers becomes numbers (CSV). Otherwise it stays text: its type was
        declared (Parquet, SQL). Integers that float64 would round, and numbers with leading
        zeros (postal codes), stay text.
    text_columns
        Columns that stay text even if `untyped`, beside those of `rules`.
    rules
        Which texts mean missing in which column.
    """
    columns = {}
    text_columns = {*text_columns, *rules.text_columns}
    for name, column in zip(table.column_names, table.columns, strict=True):
        column = _plain(name, _without_numbers(name, column, rules, log), log)
        if pa.types.is_large_string(column.type):
            column = _blank(name, column, rules, log)
            if column.null_count == len(column):  # no cell shows a type: numbers, all missing
                column = column.cast(pa.float64())
            elif untyped and name not in text_columns:
                column = _numbers_if_all(name, column, rules, log)
                column = _without_numbers(name, column, rules, log)
        if pa.types.is_large_string(column.type):
            log.text_columns.add(name)
        elif not pa.types.is_timestamp(column.type):
            _note_sentinels(name, column, log)
        columns[name] = column
    _note_changed_cells(log)
    frame: pd.DataFrame = pa.table(columns).to_pandas()
    return frame


def long_integers(column: Column, floats: Column) -> Column:
    """Return which texts are whole numbers that float64 rounds; `floats` are the same cells."""
    large = pc.greater_equal(pc.abs(floats), EXACT)
    if not pc.any(large).as_py():
        return large
    return pc.and_(large, pc.match_substring_regex(column, LONG_INTEGER))


def json_text(value: Any) -> str:
    """Return a value as JSON; what JSON does not know is written as text."""
    return json.dumps(value, default=str, sort_keys=True)


def text_array(values: Iterable[Any], write: Callable[[Any], str]) -> pa.Array:
    """Return values as text; None stays missing."""
    return pa.array([None if value is None else write(value) for value in values], TEXT)


def marker_texts(rules: CellRules, name: str) -> pa.Array:
    """Return the texts that mean missing in a column, whatever its other cells are."""
    return pa.array(rules.markers(name), TEXT)


def number_marker_texts(rules: CellRules, name: str) -> pa.Array:
    """Return the texts in lower case that mean missing where all other cells are numbers."""
    return pa.array(rules.number_markers(name), TEXT)


def _without_numbers(name: str, column: Column, rules: CellRules, log: ReadLog) -> Column:
    """Return a column, without the numbers that mean missing by the rules: -999.0 is -999."""
    kind, types = column.type, pa.types
    is_number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if not is_number or not rules.added_in(name):
        return column
    written = pa.array(rules.added_in(name), TEXT)
    codes = pa.array(pd.to_numeric(written.to_pandas(), errors="coerce").dropna(), pa.float64())
    is_code = pc.is_in(column.cast(pa.float64(), safe=False), codes)
    if cells := pc.sum(is_code).as_py():
        log.missing(name, {listed(written.to_pylist()): cells})
    return pc.if_else(is_code, pa.scalar(None, kind), column)


def _blank(name: str, column: Column, rules: CellRules, log: ReadLog) -> Column:
    """Strip white space and make the markers missing."""
    stripped = pc.utf8_trim_whitespace(column)
    if cells := pc.sum(pc.not_equal(stripped, column)).as_py():
        log.stripped[name] = cells
    blanked, counts = _without_markers(stripped, stripped, marker_texts(rules, name))
    log.missing(name, counts)
    return blanked


def _without_markers(
    column: Column, keys: Column, markers: pa.Array
) -> tuple[Column, dict[str, int]]:
    """Return the column, missing where `keys` is a marker, and the cells by marker as written."""
    is_marker = pc.is_in(keys, markers)
    if not pc.any(is_marker).as_py():
        return column, {}
    rows = pc.value_counts(column.filter(is_marker)).to_pylist()
    counts = {str(row["values"]): int(row["counts"]) for row in rows}
    return pc.if_else(is_marker, pa.scalar(None, TEXT), column), counts


def _numbers_if_all(name: str, column: Column, rules: CellRules, log: ReadLog) -> Column:
    """Return the column as numbers if all cells but markers are numbers; else as it is."""
    numbers = _numbers(name, column, log)
    if numbers is not None:
        return numbers
    markers = number_marker_texts(rules, name)
    blanked, counts = _without_markers(column, pc.utf8_lower(column), markers)
    if not counts or blanked.null_count == len(blanked):
        return column
    numbers = _numbers(name, blanked, log)
    if numbers is None:
        return column
    log.missing(name, counts)
    return numbers


def _numbers(name: str, column: Column, log: ReadLog) -> Column | None:
    """Return the column as int64 or float64; None if a cell is no number or would lose digits."""
    floats = _cast(column, pa.float64())
    if floats is None:
        return None
    if cells := pc.sum(pc.match_substring_regex(column, LEADING_ZERO)).as_py():
        log.passed("leading-zeros", name, f"leading zeros in {cells:,} cells; kept as text")
        return None
    integers = _cast(column, pa.int64())
    must_be_float = integers is None or integers.null_count
    if must_be_float and pc.any(long_integers(column, floats)).as_py():
        log.passed("long-integers", name, LONG_INTEGERS)
        return None
    if integers is not None:
        return integers
    if cells := pc.sum(pc.is_inf(floats)).as_py():
        log.warning(
            "infinite-values",
            name,
            f"infinity in {cells:,} cells",
            expected="finite numbers",
            action="correct the source",
        )
    _note_thousands(name, column, log)
    return floats


def _note_thousands(name: str, column: Column, log: ReadLog) -> None:
    """Warn if '.' may be the thousands sign: it stands before three digits in all cells."""
    for cells in (column.slice(0, _FIRST_CELLS), column):
        if pc.all(pc.match_substring_regex(cells, _MAYBE_THOUSANDS)).as_py() is False:
            return
    position = pc.index(pc.match_substring(column, "."), True).as_py()
    if position < 0:
        return
    cell = column[position].as_py()
    log.warning(
        "written-numbers",
        name,
        f"{cell!r} read as {float(cell):.15g} (decimal '.'), but '.' could as well be the "
        "thousands sign",
        expected="a spelling with one reading",
        action="look at the values; if wrong, write plain numbers such as 1500",
    )


def _cast(column: Column, kind: pa.DataType) -> Column | None:
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return None


def _plain(name: str, column: Column, log: ReadLog) -> Column:
    """Return the column as text, int64, float64 or timestamp without zone, by its Arrow type."""
    kind, types = column.type, pa.types
    if types.is_boolean(kind):
        return pc.if_else(column, pa.scalar("True", TEXT), pa.scalar("False", TEXT))
    if types.is_integer(kind):
        return _plain_integers(name, column, log)
    if types.is_decimal(kind):
        return _plain_decimals(name, column, log)
    if types.is_null(kind) or types.is_floating(kind):
        return column.cast(pa.float64())
    if types.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if types.is_timestamp(kind):
        zone = kind.tz
        if zone is not None:  # Arrow stores UTC: dropping the zone leaves UTC
            log.passed("time-zone", name, f"times of zone {zone}; converted to UTC without a zone")
        return column.cast(pa.timestamp("us"), safe=False)
    if types.is_duration(kind):
        log.passed("durations", name, "durations; converted to seconds")
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), _TICKS[kind.unit])
    if kind in (pa.string(), TEXT, pa.string_view()) or types.is_time(kind):
        return column.cast(TEXT)
    if types.is_nested(kind):
        log.warning(
            "nested-values",
            name,
            f"values of type {kind}; written as JSON text",
            expected="one plain value a cell",
            action="split it into columns at the source",
        )
        return text_array(column.to_pylist(), json_text)
    log.warning(
        "binary-values",
        name,
        f"values of type {kind}; written as text",
        expected="numbers, text or dates",
        action="drop the column",
    )
    return text_array(
        column.to_pylist(), lambda cell: cell.hex() if isinstance(cell, bytes) else str(cell)
    )


def _plain_integers(name: str, column: Column, log: ReadLog) -> Column:
    integers = _cast(column, pa.int64())  # None: unsigned and beyond int64
    largest = pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() or 0
    if integers is not None and (integers.null_count == 0 or largest < EXACT):
        return integers
    log.passed("long-integers", name, LONG_INTEGERS)
    return column.cast(TEXT)


def _plain_decimals(name: str, column: Column, log: ReadLog) -> Column:
    written = column.cast(TEXT)  # a direct cast makes 3.3000000000000003 of 3.30
    floats = written.cast(pa.float64())
    if column.type.scale or not pc.any(long_integers(written, floats)).as_py():
        return floats
    log.passed("long-integers", name, LONG_INTEGERS)
    return written


def _note_sentinels(name: str, column: Column, log: ReadLog) -> None:
    """Warn if a code such as -999 is the extreme and all other values stay within half of it."""
    ends = pc.min_max(column).as_py()
    for code in SENTINELS:
        if code not in ends.values():
            continue
        is_code = pc.equal(column, code)
        others = pc.min_max(column.filter(pc.invert(is_code))).as_py()
        low, high = others["min"], others["max"]
        if low is None:
            continue
        is_far = high <= code / 2 if code > 0 else low >= code / 2
        if is_far:
            log.warning(
                "sentinel-suspected",
                name,
                f"{code} in {pc.sum(is_code).as_py():,} cells, the others from {low:g} to {high:g}",
                expected="an empty cell where a value is missing",
                action=f'if {code} means missing, state [columns.missing] {name} = ["{code}"]',
            )


def _note_changed_cells(log: ReadLog) -> None:
    """Note empty cells, each marker, and white space, for the table as a whole."""
    for marker, by_column in log.markers.items():
        cells = _cells_of(by_column)
        found = f"{marker!r} in {cells}; read as missing"
        if marker == "":
            log.passed("missing-empty", "table", f"{cells} are empty; read as missing")
        elif log.text_columns.isdisjoint(by_column):
            log.passed("missing-marker", "table", found)
        else:
            log.warning(
                "missing-marker",
                "table",
                found,
                expected="empty cells for missing values",
                action=f'if it is a real value, state [missing] keep = ["{marker}"]',
            )
    if log.stripped:
        cells = _cells_of(log.stripped)
        log.passed("white-space", "table", f"white space around {cells}; removed")


def _cells_of(by_column: dict[str, int]) -> str:
    return f"{sum(by_column.values()):,} cells of {listed(list(by_column))}"
