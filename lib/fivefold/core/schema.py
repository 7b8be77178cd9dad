"""Schema: a model's input contract as plain data, JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fivefold.core.stored import Stored

MAX_LEVELS = 1000
# References other than a column (`Schema.reference`)
NEWEST, NOW = "(newest)", "(now)"


@dataclass(frozen=True)
class Column(Stored):
    """What is known of one input column, from the rows a model may learn from.

    Attributes
    ----------
    kind : numeric, categorical, boolean, date, text, id or constant
    used : whether the model sees it; `why` is the reason if not
    nullable : whether missing values were seen
    odd_cells : whether cells were seen that cannot be read as its kind: training took them as
        missing, and scoring does
    as_text : whether training read its cells as texts, which files to be scored do then: in a file
        of few rows "1.50" or "?" would look like a number or a gap
    missing, kept : texts that mean missing in it beside the usual ones
        (`fivefold.data.missing_markers`), and usual ones that do not
    integer : whether all numbers are whole
    distinct : how many different values were seen
    levels : categorical: the texts seen, most frequent first, at most `MAX_LEVELS`;
        boolean: the texts that mean no and yes
    low, high : numeric: the smallest and largest finite value; date: in days since 1970-01-01
    youngest, oldest : date: the smallest and largest age (`fivefold.data.ages`), in days
    typical : the median (numeric, date in days) or the most frequent text
    parse : how texts become values, for example {"decimal": ".", "thousands": ","} or
        {"format": "%d/%m/%Y"}
    """

    name: str
    kind: str
    used: bool = True
    why: str = ""
    nullable: bool = False
    odd_cells: bool = False
    as_text: bool = False
    missing: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    integer: bool = False
    distinct: int = 0
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    youngest: float | None = None
    oldest: float | None = None
    typical: Any = None
    parse: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Schema(Stored):
    """The columns a table must have to be scored, and the two labels of the target.

    `reference` is the moment at which a row is known, from which its dates count back: a date
    column, `NEWEST` date of the row, or `NOW`, the day of scoring. "" for a table without dates; of
    models older than it, dates are days since 1970.
    """

    columns: tuple[Column, ...]
    target: str
    negative: str
    positive: str
    reference: str = ""

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def names(self, *kinds: str, used_only: bool = True) -> list[str]:
        """Return column names in order, of the given kinds (default: all)."""
        allowed = [c for c in self.columns if c.used or not used_only]
        return [c.name for c in allowed if not kinds or c.kind in kinds]

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Return the schema that `to_json` wrote.

        >>> column = Column("age", "numeric", low=18.0, high=90.0)
        >>> schema = Schema((column,), "left", "no", "yes")
        >>> Schema.from_json(schema.to_json()) == schema
        True
        """
        return cls.from_dict(json.loads(text))
