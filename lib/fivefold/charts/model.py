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
    chart_of,
    empty,
    styled,
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
    labels = alt.Axis(labelLimit=LABEL_PIXELS, grid=True)
    y = alt.Y("algorithm:N", sort=[row.name for row in rows], title=None, axis=labels)
    colours = alt.Scale(domain=[WINNER, CLOSE, BEHIND], range=[POSITIVE, "#E8A56B", QUIET])
    colour = alt.Color("standing:N", title=None, scale=colours)
    scale = alt.Scale(zero=False, padding=12)
    title = "ROC AUC (ring: a fold; dot: their mean)"
    algorithm = alt.Tooltip("algorithm:N")
    rings = chart_of(folds).mark_point(filled=False, size=45, opacity=0.7)
    rings = rings.encode(
        y=y,
        x=alt.X("score:Q", scale=scale, title=title, axis=alt.Axis(tickCount=8)),
        color=colour,
        tooltip=[algorithm, alt.Tooltip("fold:O"), _figure("score", "ROC AUC")],
    )
    mean, sd = _figure("mean", "mean ROC AUC"), _figure("sd", "SD of the folds")
    dots = chart_of(means).mark_point(filled=True, size=150, opacity=1)
    dots = dots.encode(
        y=y,
        x=alt.X("mean:Q", scale=scale),
        color=colour,
        tooltip=[algorithm, mean, sd, alt.Tooltip("standing:N")],
    )
    return styled(alt.layer(rings, dots), "Cross-validated ROC AUC", height=38 * len(means) + 10)


def trials(scores: Sequence[TrialScore], title: str = "Search") -> Drawing:
    """Draw each trial of one search as a dot, pruned ones grey; line: the best so far."""
    best, rows = None, []
    for trial in scores:
        if trial.state == "complete":
            best = trial.auc if best is None else max(best, trial.auc)
        row = {"trial": trial.number + 1, "auc": trial.auc, "state": trial.state}
        rows.append({**row, "best": best, "seconds": trial.seconds})
    if not rows:
        return empty(title)
    whole = alt.Axis(tickMinStep=1, format="d")
    from_one = alt.Scale(domainMin=1, nice=False, padding=8)
    x = alt.X("trial:Q", title="trial", axis=whole, scale=from_one)
    base = chart_of(rows).encode(x=x)
    scale = alt.Scale(zero=False)
    known = base.transform_filter("isValid(datum.best)")
    line = known.mark_line(interpolate="step-after", color=POSITIVE)
    line = line.encode(y=alt.Y("best:Q", title="ROC AUC (line: best so far)", scale=scale))
    states = alt.Scale(domain=["complete", "pruned"], range=[ACCENT, QUIET])
    dots = base.mark_point(filled=True, size=45).encode(
        y=alt.Y("auc:Q", scale=scale),
        color=alt.Color("state:N", title=None, scale=states),
        tooltip=[
            alt.Tooltip("trial:O"),
            _figure("auc", "ROC AUC"),
            alt.Tooltip("state:N"),
            _figure("best", "best so far"),
            alt.Tooltip("seconds:Q", format=".1f"),
        ],
    )
    return styled(alt.layer(line, dots), title)


def _figure(field: str, title: str) -> alt.Tooltip:
    return alt.Tooltip(f"{field}:Q", title=title, format=".4f")
