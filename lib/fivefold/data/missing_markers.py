"""Missing markers: the words, numbers and dates that people write where a value is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.core.stored import Stored

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
# Numbers that stand for "missing": reported, and replaced only where the scope says so.
SENTINELS = (999, 9999, 99999, 999999, -999, -9999, -99999, -999999)
NUMBER_CODES = (-99, *(sign * (10**digits - 1) for digits in range(3, 10) for sign in (1, -1)))
# Placeholders of common programs: zero in Excel, SQL Server and Unix, and "never".
_DATES = """
    0001-01-01 1753-01-01 1899-12-30 1899-12-31 1900-01-01 1900-01-02 1970-01-01
    2099-12-31 2999-12-31 9999-12-31
"""
DATE_CODES = tuple(date.fromisoformat(text) for text in _DATES.split())
DAYS_APART = 365  # from the nearest other date, that make one of `DATE_CODES` suspicious


@dataclass(frozen=True)
class CellRules(Stored):
    """How the cells of a table are read: what a scope says on missing ones, and columns of text.

    missing, kept: texts that mean missing in every column beside `MARKERS`, and texts of `MARKERS`
    that do not. missing_in, kept_in: the same for single columns. text_columns: columns that stay
    text even if all their cells are numbers.
    """

    missing: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    missing_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kept_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text_columns: tuple[str, ...] = ()

    def added_in(self, name: str) -> tuple[str, ...]:
        """Return the texts beside the usual ones that mean missing in a column."""
        return tuple(dict.fromkeys((*self.missing, *self.missing_in.get(name, ()))))

    def not_in(self, name: str) -> tuple[str, ...]:
        """Return the usual texts that do not mean missing in a column."""
        return tuple(dict.fromkeys((*self.kept, *self.kept_in.get(name, ()))))

    def markers(self, name: str) -> list[str]:
        """Return the texts that mean missing in a column, whatever its other cells are."""
        return sorted({*MARKERS, *self.added_in(name)} - set(self.not_in(name)))

    def number_markers(self, name: str) -> list[str]:
        """Return the texts in lower case that mean missing where all other cells are numbers."""
        return sorted(set(NUMBER_MARKERS) - {text.lower() for text in self.not_in(name)})


NO_RULES = CellRules()
_ALWAYS = frozenset(MARKERS)


def rules_of(scope: Scope) -> CellRules:
    """Return what a scope says on the cells of its tables."""
    texts = scope.missing_texts, scope.kept_texts, scope.missing_in, scope.kept_in
    return CellRules(*texts)


def rules_for(schema: Schema, scope: Scope) -> CellRules:
    """Return how a table that is to be scored is read: as the one that the model learnt from."""
    names = tuple(column.name for column in schema.columns if column.as_text)
    return replace(rules_of(scope), text_columns=names)


def is_missing(text: str, column: Column) -> bool:
    """Return whether a text means missing in a column, by its contract.

    >>> is_missing("NA", Column("x", "categorical")), is_missing("?", Column("x", "numeric"))
    (True, True)
    >>> is_missing("NA", Column("region", "categorical", kept=("NA",)))
    False
    """
    text = text.strip()
    if text in column.kept:
        return False
    if text in _ALWAYS or text in column.missing:
        return True
    reads_numbers = column.kind in ("numeric", "date") or not column.as_text
    return reads_numbers and text.lower() in NUMBER_MARKERS and text not in column.levels
