"""Data: the report on the table that a model was trained on, column by column."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fivefold.charts import table
from fivefold.core.findings import from_dicts
from frontend.data import runs
from frontend.widgets import error_guard, model_choice
from frontend.widgets.drawing import draw
from frontend.widgets.plain_text import plain


def main() -> None:
    summary = runs.summary(model_choice.run_id())
    scope, seen = summary["scope"], summary["overview"]
    words = (scope["negative_phrase"] or "negative", scope["positive_phrase"] or "positive")
    st.title(plain(scope["title"] or "Data"))
    st.text(f"{summary['source'].get('source', '')} · md5 {summary['source'].get('md5', '')}")
    boxes = st.columns(4)
    boxes[0].metric("Rows", f"{seen['rows']:,}", border=True)
    boxes[1].metric(
        "Columns",
        f"{seen['columns']:,}",
        border=True,
        help=plain(", ".join(f"{n} {kind}" for kind, n in seen["kinds"].items())),
    )
    boxes[2].metric(
        plain(f"Share {words[1]}"),
        _percent(seen["positive_rate"]),
        border=True,
        help=f"95% interval {_percent(seen['positive_low'])} to {_percent(seen['positive_high'])}",
    )
    boxes[3].metric("Missing cells", _percent(seen["missing_share"]), border=True)
    part = st.segmented_control(
        "Show",
        list(PARTS),
        default="One column",
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    PARTS[part or "One column"](summary, words)


def one_column(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """One column: how it spreads in each class, its positive rate, its numbers, its findings."""
    ranking = {line["column"]: line for line in summary["association"]["ranking"]}
    names = [*ranking, *(n for n in summary["columns"] if n not in ranking)]
    name = st.selectbox(
        "Column, strongest association first", names, key="column", bind="query-params"
    )
    column = summary["columns"][name]
    if column["help"]:
        st.text(column["help"])
    if not column["used"]:
        st.info(plain(f"Not used by the model: {column['why']}"), icon=":material/block:")
    if any(key in column for key in ("histogram", "levels", "periods")) and column["distinct"]:
        left, right = st.columns(2)
        draw(table.distribution(column, words), "How the values spread in each class", left)
        draw(
            table.rate(column, summary["overview"]["positive_rate"], words),
            "Positive rate by value, with 95% intervals",
            right,
        )
    line = ranking.get(name)
    if line and line["alone"]:
        st.text(
            f"ROC AUC of this column alone: {line['alone']['value']:.3f} "
            f"({line['alone']['low']:.3f} to {line['alone']['high']:.3f}); 0.5 says nothing"
        )
    st.dataframe(pd.DataFrame(numbers(column), columns=["", "Value"]), hide_index=True)
    error_guard.show_findings(f for f in from_dicts(summary["findings"]) if f.subject == name)


def numbers(column: dict[str, Any]) -> list[tuple[str, str]]:
    """The key numbers of a column, as texts."""
    told = [
        ("Kind", column["kind"]),
        ("Distinct values", f"{column['distinct']:,}"),
        ("Missing", f"{column['missing']['rows']:,} ({_percent(column['missing']['share'])})"),
    ]
    if column["missing"]["rows"] and column["missing"].get("positive_rate") is not None:
        told.append(("Positive rate where missing", _percent(column["missing"]["positive_rate"])))
    for label, key in (("Mean", "mean"), ("Standard deviation", "sd"), ("Skew", "skew")):
        if column.get(key) is not None:
            told.append((label, f"{column[key]:,.4g}"))
    told += [
        (label, f"{column['quantiles'][key]:,.6g}")
        for label, key in (
            ("Least", "min"),
            ("First quartile", "p25"),
            ("Median", "p50"),
            ("Third quartile", "p75"),
            ("Largest", "max"),
        )
        if column.get("quantiles") and column["quantiles"][key] is not None
    ]
    if "outliers" in column:
        told.append(
            (
                "Beyond Tukey's fences",
                f"{column['outliers']['low'] + column['outliers']['high']:,} "
                f"({_percent(column['outliers']['share'])})",
            )
        )
    if "first" in column:
        told.append(("From, to", f"{column['first'][:10]} to {column['last'][:10]}"))
    return told


def all_columns(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """What goes with the target, what is missing, what goes together, what changes over time."""
    draw(
        table.association(summary["association"]["ranking"]),
        "Association of each column with the target",
    )
    if summary["trend"] and summary["trend"]["period"]:
        draw(table.trend(summary["trend"], words), "Positive rate over time")
    if summary["overview"]["missing_cells"]:
        draw(table.missing(summary["columns"]), "Missing share of each column")
    if len(summary["correlation"]["columns"]) > 1:
        draw(table.correlation(summary["correlation"]), "Correlations of numbers")
    if any("outliers" in c for c in summary["columns"].values()):
        draw(table.outliers(summary["columns"]), "Outliers by Tukey's fences")


def all_findings(summary: dict[str, Any], words: tuple[str, str]) -> None:
    """What the checks found, and what to know about the figures."""
    error_guard.show_findings(from_dicts(summary["findings"]))
    for note in summary["notes"]:
        st.text(note)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


PARTS = {"One column": one_column, "All columns": all_columns, "Findings": all_findings}
main()
