"""Data: the report on the table that a model was trained on, column by column."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import table
from fivefold.core.findings import condensed, from_dicts
from frontend.data import runs
from frontend.widgets import drawing, error_guard, model_choice
from frontend.widgets.address import choose_part
from frontend.widgets.drawing import boxes, draw
from frontend.widgets.plain_text import percent, plain

QUANTILES = {
    "Least": "min",
    "First quartile": "p25",
    "Median": "p50",
    "Third quartile": "p75",
    "Largest": "max",
}


def main() -> None:
    summary = runs.summary(model_choice.run_id())
    scope, overview, source = summary["scope"], summary["overview"], summary["source"]
    words = (scope["negative_phrase"] or "negative", scope["positive_phrase"] or "positive")
    st.title(plain(scope["title"] or "Data"))
    st.text(f"{source.get('source', '')} · md5 {source.get('md5', '')}")
    kinds = ", ".join(f"{n} {kind}" for kind, n in overview["kinds"].items())
    interval = f"{percent(overview['positive_low'])} to {percent(overview['positive_high'])}"
    share = percent(overview["positive_rate"])
    boxes(
        ("Rows", f"{overview['rows']:,}"),
        ("Columns", f"{overview['columns']:,}", plain(kinds)),
        (plain(f"Share {words[1]}"), share, f"95% interval {interval}"),
        ("Missing cells", percent(overview["missing_share"])),
    )
    choose_part(PARTS, "view")(summary, words)


def one_column(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """Show how a column spreads in each class, its positive rate, its numbers, its findings."""
    ranking = {line["column"]: line for line in summary["association"]["ranking"]}
    unranked = [name for name in summary["columns"] if name not in ranking]
    label = "Column, strongest association first"
    name = st.selectbox(label, [*ranking, *unranked], key="column", bind="query-params")
    column = summary["columns"][name]
    if column["help"]:
        st.text(column["help"])
    if not column["used"]:
        st.info(plain(f"Not used by the model: {column['why']}"), icon=":material/block:")
    has_groups = any(key in column for key in ("histogram", "levels", "periods"))
    if has_groups and column["distinct"]:
        left, right = st.columns(2)
        draw(table.distribution(column, words), "How the values spread in each class", left)
        rate = table.rate(column, summary["overview"]["positive_rate"], words)
        draw(rate, "Positive rate by value, with 95% intervals", right)
    alone = ranking[name]["alone"] if name in ranking else None
    if alone:
        st.text(
            f"ROC AUC of this column alone: {alone['value']:.3f} "
            f"({alone['low']:.3f} to {alone['high']:.3f}); 0.5 says nothing"
        )
    drawing.table(pd.DataFrame(numbers(column), columns=["", "Value"]))
    error_guard.show_findings(f for f in from_dicts(summary["findings"]) if f.subject == name)


def numbers(column: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the key numbers of a column, as (name, text)."""
    missing = column["missing"]
    rows = [
        ("Kind", column["kind"]),
        ("Distinct values", f"{column['distinct']:,}"),
        ("Missing", f"{missing['rows']:,} ({percent(missing['share'])})"),
    ]
    if missing["rows"] and missing.get("positive_rate") is not None:
        rows.append(("Positive rate where missing", percent(missing["positive_rate"])))
    for label, key in (("Mean", "mean"), ("Standard deviation", "sd"), ("Skew", "skew")):
        if column.get(key) is not None:
            rows.append((label, f"{column[key]:,.4g}"))
    quantiles = column.get("quantiles") or {}
    for label, key in QUANTILES.items():
        if quantiles.get(key) is not None:
            rows.append((label, f"{quantiles[key]:,.6g}"))
    if "outliers" in column:
        outliers = column["outliers"]
        count = outliers["low"] + outliers["high"]
        rows.append(("Beyond Tukey's fences", f"{count:,} ({percent(outliers['share'])})"))
    if "first" in column:
        rows.append(("From, to", f"{column['first'][:10]} to {column['last'][:10]}"))
    return rows


def all_columns(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """Show association with the target, missing cells, correlations, change over time."""
    columns, trend = summary["columns"], summary["trend"]
    ranking = summary["association"]["ranking"]
    draw(table.association(ranking), "Association of each column with the target")
    if trend and trend["period"]:
        draw(table.trend(trend, words), "Positive rate over time")
    if summary["overview"]["missing_cells"]:
        draw(table.missing(columns), "Missing share of each column")
    if len(summary["correlation"]["columns"]) > 1:
        draw(table.correlation(summary["correlation"]), "Correlations of numbers")
    if any("outliers" in column for column in columns.values()):
        draw(table.outliers(columns), "Outliers by Tukey's fences")


def all_findings(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """Show the findings of the checks, and notes on the figures."""
    error_guard.show_findings(condensed(from_dicts(summary["findings"])))
    for note in summary["notes"]:
        st.text(note)


PARTS = {"One column": one_column, "All columns": all_columns, "Findings": all_findings}
main()
