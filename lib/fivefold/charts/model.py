"""Charts of a leaderboard (`fivefold.training.leaderboard`), a search (`fivefold.training.search`) and an evaluation (`fivefold.model.evaluation`)."""

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
    styled,
    unit_axis,
)

Names = Mapping[str, str]  # algorithm -> its title for people


def leaderboard(board: Sequence[Mapping[str, Any]], names: Names | None = None) -> Drawing:
    """Fold scores as rings and their mean as a dot, best first; orange: winner and what cannot be told from it."""
    names = names or {}
    alive = [a for a in board if a["status"] == "ok"]
    data = [
        {
            "algorithm": names.get(a["algorithm"], a["algorithm"]),
            "mean": a["auc_mean"],
            "sd": a["auc_std"],
            "standing": "winner"
            if a["rank"] == 1
            else "indistinguishable from it"
            if a["indistinguishable"]
            else "behind",
        }
        for a in alive
    ]
    folds = [
        {"algorithm": d["algorithm"], "standing": d["standing"], "score": s, "fold": n}
        for a, d in zip(alive, data, strict=True)
        for n, s in enumerate(a["fold_scores"], 1)
    ]
    if not data:
        return empty("Leaderboard")
    y = alt.Y(
        "algorithm:N",
        sort=[d["algorithm"] for d in data],
        title=None,
        axis=alt.Axis(labelLimit=LABEL_PIXELS, grid=True),
    )
    colour = alt.Color(
        "standing:N",
        title=None,
        scale=alt.Scale(
            domain=["winner", "indistinguishable from it", "behind"],
            range=[POSITIVE, "#E8A56B", QUIET],
        ),
    )
    scale = alt.Scale(zero=False, padding=12)
    rings = (
        chart_of(folds)
        .mark_point(filled=False, size=45, opacity=0.7)
        .encode(
            y=y,
            x=alt.X(
                "score:Q",
                scale=scale,
                title="ROC AUC (ring: a fold; dot: their mean)",
                axis=alt.Axis(tickCount=8),
            ),
            color=colour,
            tooltip=[
                alt.Tooltip("algorithm:N"),
                alt.Tooltip("fold:O"),
                alt.Tooltip("score:Q", title="ROC AUC", format=".4f"),
            ],
        )
    )
    dots = (
        chart_of(data)
        .mark_point(filled=True, size=150, opacity=1)
        .encode(
            y=y,
            x=alt.X("mean:Q", scale=scale),
            color=colour,
            tooltip=[
                alt.Tooltip("algorithm:N"),
                alt.Tooltip("mean:Q", title="mean ROC AUC", format=".4f"),
                alt.Tooltip("sd:Q", title="SD of the folds", format=".4f"),
                alt.Tooltip("standing:N"),
            ],
        )
    )
    return styled(alt.layer(rings, dots), "Cross-validated ROC AUC", height=38 * len(data) + 10)


def trials(found: Sequence[Mapping[str, Any]], title: str = "Search") -> Drawing:
    """Every trial of one search as a dot, pruned ones grey by the folds they finished; line: the best so far."""
    best, data = None, []
    for trial in found:
        if trial["state"] == "complete":
            best = trial["auc"] if best is None else max(best, trial["auc"])
        data.append(
            {
                "trial": trial["number"] + 1,
                "auc": trial["auc"],
                "state": trial["state"],
                "best": best,
                "seconds": trial["seconds"],
            }
        )
    if not data:
        return empty(title)
    x = alt.X(
        "trial:Q",
        title="trial",
        axis=alt.Axis(tickMinStep=1, format="d"),
        scale=alt.Scale(domainMin=1, nice=False, padding=8),
    )
    base = chart_of(data).encode(x=x)
    line = (
        base.transform_filter("isValid(datum.best)")
        .mark_line(interpolate="step-after", color=POSITIVE)
        .encode(y=alt.Y("best:Q", title="ROC AUC (line: best so far)", scale=alt.Scale(zero=False)))
    )
    dots = base.mark_point(filled=True, size=45).encode(
        y=alt.Y("auc:Q", scale=alt.Scale(zero=False)),
        color=alt.Color(
            "state:N",
            title=None,
            scale=alt.Scale(domain=["complete", "pruned"], range=[ACCENT, QUIET]),
        ),
        tooltip=[
            alt.Tooltip("trial:O"),
            alt.Tooltip("auc:Q", title="ROC AUC", format=".4f"),
            alt.Tooltip("state:N"),
            alt.Tooltip("best:Q", title="best so far", format=".4f"),
            alt.Tooltip("seconds:Q", format=".1f"),
        ],
    )
    return styled(alt.layer(line, dots), title)


