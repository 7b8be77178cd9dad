"""Charts that lay the curves of up to three evaluations over each other."""

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
    span,
    styled,
    unit_axis,
)

Evaluations = Mapping[str, Mapping[str, Any]]  # by the name of the run
Axis = tuple[str, str]  # field of the curve, title
HEIGHT = 300


def roc(evaluations: Evaluations) -> Drawing:
    """ROC curves; dashed: chance."""
    x = ("fpr", "false alarms: share of negatives flagged")
    y = ("tpr", "recall: share of positives flagged")
    curves = _curves(evaluations, "roc", x, y)
    if curves is None:
        return empty("ROC")
    return styled(alt.layer(diagonal("fpr", "tpr"), curves), "ROC", height=HEIGHT)


def precision_recall(evaluations: Evaluations) -> Drawing:
    """Precision by recall."""
    x = ("recall", "recall: share of positives flagged")
    y = ("precision", "precision: share of flagged that are positive")
    curves = _curves(evaluations, "pr", x, y)
    title = "Precision and recall"
    return empty(title) if curves is None else styled(alt.layer(curves), title, height=HEIGHT)


def calibration(evaluations: Evaluations) -> Drawing:
    """Observed rate by predicted probability with 95% intervals; dashed: perfect agreement."""
    rows = []
    for name, evaluation in evaluations.items():
        rows += [{"run": name, **part} for part in evaluation["curves"]["calibration"]]
    if not rows:
        return empty("Calibration")
    base = chart_of(rows).encode(
        x=unit_axis("x", "predicted", "mean predicted probability"), color=_colour(evaluations)
    )
    dots = base.mark_point(filled=True, size=50).encode(
        y=unit_axis("y", "observed", "observed share"),
        tooltip=[
            *_run_and_percents("predicted", "observed", "low", "high"),
            alt.Tooltip("count:Q", title="rows", format=","),
        ],
    )
    interval = span(base.mark_rule(opacity=0.5), "y")
    line = base.mark_line(opacity=0.4).encode(y=alt.Y("observed:Q"))
    layers = alt.layer(diagonal("predicted", "observed"), line, interval, dots)
    return styled(layers, "Calibration", height=HEIGHT)


def lift(evaluations: Evaluations) -> Drawing:
    """Positives among the highest scored rows, as times the base rate; dashed: 1, chance."""
    rows = _rows(evaluations, "lift", ("share", "lift", "gain"))
    # The lift of a few rows is noise that would stretch the axis.
    rows = [row for row in rows if row["share"] >= 0.01]
    if not rows:
        return empty("Lift")
    line = chart_of(rows).mark_line(strokeWidth=2)
    curves = line.encode(
        x=unit_axis("x", "share", "share of rows, highest probability first"),
        y=alt.Y("lift:Q", title="lift: times the base rate"),
        color=_colour(evaluations),
        order=alt.Order("i:Q"),
        tooltip=[
            alt.Tooltip("run:N"),
            alt.Tooltip("share:Q", title="rows", format=".1%"),
            alt.Tooltip("lift:Q", format=".2f"),
            alt.Tooltip("gain:Q", title="positives found", format=".1%"),
        ],
    )
    rule = chart_of([{"lift": 1}]).mark_rule(color=QUIET, strokeDash=[4, 3])
    chance = rule.encode(y=alt.Y("lift:Q"))
    return styled(alt.layer(chance, curves), "Lift", height=HEIGHT)


def _rows(evaluations: Evaluations, curve: str, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the points of a curve of each run, as rows with their number `i`."""
    rows = []
    for name, evaluation in evaluations.items():
        columns = [evaluation["curves"][curve][field] for field in fields]
        for i, values in enumerate(zip(*columns, strict=True)):
            rows.append({"run": name, "i": i, **dict(zip(fields, values, strict=True))})
    return rows


def _curves(evaluations: Evaluations, curve: str, x: Axis, y: Axis) -> alt.Chart | None:
    """Return the lines of a curve; None where no run has one."""
    rows = _rows(evaluations, curve, (x[0], y[0]))
    if not rows:
        return None
    lines: alt.Chart = chart_of(rows).mark_line(strokeWidth=2)
    encoded: alt.Chart = lines.encode(
        x=unit_axis("x", *x),
        y=unit_axis("y", *y),
        color=_colour(evaluations),
        order=alt.Order("i:Q"),
        tooltip=_run_and_percents(x[0], y[0]),
    )
    return encoded


def _run_and_percents(*fields: str) -> list[alt.Tooltip]:
    return [alt.Tooltip("run:N"), *(alt.Tooltip(f"{field}:Q", format=".1%") for field in fields)]


def _colour(evaluations: Evaluations) -> alt.Color:
    names = list(evaluations)
    colours = [POSITIVE, NEGATIVE, TEXT][: len(names)]
    return alt.Color("run:N", title=None, scale=alt.Scale(domain=names, range=colours))
