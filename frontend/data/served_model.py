"""Served: the journal as the app sees it, and what it says is served now.

A journal that fails is told and breaks no page: asking it raises `Refused`, and what was served last stays.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import streamlit as st

from fivefold.core import settings
from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.journal import database, promotions, writer
from fivefold.journal.promotions import Promotion
from frontend.data.runs import TTL

log = logging.getLogger("fivefold")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Record:
    """The promotions of a problem.

    All of them (newest first), the one in force, what a rollback returns to, and the challenger
    that waits for a decision.
    """

    history: list[Promotion]
    in_force: Promotion | None
    earlier: Promotion | None
    waiting: Promotion | None


def state() -> dict[str, Any]:
    """{promotion: the one in force of the problem that was promoted last, or None; trouble: why the journal could not
    be read now, or ""}. Asked every `TTL` seconds; while there is trouble the promotion is the last one known.
    """
    url, known = settings.journal_url(), _known()
    told = _state_now(url)
    if not told["trouble"]:
        known[url] = told["promotion"]
    return {"promotion": known.get(url), "trouble": told["trouble"]}


def promotion() -> Promotion | None:
    """The promotion in force of the problem that was promoted last; None where nothing is promoted."""
    return state()["promotion"]


def promotions_of(problem: str) -> Record:
    """What the journal says of a problem's promotions. Raises `Refused`."""
    return _record_now(settings.journal_url(), problem)


def refresh() -> None:
    """What is served was changed here: ask anew."""
    _state_now.clear()
    _record_now.clear()


def query(question: Callable[..., Answer], *about: Any, **more: Any) -> Answer:
    """What `question(engine, ...)` of `fivefold` says. Raises `Refused`, also where the journal does not answer."""
    try:
        return question(engine(), *about, **more)
    except Refused:
        raise
    except Exception as broken:  # drivers raise many kinds
        log.warning("the journal did not answer", exc_info=True)
        _opened.clear()  # a file that was replaced has to be brought to the newest revision
        said = str(getattr(broken, "orig", None) or broken).splitlines() or [type(broken).__name__]
        raise Refused(
            "The journal does not answer",
            [
                Finding(
                    code="journal-unreachable",
                    severity=ERROR,
                    subject="journal",
                    found=said[0][:200],
                    expected="a journal that answers",
                    action="try again; if it stays so, see FIVEFOLD_JOURNAL and the log of the app",
                )
            ],
        ) from None


def engine() -> Any:
    """The journal, opened once. Raises `Refused`; one that cannot be opened is tried again after `TTL` seconds."""
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
    found = database.open_journal(url)
    writer.empty(found, settings.spool_folder(), writer.LOT)
    return found


@st.cache_resource(show_spinner=False)
def _failed() -> dict[str, tuple[float, Refused]]:
    """{url: (when, why)} of journals that could not be opened, for all visitors."""
    return {}


@st.cache_resource(show_spinner=False)
def _known() -> dict[str, Promotion | None]:
    """{url: the newest promotion that was read}, for all visitors."""
    return {}


@st.cache_data(ttl=TTL, show_spinner=False)
def _state_now(url: str) -> dict[str, Any]:
    try:
        return {"promotion": query(_newest), "trouble": ""}
    except Refused as refused:
        return {"promotion": None, "trouble": "; ".join(f.found for f in refused.findings)}


@st.cache_data(ttl=TTL, max_entries=20, show_spinner=False)
def _record_now(url: str, problem: str) -> Record:
    in_force = query(promotions.champion, problem)
    return Record(
        history=query(promotions.history, problem),
        in_force=in_force,
        earlier=query(promotions.rollback_target, in_force) if in_force else None,
        waiting=query(promotions.waiting, problem),
    )


def _newest(journal_engine: Any) -> Promotion | None:
    problem = promotions.newest_problem(journal_engine)
    return promotions.champion(journal_engine, problem) if problem else None
