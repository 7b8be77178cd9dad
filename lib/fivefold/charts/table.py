"""Charts of a summary (`fivefold.profiling.summary`). With `charts_model` and `charts_style` the only home of Altair.

Every function takes plain dicts and returns an `alt.Chart` (or layers) on a transparent ground, with greys that read
on white and on black. The width is left open, so that a card or an app sets it, except in `compact` charts for cells.
Fields have fixed names, and text from data stands in cells of the chart's data or in titles, never in an expression.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    chart_of,
    class_colour,
    empty,
    period_axis,
    share_axis,
    short,
    styled,
)


def distribution(
    column: Mapping[str, Any], words: Words = ("negative", "positive"), *, compact: bool = False
) -> Drawing:
    """How the values of each class spread: share of the class by bin, level or period (each class sums to 1)."""
    if "histogram" in column:
        return _histogram(column, words, compact)
    groups, labels = _groups(column, CELL_LEVELS if compact else None)
    totals = {side: max(1, sum(groups.get(side, []))) for side in ("negative", "positive")}
    data = [
        {
            "group": label,
            "class": word,
            "share": groups[side][i] / totals[side],
            "rows": groups[side][i],
        }
        for i, label in enumerate(labels)
        for side, word in zip(("negative", "positive"), words, strict=True)
    ]
    if not data:
        return empty(column["name"], compact)
    tooltip = [
        alt.Tooltip("group:N", title="value"),
        alt.Tooltip("class:N", title="class"),
        alt.Tooltip("rows:Q", title="rows", format=","),
        alt.Tooltip("share:Q", title="share of the class", format=".1%"),
    ]
    base = chart_of(data)
    if "periods" in column:
        chart = base.mark_line(point=not compact, interpolate="monotone").encode(
            x=period_axis(column["periods"]["unit"], compact),
            y=share_axis(compact),
            color=class_colour(words, compact),
            tooltip=tooltip,
        )
        return styled(chart, _name(column), compact)
    chart = base.mark_bar(height={"band": 0.9}).encode(
        y=alt.Y(
            "group:N",
            sort=labels,
            title=None,
            axis=alt.Axis(labelLimit=90 if compact else LABEL_PIXELS),
        ),
        yOffset=alt.YOffset("class:N", sort=list(words)),
        x=alt.X(
            "share:Q",
            title=None if compact else "share of the class",
            axis=alt.Axis(format="~%", tickCount=4),
        ),
        color=class_colour(words, compact),
        tooltip=tooltip,
    )
    return styled(
        chart, _name(column), compact, height=max(30, (18 if compact else 26) * len(labels))
    )


def rate(
    column: Mapping[str, Any],
    overall: float | None = None,
    words: Words = ("negative", "positive"),
    *,
    compact: bool = False,
) -> Drawing:
    """Positive rate with its 95% interval by decile, value, level or period; dashed: the rate of the whole table."""
    groups, labels = _groups(column, CELL_LEVELS if compact else None)
    data = [
        {
            "group": label,
            "rate": groups["rate"][i],
            "low": groups["low"][i],
            "high": groups["high"][i],
            "rows": groups["rows"][i],
            "overall": overall,
        }
        for i, label in enumerate(labels)
        if groups["rate"][i] is not None
    ]
    if not data:
        return empty(column["name"], compact)
    dated, numeric = "periods" in column, "histogram" in column
    axis = alt.Axis(labelLimit=90 if compact else LABEL_PIXELS, labelAngle=-40 if numeric else 0)
    place: alt.X | alt.Y
    if dated:
        place = period_axis(column["periods"]["unit"], compact)
    elif numeric:
        place = alt.X(
            "group:N",
            sort=labels,
            title=None if compact else _name(column),
            axis=None if compact else axis,
        )
    else:
        place = alt.Y("group:N", sort=labels, title=None, axis=axis)
    across = dated or numeric
    side = alt.Y if across else alt.X
    share = side(
        "rate:Q",
        title=None if compact else f"share {words[1]}",
        scale=alt.Scale(zero=True),
        axis=alt.Axis(format="~%", tickCount=3 if compact else 5),
    )
    low, high = ("low:Q", "high:Q")
    tooltip = [
        alt.Tooltip("group:N", title="value"),
        alt.Tooltip("rate:Q", title="positive rate", format=".1%"),
        alt.Tooltip(low, title="95% from", format=".1%"),
        alt.Tooltip(high, title="to", format=".1%"),
        alt.Tooltip("rows:Q", title="rows", format=","),
    ]
    base = chart_of(data)
    if across:
        spread = base.mark_rule(color=POSITIVE, opacity=0.6).encode(
            x=place, y=alt.Y(low), y2=alt.Y2("high")
        )
        dots = base.mark_point(color=POSITIVE, filled=True, size=30).encode(
            x=place, y=share, tooltip=tooltip
        )
    else:
        spread = base.mark_rule(color=POSITIVE, opacity=0.6).encode(
            y=place, x=alt.X(low), x2=alt.X2("high")
        )
        dots = base.mark_point(color=POSITIVE, filled=True, size=30).encode(
            y=place, x=share, tooltip=tooltip
        )
    layers = [dots, spread]
    if overall is not None:
        line = base.mark_rule(color=QUIET, strokeDash=[4, 3])  # one rule: the mean of equal values
        layers.append(line.encode(**{"y" if across else "x": side("mean(overall):Q")}))
    height = None if across else max(30, (18 if compact else 22) * len(labels))
    return styled(alt.layer(*layers), _name(column), compact, height=height)


def association(ranking: Sequence[Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Bars of each column's common measure above 0.5, strongest first, with 95% intervals."""
    data = [
        {
            "column": r["column"],
            "kind": r["kind"],
            "value": max(0.5, r["alone"]["value"]),
            "measured": r["alone"]["value"],
            "low": max(0.5, r["alone"]["low"]),
            "high": max(0.5, r["alone"]["high"]),
            "start": 0.5,
            "direction": {"up": "higher where positive", "down": "lower where positive"}.get(
                r["direction"], "–"
            ),
        }
        for r in ranking[:most]
        if r["alone"]
    ]
    if not data:
        return empty("Association with the target")
    top = min(1.0, max(d["high"] for d in data) + 0.01)
    order = alt.Y(
        "column:N",
        sort=[d["column"] for d in data],
        title=None,
        axis=alt.Axis(labelLimit=LABEL_PIXELS),
    )
    scale = alt.Scale(domain=[0.5, top], nice=False)
    base = chart_of(data)
    bars = base.mark_bar(color=ACCENT, clip=True, opacity=0.85).encode(
        y=order,
        x=alt.X("value:Q", scale=scale, title="ROC AUC of the column alone (0.5: none)"),
        x2=alt.X2("start"),
        tooltip=[
            alt.Tooltip("column:N", title="column"),
            alt.Tooltip("kind:N", title="kind"),
            alt.Tooltip("measured:Q", title="ROC AUC alone", format=".3f"),
            alt.Tooltip("low:Q", title="95% from", format=".3f"),
            alt.Tooltip("high:Q", title="to", format=".3f"),
            alt.Tooltip("direction:N", title="values are"),
        ],
    )
    spread = base.mark_rule(color=TEXT, clip=True).encode(
        y=order, x=alt.X("low:Q", scale=scale), x2=alt.X2("high")
    )
    return styled(
        alt.layer(bars, spread), "Association with the target", height=20 * len(data) + 10
    )


