"""Cards of the monitor and of the demo's story, from plain dicts of `fivefold`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

ASSUMES = (
    "*Estimated*: from calibrated probabilities alone. It assumes that they are still calibrated, so it sees a changed "
    "mix of cases but no changed meaning. *Realised*: from the labels that have come in."
)
COSTS = (
    "*Stake*: the column's share of the model's importance times how far it moved: what to look at first, no forecast. "
    "q: Benjamini-Hochberg over the columns."
)


def monitor_components(
    name: str,
    reports: Sequence[Mapping[str, Any]],
    decided: Mapping[str, Any],
    events: Sequence[Mapping[str, str]] = (),
) -> list[Any]:
    """The windows in time, what was done, then the newest window in full."""
    from fivefold.charts import monitoring

    parts: list[Any] = [
        Markdown("# Monitoring"),
        Table(
            [
                ["Problem", part.line_of(name, 200)],
                [
                    "Retrain",
                    ("yes: " if decided["retrain"] else "no: ") + part.line_of(decided["why"], 600),
                ],
            ]
        ),
    ]
    if not reports:
        return parts
    newest = reports[-1]
    parts += [
        boxes(newest),
        Markdown("## Over time"),
        Markdown(ASSUMES),
        part.chart_part(monitoring.performance(reports)),
        part.chart_part(monitoring.traffic(reports)),
    ]
    if events:
        rows = [
            [
                e["at"].replace("-", "\u2011").replace(" ", part.GAP),
                part.line_of(e["what"], 30),
                part.line_of(e["told"], 500),
            ]
            for e in events[-60:]
        ]
        parts += [Markdown("## What happened"), Table(rows, headers=["When (UTC)", "What", "Why"])]
    parts += [Markdown("## The newest window"), *part.finding_tables(newest["findings"])]
    if newest["drift"]:
        parts += [Markdown("## Columns"), Markdown(COSTS), drift_rows(newest["drift"])]
    return parts


def boxes(report: Mapping[str, Any]) -> Any:
    real, guess = report["realised"] or {}, report["estimated"] or {}
    return Table(
        [
            [
                ValueBox("Rows", f"{report['rows']:,}", f"{report['rejects']:,} refused"),
                ValueBox("ROC AUC, estimated", _auc(guess), "without labels"),
                ValueBox(
                    "ROC AUC, realised",
                    _auc(real),
                    f"labels for {part.percent(report['coverage'] or 0.0)}",
                ),
                ValueBox(
                    "Columns drifted",
                    str(sum(bool(line.get("drifted")) for line in report["drift"])),
                    f"of {len(report['drift'])}",
                    theme="warning" if report["bad"] else "success",
                ),
            ]
        ]
    )


def drift_rows(drift: Sequence[Mapping[str, Any]]) -> Any:
    from fivefold.charts import monitoring

    ranked = sorted(drift, key=lambda line: -(line["stake"] or 0.0))
    rows = [
        [
            "▲" if line.get("drifted") else "",
            part.line_of(line["column"], 60),
            line["kind"],
            _number(line["psi"]),
            _number(line["distance"]),
            _number(line["q_value"]),
            _number(line["stake"]),
            part.chart_part(monitoring.two_spreads(line, compact=True)),
        ]
        for line in ranked[: part.MOST_COLUMNS]
    ]
    return Table(
        rows, headers=["", "Column", "Kind", "PSI", "Distance", "q", "Stake", "Before and now"]
    )


def _auc(told: Mapping[str, Any]) -> str:
    auc = told.get("auc") or {}
    return "not judged" if auc.get("value") is None else f"{auc['value']:.3f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