def roc(evaluation: Mapping[str, Any]) -> Drawing:
    """ROC curve; dashed: chance; cross: the chosen threshold."""
    curve, auc = evaluation["curves"]["roc"], evaluation["auc"]
    c = evaluation.get("confusion") or {}
    points = _rows(fpr=curve["fpr"], tpr=curve["tpr"])
    title = f"ROC: area {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})"
    x = unit_axis("x", "fpr", "false alarms: share of negatives flagged")
    y = unit_axis("y", "tpr", "recall: share of positives flagged")
    layers = [
        diagonal("fpr", "tpr"),
        chart_of(points)
        .mark_line(color=POSITIVE, strokeWidth=2)
        .encode(
            x=x,
            y=y,
            order=alt.Order("i:Q"),
            tooltip=_percents({"fpr": "false alarms", "tpr": "recall"}),
        ),
    ]
    if c and c["tp"] + c["fn"] and c["fp"] + c["tn"]:
        here = [{"fpr": c["fp"] / (c["fp"] + c["tn"]), "tpr": c["tp"] / (c["tp"] + c["fn"])}]
        layers.append(_mark(here, "fpr", "tpr"))
    return styled(alt.layer(*layers), title, height=300)


def precision_recall(evaluation: Mapping[str, Any]) -> Drawing:
    """Precision by recall; dashed: the base rate; cross: the chosen threshold."""
    curve, c = evaluation["curves"]["pr"], evaluation.get("confusion") or {}
    points = _rows(recall=curve["recall"], precision=curve["precision"])
    layers = [
        chart_of(points)
        .mark_line(color=POSITIVE, strokeWidth=2)
        .encode(
            x=unit_axis("x", "recall", "recall: share of positives flagged"),
            y=unit_axis("y", "precision", "precision: share of flagged that are positive"),
            order=alt.Order("i:Q"),
            tooltip=_percents({"recall": "recall", "precision": "precision"}),
        )
    ]
    if c and (total := sum(c.values())):
        base = [{"rate": (c["tp"] + c["fn"]) / total}]
        layers.append(
            chart_of(base).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y=alt.Y("rate:Q"))
        )
        if c["tp"] + c["fn"] and c["tp"] + c["fp"]:
            layers.append(
                _mark(
                    [
                        {
                            "recall": c["tp"] / (c["tp"] + c["fn"]),
                            "precision": c["tp"] / (c["tp"] + c["fp"]),
                        }
                    ],
                    "recall",
                    "precision",
                )
            )
    return styled(alt.layer(*layers), "Precision and recall", height=300)


def calibration(evaluation: Mapping[str, Any]) -> Drawing:
    """Observed rate with 95% interval by predicted probability; dashed: perfect agreement."""
    data = [dict(b) for b in evaluation["curves"]["calibration"]]
    if not data:
        return empty("Calibration")
    base = chart_of(data).encode(x=unit_axis("x", "predicted", "mean predicted probability"))
    dots = base.mark_point(filled=True, color=POSITIVE, size=50).encode(
        y=unit_axis("y", "observed", "observed share"),
        tooltip=[
            *_percents(
                {"predicted": "predicted", "observed": "observed", "low": "95% from", "high": "to"}
            ),
            alt.Tooltip("count:Q", title="rows", format=","),
        ],
    )
    spread = base.mark_rule(color=POSITIVE, opacity=0.6).encode(y=alt.Y("low:Q"), y2=alt.Y2("high"))
    line = base.mark_line(color=POSITIVE, opacity=0.4).encode(y=alt.Y("observed:Q"))
    return styled(
        alt.layer(diagonal("predicted", "observed"), line, spread, dots), "Calibration", height=300
    )


