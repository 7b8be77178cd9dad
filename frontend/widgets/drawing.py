"""Charts of `fivefold.charts` in a page."""

from __future__ import annotations

from typing import Any

import streamlit as st

MARGIN = 90  # pixels of title, legend and axes: Streamlit counts them into the height, cards do not


def draw(chart: Any, description: str, container: Any = st) -> None:
    """Draw the chart in the width of a column or the page; screen readers get `description`."""
    sized = chart.properties(height=chart.height + MARGIN)
    container.altair_chart(sized, theme=None, alt=description)
