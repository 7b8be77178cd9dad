"""Charts of an evaluation on held-out rows, from its plain form (`Evaluation.to_dict`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fivefold.charts import comparison
from fivefold.charts.style import (
    ACCENT,
    LABEL_PIXELS,
    MOST_BARS,
    NEGATIVE,
    POSITIVE,
    QUIET,
    TEXT,
    Drawing,
    Layer,
    Words,
    chart_of,
    colours,
    diagonal,
    empty,
    named_bars,
    readable,
    rule,
    span,
    styled,
    tooltips,
    unit_axis,
)

HEIGHT = comparison.HEIGHT
Evaluation = Mapping[str, Any]


def roc(evaluation: Evaluation) -> Drawing:
    """Draw the ROC curve; dashed: chance; cross: the chosen threshold."""
    auc = evaluation["auc"]
    title = f"ROC: area {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    cross = _cross(evaluation["confusion"], fpr=("fp", "tn"), tpr=("tp", "fn"))
    return comparison.roc({comparison.ALONE: evaluation}, *cross, title=title)


def precision_recall(evaluation: Evaluation) -> Drawing:
    """Draw precision by recall; dashed: the base rate; cross: the chosen threshold."""
    counts = evaluation["confusion"]
    base_rate = (counts["tp"] + counts["fn"]) / sum(counts.values())
    cross = _cross(counts, recall=("tp", "fn"), precision=("tp", "fp"))
    alone = {comparison.ALONE: evaluation}
    return comparison.precision_recall(alone, rule("y", base_rate), *cross)


def calibration(evaluation: Evaluation) -> Drawing:
    """Draw the observed rate with its 95% interval by predicted probability.

    Dashed: perfect agreement.
    """
    return comparison.calibration({comparison.ALONE: evaluation})


def gain(evaluation: Evaluation, capacity: float | None = None) -> Drawing:
    """Draw the share of all positives by share of rows, highest probabilities first.

    Dashed: rows at random; upright line: the capacity.
    """
    y = unit_axis("y", "gain", "share of positives among them")
    curve = comparison.lift_curves({comparison.ALONE: evaluation}, y)
    layers = [diagonal("share", "gain"), curve]
    if capacity is not None:
        layers.append(rule("x", capacity, TEXT, "at | capacity | .1%"))
    return styled("Gain", *layers, height=HEIGHT)


def cost(evaluation: Evaluation) -> Drawing:
    """Draw the expected cost by threshold; dashed: the chosen threshold."""
    x = unit_axis("x", "threshold", "threshold on the probability")
    y = alt.Y("cost:Q", title="cost a row, in the scope's unit")
    tips = ("threshold | threshold | .3f", "cost | cost | .4~g")
    curve = comparison.curves({comparison.ALONE: evaluation}, "cost", x, y, *tips)
    chosen = rule("x", evaluation["threshold"]["value"], TEXT, "at | chosen | .3f")
    return styled("Expected cost by threshold", curve, chosen, height=HEIGHT)


def confusion(counts: Mapping[str, int], words: Words = ("negative", "positive")) -> Drawing:
    """Draw the four counts; the colour is the share of the true class."""
    negative, positive = words
    cells = []
    for truth, flagged, missed in ((positive, "tp", "fn"), (negative, "fp", "tn")):
        rows = max(1, counts[flagged] + counts[missed])
        for answer, count in (("flagged", counts[flagged]), ("not flagged", counts[missed])):
            text = f"{count:,} ({100 * count / rows:.0f}%)"
            cell = {"truth": truth, "said": answer, "rows": count, "share": count / rows}
            cells.append({**cell, "text": text})
    x = alt.X("said:N", sort=["flagged", "not flagged"], title=None)
    y = alt.Y("truth:N", sort=[positive, negative], title="truly")
    base = chart_of(cells).encode(
        x=x.axis(labelAngle=0, orient="top", domain=False, ticks=False),
        y=y.axis(labelLimit=LABEL_PIXELS, domain=False, ticks=False),
        tooltip=tooltips(
            "truth | truly", "said | model", "rows | rows | ,", "share | share of the class | .1%"
        ),
    )
    shade = alt.Opacity("share:Q", legend=None).scale(domain=[0, 1], range=[0.08, 1])
    squares = base.mark_rect(cornerRadius=3, color=NEGATIVE).encode(opacity=shade)
    written = base.mark_text(fontSize=15)
    written = written.encode(text="text:N", color=readable("datum.share > 0.5"))
    return styled("Held-out rows", squares, written, height=140)


def importance(lines: Sequence[Mapping[str, Any]]) -> Drawing:
    """Draw the loss of ROC AUC when a column is shuffled, with a standard deviation either way."""
    title = "Permutation importance"
    rows = []
    for line in lines[:MOST_BARS]:
        mean, sd = line["mean"], line["sd"]
        rows.append({**line, "low": mean - sd, "high": mean + sd})
    if not rows:
        return empty(title)
    base = named_bars(rows)
    bars = base.mark_bar(color=ACCENT, opacity=0.85).encode(
        x=alt.X("mean:Q", title="loss of ROC AUC when shuffled (line: ± 1 SD)"),
        tooltip=tooltips("column", "mean | loss | .4f", "sd | SD | .4f"),
    )
    spread = span(base.mark_rule(color=TEXT), "x")
    return styled(title, bars, spread, height=20 * len(rows) + 10)


def ageing(curve: Mapping[str, Any]) -> Drawing:
    """Draw the loss of ROC AUC by the age of a model, with its interval."""
    unit = curve["unit"]
    tips = tooltips("age | Age | ,.0f", "loss | Loss | .4f", "low | from | .4f", "high | to | .4f")
    base = chart_of(curve["points"]).encode(
        x=alt.X("age:Q", title=f"Age of the model ({unit})").scale(zero=True), tooltip=tips
    )
    loss = alt.Y("loss:Q", title="Loss of ROC AUC").scale(zero=True)
    line = base.mark_line(color=ACCENT, point=True).encode(y=loss)
    return styled(
        "Loss by age", rule("y", 0.0), span(base.mark_rule(color=ACCENT, size=2), "y"), line
    )


def baselines(evaluation: Evaluation, name: str = "this model") -> Drawing:
    """Draw the held-out ROC AUC of the model and of its baselines, with 95% intervals."""
    auc = evaluation["auc"]
    model = {"name": name, "auc": auc["value"], "low": auc["low"], "high": auc["high"]}
    rows = [{**model, "ours": True}]
    rows += [{**baseline, "ours": False} for baseline in evaluation["baselines"]]
    colour = colours("ours", {True: POSITIVE, False: QUIET}, compact=True)
    base = named_bars(rows, "name", 220).encode(color=colour)
    x = alt.X("auc:Q", title="held-out ROC AUC, 95% interval").axis(tickCount=8)
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=x.scale(zero=False, padding=12),
        tooltip=tooltips("name", "auc | auc | .4f", "low | low | .4f", "high | high | .4f"),
    )
    intervals = span(base.mark_rule(), "x")
    height = 32 * len(rows) + 10
    return styled("Against simpler and better", intervals, dots, height=height)


def _cross(counts: Mapping[str, int], **shares: tuple[str, str]) -> list[Layer]:
    """Draw a cross at (x, y), each the share of one count in two; none where it has no rows."""
    point = {}
    for field, (part, other) in shares.items():
        total = counts[part] + counts[other]
        if not total:
            return []
        point[field] = counts[part] / total
    x, y = point
    mark = chart_of([point]).mark_point(shape="cross", filled=True, size=110, color=TEXT)
    tooltip = tooltips(f"{x} | {x} | .1%", f"{y} | {y} | .1%")
    return [mark.encode(x=f"{x}:Q", y=f"{y}:Q", tooltip=tooltip)]