def missing(columns: Mapping[str, Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Bars of the missing share of the columns that have missing cells, most first."""
    data = sorted(
        (
            {"column": name, "share": c["missing"]["share"], "cells": c["missing"]["rows"]}
            for name, c in columns.items()
            if c["missing"]["rows"]
        ),
        key=lambda d: -d["share"],
    )[:most]
    if not data:
        return empty("Missing cells")
    chart = (
        chart_of(data)
        .mark_bar(color=ACCENT, opacity=0.85)
        .encode(
            y=alt.Y(
                "column:N",
                sort=[d["column"] for d in data],
                title=None,
                axis=alt.Axis(labelLimit=LABEL_PIXELS),
            ),
            x=alt.X("share:Q", title="share of rows", axis=alt.Axis(format=".1~%", tickCount=6)),
            tooltip=[
                alt.Tooltip("column:N", title="column"),
                alt.Tooltip("share:Q", title="missing", format=".2%"),
                alt.Tooltip("cells:Q", title="cells", format=","),
            ],
        )
    )
    return styled(chart, "Missing cells", height=20 * len(data) + 10)


def correlation(found: Mapping[str, Any]) -> Drawing:
    """Map of Spearman's correlations, each pair once: blue negative, orange positive; numbers up to 12 columns."""
    names = list(found["columns"])
    data = [
        {
            "a": a,
            "b": names[j],
            "value": value,
            "size": abs(value),
            "sign": "negative" if value < 0 else "positive",
        }
        for i, a in enumerate(names)
        for j in range(i)
        if (value := found["matrix"][i][j]) is not None
    ]
    if not data:
        return empty("Correlations")
    base = chart_of(data).encode(
        x=alt.X("b:N", sort=names, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=110)),
        y=alt.Y("a:N", sort=names, title=None, axis=alt.Axis(labelLimit=LABEL_PIXELS)),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "sign:N", scale=alt.Scale(domain=["negative", "positive"], range=[NEGATIVE, POSITIVE])
        ),
        opacity=alt.Opacity("size:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
        tooltip=[
            alt.Tooltip("a:N", title="column"),
            alt.Tooltip("b:N", title="with"),
            alt.Tooltip("value:Q", title="Spearman", format=".2f"),
        ],
    )
    height = max(14, min(34, 420 // len(names))) * len(names)
    if len(names) > 12:
        return styled(cells, "Correlations", height=height)
    written = base.mark_text(fontSize=11).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.condition("datum.size > 0.55", alt.value("white"), alt.value(TEXT)),
    )
    return styled(
        alt.layer(cells, written).resolve_scale(color="independent"), "Correlations", height=height
    )


def trend(found: Mapping[str, Any], words: Words = ("negative", "positive")) -> Drawing:
    """Positive rate by period with its 95% band."""
    data = [
        {
            "group": p if found["unit"] == "number" else f"{p}T00:00:00",
            "rate": r,
            "low": low,
            "high": high,
            "rows": rows,
        }
        for p, r, low, high, rows in zip(
            found["period"], found["rate"], found["low"], found["high"], found["rows"], strict=True
        )
        if r is not None
    ]
    if not data:
        return empty("Trend")
    dated = found["unit"] != "number"
    place = period_axis(found["unit"], False) if dated else alt.X("group:Q", title=found["column"])
    base = chart_of(data).encode(x=place)
    band = base.mark_area(color=POSITIVE, opacity=0.2).encode(
        y=alt.Y("low:Q", title=f"share {words[1]}"), y2=alt.Y2("high")
    )
    line = base.mark_line(color=POSITIVE, point=alt.OverlayMarkDef(color=POSITIVE, size=25)).encode(
        y=alt.Y(
            "rate:Q",
            title=f"share {words[1]}",
            scale=alt.Scale(zero=True),
            axis=alt.Axis(format=".0%"),
        ),
        tooltip=[
            alt.Tooltip("group:N", title="from"),
            alt.Tooltip("rate:Q", title="positive rate", format=".1%"),
            alt.Tooltip("low:Q", title="95% from", format=".1%"),
            alt.Tooltip("high:Q", title="to", format=".1%"),
            alt.Tooltip("rows:Q", title="rows", format=","),
        ],
    )
    return styled(alt.layer(line, band), f"Share {words[1]} by {found['column']}")


def outliers(columns: Mapping[str, Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """A strip for each number: quartiles at 0 and 1, whiskers p1 to p99, dots the ends; dashed: Tukey's fences."""
    data = []
    for name, c in columns.items():
        q = c.get("quantiles")
        if q and None not in q.values() and 0 < (unit := q["p75"] - q["p25"]) < math.inf:
            data.append(
                {
                    "column": name,
                    "low fence": -1.5,
                    "high fence": 2.5,
                    "out": c["outliers"]["share"],
                    "count": c["outliers"]["low"] + c["outliers"]["high"],
                    **{k: max(-5.0, min(6.0, (v - q["p25"]) / unit)) for k, v in q.items()},
                    **{f"{k} value": v for k, v in q.items()},
                }
            )
    data = sorted(data, key=lambda d: -d["out"])[:most]
    if not data:
        return empty("Outliers")
    order = alt.Y(
        "column:N",
        sort=[d["column"] for d in data],
        title=None,
        axis=alt.Axis(labelLimit=LABEL_PIXELS),
    )
    scale = alt.Scale(domain=[-5, 6], nice=False)
    tooltip = [
        alt.Tooltip("column:N", title="column"),
        alt.Tooltip("count:Q", title="outside the fences", format=","),
        alt.Tooltip("out:Q", title="share", format=".2%"),
        *(
            alt.Tooltip(f"{k} value:Q", title=k, format=",.5~g")
            for k in ("min", "p1", "p25", "p50", "p75", "p99", "max")
        ),
    ]
    rows = chart_of(data)
    base = rows.encode(y=order, tooltip=tooltip)
    title = "distance from the first quartile in interquartile ranges (cut at -5 and 6)"
    layers = [
        base.mark_bar(color=ACCENT, height=10, clip=True).encode(
            x=alt.X("p25:Q", scale=scale, title=title), x2=alt.X2("p75")
        ),
        base.mark_rule(color=ACCENT, clip=True).encode(
            x=alt.X("p1:Q", scale=scale), x2=alt.X2("p99")
        ),
        base.mark_tick(color=TEXT, thickness=2, height=12).encode(x=alt.X("p50:Q", scale=scale)),
    ]
    dots = base.mark_point(color=POSITIVE, filled=True, size=28)
    layers += [dots.encode(x=alt.X(f"{end}:Q", scale=scale)) for end in ("min", "max")]
    fence = rows.mark_rule(color=QUIET, strokeDash=[4, 3])
    layers += [
        fence.encode(x=alt.X(f"mean({end} fence):Q", scale=scale)) for end in ("low", "high")
    ]
    return styled(alt.layer(*layers), "Outliers: Tukey's fences", height=22 * len(data) + 10)


def _histogram(column: Mapping[str, Any], words: Words, compact: bool) -> Drawing:
    h = column["histogram"]
    totals = {side: max(1, sum(h[side])) for side in ("negative", "positive")}
    data = [
        {
            "from": h["edges"][i],
            "to": h["edges"][i + 1],
            "class": word,
            "share": h[side][i] / totals[side],
            "rows": h[side][i],
        }
        for i in range(len(h["rows"]))
        for side, word in zip(("negative", "positive"), words, strict=True)
    ]
    beyond = h["below"] + h["above"]
    told = f"{_name(column)}" + (f" (without {beyond:,} values beyond the axis)" if beyond else "")
    chart = (
        chart_of(data)
        .mark_bar(opacity=0.55, binSpacing=0)
        .encode(
            x=alt.X(
                "from:Q",
                bin="binned",
                title=None if compact else told,
                scale=alt.Scale(zero=False, nice=False),
                axis=alt.Axis(
                    tickCount=5 if compact else 10,
                    labelOverlap=True,
                    grid=False,
                    format="~s" if compact else ",.12~g",
                ),
            ),
            x2=alt.X2("to"),
            y=share_axis(compact),
            color=class_colour(words, compact),
            tooltip=[
                alt.Tooltip("from:Q", title="from", format=",.5~g"),
                alt.Tooltip("to:Q", title="to", format=",.5~g"),
                alt.Tooltip("class:N", title="class"),
                alt.Tooltip("rows:Q", title="rows", format=","),
                alt.Tooltip("share:Q", title="share of the class", format=".1%"),
            ],
        )
    )
    return styled(chart, _name(column), compact)


def _groups(
    column: Mapping[str, Any], most: int | None = None
) -> tuple[Mapping[str, Any], list[str]]:
    """(rates, labels) of a column's groups, of whichever sort it has; of levels the `most` frequent ones."""
    if "levels" in column:
        found = column["levels"]
        if most is not None and len(found["rows"]) > most:
            return found, found["level"][:most]
        return found, [
            *found["level"],
            *([f"other ({found['other']:,} levels)"] if found["other"] else []),
        ]
    if "periods" in column:
        return column["periods"], [f"{p}T00:00:00" for p in column["periods"]["period"]]
    if "groups" in column:
        found = column["groups"]
        ends = zip(found["from"], found["to"], strict=True)
        labels = [short(a) if a == b else f"{short(a)} – {short(b)}" for a, b in ends]
        alike = len(set(labels)) < len(
            labels
        )  # far from zero, five digits do not tell groups apart
        return found, [f"{n}: {label}" for n, label in enumerate(labels, 1)] if alike else labels
    return {}, []


def _name(column: Mapping[str, Any]) -> str:
    return f"{column['name']} ({column['unit']})" if column.get("unit") else str(column["name"])
