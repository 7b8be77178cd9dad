"""Address: choices that stand in the page's address, so that a link shows what its sender saw.

Streamlit's own binding (bind="query-params") writes an option's label; these are lists whose labels are for people, so
the option itself is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def choose(
    label: str, options: Sequence[str], key: str, labels: Callable[[str], str] = str, **more: Any
) -> str:
    """A selectbox whose choice is kept as ?key=option; the first option is the default and leaves no trace."""
    wanted = st.session_state.get(key, st.query_params.get(key))
    if wanted in options:
        st.session_state[key] = wanted
    else:
        st.session_state.pop(key, None)  # a run that is gone, or an address that was mistyped
    chosen = st.selectbox(label, options, key=key, format_func=labels, **more)
    if chosen == options[0]:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = chosen
    return chosen


def slide(
    label: str, low: float, high: float, start: float, key: str, of: str, **more: Any
) -> float:
    """A slider that starts at `start`, kept during the visit for each `of` (a run), and in the address as ?key=number.

    The address speaks for the run that a visit begins with; another run starts from its own value.
    """
    own = f"{key} {of}"
    if own not in st.session_state:
        st.session_state[own] = (
            start if f"{key} of" in st.session_state else _number(key, low, high, start)
        )
    st.session_state[f"{key} of"] = of
    value = st.slider(label, low, high, key=own, persist_state="session", **more)
    if value == start:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = f"{value:.6g}"
    return value


def _number(key: str, low: float, high: float, start: float) -> float:
    """The address's number within the slider's ends, `start` where it has none."""
    try:
        value = float(st.query_params.get(key, start))
    except ValueError:
        return start
    return min(max(value, low), high) if math.isfinite(value) else start
