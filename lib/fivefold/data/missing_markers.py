"""Missing markers: the words, numbers and dates that people write where a value is missing."""

from __future__ import annotations

from datetime import date

_ANYWHERE = """
    NA N/A n/a #N/A #NA <NA> NaN nan NAN -NaN -nan NaT null NULL Null None \\N
    #NULL! #DIV/0! #VALUE! #REF! #NUM! #NAME? 1.#IND -1.#IND 1.#QNAN -1.#QNAN
"""
_IN_WORDS = """
    ? ?? - -- --- . .. ... * na n.a. nil none missing unknown unk undefined empty blank
"""
# Missing in every column, in this spelling. "None" and "NA" can be real categories: reading reports
# them.
MARKERS = (*_ANYWHERE.split(), "", "#N/A N/A")
_WORDS = (*_IN_WORDS.split(), "not available", "(null)", "(blank)")
# Missing only in a column whose other cells are all numbers, in any case. Elsewhere "ND" may be
# North Dakota.
NUMBER_MARKERS = (*_WORDS, "–", "—", "n/d", "nd")
# Reported where they are levels of a category, in any case.
MISSING_WORDS = frozenset((*_WORDS, "n/a", "nan", "null", "not known", "#n/a", "tbd"))
# Numbers that stand for "missing": reported, never replaced.
SENTINELS = (999, 9999, 99999, 999999, -999, -9999, -99999, -999999)
NUMBER_CODES = (-99, *(sign * (10**digits - 1) for digits in range(3, 10) for sign in (1, -1)))
# Placeholders of common programs: zero in Excel, SQL Server and Unix, and "never".
_DATES = """
    0001-01-01 1753-01-01 1899-12-30 1899-12-31 1900-01-01 1900-01-02 1970-01-01
    2099-12-31 2999-12-31 9999-12-31
"""
DATE_CODES = tuple(date.fromisoformat(text) for text in _DATES.split())
DAYS_APART = 365  # from the nearest other date, that make one of `DATE_CODES` suspicious
