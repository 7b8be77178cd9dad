"""Charts of an evaluation on held-out rows, from its plain form (`Evaluation.to_dict`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fivefold.charts.style import (
    ACCENT,
    LABEL_PIXELS,
    MOST_BARS,
    NEGATIVE,
    POSITIVE,
    QUIET,
    TEXT,
    Drawing,
    Words,
    chart_of,
    diagonal,
    empty,
    span,
    styled,
    tooltips,
    unit_axis,
)

HEIGHT = 300
Evaluation = Mapping[str, Any]
Layers = list[alt.Chart]


def roc(evaluation: Evaluation) -> Drawing:
    """Draw the ROC curve; dashed: chance; cross: the chosen threshold."""
    auc, counts = evaluation["auc"], evaluation.get("confusion") or {}
    title = f"ROC: area {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    x = unit_axis("x", "fpr", "false alarms: share of negatives flagged")
    y = unit_axis("y", "tpr", "recall: share of positives flagged")
    tips = _percents({"fpr": "false alarms", "tpr": "recall"})
    layers: Layers = [diagonal("fpr", "tpr"), _line(evaluation["curves"]["roc"], x, y, tips)]
    recall = _ratio(counts, "tp", "fn")
    false_alarms = _ratio(counts, "fp", "tn")
    if recall is not None and false_alarms is not None:
        layers.append(_cross({"fpr": false_alarms, "tpr": recall}))
    return styled(alt.layer(*layers), title, height=HEIGHT)


def precision_recall(evaluation: Evaluation) -> Drawing:
    """Draw precision by recall; dashed: the base rate; cross: the chosen threshold."""
    counts = evaluation.get("confusion") or {}
    x = unit_axis("x", "recall", "recall: share of positives flagged")
    y = unit_axis("y", "precision", "precision: share of flagged that are positive")
    tips = _percents({"recall": "recall", "precision": "precision"})
    layers: Layers = [_line(evaluation["curves"]["pr"], x, y, tips)]
    rows = sum(counts.values())
    if rows:
        base_rate = chart_of([{"rate": (counts["tp"] + counts["fn"]) / rows}])
        rule = base_rate.mark_rule(color=QUIET, strokeDash=[4, 3])
        layers.append(rule.encode(y=alt.Y("rate:Q")))
    recall = _ratio(counts, "tp", "fn")
    precision = _ratio(counts, "tp", "fp")
    if recall is not None and precision is not None:
        layers.append(_cross({"recall": recall, "precision": precision}))
    return styled(alt.layer(*layers), "Precision and recall", height=HEIGHT)


def calibration(evaluation: Evaluation) -> Drawing:
    """Draw the observed rate with its 95% interval by predicted probability.

    Dashed: perfect agreement.
    """
    bins = evaluation["curves"]["calibration"]
    if not bins:
        return empty("Calibration")
    titles = {"predicted": "predicted", "observed": "observed", "low": "95% from", "high": "to"}
    x = unit_axis("x", "predicted", "mean predicted probability")
    base = chart_of(bins).encode(x=x)
    dots = base.mark_point(filled=True, color=POSITIVE, size=50).encode(
        y=unit_axis("y", "observed", "observed share"),
        tooltip=[*_percents(titles), alt.Tooltip("count:Q", title="rows", format=",")],
    )
    interval = span(base.mark_rule(color=POSITIVE, opacity=0.6), "y")
    line = base.mark_line(color=POSITIVE, opacity=0.4).encode(y=alt.Y("observed:Q"))
    agreement = diagonal("predicted", "observed")
    return styled(alt.layer(agreement, line, interval, dots), "Calibration", height=HEIGHT)


def gain(evaluation: Evaluation, capacity: float | None = None) -> Drawing:
    """Draw the share of all positives by share of rows, highest probabilities first.

    Dashed: rows at random; upright line: the capacity.
    """
    x = unit_axis("x", "share", "share of rows, highest probability first")
    y = unit_axis("y", "gain", "share of positives among them")
    lift = alt.Tooltip("lift:Q", title="lift over chance", format=".2f")
    tips = [*_percents({"share": "rows", "gain": "positives found"}), lift]
    layers: Layers = [diagonal("share", "gain"), _line(evaluation["curves"]["lift"], x, y, tips)]
    if capacity is not None:
        rule = chart_of([{"capacity": capacity}]).mark_rule(color=TEXT, strokeDash=[2, 2])
        tip = _percents({"capacity": "capacity"})
        layers.append(rule.encode(x=alt.X("capacity:Q"), tooltip=tip))
    return styled(alt.layer(*layers), "Gain", height=HEIGHT)


def cost(evaluation: Evaluation, unit: str = "cost a row, in the scope's unit") -> Drawing:
    """Draw the expected cost by threshold; dashed: the chosen threshold."""
    x = unit_axis("x", "threshold", "threshold on the probability")
    y = alt.Y("cost:Q", title=unit)
    tips = [alt.Tooltip("threshold:Q", format=".3f"), alt.Tooltip("cost:Q", format=".4~g")]
    layers: Layers = [_line(evaluation["curves"]["cost"], x, y, tips)]
    chosen = (evaluation.get("threshold") or {}).get("value")
    if chosen is not None:
        rule = chart_of([{"threshold": chosen}]).mark_rule(color=TEXT, strokeDash=[4, 3])
        tip = alt.Tooltip("threshold:Q", title="chosen", format=".3f")
        layers.append(rule.encode(x=alt.X("threshold:Q"), tooltip=[tip]))
    return styled(alt.layer(*layers), "Expected cost by threshold", height=HEIGHT)


def confusion(counts: Mapping[str, int], words: Words = ("negative", "positive")) -> Drawing:
    """Draw the four counts; the colour is the share of the true class."""
    negative, positive = words
    cells = [
        *_confusion_cells(positive, flagged=counts["tp"], not_flagged=counts["fn"]),
        *_confusion_cells(negative, flagged=counts["fp"], not_flagged=counts["tn"]),
    ]
    texts = tooltips(("truth:N", "truly"), ("said:N", "model"))
    share = alt.Tooltip("share:Q", title="share of the class", format=".1%")
    x_axis = alt.Axis(labelAngle=0, orient="top", domain=False, ticks=False)
    y_axis = alt.Axis(labelLimit=LABEL_PIXELS, domain=False, ticks=False)
    base = chart_of(cells).encode(
        x=alt.X("said:N", sort=["flagged", "not flagged"], title=None, axis=x_axis),
        y=alt.Y("truth:N", sort=[positive, negative], title="truly", axis=y_axis),
        tooltip=[*texts, alt.Tooltip("rows:Q", format=","), share],
    )
    shade = alt.Scale(domain=[0, 1], range=[0.08, 1])
    colours = base.mark_rect(cornerRadius=3, color=NEGATIVE).encode(
        opacity=alt.Opacity("share:Q", legend=None, scale=shade)
    )
    readable = alt.condition("datum.share > 0.5", alt.value("white"), alt.value(TEXT))
    written = base.mark_text(fontSize=15).encode(text="text:N", color=readable)
    return styled(alt.layer(colours, written), "Held-out rows", height=140)


def importance(lines: Sequence[Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Draw the loss of ROC AUC when a column is shuffled, with a standard deviation either way."""
    shown = lines[:most]
    if not shown:
        return empty("Permutation importance")
    rows = []
    for line in shown:
        mean, sd = line["mean"], line["sd"]
        row = {"column": line["column"], "mean": mean, "sd": sd}
        rows.append({**row, "low": mean - sd, "high": mean + sd})
    order = [line["column"] for line in shown]
    axis = alt.Axis(labelLimit=LABEL_PIXELS)
    base = chart_of(rows).encode(y=alt.Y("column:N", sort=order, title=None, axis=axis))
    figures = tooltips(("mean:Q", "loss", ".4f"), ("sd:Q", "SD", ".4f"))
    bars = base.mark_bar(color=ACCENT, opacity=0.85).encode(
        x=alt.X("mean:Q", title="loss of ROC AUC when shuffled (line: ± 1 SD)"),
        tooltip=[alt.Tooltip("column:N"), *figures],
    )
    spread = span(base.mark_rule(color=TEXT), "x")
    height = 20 * len(rows) + 10
    return styled(alt.layer(bars, spread), "Permutation importance", height=height)


