"""Charts of the monitor: performance and traffic over the windows, and a column's spread before and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import altair as alt

from fivefold.charts.style import ACCENT, POSITIVE, QUIET, TEXT, chart_of, empty, styled

HEIGHT = 240
LINES = {"estimated, without labels": ACCENT, "realised, from labels": POSITIVE}
Report = Mapping[str, Any]


class Change(Protocol):
    """A promotion, as the journal keeps it."""

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


def performance(reports: Sequence[Report], changes: Sequence[Change] = ()) -> Any:
    """ROC AUC of each window with its 95% interval: estimated, and realised where there are labels.

    `changes`: lines of `fivefold.journal.promotions`; a dashed line marks a window in which what is served was changed.
    """
    data = [
        {
            "end": end,
            "what": what,
            "model": r["model"],
            **{k: auc.get(k) for k in ("value", "low", "high")},
        }
        for end, r in zip(ends(reports), reports, strict=True)
        for key, what in zip(("estimated", "realised"), LINES, strict=True)
        if (auc := (r[key] or {}).get("auc") or {}).get("value") is not None
    ]
    if not data:
        return empty("ROC AUC by window")
    base = chart_of(data).encode(
        x=_axis(),
        color=alt.Color(
            "what:N",
            title=None,
            legend=alt.Legend(symbolOpacity=1),
            scale=alt.Scale(domain=list(LINES), range=list(LINES.values())),
        ),
    )
    tips = [
        alt.Tooltip("end:N"),
        alt.Tooltip("what:N"),
        *(alt.Tooltip(f"{f}:Q", format=".3f") for f in ("value", "low", "high")),
        alt.Tooltip("model:N"),
    ]
    dots = base.mark_line(point=True).encode(
        y=alt.Y("value:Q", title="ROC AUC", scale=alt.Scale(zero=False)), tooltip=tips
    )
    spread = base.mark_rule(opacity=0.45).encode(y=alt.Y("low:Q", title="ROC AUC"), y2="high:Q")
    return styled(
        alt.layer(*_changes(reports, changes), spread, dots), "ROC AUC by window", height=HEIGHT
    )


def traffic(reports: Sequence[Report]) -> Any:
    """Rows of each window: answered, answered with a warning, refused."""
    data = [
        {"end": end, "i": i, "what": what, "rows": rows}
        for end, r in zip(ends(reports), reports, strict=True)
        for i, (what, rows) in enumerate(
            (
                ("answered", round(r["rows"] * (1 - (r["warned"] or 0)))),
                ("answered with warnings", round(r["rows"] * (r["warned"] or 0))),
                ("refused", r["rejects"]),
            )
        )
    ]
    if not data:
        return empty("Traffic by window")
    chart = (
        chart_of(data)
        .mark_bar()
        .encode(
            x=_axis(),
            y=alt.Y("rows:Q", title="rows"),
            order=alt.Order("i:Q"),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(
                    domain=["answered", "answered with warnings", "refused"],
                    range=[ACCENT, POSITIVE, QUIET],
                ),
            ),
            tooltip=["end:N", "what:N", alt.Tooltip("rows:Q", format=",")],
        )
    )
    return styled(chart, "Traffic by window", height=HEIGHT)


def two_spreads(line: Mapping[str, Any], compact: bool = False, before: str = "training") -> Any:
    """A column's shares in the rows `before` and in the window, side by side."""
    data = [
        {"bin": b["label"], "i": i, "what": what, "share": b[key] or 0.0}
        for i, b in enumerate(line["bins"])
        for key, what in (("reference", before), ("current", "this window"))
    ]
    if not data:
        return empty(str(line["column"]), compact)
    chart = (
        chart_of(data)
        .mark_bar(clip=True)
        .encode(
            x=alt.X(
                "bin:N",
                sort=alt.SortField("i"),
                title=None,
                axis=alt.Axis(
                    labels=not compact, ticks=not compact, labelAngle=-40, labelLimit=120
                ),
            ),
            xOffset=alt.XOffset("what:N", sort=[before, "this window"]),
            y=alt.Y(
                "share:Q",
                title=None if compact else "share of the rows",
                axis=alt.Axis(format=".0%", tickCount=3),
            ),
            color=alt.Color(
                "what:N",
                title=None,
                legend=None if compact else alt.Legend(orient="top"),
                scale=alt.Scale(domain=[before, "this window"], range=[QUIET, POSITIVE]),
            ),
            tooltip=["bin:N", "what:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    return styled(
        chart, None if compact else str(line["column"]), compact, height=None if compact else HEIGHT
    )


def ends(reports: Sequence[Report]) -> list[str]:
    """The day on which each window ends; with the time where two end on one day, as the running one may.

    >>> ends([{"end": "2026-01-08T00:00:00"}, {"end": "2026-01-15T00:00:00"}, {"end": "2026-01-15T09:30:12.5"}])
    ['2026-01-08', '2026-01-15 00:00', '2026-01-15 09:30']
    """
    days = [str(r["end"])[:10] for r in reports]
    return [
        str(r["end"])[:16].replace("T", " ") if days.count(day) > 1 else day
        for day, r in zip(days, reports, strict=True)
    ]


def _axis() -> alt.X:
    return alt.X(
        "end:O",
        title="window ending on",
        axis=alt.Axis(labelAngle=0, labelOverlap=True, labelSeparation=8),
    )


def _changes(reports: Sequence[Report], changes: Sequence[Change]) -> list[alt.Chart]:
    """A dashed line at each window in which, or just before which, what is served was changed; its tooltip says how."""
    told: dict[str, list[str]] = {}
    windows = [
        (datetime.fromisoformat(r["start"]), datetime.fromisoformat(r["end"]), name)
        for name, r in zip(ends(reports), reports, strict=True)
    ]
    for line in sorted((c for c in changes if c.replaces is not None), key=lambda c: c.at):
        later = [name for _, end, name in windows if line.at < end]
        if later and windows[0][0] <= line.at:
            told.setdefault(later[0], []).append(
                f"{line.at:%Y-%m-%d %H:%M} {line.action}: {line.model} at {line.threshold:.1%}"
            )
    if not told:
        return []
    marks = [{"end": name, "what": "; ".join(texts)[:300]} for name, texts in told.items()]
    return [
        chart_of(marks)
        .mark_rule(color=TEXT, strokeDash=[4, 3], size=2)
        .encode(x=_axis(), tooltip=[alt.Tooltip("what:N", title="changed")])
    ]
