"""The model that this visitor looks at, and the threshold at which it decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from fivefold.core.scope import problem_name
from fivefold.journal.promotions import Promotion
from fivefold.serving.served_model import ServedModel
from fivefold.training.leaderboard import title
from frontend.data import runs, served_model
from frontend.widgets.address import choose
from frontend.widgets.plain_text import plain

SERVED, LATEST = "served", "latest"
OWN_THRESHOLD = "own_threshold"  # session state: {run, value, why} from the page Decision
DEFAULT = "model_default"  # session state: the default when this visit was last drawn
HELP = (
    "Served: the promoted model at its promoted threshold. Latest: the newest finished run. "
    "Or choose a run. The page's address keeps the choice."
)


def select_model() -> None:
    """Show the model choice of the sidebar; the address keeps it as ?model=."""
    finished = [option for option in runs.run_ids() if runs.overview(option).finished]
    if not finished:
        return  # nothing to choose yet; the pages say what to type
    state = served_model.state()
    options = [LATEST, *finished]
    if state.promotion:
        options.insert(0, SERVED)
    _follow_default(options[0])
    chosen = choose("Model", options, "model", _option_label, help=HELP)
    run_in_view = run_id()
    run = runs.overview(run_in_view)
    auc = "unknown" if run.auc is None else f"{run.auc:.3f} ({run.low:.3f} to {run.high:.3f})"
    st.caption(f"Run {run.run_id}, held-out ROC AUC {auc}")
    for caution in run.cautions:
        st.warning(plain(caution), icon=":material/warning:")
    if state.trouble:
        st.caption(f"The journal cannot be read: {_unread_journal_text(state.promotion)}")
        st.caption(plain(state.trouble))
    if served_text := _served_text(chosen, run_in_view, state):
        st.caption(served_text)
    if own := _own_threshold(run_in_view):
        st.caption(f"Your threshold: {own['value']:.1%} (this visit only)")
        st.button("Back to the model's threshold", on_click=drop_threshold)


def run_id() -> str:
    """Return the id of the chosen run. Raises `Refused` where no run has finished."""
    promotion = served_promotion()
    if promotion:
        return promotion.run_id
    chosen = st.session_state.get("model", LATEST)
    return runs.latest_id() if chosen in (SERVED, LATEST) else chosen


def served_promotion() -> Promotion | None:
    """Return the promotion in force where the choice is Served; else None."""
    promotion = served_model.state().promotion
    default = SERVED if promotion else LATEST
    return promotion if st.session_state.get("model", default) == SERVED else None


def shared_model() -> ServedModel:
    """Return the chosen model at the threshold that all visitors share. Raises `Refused`."""
    promotion = served_promotion()
    return runs.served(promotion) if promotion else runs.model(run_id())


def model() -> ServedModel:
    """Return the chosen model, at this visitor's own threshold where there is one."""
    shared = shared_model()
    own = _own_threshold(shared.pathspec.rpartition("/")[2])
    return replace(shared, bundle=shared.bundle.with_threshold(**own)) if own else shared


def problem() -> str:
    """Return the journal's name for the problem of the chosen model. Raises `Refused`."""
    promotion = served_promotion()
    if promotion:
        return promotion.problem
    return problem_name({"title": runs.overview(run_id()).title})


def keep_threshold(run: str, threshold: dict[str, Any]) -> None:
    """Make a threshold ({value, why}) this visitor's own, for this run only."""
    st.session_state[OWN_THRESHOLD] = {"run": run, **threshold}


def drop_threshold() -> None:
    """Return to the threshold that all visitors share."""
    st.session_state.pop(OWN_THRESHOLD, None)


def _own_threshold(run: str) -> dict[str, Any] | None:
    own = st.session_state.get(OWN_THRESHOLD)
    if not own or own["run"] != run:
        return None
    return {"value": own["value"], "why": own["why"]}


def _follow_default(default: str) -> None:
    """Let a visit that never chose follow a new default, as after the first promotion."""
    before = st.session_state.get(DEFAULT)
    if before not in (None, default) and st.session_state.get("model") == before:
        st.session_state.pop("model")
    st.session_state[DEFAULT] = default


def _unread_journal_text(last_known: Promotion | None) -> str:
    if last_known:
        return "Served is the model that was promoted when it last could be read."
    return "which model is promoted is unknown. Latest is the newest finished run."


def _served_text(chosen: str, run: str, state: served_model.ServedState) -> str:
    """Return how the chosen model relates to the promoted one."""
    promotion = state.promotion
    if promotion is None:
        if state.trouble:
            return ""
        newest = " This is the newest finished run." if chosen == LATEST else ""
        return f"No model is promoted.{newest}"
    acts = f"acting at {promotion.threshold:.1%} or more"
    if chosen == SERVED:
        return f"Served since {promotion.at:%Y-%m-%d %H:%M} UTC, {acts}"
    if promotion.run_id == run:
        return f"This run is served, {acts}. Here it acts at the threshold of its training."
    return ""


def _option_label(option: str) -> str:
    if option in (SERVED, LATEST):
        return option.capitalize()
    run = runs.overview(option)
    started = (run.started or "")[:16].replace("T", " ")
    return f"{started} · {title(run.algorithm or '')} · {run.title}"
