"""Drawing: charts of `fivefold.charts.table*` in a page."""

from __future__ import annotations

from typing import Any

import streamlit as st

AROUND = (
    90  # pixels of title, legend and axes: Streamlit counts them into the height, a card does not
)


def draw(chart: Any, told: str, place: Any = st) -> None:
    """The chart in the width of its place (a column or the page), with `told` for those who do not see it."""
    place.altair_chart(chart.properties(height=chart.height + AROUND), theme=None, alt=told)
