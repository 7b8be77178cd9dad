"""Charts of `fivefold.charts`, figures, tables and empty files in a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

MARGIN = 90  # pixels of title, legend and axes: Streamlit counts them into the height, cards do not
WHEN = st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm")


def draw(chart: Any, description: str, container: Any = st) -> None:
    """Draw the chart in the width of a column or the page; screen readers get `description`."""
    sized = chart.properties(height=chart.height + MARGIN)
    container.altair_chart(sized, theme=None, alt=description)


def boxes(*figures: tuple[str, ...]) -> None:
    """Show figures side by side, each (label, value) or (label, value, help)."""
    for column, (label, value, *text) in zip(st.columns(len(figures)), figures, strict=True):
        column.metric(label, value, border=True, help=text[0] if text else None)


def table(rows: Any, formats: Mapping[str, Any] | None = None, most: int | None = None) -> None:
    """Show a table without its index, at most `most` pixels high.

    `formats` has by column a format of numbers ("%.1f"), or a column configuration.
    """
    columns = {}
    for name, shape in (formats or {}).items():
        is_format = isinstance(shape, str)
        columns[name] = st.column_config.NumberColumn(format=shape) if is_format else shape
    height: Any = min(38 + 35 * len(rows), most) if most else "auto"
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=height, column_config=columns)


def template(columns: Sequence[str], name: str) -> None:
    """Offer a CSV file that has a header only."""
    st.download_button(
        "Template",
        pd.DataFrame(columns=columns).to_csv(index=False),
        name,
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )
