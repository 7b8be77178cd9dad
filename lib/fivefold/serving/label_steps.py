"""Feedback stages: a table of labels into the journal, for `flows/feedback.py` and the app."""

from __future__ import annotations

from typing import Any

import pandas as pd

from fivefold.core.scope import problem_name
from fivefold.core.settings import journal_url, pseudonym_key
from fivefold.data import source as sources
from fivefold.journal import database, promotions
from fivefold.journal import labels as journal_labels
from fivefold.model.bundle import Bundle
from fivefold.serving import labels, served_model


def take(data: str, query: str, problem: str, who: str) -> str:
    """Record the labels of a table; what became of them, in words. Raises `Refused`."""
    engine = database.open_journal(journal_url())
    name = problem or promotions.newest_problem(engine)
    line = promotions.champion(engine, name) if name else None
    if line is None:
        raise served_model.no_model(name)
    table = sources.read(data, query=query or None)
    counts = add_table(
        engine, served_model.load(line["model"]).bundle, table.frame, source="file", who=who
    )
    return f"{table.rows:,} labels of {name}: {labels.told(counts)}"


def add_table(
    engine: Any, bundle: Bundle, frame: pd.DataFrame, *, source: str, who: str
) -> dict[str, int]:
    """Record a table of labels for the problem of `bundle`; counts as `add_labels`. Raises `Refused`."""
    scope = bundle.about["scope"]
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    labels.columns_of(list(frame.columns), bundle.schema, scope)
    cells = frame.astype("object").where(frame.notna(), None)
    rows = [dict(zip(cells.columns, row, strict=True)) for row in cells.itertuples(index=False)]
    lines = labels.read_labels(rows, bundle.schema, scope, pseudonym_key())
    return journal_labels.add_labels(engine, problem_name(scope), lines, source=source, who=who)
