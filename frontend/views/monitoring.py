"""Monitoring: what the monitor said of each window of predictions, and what to do about it."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import monitoring as charts_monitor
from fivefold.charts.style import short
from fivefold.core.findings import from_dicts
from fivefold.journal.alerts import runbook
from fivefold.lifecycle.performance import ASSUMPTION
from fivefold.lifecycle.window import ASK_FOR_RETRAINING
from frontend.data import monitoring, served_model
from frontend.widgets import error_guard, model_choice
from frontend.widgets.address import choose
from frontend.widgets.drawing import draw
from frontend.widgets.plain_text import plain

MONITOR, RETRAIN = "python flows/monitor.py run", "python flows/retrain.py run"
FIGURES = {
    "Positives": "positive_rate",
    "Acted upon": "flagged",
    "Precision": "precision",
    "Recall": "recall",
    "Brier score": "brier",
    "Cost per 1,000": "cost_per_1000",
}
SHARES = ("positive_rate", "flagged", "precision", "recall")


def main() -> None:
    problem = model_choice.problem()
    known = monitoring.watched(problem)
    reports = known["reports"]
    st.title("Monitoring")
    if not reports:
        st.info(
            plain(
                f"The monitor has not judged the predictions of {problem} yet. Type this in the project's "
                "folder; the page finds the reports by itself:"
            ),
            icon=":material/info:",
        )
        st.code(MONITOR, language="bash")
        alerts(known["alerts"])
        return
    due(problem, known)
    left, right = st.columns(2)
    draw(
        charts_monitor.performance(reports, served_model.promotions_of(problem).history),
        "ROC AUC of each window, estimated and realised, with 95% intervals",
        left,
    )
    draw(
        charts_monitor.traffic(reports),
        "Rows of each window: answered, with warnings, refused",
        right,
    )
    st.caption(
        "A dashed line marks a window in which what is served was changed; the page Decision has the record."
    )
    windows = {r["start"]: r for r in reversed(reports)}
    report = windows[
        choose("Window, the newest first", list(windows), "window", lambda w: _window(windows[w]))
    ]
    error_guard.guard(lambda: window(problem, report))
    alerts(known["alerts"])


def due(problem: str, known: dict[str, Any]) -> None:
    """Whose windows these are, and whether they ask for a new model."""
    told = known["due"]
    st.text(f"{problem}: {len(known['reports']):,} windows judged")
    if told["retrain"]:
        st.warning(
            plain(f"A new model is due: {told['why']}. Type:"), icon=":material/model_training:"
        )
        st.code(RETRAIN, language="bash")
    else:
        st.caption(plain(f"No new model is due: {told['why']}."))


def window(problem: str, report: dict[str, Any]) -> None:
    """All that is known of one window."""
    boxes(report)
    if report["reasons"]:
        st.warning(
            "\n".join(
                [
                    "This window asks for a new model:",
                    *(f"- {plain(why)}" for why in report["reasons"]),
                ]
            ),
            icon=":material/warning:",
        )
    found = sorted(
        from_dicts(report["findings"]), key=lambda f: f.code not in ASK_FOR_RETRAINING
    )  # what matters most
    st.subheader("Found")
    error_guard.show_findings(found, ("error", "warning"), codes=True)
    quiet = [f for f in found if f.severity not in ("error", "warning")]
    if len(quiet) == len(found):
        st.caption("No errors and no warnings.")
    if quiet:
        with st.expander(f"{len(quiet)} more: passed, or not judged"):
            error_guard.show_findings(quiet, codes=True)
    to_do(report)
    performance(report)
    drift(report)
    unusual(problem, report)


def boxes(report: dict[str, Any]) -> None:
    """The window at a glance."""
    drifted = sum(bool(line.get("drifted")) for line in report["drift"])
    others = f" (and {report['others']:,} of other models)" if report["others"] else ""
    told = (
        ("Predictions", f"{report['rows']:,}", f"Of {report['model'] or 'no model'}{others}"),
        ("Refused", f"{report['rejects']:,}", "Cases that got no answer"),
        ("With warnings", _share(report["warned"]), "Answered, but unlike what training saw"),
        (
            "Columns drifted",
            f"{drifted} of {len(report['drift'])}",
            "Spread otherwise than the training rows",
        ),
        ("With a label", _share(report["coverage"]), "Cases whose outcome has been told"),
        (
            "Median latency",
            "–" if report["latency_ms"] is None else f"{report['latency_ms']:.1f} ms",
            "A row",
        ),
    )
    for start in (0, 3):
        for box, (label, value, text) in zip(st.columns(3), told[start : start + 3], strict=True):
            box.metric(label, value, border=True, help=plain(text))


def to_do(report: dict[str, Any]) -> None:
    """The runbook's sections on what was found, and the command that looks again."""
    codes = list(
        dict.fromkeys(
            f["code"] for f in report["findings"] if f["severity"] in ("error", "warning")
        )
    )
    st.subheader("What to do")
    if codes:
        places = pd.DataFrame(
            [{"Code": code, "Section of the runbook": runbook(code)} for code in codes]
        )
        linked = places["Section of the runbook"].str.match("https?://").all()
        st.dataframe(
            places,
            hide_index=True,
            column_config={"Section of the runbook": st.column_config.LinkColumn()}
            if linked
            else {},
        )
    st.caption("To judge the newest windows again, or from a timer:")
    st.code(MONITOR, language="bash")


