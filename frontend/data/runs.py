"""Reading: runs and models through the Metaflow Client, each read once and kept as long as it stays true.

What a finished run left never changes, so it is kept by the run's id; which run is the newest is asked every `TTL`
seconds, so that a model that has just been trained is found without a restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from fivefold.model import calibration
from fivefold.model.bundle import Bundle
from fivefold.serving import served_model
from fivefold.tracking import cards, client
from fivefold.tracking import overview as run_overview

TTL = 5  # seconds
NEWEST = 300  # runs that are read and listed: each costs about 15 ms, once


@st.cache_data(ttl=TTL, show_spinner=False)
def latest_id() -> str:
    """The id of the newest finished run. Raises `Refused` where there is none."""
    return client.find_run().id


@st.cache_data(ttl=TTL, show_spinner=False)
def run_ids() -> list[str]:
    """The newest `NEWEST` runs, newest first."""
    return run_overview.run_ids()[:NEWEST]


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def model(run_id: str) -> served_model.ServedModel:
    """A run's model, loaded after its sha256 and its types were checked; shared by all visitors, never changed."""
    return served_model.load(f"{client.FLOW}/{run_id}")


def bundle(run_id: str) -> Bundle:
    """The bundle of `model`."""
    return model(run_id).bundle


def served(line: dict[str, Any]) -> served_model.ServedModel:
    """The model of a promotion at its threshold. Raises `Refused` where the run's model is not the one promoted."""
    return _served_kept(
        *(line[name] for name in ("model", "sha256", "threshold", "why", "at")), _line=line
    )


def overview(run_id: str) -> dict[str, Any]:
    """`fivefold.tracking.overview.overview`; kept for good once the run is finished."""
    kept = _finished()
    if run_id not in kept:
        told = _overview_now(run_id)
        if told["status"] != run_overview.FINISHED:
            return told
        kept[run_id] = told
    return kept[run_id]


def details(run_id: str) -> dict[str, Any]:
    """`fivefold.tracking.overview.details`; kept for good once the run is finished."""
    finished = overview(run_id)["status"] == run_overview.FINISHED
    return _details_kept(run_id) if finished else run_overview.details(run_id)


@st.cache_data(max_entries=8, show_spinner="Reading the data report …")
def summary(run_id: str) -> dict[str, Any]:
    """The EDA summary of a run."""
    return run_overview.summary(run_id)


@st.cache_data(max_entries=4, show_spinner="Reading the scores …")
def judged(run_id: str) -> tuple[Any, Any]:
    """(y, calibrated out-of-fold probabilities) of a run's training rows."""
    found = run_overview.judged(run_id)
    return calibration.judged_scores(
        found["labels"], found["oof"], found["place"], bundle(run_id).about["calibration"]
    )


def card(run_id: str, name: str) -> str | None:
    """A card's HTML; kept once the run is finished, read anew while it goes on."""
    if overview(run_id)["status"] == run_overview.FINISHED:
        return _card_kept(run_id, name)
    return cards.card_html(client.find_run(run_id), name)


def arms(run_id: str) -> list[str]:
    """The algorithms whose search has begun."""
    return [name for name, _ in cards.arms(client.find_run(run_id))]


@st.cache_resource(max_entries=4, show_spinner=False)
def _served_kept(
    pathspec: str, sha256: str, *_told: Any, _line: dict[str, Any]
) -> served_model.ServedModel:
    found = model(pathspec.rpartition("/")[2])
    if found.sha256 != sha256:
        return served_model.load(pathspec, _line)  # which says what is wrong
    return replace(found, bundle=served_model.at_threshold(found.bundle, _line), promotion=_line)


@st.cache_data(ttl=TTL, max_entries=2000, show_spinner=False)
def _overview_now(run_id: str) -> dict[str, Any]:
    return run_overview.overview(run_id)


@st.cache_resource(show_spinner=False)
def _finished() -> dict[str, dict[str, Any]]:
    """Overviews of finished runs by id, for all visitors."""
    return {}


@st.cache_data(max_entries=16, show_spinner="Reading the run …")
def _details_kept(run_id: str) -> dict[str, Any]:
    return run_overview.details(run_id)


@st.cache_data(max_entries=8, show_spinner="Reading the card …")
def _card_kept(run_id: str, name: str) -> str | None:
    return cards.card_html(client.find_run(run_id), name)
