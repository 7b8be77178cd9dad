"""Model choice: which run's model this visitor looks at, and at which threshold."""

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
OWN = "own_threshold"  # session state: {run, value, why} from the page Decision
DEFAULT = "model_default"  # session state: what was the default when this visit was last drawn


def ask() -> None:
    """The sidebar's selection; the choice stands in the address as ?model=."""
    finished = [r for r in runs.run_ids() if runs.overview(r).finished]
    if not finished:
        return  # nothing to choose yet; the pages say what to type
    now = served_model.state()
    options = [*([SERVED] if now.promotion else []), LATEST, *finished]
    _follow_default(options[0])
    chosen = choose(
        "Model",
        options,
        "model",
        _label,
        help="Served: the promoted model at its promoted threshold. "
        "Latest: the newest finished run. Or a certain run. The address keeps the choice.",
    )
    run = run_id()
    told = runs.overview(run)
    auc = "unknown" if told.auc is None else f"{told.auc:.3f} ({told.low:.3f} to {told.high:.3f})"
    st.caption(f"Run {told.run_id}, held-out ROC AUC {auc}")
    _tell_served(chosen, run, now)
    if own := _own(run):
        st.caption(f"Your threshold: {own['value']:.1%} (this visit only)")
        st.button("Back to the model's threshold", on_click=drop_threshold)


def run_id() -> str:
    """The chosen run. Raises `Refused` where no run has finished."""
    promotion = served_promotion()
    if promotion:
        return promotion.run_id
    chosen = st.session_state.get("model", LATEST)
    return runs.latest_id() if chosen in (SERVED, LATEST) else chosen


def served_promotion() -> Promotion | None:
    """The promotion whose model is looked at, where the choice is Served; else None."""
    promotion = served_model.promotion()
    default = SERVED if promotion else LATEST
    return promotion if st.session_state.get("model", default) == SERVED else None


def everybodys() -> ServedModel:
    """The chosen model at its own threshold, of the served one the promoted threshold. Raises `Refused`."""
    promotion = served_promotion()
    return runs.served(promotion) if promotion else runs.model(run_id())


def model() -> ServedModel:
    """The chosen model, with this visitor's own threshold where there is one."""
    found = everybodys()
    own = _own(found.pathspec.rpartition("/")[2])
    return replace(found, bundle=found.bundle.with_threshold(**own)) if own else found


def problem() -> str:
    """The name under which the journal keeps what belongs to the chosen model. Raises `Refused` without a run."""
    promotion = served_promotion()
    return promotion.problem if promotion else problem_name(runs.overview(run_id()).problem)


def keep_threshold(run: str, threshold: dict[str, Any]) -> None:
    """Make a threshold ({value, why}) this visitor's own, for the run on which it was reckoned and no other."""
    st.session_state[OWN] = {"run": run, **threshold}


def drop_threshold() -> None:
    """Return to the threshold that everybody uses."""
    st.session_state.pop(OWN, None)


def _own(run: str) -> dict[str, Any] | None:
    own = st.session_state.get(OWN)
    return {"value": own["value"], "why": own["why"]} if own and own["run"] == run else None


def _follow_default(first: str) -> None:
    """A visit that never chose follows when the default changes, as by the first promotion."""
    before = st.session_state.get(DEFAULT)
    if before not in (None, first) and st.session_state.get("model") == before:
        st.session_state.pop("model")
    st.session_state[DEFAULT] = first


def _tell_served(chosen: str, run: str, now: served_model.ServedState) -> None:
    """How what is shown stands to what is promoted, and whether the journal could be asked."""
    promotion, trouble = now.promotion, now.trouble
    if trouble:
        st.caption(
            "The journal cannot be read: "
            + (
                "Served is what was promoted when it last could."
                if promotion
                else "which model is promoted is not known, Latest is the newest finished run."
            )
        )
        st.caption(plain(trouble))
    if promotion is None:
        if not trouble:
            st.caption(
                "No model is promoted: this is the newest finished run."
                if chosen == LATEST
                else "No model is promoted."
            )
    elif chosen == SERVED:
        st.caption(
            f"Served since {promotion.at:%Y-%m-%d %H:%M} UTC, acting at {promotion.threshold:.1%} or more"
        )
    elif promotion.run_id == run:
        st.caption(
            f"This run is served, acting at {promotion.threshold:.1%} or more; here it acts at the threshold it "
            "was trained with."
        )


def _label(choice: str) -> str:
    if choice in (SERVED, LATEST):
        return choice.capitalize()
    told = runs.overview(choice)
    return f"{told.started[:16].replace('T', ' ')} · {title(told.algorithm or '')} · {told.title}"
