"""Charts of a table, from its summary (`fivefold.profiling.summary`).

Every function takes plain dicts and returns a chart on a transparent ground, with greys that read
on white and on black. The width is left open, so that a card or a page sets it, except in
`compact` charts for cells. Fields have fixed names. Text from data stands in the data of a chart
or in titles, never in an expression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt

from fivefold.charts.style import (
    ACCENT,
    CELL_LEVELS,
    LABEL_PIXELS,
    MOST_BARS,
    NEGATIVE,
    POSITIVE,
    TEXT,
    Drawing,
    Words,
    bar_order,
    chart_of,
    class_colour,
    colours,
    empty,
    layered,
    named_bars,
    percent_axis,
    period_axis,
    readable,
    rule,
    share_axis,
    short,
    span,
    styled,
    tooltips,
)

SIDES = ("negative", "positive")
_DIRECTIONS = {"up": "higher where positive", "down": "lower where positive"}
_CLASS_TIPS = ("class", "rows | rows | ,", "share | share of the class | .1%")
_RATE_TIPS = (
    "rate | positive rate | .1%",
    "low | 95% from | .1%",
    "high | to | .1%",
    "rows | rows | ,",
)


def distribution(
    column: Mapping[str, Any], words: Words = SIDES, *, compact: bool = False
) -> Drawing:
    """Draw how the values of each class spread over bins, levels or periods.

    The shares of each class sum to 1.
    """
    if "histogram" in column:
        return _histogram(column, words, compact)
    groups, labels = _groups(column, compact)
    data = _class_rows(groups, [{"group": label} for label in labels], words)
    if not data:
        return empty(column["name"], compact)
    base = chart_of(data).encode(
        color=class_colour(words, compact), tooltip=tooltips("group | value", *_CLASS_TIPS)
    )
    if "periods" in column:
        lines = base.mark_line(point=not compact, interpolate="monotone")
        chart = lines.encode(x=_group_axis(column, labels, compact), y=share_axis("y", compact))
        return styled(_name(column), chart, compact=compact)
    chart = base.mark_bar(height={"band": 0.9}).encode(
        y=_group_axis(column, labels, compact),
        yOffset=alt.YOffset("class:N", sort=list(words)),
        x=share_axis("x", compact),
    )
    height = max(30, (18 if compact else 26) * len(labels))
    return styled(_name(column), chart, compact=compact, height=height)


def rate(
    column: Mapping[str, Any],
    overall: float | None = None,
    words: Words = SIDES,
    *,
    compact: bool = False,
) -> Drawing:
    """Draw the positive rate with its 95% interval by decile, value, level or period.

    The dashed line is the rate of the whole table, `overall`.
    """
    groups, labels = _groups(column, compact)
    data = _rate_rows(groups, labels)
    if not data:
        return empty(column["name"], compact)
    is_across = "periods" in column or "histogram" in column
    group_side, side = ("x", "y") if is_across else ("y", "x")
    share = percent_axis(side, "rate", f"share {words[1]}", compact)
    base = alt.Chart().encode(**{group_side: _group_axis(column, labels, compact)})
    dots = base.mark_point(color=POSITIVE, filled=True, size=30)
    dots = dots.encode(tooltip=tooltips("group | value", *_RATE_TIPS))
    dots = dots.encode(**{side: share.scale(zero=True)})
    layers = [dots, span(base.mark_rule(color=POSITIVE, opacity=0.6), side)]
    if overall is not None:
        layers.append(rule(side, overall))
    height = None if is_across else max(30, (18 if compact else 22) * len(labels))
    return styled(_name(column), layered(data, *layers), compact=compact, height=height)


def association(ranking: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw each column's common measure above 0.5, strongest first, with 95% intervals."""
    title = "Association with the target"
    data = []
    for line in ranking[:MOST_BARS]:
        alone = line["alone"]
        if not alone:
            continue
        bar = {key: max(0.5, alone[key]) for key in ("value", "low", "high")}
        bar |= {"column": line["column"], "kind": line["kind"], "start": 0.5}
        direction = _DIRECTIONS.get(line["direction"], "–")
        data.append({**bar, "measured": alone["value"], "direction": direction})
    if not data:
        return empty(title)
    top = min(1.0, max(bar["high"] for bar in data) + 0.01)
    x = alt.X("value:Q", title="ROC AUC of the column alone (0.5: none)")
    base = named_bars(data)
    bars = base.mark_bar(color=ACCENT, clip=True, opacity=0.85).encode(
        x=x.scale(domain=[0.5, top], nice=False),
        x2="start",
        tooltip=tooltips(
            "column",
            "kind",
            "measured | ROC AUC alone | .3f",
            "low | 95% from | .3f",
            "high | to | .3f",
            "direction | values are",
        ),
    )
    spread = span(base.mark_rule(color=TEXT, clip=True), "x")
    return styled(title, bars, spread, height=20 * len(data) + 10)


