"""Batch: a file in, every row back with its outcome."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import prediction
from fivefold.journal.writer import NotKept
from fivefold.model import case
from fivefold.model.bundle import Bundle
from fivefold.serving import batch
from fivefold.serving.served_model import ServedModel
from frontend.data import predictions, runs, uploads
from frontend.widgets import error_guard, form, model_choice
from frontend.widgets.drawing import draw
from frontend.widgets.plain_text import plain

RESULT = "batch_result"  # session state: the last scored file; it stays with its visitor, no cache holds it
SHOWN = 200  # rows of a table on the page; the download has them all
DOUBTS = {
    "unseen": "not seen in training",
    "outside": "outside the training range",
    "missing": "unexpectedly missing",
    "not-yes-or-no": "neither yes nor no",
    "unreadable": "cannot be read",
}


def main() -> None:
    model = model_choice.model()
    bundle = model.bundle
    st.title("Score a file")
    st.text(
        "Each row comes back with its probability and decision, or with the reason why it cannot be scored."
    )
    with st.expander("The columns it must have"):
        st.dataframe(contract(bundle), hide_index=True)
        st.download_button(
            "Template",
            pd.DataFrame(columns=bundle.schema.names()).to_csv(index=False),
            "template.csv",
            "text/csv",
            icon=":material/download:",
        )
    file = st.file_uploader(
        "CSV, TSV, Parquet or Feather, also compressed by gzip", type=uploads.TYPES
    )
    if file is None:
        st.session_state.pop(RESULT, None)
        return
    key = (file.file_id, model.pathspec, bundle.metadata.threshold.value)
    kept = st.session_state.get(RESULT)
    if not kept or kept["key"] != key:
        st.session_state.pop(RESULT, None)
        try:
            kept = {
                "key": key,
                "name": Path(file.name).stem,
                **score(model, file.name, file.getbuffer()),
            }
        except NotKept as lost:
            predictions.tell_lost(str(lost))
            return
        st.session_state[RESULT] = kept
    show(bundle, kept)


def score(model: ServedModel, name: str, blob: Any) -> dict[str, Any]:
    """{scored, tally, findings, md5, where} of an uploaded file, after all its rows were recorded.

    Raises `Refused` with the reasons where it cannot be used, and `NotKept`.
    """
    bar = st.progress(0.0, "Reading …")

    def say(what: str, done: int, of: int) -> None:
        bar.progress(done / max(1, of), f"{done:,} of {of:,} rows {what}")

    try:
        table = uploads.table(name, blob)
        scored, tally, found = batch.score_batch(
            model.bundle, table.frame, _key(model, table.md5), progress=partial(say, "scored")
        )
        where = predictions.keep_table(model, table.frame, scored, partial(say, "recorded"))
    finally:
        bar.empty()
    return {
        "scored": scored,
        "tally": tally,
        "findings": [*table.findings, *found],
        "md5": table.md5,
        "where": where,
    }


def _key(model: ServedModel, md5: str) -> str:
    trained = runs.bundle(model.pathspec.rpartition("/")[2]).metadata.threshold.value
    return batch.table_key(md5, model.bundle.metadata.threshold.value, trained)


def show(bundle: Bundle, kept: dict[str, Any]) -> None:
    """What came out of a file."""
    scored, tally = kept["scored"], kept["tally"]
    threshold = bundle.metadata.threshold.value
    acted = bundle.metadata.outcomes.positive
    boxes = st.columns(4)
    for box, (label, value) in zip(
        boxes,
        (
            ("Rows", tally["rows"]),
            ("Scored", tally["scored"]),
            ("With warnings", tally["with_warnings"]),
            ("Not scored", tally["refused"]),
        ),
        strict=True,
    ):
        box.metric(label, f"{value:,}", border=True)
    error_guard.findings(kept["findings"], ("error", "warning"))
    if tally["refused"]:
        bad = scored[scored["error"] != ""]
        st.subheader("Rows that could not be scored")
        st.dataframe(
            bad[["error", *(c for c in bad.columns if c not in batch.OUR_COLUMNS)]].head(SHOWN)
        )
        _first(len(bad))
    if tally["scored"]:
        st.subheader(plain(f"{tally['decisions'].get(acted, 0):,} of {tally['scored']:,} {acted}"))
        draw(
            prediction.histogram(batch.histogram(scored["probability"]), threshold),
            "Rows by probability",
        )
        st.subheader("Highest probabilities")
        st.dataframe(
            batch.top(scored, SHOWN),
            column_config={
                "probability": st.column_config.ProgressColumn(
                    format="percent", min_value=0, max_value=1
                )
            },
        )
        _first(tally["scored"])
        lift(scored, tally, acted)
    if any(tally["doubts"].values()):
        st.subheader("What was unusual")
        st.dataframe(
            pd.DataFrame(
                [
                    {"Column": column, "What": DOUBTS[code], "Rows": rows}
                    for code, columns in tally["doubts"].items()
                    for column, rows in columns.items()
                ]
            ).sort_values("Rows", ascending=False),
            hide_index=True,
        )
    st.subheader("Download")
    one, two = st.columns(2)
    one.download_button(
        "CSV, for a spreadsheet",
        lambda: batch.neutralise(scored).to_csv(index=False).encode(),
        f"{kept['name']}-scored.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="Cells that a spreadsheet would run as formulas get a leading apostrophe.",
    )
    two.download_button(
        "Parquet, for a program",
        lambda: scored.to_parquet(index=False),
        f"{kept['name']}-scored.parquet",
        "application/vnd.apache.parquet",
        icon=":material/download:",
        on_click="ignore",
        help="Every value as it came.",
    )
    st.caption(
        f"Model {kept['key'][1]}, acting at {threshold:.1%} or more · file md5 {kept['md5']} · the same file, "
        f"model and threshold give the same ids{predictions.WAITS if kept['where'] == 'spool' else ''}"
    )


def lift(scored: pd.DataFrame, tally: dict[str, Any], acted: str) -> None:
    """What acting on the highest probabilities brings."""
    st.subheader("If only so many can be acted upon")
    count = st.number_input(
        "Number of cases", 1, max(1, tally["scored"]), min(500, tally["scored"]), key="capacity"
    )
    found = batch.lift_at(scored["probability"], int(count))
    one, two, three = st.columns(3)
    one.metric(
        plain(f"Of them {acted}"),
        f"{found['expected_positives']:,.0f}",
        border=True,
        help="Expected: the sum of calibrated probabilities, as good as the calibration; no label is known.",
    )
    two.metric("Share among them", f"{found['rate']:.1%}", border=True)
    three.metric(
        "Lift over chance", "–" if found["lift"] is None else f"{found['lift']:.2f} ×", border=True
    )


def contract(bundle: Bundle) -> pd.DataFrame:
    """The input contract as a table."""
    scope, schema = bundle.metadata.scope, bundle.schema
    typical = {name: form.typical(schema[name]) for name in schema.names()}
    written = case.request_body(typical, schema)["rows"][0]  # dates as the contract writes them
    return pd.DataFrame(
        [
            {
                "Column": c.name,
                "Kind": c.kind,
                "Unit": scope.units.get(c.name, ""),
                "May be empty": "yes" if c.nullable else "no",
                "Example": "" if written[c.name] is None else str(written[c.name]),
                "Meaning": scope.help.get(c.name, ""),
            }
            for c in schema.columns
            if c.used
        ]
    )


def _first(rows: int) -> None:
    if rows > SHOWN:
        st.caption(f"The first {SHOWN} of {rows:,}; the download has them all.")


main()
