"""Address: choices that stand in the page's address, so that a link shows what its sender saw.

Streamlit's own binding (bind="query-params") writes an option's label; these are lists whose labels are for people, so
the option itself is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def choose(label: str, options: Sequence[str], key: str, labels: Callable[[str], str] = str, **more: Any) -> str:
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
