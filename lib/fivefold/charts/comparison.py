"""Charts that lay the curves of several evaluations (`fivefold.model.evaluation`) over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from fivefold.charts.style import (
    NEGATIVE,
    POSITIVE,
    QUIET,
    TEXT,
    Drawing,
    chart_of,
    diagonal,
    empty,
    styled,
    unit_axis,
)

Evaluations = Mapping[
    str, Mapping[str, Any]
]  # name of a run -> its evaluation; at most two are told apart
HEIGHT = 300


def roc(found: Evaluations) -> Drawing:
    """ROC curves; dashed: chance."""
    return _lines(
        found,
        "roc",
        ("fpr", "false alarms: share of negatives flagged"),
        ("tpr", "recall: share of positives flagged"),
        "ROC",
        chance=True,
    )


def precision_recall(found: Evaluations) -> Drawing:
    """Precision by recall."""
    return _lines(
        found,
        "pr",
        ("recall", "recall: share of positives flagged"),
        ("precision", "precision: share of flagged that are positive"),
        "Precision and recall",
    )


def calibration(found: Evaluations) -> Drawing:
    """Observed rate by predicted probability with 95% intervals; dashed: perfect agreement."""
    data = [
        {"run": name, **bin_} for name, e in found.items() for bin_ in e["curves"]["calibration"]
    ]
    if not data:
        return empty("Calibration")
    base = chart_of(data).encode(
        x=unit_axis("x", "predicted", "mean predicted probability"), color=_colour(found)
    )
    dots = base.mark_point(filled=True, size=50).encode(
        y=unit_axis("y", "observed", "observed share"),
        tooltip=[
            alt.Tooltip("run:N"),
            *(
                alt.Tooltip(f"{f}:Q", format=".1%")
                for f in ("predicted", "observed", "low", "high")
            ),
            alt.Tooltip("count:Q", title="rows", format=","),
        ],
    )
    spread = base.mark_rule(opacity=0.5).encode(y=alt.Y("low:Q"), y2=alt.Y2("high"))
    line = base.mark_line(opacity=0.4).encode(y=alt.Y("observed:Q"))
    return styled(
        alt.layer(diagonal("predicted", "observed"), line, spread, dots),
        "Calibration",
        height=HEIGHT,
    )


def lift(found: Evaluations) -> Drawing:
    """How many times the base rate is found among the highest scored share of rows; dashed: 1, chance."""
    fields = ("share", "lift", "gain")
    data = [
        {"run": name, "i": i, **dict(zip(fields, values, strict=True))}
        for name, e in found.items()
        for i, values in enumerate(zip(*(e["curves"]["lift"][f] for f in fields), strict=True))
        if values[0] >= 0.01
    ]  # the lift of a handful of rows is noise that would stretch the axis
    if not data:
        return empty("Lift")
    line = (
        chart_of(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=unit_axis("x", "share", "share of rows, highest probability first"),
            y=alt.Y("lift:Q", title="lift: times the base rate"),
            color=_colour(found),
            order=alt.Order("i:Q"),
            tooltip=[
                alt.Tooltip("run:N"),
                alt.Tooltip("share:Q", title="rows", format=".1%"),
                alt.Tooltip("lift:Q", format=".2f"),
                alt.Tooltip("gain:Q", title="positives found", format=".1%"),
            ],
        )
    )
    one = (
        chart_of([{"lift": 1}]).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y=alt.Y("lift:Q"))
    )
    return styled(alt.layer(one, line), "Lift", height=HEIGHT)


def _lines(
    found: Evaluations,
    curve: str,
    x: tuple[str, str],
    y: tuple[str, str],
    title: str,
    chance: bool = False,
) -> Drawing:
    data = [
        {"run": name, "i": i, x[0]: a, y[0]: b}
        for name, e in found.items()
        for i, (a, b) in enumerate(
            zip(e["curves"][curve][x[0]], e["curves"][curve][y[0]], strict=True)
        )
    ]
    if not data:
        return empty(title)
    line = (
        chart_of(data)
        .mark_line(strokeWidth=2)
        .encode(
            x=unit_axis("x", *x),
            y=unit_axis("y", *y),
            color=_colour(found),
            order=alt.Order("i:Q"),
            tooltip=[
                alt.Tooltip("run:N"),
                *(alt.Tooltip(f"{f}:Q", format=".1%") for f in (x[0], y[0])),
            ],
        )
    )
    return styled(
        alt.layer(*([diagonal(x[0], y[0])] if chance else []), line), title, height=HEIGHT
    )


def _colour(found: Evaluations) -> alt.Color:
    names = list(found)
    return alt.Color(
        "run:N",
        title=None,
        scale=alt.Scale(domain=names, range=[POSITIVE, NEGATIVE, TEXT][: len(names)]),
    )
