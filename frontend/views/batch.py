"""Score a file: every row comes back with its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import prediction
from fivefold.core.findings import Finding
from fivefold.data.missing_markers import rules_for
from fivefold.journal.writer import NotKept
from fivefold.model import case
from fivefold.model.bundle import Bundle
from fivefold.model.input_warnings import MEANINGS
from fivefold.serving import batch, result_files
from fivefold.serving.batch import Tally
from fivefold.serving.served_model import ServedModel
from frontend.data import predictions, runs, uploads
from frontend.widgets import error_guard, form, model_choice
from frontend.widgets.drawing import boxes, draw, table, template
from frontend.widgets.plain_text import plain

RESULT = "batch_result"  # session state: the last result of this visitor
SHOWN = 200  # rows of a table on the page; the download has them all
SHARE = st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1)


@dataclass(frozen=True)
class Result:
    """A scored file.

    key: what it depends on, file, model and threshold. where: journal or spool.
    """

    key: tuple[str, str, float]
    name: str
    md5: str
    scored: pd.DataFrame
    tally: Tally
    findings: list[Finding]
    where: str


def main() -> None:
    model = model_choice.model()
    bundle = model.bundle
    st.title("Score a file")
    st.text(
        "Each row comes back with its probability and decision, "
        "or with the reason why it cannot be scored."
    )
    with st.expander("The columns it must have"):
        table(contract(bundle))
        template(bundle.schema.names(), "template.csv")
    file = st.file_uploader(uploads.label(), type=uploads.endings())
    if file is None:
        st.session_state.pop(RESULT, None)
        return
    key = (file.file_id, model.pathspec, bundle.metadata.threshold.value)
    result = st.session_state.get(RESULT)
    if result is None or result.key != key:
        st.session_state.pop(RESULT, None)
        try:
            result = score(model, file, key)
        except NotKept as lost:
            predictions.tell_lost(str(lost))
            return
        st.session_state[RESULT] = result
    show(bundle, result)


def score(model: ServedModel, file: Any, key: tuple[str, str, float]) -> Result:
    """Score an uploaded file and record all its rows.

    Raises `Refused` where it cannot be used, and `NotKept`.
    """
    bar = st.progress(0.0, "Reading …")

    def progress(what: str, done: int, total: int) -> None:
        bar.progress(done / max(1, total), f"{done:,} of {total:,} rows {what}")

    try:
        rules = rules_for(model.bundle.schema, model.bundle.metadata.scope)
        uploaded = uploads.table(file.name, file.getbuffer(), rules)
        trained = runs.bundle(model.pathspec.rpartition("/")[2]).metadata.threshold.value
        table_key = batch.table_key(uploaded.md5, key[-1], trained)
        scored = batch.score_batch(
            model.bundle, uploaded.frame, table_key, progress=partial(progress, "scored")
        )
        where = predictions.keep_table(model, uploaded.frame, scored, partial(progress, "recorded"))
    finally:
        bar.empty()
    return Result(
        key=key,
        name=Path(file.name).stem,
        md5=uploaded.md5,
        scored=scored.rows,
        tally=scored.tally,
        findings=[*uploaded.findings, *scored.findings],
        where=where,
    )


def show(bundle: Bundle, result: Result) -> None:
    """Show what came out of a file."""
    tally, scored = result.tally, result.scored
    boxes(
        ("Rows", f"{tally.rows:,}"),
        ("Scored", f"{tally.scored:,}"),
        ("With warnings", f"{tally.with_warnings:,}"),
        ("Not scored", f"{tally.refused:,}"),
    )
    error_guard.show_findings(result.findings, ("error", "warning"))
    if tally.refused:
        refused(scored)
    if tally.scored:
        outcomes(bundle, scored, tally)
    warnings(tally)
    downloads(result)
    waits = predictions.WAITS if result.where == "spool" else ""
    _, pathspec, threshold = result.key
    st.caption(
        f"Model {pathspec}, acting at {threshold:.1%} or more · file md5 {result.md5} · "
        f"the same file, model and threshold give the same ids{waits}"
    )


def refused(scored: pd.DataFrame) -> None:
    """Show the rows that could not be scored."""
    rows = scored[scored["error"] != ""]
    columns = [name for name in rows.columns if name not in batch.OUR_COLUMNS]
    st.subheader("Rows that could not be scored")
    st.dataframe(rows[["error", *columns]].head(SHOWN))
    _first(len(rows))


def outcomes(bundle: Bundle, scored: pd.DataFrame, tally: Tally) -> None:
    """Show the decisions, the probabilities, and the rows of the highest ones."""
    positive = bundle.metadata.outcomes.positive
    acted_on = tally.decisions.get(positive, 0)
    st.subheader(plain(f"{acted_on:,} of {tally.scored:,} {positive}"))
    chart = prediction.histogram(tally.bins, bundle.metadata.threshold.value)
    draw(chart, "Rows by probability")
    st.subheader("Highest probabilities")
    st.dataframe(batch.top(scored, SHOWN), column_config={"probability": SHARE})
    _first(tally.scored)
    lift(scored, tally.scored, positive)


def lift(scored: pd.DataFrame, rows: int, positive: str) -> None:
    """Show what acting on the highest probabilities brings."""
    st.subheader("If only so many can be acted upon")
    count = st.number_input("Number of cases", 1, rows, min(500, rows), key="capacity")
    lift = batch.lift_at(scored["probability"], int(count))
    expected = "Expected: the sum of the calibrated probabilities, without any labels."
    boxes(
        (plain(f"Of them {positive}"), f"{lift.expected_positives:,.0f}", expected),
        ("Share among them", f"{lift.rate:.1%}"),
        ("Lift over chance", "–" if lift.lift is None else f"{lift.lift:.2f} ×"),
    )


def warnings(tally: Tally) -> None:
    """Show how many cells were unusual, by column and kind."""
    rows = [
        {"Column": column, "What": MEANINGS[code], "Rows": cells}
        for code, by_column in tally.warning_counts.items()
        for column, cells in by_column.items()
    ]
    if rows:
        st.subheader("What was unusual")
        table(pd.DataFrame(rows).sort_values("Rows", ascending=False))


def downloads(result: Result) -> None:
    """Offer the scored rows as files."""
    st.subheader("Download")
    one, two = st.columns(2)
    one.download_button(
        "CSV, for a spreadsheet",
        lambda: result_files.csv_bytes(result.scored),
        f"{result.name}-scored.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
        help="Cells that a spreadsheet would run as formulas get a leading apostrophe.",
    )
    two.download_button(
        "Parquet, for a program",
        lambda: result.scored.to_parquet(index=False),
        f"{result.name}-scored.parquet",
        "application/vnd.apache.parquet",
        icon=":material/download:",
        on_click="ignore",
        help="Every value as it came.",
    )


def contract(bundle: Bundle) -> pd.DataFrame:
    """Return the input contract as a table."""
    scope, schema = bundle.metadata.scope, bundle.schema
    typical = {name: form.typical(schema[name]) for name in schema.names()}
    written = case.request_body(typical, schema)["rows"][0]  # dates as the contract writes them
    rows = []
    for column in schema.columns:
        if not column.used:
            continue
        example = written[column.name]
        rows.append(
            {
                "Column": column.name,
                "Kind": column.kind,
                "Unit": scope.units.get(column.name, ""),
                "May be empty": "yes" if column.nullable else "no",
                "Example": "" if example is None else str(example),
                "Meaning": scope.help.get(column.name, ""),
            }
        )
    return pd.DataFrame(rows)


def _first(rows: int) -> None:
    if rows > SHOWN:
        st.caption(f"The first {SHOWN} of {rows:,}; the download has them all.")


main()
