"""Parsing: convert texts to numbers, dates, and yes or no."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_float_dtype,
    is_numeric_dtype,
)

from fivefold.data.date_texts import read_dates, read_otherwise
from fivefold.data.decorations import bare, durations, without_decorations

# {"decimal": ",", "thousands": "."} with decorations as in `fivefold.data.decorations`, or
# {"format": "%d/%m/%Y"} or another format of `fivefold.data.date_texts`
Rule = dict[str, str]

EXACT = 2**53  # below it float64 holds every integer; 2**53 + 1 already reads as 2**53
# (no, yes) in lower case. "1/2" and "m/f" are missing on purpose: they do not say which is which.
BOOLEAN_PAIRS = (
    ("0", "1"),
    ("0.0", "1.0"),
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("off", "on"),
)
# Tried in this order, and the first wins a tie: plain numbers, 1,234.5, 1.234,5, 1'234.5, 1 234,5.
NUMBER_RULES: tuple[Rule, ...] = (
    {"decimal": "."},
    {"decimal": ".", "thousands": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ".", "thousands": "'"},
    {"decimal": ",", "thousands": " "},
    {"decimal": ","},
)
# ISO first; day first before month first where the values leave it open (reported by a finding).
_FORMATS = """
    %Y-%m-%d | ISO8601 | %Y/%m/%d | %d.%m.%Y | %d/%m/%Y | %m/%d/%Y | %d-%m-%Y | %m-%d-%Y
    %d/%m/%Y %H:%M | %m/%d/%Y %H:%M | %d.%m.%Y %H:%M
    %d %b %Y %H:%M | %d %B %Y %H:%M | %b %d, %Y %H:%M | %B %d, %Y %H:%M
    %d %b %Y | %d %B %Y | %b %d, %Y | %B %d, %Y | %d-%b-%Y | %d-%b-%y
    %d/%m/%Y %H:%M:%S | %m/%d/%Y %H:%M:%S | %d.%m.%Y %H:%M:%S
    %d-%m-%Y %H:%M | %m-%d-%Y %H:%M | %d-%m-%Y %H:%M:%S | %m-%d-%Y %H:%M:%S
    %Y/%m/%d %H:%M | %Y/%m/%d %H:%M:%S
    %d/%m/%Y %I:%M %p | %m/%d/%Y %I:%M %p | %d/%m/%Y %I:%M:%S %p | %m/%d/%Y %I:%M:%S %p
    %d/%m/%y | %m/%d/%y | %d.%m.%y