def baselines(evaluation: Evaluation, name: str = "this model") -> Drawing:
    """Draw the held-out ROC AUC of the model and of its baselines, with 95% intervals."""
    auc = evaluation["auc"]
    ours = {"name": name, "auc": auc["value"], "low": auc["low"], "high": auc["high"]}
    others = [{key: line[key] for key in ours} for line in evaluation.get("baselines", [])]
    rows = [{**ours, "ours": True}, *({**other, "ours": False} for other in others)]
    colours = alt.Scale(domain=[True, False], range=[POSITIVE, QUIET])
    order = [row["name"] for row in rows]
    base = chart_of(rows).encode(
        y=alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=220)),
        color=alt.Color("ours:N", legend=None, scale=colours),
    )
    scale = alt.Scale(zero=False, padding=12)
    title = "held-out ROC AUC, 95% interval"
    figures = [alt.Tooltip(f"{key}:Q", format=".4f") for key in ("auc", "low", "high")]
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X("auc:Q", scale=scale, title=title, axis=alt.Axis(tickCount=8)),
        tooltip=[alt.Tooltip("name:N"), *figures],
    )
    intervals = span(base.mark_rule(), "x", scale)
    height = 32 * len(rows) + 10
    return styled(alt.layer(intervals, dots), "Against simpler and better", height=height)


def _line(
    curve: Mapping[str, Sequence[float]], x: Any, y: Any, tips: Sequence[alt.Tooltip]
) -> alt.Chart:
    """Draw a curve in the order of its points."""
    rows = []
    for number, values in enumerate(zip(*curve.values(), strict=True)):
        rows.append({"i": number, **dict(zip(curve, values, strict=True))})
    mark = chart_of(rows).mark_line(color=POSITIVE, strokeWidth=2)
    line: alt.Chart = mark.encode(x=x, y=y, order=alt.Order("i:Q"), tooltip=list(tips))
    return line


def _cross(point: Mapping[str, float]) -> alt.Chart:
    x, y = point
    mark = chart_of([point]).mark_point(shape="cross", filled=True, size=110, color=TEXT)
    cross: alt.Chart = mark.encode(
        x=alt.X(f"{x}:Q"), y=alt.Y(f"{y}:Q"), tooltip=_percents({x: x, y: y})
    )
    return cross


def _confusion_cells(truth: str, flagged: int, not_flagged: int) -> list[dict[str, Any]]:
    rows = max(1, flagged + not_flagged)
    cells = []
    for answer, count in (("flagged", flagged), ("not flagged", not_flagged)):
        text = f"{count:,} ({100 * count / rows:.0f}%)"
        cell = {"truth": truth, "said": answer, "rows": count, "share": count / rows, "text": text}
        cells.append(cell)
    return cells


def _ratio(counts: Mapping[str, int], part: str, other: str) -> float | None:
    """Return the share of `part` in both counts, None where there are none."""
    total = counts.get(part, 0) + counts.get(other, 0)
    return counts[part] / total if total else None


def _percents(titles: Mapping[str, str]) -> list[alt.Tooltip]:
    return tooltips(*((f"{field}:Q", title, ".1%") for field, title in titles.items()))
