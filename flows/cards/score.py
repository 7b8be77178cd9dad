"""The card of a scored table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

if TYPE_CHECKING:
    from fivefold.serving.batch import Tally

MAX_COLUMNS = 40  # columns with warnings that are listed
EMPTY = [["–"] * 3]


def scored_components(tally: Tally, facts: Mapping[str, Any], threshold: float) -> list[Any]:
    """Return the components of the card; `facts` name source, output and model."""
    from fivefold.charts import prediction

    components = [
        Markdown("# Scored rows"),
        *part.box_rows(_boxes(tally)),
        Markdown("## Decisions"),
        _decisions(tally),
        part.chart_part(prediction.histogram(tally.bins, threshold)),
    ]
    if warnings := _warnings(tally):
        table = Table(warnings, headers=["Column", "Its cells", "Rows", "Share"])
        components += [Markdown("## Warnings"), table]
    if tally.reasons:
        reasons = [[part.line_of(why, 200), f"{rows:,}"] for why, rows in tally.reasons.items()]
        table = Table(reasons, headers=["Reason", "Rows"])
        components += [Markdown("## Why rows were refused"), table]
    return [*components, Markdown("## Source and model"), part.fact_table(facts)]


def _boxes(tally: Tally) -> list[ValueBox]:
    theme = "warning" if tally.refused else "success"
    warned = _share(tally.with_warnings, tally.rows)
    mean = part.percent(tally.mean_probability)
    return [
        ValueBox("Rows", f"{tally.rows:,}", f"{tally.scored:,} scored"),
        ValueBox("Refused", f"{tally.refused:,}", "rows that could not be scored", theme=theme),
        ValueBox("With warnings", f"{tally.with_warnings:,}", warned),
        ValueBox("Mean probability", mean, "of the scored rows"),
    ]


def _decisions(tally: Tally) -> Table:
    rows = [
        [part.line_of(decision), f"{count:,}", _share(count, tally.scored)]
        for decision, count in sorted(tally.decisions.items())
    ]
    return Table(rows or EMPTY, headers=["Decision", "Rows", "Share"])


def _warnings(tally: Tally) -> list[list[str]]:
    """Return the columns with warnings, those with the most cells first."""
    from fivefold.model.input_warnings import MEANINGS

    counted = [
        (-cells, column, code)
        for code, by_column in tally.warning_counts.items()
        for column, cells in by_column.items()
    ]
    return [
        [part.line_of(column), MEANINGS[code], f"{-count:,}", _share(-count, tally.rows)]
        for count, column, code in sorted(counted)[:MAX_COLUMNS]
    ]


def _share(count: int, rows: int) -> str:
    return part.percent(count / rows if rows else None)
