"""Cells of programs (JSON values, data frames) as a column of a file would hold them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Column

_TEXT = pd.StringDtype(na_value=np.nan)  # "str", without asking pandas each time what that means


def cells_of(values: Sequence[Any], column: Column) -> Any:
    """Return values as the array that `fivefold.data.coerce` reads, missing ones as NaN.

    An array: making a `Series` of each column is slower than scoring some models.
    """
    plain_types = (int, float, type(None))  # a bool is none of them
    if column.kind == "numeric" and all(type(value) in plain_types for value in values):
        return np.array([np.nan if value is None else float(value) for value in values])
    return pd.array([_text(value, column) for value in values], dtype=_TEXT)


def frame_cells(values: pd.Series, column: Column) -> Any:
    """Do as `cells_of` for a column of any type that pandas has."""
    dtype = values.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)
    if column.kind == "numeric" and is_number:
        return values.array.to_numpy(dtype="float64", na_value=np.nan)
    if dtype == _TEXT or pd.api.types.is_datetime64_any_dtype(dtype):
        return values.array
    # equal cells are written once
    codes, different = pd.factorize(values)  # the code of a gap is -1
    plain = [value.item() if hasattr(value, "item") else value for value in different]
    written = cells_of([*plain, None], column)
    return written[codes]


def _text(value: Any, column: Column) -> str | None:
    """Return a value as a file would write it, in the spelling of training."""
    if value is None or isinstance(value, str):
        return value
    text = str(value)
    if isinstance(value, bool):
        lower = text.lower()
        return next((level for level in column.levels if level.lower() == lower), lower)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return text if text in column.levels else str(int(value))
    if isinstance(value, date):  # ISO 8601 reads whatever spelling training had
        return value.isoformat()
    if column.kind == "numeric":  # among texts, and read as they are: 1.234 is not 1,234
        return text.replace(".", column.parse.get("decimal", "."))
    return text
