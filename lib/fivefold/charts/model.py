"""Charts of a leaderboard and of a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt

from fivefold.charts.style import (
    ACCENT,
    LABEL_PIXELS,
    POSITIVE,
    QUIET,
    Drawing,
    bar_order,
    chart_of,
    colours,
    empty,
    styled,
    tooltips,
)

WINNER, CLOSE, BEHIND = "winner", "indistinguishable from it", "behind"


@dataclass(frozen=True)
class ScoreRow:
    """Scores of one algorithm; `indistinguishable` from the winner, which has rank 1."""

    name: str
    rank: int
    indistinguishable: bool
    mean: float
    sd: float
    fold_scores: Sequence[float]

    @property
    def standing(self) -> str:
        if self.rank == 1:
            return WINNER
        return CLOSE if self.indistinguishable else BEHIND


@dataclass(frozen=True)
class TrialScore:
    """Score of one trial; `state` is "complete" or "pruned"."""

    number: int
    auc: float
    state: str
    seconds: float


def leaderboard(rows: Sequence[ScoreRow]) -> Drawing:
    """Draw fold scores as rings and their mean as a dot, in the order of the rows."""
    means, folds = [], []
    for row in rows:
        shared = {"algorithm": row.name, "standing": row.standing}
        means.append({**shared, "mean": row.mean, "sd": row.sd})
        for number, score in enumerate(row.fold_scores, 1):
            folds.append({**shared, "score": score, "fold": number})
    if not means:
        return empty("Leaderboard")
    y = bar_order([row.name for row in rows], "algorithm")
    y = y.axis(labelLimit=LABEL_PIXELS, grid=True)
    colour = colours("standing", {WINNER: POSITIVE, CLOSE: "#E8A56B", BEHIND: QUIET})
    x = alt.X("score:Q", title="ROC AUC (ring: a fold; dot: their mean)").axis(tickCount=8)
    rings = chart_of(folds).mark_point(filled=False, size=45, opacity=0.7)
    rings = rings.encode(
        y=y,
        x=x.scale(zero=False, padding=12),
        color=colour,
        tooltip=tooltips("algorithm", "fold", "score | ROC AUC | .4f"),
    )
    figures = ("mean | mean ROC AUC | .4f", "sd | SD of the folds | .4f")
    dots = chart_of(means).mark_point(filled=True, size=150, opacity=1)
    dots = dots.encode(
        y=y,
        x="mean:Q",
        color=colour,
        tooltip=tooltips("algorithm", *figures, "standing"),
    )
    return styled("Cross-validated ROC AUC", rings, dots, height=38 * len(means) + 10)


def trials(scores: Sequence[TrialScore], title: str = "Search") -> Drawing:
    """Draw each trial of one search as a dot, pruned ones grey; line: the best so far."""
    best, rows = None, []
    for trial in scores:
        if trial.state == "complete":
            best = trial.auc if best is None else max(best, trial.auc)
        rows.append({**vars(trial), "trial": trial.number + 1, "best": best})
    if not rows:
        return empty(title)
    x = alt.X("trial:Q", title="trial").axis(tickMinStep=1, format="d")
    base = chart_of(rows).encode(x=x.scale(domainMin=1, nice=False, padding=8))
    y = alt.Y("best:Q", title="ROC AUC (line: best so far)")
    known = base.transform_filter("isValid(datum.best)")
    line = known.mark_line(interpolate="step-after", color=POSITIVE)
    line = line.encode(y=y.scale(zero=False))
    figures = ("best | best so far | .4f", "seconds | seconds | .1f")
    dots = base.mark_point(filled=True, size=45).encode(
        y="auc:Q",
        color=colours("state", {"complete": ACCENT, "pruned": QUIET}),
        tooltip=tooltips("trial", "auc | ROC AUC | .4f", "state", *figures),
    )
    return styled(title, line, dots)
