"""Page Monitoring: what the monitor found in each window, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import monitoring as charts
from fivefold.charts.style import short
from fivefold.core.findings import ERROR, WARNING
from fivefold.core.intervals import Estimate
from fivefold.journal.alerts import Alert
from fivefold.lifecycle.alert_message import runbook
from fivefold.lifecycle.drift import DriftLine
from fivefold.lifecycle.report import RetrainDecision, WindowReport
from fivefold.lifecycle.window import ASK_FOR_RETRAINING
from frontend.data import monitoring, served_model
from frontend.widgets import error_guard, model_choice
from frontend.widgets.address import choose
from frontend.widgets.drawing import WHEN, boxes, draw, table
from frontend.widgets.plain_text import percent, plain

MONITOR, RETRAIN = "python flows/monitor.py run", "python flows/retrain.py run"
FIGURES = {
    "Positives": "positive_rate",
    "Flagged": "flagged",
    "Precision": "precision",
    "Recall": "recall",
    "Brier score": "brier",
    "Cost per 1,000": "cost_per_1000",
}
SHARES = ("positive_rate", "flagged", "precision", "recall")


def main() -> None:
    """Draw the page."""
    problem = model_choice.problem()
    state = monitoring.monitoring(problem)
    st.title("Monitoring")
    if not state.reports:
        text = (
            f"The monitor has not evaluated the predictions of {problem} yet. Run this in the "
            "project's folder; the page then shows the reports:"
        )
        st.info(plain(text), icon=":material/info:")
        st.code(MONITOR, language="bash")
        _alerts(state.alerts)
        return
    _decision(problem, len(state.reports), state.decision)
    left, right = st.columns(2)
    draw(
        charts.performance(state.reports, served_model.promotions_of(problem).history),
        "ROC AUC of each window, estimated and realised, with 95% intervals",
        left,
    )
    draw(
        charts.traffic(state.reports),
        "Rows of each window: answered, with warnings, refused",
        right,
    )
    st.caption(
        "A dashed line marks a window in which the served model or threshold was changed; "
        "the page Decision lists all changes."
    )
    windows = {report.start.isoformat(): report for report in reversed(state.reports)}
    start = choose(
        "Window, the newest first", list(windows), "window", lambda key: _title(windows[key])
    )
    error_guard.guard(lambda: _window(problem, windows[start]))
    _alerts(state.alerts)


def _decision(problem: str, windows: int, decision: RetrainDecision) -> None:
    """Show whose windows these are, and whether they ask for a new model."""
    st.text(f"{problem}: {windows:,} windows evaluated")
    if not decision.retrain:
        st.caption(plain(f"No new model is due: {decision.why}."))
        return
    text = plain(f"A new model is due: {decision.why}. Run:")
    st.warning(text, icon=":material/model_training:")
    st.code(RETRAIN, language="bash")


def _window(problem: str, report: WindowReport) -> None:
    """Show all that is known of one window."""
    _figures(report)
    if report.reasons:
        reasons = [f"- {plain(why)}" for why in report.reasons]
        text = "\n".join(["This window asks for a new model:", *reasons])
        st.warning(text, icon=":material/warning:")
    # what may ask for a new model comes first
    findings = sorted(report.findings, key=lambda f: f.code not in ASK_FOR_RETRAINING)
    st.subheader("Findings")
    error_guard.show_findings(findings, (ERROR, WARNING), codes=True)
    quiet = [f for f in findings if f.severity not in (ERROR, WARNING)]
    if len(quiet) == len(findings):
        st.caption("No errors and no warnings.")
    if quiet:
        with st.expander(f"{len(quiet)} more: passed, or not applicable"):
            error_guard.show_findings(quiet, codes=True)
    _to_do(report)
    _performance(report)
    _drift(report)
    _unusual(problem, report)


def _figures(report: WindowReport) -> None:
    """Show the window at a glance."""
    others = f" (and {report.other_rows:,} of other models)" if report.other_rows else ""
    drifted = f"{len(report.drifted)} of {len(report.drift)}"
    latency = "–" if report.latency_ms is None else f"{report.latency_ms:.1f} ms"
    figures = (
        ("Predictions", f"{report.rows:,}", plain(f"By {report.model or 'no model'}{others}")),
        ("Refused", f"{report.rejects:,}", "Cases that got no answer"),
        ("With warnings", percent(report.warned), "Answered, but unlike what training saw"),
        ("Columns drifted", drifted, "Their values spread differently than in training"),
        ("With a label", percent(report.label_coverage), "Cases whose outcome was reported"),
        ("Median latency", latency, "Of one row"),
    )
    boxes(*figures[:3])
    boxes(*figures[3:])


def _to_do(report: WindowReport) -> None:
    """Show the runbook's sections on the findings, and the command that evaluates again."""
    bad = [f for f in report.findings if f.severity in (ERROR, WARNING)]
    codes = list(dict.fromkeys(f.code for f in bad))
    st.subheader("What to do")
    if codes:
        rows = [{"Code": code, "Runbook": runbook(code)} for code in codes]
        are_links = all(re.match("https?://", row["Runbook"]) for row in rows)
        table(rows, {"Runbook": st.column_config.LinkColumn()} if are_links else None)
    st.caption("To evaluate the newest windows again, by hand or from a timer:")
    st.code(MONITOR, language="bash")


