"""Charts of predictions: reasons for one case, its standing, counts by probability and costs."""

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
    tooltips,
    unit_axis,
)

MOST_REASONS = 12  # columns with a bar of their own; the others share one
MOST_LABEL = 60  # characters
BINS = 40
DASHED = [4, 3]

Contributions = Sequence[Mapping[str, Any]]


def reasons(contributions: Contributions, before: Contributions | None = None) -> Drawing:
    """Draw the contributions of columns to a probability, in percentage points, largest first.

    Parameters
    ----------
    contributions
        Records of column, value and contribution (`fivefold.model.explain.Explanation`).
    before
        Those of the case before a change, drawn as rings.
    """
    rows = _reason_rows(contributions, before or contributions)
    if not rows:
        return empty("Why")
    order = [row["label"] for row in rows]
    axis = alt.Axis(labelLimit=LABEL_PIXELS + 40)
    base = chart_of(rows).encode(y=alt.Y("label:N", sort=order, title=None, axis=axis))
    tips = [alt.Tooltip("column:N"), alt.Tooltip("value:N")]
    tips += tooltips(("points:Q", "points", "+.2f"))
    if before:
        tips += tooltips(("before:Q", "points before", "+.2f"))
    colours = alt.Scale(domain=["raises", "lowers"], range=[POSITIVE, NEGATIVE])
    points_axis = alt.Axis(format="+.2~f")
    bars = base.mark_bar(opacity=0.9).encode(
        x=alt.X("points:Q", title="percentage points of probability", axis=points_axis),
        color=alt.Color("direction:N", title=None, scale=colours),
        tooltip=tips,
    )
    zero = chart_of([{"points": 0}]).mark_rule(color=QUIET).encode(x=alt.X("points:Q"))
    layers = [bars, zero]
    title = "Why"
    if before:
        layers.append(base.mark_point(color=TEXT, size=60).encode(x=alt.X("before:Q")))
        title = "Why (rings: before the change)"
    return styled(alt.layer(*layers), title, height=24 * len(rows) + 10)


def _reason_rows(contributions: Contributions, before: Contributions) -> list[dict[str, Any]]:
    """Return one row for each of the largest contributions and one for all others."""
    lines = sorted(contributions, key=lambda line: -abs(line["contribution"]))
    earlier = {line["column"]: line["contribution"] for line in before}
    rows = []
    for line in lines[:MOST_REASONS]:
        column, value = line["column"], _text(line["value"])
        label = f"{column} = {value}"[:MOST_LABEL] if value else column
        rows.append(_reason_row(label, column, value, [line], earlier))
    rest = lines[MOST_REASONS:]
    if rest:
        label = f"{len(rest)} others"
        rows.append(_reason_row(label, label, "", rest, earlier))
    return rows


def _reason_row(
    label: str, column: str, value: str, lines: Contributions, earlier: Mapping[str, float]
) -> dict[str, Any]:
    points = 100 * sum(line["contribution"] for line in lines)
    return {
        "label": label,
        "column": column,
        "value": value,
        "points": points,
        "before": 100 * sum(earlier.get(line["column"], 0.0) for line in lines),
        "direction": "raises" if points >= 0 else "lowers",
    }


def standing(scores: Sequence[float], probability: float, threshold: float) -> Drawing:
    """Draw the probabilities of the training rows, this case (solid) and the threshold (dashed).

    `scores` are evenly spaced quantiles of the probabilities.
    """
    edges = np.linspace(0, 1, BINS + 1)
    below = np.interp(edges, scores, np.linspace(0, 1, len(scores)), left=0.0, right=1.0)
    shares = np.diff(below).tolist()
    bins = []
    for start, end, share in zip(edges[:-1].tolist(), edges[1:].tolist(), shares, strict=True):
        bins.append({"from": start, "to": end, "share": share})
    mark = chart_of(bins).mark_bar(color=QUIET, opacity=0.5, binSpacing=0)
    axis = alt.Axis(format="~%", tickCount=3)
    shares_axis = alt.Y("share:Q", title="share of cases", axis=axis)
    bars = _bins(mark, shares_axis, alt.Tooltip("share:Q", title="share", format=".1%"))
    dashed = _rule(threshold, TEXT, "threshold", DASHED)
    solid = _rule(probability, POSITIVE, "this case")
    return styled(alt.layer(bars, dashed, solid), "Among the training rows", height=120)


def histogram(bins: Sequence[Mapping[str, float]], threshold: float) -> Drawing:
    """Draw the number of rows by probability; dashed: the threshold."""
    mark = chart_of(bins).mark_bar(color=ACCENT, opacity=0.8, binSpacing=1)
    bars = _bins(mark, alt.Y("rows:Q", title="rows"), alt.Tooltip("rows:Q", format=","))
    return styled(alt.layer(bars, _rule(threshold, TEXT, "threshold", DASHED)), "Scores")


def cost(
    curve: Sequence[Mapping[str, float]], chosen: float, other: float | None = None
) -> Drawing:
    """Draw the expected cost per 1,000 cases by threshold.

    Solid: the chosen threshold; dashed: the model's own.
    """
    costs = ("cost_per_1000:Q", "cost", ",.4~g")
    figures = tooltips(costs, ("flagged:Q", "acted upon", ".1%"))
    mark = chart_of(curve).mark_line(color=ACCENT, strokeWidth=2)
    line = mark.encode(
        x=unit_axis("x", "threshold", "threshold on the probability"),
        y=alt.Y("cost_per_1000:Q", title="cost per 1,000 cases"),
        tooltip=[alt.Tooltip("threshold:Q", format=".1%"), *figures],
    )
    rules = [_rule(chosen, POSITIVE, "chosen")]
    if other is not None:
        rules.append(_rule(other, TEXT, "the model's", DASHED))
    return styled(alt.layer(line, *rules), "Expected cost", height=280)


def _rule(at: float, colour: str, name: str, dash: list[int] | None = None) -> alt.Chart:
    """Draw an upright line at a probability."""
    mark = chart_of([{"at": at, "what": name}])
    rule: alt.Chart = mark.mark_rule(color=colour, size=2, strokeDash=dash or alt.Undefined).encode(
        x=alt.X("at:Q"),
        tooltip=tooltips(("what:N", " "), ("at:Q", "at", ".1%")),
    )
    return rule


def _bins(mark: alt.Chart, y: alt.Y, tip: alt.Tooltip) -> alt.Chart:
    """Draw bars over bins of the probability, from 0 to 1."""
    ends = [alt.Tooltip("from:Q", format=".1%"), alt.Tooltip("to:Q", format=".1%")]
    x = unit_axis("x", "from", "probability", bin="binned")
    bars: alt.Chart = mark.encode(x=x, x2=alt.X2("to"), y=y, tooltip=[*ends, tip])
    return bars


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
