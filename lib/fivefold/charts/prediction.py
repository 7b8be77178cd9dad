"""Charts of predictions: why one case scores as it does, where it stands, and how many cases score how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

from fivefold.charts.style import (
    ACCENT,
    LABEL_PIXELS,
    NEGATIVE,
    POSITIVE,
    QUIET,
    TEXT,
    Drawing,
    chart_of,
    empty,
    styled,
    unit_axis,
)

MOST_REASONS = 12  # columns that are drawn one by one; the others are added up in one bar


def reasons(
    contributions: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]] | None = None
) -> Drawing:
    """Signed contributions of the columns (`fivefold.model.explain.explain`), largest first; rings: those of `before`.

    In percentage points of probability: base rate plus all bars is the probability.
    """
    lines = sorted(contributions, key=lambda c: -abs(c["contribution"]))
    earlier = {c["column"]: c["contribution"] for c in before or contributions}
    rest = lines[MOST_REASONS:]
    data = [
        {
            "column": c["column"],
            "value": _text(c["value"]),
            "points": 100 * c["contribution"],
            "before": 100 * earlier.get(c["column"], 0.0),
        }
        for c in lines[:MOST_REASONS]
    ]
    if rest:
        data.append(
            {
                "column": f"{len(rest)} others",
                "value": "",
                "points": 100 * sum(c["contribution"] for c in rest),
                "before": 100 * sum(earlier.get(c["column"], 0.0) for c in rest),
            }
        )
    if not data:
        return empty("Why")
    for line in data:
        line |= {
            "label": f"{line['column']} = {line['value']}"[:60]
            if line["value"]
            else line["column"],
            "direction": "raises" if line["points"] >= 0 else "lowers",
        }
    order = alt.Y(
        "label:N",
        sort=[line["label"] for line in data],
        title=None,
        axis=alt.Axis(labelLimit=LABEL_PIXELS + 40),
    )
    base = chart_of(data).encode(y=order)
    bars = base.mark_bar(opacity=0.9).encode(
        x=alt.X(
            "points:Q", title="percentage points of probability", axis=alt.Axis(format="+.2~f")
        ),
        color=alt.Color(
            "direction:N",
            title=None,
            scale=alt.Scale(domain=["raises", "lowers"], range=[POSITIVE, NEGATIVE]),
        ),
        tooltip=[
            alt.Tooltip("column:N"),
            alt.Tooltip("value:N"),
            alt.Tooltip("points:Q", title="points", format="+.2f"),
            *([alt.Tooltip("before:Q", title="points before", format="+.2f")] if before else []),
        ],
    )
    zero = chart_of([{"points": 0}]).mark_rule(color=QUIET).encode(x=alt.X("points:Q"))
    rings = [base.mark_point(color=TEXT, size=60).encode(x=alt.X("before:Q"))] if before else []
    return styled(
        alt.layer(bars, zero, *rings),
        "Why (rings: before the change)" if before else "Why",
        height=24 * len(data) + 10,
    )


def standing(scores: Sequence[float], probability: float, threshold: float) -> Drawing:
    """How the training rows score (from the percentiles of their probabilities), this case (solid) and the threshold
    (dashed).
    """
    edges = np.linspace(0, 1, 41)
    below = np.interp(edges, scores, np.linspace(0, 1, len(scores)), left=0.0, right=1.0)
    data = [
        {"from": float(a), "to": float(b), "share": float(s)}
        for a, b, s in zip(edges, edges[1:], np.diff(below), strict=False)
    ]
    bars = (
        chart_of(data)
        .mark_bar(color=QUIET, opacity=0.5, binSpacing=0)
        .encode(
            x=unit_axis("x", "from", "probability", bin="binned"),
            x2=alt.X2("to"),
            y=alt.Y("share:Q", title="share of cases", axis=alt.Axis(format="~%", tickCount=3)),
            tooltip=_range_tips(alt.Tooltip("share:Q", title="share", format=".1%")),
        )
    )
    rules = [_rule(threshold, TEXT, "threshold", [4, 3]), _rule(probability, POSITIVE, "this case")]
    return styled(alt.layer(bars, *rules), "Among the training rows", height=120)


def histogram(bins: Sequence[Mapping[str, float]], threshold: float) -> Drawing:
    """Rows by probability (`fivefold.serving.tally.histogram`); dashed: the threshold."""
    bars = (
        chart_of([dict(b) for b in bins])
        .mark_bar(color=ACCENT, opacity=0.8, binSpacing=1)
        .encode(
            x=unit_axis("x", "from", "probability", bin="binned"),
            x2=alt.X2("to"),
            y=alt.Y("rows:Q", title="rows"),
            tooltip=_range_tips(alt.Tooltip("rows:Q", format=",")),
        )
    )
    return styled(alt.layer(bars, _rule(threshold, TEXT, "threshold", [4, 3])), "Scores")


def cost(
    curve: Sequence[Mapping[str, float]], chosen: float, other: float | None = None
) -> Drawing:
    """Expected cost per 1,000 cases by threshold; solid: the cheapest that capacity allows; dashed: the model's own."""
    line = (
        chart_of([dict(p) for p in curve])
        .mark_line(color=ACCENT, strokeWidth=2)
        .encode(
            x=unit_axis("x", "threshold", "threshold on the probability"),
            y=alt.Y("cost_per_1000:Q", title="cost per 1,000 cases"),
            tooltip=[
                alt.Tooltip("threshold:Q", format=".1%"),
                alt.Tooltip("cost_per_1000:Q", title="cost", format=",.4~g"),
                alt.Tooltip("flagged:Q", title="acted upon", format=".1%"),
            ],
        )
    )
    rules = [_rule(chosen, POSITIVE, "chosen")] + (
        [] if other is None else [_rule(other, TEXT, "the model's", [4, 3])]
    )
    return styled(alt.layer(line, *rules), "Expected cost", height=280)


def _rule(at: float, colour: str, name: str, dash: list[int] | None = None) -> alt.Chart:
    rule = chart_of([{"at": at, "what": name}]).mark_rule(
        color=colour, size=2, strokeDash=dash or alt.Undefined
    )
    tooltip = [alt.Tooltip("what:N", title=" "), alt.Tooltip("at:Q", title="at", format=".1%")]
    layer: alt.Chart = rule.encode(x=alt.X("at:Q"), tooltip=tooltip)
    return layer


def _range_tips(more: alt.Tooltip) -> list[alt.Tooltip]:
    return [alt.Tooltip("from:Q", format=".1%"), alt.Tooltip("to:Q", format=".1%"), more]


def _text(value: Any) -> str:
    return (
        "unknown" if value is None else f"{value:,.6g}" if isinstance(value, float) else str(value)
    )
