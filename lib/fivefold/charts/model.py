"""Charts of a leaderboard (`fivefold.training.leaderboard`) and a search (`fivefold.training.search`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from fivefold.charts.style import (
    ACCENT,
    LABEL_PIXELS,
    POSITIVE,
    QUIET,
    Drawing,
    chart_of,
    empty,
    styled,
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