def performance(report: dict[str, Any]) -> None:
    """What the window was worth: estimated from its probabilities, and realised from its labels."""
    st.subheader("Performance")
    guess, real = report["estimated"] or {}, report["realised"] or {}
    if not guess:
        st.caption("No predictions, so nothing to judge.")
        return
    rows = {
        "Rows": (f"{guess['rows']:,}", f"{real.get('rows', 0):,} with a label"),
        "ROC AUC": (
            _interval(guess.get("auc"), "too few rows"),
            _interval(real.get("auc"), "too few labels"),
        ),
    }
    for label, key in FIGURES.items():
        rows[label] = (_figure(key, guess.get(key)), _figure(key, real.get(key)))
    st.table(
        pd.DataFrame(
            [
                {
                    "": label,
                    "Estimated, without labels": plain(a),
                    "Realised, from labels": plain(b),
                }
                for label, (a, b) in rows.items()
            ]
        ).set_index("")
    )
    delay = report["delay_days"]
    st.caption(
        plain(
            f"Labels for {_share(report['coverage'])} of the predictions"
            + ("" if delay is None else f", at the median {delay:.1f} days after them")
            + f". Assumed by the estimate: {guess.get('assumption') or ASSUMPTION}."
        )
    )


def drift(report: dict[str, Any]) -> None:
    """How far each column is from the training rows, and one of them, with the probabilities, in full."""
    lines = sorted(
        report["drift"], key=lambda line: (-(line["stake"] or 0.0), -(line["psi"] or 0.0))
    )
    if not lines:
        return
    st.subheader("Columns, then and now")
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "": "▲ drifted" if line["drifted"] else "" if line["judged"] else "not judged",
                    "Column": line["column"],
                    "Kind": line["kind"],
                    **{
                        label: line[key]
                        for label, key in (
                            ("PSI", "psi"),
                            ("Distance", "distance"),
                            ("q", "q_value"),
                            ("Stake", "stake"),
                        )
                    },
                    "Missing then": _percent(line["missing_reference"]),
                    "Missing now": _percent(line["missing_current"]),
                }
                for line in lines
            ]
        ),
        hide_index=True,
        height=min(38 + 35 * len(lines), 390),
        column_config={
            "PSI": number(
                format="%.3f",
                help="Population stability index: below 0.1 little, from 0.25 on much",
            ),
            "Distance": number(format="%.3f", help="0: the same, 1: nothing in common"),
            "q": number(
                format="%.2g",
                help="Chance of a false alarm, over all columns (Benjamini and Hochberg)",
            ),
            "Stake": number(
                format="%.3f",
                help="The column's share of the model's importance times the distance",
            ),
            "Missing then": number(format="%.1f %%"),
            "Missing now": number(format="%.1f %%"),
        },
    )
    by_name = {line["column"]: line for line in lines}
    name = choose("Column, the highest stake first", list(by_name), "spread")
    left, right = st.columns(2)
    draw(
        charts_monitor.two_spreads(by_name[name]),
        "Shares of the values in training and in this window",
        left,
    )
    if report["score"]:
        draw(
            charts_monitor.two_spreads(
                {**report["score"], "column": "Predicted probability"}, before="held-out rows"
            ),
            "Shares of the probabilities on held-out rows and in this window",
            right,
        )


def unusual(problem: str, report: dict[str, Any]) -> None:
    """The commonest warnings and reasons of refusal of the window, read from the journal when asked for."""
    if not (report["warned"] or report["rejects"]):
        return
    st.subheader("Warnings and refusals")
    if st.toggle("Read them from the journal", key="unusual"):
        notes, refused = monitoring.unusual(problem, report["start"], report["end"])
        left, right = st.columns(2)
        for place, table, empty in ((left, notes, "No warnings"), (right, refused, "No refusals")):
            if len(table):
                place.dataframe(table, hide_index=True)
            else:
                place.caption(f"{empty} on record.")


def alerts(lines: list[dict[str, Any]]) -> None:
    """What people were told."""
    st.subheader("Alerts")
    if not lines:
        st.caption("None was sent.")
        return
    st.dataframe(
        pd.DataFrame(
            [
                {
                    "When (UTC)": line["at"],
                    "What": line["message"],
                    "Key": line["key"],
                    "Sent": "; ".join(
                        f"{channel}: {result}" for channel, result in line["sent"].items()
                    )
                    or "being sent",
                    "Runbook": line["runbook"],
                }
                for line in lines
            ]
        ),
        hide_index=True,
        column_config={
            "When (UTC)": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
            "What": st.column_config.TextColumn(width="large"),
        },
    )


def _window(report: dict[str, Any]) -> str:
    bad = " · asks for a new model" if report["bad"] else ""
    return f"{report['start'][:10]} to {report['end'][:10]} · {report['rows']:,} predictions{bad}"


def _interval(told: dict[str, Any] | None, few: str) -> str:
    return few if not told else f"{told['value']:.3f} ({told['low']:.3f} to {told['high']:.3f})"


def _figure(key: str, told: Any) -> str:
    write = _share if key in SHARES else "{:.4f}".format if key == "brier" else short
    if not isinstance(told, dict):
        return "–" if told is None else write(told)
    if told["value"] is None:
        return "–"
    return f"{write(told['value'])} ({write(told['low'])} to {write(told['high'])})"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


main()
