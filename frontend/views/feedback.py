"""Page Feedback: report the outcomes of predicted cases, one by one or as a file."""

from __future__ import annotations

import datetime as dt
from typing import Any

import streamlit as st

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.scope import Scope
from fivefold.data.missing_markers import rules_for
from fivefold.journal import labels as journal_labels
from fivefold.model.bundle import Bundle
from fivefold.serving import labels
from frontend.data import answers, monitoring, predictions, served_model, uploads
from frontend.widgets import error_guard, model_choice, signature
from frontend.widgets.drawing import boxes, template
from frontend.widgets.plain_text import percent, plain

OUTCOMES = {  # of `fivefold.journal.labels` -> what it means
    "accepted": "the first label of its prediction",
    "corrected": "there was another label; the new one counts, both are kept",
    "duplicate": "the same label was there already; nothing changes",
    "unknown": "no such prediction yet; kept and tried again when labels come or the monitor runs",
    "late": f"more than {journal_labels.LATE_DAYS} days after the prediction; it still counts",
}


def main() -> None:
    bundle = model_choice.shared_model().bundle
    scope = bundle.metadata.scope
    st.title("What became of the cases")
    st.text("Labels show whether the predictions come true, and new models learn from them.")
    left, right = st.columns(2, gap="large")
    with left:
        error_guard.guard(lambda: one(bundle, scope))
    with right:
        error_guard.guard(lambda: many(bundle, scope))
    st.divider()
    error_guard.guard(lambda: so_far(scope.problem))


def one(bundle: Bundle, scope: Scope) -> None:
    """Show the form for the label of one case."""
    st.subheader("One case")
    answer = answers.last()
    last = answer.id if answer else ""
    names, schema, key = scope.id_columns, bundle.schema, bundle.metadata.provenance.pathspec
    outcomes = bundle.metadata.outcomes
    phrases = {schema.negative: outcomes.negative, schema.positive: outcomes.positive}
    with st.form(f"label {key}"):
        number = str(
            st.text_input(
                "Prediction id",
                value=last,
                key=f"prediction {last}",
                help="Stands under each prediction and in each row of a scored file.",
            )
        ).strip()
        if names:
            st.caption(
                plain(
                    f"or, without one, {', '.join(names)}: then it is the case's newest prediction"
                )
            )
        ids = {
            name: str(st.text_input(plain(name), key=f"id {key} {name}")).strip() for name in names
        }
        label = st.radio(
            "What happened",
            list(phrases),
            index=None,
            key=f"truth {key}",
            horizontal=True,
            format_func=lambda value: plain(f"{phrases[value]} ({value})"),
        )
        seen = st.date_input(
            "Seen on, if that was not today",
            value=None,
            key=f"seen {key}",
            max_value=utc_now().date(),
            format="YYYY-MM-DD",
        )
        acted = st.radio(
            "Did somebody act upon the case because of its prediction?",
            ["yes", "no"],
            index=None,
            key=f"acted {key}",
            horizontal=True,
            help="Then its outcome is not the one that was predicted: it is neither judged nor "
            "learnt from. Leave it open if you do not know.",
        )
        who = signature.name("label")
        sent = st.form_submit_button("Record", type="primary", width="stretch")
    if not sent or not _said(label) or not signature.signed(who):
        return
    row = {"prediction_id": number, **ids, "label": label, "observed_at": _moment(seen)}
    row["acted"] = acted
    lines = labels.read_labels([row], schema, scope, settings.pseudonym_key())
    _show_counts(
        served_model.query(
            journal_labels.add_labels,
            scope.problem,
            lines,
            source=predictions.SOURCE,
            who=who,
        )
    )


def many(bundle: Bundle, scope: Scope) -> None:
    """Show the form for labels in a file."""
    st.subheader("A file")
    names, schema = scope.id_columns, bundle.schema
    ids = f"prediction_id or {', '.join(names)}" if names else "prediction_id"
    values = f"{schema.positive} or {schema.negative}, also 1 or 0"
    st.caption(
        plain(
            f"Columns: {ids}; label (or {schema.target}): {values}; "
            "optionally observed_at (ISO 8601, UTC), and acted (yes or no): whether somebody "
            "acted upon the case because of its prediction."
        )
    )
    columns = ["prediction_id", *names, "label", "observed_at", "acted"]
    template(columns, "labels.csv")
    with st.form("labels"):
        file = st.file_uploader(uploads.label(), type=uploads.endings())
        who = signature.name("labels")
        sent = st.form_submit_button("Record all", width="stretch")
    if not sent:
        return
    if file is None:
        st.error("Choose a file first.", icon=":material/error:")
    elif signature.signed(who):
        with st.spinner("Recording …"):
            table = uploads.table(file.name, file.getbuffer(), rules_for(schema, scope))
            counts = served_model.query(
                labels.record_table, bundle, table.frame, source=predictions.SOURCE, who=who
            )
        error_guard.show_findings(table.findings, ("error", "warning"))
        _show_counts(counts)


def _show_counts(counts: dict[str, int]) -> None:
    """Show what the labels changed."""
    monitoring.refresh_coverage()
    known = counts["accepted"] + counts["corrected"] + counts["duplicate"]
    lines = [
        f"{counts[outcome]:,} {outcome}: {meaning}"
        for outcome, meaning in OUTCOMES.items()
        if counts[outcome]
    ]
    (st.success if known else st.warning)(
        "  \n".join(["On record.", *lines]), icon=":material/fact_check:"
    )


def so_far(problem: str) -> None:
    """Show all labels of the problem, and for how many predictions there is one."""
    st.subheader("So far")
    counts, known = monitoring.labels(problem), monitoring.coverage(problem)
    share = known.labelled / known.predictions if known.predictions else None
    coverage = (
        f"{known.labelled:,} of {known.predictions:,} predictions "
        f"of the last {monitoring.DAYS} days have a label"
    )
    figures = [("Coverage", percent(share), coverage)]
    for outcome, meaning in OUTCOMES.items():
        figures.append((outcome.capitalize(), f"{counts[outcome]:,}", f"{meaning.capitalize()}."))
    boxes(*figures)
    if not sum(counts.values()):
        st.caption("No label has come yet. From a file they also come by typing:")
        st.code("python flows/feedback.py labels.csv", language="bash")


def _said(label: str | None) -> bool:
    if label is None:
        st.error("Nothing was recorded: say what happened.", icon=":material/error:")
    return label is not None


def _moment(day: Any) -> dt.datetime | None:
    """Return the end of the day, after all its predictions; the present if that is earlier."""
    return min(dt.datetime.combine(day, dt.time.max), utc_now()) if day else None


main()
