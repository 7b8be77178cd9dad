"""Style of all charts: palette, sizes, and the look that `styled` gives a finished chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

# Blue and orange: distinct under every common colour blindness.
NEGATIVE, POSITIVE = "#3B8BC4", "#E0701E"
ACCENT, QUIET, TEXT = "#3B8BC4", "#9AA3AD", "#77808A"
HEIGHT, CELL_WIDTH, CELL_HEIGHT, CELL_LEVELS = 220, 240, 84, 7
LABEL_PIXELS = 170  # longer labels end in an ellipsis
MOST_BARS = 40
NOTHING = "nothing to show"
_PERIOD_FORMATS = {"year": "%Y", "quarter": "%b %Y", "month": "%b %Y"}

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart  # what a chart function returns
_DATA: Any = alt.Data  # its constructor carries no types
Words = tuple[str, str]  # how the negative and the positive class are called


def chart_of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart without a mark over these rows."""
    return alt.Chart(_DATA(values=list(rows)))


def span(rule: alt.Chart, side: str, scale: Any = alt.Undefined, **other: Any) -> alt.Chart:
    """Return a rule from the field low to the field high, on `side` "x" or "y"."""
    channel, end = (alt.X, alt.X2) if side == "x" else (alt.Y, alt.Y2)
    ends: dict[str, Any] = {side: channel("low:Q", scale=scale), f"{side}2": end("high")}
    drawn: alt.Chart = rule.encode(**ends, **other)
    return drawn


def tooltips(*fields: tuple[str, str] | tuple[str, str, str]) -> list[alt.Tooltip]:
    """Return the tooltip of a chart from (field, title) or (field, title, number format)."""
    made = []
    for field, title, *formats in fields:
        if formats:
            made.append(alt.Tooltip(field, title=title, format=formats[0]))
        else:
            made.append(alt.Tooltip(field, title=title))
    return made


def bar_order(names: list[str], field: str = "column:N", limit: int = LABEL_PIXELS) -> alt.Y:
    """Return the vertical axis of bars, in the order of `names`."""
    return alt.Y(field, sort=names, title=None, axis=alt.Axis(labelLimit=limit))


def styled(
    chart: Drawing, title: str | None, compact: bool = False, height: int | None = None
) -> Drawing:
    """Return a finished chart in the project's look: grey text, a title unless compact."""
    chart = chart.properties(height=height or (CELL_HEIGHT if compact else HEIGHT))
    if compact:
        chart = chart.properties(width=CELL_WIDTH)
    elif title:
        heading = alt.TitleParams(
            title, anchor="start", fontSize=14, fontWeight=600, color=TEXT, limit=600
        )
        chart = chart.properties(title=heading)
    size = 10 if compact else 11
    look: Drawing = (
        chart.configure(background="transparent")
        .configure_view(stroke=None, continuousWidth=480, discreteWidth=480)
        .configure_axis(
            labelColor=TEXT,
            titleColor=TEXT,
            gridColor="#8A929A33",
            domainColor="#8A929A88",
            tickColor="#8A929A88",
            labelFontSize=size,
            titleFontSize=size + 1,
            titleFontWeight="normal",
            titleLimit=400,
        )
        .configure_legend(
            labelColor=TEXT,
            titleColor=TEXT,
            labelLimit=LABEL_PIXELS,
            orient="top",
            title=None,
            labelFontSize=size,
        )
    )
    return look


def empty(title: str, compact: bool = False) -> Drawing:
    """Return the chart that stands where there is nothing to draw."""
    chart = chart_of([{"text": NOTHING}]).mark_text(color=TEXT).encode(text=alt.Text("text:N"))
    return styled(chart, title, compact, height=40)


def share_axis(compact: bool) -> alt.Y:
    """Return the axis of shares of a class."""
    return alt.Y(
        "share:Q",
        stack=None,
        title=None if compact else "share of the class",
        axis=alt.Axis(format="~%", tickCount=3 if compact else 5),
    )


def class_colour(words: Words, compact: bool) -> alt.Color:
    """Return the two classes in their colours, which are the same everywhere."""
    return alt.Color(
        "class:N",
        scale=alt.Scale(domain=list(words), range=[NEGATIVE, POSITIVE]),
        title=None,
        legend=None if compact else alt.Legend(orient="top"),
    )


def unit_axis(side: str, field: str, title: str, **more: Any) -> Any:
    """Return an axis from 0 to 1 in percent; `side` is "x" or "y"."""
    channel = alt.X if side == "x" else alt.Y
    return channel(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
        **more,
    )


def diagonal(x: str, y: str) -> alt.Chart:
    """Return the dashed line from corner to corner: chance, or perfect agreement."""
    corners = chart_of([{x: 0, y: 0}, {x: 1, y: 1}])
    line = corners.mark_line(color=QUIET, strokeDash=[4, 3])
    dashed: alt.Chart = line.encode(x=alt.X(f"{x}:Q"), y=alt.Y(f"{y}:Q"))
    return dashed


def period_axis(unit: str, compact: bool) -> alt.X:
    """Return the axis of periods, as local midnights.

    Vega reads a bare date as UTC and would show the day before west of Greenwich.
    """
    form = _PERIOD_FORMATS.get(unit, "%d %b")
    ticks = 4 if compact else 8
    axis = alt.Axis(format=form, labelOverlap=True, grid=False, tickCount=ticks)
    return alt.X("group:T", title=None if compact else unit, axis=axis)


def short(value: float) -> str:
    """Return five digits, without an exponent where a person would not write one."""
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e12 else f"{value:,.5g}"
