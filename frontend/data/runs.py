"""Runs and models through the Metaflow Client, each read once and kept as long as it stays true.

What a finished run left never changes, so it is kept by the run's id. Which run is the newest is
asked every `TTL` seconds, so a new model is found without a restart.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from fivefold.journal.promotions import Promotion
from fivefold.model import calibration
from fivefold.model.bundle import Bundle
from fivefold.serving import served_model
from fivefold.tracking import client, metaflow_cards, mirror_outcome
from fivefold.tracking import overview as run_overview
from fivefold.tracking.mirror_outcome import MirrorResult
from fivefold.tracking.overview import RunDetails, RunOverview

TTL = 5  # seconds
NEWEST = 300  # runs that are read and listed: each costs about 15 ms, once


@st.cache_data(ttl=TTL, show_spinner=False)
def latest_id() -> str:
    """Return the id of the newest finished run. Raises `Refused` where there is none."""
    return str(client.find_run().id)


@st.cache_data(ttl=TTL, show_spinner=False)
def run_ids() -> list[str]:
    """Return the ids of the newest `NEWEST` runs, newest first."""
    return [run.id for run in client.all_runs()[:NEWEST]]


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def model(run_id: str) -> served_model.ServedModel:
    """Return a run's model, loaded after its sha256 and its types were checked.

    All visitors share it, and nobody changes it.
    """
    return served_model.load(f"{client.FLOW}/{run_id}")


def bundle(run_id: str) -> Bundle:
    """Return the bundle of `model`."""
    return model(run_id).bundle


@st.cache_resource(max_entries=4, show_spinner=False)
def served(promotion: Promotion) -> served_model.ServedModel:
    """Return the model of a promotion at its threshold.

    Raises `Refused` where the run's model is not the one that was promoted.
    """
    loaded = model(promotion.run_id)
    if loaded.sha256 != promotion.sha256:
        return served_model.load(promotion.model, promotion)  # raises what is wrong
    bundle = served_model.at_threshold(loaded.bundle, promotion.threshold, promotion.why)
    return replace(loaded, bundle=bundle, promotion=promotion)


def overview(run_id: str) -> RunOverview:
    """Return the overview of a run; kept for good once the run is finished."""
    kept = _finished_overviews()
    if run_id in kept:
        return kept[run_id]
    current = _current_overview(run_id)
    if current.finished:
        kept[run_id] = current
    return current


def details(run_id: str) -> RunDetails:
    """Return the details of a run; kept for good once the run is finished."""
    if overview(run_id).finished:
        return _finished_details(run_id)
    return run_overview.details(run_id)


def mirror(run_id: str) -> MirrorResult | None:
    """Return what came of the run's newest MLflow mirror, which may go on or be repeated."""
    return mirror_outcome.find(client.find_run(run_id))


@st.cache_data(max_entries=8, show_spinner="Reading the data report …")
def summary(run_id: str) -> dict[str, Any]:
    """Return the EDA summary of a run."""
    return run_overview.summary(run_id)


@st.cache_data(max_entries=4, show_spinner="Reading the scores …")
def training_scores(run_id: str) -> tuple[Any, Any]:
    """Return (y, calibrated out-of-fold probabilities) of the rows that choose a threshold."""
    rows = run_overview.threshold_data(run_id)
    fitted = bundle(run_id).metadata.calibration
    return calibration.calibrated_oof(rows.y, rows.scores, rows.fold_ids, fitted)


def card(run_id: str, name: str) -> str | None:
    """Return a card's HTML; kept once the run is finished, read again while it goes on."""
    if overview(run_id).finished:
        return _finished_card(run_id, name)
    return metaflow_cards.card_html(client.find_run(run_id), name)


def searches(run_id: str) -> list[str]:
    """Return the algorithms whose search has begun."""
    return list(metaflow_cards.searches(client.find_run(run_id)))


@st.cache_data(ttl=TTL, max_entries=2000, show_spinner=False)
def _current_overview(run_id: str) -> RunOverview:
    return run_overview.overview(run_id)


@st.cache_resource(show_spinner=False)
def _finished_overviews() -> dict[str, RunOverview]:
    """Return the overviews of finished runs by id, for all visitors."""
    return {}


@st.cache_data(max_entries=16, show_spinner="Reading the run …")
def _finished_details(run_id: str) -> RunDetails:
    return run_overview.details(run_id)


@st.cache_data(max_entries=8, show_spinner="Reading the card …")
def _finished_card(run_id: str, name: str) -> str | None:
    return metaflow_cards.card_html(client.find_run(run_id), name)