"""
DATE_FORMATS: tuple[Rule, ...] = tuple(
    {"format": text.strip()} for line in _FORMATS.strip().splitlines() for text in line.split("|")
)
_SWAP = str.maketrans("dm", "md")
# Formats with the day first, and the same with the month first.
AMBIGUOUS_DATES = {
    rule["format"]: rule["format"][:5].translate(_SWAP) + rule["format"][5:]
    for rule in DATE_FORMATS
    if rule["format"].startswith(("%d/%m", "%d-%m"))
}
# Years of two digits say little: only where all cells are so. "1.2.10" may be a version.
SHORT_DATES = {
    "%d/%m/%y": r"\d{1,2}/\d{1,2}/\d\d",
    "%m/%d/%y": r"\d{1,2}/\d{1,2}/\d\d",
    "%d.%m.%y": r"\d\d\.\d\d\.\d\d",
}
CURRENCY = "$€£¥₹₽%"
_CURRENCY_CODES = (
    "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|CAD|AUD|NZD|BRL|MXN|ZAR|TRY|RUB|KRW"
    "|SGD|HKD|ILS"
)
_BEFORE_NUMBER = rf"^([-+]?)(?:[{CURRENCY}\s]|(?:{_CURRENCY_CODES})\b)+"
_AFTER_NUMBER = rf"(?:[{CURRENCY}\s]|\b(?:{_CURRENCY_CODES}))+$"


def texts(values: pd.Series) -> pd.Series:
    """Return cells as stripped texts, missing kept missing.

    Whole floats lose their ".0", booleans become True and False.

    >>> texts(pd.Series([1.0, None, 2.0])).tolist()
    ['1', nan, '2']
    """
    present = values.notna()
    if is_bool_dtype(values.dtype):
        return values.astype("str").where(present)
    if is_float_dtype(values.dtype):
        # Cell by cell: 1.0 is "1" whatever else the column holds; -0.0 is "0".
        written = (values + 0.0).astype("str").str.removesuffix(".0")
        return written.where(present).astype("str")
    if values.dtype == "str":
        return values.str.strip()
    return values.astype("str").where(present).astype("str").str.strip()


def currencies(counts: pd.Series) -> dict[str, int]:
    """Return the cells in each currency of texts with their counts; the sign of percent is one.

    >>> currencies(pd.Series({"$5": 2, "7 USD": 1, "8": 4}))
    {'$': 2, 'USD': 1}
    """
    signs = rf"([{CURRENCY}]|\b(?:{_CURRENCY_CODES})\b)"
    named = pd.Series(counts.index, dtype="str").str.extract(signs)[0]
    cells = pd.Series(counts.to_numpy()).groupby(named.to_numpy(), sort=False).sum()
    return {str(unit): int(rows) for unit, rows in cells.items()}


def parse_numbers(values: pd.Series, rule: Rule) -> pd.Series:
    """Return texts as float64 under a rule of `NUMBER_RULES`; what does not read so becomes NaN.

    Currency and percent signs around the number are ignored ("12%" is 12), (1,200) is -1200.
    Groups of thousands must have three digits, so "1,5" is not 15. "inf" is infinity; "nan" is
    missing. Decorations (12 kg, >4000, 1.2K, 1:30:00) read where the rule names them.

    >>> cells = pd.Series(["$1,200.50", "(30)", "1,5", "abc"])
    >>> parse_numbers(cells, {"decimal": ".", "thousands": ","}).tolist()
    [1200.5, -30.0, nan, nan]
    """
    if rule.get("form") == "duration":
        return durations(values.str.strip())
    decimal, thousands = rule.get("decimal", "."), rule.get("thousands", "")
    if thousands == "" and decimal == ".":
        plain = pd.to_numeric(values, errors="coerce").astype("float64")
        if plain.notna().sum() == values.notna().sum():
            return plain
    cleaned = bare(values.str.strip()).str.replace(r"^\((.*)\)$", r"-\1", regex=True)
    cleaned = cleaned.str.replace(f"{_BEFORE_NUMBER}|{_AFTER_NUMBER}", r"\1", regex=True)
    factors = None
    if any(name in rule for name in ("unit", "multipliers", "bounds")):
        cleaned, factors = without_decorations(cleaned, rule)
    if thousands:
        group = r"[ \u00a0\u202f]" if thousands == " " else "\\" + thousands
        whole = rf"[-+]?([1-9]\d{{0,2}}({group}\d{{3}})+|\d+)"  # "0.750" is no group of thousands
        number = rf"{whole}(\{decimal}\d*)?([eE][-+]?\d+)?"
        is_number = cleaned.str.fullmatch(number, na=False)
        cleaned = cleaned.where(is_number).str.replace(group, "", regex=True)
    if decimal != ".":
        has_point = cleaned.str.contains(".", regex=False, na=False)
        cleaned = cleaned.where(~has_point).str.replace(decimal, ".", regex=False)
    numbers = pd.to_numeric(cleaned, errors="coerce").astype("float64")
    return numbers if factors is None else numbers * factors.astype("float64")


def parse_dates(values: pd.Series, rule: Rule, strictly: bool = False) -> pd.Series:
    """Return texts as datetime64 without a zone (zoned times in UTC); NaT for all else.

    Unless `strictly`, what is not of the rule's format also reads as ISO 8601, and with a weekday
    or the name of a zone around it.
    """
    form = rule.get("format", "ISO8601")
    stamps = read_dates(values, form)
    dates = pd.Series(stamps.tz_convert(None).as_unit("us"), index=values.index)
    unread = stamps.isna() & ~values.array.isna()
    if not strictly and unread.any():
        words = values[unread].drop_duplicates()
        others = pd.DatetimeIndex(read_otherwise(words, form)).tz_convert(None).as_unit("us")
        known = dict(zip(words, others, strict=True))
        dates[unread] = pd.to_datetime(values[unread].map(known)).dt.as_unit("us")
    return dates


def without_zone(dates: pd.Series) -> pd.Series:
    """Return datetimes as datetime64[us] without a zone; zoned times in UTC."""
    if isinstance(dates.dtype, pd.DatetimeTZDtype):
        dates = dates.dt.tz_convert(None)
    return dates if dates.dtype == "datetime64[us]" else dates.astype("datetime64[us]")


def days(dates: Any) -> np.ndarray:
    """Return days since 1970-01-01 as float64, with the time of day as a fraction.

    `dates` is a column or its array.
    """
    moments = np.asarray(without_zone(dates))
    return np.where(np.isnat(moments), np.nan, moments.astype("float64") / 1e6 / 86400)


def to_numbers(values: pd.Series, kind: str, rule: Rule) -> np.ndarray:
    """Return a numeric or date column as float64 (dates as `days`); NaN where unreadable."""
    if kind == "date":
        is_typed = is_datetime64_any_dtype(values.dtype)
        return days(values if is_typed else parse_dates(texts(values), rule))
    if is_numeric_dtype(values.dtype):
        plain: np.ndarray = values.array.to_numpy(dtype="float64", na_value=np.nan)
        return plain
    return parse_numbers(texts(values), rule or NUMBER_RULES[0]).to_numpy(dtype="float64")