def _performance(report: WindowReport) -> None:
    """Show the performance estimated from the probabilities, and realised from the labels."""
    st.subheader("Performance")
    estimated, realised = report.estimated, report.realised
    if estimated is None:
        st.caption("No predictions, so there is nothing to evaluate.")
        return
    labelled = realised.rows if realised else 0
    rows = {
        "Rows": (f"{estimated.rows:,}", f"{labelled:,} with a label"),
        "ROC AUC": (
            _interval(report.estimated_auc, "too few rows"),
            _interval(report.realised_auc, "too few labels"),
        ),
    }
    for label, name in FIGURES.items():
        before = _figure(name, getattr(estimated, name))
        rows[label] = before, _figure(name, getattr(realised, name, None))
    figures = pd.DataFrame(rows).map(plain).T
    st.table(figures.set_axis(["Estimated, without labels", "Realised, from labels"], axis=1))
    text = f"Labels for {percent(report.label_coverage)} of the predictions"
    if report.label_delay_days is not None:
        text += f", in the median {report.label_delay_days:.1f} days after them"
    if report.labels:
        text += f". Labels: {report.labels}"
    st.caption(plain(f"{text}. Assumed by the estimate: {estimated.assumption}."))


def _drift(report: WindowReport) -> None:
    """Show how far each column is from the training rows; one of them, and the scores, in full."""
    lines = sorted(report.drift, key=lambda line: (-(line.stake or 0.0), -(line.psi or 0.0)))
    if not lines:
        return
    st.subheader("Columns, then and now")
    number = st.column_config.NumberColumn
    columns = {
        "PSI": number(
            format="%.3f", help="Population stability index: below 0.1 small, from 0.25 on large"
        ),
        "Distance": number(format="%.3f", help="0: the same, 1: nothing in common"),
        "q": number(
            format="%.2g", help="p value, adjusted over all columns (Benjamini and Hochberg)"
        ),
        "Stake": number(
            format="%.3f", help="The column's share of the model's importance times the distance"
        ),
        "Missing then": "%.1f %%",
        "Missing now": "%.1f %%",
    }
    table([_drift_row(line) for line in lines], columns, 390)

    by_name = {line.column: line for line in lines}
    name = choose("Column, the highest stake first", list(by_name), "spread")
    left, right = st.columns(2)
    draw(
        charts.two_spreads(name, by_name[name].bins),
        "Shares of the values in training and in this window",
        left,
    )
    if report.score:
        draw(
            charts.two_spreads("Predicted probability", report.score.bins, before="held-out rows"),
            "Shares of the probabilities on held-out rows and in this window",
            right,
        )


def _drift_row(line: DriftLine) -> dict[str, Any]:
    verdict = "▲ drifted" if line.drifted else ""
    return {
        "": verdict if line.enough_rows else "too few rows",
        "Column": line.column,
        "Kind": line.kind,
        "PSI": line.psi,
        "Distance": line.distance,
        "q": line.q_value,
        "Stake": line.stake,
        "Missing then": _hundredfold(line.missing_reference),
        "Missing now": _hundredfold(line.missing_current),
    }


def _unusual(problem: str, report: WindowReport) -> None:
    """Show the most frequent warnings and refusals of the window, if they are asked for."""
    if not (report.warned or report.rejects):
        return
    st.subheader("Warnings and refusals")
    if not st.toggle("Read them from the journal", key="unusual"):
        return
    warned, refused = monitoring.unusual(problem, report.start, report.end)
    for column, rows, what in zip(
        st.columns(2), (warned, refused), ("warnings", "refusals"), strict=True
    ):
        with column:
            if len(rows):
                table(rows)
            else:
                st.caption(f"No {what} on record.")


def _alerts(alerts: Sequence[Alert]) -> None:
    """Show the alerts that were sent."""
    st.subheader("Alerts")
    if not alerts:
        st.caption("None was sent.")
        return
    rows = []
    for alert in alerts:
        results = [f"{channel}: {result}" for channel, result in alert.sent.items()]
        row = {
            "When (UTC)": alert.at,
            "What": alert.message,
            "Key": alert.key,
            "Sent": "; ".join(results) or "being sent",
            "Runbook": alert.runbook,
        }
        rows.append(row)
    columns = {
        "When (UTC)": WHEN,
        "What": st.column_config.TextColumn(width="large"),
    }
    table(rows, columns)


def _title(report: WindowReport) -> str:
    days = f"{report.start:%Y-%m-%d} to {report.end:%Y-%m-%d}"
    bad = " · asks for a new model" if report.bad else ""
    return f"{days} · {report.rows:,} predictions{bad}"


def _interval(auc: Mapping[str, Any], few: str) -> str:
    return f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" if auc else few


def _figure(name: str, figure: float | Estimate | None) -> str:
    write = short
    if name in SHARES:
        write = percent
    elif name == "brier":
        write = "{:.4f}".format
    if not isinstance(figure, Estimate):
        return "–" if figure is None else write(figure)
    if figure.value is None:
        return "–"
    return f"{write(figure.value)} ({write(figure.low)} to {write(figure.high)})"


def _hundredfold(value: float | None) -> float | None:
    return None if value is None else 100 * value


main()
