"""Charts of the curves of one evaluation, or of up to three laid over each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt

from fivefold.charts.style import (
    NEGATIVE,
    POSITIVE,
    TEXT,
    Drawing,
    Layer,
    chart_of,
    colours,
    diagonal,
    rule,
    span,
    styled,
    tooltips,
    unit_axis,
)

Evaluations = Mapping[str, Mapping[str, Any]]  # by the name of the run
ALONE = ""  # name of the one evaluation of a chart, which needs no legend
HEIGHT = 300


def roc(evaluations: Evaluations, *more: Layer, title: str = "ROC") -> Drawing:
    """ROC curves; dashed: chance."""
    x = unit_axis("x", "fpr", "false alarms: share of negatives flagged")
    y = unit_axis("y", "tpr", "recall: share of positives flagged")
    tips = ("fpr | false alarms | .1%", "tpr | recall | .1%")
    lines = curves(evaluations, "roc", x, y, *tips)
    return styled(title, diagonal("fpr", "tpr"), lines, *more, height=HEIGHT)


def precision_recall(evaluations: Evaluations, *more: Layer) -> Drawing:
    """Precision by recall."""
    x = unit_axis("x", "recall", "recall: share of positives flagged")
    y = unit_axis("y", "precision", "precision: share of flagged that are positive")
    tips = ("recall | recall | .1%", "precision | precision | .1%")
    lines = curves(evaluations, "pr", x, y, *tips)
    return styled("Precision and recall", lines, *more, height=HEIGHT)


def calibration(evaluations: Evaluations) -> Drawing:
    """Observed rate by predicted probability with 95% intervals; dashed: perfect agreement."""
    rows = []
    for name, evaluation in evaluations.items():
        rows += [{"run": name, **part} for part in evaluation["curves"]["calibration"]]
    base = chart_of(rows).encode(
        x=unit_axis("x", "predicted", "mean predicted probability"), color=_colour(evaluations)
    )
    dots = base.mark_point(filled=True, size=50).encode(
        y=unit_axis("y", "observed", "observed share"),
        tooltip=_run_and(
            evaluations,
            "predicted | predicted | .1%",
            "observed | observed | .1%",
            "low | 95% from | .1%",
            "high | to | .1%",
            "count | rows | ,",
        ),
    )
    interval = span(base.mark_rule(opacity=0.6), "y")
    line = base.mark_line(opacity=0.4).encode(y="observed:Q")
    agreement = diagonal("predicted", "observed")
    return styled("Calibration", agreement, line, interval, dots, height=HEIGHT)


def lift(evaluations: Evaluations) -> Drawing:
    """Positives among the highest scored rows, as times the base rate; dashed: 1, chance."""
    y = alt.Y("lift:Q", title="lift: times the base rate")
    lines = lift_curves(evaluations, y)
    # The lift of a few rows is noise that would stretch the axis.
    lines = lines.transform_filter("datum.share >= 0.01")
    return styled("Lift", rule("y", 1), lines, height=HEIGHT)


def lift_curves(evaluations: Evaluations, y: alt.Y) -> Layer:
    """Return curves by the share of rows, highest probabilities first."""
    x = unit_axis("x", "share", "share of rows, highest probability first")
    tips = (
        "share | rows | .1%",
        "gain | positives found | .1%",
        "lift | lift over chance | .2f",
    )
    return curves(evaluations, "lift", x, y, *tips)


def curves(evaluations: Evaluations, curve: str, x: alt.X, y: alt.Y, *tips: str) -> Layer:
    """Return a line for each run, in the order of the points."""
    rows = []
    for name, evaluation in evaluations.items():
        columns = evaluation["curves"][curve]
        for i, values in enumerate(zip(*columns.values(), strict=True)):
            rows.append({"run": name, "i": i, **dict(zip(columns, values, strict=True))})
    return (
        chart_of(rows)
        .mark_line(strokeWidth=2)
        .encode(
            x=x,
            y=y,
            color=_colour(evaluations),
            order="i:Q",
            tooltip=_run_and(evaluations, *tips),
        )
    )


def _run_and(evaluations: Evaluations, *tips: str) -> list[alt.Tooltip]:
    return tooltips(*tips) if ALONE in evaluations else tooltips("run", *tips)


def _colour(evaluations: Evaluations) -> alt.Color:
    palette = dict(zip(evaluations, (POSITIVE, NEGATIVE, TEXT), strict=False))
    return colours("run", palette, compact=ALONE in evaluations)
