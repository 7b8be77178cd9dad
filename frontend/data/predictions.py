"""Recording: the app's answers go into the journal before anybody sees them."""

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
from fivefold.serving import journal_rows
from fivefold.serving.batch import ID
from fivefold.serving.served_model import ServedModel
from frontend.data import served_model

SOURCE = "app"
ANSWER = "answer"  # session state: what this visitor asked last and what was answered
LOT = 10_000  # rows that are turned into lines at a time
WAITS = " · the journal takes nothing now: recorded in a file, from which it will be moved there"


def keep(
    model: ServedModel,
    rows: Sequence[Mapping[str, Any]],
    scores: pd.DataFrame,
    ids: Sequence[str],
    latency_ms: float | None = None,
) -> str:
    """Record scored and refused rows: "journal", or "spool" while the journal takes none. Raises `NotKept`."""
    try:
        key = settings.pseudonym_key()
    except OSError as broken:
        raise NotKept(f"the key of pseudonyms cannot be read or made ({broken})") from None
    lines = journal_rows.records(
        model.bundle,
        model.sha256,
        rows,
        scores,
        ids,
        source=SOURCE,
        at=utc_now(),
        key=key,
        latency_ms=latency_ms,
    )
    spool = settings.spool_folder()
    try:
        engine = served_model.engine()
    except Refused:
        engine = None  # takes no line, so that they go to the spool
    where = writer.keep(engine, spool, *lines)
    if where == "journal":
        writer.empty(engine, spool, writer.LOT)  # what had to wait before
    return where


def keep_table(
    model: ServedModel,
    frame: pd.DataFrame,
    scored: pd.DataFrame,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> str:
    """`keep` for a table and what `fivefold.serving.batch.score_batch` made of it; repeating it doubles nothing."""
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    wanted, where = (
        [name for name in journal_rows.kept_columns(model.bundle) if name in frame.columns],
        "journal",
    )
    for start in range(0, len(frame), LOT):
        part = slice(start, start + LOT)
        scores = scored.iloc[part]
        cells = [
            frame[name].iloc[part].astype("object").tolist() for name in wanted
        ]  # faster than to_dict
        rows = [dict(zip(wanted, row, strict=True)) for row in zip(*cells, strict=True)]
        went = keep(model, rows, scores, scores[ID].tolist())
        where = "spool" if went == "spool" else where
        progress(min(start + LOT, len(frame)), len(frame))
    return where


def tell_lost(why: str) -> None:
    """What stands in place of an answer that could not be recorded."""
    st.error(
        "This could not be recorded, so it is not answered. Try again in a moment.",
        icon=":material/error:",
    )
    st.text(why)
