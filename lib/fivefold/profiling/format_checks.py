"""Notation: how numbers, dates and gaps are written in single columns, and what was made of it.

Each function takes a `CheckContext` and returns the findings of one code; no finding means that all is well.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding
from fivefold.core.text import listed
from fivefold.data.infer import to_numbers
from fivefold.data.missing_markers import DATE_CODES, DAYS_APART, MISSING_WORDS, NUMBER_CODES
from fivefold.data.parsing import AMBIGUOUS_DATES, CURRENCY, parse_dates, parse_numbers, texts
from fivefold.profiling.check_context import CheckContext, not_applicable, quote_cell


def check_missing_words(ctx: CheckContext) -> list[Finding]:
    """Levels that say "missing" in words."""
    categorical = ctx.columns("categorical")
    if not categorical:
        return not_applicable("missing-words", "no categorical columns")
    found = []
    for column in categorical:
        words = [level for level in column.levels if level.strip().lower() in MISSING_WORDS]
        if words:
            cells = int(ctx.typed[column.name].isin(words).sum())
            text = f"{cells:,} cells {listed([quote_cell(w) for w in words])}, taken for levels"
            found.append(
                Finding(
                    code="missing-words",
                    severity=WARNING,
                    subject=column.name,
                    found=text,
                    expected="empty cells where a value is missing",
                    action="if it means missing, leave such cells empty in the source",
                )
            )
    return found


def check_written_numbers(ctx: CheckContext) -> list[Finding]:
    """Numbers written with currency or separators: what they were read as, and whether that is in doubt."""
    columns = [
        c for c in ctx.columns("numeric") if pd.api.types.is_string_dtype(ctx.raw[c.name].dtype)
    ]
    found = []
    for column in columns:
        head = texts(ctx.raw[column.name].iloc[ctx.sample].dropna()).drop_duplicates().head(2000)
        odd = (
            head.str.contains(rf"[{CURRENCY},'\s(]", regex=True)
            .fillna(False)
            .astype(bool)
            .to_numpy()
        )
        values = to_numbers(head, "numeric", dict(column.parse))
        sign, role, other = _other_reading(head, dict(column.parse))
        differ = (other != values) & np.isfinite(other).all()
        read = np.flatnonzero((differ if differ.any() else odd) & np.isfinite(values))
        if not len(read):
            continue
        decimal, thousands = column.parse.get("decimal", "."), column.parse.get("thousands", "")
        rule = f"decimal {decimal!r}" + (f", thousands {thousands!r}" if thousands else "")
        text = f"{quote_cell(head.iloc[read[0]])} read as {values[read[0]]:.15g} ({rule})"
        if differ.any():
            found.append(
                Finding(
                    code="written-numbers",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{text}, but {sign!r} could as well be the {role} sign",
                    expected="a spelling with one reading",
                    action="look at the values; if wrong, write plain numbers such as 1234.5",
                )
            )
        else:
            found.append(
                Finding(code="written-numbers", severity=PASSED, subject=column.name, found=text)
            )
    return found


def _other_reading(cells: pd.Series, rule: dict[str, str]) -> tuple[str, str, np.ndarray]:
    """(the sign in question, what else it could be, the numbers that makes of the cells; all missing where it cannot).

    In 1,234 the comma, in 950 and 1.500 the point; a number of four digits without a point shows that points are no
    signs of thousands.
    """
    sign = rule.get("thousands", "")
    if sign in (".", ","):
        return sign, "decimal", parse_numbers(cells, {"decimal": sign}).to_numpy()
    if sign or rule.get("decimal", ".") != "." or cells.str.contains(r"\d{4}", regex=True).any():
        return sign, "", np.full(len(cells), np.nan)
    return ".", "thousands", parse_numbers(cells, {"decimal": ",", "thousands": "."}).to_numpy()


def check_number_codes(ctx: CheckContext) -> list[Finding]:
    """Codes such as -999 or 9999 in at least two cells, where all other values stay within half of the code."""
    found = []
    for column in ctx.columns("numeric"):
        numbers = ctx.typed[column.name].to_numpy()
        inside = [
            c
            for c in NUMBER_CODES
            if column.low is not None and column.high is not None and column.low <= c <= column.high
        ]
        cells = {code: int((numbers == code).sum()) for code in inside}
        if not any(n > 1 for n in cells.values()):
            continue
        rest = numbers[~np.isnan(numbers) & ~np.isin(numbers, NUMBER_CODES)]
        for code, n in cells.items():
            if (
                n > 1
                and len(rest)
                and (rest.max() <= code / 2 if code > 0 else rest.min() >= code / 2)
            ):
                found.append(
                    Finding(
                        code="sentinel-suspected",
                        severity=WARNING,
                        subject=column.name,
                        found=f"{code} in {n:,} cells, the others from {rest.min():g} to {rest.max():g}",
                        expected="an empty cell where a value is missing",
                        action=f"if {code} means missing, leave such cells empty in the source",
                    )
                )
    return found


def check_ambiguous_dates(ctx: CheckContext) -> list[Finding]:
    """Dates in which day and month could change places in every row."""
    if not (dates := ctx.columns("date")):
        return not_applicable("date-ambiguous", "no date columns")
    found = []
    for column in dates:
        days = ctx.typed[column.name].dropna()
        rule = column.parse.get("format", "")
        span = (
            f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}" if len(days) else "no readable date"
        )
        cells = (
            texts(ctx.raw[column.name].dropna()).drop_duplicates()
            if rule in AMBIGUOUS_DATES
            else None
        )
        if cells is None or parse_dates(cells, {"format": AMBIGUOUS_DATES[rule]}).isna().any():
            found.append(
                Finding(
                    code="date-ambiguous",
                    severity=PASSED,
                    subject=column.name,
                    found=f"dates{' written ' + rule if rule else ''}, {span}"
                    f"{' (years 69 to 99 are of the 1900s)' if '%y' in rule else ''}",
                )
            )
        else:
            found.append(
                Finding(
                    code="date-ambiguous",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{quote_cell(cells.iloc[0])} and all others could "
                    "be day or month first; read as day first",
                    expected="a day above 12, or 2024-12-31",
                    action="if wrong, write the dates year first",
                )
            )
    return found


def check_date_codes(ctx: CheckContext) -> list[Finding]:
    """Placeholders such as 1900-01-01 or 9999-12-31, a year or more from all other dates."""
    if not (dates := ctx.columns("date")):
        return not_applicable("date-sentinel", "no date columns")
    found = []
    for column in dates:
        days = ctx.typed[column.name].dropna().dt.floor("D")
        counts = days.value_counts()
        codes = counts[[stamp.date() in DATE_CODES for stamp in counts.index]]
        others = pd.Series(counts.index.difference(codes.index))
        for stamp, cells in codes.items():
            if len(others) and (others - stamp).dt.days.abs().min() >= DAYS_APART:
                found.append(
                    Finding(
                        code="date-sentinel",
                        severity=WARNING,
                        subject=column.name,
                        found=f"{stamp:%Y-%m-%d} in {cells:,} cells, a year or more from all others",
                        expected="an empty cell where no date is known",
                        action="if it stands for missing, leave such cells empty in the source",
                    )
                )
    return found