def gain(evaluation: Mapping[str, Any], capacity: float | None = None) -> Drawing:
    """Share of all positives found by share of rows contacted, highest probabilities first; dashed: at random."""
    curve = evaluation["curves"]["lift"]
    points = _rows(share=curve["share"], gain=curve["gain"], lift=curve["lift"])
    layers = [
        diagonal("share", "gain"),
        chart_of(points)
        .mark_line(color=POSITIVE, strokeWidth=2)
        .encode(
            x=unit_axis("x", "share", "share of rows, highest probability first"),
            y=unit_axis("y", "gain", "share of positives among them"),
            order=alt.Order("i:Q"),
            tooltip=[
                *_percents({"share": "rows", "gain": "positives found"}),
                alt.Tooltip("lift:Q", title="lift over chance", format=".2f"),
            ],
        ),
    ]
    if capacity is not None:
        rule = chart_of([{"capacity": capacity}]).mark_rule(color=TEXT, strokeDash=[2, 2])
        layers.append(
            rule.encode(x=alt.X("capacity:Q"), tooltip=_percents({"capacity": "capacity"}))
        )
    return styled(alt.layer(*layers), "Gain", height=300)


def cost(evaluation: Mapping[str, Any], unit: str = "cost a row, in the scope's unit") -> Drawing:
    """Expected cost by threshold; dashed: the chosen threshold."""
    curve, chosen = evaluation["curves"]["cost"], (evaluation.get("threshold") or {}).get("value")
    layers = [
        chart_of(_rows(threshold=curve["threshold"], cost=curve["cost"]))
        .mark_line(color=POSITIVE, strokeWidth=2)
        .encode(
            x=unit_axis("x", "threshold", "threshold on the probability"),
            y=alt.Y("cost:Q", title=unit),
            tooltip=[
                alt.Tooltip("threshold:Q", format=".3f"),
                alt.Tooltip("cost:Q", format=".4~g"),
            ],
        )
    ]
    if chosen is not None:
        rule = chart_of([{"threshold": chosen}]).mark_rule(color=TEXT, strokeDash=[4, 3])
        layers.append(
            rule.encode(
                x=alt.X("threshold:Q"),
                tooltip=[alt.Tooltip("threshold:Q", title="chosen", format=".3f")],
            )
        )
    return styled(alt.layer(*layers), "Expected cost by threshold", height=300)


def confusion(counts: Mapping[str, int], words: Words = ("negative", "positive")) -> Drawing:
    """The four counts; colour is the share of the true class."""
    data = []
    for truth, cells in (
        (words[1], (("flagged", "tp"), ("not flagged", "fn"))),
        (words[0], (("flagged", "fp"), ("not flagged", "tn"))),
    ):
        total = max(1, sum(counts[key] for _, key in cells))
        data += [
            {
                "truth": truth,
                "said": said,
                "rows": counts[key],
                "share": counts[key] / total,
                "text": f"{counts[key]:,} ({100 * counts[key] / total:.0f}%)",
            }
            for said, key in cells
        ]
    base = chart_of(data).encode(
        x=alt.X(
            "said:N",
            sort=["flagged", "not flagged"],
            title=None,
            axis=alt.Axis(labelAngle=0, orient="top", domain=False, ticks=False),
        ),
        y=alt.Y(
            "truth:N",
            sort=[words[1], words[0]],
            title="truly",
            axis=alt.Axis(labelLimit=LABEL_PIXELS, domain=False, ticks=False),
        ),
        tooltip=[
            alt.Tooltip("truth:N", title="truly"),
            alt.Tooltip("said:N", title="model"),
            alt.Tooltip("rows:Q", format=","),
            alt.Tooltip("share:Q", title="share of the class", format=".1%"),
        ],
    )
    cells = base.mark_rect(cornerRadius=3, color=NEGATIVE).encode(
        opacity=alt.Opacity("share:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.08, 1]))
    )
    written = base.mark_text(fontSize=15).encode(
        text="text:N", color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value(TEXT))
    )
    return styled(alt.layer(cells, written), "Held-out rows", height=140)


