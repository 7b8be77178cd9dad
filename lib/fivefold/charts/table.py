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
    QUIET,
    TEXT,
    Drawing,
    Words,
    bar_order,
    chart_of,
    class_colour,
    empty,
    period_axis,
    share_axis,
    short,
    span,
    styled,
    tooltips,
)

SIDES = ("negative", "positive")
_DIRECTIONS = {"up": "higher where positive", "down": "lower where positive"}


def distribution(
    column: Mapping[str, Any], words: Words = SIDES, *, compact: bool = False
) -> Drawing:
    """Draw how the values of each class spread over bins, levels or periods.

    The shares of each class sum to 1.
    """
    if "histogram" in column:
        return _histogram(column, words, compact)
    groups, labels = _groups(column, CELL_LEVELS if compact else None)
    data = []
    for label, lines in zip(labels, _class_shares(groups, words), strict=False):
        data += [{"group": label, **line} for line in lines]
    if not data:
        return empty(column["name"], compact)
    tooltip = tooltips(
        ("group:N", "value"),
        ("class:N", "class"),
        ("rows:Q", "rows", ","),
        ("share:Q", "share of the class", ".1%"),
    )
    base = chart_of(data)
    if "periods" in column:
        chart = base.mark_line(point=not compact, interpolate="monotone").encode(
            x=period_axis(column["periods"]["unit"], compact),
            y=share_axis(compact),
            color=class_colour(words, compact),
            tooltip=tooltip,
        )
        return styled(chart, _name(column), compact)
    share = alt.X(
        "share:Q",
        title=None if compact else "share of the class",
        axis=alt.Axis(format="~%", tickCount=4),
    )
    chart = base.mark_bar(height={"band": 0.9}).encode(
        y=bar_order(labels, "group:N", _label_limit(compact)),
        yOffset=alt.YOffset("class:N", sort=list(words)),
        x=share,
        color=class_colour(words, compact),
        tooltip=tooltip,
    )
    height = max(30, (18 if compact else 26) * len(labels))
    return styled(chart, _name(column), compact, height=height)


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
    groups, labels = _groups(column, CELL_LEVELS if compact else None)
    data = [{**row, "overall": overall} for row in _rate_rows(groups, labels)]
    if not data:
        return empty(column["name"], compact)
    is_across = "periods" in column or "histogram" in column
    group = _group_axis(column, labels, compact)
    side = alt.Y if is_across else alt.X
    share = side(
        "rate:Q",
        title=None if compact else f"share {words[1]}",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(format="~%", tickCount=3 if compact else 5),
    )
    tooltip = tooltips(("group:N", "value"), *_RATE_TOOLTIP)
    base = chart_of(data)
    rule = base.mark_rule(color=POSITIVE, opacity=0.6)
    dot = base.mark_point(color=POSITIVE, filled=True, size=30)
    if is_across:
        spread = span(rule, "y", x=group)
        dots = dot.encode(x=group, y=share, tooltip=tooltip)
    else:
        spread = span(rule, "x", y=group)
        dots = dot.encode(y=group, x=share, tooltip=tooltip)
    layers = [dots, spread]
    if overall is not None:
        line = base.mark_rule(color=QUIET, strokeDash=[4, 3])  # one rule: the mean of equal values
        layers.append(line.encode(**{"y" if is_across else "x": side("mean(overall):Q")}))
    height = None if is_across else max(30, (18 if compact else 22) * len(labels))
    return styled(alt.layer(*layers), _name(column), compact, height=height)


