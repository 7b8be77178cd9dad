"""The card of a scored table, from the plain dicts of `fivefold.serving.steps`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

CODES = {
    "unreadable": "cannot be read: the row is not scored",
    "not-yes-or-no": "neither yes nor no, taken as missing",
    "missing": "missing, which training never saw",
    "outside": "outside the range of training",
    "unseen": "not seen in training",
}
MOST = 40  # columns with doubts that are listed


def scored_components(
    tally: Mapping[str, Any], facts: Mapping[str, Any], threshold: float
) -> list[Any]:
    """What came out of a table: `tally` of `fivefold.serving.result_files.merge`; `facts`: where from, where to, by which model."""
    from fivefold.charts import prediction

    rows, scored, refused = tally["rows"], tally["scored"], tally["refused"]
    share = rows or None
    parts = [
        Markdown("# Scored rows"),
        *part.box_rows(
            [
                ValueBox("Rows", f"{rows:,}", f"{scored:,} scored"),
                ValueBox(
                    "Refused",
                    f"{refused:,}",
                    "rows that could not be scored",
                    theme="warning" if refused else "success",
                ),
                ValueBox(
                    "With warnings",
                    f"{tally['with_warnings']:,}",
                    part.percent(tally["with_warnings"] / share if share else None),
                ),
                ValueBox(
                    "Mean probability",
                    part.percent(tally["mean_probability"]),
                    "of the scored rows",
                ),
            ]
        ),
    ]
    parts += [
        Markdown("## Decisions"),
        Table(
            [
                [part.line_of(what), f"{n:,}", part.percent(n / scored)]
                for what, n in sorted(tally["decisions"].items())
            ]
            or [["–"] * 3],
            headers=["Decision", "Rows", "Share"],
        ),
        part.chart_part(prediction.histogram(tally["bins"], threshold)),
    ]
    doubts = sorted(
        (
            (cells, column, code)
            for code, by in tally["doubts"].items()
            for column, cells in by.items()
        ),
        key=lambda line: (-line[0], line[1:]),
    )
    if doubts:
        parts += [
            Markdown("## Doubts"),
            Table(
                [
                    [
                        part.line_of(column),
                        CODES.get(code, code),
                        f"{cells:,}",
                        part.percent(cells / share if share else None),
                    ]
                    for cells, column, code in doubts[:MOST]
                ],
                headers=["Column", "Its cells", "Rows", "Share"],
            ),
        ]
    if tally["reasons"]:
        parts += [
            Markdown("## Why rows were refused"),
            Table(
                [[part.line_of(why, 200), f"{n:,}"] for why, n in tally["reasons"].items()],
                headers=["Reason", "Rows"],
            ),
        ]
    return [*parts, Markdown("## Source and model"), part.fact_table(facts)]
