"""What a person sees when a page cannot be shown: the reasons, never a traceback."""

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
MARKS = {  # of each severity, the gravest first
    "error": "✖ error",
    "warning": "▲ warning",
    "passed": "✔ passed",
    "not_applicable": "– not checked",
}
SEVERITIES = tuple(MARKS)


def guard(show: Callable[[], None]) -> None:
    """Call `show`; show the reasons of a refusal, and log any other error under a number."""
    try:
        show()
    except Refused as refused:
        show_refusal(refused)
    except Exception:  # Streamlit's own signals (rerun, stop) are no Exceptions and pass
        number = uuid.uuid4().hex[:8]
        log.exception("page failed, number %s", number)
        st.error(
            "This page could not be shown. Reload it; if that does not help, choose another model "
            f"in the sidebar. The app's log has the reason under the number {number}.",
            icon=":material/error:",
        )


def show_refusal(refused: Refused) -> None:
    """Show all reasons of a refusal as a table; where there is no model, say what to type."""
    st.error(plain(str(refused).splitlines()[0]), icon=":material/error:")
    show_findings(refused.findings, (ERROR,))
    if any(finding.code == "run-missing" for finding in refused.findings):
        no_model()


def show_findings(
    findings: Iterable[Finding], severities: Iterable[str] = SEVERITIES, codes: bool = False
) -> None:
    """Show findings of these severities as a table, the gravest first."""
    wanted = tuple(severities)
    rows = []
    for finding in sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)):
        if finding.severity not in wanted:
            continue
        row = {"": MARKS[finding.severity].replace(" ", "\u00a0")}
        if codes:
            row["Code"] = plain(finding.code)
        # the cells of this table are read as Markdown
        row["Subject"] = plain(finding.subject)
        row["Found"] = plain(finding.found)
        row["Expected"] = plain(finding.expected)
        row["To do"] = plain(finding.action)
        rows.append(row)
    if rows:
        st.table(pd.DataFrame(rows).set_index(""))


def no_model() -> None:
    """Say what to type to get a model."""
    st.info(
        "No model yet. Run this in the project's folder. The page shows the model when it is done.",
        icon=":material/info:",
    )
    st.code(TRAIN, language="bash")