def missing(columns: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Draw the missing share of the columns that have missing cells, most first."""
    title = "Missing cells"
    data = []
    for name, column in columns.items():
        cells = column["missing"]
        if cells["rows"]:
            data.append({"column": name, "share": cells["share"], "cells": cells["rows"]})
    data = sorted(data, key=lambda bar: -bar["share"])[:MOST_BARS]
    if not data:
        return empty(title)
    bars = named_bars(data).mark_bar(color=ACCENT, opacity=0.85)
    chart = bars.encode(
        x=alt.X("share:Q", title="share of rows").axis(format=".1~%", tickCount=6),
        tooltip=tooltips("column", "share | missing | .2%", "cells | cells | ,"),
    )
    return styled(title, chart, height=20 * len(data) + 10)


def correlation(correlations: Mapping[str, Any]) -> Drawing:
    """Draw Spearman's correlations, each pair once: blue negative, orange positive.

    Up to 12 columns the numbers are written too.
    """
    title = "Correlations"
    names = list(correlations["columns"])
    data = []
    for i, name in enumerate(names):
        for other, value in zip(names[:i], correlations["matrix"][i], strict=False):
            if value is None:
                continue
            sign = "negative" if value < 0 else "positive"
            data.append({"a": name, "b": other, "value": value, "size": abs(value), "sign": sign})
    if not data:
        return empty(title)
    base = chart_of(data).encode(
        x=alt.X("b:N", sort=names, title=None).axis(labelAngle=-40, labelLimit=110),
        y=bar_order(names, "a"),
    )
    strength = alt.Opacity("size:Q", legend=None).scale(domain=[0, 1], range=[0.06, 1])
    cells = base.mark_rect().encode(
        color=colours("sign", {"negative": NEGATIVE, "positive": POSITIVE}),
        opacity=strength,
        tooltip=tooltips("a | column", "b | with", "value | Spearman | .2f"),
    )
    height = max(14, min(34, 420 // len(names))) * len(names)
    if len(names) > 12:
        return styled(title, cells, height=height)
    written = base.mark_text(fontSize=11).encode(
        text=alt.Text("value:Q", format=".2f"), color=readable("datum.size > 0.55")
    )
    chart = alt.layer(cells, written).resolve_scale(color="independent")
    return styled(title, chart, height=height)


def trend(periods: Mapping[str, Any], words: Words = SIDES) -> Drawing:
    """Draw the positive rate by period with its 95% band."""
    is_dated = periods["unit"] != "number"
    data = _rate_rows(periods, _midnights(periods) if is_dated else periods["period"])
    if not data:
        return empty("Trend")
    column, share = periods["column"], f"share {words[1]}"
    time = period_axis(periods["unit"], False) if is_dated else alt.X("group:Q", title=column)
    base = chart_of(data).encode(x=time)
    band = span(base.mark_area(color=POSITIVE, opacity=0.2), "y")
    dots = alt.OverlayMarkDef(color=POSITIVE, size=25)
    line = base.mark_line(color=POSITIVE, point=dots).encode(
        y=alt.Y("rate:Q", title=share).scale(zero=True).axis(format=".0%"),
        tooltip=tooltips("group | from", *_RATE_TIPS),
    )
    return styled(f"Share {words[1]} by {column}", line, band)


def outliers(columns: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Draw a strip for each number: quartiles at 0 and 1, whiskers p1 to p99, dots the ends.

    The dashed lines are Tukey's fences.
    """
    data = [strip for name, column in columns.items() if (strip := _strip(name, column))]
    data = sorted(data, key=lambda strip: -strip["out"])[:MOST_BARS]
    if not data:
        return empty("Outliers")
    quantiles = ("min", "p1", "p25", "p50", "p75", "p99", "max")
    tips = [f"{name} value | {name} | ,.5~g" for name in quantiles]
    base = alt.Chart().encode(
        y=bar_order([strip["column"] for strip in data], "column"),
        tooltip=tooltips("column", "count | outside the fences | ,", "out | share | .2%", *tips),
    )
    title = "distance from the first quartile in interquartile ranges (cut at -5 and 6)"
    x = alt.X("p25:Q", title=title).scale(domain=[-5, 6], nice=False)
    box = base.mark_bar(color=ACCENT, height=10, clip=True)
    whiskers = base.mark_rule(color=ACCENT, clip=True)
    median = base.mark_tick(color=TEXT, thickness=2, height=12)
    dots = base.mark_point(color=POSITIVE, filled=True, size=28)
    strips = layered(
        data,
        box.encode(x=x, x2="p75"),
        whiskers.encode(x="p1:Q", x2="p99"),
        median.encode(x="p50:Q"),
        dots.encode(x="min:Q"),
        dots.encode(x="max:Q"),
        rule("x", -1.5),
        rule("x", 2.5),
    )
    return styled("Outliers: Tukey's fences", strips, height=22 * len(data) + 10)


def _rate_rows(groups: Mapping[str, Any], labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rate, its interval and the rows of each group that has a rate."""
    fields = ("rate", "low", "high", "rows")
    rows = []
    for i, label in enumerate(labels):
        if groups["rate"][i] is not None:
            rows.append({"group": label, **{field: groups[field][i] for field in fields}})
    return rows


def _class_rows(
    groups: Mapping[str, Any], places: Sequence[Mapping[str, Any]], words: Words
) -> list[dict[str, Any]]:
    """Return a row for each class and group, with its rows and its share of the class."""
    data = []
    for side, word in zip(SIDES, words, strict=True):
        counts = groups.get(side, [])
        total = max(1, sum(counts))
        for place, rows in zip(places, counts, strict=False):
            data.append({**place, "class": word, "share": rows / total, "rows": rows})
    return data


def _midnights(periods: Mapping[str, Any]) -> list[str]:
    return [f"{period}T00:00:00" for period in periods["period"]]


def _strip(name: str, column: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a column's quantiles in interquartile ranges; None where it has none."""
    values = column.get("quantiles")
    if not values or None in values.values():
        return None
    first, unit = values["p25"], values["p75"] - values["p25"]
    if not 0 < unit < math.inf:
        return None
    outliers = column["outliers"]
    strip = {"column": name, "out": outliers["share"], "count": outliers["low"] + outliers["high"]}
    for key, value in values.items():
        strip[key] = max(-5.0, min(6.0, (value - first) / unit))
        strip[f"{key} value"] = value
    return strip


def _histogram(column: Mapping[str, Any], words: Words, compact: bool) -> Drawing:
    histogram = column["histogram"]
    bins = [{"from": low, "to": high} for low, high in pairwise(histogram["edges"])]
    beyond = histogram["below"] + histogram["above"]
    title = _name(column)
    if beyond:
        title += f" (without {beyond:,} values beyond the axis)"
    x = alt.X("from:Q", bin="binned", title=None if compact else title)
    x = x.scale(zero=False, nice=False)
    bars = chart_of(_class_rows(histogram, bins, words)).mark_bar(opacity=0.55, binSpacing=0)
    chart = bars.encode(
        x=x.axis(
            tickCount=5 if compact else 10,
            labelOverlap=True,
            grid=False,
            format="~s" if compact else ",.12~g",
        ),
        x2="to",
        y=share_axis("y", compact),
        color=class_colour(words, compact),
        tooltip=tooltips("from | from | ,.5~g", "to | to | ,.5~g", *_CLASS_TIPS),
    )
    return styled(_name(column), chart, compact=compact)


def _group_axis(column: Mapping[str, Any], labels: list[str], compact: bool) -> Any:
    """Return the axis of a column's groups: across for periods and numbers, else down."""
    if "periods" in column:
        return period_axis(column["periods"]["unit"], compact)
    if "histogram" not in column:
        return bar_order(labels, "group", 90 if compact else LABEL_PIXELS)
    axis = alt.X("group:N", sort=labels, title=_name(column))
    return axis.axis(None) if compact else axis.axis(labelLimit=LABEL_PIXELS, labelAngle=-40)


def _groups(column: Mapping[str, Any], compact: bool) -> tuple[Mapping[str, Any], list[str]]:
    """Return (rates, labels) of a column's groups; in a compact chart only the first levels."""
    if "levels" in column:
        levels = column["levels"]
        if compact and len(levels["rows"]) > CELL_LEVELS:
            return levels, levels["level"][:CELL_LEVELS]
        others = [f"other ({levels['other']:,} levels)"] if levels["other"] else []
        return levels, [*levels["level"], *others]
    if "periods" in column:
        return column["periods"], _midnights(column["periods"])
    if "groups" not in column:
        return {}, []
    groups = column["groups"]
    ends = zip(groups["from"], groups["to"], strict=True)
    labels = [short(a) if a == b else f"{short(a)} – {short(b)}" for a, b in ends]
    if len(set(labels)) < len(labels):  # far from zero, five digits are the same in several groups
        labels = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    return groups, labels


def _name(column: Mapping[str, Any]) -> str:
    return f"{column['name']} ({column['unit']})" if column.get("unit") else str(column["name"])
