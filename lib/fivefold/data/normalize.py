"""Cells: how text and database values become the columns of a frame: missing markers, numbers, dates, text.

Whatever the format, the frame that comes out has four kinds of column only: `int64` (no missing cell),
`float64`, `datetime64[us]` without time zone, and `str`. Booleans are the texts "True" and "False", so that
CSV, Parquet and SQL agree. Text is stripped of surrounding white space. Currency, percent, thousands and
decimal commas stay text: `fivefold.data.parsing` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fivefold.core.findings import PASSED, WARNING, Finding
from fivefold.data.missing_markers import MARKERS, NUMBER_MARKERS, SENTINELS
from fivefold.data.parsing import EXACT

TEXT = pa.large_string()
LONG = "integers of 2**53 and more, which float64 would round; kept as text"
_THOUSANDS = r"^[+-]?([0-9]{1,3}|[1-9][0-9]{0,2}\.[0-9]{3})$"  # 950, 12.000
Column: TypeAlias = pa.ChunkedArray


@dataclass
class Log:
    """What was met on the way: findings, {marker: {column: cells}}, {column: cells stripped of space}."""

    findings: list[Finding] = field(default_factory=list)
    markers: dict[str, dict[str, int]] = field(default_factory=dict)
    stripped: dict[str, int] = field(default_factory=dict)
    text_columns: set[str] = field(default_factory=set)

    def note(
        self,
        severity: str,
        code: str,
        column: str,
        found: str,
        expected: str = "",
        action: str = "",
    ) -> None:
        """Add a finding on a column."""
        self.findings.append(
            Finding(
                code=code,
                severity=severity,
                subject=column,
                found=found,
                expected=expected,
                action=action,
            )
        )

    def missing(self, column: str, marker: str, cells: int) -> None:
        by_column = self.markers.setdefault(marker, {})
        by_column[column] = by_column.get(column, 0) + cells


def settle(
    table: pa.Table,
    log: Log,
    *,
    numbers: bool,
    missing: Sequence[str] = (),
    keep: Sequence[str] = (),
) -> pd.DataFrame:
    """The frame of an Arrow table, one of four dtypes a column (see above); decisions go to `log`.

    `numbers`: text that is all numbers becomes numbers (CSV); otherwise it stays text, its type was declared
    (Parquet, SQL). `missing` adds markers, `keep` removes some. Integers that float64 would round, and
    numbers with leading zeros (postal codes), stay text.
    """
    hard = (set(MARKERS) | {m.strip() for m in missing}) - set(keep)
    soft = set(NUMBER_MARKERS) - {k.lower() for k in keep}
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        column = _plain(name, column, log)
        if pa.types.is_large_string(column.type):
            column = _text(name, column, hard, soft, numbers, log)
        if pa.types.is_large_string(column.type):
            log.text_columns.add(name)
        elif not pa.types.is_timestamp(column.type):
            column = _sentinels(name, _drop_numbers(name, column, missing, log), log)
        columns.append(column)
    log.findings += _summary(log)
    return pa.table(dict(zip(table.column_names, columns, strict=True))).to_pandas()


def _text(
    name: str, column: Column, hard: set[str], soft: set[str], numbers: bool, log: Log
) -> Column:
    """Strip, blank the markers, and turn into numbers where `numbers` and all cells agree."""
    column, written = pc.utf8_trim_whitespace(column), column
    if cells := pc.sum(pc.not_equal(column, written)).as_py():
        log.stripped[name] = cells
    column, counts = _blank(column, column, hard)
    if column.null_count == len(column):  # no cell to tell a kind: numbers, all missing
        _record(log, name, counts)
        return column.cast(pa.float64())
    number = _number(name, column, log) if numbers else None
    if number is None and numbers:
        fewer, soft_counts = _blank(column, pc.utf8_lower(column), soft)
        if soft_counts and fewer.null_count < len(fewer):
            number = _number(name, fewer, log)
            counts |= soft_counts if number is not None else {}
    _record(log, name, counts)
    return column if number is None else number


def _record(log: Log, name: str, counts: dict[str, int]) -> None:
    for marker, cells in counts.items():
        log.missing(name, marker, cells)


def _blank(column: Column, keys: Column, markers: set[str]) -> tuple[Column, dict[str, int]]:
    """The column with null where `keys` is one of the markers, and the cells by marker as written."""
    hit = pc.is_in(keys, value_set=pa.array(sorted(markers), TEXT))
    if not pc.any(hit).as_py():
        return column, {}
    rows = pc.value_counts(column.filter(hit)).to_pylist()
    counts = {str(row["values"]): int(row["counts"]) for row in rows}
    return pc.if_else(hit, pa.scalar(None, TEXT), column), counts


def _number(name: str, column: Column, log: Log) -> Column | None:
    """The column as int64 or float64; None where a cell is no number or a number would lose digits."""
    floats = _cast(column, pa.float64())
    if floats is None:
        return None
    if cells := pc.sum(pc.match_substring_regex(column, "^[+-]?0[0-9]")).as_py():
        log.note(PASSED, "leading-zeros", name, f"leading zeros in {cells:,} cells; kept as text")
        return None
    whole = _cast(column, pa.int64())
    if (whole is None or whole.null_count) and pc.any(long_integers(column, floats)).as_py():
        log.note(PASSED, "long-integers", name, LONG)
        return None
    if whole is not None:
        return whole
    if cells := pc.sum(pc.is_inf(floats)).as_py():
        log.note(
            WARNING,
            "infinite-values",
            name,
            f"infinity in {cells:,} cells",
            "finite numbers",
            "mend the source",
        )
    fits = all(
        pc.all(pc.match_substring_regex(cells, _THOUSANDS)).as_py()
        is not False  # most fail at the first look
        for cells in (column.slice(0, 100), column)
    )
    if (
        fits and (place := pc.index(pc.match_substring(column, "."), True).as_py()) >= 0
    ):  # German thousands?
        cell = column[place].as_py()
        log.note(
            WARNING,
            "written-numbers",
            name,
            f"{cell!r} read as {float(cell):.15g} (decimal '.'), but '.' could "
            "as well be the thousands sign",
            "a spelling with one reading",
            "look at the values; if wrong, write plain numbers such as 1500",
        )
    return floats


def long_integers(column: Column, floats: Column) -> Column:
    """Which texts are whole numbers that float64 rounds; `floats`: the same cells as numbers."""
    large = pc.greater_equal(pc.abs(floats), EXACT)
    return (
        pc.and_(large, pc.match_substring_regex(column, "^[+-]?[0-9]{16,}$"))
        if pc.any(large).as_py()
        else large
    )


def _cast(column: Column, kind: pa.DataType) -> Column | None:
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None


def _plain(name: str, column: Column, log: Log) -> Column:
    """The column as text, int64, float64 or timestamp without time zone, by its Arrow type."""
    kind, is_ = column.type, pa.types
    if is_.is_dictionary(kind):
        return _plain(name, column.cast(kind.value_type), log)
    if is_.is_boolean(kind):
        return pc.if_else(column, pa.scalar("True", TEXT), pa.scalar("False", TEXT))
    if is_.is_integer(kind):
        whole = _cast(column, pa.int64())  # None: unsigned and beyond int64
        largest = pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() or 0
        if whole is not None and (whole.null_count == 0 or largest < EXACT):
            return whole
        log.note(PASSED, "long-integers", name, LONG)
        return column.cast(TEXT)
    if is_.is_decimal(kind):  # by way of text: a cast makes 3.3000000000000003 of 3.30
        written = column.cast(TEXT)
        floats = written.cast(pa.float64())
        if kind.scale or not pc.any(long_integers(written, floats)).as_py():
            return floats
        log.note(PASSED, "long-integers", name, LONG)
        return written
    if is_.is_null(kind) or is_.is_floating(kind):
        return column.cast(pa.float64())
    if is_.is_date(kind):
        return column.cast(pa.timestamp("us"))
    if is_.is_timestamp(kind):
        if kind.tz is not None:  # Arrow stores UTC: dropping the zone leaves UTC
            log.note(
                PASSED,
                "time-zone",
                name,
                f"times of zone {kind.tz}; converted to UTC without a zone",
            )
        return column.cast(pa.timestamp(kind.unit)).cast(pa.timestamp("us"), safe=False)
    if is_.is_duration(kind):
        log.note(PASSED, "durations", name, "durations; converted to seconds")
        ticks = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[kind.unit]
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), ticks)
    if is_.is_string(kind) or is_.is_large_string(kind) or is_.is_string_view(kind):
        return column.cast(TEXT)
    if is_.is_time(kind):
        return column.cast(TEXT)
    if is_.is_nested(kind):
        log.note(
            WARNING,
            "nested-values",
            name,
            f"values of type {kind}; written as JSON text",
            "one plain value a cell",
            "split it into columns at the source",
        )
        return _each(column, lambda v: json.dumps(v, default=str, sort_keys=True))
    log.note(
        WARNING,
        "binary-values",
        name,
        f"values of type {kind}; written as text",
        "numbers, text or dates",
        "drop the column",
    )
    return _each(column, lambda v: v.hex() if isinstance(v, bytes) else str(v))


def _each(column: Column, write: Callable[[Any], str]) -> Column:
    return pa.chunked_array(
        [pa.array([None if v is None else write(v) for v in column.to_pylist()], TEXT)]
    )


def _drop_numbers(name: str, column: Column, missing: Sequence[str], log: Log) -> Column:
    """Null where a number equals one of the user's markers: "-999" also means -999.0."""
    for marker in missing:
        try:
            hit = pc.equal(column, float(marker))
        except ValueError:
            continue
        if cells := pc.sum(hit).as_py():
            log.missing(name, marker, cells)
            column = pc.if_else(hit, pa.scalar(None, column.type), column)
    return column


