"""Monitoring data: what pages read from the journal besides what is served.

It is kept for seconds, so that drawing a page again costs little.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.journal import alerts, database, promotions
from fivefold.journal import labels as journal_labels
from fivefold.journal.alerts import Alert
from fivefold.lifecycle import monitor_steps
from fivefold.lifecycle.report import RetrainDecision, WindowReport, retrain_due, window_reports
from frontend.data import served_model
from frontend.data.runs import TTL

DAYS = 30  # for which label coverage is counted
MOST = 50  # warnings and reasons that are listed
MINUTE = 60  # seconds for which slow answers are kept


@dataclass(frozen=True)
class Monitoring:
    """The reports (oldest first), the alerts (newest first), and whether a new model is due."""

    reports: list[WindowReport]
    alerts: list[Alert]
    decision: RetrainDecision


@dataclass(frozen=True)
class Coverage:
    """How many predictions of the last `DAYS` days there are, and how many have a label."""

    predictions: int
    labelled: int


def monitoring(problem: str) -> Monitoring:
    """Return what the monitor found. Raises `Refused`."""
    return _monitoring(settings.journal_url(), problem)


def unusual(problem: str, start: datetime, end: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (warnings, refusals) of a window, the most frequent first. Raises `Refused`."""
    return _unusual(settings.journal_url(), problem, start, end)


def labels(problem: str) -> dict[str, int]:
    """Return how many labels came, by outcome. Raises `Refused`."""
    return served_model.query(journal_labels.counts, problem)


def coverage(problem: str) -> Coverage:
    """Return how many recent predictions have a label. Raises `Refused`."""
    return _coverage(settings.journal_url(), problem)


def refresh_coverage() -> None:
    """Count again: labels were given here."""
    _coverage.clear()


@st.cache_data(ttl=TTL, max_entries=20, show_spinner=False)
def _monitoring(url: str, problem: str) -> Monitoring:
    reports, now = served_model.query(window_reports, problem), utc_now()
    last_challenge = served_model.query(monitor_steps.last_challenge, problem, now)
    sent = served_model.query(alerts.alerts, problem)
    served = served_model.query(promotions.champion, problem)
    model = served.model if served else None
    return Monitoring(reports, sent, retrain_due(reports, now, last_challenge, model))


@st.cache_data(ttl=MINUTE, max_entries=20, show_spinner="Reading the journal …")
def _unusual(
    url: str, problem: str, start: datetime, end: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    frame = served_model.query(
        database.read_predictions, problem, start, end, columns=("warnings",)
    )
    # The warnings of a row stay together: a value in them may hold what stands between them.
    texts = frame["warnings"]
    warnings = texts[texts != ""].value_counts().head(MOST)
    rejects = served_model.query(database.read_rejects, problem, start, end)
    reasons = rejects.groupby(["reason", "source"]).size().sort_values(ascending=False).head(MOST)
    return (
        warnings.rename_axis("Warning").reset_index(name="Rows"),
        reasons.rename_axis(["Reason", "From"]).reset_index(name="Rows"),
    )


@st.cache_data(ttl=MINUTE, max_entries=20, show_spinner="Reading the journal …")
def _coverage(url: str, problem: str) -> Coverage:
    since = utc_now() - timedelta(days=DAYS)
    frame = served_model.query(database.read_predictions, problem, since, columns=("id",))
    return Coverage(len(frame), int(frame["label"].notna().sum()))
