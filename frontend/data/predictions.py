"""The app's answers go into the journal before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.findings import Refused
from fivefold.journal import writer
from fivefold.journal.writer import NotKept
from fivefold.model.bundle import Assessment
from fivefold.serving.batch import ScoredTable
from fivefold.serving.journal_rows import JournalRows, Recorder
from fivefold.serving.served_model import ServedModel
from frontend.data import served_model

SOURCE = "app"
LOT = 10_000  # rows that are recorded at a time
WAITS = " · the journal takes nothing now: recorded in a file, from which it will be moved there"


def keep(
    model: ServedModel,
    rows: Sequence[Mapping[str, Any]],
    assessment: Assessment,
    ids: Sequence[str],
    latency_ms: float,
) -> str:
    """Record scored and refused rows in the journal, or in the spool while the journal fails.

    Returns "journal" or "spool". Raises `NotKept` where both fail.
    """
    return _keep(_recorder(model).rows(rows, assessment, ids, utc_now(), latency_ms))


def keep_table(
    model: ServedModel,
    frame: pd.DataFrame,
    scored: ScoredTable,
    progress: Callable[[int, int], None],
) -> str:
    """Do as `keep` for a whole table; a repetition adds nothing."""
    recorder = _recorder(model)
    frame = frame.rename(columns=str)
    ids = scored.ids
    places = {"journal"}
    for start in range(0, len(frame), LOT):
        stop = min(start + LOT, len(frame))
        assessment = scored.assessment.part(start, stop)
        rows = recorder.table(frame.iloc[start:stop], assessment, ids[start:stop], utc_now())
        places.add(_keep(rows))
        progress(stop, len(frame))
    return "spool" if "spool" in places else "journal"


def tell_lost(why: str) -> None:
    """Show that an answer could not be recorded."""
    st.error(
        "This could not be recorded, so it is not answered. Try again in a moment.",
        icon=":material/error:",
    )
    st.text(why)


def _recorder(model: ServedModel) -> Recorder:
    try:
        return Recorder(model, SOURCE, settings.pseudonym_key())
    except OSError as error:
        raise NotKept(f"the key of pseudonyms cannot be read or made ({error})") from None


def _keep(rows: JournalRows) -> str:
    spool = settings.spool_folder()
    try:
        engine = served_model.engine()
    except Refused:
        engine = None  # takes no row, so that they go to the spool
    where = writer.keep(engine, spool, *rows)
    if where == "journal":
        writer.empty(engine, spool, writer.LOT)  # what had to wait before
    return where
