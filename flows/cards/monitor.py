"""Card of the monitor: the windows in time, what happened, and the newest window in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, Table, ValueBox

from cards import parts as part

if TYPE_CHECKING:
    from fivefold.lifecycle.drift import DriftLine
    from fivefold.lifecycle.monitor_steps import Event
    from fivefold.lifecycle.report import RetrainDecision, WindowReport

PERFORMANCE = (
    "*Estimated*: from calibrated probabilities alone. It assumes that they are still calibrated, "
    "so it sees a changed mix of cases but no changed meaning. *Realised*: from the labels that "
    "have come in."
)
STAKE = (
    "*Stake*: the column's share of the model's importance times its distance. Look at the highest "
    "first; it is no forecast. q: Benjamini-Hochberg over the columns."
)
MOST_EVENTS = 60


def monitor_components(
    problem: str,
    reports: Sequence[WindowReport],
    decision: RetrainDecision,
    events: Sequence[Event] = (),
) -> list[Any]:
    """Return the parts of the card."""
    from fivefold.charts import monitoring

    verdict = ("yes: " if decision.retrain else "no: ") + part.line_of(decision.why, 600)
    facts = [["Problem", part.line_of(problem, 200)], ["Retrain", verdict]]
    parts: list[Any] = [Markdown("# Monitoring"), Table(facts)]
    if not reports:
        return parts
    newest = reports[-1]
    if newest.labels:
        parts.append(
            Table([["Labels of the newest window", part.line_of(str(newest.labels), 600)]])
        )
    parts += [
        _boxes(newest),
        Markdown("## Over time"),
        Markdown(PERFORMANCE),
        part.chart_part(monitoring.performance(reports)),
        part.chart_part(monitoring.traffic(reports)),
    ]
    if events:
        rows = [_event_row(event) for event in events[-MOST_EVENTS:]]
        parts += [Markdown("## What happened"), Table(rows, headers=["When (UTC)", "What", "Why"])]
    findings = [finding.to_dict() for finding in newest.findings]
    parts += [Markdown("## The newest window"), *part.finding_tables(findings)]
    if newest.drift:
        parts += [Markdown("## Columns"), Markdown(STAKE), _drift_table(newest.drift)]
    return parts


def _event_row(event: Event) -> list[str]:
    # Neither a date nor a time is broken into two lines.
    when = event.minute.replace("-", "\u2011").replace(" ", part.GAP)
    return [when, part.line_of(event.what, 30), part.line_of(event.text, 500)]


def _boxes(report: WindowReport) -> Any:
    from fivefold.lifecycle.report import auc_text

    coverage = f"labels for {part.percent(report.label_coverage or 0.0)}"
    drifted = ValueBox(
        "Columns drifted",
        str(len(report.drifted)),
        f"of {len(report.drift)}",
        theme="warning" if report.bad else "success",
    )
    boxes = [
        ValueBox("Rows", f"{report.rows:,}", f"{report.rejects:,} refused"),
        ValueBox("ROC AUC, estimated", auc_text(report.estimated_auc), "without labels"),
        ValueBox("ROC AUC, realised", auc_text(report.realised_auc), coverage),
        drifted,
    ]
    return Table([boxes])


def _drift_table(drift: Sequence[DriftLine]) -> Any:
    from fivefold.charts import monitoring
    from fivefold.lifecycle.drift import by_stake

    rows = []
    for line in by_stake(drift)[: part.MOST_COLUMNS]:
        chart = monitoring.two_spreads(line.column, line.bins, compact=True)
        row = [
            "▲" if line.drifted else "",
            part.line_of(line.column, 60),
            line.kind,
            _number(line.psi),
            _number(line.distance),
            _number(line.q_value),
            _number(line.stake),
            part.chart_part(chart),
        ]
        rows.append(row)
    headers = ["", "Column", "Kind", "PSI", "Distance", "q", "Stake", "Before and now"]
    return Table(rows, headers=headers)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"