def _sentinels(name: str, column: Column, log: Log) -> Column:
    """Warn where a code such as -999 is the extreme and all other values stay within half of it."""
    ends = pc.min_max(column).as_py()
    for code in SENTINELS:
        if (ends["max"] if code > 0 else ends["min"]) != code:
            continue
        hit = pc.equal(column, code)
        rest = pc.min_max(column.filter(pc.invert(hit))).as_py()
        if rest["min"] is not None and (
            rest["max"] <= code / 2 if code > 0 else rest["min"] >= code / 2
        ):
            span = f"{rest['min']:g} to {rest['max']:g}"
            log.note(
                WARNING,
                "sentinel-suspected",
                name,
                f"{code} in {pc.sum(hit).as_py():,} cells, the others from {span}",
                "an empty cell where a value is missing",
                f"if {code} means missing, leave such cells empty in the source",
            )
    return column


def names(columns: Sequence[str], most: int = 5) -> str:
    """A short list for a sentence: the first few names, then how many more."""
    rest = len(columns) - most
    return ", ".join(columns[:most]) + (f" and {rest} more" if rest > 0 else "")


def _summary(log: Log) -> list[Finding]:
    """One finding for empty cells, one a marker word, one for white space."""
    found = []
    for marker, by_column in log.markers.items():
        where = f"{sum(by_column.values()):,} cells of {names(list(by_column))}"
        doubtful = [c for c in by_column if c in log.text_columns]
        said = f"{marker!r} in {where}; read as missing"
        if marker == "":
            found.append(
                Finding(
                    code="missing-empty",
                    severity=PASSED,
                    subject="table",
                    found=f"{where} are empty; read as missing",
                )
            )
        elif doubtful:
            found.append(
                Finding(
                    code="missing-marker",
                    severity=WARNING,
                    subject="table",
                    found=said,
                    expected="empty cells for missing values",
                    action="if it is a real category, give it another name in the source",
                )
            )
        else:
            found.append(
                Finding(code="missing-marker", severity=PASSED, subject="table", found=said)
            )
    if log.stripped:
        where = f"{sum(log.stripped.values()):,} cells of {names(list(log.stripped))}"
        found.append(
            Finding(
                code="white-space",
                severity=PASSED,
                subject="table",
                found=f"white space around {where}; removed",
            )
        )
    return found
