"""Reasons of scored rows: what adds most to each probability, bounded in rows and in time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from fivefold.core.schema import NOW, Column
from fivefold.data.coerce import coerce_table
from fivefold.model.bundle import Bundle
from fivefold.model.case import plain
from fivefold.model.explain import Contribution, Explanation, explain

SHOWN = 5  # columns of a row, those of the largest contributions


@dataclass(frozen=True)
class Limits:
    """How many rows get reasons, and how long that may take; the first row always gets some."""

    rows: int
    seconds: float

    def share(self, part: int, whole: int) -> Limits:
        """Return the limits of a part of a table, by its rows.

        >>> Limits(10, 60.0).share(25, 100)
        Limits(rows=3, seconds=15.0)
        """
        return Limits(-(-self.rows * part // max(1, whole)), self.seconds * part / max(1, whole))


REQUEST = Limits(100, 5.0)
TABLE = Limits(1000, 300.0)


def explain_rows(
    bundle: Bundle, frame: pd.DataFrame, order: Iterable[int], limits: Limits
) -> dict[int, Explanation]:
    """Explain rows of a raw table, in this order, until a limit is reached.

    `order`: positions of readable rows. Returns explanations by position. Raises `Refused` for a
    bundle without background rows, as `fivefold.model.explain.explain` does.
    """
    ends = time.monotonic() + limits.seconds
    positions = list(order)[: limits.rows]
    rows, _ = bundle.completed(frame.iloc[positions])
    typed, _ = coerce_table(rows, bundle.schema)
    columns = [bundle.schema[name] for name in bundle.schema.names()]
    if NOW in typed:
        columns.append(Column(NOW, "date"))
    explained: dict[int, Explanation] = {}
    for position, row in zip(positions, typed.to_dict("records"), strict=True):
        if explained and time.monotonic() >= ends:
            break
        case = {column.name: plain(column, row[column.name]) for column in columns}
        explained[position] = explain(bundle, case)
    return explained


def as_records(explanation: Explanation) -> list[dict[str, Any]]:
    """Return the largest contributions as JSON-ready records."""
    return [asdict(line) for line in _largest(explanation)]


def as_text(explanation: Explanation) -> str:
    """Return the largest contributions in one line, for a file."""
    return "; ".join(
        f"{line.column} = {'unknown' if line.value is None else line.value} "
        f"({line.contribution:+.4f})"
        for line in _largest(explanation)
    )


def texts(explained: Mapping[int, Explanation], rows: int) -> list[str]:
    """Return the text of each row of a table, "" for one without reasons."""
    return [as_text(explained[n]) if n in explained else "" for n in range(rows)]


def limits_text(explained: int, readable: int, limits: Limits) -> str:
    """Say how many rows got reasons, and why not all."""
    text = f"reasons for {explained:,} of {readable:,} rows"
    if explained < readable:
        text += f" (at most {limits.rows:,} rows and {limits.seconds:g} seconds)"
    return text


def _largest(explanation: Explanation) -> list[Contribution]:
    return explanation.largest_first()[:SHOWN]
