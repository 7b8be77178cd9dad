"""Inputs: from typed columns to the model's input columns. Stateless: nothing is learnt from the rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.data.parsing import days

MISSING = "(missing)"


def expand(typed: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """The model's input columns from a typed table (`fivefold.data.coerce.coerce_table`); same rows, nothing learnt.

    A date becomes days since 1970, month, weekday and, where there is one, the hour; two to four date columns also
    give their pairwise distance in days. Missing categories and texts become texts of their own.
    """
    return pd.DataFrame(
        expand_columns({name: typed[name].array for name in schema.names()}, schema),
        index=typed.index,
    )


def expand_columns(typed: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """As `expand`, from and to columns as arrays by name (`fivefold.data.coerce.coerce_columns`): numbers float64, texts `str`."""
    columns: dict[str, Any] = {}
    taken = {
        column.name for column in schema.columns
    }  # a column of the table keeps its name, no part may take it
    dates = {name: days(typed[name]) for name in schema.names("date")}
    for name in schema.names():
        values, kind = typed[name], schema[name].kind
        if kind == "date":
            columns |= {
                key: part
                for key, part in _date_parts(name, values, dates[name]).items()
                if key == name or key not in taken
            }
        elif kind in ("categorical", "text"):
            words = values if values.dtype == "str" else pd.array(values, dtype="str")
            columns[name] = words.fillna(MISSING if kind == "categorical" else "")
        else:
            columns[name] = np.asarray(values, dtype="float64")
    names = list(dates)
    if 2 <= len(names) <= 4:
        columns |= {
            key: dates[a] - dates[b]
            for i, a in enumerate(names)
            for b in names[i + 1 :]
            if (key := f"{a} - {b} (days)") not in taken
        }
    return columns


def _date_parts(name: str, stamps: Any, number: np.ndarray) -> dict[str, np.ndarray]:
    parts = {
        name: number,
        f"{name} (month)": stamps.month,
        f"{name} (weekday)": stamps.weekday,
        f"{name} (hour)": stamps.hour,
    }
    return {key: np.asarray(part, dtype="float64") for key, part in parts.items()}
