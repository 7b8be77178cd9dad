"""Schema: a model's input contract as plain data, JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Column:
    """What is known of one input column, from the rows a model may learn from.

    kind: numeric, categorical, boolean, date, text, id or constant.
    used: whether the model sees it; `why` says why not.
    nullable: whether missing values were seen.
    levels: categorical: the texts seen, most frequent first, at most `MAX_LEVELS` (`distinct` counts them all);
        boolean: the texts that mean no and yes.
    low, high: numeric: the smallest and largest finite value; date: days since 1970-01-01.
    typical: median (numeric, date in days) or most frequent text.
    parse: how texts become values, for example {"decimal": ".", "thousands": ","} or {"format": "%d/%m/%Y"}.
    """

    name: str
    kind: str
    used: bool = True
    why: str = ""
    nullable: bool = False
    integer: bool = False
    distinct: int = 0
    levels: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    typical: Any = None
    parse: Mapping[str, str] = field(default_factory=dict)


MAX_LEVELS = 1000


@dataclass(frozen=True)
class Schema:
    """The columns a table must have to be scored, and the two labels of the target."""

    columns: tuple[Column, ...]
    target: str
    negative: str
    positive: str

    def __getitem__(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)

    def names(self, *kinds: str, used_only: bool = True) -> list[str]:
        """Column names in order, of the given kinds (all kinds when none is given)."""
        return [
            c.name
            for c in self.columns
            if (c.used or not used_only) and (not kinds or c.kind in kinds)
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def from_json(text: str) -> Schema:
    """The inverse of `Schema.to_json`.

    >>> s = Schema((Column("age", "numeric", low=18.0, high=90.0),), "left", "no", "yes")
    >>> from_json(s.to_json()) == s
    True
    """
    raw = json.loads(text)
    columns = tuple(Column(**{**c, "levels": tuple(c["levels"])}) for c in raw.pop("columns"))
    return Schema(columns, **raw)
