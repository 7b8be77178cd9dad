"""Asking: what pages read from the journal besides what is served; kept for seconds, so that redrawing costs little."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.journal import alerts, database
from fivefold.journal import labels as journal_labels
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle import retrain_rule, steps
from frontend.data import served_model
from frontend.data.runs import TTL

DAYS = 30  # of which label coverage is told
MOST = 50  # warnings and reasons that are listed
MINUTE = 60  # seconds for which what takes long is kept


def watched(problem: str) -> dict[str, Any]:
    """{reports, oldest first; alerts, newest first; due: whether a new model is due}. Raises `Refused`."""
    return _watched(settings.journal_url(), problem)


def unusual(problem: str, start: str, end: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(warnings by frequency, refusals by frequency and source) of a window. Raises `Refused`."""
    return _unusual(settings.journal_url(), problem, start, end)


def labels(problem: str) -> dict[str, int]:
    """`fivefold.journal.labels.counts`. Raises `Refused`."""
    return served_model.query(journal_labels.counts, problem)


def coverage(problem: str) -> dict[str, Any]:
    """{predictions, labelled} of the last `DAYS` days. Raises `Refused`."""
    return _coverage(settings.journal_url(), problem)


def forget_labels() -> None:
    """Labels were given here: count anew."""
    _coverage.clear()


@st.cache_data(ttl=TTL, max_entries=20, show_spinner=False)
def _watched(url: str, problem: str) -> dict[str, Any]:
    reports, now = served_model.query(journal_reports.reports, problem), utc_now()
    return {
        "reports": reports,
        "alerts": served_model.query(alerts.alerts, problem),
        "due": retrain_rule.due(
            reports, now, served_model.query(steps.last_challenge, problem, now)
        ),
    }


@st.cache_data(ttl=MINUTE, max_entries=20, show_spinner="Reading the journal …")
def _unusual(url: str, problem: str, start: str, end: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    since, until = datetime.fromisoformat(start), datetime.fromisoformat(end)
    told = served_model.query(
        database.read_predictions, problem, since, until, columns=("warnings",)
    )["warnings"]
    notes = told[told != ""].str.split("; ").explode()
    refused = served_model.query(database.read_rejects, problem, since, until)
    return (
        notes.value_counts().head(MOST).rename_axis("Warning").reset_index(name="Rows"),
        refused.groupby(["reason", "source"])
        .size()
        .sort_values(ascending=False)
        .head(MOST)
        .rename_axis(["Reason", "From"])
        .reset_index(name="Rows"),
    )


@st.cache_data(ttl=MINUTE, max_entries=20, show_spinner="Reading the journal …")
def _coverage(url: str, problem: str) -> dict[str, Any]:
    since = utc_now() - timedelta(days=DAYS)
    found = served_model.query(database.read_predictions, problem, since, columns=("id",))["label"]
    return {"predictions": len(found), "labelled": int(found.notna().sum())}
