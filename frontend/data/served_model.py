"""The journal as the app sees it, and what it says is served now.

A journal that fails is reported and breaks no page: `query` raises `Refused`, and the promotion
that was read last stays in force.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from fivefold.core import settings
from fivefold.core.findings import Refused, refusal
from fivefold.core.text import error_line
from fivefold.journal import database, promotions, writer
from fivefold.journal.promotions import Promotion
from frontend.data.runs import TTL

log = logging.getLogger("fivefold")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ServedState:
    """What is served.

    promotion: the one in force of the problem that was promoted last, None without one. trouble:
    why the journal cannot be read now, or "".
    """

    promotion: Promotion | None
    trouble: str


@dataclass(frozen=True)
class PromotionRecord:
    """The promotions of a problem.

    history: all, newest first. in_force: the one whose model is served. earlier: what a rollback
    returns to. waiting: the challenger that waits for a decision.
    """

    history: list[Promotion]
    in_force: Promotion | None
    earlier: Promotion | None
    waiting: Promotion | None


def state() -> ServedState:
    """Return what is served, read every `TTL` seconds; in trouble the promotion known last."""
    url, known = settings.journal_url(), _known()
    now = _state_now(url)
    if not now.trouble:
        known[url] = now.promotion
    return ServedState(known.get(url), now.trouble)


def promotions_of(problem: str) -> PromotionRecord:
    """Return the promotions of a problem. Raises `Refused`."""
    return _promotions_now(settings.journal_url(), problem)


def refresh() -> None:
    """Read the promotions again: they were changed here."""
    _state_now.clear()
    _promotions_now.clear()


def query(function: Callable[..., Answer], *arguments: Any, **options: Any) -> Answer:
    """Return `function(engine, ...)`. Raises `Refused`, also where the journal does not answer."""
    try:
        return function(engine(), *arguments, **options)
    except Refused:
        raise
    except Exception as error:  # drivers raise many kinds
        log.warning("the journal did not answer", exc_info=True)
        _opened.clear()  # a file that was replaced has to be brought to the newest revision
        raise refusal(
            "The journal does not answer",
            code="journal-unreachable",
            subject="journal",
            found=error_line(error),
            expected="a journal that answers",
            action="try again; if it fails again, see FIVEFOLD_JOURNAL and the log of the app",
        ) from None


def engine() -> Any:
    """Return the journal, opened once; after a failure it is tried again in `TTL` seconds.

    Raises `Refused`.
    """
    url, failed = settings.journal_url(), _failed()
    if url in failed and time.monotonic() - failed[url][0] < TTL:
        raise failed[url][1].with_traceback(None)
    try:
        return _opened(url)
    except Refused as refused:
        failed[url] = (time.monotonic(), refused)
        raise


@st.cache_resource(show_spinner=False)
def _opened(url: str) -> Any:
    journal = database.open_journal(url)
    writer.empty(journal, settings.spool_folder(), writer.LOT)
    return journal


@st.cache_resource(show_spinner=False)
def _failed() -> dict[str, tuple[float, Refused]]:
    """Return {url: (when, why)} of journals that could not be opened, for all visitors."""
    return {}


@st.cache_resource(show_spinner=False)
def _known() -> dict[str, Promotion | None]:
    """Return {url: the newest promotion that was read}, for all visitors."""
    return {}


@st.cache_data(ttl=TTL, show_spinner=False)
def _state_now(url: str) -> ServedState:
    try:
        return ServedState(query(promotions.champion), "")
    except Refused as refused:
        return ServedState(None, "; ".join(finding.found for finding in refused.findings))


@st.cache_data(ttl=TTL, max_entries=20, show_spinner=False)
def _promotions_now(url: str, problem: str) -> PromotionRecord:
    in_force = query(promotions.champion, problem)
    return PromotionRecord(
        history=query(promotions.history, problem),
        in_force=in_force,
        earlier=query(promotions.rollback_target, in_force) if in_force else None,
        waiting=query(promotions.waiting, problem),
    )
