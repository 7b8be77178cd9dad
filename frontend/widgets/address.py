"""Choices that the page's address keeps, so that a link shows what its sender saw.

Streamlit's own binding (bind="query-params") writes the label of an option. Here labels are for
people, so the option itself is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st


def choose(
    label: str, options: Sequence[str], key: str, labels: Callable[[str], str] = str, **more: Any
) -> str:
    """Show a selectbox whose choice the address keeps as ?key=option, except the first option."""
    wanted = st.session_state.get(key, st.query_params.get(key))
    if wanted in options:
        st.session_state[key] = wanted
    else:
        st.session_state.pop(key, None)  # a run that is gone, or an address that was mistyped
    chosen = st.selectbox(label, options, key=key, format_func=labels, **more)
    _write(key, None if chosen == options[0] else chosen)
    return chosen


def choose_part(parts: Mapping[str, Callable[..., None]], key: str) -> Callable[..., None]:
    """Show the parts of a page side by side, the first one chosen; return the chosen function."""
    first = next(iter(parts))
    chosen = st.segmented_control(
        "Show",
        list(parts),
        default=first,
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    return parts[chosen or first]


def slide(
    label: str, low: float, high: float, start: float, key: str, of: str, **more: Any
) -> float:
    """Show a slider that begins at `start`; the address keeps its value as ?key=number.

    The value is kept during the visit for each `of` (a run). The address counts for the run that a
    visit begins with; another run begins at its own `start`.
    """
    own_key, run_key = f"{key} {of}", f"{key} of"
    if own_key not in st.session_state:
        is_first_run = run_key not in st.session_state
        st.session_state[own_key] = _number(key, low, high, start) if is_first_run else start
    st.session_state[run_key] = of
    value = st.slider(label, low, high, key=own_key, persist_state="session", **more)
    _write(key, None if value == start else f"{value:.6g}")
    return value


def _write(key: str, value: str | None) -> None:
    """Write a value to the address, or remove it."""
    if value is None:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = value


def _number(key: str, low: float, high: float, default: float) -> float:
    """Return the address's number within the ends of the slider; `default` without one."""
    try:
        value = float(st.query_params.get(key, default))
    except ValueError:
        return default
    return min(max(value, low), high) if math.isfinite(value) else default
