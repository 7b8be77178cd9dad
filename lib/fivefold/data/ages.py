"""Ages: dates as days before the moment at which their row is known.

A date by itself moves away from what a model has learnt, even where nothing else changes. What a
date says about a case is how long ago it was when the case was looked at. That moment is the
reference of a schema (`fivefold.core.schema.Schema`): a date column, the newest date of each row,
or the day of scoring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from fivefold.core.clock import today
from fivefold.core.schema import NEWEST, NOW, Schema
from fivefold.data.parsing import days

UNIT = "days before {}"
NEVER = 47_481.0  # 2099-12-31: it and what is later stand for "never", and are no newest date
Columns: TypeAlias = Mapping[str, Any] | pd.DataFrame
_DAY = 86_400e6  # microseconds
NAMES = {NEWEST: "the newest date of the row", NOW: "the day of scoring"}


def reference_name(schema: Schema) -> str:
    """Return what dates are compared with, in words; "" where they are not."""
    return NAMES.get(schema.reference, schema.reference)


def known_at(typed: Columns, schema: Schema) -> np.ndarray | None:
    """Return the moment at which each row is known, in days since 1970, shape (rows,).

    NaN where the row does not say. None for a schema without a reference. `typed`: columns or
    arrays by name; for the reference `NOW` a column of that name has the days of scoring, without
    it they are today.
    """
    if not schema.reference:
        return None
    if schema.reference == NEWEST:
        dates = [days(typed[name]) for name in schema.names("date")]
        known = [np.where(when < NEVER, when, np.nan) for when in dates]
        newest: np.ndarray = np.fmax.reduce(known)
        return newest
    if schema.reference != NOW:
        return days(typed[schema.reference])
    if NOW in typed:
        return days(typed[NOW])
    return days(scored_today(len(typed[schema.names("date")[0]])))


def scored_today(rows: int) -> np.ndarray:
    """Return the current day as the day of scoring of so many rows, shape (rows,)."""
    return np.full(rows, today(), dtype="datetime64[us]")


def ages(typed: Columns, schema: Schema) -> dict[str, np.ndarray]:
    """Return {date column: days from its date to the moment of the row}, without the reference.

    Empty for a schema without a reference.
    """
    moment = known_at(typed, schema)
    if moment is None:
        return {}
    names = [name for name in schema.names("date") if name != schema.reference]
    return {name: moment - days(typed[name]) for name in names}


def with_ages(typed: pd.DataFrame, schema: Schema) -> tuple[pd.DataFrame, Schema]:
    """Return a typed table and its schema with ages in place of dates, for reports and drift.

    Dates that the model does not see and the reference stay as they are.
    """
    by_name = ages(typed, schema)
    if not by_name:
        return typed, schema
    columns = tuple(
        replace(column, kind="numeric", low=column.youngest, high=column.oldest)
        if column.name in by_name
        else column
        for column in schema.columns
    )
    return typed.assign(**by_name), replace(schema, columns=columns)


def at_moment(typed: pd.DataFrame, schema: Schema, moment: np.ndarray) -> pd.DataFrame:
    """Return a typed table with all dates moved, so that its rows are known at other moments.

    Ages stay the same. `moment` is in days since 1970, shape (rows,); rows whose own moment or new
    one is unknown stay as they are.
    """
    own = known_at(typed, schema)
    if own is None:
        return typed
    shift = np.nan_to_num(moment - own)
    step = pd.to_timedelta(np.round(shift * _DAY), unit="us")
    moved = {name: typed[name] + step for name in schema.names("date")}
    if NOW in typed:
        moved[NOW] = typed[NOW] + step
    return typed.assign(**moved)


def with_column(typed: pd.DataFrame, schema: Schema, name: str, order: np.ndarray) -> pd.DataFrame:
    """Return a typed table whose column `name` has the values of the rows `order`.

    A date takes the age that it has there. The reference takes its moment, and the other dates keep
    their ages.
    """
    moment = known_at(typed, schema) if name in schema.names("date") else None
    if moment is None:
        return typed.assign(**{name: typed[name].array[order]})
    if name == schema.reference:
        return at_moment(typed, schema, moment[order])
    there = at_moment(typed.iloc[order].reset_index(drop=True), schema, moment)
    return typed.assign(**{name: there[name].array})
