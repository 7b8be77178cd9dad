"""Charts of the monitor: performance and traffic over the windows, and the bins of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import altair as alt

from fivefold.charts.style import ACCENT, POSITIVE, QUIET, TEXT, Drawing, chart_of, empty, styled

HEIGHT = 240
ESTIMATED, REALISED = "estimated, without labels", "realised, from labels"
WINDOW = "this window"


class Window(Protocol):
    """What is drawn of the report on a window."""

    @property
    def start(self) -> datetime: ...
    @property
    def end(self) -> datetime: ...
    @property
    def model(self) -> str | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def rejects(self) -> int: ...
    @property
    def warned(self) -> float | None: ...
    @property
    def estimated_auc(self) -> Mapping[str, Any]: ...
    @property
    def realised_auc(self) -> Mapping[str, Any]: ...


class Change(Protocol):
    """What is drawn of a promotion."""

    @property
    def at(self) -> datetime: ...
    @property
    def action(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def threshold(self) -> float: ...
    @property
    def replaces(self) -> int | None: ...


class Bin(Protocol):
    """The shares of the rows in one bin."""

    @property
    def label(self) -> str: ...
    @property
    def reference(self) -> float: ...
    @property
    def current(self) -> float: ...


def performance(windows: Sequence[Window], changes: Sequence[Change] = ()) -> Drawing:
    """Draw the ROC AUC of each window with its 95% interval, estimated and realised.

    A dashed line marks a window in which one of the `changes` was put in force.
    """
    rows = []
    for end, window in zip(end_labels(windows), windows, strict=True):
        for name, auc in ((ESTIMATED, window.estimated_auc), (REALISED, window.realised_auc)):
            if auc.get("value") is None:
                continue
            interval = {key: auc.get(key) for key in ("value", "low", "high")}
            rows.append({"end": end, "what": name, "model": window.model, **interval})
    if not rows:
        return empty("ROC AUC by window")
    colours = alt.Scale(domain=[ESTIMATED, REALISED], range=[ACCENT, POSITIVE])
    legend = alt.Legend(symbolOpacity=1)
    base = chart_of(rows).encode(
        x=_axis(), color=alt.Color("what:N", title=None, legend=legend, scale=colours)
    )
    figures = [alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")]
    tooltip = [alt.Tooltip("end:N"), alt.Tooltip("what:N"), *figures, alt.Tooltip("model:N")]
    y = alt.Y("value:Q", title="ROC AUC", scale=alt.Scale(zero=False))
    dots = base.mark_line(point=True).encode(y=y, tooltip=tooltip)
    low = alt.Y("low:Q", title="ROC AUC")
    intervals = base.mark_rule(opacity=0.45).encode(y=low, y2="high:Q")
    layers = alt.layer(*_change_marks(windows, changes), intervals, dots)
    return styled(layers, "ROC AUC by window", height=HEIGHT)


def traffic(windows: Sequence[Window]) -> Drawing:
    """Draw the rows of each window: answered, answered with a warning, refused."""
    names = ["answered", "answered with warnings", "refused"]
    rows = []
    for end, window in zip(end_labels(windows), windows, strict=True):
        warned = window.warned or 0
        counts = round(window.rows * (1 - warned)), round(window.rows * warned), window.rejects
        for i, (name, count) in enumerate(zip(names, counts, strict=True)):
            rows.append({"end": end, "i": i, "what": name, "rows": count})
    if not rows:
        return empty("Traffic by window")
    colours = alt.Scale(domain=names, range=[ACCENT, POSITIVE, QUIET])
    bars = chart_of(rows).mark_bar()
    chart = bars.encode(
        x=_axis(),
        y=alt.Y("rows:Q", title="rows"),
        order=alt.Order("i:Q"),
        color=alt.Color("what:N", title=None, scale=colours),
        tooltip=["end:N", "what:N", alt.Tooltip("rows:Q", format=",")],
    )
    return styled(chart, "Traffic by window", height=HEIGHT)


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
    labels = alt.Axis(labels=not compact, ticks=not compact, labelAngle=-40, labelLimit=120)
    percent = alt.Axis(format=".0%", tickCount=3)
    legend = None if compact else alt.Legend(orient="top")
    colours = alt.Scale(domain=[before, WINDOW], range=[QUIET, POSITIVE])
    bars = chart_of(rows).mark_bar(clip=True)
    chart = bars.encode(
        x=alt.X("bin:N", sort=alt.SortField("i"), title=None, axis=labels),
        xOffset=alt.XOffset("what:N", sort=[before, WINDOW]),
        y=alt.Y("share:Q", title=None if compact else "share of the rows", axis=percent),
        color=alt.Color("what:N", title=None, legend=legend, scale=colours),
        tooltip=["bin:N", "what:N", alt.Tooltip("share:Q", format=".1%")],
    )
    return styled(chart, None if compact else title, compact, None if compact else HEIGHT)


def end_labels(windows: Sequence[Window]) -> list[str]:
    """Return the day on which each window ends; with the time if two end on one day.

    The window that is still running may end on the day of the one before.
    """
    days = [f"{window.end:%Y-%m-%d}" for window in windows]
    labels = []
    for day, window in zip(days, windows, strict=True):
        labels.append(f"{window.end:%Y-%m-%d %H:%M}" if days.count(day) > 1 else day)
    return labels


def _axis() -> alt.X:
    axis = alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=8)
    return alt.X("end:O", title="window ending on", axis=axis)


def _change_marks(windows: Sequence[Window], changes: Sequence[Change]) -> list[alt.Chart]:
    """Draw a dashed line at each window in which, or just before which, something was changed."""
    texts: dict[str, list[str]] = {}
    ends = list(zip(end_labels(windows), windows, strict=True))
    effective = [change for change in changes if change.replaces is not None]
    for change in sorted(effective, key=lambda change: change.at):
        later = [label for label, window in ends if change.at < window.end]
        if later and windows[0].start <= change.at:
            text = f"{change.action}: {change.model} at {change.threshold:.1%}"
            texts.setdefault(later[0], []).append(f"{change.at:%Y-%m-%d %H:%M} {text}")
    if not texts:
        return []
    rows = [{"end": label, "what": "; ".join(lines)[:300]} for label, lines in texts.items()]
    rule = chart_of(rows).mark_rule(color=TEXT, strokeDash=[4, 3], size=2)
    return [rule.encode(x=_axis(), tooltip=[alt.Tooltip("what:N", title="changed")])]
