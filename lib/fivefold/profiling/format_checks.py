"""Format checks: notation of numbers, dates and missing values, and how they were read.

Each function takes a `CheckContext` and returns the findings of one code; none means all is well.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding
from fivefold.core.text import listed
from fivefold.data.missing_markers import DATE_CODES, DAYS_APART, MISSING_WORDS, NUMBER_CODES
from fivefold.data.parsing import (
    AMBIGUOUS_DATES,
    CURRENCY,
    parse_dates,
    parse_numbers,
    texts,
    to_numbers,
)
from fivefold.profiling.check_context import CheckContext, NotApplicable, quote_cell

_EXAMPLES = 2000  # different texts of a column that are looked at


def find_missing_words(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find levels that say "missing" in words."""
    categorical = ctx.columns("categorical")
    if not categorical:
        return NotApplicable("no categorical columns")
    findings = []
    for column in categorical:
        words = [level for level in column.levels if level.strip().lower() in MISSING_WORDS]
        if not words:
            continue
        cells = int(ctx.typed[column.name].isin(words).sum())
        finding = Finding(
            code="missing-words",
            severity=WARNING,
            subject=column.name,
            found=f"{cells:,} cells {listed([quote_cell(w) for w in words])}, read as levels",
            expected="empty cells where a value is missing",
            action="if it means missing, leave such cells empty in the source",
        )
        findings.append(finding)
    return findings


def find_written_numbers(ctx: CheckContext) -> list[Finding]:
    """Find numbers written with currency or separators: how they were read, and other readings."""
    findings = []
    for column in ctx.columns("numeric"):
        raw = ctx.raw[column.name]
        if not pd.api.types.is_string_dtype(raw.dtype):
            continue
        head = texts(raw.iloc[ctx.sample].dropna()).drop_duplicates().head(_EXAMPLES)
        is_written = head.str.contains(rf"[{CURRENCY},'\s(]", regex=True).fillna(False).astype(bool)
        values = to_numbers(head, "numeric", dict(column.parse))
        sign, role, other = _other_reading(head, dict(column.parse))
        differs = (other != values) & np.isfinite(other).all()
        is_shown = differs if differs.any() else is_written.to_numpy()
        shown = np.flatnonzero(is_shown & np.isfinite(values))
        if not len(shown):
            continue
        decimal, thousands = column.parse.get("decimal", "."), column.parse.get("thousands", "")
        rule = f"decimal {decimal!r}" + (f", thousands {thousands!r}" if thousands else "")
        example = quote_cell(head.iloc[shown[0]])
        found = f"{example} read as {values[shown[0]]:.15g} ({rule})"
        if differs.any():
            finding = Finding(
                code="written-numbers",
                severity=WARNING,
                subject=column.name,
                found=f"{found}, but {sign!r} could as well be the {role} sign",
                expected="a spelling with one reading",
                action="look at the values; if wrong, write plain numbers such as 1234.5",
            )
        else:
            finding = Finding(
                code="written-numbers", severity=PASSED, subject=column.name, found=found
            )
        findings.append(finding)
    return findings


def _other_reading(cells: pd.Series, rule: dict[str, str]) -> tuple[str, str, np.ndarray]:
    """Return (the sign in question, what else it could be, the cells as numbers in that reading).

    All numbers are missing where there is no other reading. In 1,234 the sign is the comma, in 950
    and 1.500 the point. A number of four digits without a point shows that points do not mark
    thousands.
    """
    sign = rule.get("thousands", "")
    if sign in (".", ","):
        return sign, "decimal", parse_numbers(cells, {"decimal": sign}).to_numpy()
    if sign or rule.get("decimal", ".") != "." or cells.str.contains(r"\d{4}", regex=True).any():
        return sign, "", np.full(len(cells), np.nan)
    numbers = parse_numbers(cells, {"decimal": ",", "thousands": "."})
    return ".", "thousands", numbers.to_numpy()


def find_number_codes(ctx: CheckContext) -> list[Finding]:
    """Find codes such as -999 in two cells or more, where all others stay within half of it."""
    findings = []
    for column in ctx.columns("numeric"):
        if column.low is None or column.high is None:
            continue
        numbers = ctx.typed[column.name].to_numpy()
        inside = [code for code in NUMBER_CODES if column.low <= code <= column.high]
        cells = {code: int((numbers == code).sum()) for code in inside}
        repeated = {code: count for code, count in cells.items() if count > 1}
        if not repeated:
            continue
        others = numbers[~np.isnan(numbers) & ~np.isin(numbers, NUMBER_CODES)]
        for code, count in repeated.items():
            if not len(others):
                continue
            is_far = others.max() <= code / 2 if code > 0 else others.min() >= code / 2
            if not is_far:
                continue
            finding = Finding(
                code="sentinel-suspected",
                severity=WARNING,
                subject=column.name,
                found=f"{code} in {count:,} cells, "
                f"the others from {others.min():g} to {others.max():g}",
                expected="an empty cell where a value is missing",
                action=f"if {code} means missing, leave such cells empty in the source",
            )
            findings.append(finding)
    return findings


def find_ambiguous_dates(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find dates in which day and month could change places in every row."""
    columns = ctx.columns("date")
    if not columns:
        return NotApplicable("no date columns")
    findings = []
    for column in columns:
        rule = column.parse.get("format", "")
        example = ""
        if rule in AMBIGUOUS_DATES:
            cells = texts(ctx.raw[column.name].dropna()).drop_duplicates()
            if parse_dates(cells, {"format": AMBIGUOUS_DATES[rule]}).notna().all():
                example = quote_cell(cells.iloc[0])
        if example:
            finding = Finding(
                code="date-ambiguous",
                severity=WARNING,
                subject=column.name,
                found=f"{example} and all others could be day or month first; read as day first",
                expected="a day above 12, or 2024-12-31",
                action="if wrong, write the dates year first",
            )
        else:
            finding = Finding(
                code="date-ambiguous",
                severity=PASSED,
                subject=column.name,
                found=_dates_text(ctx.typed[column.name].dropna(), rule),
            )
        findings.append(finding)
    return findings


def _dates_text(days: pd.Series, rule: str) -> str:
    """Return how dates are written and what they span."""
    written = f" written {rule}" if rule else ""
    span = f"{days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}" if len(days) else "no readable date"
    century = " (years 69 to 99 are of the 1900s)" if "%y" in rule else ""
    return f"dates{written}, {span}{century}"


def find_date_codes(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find placeholders such as 1900-01-01 or 9999-12-31, a year or more from all other dates."""
    columns = ctx.columns("date")
    if not columns:
        return NotApplicable("no date columns")
    findings = []
    for column in columns:
        counts = ctx.typed[column.name].dropna().dt.floor("D").value_counts()
        codes = counts[[stamp.date() in DATE_CODES for stamp in counts.index]]
        others = pd.Series(counts.index.difference(codes.index))
        for stamp, cells in codes.items():
            if not len(others) or (others - stamp).dt.days.abs().min() < DAYS_APART:
                continue
            finding = Finding(
                code="date-sentinel",
                severity=WARNING,
                subject=column.name,
                found=f"{stamp:%Y-%m-%d} in {cells:,} cells, a year or more from all others",
                expected="an empty cell where no date is known",
                action="if it stands for missing, leave such cells empty in the source",
            )
            findings.append(finding)
    return findings
