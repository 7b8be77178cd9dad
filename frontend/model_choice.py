"""Model choice: which run's model this visitor looks at, and at which threshold."""

from __future__ import annotations

from typing import Any

import streamlit as st

from frontend import reading
from frontend.address import choose
from lib import decision, run_overview
from lib.bundle import Bundle
from lib.selection import title

LATEST = "latest"
OWN = "own_threshold"  # session state: {run, value, why} from the page Decision


def ask() -> None:
    """The sidebar's selection; the choice stands in the address as ?model=."""
    finished = [r for r in reading.run_ids() if reading.overview(r)["status"] == run_overview.FINISHED]
    if not finished:
        return  # nothing to choose yet; the pages say what to type
    choose("Model", [LATEST, *finished], "model", _label,
           help="The newest finished run, or a certain one. The address keeps the choice.")
    run = run_id()
    told = reading.overview(run)
    auc = "unknown" if told["auc"] is None else f"{told['auc']:.3f} ({told['low']:.3f} to {told['high']:.3f})"
    st.caption(f"Run {told['run_id']}, held-out ROC AUC {auc}")
    if own := _own(run):
        st.caption(f"Your threshold: {own['value']:.1%} (this visit only)")
        st.button("Back to the model's threshold", on_click=lambda: st.session_state.pop(OWN, None))


def run_id() -> str:
    """The chosen run. Raises `Refused` where no run has finished."""
    chosen = st.session_state.get("model", LATEST)
    return reading.latest_id() if chosen == LATEST else chosen


def bundle() -> Bundle:
    """The chosen model, with this visitor's own threshold where there is one."""
    run = run_id()
    model, own = reading.bundle(run), _own(run)
    return decision.with_threshold(model, own) if own else model


def keep_threshold(run: str, threshold: dict[str, Any]) -> None:
    """Make a threshold ({value, why}) this visitor's own, for the run on which it was reckoned and no other."""
    st.session_state[OWN] = {"run": run, **threshold}


def _own(run: str) -> dict[str, Any] | None:
    own = st.session_state.get(OWN)
    return {"value": own["value"], "why": own["why"]} if own and own["run"] == run else None


def _label(choice: str) -> str:
    if choice == LATEST:
        return "Latest"
    told = reading.overview(choice)
    return f"{told['started'][:16].replace('T', ' ')} · {title(told['algorithm'] or '')} · {told['title']}"
