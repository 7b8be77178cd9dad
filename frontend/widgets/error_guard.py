"""Shield: what a person sees when a page cannot be shown. Never a traceback; that goes to the log."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable

import pandas as pd
import streamlit as st

from fivefold.core.findings import ERROR, Finding, Refused
from frontend.widgets.plain_text import plain

log = logging.getLogger("fivefold")
TRAIN = "python flows/train.py run"
MARKS = {
    "error": "✖ error",
    "warning": "▲ warning",
    "passed": "✔ passed",
    "not_applicable": "– not judged",
}


def guard(show: Callable[[], None]) -> None:
    """Call `show`; what it refuses is told in the page, what it did not expect is logged under a number."""
    try:
        show()
    except Refused as refused:
        tell(refused)
    except Exception:  # Streamlit's own signals (rerun, stop) are no Exceptions and pass
        number = uuid.uuid4().hex[:8]
        log.exception("page failed, number %s", number)
        st.error(
            f"This page could not be shown. The log of the app says why, under the number {number}. "
            "Reload the page; if it stays so, choose another model at the left.",
            icon=":material/error:",
        )


def tell(refused: Refused) -> None:
    """All reasons of a refusal, as a table: they hold text from data. Where no model is, say what to type."""
    st.error(plain(str(refused).splitlines()[0]), icon=":material/error:")
    findings(refused.findings, (ERROR,))
    if any(f.code == "run-missing" for f in refused.findings):
        no_model()


def findings(
    found: Iterable[Finding], severities: Iterable[str] = tuple(MARKS), codes: bool = False
) -> None:
    """Findings of the given severities as a table, the gravest first. A table's cells are read as Markdown."""
    wanted = tuple(severities)
    rows = [
        {
            "": MARKS[f.severity].replace(" ", "\u00a0"),
            **({"Code": plain(f.code)} if codes else {}),
            "Subject": plain(f.subject),
            "Found": plain(f.found),
            "Expected": plain(f.expected),
            "To do": plain(f.action),
        }
        for f in sorted(found, key=lambda f: list(MARKS).index(f.severity))
        if f.severity in wanted
    ]
    if rows:
        st.table(pd.DataFrame(rows).set_index(""))


def no_model() -> None:
    """What to type to get a model."""
    st.info(
        "No model yet. Type this in the project's folder; this page finds the model by itself when it is done.",
        icon=":material/info:",
    )
    st.code(TRAIN, language="bash")
