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
DASHED = [4, 3]
_PERIOD_FORMATS = {"year": "%Y", "quarter": "%b %Y", "month": "%b %Y"}

Drawing = alt.Chart | alt.LayerChart | alt.FacetChart  # what a chart function returns
Layer = Any  # a chart with a mark: altair has no types for marks and encodings
CHANNELS: Mapping[str, Any] = {"x": alt.X, "y": alt.Y}  # by the side of a chart
_DATA: Any = alt.Data  # its constructor carries no types
Words = tuple[str, str]  # how the negative and the positive class are called


def chart_of(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """Return a chart without a mark over these rows."""
    return alt.Chart(_DATA(values=list(rows)))


def layered(rows: Sequence[Mapping[str, Any]], *layers: Layer) -> Drawing:
    """Return layers without rows over these rows; a layer with rows of its own keeps them."""
    return alt.layer(*layers, data=chart_of(rows).data)


def span(mark: Layer, side: str) -> Layer:
    """Draw a mark from the field low to the field high."""
    return mark.encode(**{side: "low:Q", f"{side}2": "high"})


def rule(side: str, value: float, colour: str = QUIET, tip: str = "", solid: bool = False) -> Layer:
    """Draw a line across the chart at a value, with a tooltip on `at`."""
    mark = chart_of([{"at": value}]).mark_rule(
        color=colour, strokeDash=[] if solid else DASHED, size=2 if tip else 1
    )
    line = mark.encode(**{side: "at:Q"})
    return line.encode(tooltip=tooltips(tip)) if tip else line


def tooltips(*fields: str) -> list[alt.Tooltip]:
    """Return a tooltip: "field", "field | title", or of numbers "field | title | format"."""
    return [_tooltip(*field.split(" | ")) for field in fields]


def _tooltip(field: str, title: str = "", number_format: str = "") -> alt.Tooltip:
    kind = "Q" if number_format else "N"
    tooltip = alt.Tooltip(f"{field}:{kind}", title=title or field)
    return tooltip.format(number_format) if number_format else tooltip


def colours(field: str, of: Mapping[Any, str], compact: bool = False) -> alt.Color:
    """Return the colours of the values of a field, with a legend unless compact."""
    scale = alt.Scale(domain=list(of), range=list(of.values()))
    legend = None if compact else alt.Undefined
    return alt.Color(f"{field}:N", title=None, scale=scale, legend=legend)


def class_colour(words: Words, compact: bool) -> alt.Color:
    """Return the two classes in their colours, which are the same everywhere."""
    return colours("class", dict(zip(words, (NEGATIVE, POSITIVE), strict=True)), compact)


def bar_order(names: Sequence[str], field: str, limit: int = LABEL_PIXELS) -> alt.Y:
    """Return the vertical axis of bars, in the order of `names`."""
    return alt.Y(f"{field}:N", sort=list(names), title=None).axis(labelLimit=limit)


def named_bars(
    rows: Sequence[Mapping[str, Any]], field: str = "column", limit: int = LABEL_PIXELS
) -> alt.Chart:
    """Return a chart without a mark, with a bar for each row from top to bottom."""
    names = [row[field] for row in rows]
    return chart_of(rows).encode(y=bar_order(names, field, limit))


def readable(is_dark: str) -> Any:
    """Return the colour of a text on cells, white where the expression `is_dark` holds."""
    return alt.condition(is_dark, alt.value("white"), alt.value(TEXT))


def styled(title: str, *layers: Layer, compact: bool = False, height: int | None = None) -> Drawing:
    """Return a finished chart in the project's look: grey text, a title unless compact."""
    chart = alt.layer(*layers) if len(layers) > 1 else layers[0]
    chart = chart.properties(height=height or (CELL_HEIGHT if compact else HEIGHT))
    if compact:
        chart = chart.properties(width=CELL_WIDTH)
    else:
        heading = alt.TitleParams(
            title, anchor="start", fontSize=14, fontWeight=600, color=TEXT, limit=600
        )
        chart = chart.properties(title=heading)
    size = 10 if compact else 11
    grey: dict[str, Any] = {"labelColor": TEXT, "titleColor": TEXT, "labelFontSize": size}
    chart = chart.configure(background="transparent")
    chart = chart.configure_view(stroke=None, continuousWidth=480, discreteWidth=480)
    chart = chart.configure_legend(labelLimit=LABEL_PIXELS, orient="top", title=None, **grey)
    look: Drawing = chart.configure_axis(
        gridColor="#8A929A33",
        domainColor="#8A929A88",
        tickColor="#8A929A88",
        titleFontSize=size + 1,
        titleFontWeight="normal",
        titleLimit=400,
        **grey,
    )
    return look


def empty(title: str, compact: bool = False) -> Drawing:
    """Return the chart that stands where there is nothing to draw."""
    chart = chart_of([{"text": NOTHING}]).mark_text(color=TEXT).encode(text="text:N")
    return styled(title, chart, compact=compact, height=40)


def percent_axis(side: str, field: str, title: str, compact: bool) -> Any:
    """Return the axis of a share on `side`, without a title and with few ticks if compact."""
    axis = CHANNELS[side](f"{field}:Q", title=None if compact else title)
    return axis.axis(format="~%", tickCount=3 if compact else 5)


def share_axis(side: str, compact: bool) -> Any:
    """Return the axis of shares of a class, which are not stacked."""
    return percent_axis(side, "share", "share of the class", compact).stack(None)


def unit_axis(side: str, field: str, title: str) -> Any:
    """Return an axis from 0 to 1 in percent."""
    axis = CHANNELS[side](f"{field}:Q", title=title).axis(format=".0%", tickCount=5)
    return axis.scale(domain=[0, 1])


def diagonal(x: str, y: str) -> Layer:
    """Return the dashed line from corner to corner: chance, or perfect agreement."""
    corners = chart_of([{x: 0, y: 0}, {x: 1, y: 1}])
    return corners.mark_line(color=QUIET, strokeDash=DASHED).encode(x=f"{x}:Q", y=f"{y}:Q")


def period_axis(unit: str, compact: bool) -> alt.X:
    """Return the axis of periods, as local midnights.

    Vega reads a bare date as UTC and would show the day before west of Greenwich.
    """
    form = _PERIOD_FORMATS.get(unit, "%d %b")
    axis = alt.X("group:T", title=None if compact else unit)
    return axis.axis(format=form, labelOverlap=True, grid=False, tickCount=4 if compact else 8)


def short(value: float) -> str:
    """Return five digits, without an exponent where a person would not write one."""
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e12 else f"{value:,.5g}"
