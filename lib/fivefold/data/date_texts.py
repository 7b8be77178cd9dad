"""Date texts: days, months, quarters and moments as people and programs write them.

One rule for time zones: a time with a zone becomes UTC, and one without a zone counts as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pandas as pd

_ISO = r"\d{4}-\d{2}-\d{2}"
_WEEKDAY = r"(?i)^(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? +(?=\S)"
# Hours before UTC: RFC 5322, section 4.3, and the common ones of Europe, Asia and Australia.
_ZONES = {
    **{"Z": 0, "UT": 0, "UTC": 0, "GMT": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2},
    **{"EET": 2, "EEST": 3, "MSK": 3, "SGT": 8, "HKT": 8, "JST": 9, "KST": 9, "AEST": 10},
    **{"AEDT": 11, "NZST": 12, "NZDT": 13, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5},
    **{"MST": -7, "MDT": -6, "PST": -8, "PDT": -7},
}
_ZONED = r"^(?P<time>.*:\d\d(?:\.\d+)?(?: ?[AaPp][Mm])?) ?(?P<zone>[A-Z]{1,4}|[-+]\d\d:?\d\d)$"
_QUARTER = r"^(?:(?P<y>\d{4})[- /]?Q(?P<q>[1-4])|Q(?P<q2>[1-4])[- /]?(?P<y2>\d{4}))$"
_YEAR, _MONTH = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])"
QUARTER = "quarter"
# Formats of seconds since 1970 and parts of them.
PER_SECOND = {"epoch": 1, "epoch-ms": 1_000, "epoch-us": 1_000_000}
# Formats of what is no whole date by itself, and the texts that are so: all cells must be.
PERIODS = {
    "%Y-%m": f"{_YEAR}-{_MONTH}",
    "%Y/%m": f"{_YEAR}/{_MONTH}",
    "%m/%Y": f"{_MONTH}/{_YEAR}",
    "%Y%m%d": rf"{_YEAR}{_MONTH}(?:0[1-9]|[12]\d|3[01])",
    QUARTER: rf"{_YEAR}[- /]?Q[1-4]|Q[1-4][- /]?{_YEAR}",
    "%b %Y": rf"[A-Za-z]{{3}} {_YEAR}",
    "%B %Y": rf"[A-Za-z]{{3,9}} {_YEAR}",
    "%b-%Y": rf"[A-Za-z]{{3}}-{_YEAR}",
    "%b-%y": r"[A-Za-z]{3}-\d\d",
}
FEWEST = 3  # different numbers of eight digits that may be dates
# Moments from 2000 to 2035, in seconds: numbers of a column whose name speaks of time.
FIRST, LAST = 946_684_800, 2_051_222_400
_TIME_NAME = re.compile(
    r"(?i:time|date|epoch|unix|stamp|(^|[_\s\-.])(ts|at|on|since|until|created|updated|modified"
    r"|seen|login)($|[_\s\-.]))|[a-z](At|On)$"
)
_EXAMPLE = datetime(2024, 12, 31, 14, 30)


def read_dates(values: pd.Series, form: str) -> pd.DatetimeIndex:
    """Return texts of one format as UTC; NaT for all else, strictly."""
    if form in PER_SECOND:
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
        per_second = PER_SECOND[form]
        near = numbers.where(numbers.abs() < 2e11 * per_second)  # nanoseconds end in 2262
        since = pd.to_timedelta(near * (1_000_000 / per_second), unit="us")
        return pd.DatetimeIndex(pd.Timestamp("1970-01-01", tz="UTC") + since)
    if form == QUARTER:
        parts = values.str.extract(_QUARTER)
        year, quarter = parts["y"].fillna(parts["y2"]), parts["q"].fillna(parts["q2"])
        month = (pd.to_numeric(quarter) * 3 - 2).astype("Int64").astype("str").str.zfill(2)
        values, form = (year + "-" + month).where(year.notna()), "%Y-%m"
    if form == "ISO8601":  # pandas reads "2020" and "202001" as ISO too; for us, numbers
        values = values.where(values.str.match(_ISO, na=False))
    # An index of stamps: far quicker than .dt.
    stamps: pd.DatetimeIndex = pd.to_datetime(values.array, format=form, errors="coerce", utc=True)
    return stamps


def read_otherwise(values: pd.Series, form: str) -> pd.Series:
    """Return texts that are not of a format: ISO 8601, or with a weekday or the name of a zone."""
    dates = _of_format_or_iso(values, form)
    unread = dates.isna()
    if not unread.any():
        return dates
    rest = values[unread].str.replace(_WEEKDAY, "", regex=True)
    parts = rest.str.extract(_ZONED)
    hours = parts["zone"].map(_hours)
    without_zone = parts["time"].where(hours.notna(), rest)
    moments = _of_format_or_iso(without_zone, form)
    shift = pd.to_timedelta(hours.astype("float64").fillna(0), unit="h")
    dates[unread] = moments - shift
    return dates


def may_read_otherwise(values: pd.Series) -> bool:
    """Return whether some texts have a weekday or a zone, in which case `read_otherwise` helps."""
    return bool(values.str.contains(rf"{_WEEKDAY}|:\d\d.*(?:[A-Z]|[-+]\d\d:?\d\d)$").any())


def has_zone(values: pd.Series) -> pd.Series:
    """Return which texts name the zone of their time."""
    zones = values.str.extract(_ZONED)["zone"]
    return zones.map(_hours).notna()


def number_format(numbers: pd.Series, name: str) -> str:
    """Return the format of whole numbers that are dates (20240506, seconds since 1970), else "".

    All must be days that exist, or moments of 2000 to 2035 in a column whose name speaks of time.
    """
    low, high = numbers.min(), numbers.max()
    if low >= 19000101 and high <= 20991231:
        different = pd.Series(numbers.unique())
        if len(different) < FEWEST or (different != different.round()).any():
            return ""
        days = read_dates(different.astype("int64").astype("str"), "%Y%m%d")
        return "%Y%m%d" if days.notna().all() else ""
    if _TIME_NAME.search(name) and numbers.nunique() >= FEWEST:
        for form, per_second in PER_SECOND.items():
            if FIRST * per_second <= low and high <= LAST * per_second:
                return form
    return ""


def example(form: str) -> str:
    """Return a date as a column's texts are written, and its format.

    >>> example("%d/%m/%Y"), example("ISO8601")
    ('31/12/2024 (%d/%m/%Y), or 2024-12-31', '2024-12-31')
    """
    if form in ("", "ISO8601", "%Y-%m-%d"):
        return "2024-12-31"
    if form in PER_SECOND:
        number = round(_EXAMPLE.replace(tzinfo=UTC).timestamp()) * PER_SECOND[form]
        return f"{number} ({form}), or 2024-12-31"
    written = "2024-Q4" if form == QUARTER else _EXAMPLE.strftime(form)
    return f"{written} ({form}), or 2024-12-31"


def _of_format_or_iso(values: pd.Series, form: str) -> pd.Series:
    dates = pd.Series(read_dates(values, form), index=values.index)
    if form == "ISO8601" or form.startswith("%Y-%d"):  # 2024-01-02 would have two meanings
        return dates
    return dates.fillna(pd.Series(read_dates(values, "ISO8601"), index=values.index))


def _hours(zone: str | float) -> float:
    """Return the hours of a zone before UTC; NaN for what is none."""
    if not isinstance(zone, str):
        return float("nan")
    if zone[0] not in "+-":
        return float(_ZONES.get(zone, "nan"))
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (hours + minutes / 60) * (-1 if zone[0] == "-" else 1)
