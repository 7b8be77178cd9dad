"""Charts of predictions: reasons for one case, its standing, counts by probability and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
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
    Layer,
    chart_of,
    colours,
    empty,
    named_bars,
    rule,
    styled,
    tooltips,
    unit_axis,
)

MOST_REASONS = 12  # columns with a bar of their own; the others share one
MOST_LABEL = 60  # characters
BINS = 40
THRESHOLD = "at | threshold | .1%"

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
    base = named_bars(rows, "label", LABEL_PIXELS + 40)
    tips = ["column", "value", "points | points | +.2f"]
    if before:
        tips.append("before | points before | +.2f")
    x = alt.X("points:Q", title="percentage points of probability")
    bars = base.mark_bar(opacity=0.9).encode(
        x=x.axis(format="+.2~f"),
        color=colours("direction", {"raises": POSITIVE, "lowers": NEGATIVE}),
        tooltip=tooltips(*tips),
    )
    layers = [bars, rule("x", 0, solid=True)]
    title = "Why"
    if before:
        layers.append(base.mark_point(color=TEXT, size=60).encode(x="before:Q"))
        title = "Why (rings: before the change)"
    return styled(title, *layers, height=24 * len(rows) + 10)


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
    bins = []
    for (start, end), share in zip(pairwise(edges.tolist()), np.diff(below).tolist(), strict=True):
        bins.append({"from": start, "to": end, "share": share})
    mark = chart_of(bins).mark_bar(color=QUIET, opacity=0.5, binSpacing=0)
    y = alt.Y("share:Q", title="share of cases").axis(format="~%", tickCount=3)
    bars = _bins(mark, y, "share | share | .1%")
    case = rule("x", probability, POSITIVE, "at | this case | .1%", solid=True)
    limit = rule("x", threshold, TEXT, THRESHOLD)
    return styled("Among the training rows", bars, limit, case, height=120)


def histogram(bins: Sequence[Mapping[str, float]], threshold: float) -> Drawing:
    """Draw the number of rows by probability; dashed: the threshold."""
    mark = chart_of(bins).mark_bar(color=ACCENT, opacity=0.8, binSpacing=1)
    bars = _bins(mark, alt.Y("rows:Q", title="rows"), "rows | rows | ,")
    return styled("Scores", bars, rule("x", threshold, TEXT, THRESHOLD))


def cost(
    curve: Sequence[Mapping[str, float]], chosen: float, other: float | None = None
) -> Drawing:
    """Draw the expected cost per 1,000 cases by threshold.

    Solid: the chosen threshold; dashed: the model's own.
    """
    line = (
        chart_of(curve)
        .mark_line(color=ACCENT, strokeWidth=2)
        .encode(
            x=unit_axis("x", "threshold", "threshold on the probability"),
            y=alt.Y("cost_per_1000:Q", title="cost per 1,000 cases"),
            tooltip=tooltips(
                "threshold | threshold | .1%",
                "cost_per_1000 | cost | ,.4~g",
                "flagged | acted upon | .1%",
            ),
        )
    )
    layers = [line, rule("x", chosen, POSITIVE, "at | chosen | .1%", solid=True)]
    if other is not None:
        layers.append(rule("x", other, TEXT, "at | the model's | .1%"))
    return styled("Expected cost", *layers, height=280)


def _bins(mark: Layer, y: alt.Y, tip: str) -> Layer:
    """Draw bars over bins of the probability, from 0 to 1."""
    x = unit_axis("x", "from", "probability").bin("binned")
    return mark.encode(
        x=x, x2="to", y=y, tooltip=tooltips("from | from | .1%", "to | to | .1%", tip)
    )


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