def importance(found: Sequence[Mapping[str, Any]], most: int = MOST_BARS) -> Drawing:
    """Loss of ROC AUC when a column is shuffled: mean over repeats, and a standard deviation either way."""
    data = [
        {
            "column": f["column"],
            "mean": f["mean"],
            "sd": f["sd"],
            "low": f["mean"] - f["sd"],
            "high": f["mean"] + f["sd"],
        }
        for f in found[:most]
    ]
    if not data:
        return empty("Permutation importance")
    order = alt.Y(
        "column:N",
        sort=[d["column"] for d in data],
        title=None,
        axis=alt.Axis(labelLimit=LABEL_PIXELS),
    )
    base = chart_of(data).encode(y=order)
    bars = base.mark_bar(color=ACCENT, opacity=0.85).encode(
        x=alt.X("mean:Q", title="loss of ROC AUC when shuffled (line: ± 1 SD)"),
        tooltip=[
            alt.Tooltip("column:N"),
            alt.Tooltip("mean:Q", title="loss", format=".4f"),
            alt.Tooltip("sd:Q", title="SD", format=".4f"),
        ],
    )
    spread = base.mark_rule(color=TEXT).encode(x=alt.X("low:Q"), x2=alt.X2("high"))
    return styled(alt.layer(bars, spread), "Permutation importance", height=20 * len(data) + 10)


def baselines(evaluation: Mapping[str, Any], name: str = "this model") -> Drawing:
    """Held-out ROC AUC of the model and of what it was compared with, with 95% intervals."""
    auc = evaluation["auc"]
    data = [
        {"name": name, "auc": auc["value"], "low": auc["low"], "high": auc["high"], "ours": True},
        *(
            {**{k: b[k] for k in ("name", "auc", "low", "high")}, "ours": False}
            for b in evaluation.get("baselines", [])
        ),
    ]
    y = alt.Y("name:N", sort=[d["name"] for d in data], title=None, axis=alt.Axis(labelLimit=220))
    colour = alt.Color(
        "ours:N", legend=None, scale=alt.Scale(domain=[True, False], range=[POSITIVE, QUIET])
    )
    base = chart_of(data).encode(y=y, color=colour)
    scale = alt.Scale(zero=False, padding=12)
    dots = base.mark_point(filled=True, size=90, opacity=1).encode(
        x=alt.X(
            "auc:Q", scale=scale, title="held-out ROC AUC, 95% interval", axis=alt.Axis(tickCount=8)
        ),
        tooltip=[
            alt.Tooltip("name:N"),
            *(alt.Tooltip(f"{k}:Q", format=".4f") for k in ("auc", "low", "high")),
        ],
    )
    return styled(
        alt.layer(base.mark_rule().encode(x=alt.X("low:Q", scale=scale), x2=alt.X2("high")), dots),
        "Against simpler and better",
        height=32 * len(data) + 10,
    )


def _rows(**lists: Sequence[float]) -> list[dict[str, Any]]:
    """Lists of equal length as records, numbered by `i` so that a line keeps their order."""
    return [
        {"i": i, **dict(zip(lists, values, strict=True))}
        for i, values in enumerate(zip(*lists.values(), strict=True))
    ]


def _percents(titles: Mapping[str, str]) -> list[alt.Tooltip]:
    return [alt.Tooltip(f"{field}:Q", title=title, format=".1%") for field, title in titles.items()]


def _mark(here: list[dict[str, float]], x: str, y: str) -> alt.Chart:
    cross = chart_of(here).mark_point(shape="cross", filled=True, size=110, color=TEXT)
    tooltip = _percents({x: x, y: y})
    mark: alt.Chart = cross.encode(x=alt.X(f"{x}:Q"), y=alt.Y(f"{y}:Q"), tooltip=tooltip)
    return mark
