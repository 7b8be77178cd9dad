"""Charts of the monitor: performance and traffic over the windows, and the bins of a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import altair as alt

from fivefold.charts.style import (
    ACCENT,
    DASHED,
    POSITIVE,
    QUIET,
    TEXT,
    Drawing,
    Layer,
    chart_of,
    colours,
    empty,
    span,
    styled,
    tooltips,
)

if TYPE_CHECKING:
    from fivefold.journal.promotions import Promotion
    from fivefold.lifecycle.drift import Bin
    from fivefold.lifecycle.report import WindowReport

HEIGHT = 240
ESTIMATED, REALISED = "estimated, without labels", "realised, from labels"
WINDOW = "this window"


def performance(windows: Sequence[WindowReport], changes: Sequence[Promotion] = ()) -> Drawing:
    """Draw the ROC AUC of each window with its 95% interval, estimated and realised.

    A dashed line marks a window in which one of the `changes` was put in force.
    """
    rows = []
    for end, window in _by_end(windows):
        for name, auc in ((ESTIMATED, window.estimated_auc), (REALISED, window.realised_auc)):
            if auc.get("value") is None:
                continue
            interval = {key: auc.get(key) for key in ("value", "low", "high")}
            rows.append({"end": end, "what": name, "model": window.model, **interval})
    if not rows:
        return empty("ROC AUC by window")
    colour = colours("what", {ESTIMATED: ACCENT, REALISED: POSITIVE}).legend(symbolOpacity=1)
    base = chart_of(rows).encode(x=_axis(), color=colour)
    figures = ("value | value | .3f", "low | low | .3f", "high | high | .3f")
    dots = base.mark_line(point=True).encode(
        y=alt.Y("value:Q", title="ROC AUC").scale(zero=False),
        tooltip=tooltips("end", "what", *figures, "model"),
    )
    intervals = span(base.mark_rule(opacity=0.45), "y")
    marks = _change_marks(windows, changes)
    return styled("ROC AUC by window", *marks, intervals, dots, height=HEIGHT)


def traffic(windows: Sequence[WindowReport]) -> Drawing:
    """Draw the rows of each window: answered, answered with a warning, refused."""
    palette = {"answered": ACCENT, "answered with warnings": POSITIVE, "refused": QUIET}
    rows = []
    for end, window in _by_end(windows):
        warned = window.warned or 0
        counts = round(window.rows * (1 - warned)), round(window.rows * warned), window.rejects
        for i, (name, count) in enumerate(zip(palette, counts, strict=True)):
            rows.append({"end": end, "i": i, "what": name, "rows": count})
    if not rows:
        return empty("Traffic by window")
    chart = (
        chart_of(rows)
        .mark_bar()
        .encode(
            x=_axis(),
            y=alt.Y("rows:Q", title="rows"),
            order="i:Q",
            color=colours("what", palette),
            tooltip=tooltips("end", "what", "rows | rows | ,"),
        )
    )
    return styled("Traffic by window", chart, height=HEIGHT)


def two_spreads(
    title: str, bins: Sequence[Bin], compact: bool = False, before: str = "training"
) -> Drawing:
    """Draw the shares of the bins in the rows `before` and in the window, side by side."""
    rows = []
    for i, item in enumerate(bins):
        for name, share in ((before, item.reference), (WINDOW, item.current)):
            rows.append({"bin": item.label, "i": i, "what": name, "share": share or 0.0})
    if not rows:
        return empty(title, compact)
    palette = {before: QUIET, WINDOW: POSITIVE}
    y = alt.Y("share:Q", title=None if compact else "share of the rows")
    x = alt.X("bin:N", sort=alt.SortField("i"), title=None)
    bars = chart_of(rows).mark_bar(clip=True)
    chart = bars.encode(
        x=x.axis(labels=not compact, ticks=not compact, labelAngle=-40, labelLimit=120),
        xOffset=alt.XOffset("what:N", sort=list(palette)),
        y=y.axis(format=".0%", tickCount=3),
        color=colours("what", palette, compact),
        tooltip=tooltips("bin", "what", "share | share | .1%"),
    )
    return styled(title, chart, compact=compact, height=None if compact else HEIGHT)


def _by_end(windows: Sequence[WindowReport]) -> list[tuple[str, WindowReport]]:
    """Return each window with the day on which it ends; with the time if two end on one day.

    The window that is still running may end on the day of the one before.
    """
    days = [f"{window.end:%Y-%m-%d}" for window in windows]
    labelled = []
    for day, window in zip(days, windows, strict=True):
        label = f"{window.end:%Y-%m-%d %H:%M}" if days.count(day) > 1 else day
        labelled.append((label, window))
    return labelled


def _axis() -> alt.X:
    axis = alt.X("end:O", title="window ending on")
    return axis.axis(labelAngle=0, labelOverlap=True, labelSeparation=8)


def _change_marks(windows: Sequence[WindowReport], changes: Sequence[Promotion]) -> list[Layer]:
    """Draw a dashed line at each window in which, or just before which, something was changed."""
    texts: dict[str, list[str]] = {}
    ends = _by_end(windows)
    effective = [change for change in changes if change.replaces is not None]
    for change in sorted(effective, key=lambda change: change.at):
        later = [label for label, window in ends if change.at < window.end]
        if later and windows[0].start <= change.at:
            text = f"{change.action}: {change.model} at {change.threshold:.1%}"
            texts.setdefault(later[0], []).append(f"{change.at:%Y-%m-%d %H:%M} {text}")
    if not texts:
        return []
    rows = [{"end": label, "what": "; ".join(lines)[:300]} for label, lines in texts.items()]
    rule = chart_of(rows).mark_rule(color=TEXT, strokeDash=DASHED, size=2)
    return [rule.encode(x=_axis(), tooltip=tooltips("what | changed"))]
