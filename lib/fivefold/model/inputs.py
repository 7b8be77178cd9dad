"""Inputs: from typed columns to the model's input columns; nothing is learnt from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import NOW, Schema
from fivefold.data.ages import ages
from fivefold.data.parsing import days

MISSING = "(missing)"
MOST_DATES = 4  # date columns of which pairwise distances are inputs


def expand(typed: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Return the model's input columns for a typed table (`fivefold.data.coerce.coerce_table`).

    A date becomes its age (`fivefold.data.ages`), month, weekday and, where there is one, the hour;
    the reference has no age. Two to four date columns also give their pairwise distances in days.
    Missing categories and texts become texts of their own; of a category with one level, presence
    counts alone, whatever the text. Without a reference, as in older models,
    the days since 1970 are in the place of the age.
    """
    return pd.DataFrame(expand_columns(arrays(typed, schema), schema), index=typed.index)


def arrays(typed: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    """Return the columns of a typed table that `expand_columns` reads."""
    names = [*schema.names(), *([NOW] if NOW in typed else [])]
    return {name: typed[name].array for name in names}


def expand_columns(typed: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Do as `expand` for arrays by name; numbers become float64, texts `str`."""
    columns: dict[str, Any] = {}
    # A derived column never takes the name of a column of the table.
    taken = {column.name for column in schema.columns}
    dates = {name: days(typed[name]) for name in schema.names("date")}
    known_ages = ages(typed, schema)
    for name in schema.names():
        values, kind = typed[name], schema[name].kind
        if kind == "date":
            if not schema.reference:
                columns[name] = dates[name]
            elif name in known_ages:
                columns[name] = known_ages[name]
            for part in ("month", "weekday", "hour"):
                derived = f"{name} ({part})"
                if derived not in taken:
                    columns[derived] = np.asarray(getattr(values, part), dtype="float64")
        elif kind in ("categorical", "text"):
            texts = values if values.dtype == "str" else pd.array(values, dtype="str")
            columns[name] = texts.fillna(MISSING if kind == "categorical" else "")
            if kind == "categorical" and len(schema[name].levels) == 1:
                shown = np.where(texts.isna(), MISSING, schema[name].levels[0])
                columns[name] = pd.array(shown, dtype="str")
        else:
            columns[name] = np.asarray(values, dtype="float64")
    if len(dates) <= MOST_DATES:
        for first, second in combinations(dates, 2):
            name = f"{first} - {second} (days)"
            if name not in taken:
                columns[name] = dates[first] - dates[second]
    return columns
