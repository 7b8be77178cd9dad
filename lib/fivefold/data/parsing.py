"""Values: how texts in a table become numbers and dates."""

from __future__ import annotations

import pandas as pd

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
NUMBER_RULES: tuple[dict[str, str], ...] = (
    {"decimal": "."},
    {"decimal": ".", "thousands": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ".", "thousands": "'"},
    {"decimal": ",", "thousands": " "},
    {"decimal": ","},
)
# ISO first; day first before month first where the values leave it open (a finding says so).
DATE_FORMATS: tuple[dict[str, str], ...] = tuple(
    {"format": f}
    for f in (
        "%Y-%m-%d",
        "ISO8601",
        "%Y/%m/%d",
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%m-%d-%Y",
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %H:%M",
        "%d.%m.%Y %H:%M",
        "%d %b %Y",
        "%d %B %Y",
        "%b %d, %Y",
        "%B %d, %Y",
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d/%m/%Y %H:%M:%S",
        "%m/%d/%Y %H:%M:%S",
        "%d.%m.%Y %H:%M:%S",
        "%d-%m-%Y %H:%M",
        "%m-%d-%Y %H:%M",
        "%d-%m-%Y %H:%M:%S",
        "%m-%d-%Y %H:%M:%S",
        "%Y/%m/%d %H:%M",
        "%Y/%m/%d %H:%M:%S",
        "%d/%m/%Y %I:%M %p",
        "%m/%d/%Y %I:%M %p",
        "%d/%m/%Y %I:%M:%S %p",
        "%m/%d/%Y %I:%M:%S %p",
        "%d/%m/%y",
        "%m/%d/%y",
        "%d.%m.%y",
    )
)
AMBIGUOUS_DATES = {
    f["format"]: f["format"].replace("%d", "%D").replace("%m", "%d").replace("%D", "%m")
    for f in DATE_FORMATS
    if f["format"].startswith(("%d/%m", "%d-%m"))
}
# Years of two digits say little: only where all cells are so. "1.2.10" may be a version.
SHORT_DATES = {
    "%d/%m/%y": r"\d{1,2}/\d{1,2}/\d\d",
    "%m/%d/%y": r"\d{1,2}/\d{1,2}/\d\d",
    "%d.%m.%y": r"\d\d\.\d\d\.\d\d",
}
CURRENCY = "$€£¥₹₽%"
CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|HUF|RON|CAD|AUD|NZD|BRL|MXN|ZAR|TRY|RUB|KRW|SGD|HKD|ILS"


def texts(values: pd.Series) -> pd.Series:
    """Cells as stripped texts, missing kept missing; whole floats without ".0", booleans as True and False.

    >>> texts(pd.Series([1.0, None, 2.0])).tolist()
    ['1', nan, '2']
    """
    if pd.api.types.is_bool_dtype(values.dtype):
        return values.astype("str").where(values.notna())
    if pd.api.types.is_float_dtype(
        values.dtype
    ):  # cell by cell: 1.0 is "1" whatever else the column holds
        return (
            (values + 0.0).astype("str").str.removesuffix(".0").where(values.notna()).astype("str")
        )
    if values.dtype == "str":
        return values.str.strip()
    return values.astype("str").where(values.notna()).astype("str").str.strip()


def parse_numbers(values: pd.Series, rule: dict[str, str]) -> pd.Series:
    """Texts as float64 under a rule of `NUMBER_RULES`; what does not read so becomes NaN.

    Currency and percent signs around the number are ignored ("12%" is 12), (1,200) is -1200. Thousands groups must
    have three digits, so "1,5" is not 15. "inf" is read as infinity; "nan" is missing.

    >>> parse_numbers(pd.Series(["$1,200.50", "(30)", "1,5", "abc"]), {"decimal": ".", "thousands": ","}).tolist()
    [1200.5, -30.0, nan, nan]
    """
    decimal, thousands = rule.get("decimal", "."), rule.get("thousands", "")
    if thousands == "" and decimal == ".":
        plain = pd.to_numeric(values, errors="coerce").astype("float64")
        if plain.notna().sum() == values.notna().sum():
            return plain
    cleaned = values.str.strip().str.replace(r"^\((.*)\)$", r"-\1", regex=True)
    cleaned = cleaned.str.replace(
        f"^([-+]?)(?:[{CURRENCY}\\s]|(?:{CODES})\\b)+|(?:[{CURRENCY}\\s]|\\b(?:{CODES}))+$",
        r"\1",
        regex=True,
    )
    if thousands:
        group = r"[ \u00a0\u202f]" if thousands == " " else "\\" + thousands
        whole = rf"[-+]?([1-9]\d{{0,2}}({group}\d{{3}})+|\d+)"  # "0.750" is no group of thousands
        well_formed = cleaned.str.fullmatch(rf"{whole}(\{decimal}\d*)?([eE][-+]?\d+)?")
        cleaned = cleaned.where(well_formed.fillna(False).astype(bool)).str.replace(
            group, "", regex=True
        )
    if decimal != ".":
        cleaned = cleaned.where(~cleaned.str.contains(".", regex=False).fillna(False).astype(bool))
        cleaned = cleaned.str.replace(decimal, ".", regex=False)
    return pd.to_numeric(cleaned, errors="coerce").astype("float64")


def parse_dates(values: pd.Series, rule: dict[str, str]) -> pd.Series:
    """Texts as datetime64 without a zone (zoned times in UTC); what does not read so becomes NaT."""
    wanted = rule.get("format", "ISO8601")
    if wanted == "ISO8601":  # pandas reads "2020" and "202001" as ISO too; those are numbers to us
        values = values.where(values.str.match(r"\d{4}-\d{2}-\d{2}").fillna(False).astype(bool))
    stamps = pd.to_datetime(
        values.array, format=wanted, errors="coerce", utc=True
    )  # an index: far quicker than .dt
    return pd.Series(stamps.tz_convert(None).as_unit("us"), index=values.index)


def without_zone(dates: pd.Series) -> pd.Series:
    """Datetimes as datetime64[us] without a zone; zoned times in UTC."""
    if isinstance(dates.dtype, pd.DatetimeTZDtype):
        dates = dates.dt.tz_convert(None)
    return dates if dates.dtype == "datetime64[us]" else dates.astype("datetime64[us]")
