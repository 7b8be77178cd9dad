"""Signature: who decides or reports something that goes on record, and why."""

from __future__ import annotations

import streamlit as st

NAME = "name_of_visitor"  # session state: what this visitor signed with last


def name(key: str) -> str:
    """Ask for the visitor's name; the last one given is filled in."""
    return str(
        st.text_input(
            "Your name",
            value=st.session_state.get(NAME, ""),
            key=f"name {key}",
            max_chars=100,
            autocomplete="name",
            help="Goes on record, as you write it.",
        )
    ).strip()


def reason(key: str) -> str:
    """Ask for the visitor's reason."""
    return str(
        st.text_input("Reason", key=f"reason {key}", max_chars=1000, help="Goes on record.")
    ).strip()


def signed(who: str, why: str | None = None) -> bool:
    """Return whether name and needed reason are given; ask for what is missing."""
    lacking = [word for word, text in (("a reason", why), ("your name", who)) if text == ""]
    if lacking:
        st.error(
            f"Nothing was changed: {' and '.join(lacking)} must go on record.",
            icon=":material/error:",
        )
        return False
    st.session_state[NAME] = who
    return True
