"""Format checks: notation of numbers, dates and missing values, and how they were read.

Each function takes a `CheckContext` and yields the results of one check; none means all is well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED
from fivefold.core.text import listed
from fivefold.data.date_texts import has_zone
from fivefold.data.decorations import describe, mixed_units
from fivefold.data.missing_markers import MISSING_WORDS, NUMBER_CODES
from fivefold.data.parsing import (
    AMBIGUOUS_DATES,
    CURRENCY,
    currencies,
    parse_dates,
    parse_numbers,
    texts,
    to_numbers,
)
from fivefold.profiling.check_context import CheckContext, Result, quote_cell
from fivefold.profiling.column_profile import lone_placeholders

_EXAMPLES = 2000  # different texts of a column that are looked at


def find_missing_words(ctx: CheckContext) -> Iterator[Result]:
    """Find levels that say "missing" in words."""
    for column in ctx.columns_of("categorical"):
        words = [
            level
            for level in column.levels
            if level.strip().lower() in MISSING_WORDS and level not in column.kept
        ]
        if not words:
            continue
        cells = int(ctx.typed[column.name].isin(words).sum())
        yield Result(
            column.name,
            f"{cells:,} cells {listed([quote_cell(w) for w in words])}, read as levels",
            "empty cells where a value is missing",
            f"if it means missing, state [columns.missing] {column.name} = {_toml(words)}",
        )


def _toml(words: list[str]) -> str:
    return "[" + ", ".join(f'"{word}"' for word in words) + "]"


def find_written_numbers(ctx: CheckContext) -> Iterator[Result]:
    """Find numbers written with currency or separators: how they were read, and other readings."""
    for column in ctx.columns("numeric"):
        raw, parse = ctx.raw[column.name], dict(column.parse)
        if not pd.api.types.is_string_dtype(raw.dtype):
            continue
        head = texts(raw.iloc[ctx.sample].dropna()).drop_duplicates().head(_EXAMPLES)
        is_written = head.str.contains(rf"[{CURRENCY},'\s(:<>≤≥~+\u2212A-Za-z]|^=")
        values = to_numbers(head, "numeric", parse)
        sign, role, other = _other_reading(head, parse)
        differs = (other != values) & np.isfinite(other).all()
        is_shown = differs if differs.any() else is_written.to_numpy()
        shown = np.flatnonzero(is_shown & np.isfinite(values))
        if not len(shown):
            continue
        decimal, thousands = parse.get("decimal", "."), parse.get("thousands", "")
        marks = [f"decimal {decimal!r}"] + ([f"thousands {thousands!r}"] if thousands else [])
        if parse.get("form") == "duration":
            marks = []
        rule = ", ".join([*marks, *describe(parse)])
        example = quote_cell(head.iloc[shown[0]])
        found = f"{example} read as {values[shown[0]]:.15g} ({rule})"
        if not differs.any():
            yield Result(column.name, found, severity=PASSED)
            continue
        yield Result(
            column.name,
            f"{found}, but {sign!r} could as well be the {role} sign",
            "a spelling with one reading",
            "look at the values; if wrong, write plain numbers such as 1234.5",
        )


def _other_reading(cells: pd.Series, parse: Mapping[str, str]) -> tuple[str, str, np.ndarray]:
    """Return (the sign in question, what else it could be, the cells as numbers in that reading).

    All numbers are missing where there is no other reading. In 1,234 the sign is the comma, in 950
    and 1.500 the point. A number of four digits without a point shows that points do not mark
    thousands.
    """
    sign = parse.get("thousands", "")
    if sign in (".", ","):
        return sign, "decimal", parse_numbers(cells, {"decimal": sign}).to_numpy()
    if (
        sign
        or parse.get("decimal", ".") != "."
        or describe(parse)
        or cells.str.contains(r"\d{4}").any()
    ):
        return sign, "", np.full(len(cells), np.nan)
    numbers = parse_numbers(cells, {"decimal": ",", "thousands": "."})
    return ".", "thousands", numbers.to_numpy()


def find_mixed_units(ctx: CheckContext) -> Iterator[Result]:
    """Find columns whose numbers have several units or currencies."""
    for column in ctx.columns("numeric", "categorical", "id"):
        raw = ctx.raw[column.name]
        if not pd.api.types.is_string_dtype(raw.dtype):
            continue
        counts = texts(raw.iloc[ctx.sample].dropna()).value_counts().head(_EXAMPLES)
        units = mixed_units(counts)
        if column.kind == "numeric":
            units = units or currencies(counts)
        if len(units) < 2:
            continue
        parts = ", ".join(f"{unit} ({cells:,})" for unit, cells in units.items())
        role = "numbers" if column.kind == "numeric" else "levels"
        yield Result(
            column.name,
            f"numbers in several units: {parts}{ctx.sampled}; read as {role}",
            "one unit a column",
            "convert them to one unit at the source, or give the unit a column of its own",
        )


def find_mixed_zones(ctx: CheckContext) -> Iterator[Result]:
    """Find times with a zone beside times without."""
    for column in ctx.columns_of("date"):
        raw = ctx.raw[column.name]
        if not pd.api.types.is_string_dtype(raw.dtype):
            continue
        cells = texts(raw.iloc[ctx.sample].dropna())
        zoned = int(has_zone(cells).sum())
        if 0 < zoned < len(cells):
            yield Result(
                column.name,
                f"{zoned:,} times with a zone and {len(cells) - zoned:,} without{ctx.sampled}; "
                "those without count as UTC",
                "a zone in every cell, or in none",
                "write all times in UTC, if those without are of another zone",
            )


def find_number_codes(ctx: CheckContext) -> Iterator[Result]:
    """Find codes such as -999 in two cells or more, where all others stay within half of it."""
    for column in ctx.columns("numeric"):
        numbers = ctx.typed[column.name].to_numpy()
        is_code = np.isin(numbers, NUMBER_CODES)
        others = numbers[~np.isnan(numbers) & ~is_code]
        if not is_code.any() or not len(others):
            continue
        low, high = others.min(), others.max()
        for code in NUMBER_CODES:
            count = int((numbers == code).sum())
            is_far = high <= code / 2 if code > 0 else low >= code / 2
            if count > 1 and is_far:
                yield Result(
                    column.name,
                    f"{code} in {count:,} cells, the others from {low:g} to {high:g}",
                    "an empty cell where a value is missing",
                    f'if {code} means missing, state [columns.missing] {column.name} = ["{code}"]',
                )


def find_ambiguous_dates(ctx: CheckContext) -> Iterator[Result]:
    """Find dates in which day and month could change places in every row."""
    for column in ctx.columns_of("date"):
        rule = column.parse.get("format", "")
        if rule in AMBIGUOUS_DATES:
            cells = texts(ctx.raw[column.name].dropna()).drop_duplicates()
            if parse_dates(cells, {"format": AMBIGUOUS_DATES[rule]}).notna().all():
                example = quote_cell(cells.iloc[0])
                yield Result(
                    column.name,
                    f"{example} and all others could be day or month first; read as day first",
                    "a day above 12, or 2024-12-31",
                    "if wrong, write the dates year first",
                )
                continue
        found = _dates_text(ctx.typed[column.name].dropna(), rule)
        yield Result(column.name, found, severity=PASSED)


def _dates_text(days: pd.Series, rule: str) -> str:
    """Return how dates are written and what they span."""
    written = f" written {rule}" if rule else ""
    span = f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}" if len(days) else "no readable date"
    century = " (years 69 to 99 are of the 1900s)" if "%y" in rule else ""
    return f"dates{written}, {span}{century}"


def find_date_codes(ctx: CheckContext) -> Iterator[Result]:
    """Find placeholders such as 1900-01-01 or 9999-12-31, a year or more from all other dates."""
    for column in ctx.columns_of("date"):
        days = ctx.typed[column.name].dropna().to_numpy().astype("datetime64[D]")
        placeholders = days[np.isin(days, lone_placeholders(days))]
        for day, cells in pd.Series(placeholders).value_counts().items():
            yield Result(
                column.name,
                f"{day:%Y-%m-%d} in {cells:,} cells, a year or more from all others",
                "an empty cell where no date is known",
                f'if it means missing, state [columns.missing] {column.name} = ["{day:%Y-%m-%d}"]',
            )