def association(ranking: Sequence[Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Draw each column's common measure above 0.5, strongest first, with 95% intervals."""
    data = []
    for line in ranking[:most]:
        alone = line["alone"]
        if not alone:
            continue
        bar = {key: max(0.5, alone[key]) for key in ("value", "low", "high")}
        bar |= {"column": line["column"], "kind": line["kind"], "start": 0.5}
        direction = _DIRECTIONS.get(line["direction"], "–")
        data.append({**bar, "measured": alone["value"], "direction": direction})
    title = "Association with the target"
    if not data:
        return empty(title)
    top = min(1.0, max(bar["high"] for bar in data) + 0.01)
    order = bar_order([bar["column"] for bar in data])
    scale = alt.Scale(domain=[0.5, top], nice=False)
    base = chart_of(data)
    bars = base.mark_bar(color=ACCENT, clip=True, opacity=0.85).encode(
        y=order,
        x=alt.X("value:Q", scale=scale, title="ROC AUC of the column alone (0.5: none)"),
        x2=alt.X2("start"),
        tooltip=tooltips(
            ("column:N", "column"),
            ("kind:N", "kind"),
            ("measured:Q", "ROC AUC alone", ".3f"),
            ("low:Q", "95% from", ".3f"),
            ("high:Q", "to", ".3f"),
            ("direction:N", "values are"),
        ),
    )
    spread = span(base.mark_rule(color=TEXT, clip=True), "x", scale, y=order)
    return styled(alt.layer(bars, spread), title, height=20 * len(data) + 10)


def missing(columns: Mapping[str, Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Draw the missing share of the columns that have missing cells, most first."""
    data = [
        {"column": name, "share": c["missing"]["share"], "cells": c["missing"]["rows"]}
        for name, c in columns.items()
        if c["missing"]["rows"]
    ]
    data = sorted(data, key=lambda bar: -bar["share"])[:most]
    if not data:
        return empty("Missing cells")
    bars = chart_of(data).mark_bar(color=ACCENT, opacity=0.85)
    share = alt.X("share:Q", title="share of rows", axis=alt.Axis(format=".1~%", tickCount=6))
    chart = bars.encode(
        y=bar_order([bar["column"] for bar in data]),
        x=share,
        tooltip=tooltips(
            ("column:N", "column"), ("share:Q", "missing", ".2%"), ("cells:Q", "cells", ",")
        ),
    )
    return styled(chart, "Missing cells", height=20 * len(data) + 10)


def correlation(correlations: Mapping[str, Any]) -> Drawing:
    """Draw Spearman's correlations, each pair once: blue negative, orange positive.

    Up to 12 columns the numbers are written too.
    """
    names = list(correlations["columns"])
    data = []
    for i, name in enumerate(names):
        for other, value in zip(names[:i], correlations["matrix"][i], strict=False):
            if value is not None:
                sign = "negative" if value < 0 else "positive"
                cell = {"a": name, "b": other, "value": value, "size": abs(value), "sign": sign}
                data.append(cell)
    if not data:
        return empty("Correlations")
    base = chart_of(data).encode(
        x=alt.X("b:N", sort=names, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=110)),
        y=bar_order(names, "a:N"),
    )
    signs = alt.Scale(domain=list(SIDES), range=[NEGATIVE, POSITIVE])
    sizes = alt.Scale(domain=[0, 1], range=[0.06, 1])
    cells = base.mark_rect().encode(
        color=alt.Color("sign:N", scale=signs),
        opacity=alt.Opacity("size:Q", scale=sizes, legend=None),
        tooltip=tooltips(("a:N", "column"), ("b:N", "with"), ("value:Q", "Spearman", ".2f")),
    )
    height = max(14, min(34, 420 // len(names))) * len(names)
    if len(names) > 12:
        return styled(cells, "Correlations", height=height)
    written = base.mark_text(fontSize=11).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.condition("datum.size > 0.55", alt.value("white"), alt.value(TEXT)),
    )
    chart = alt.layer(cells, written).resolve_scale(color="independent")
    return styled(chart, "Correlations", height=height)


def trend(periods: Mapping[str, Any], words: Words = SIDES) -> Drawing:
    """Draw the positive rate by period with its 95% band."""
    is_dated = periods["unit"] != "number"
    starts = _midnights(periods) if is_dated else periods["period"]
    data = _rate_rows(periods, starts)
    if not data:
        return empty("Trend")
    column, share = periods["column"], f"share {words[1]}"
    time = period_axis(periods["unit"], False) if is_dated else alt.X("group:Q", title=column)
    base = chart_of(data).encode(x=time)
    area = base.mark_area(color=POSITIVE, opacity=0.2)
    band = area.encode(y=alt.Y("low:Q", title=share), y2=alt.Y2("high"))
    dots = alt.OverlayMarkDef(color=POSITIVE, size=25)
    zero, percent = alt.Scale(zero=True), alt.Axis(format=".0%")
    line = base.mark_line(color=POSITIVE, point=dots).encode(
        y=alt.Y("rate:Q", title=share, scale=zero, axis=percent),
        tooltip=tooltips(("group:N", "from"), *_RATE_TOOLTIP),
    )
    return styled(alt.layer(line, band), f"Share {words[1]} by {column}")


def outliers(columns: Mapping[str, Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Draw a strip for each number: quartiles at 0 and 1, whiskers p1 to p99, dots the ends.

    The dashed lines are Tukey's fences.
    """
    data = [strip for name, column in columns.items() if (strip := _strip(name, column))]
    data = sorted(data, key=lambda strip: -strip["out"])[:most]
    if not data:
        return empty("Outliers")
    scale = alt.Scale(domain=[-5, 6], nice=False)
    shown = ("min", "p1", "p25", "p50", "p75", "p99", "max")
    tooltip = tooltips(
        ("column:N", "column"),
        ("count:Q", "outside the fences", ","),
        ("out:Q", "share", ".2%"),
        *((f"{name} value:Q", name, ",.5~g") for name in shown),
    )
    rows = chart_of(data)
    base = rows.encode(y=bar_order([strip["column"] for strip in data]), tooltip=tooltip)
    title = "distance from the first quartile in interquartile ranges (cut at -5 and 6)"
    box = base.mark_bar(color=ACCENT, height=10, clip=True)
    whiskers = base.mark_rule(color=ACCENT, clip=True)
    median = base.mark_tick(color=TEXT, thickness=2, height=12)
    layers = [
        box.encode(x=alt.X("p25:Q", scale=scale, title=title), x2=alt.X2("p75")),
        whiskers.encode(x=alt.X("p1:Q", scale=scale), x2=alt.X2("p99")),
        median.encode(x=alt.X("p50:Q", scale=scale)),
    ]
    dots = base.mark_point(color=POSITIVE, filled=True, size=28)
    fence = rows.mark_rule(color=QUIET, strokeDash=[4, 3])
    ends = [alt.X(f"{end}:Q", scale=scale) for end in ("min", "max")]
    fences = [alt.X(f"mean({end} fence):Q", scale=scale) for end in ("low", "high")]
    layers += [dots.encode(x=end) for end in ends]
    layers += [fence.encode(x=end) for end in fences]
    return styled(alt.layer(*layers), "Outliers: Tukey's fences", height=22 * len(data) + 10)


_RATE_TOOLTIP = (
    ("rate:Q", "positive rate", ".1%"),
    ("low:Q", "95% from", ".1%"),
    ("high:Q", "to", ".1%"),
    ("rows:Q", "rows", ","),
)


def _rate_rows(groups: Mapping[str, Any], labels: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rate, its interval and the rows of each group that has a rate."""
    fields = ("rate", "low", "high", "rows")
    rows = []
    for i, label in enumerate(labels):
        if groups["rate"][i] is not None:
            rows.append({"group": label, **{field: groups[field][i] for field in fields}})
    return rows


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
    return {
        "column": name,
        "low fence": -1.5,
        "high fence": 2.5,
        "out": outliers["share"],
        "count": outliers["low"] + outliers["high"],
        **{key: max(-5.0, min(6.0, (v - first) / unit)) for key, v in values.items()},
        **{f"{key} value": v for key, v in values.items()},
    }


def _histogram(column: Mapping[str, Any], words: Words, compact: bool) -> Drawing:
    histogram = column["histogram"]
    ends = pairwise(histogram["edges"])
    data = []
    for (low, high), lines in zip(ends, _class_shares(histogram, words), strict=True):
        data += [{"from": low, "to": high, **line} for line in lines]
    beyond = histogram["below"] + histogram["above"]
    title = _name(column)
    if beyond:
        title += f" (without {beyond:,} values beyond the axis)"
    axis = alt.Axis(
        tickCount=5 if compact else 10,
        labelOverlap=True,
        grid=False,
        format="~s" if compact else ",.12~g",
    )
    values = alt.X(
        "from:Q",
        bin="binned",
        title=None if compact else title,
        scale=alt.Scale(zero=False, nice=False),
        axis=axis,
    )
    bars = chart_of(data).mark_bar(opacity=0.55, binSpacing=0)
    chart = bars.encode(
        x=values,
        x2=alt.X2("to"),
        y=share_axis(compact),
        color=class_colour(words, compact),
        tooltip=tooltips(
            ("from:Q", "from", ",.5~g"),
            ("to:Q", "to", ",.5~g"),
            ("class:N", "class"),
            ("rows:Q", "rows", ","),
            ("share:Q", "share of the class", ".1%"),
        ),
    )
    return styled(chart, _name(column), compact)


def _class_shares(groups: Mapping[str, Any], words: Words) -> list[list[dict[str, Any]]]:
    """Return for each group a line per class, with its rows and its share of the class."""
    lines: list[list[dict[str, Any]]] = [[] for _ in groups.get("rows", [])]
    for side, word in zip(SIDES, words, strict=True):
        counts = groups.get(side, [])
        total = max(1, sum(counts))
        for line, rows in zip(lines, counts, strict=False):
            line.append({"class": word, "share": rows / total, "rows": rows})
    return lines


def _group_axis(column: Mapping[str, Any], labels: list[str], compact: bool) -> alt.X | alt.Y:
    """Return the axis of a column's groups: across for periods and numbers, else down."""
    if "periods" in column:
        return period_axis(column["periods"]["unit"], compact)
    if "histogram" not in column:
        axis = alt.Axis(labelLimit=_label_limit(compact), labelAngle=0)
        return alt.Y("group:N", sort=labels, title=None, axis=axis)
    axis = alt.Axis(labelLimit=_label_limit(compact), labelAngle=-40)
    title = None if compact else _name(column)
    return alt.X("group:N", sort=labels, title=title, axis=None if compact else axis)


def _label_limit(compact: bool) -> int:
    return 90 if compact else LABEL_PIXELS


def _groups(
    column: Mapping[str, Any], most: int | None = None
) -> tuple[Mapping[str, Any], list[str]]:
    """Return (rates, labels) of a column's groups; of levels the `most` frequent ones."""
    if "levels" in column:
        levels = column["levels"]
        if most is not None and len(levels["rows"]) > most:
            return levels, levels["level"][:most]
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
