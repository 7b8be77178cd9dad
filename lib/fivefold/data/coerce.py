"""Conform: a table brought to the types of a schema, with every cell that would not fit named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, WARNING, Finding, errors, warnings
from fivefold.core.schema import Column, Schema
from fivefold.data.infer import to_numbers
from fivefold.data.parsing import BOOLEAN_PAIRS, NUMBER_RULES, parse_dates, texts, without_zone

TELLING = 5  # cells of a column that must all be unreadable before the whole table is refused, not just rows
PROBLEM_COLUMNS = ["row", "column", "code", "value"]
NO_PROBLEMS = pd.DataFrame(
    columns=PROBLEM_COLUMNS
)  # copied, not made anew: that takes longer than a row's reading
LARGEST = float(np.finfo("float32").max)  # the trees of every library here take no larger number
_YES = {yes for _, yes in BOOLEAN_PAIRS}
_NO = {no for no, _ in BOOLEAN_PAIRS}


def coerce_table(
    frame: pd.DataFrame, schema: Schema, used_only: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(typed table, problems) for the schema's columns that `frame` has, in the schema's order.

    Types: numeric and boolean float64 (0/1), categorical and text `str`, date datetime64[us]; missing is NaN or
    NaT. Problems have one line per cell that could not be read: `row` (position), `column`, `code` (not-a-number,
    infinite, not-a-date, not-yes-or-no) and `value`; such cells are missing in the typed table.
    """
    typed, problems = coerce_columns(frame, schema, used_only)
    return pd.DataFrame(typed, index=frame.index), problems


def coerce_columns(
    frame: pd.DataFrame, schema: Schema, used_only: bool = True
) -> tuple[dict[str, Any], pd.DataFrame]:
    """As `coerce_table`, with the typed columns as arrays by name: around one row a table costs more than its reading."""
    typed: dict[str, Any] = {}
    problems: list[pd.DataFrame] = []
    for column in schema.columns:
        if column.name in frame.columns and (column.used or not used_only):
            typed[column.name], found = coerce_column(frame[column.name], column)
            problems += found
    return typed, pd.concat(problems, ignore_index=True) if problems else NO_PROBLEMS.copy()


def coerce_again(
    frame: pd.DataFrame, typed: pd.DataFrame, schema: Schema, contract: Schema
) -> pd.DataFrame:
    """Return `frame` in the types of `contract`'s used columns, given `typed`, the same table by `schema`.

    A column that both schemas read in the same way is taken from `typed`, so that no cell is parsed twice.
    """
    known = {column.name: column for column in schema.columns if column.name in typed.columns}
    columns: dict[str, Any] = {}
    for column in contract.columns:
        name = column.name
        if not column.used or name not in frame.columns:
            continue
        if name in known and _read_alike(known[name], column):
            columns[name] = typed[name].array
        else:
            columns[name], _ = coerce_column(frame[name], column)
    return pd.DataFrame(columns, index=frame.index)


def _read_alike(a: Column, b: Column) -> bool:
    """Whether `coerce_column` gives the same cells for both."""
    same_levels = a.kind != "boolean" or a.levels == b.levels
    return a.kind == b.kind and a.parse == b.parse and same_levels


def coerce_column(values: pd.Series, column: Column) -> tuple[Any, list[pd.DataFrame]]:
    """One column brought to its kind, as an array without index, and its unreadable cells."""
    missing = values.array.isna()
    if column.kind == "numeric":
        numbers = _numbers(values, dict(column.parse))
        infinite = np.abs(numbers) > LARGEST
        bad = np.isnan(numbers) & ~missing
        clean = np.where(infinite, np.nan, numbers)
        return clean, _cells(values, column, bad, "not-a-number") + _cells(
            values, column, infinite, "infinite"
        )
    if column.kind == "date":
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            return without_zone(values).array, []
        dates = parse_dates(_texts(values), dict(column.parse)).array
        return dates, _cells(values, column, dates.isna() & ~missing, "not-a-date")
    if column.kind == "boolean":
        flags = _flags(values, column)
        return flags, _cells(values, column, np.isnan(flags) & ~missing, "not-yes-or-no")
    return _texts(values).array, []


def as_spelled(values: pd.Series, parse: Mapping[str, str]) -> pd.Series:
    """Texts of a date column in the spelling of its contract, where some are ISO 8601 with a time: so the journal
    writes the dates of Parquet files and databases, whatever the table was that the model learnt from.
    """
    form = parse.get("format", "")
    if "%" not in form:
        return values
    iso = (
        values.astype("str")
        .str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?")
        .fillna(False)
        .astype(bool)
    )
    if not iso.any():
        return values
    return values.mask(
        iso, pd.to_datetime(values[iso], format="ISO8601").dt.strftime(form).reindex(values.index)
    )


def different(values: Any) -> tuple[np.ndarray, list[str]]:
    """(which of the different texts each cell is, -1 for a missing one; these texts) of a column's array."""
    if len(values) == 1:  # around one row pandas costs more than all the rest
        word = values[0]
        return (np.zeros(1, dtype=int), [word]) if isinstance(word, str) else (np.array([-1]), [])
    codes, words = pd.factorize(values)
    return codes, words.tolist()


def compare_columns(frame: pd.DataFrame, schema: Schema) -> list[Finding]:
    """How the table's columns differ from the contract: a diff as findings, errors first.

    Missing used columns, and used columns in which no cell can be read as their kind, are errors; extra and
    reordered columns are warnings (matched by name, the order does not matter); the target is never an extra.
    """
    frame = frame.set_axis([str(n) for n in frame.columns], axis=1)
    by_name = compare_names(frame, schema)
    if any(f.code == "column-repeated" for f in by_name):
        return by_name
    by_type = compare_types(frame, schema, coerce_table(frame, schema)[1])
    return [*errors(by_name), *by_type, *warnings(by_name)]


def compare_names(frame: pd.DataFrame, schema: Schema) -> list[Finding]:
    """The part of `compare_columns` that the names alone tell; costs nothing."""
    names = [str(n) for n in frame.columns]
    wanted = schema.names()
    found: list[Finding] = []
    for name in (n for n in wanted if n not in names):
        near = [n for n in names if n.strip().lower() == name.strip().lower()]
        hint = f"rename {near[0]!r} to {name!r}" if near else f"add the column {name!r}"
        found.append(
            Finding(
                code="column-missing",
                severity=ERROR,
                subject=name,
                found="no such column",
                expected=f"- {name} ({schema[name].kind})",
                action=hint,
            )
        )
    if repeated := sorted({n for n in names if names.count(n) > 1}):
        return [
            *found,
            Finding(
                code="column-repeated",
                severity=ERROR,
                subject=", ".join(repeated),
                found="the same name more than once",
                expected="one column of each name",
                action="rename or drop the copies",
            ),
        ]
    known = {c.name for c in schema.columns} | {schema.target}
    if extra := [n for n in names if n not in known]:
        found.append(
            Finding(
                code="column-extra",
                severity=WARNING,
                subject="table",
                found="+ " + ", + ".join(extra[:20]),
                expected="only the columns of the contract",
                action="nothing: they are ignored",
            )
        )
    shared = [n for n in names if n in wanted]
    if shared != [n for n in wanted if n in shared]:
        found.append(
            Finding(
                code="column-order",
                severity=WARNING,
                subject="table",
                found="the columns in another order",
                expected="the order of training",
                action="nothing: columns are matched by name",
            )
        )
    return found


def compare_types(frame: pd.DataFrame, schema: Schema, problems: pd.DataFrame) -> list[Finding]:
    """The part of `compare_columns` that the cells tell: used columns in which nothing can be read.

    `problems`: what `coerce_table` found in this table.
    """
    found: list[Finding] = []
    if not len(problems):
        return found
    for name, cells in problems["column"].value_counts().items():
        if cells >= TELLING and cells == frame[name].notna().sum() and schema[str(name)].used:
            example = str(frame[name].dropna().iloc[0])[:40]
            found.append(
                Finding(
                    code="column-type",
                    severity=ERROR,
                    subject=str(name),
                    found=f"no cell that reads so, such as {example!r}",
                    expected=f"{schema[str(name)].kind} values",
                    action="correct the column or its name",
                )
            )
    order = schema.names()
    return sorted(found, key=lambda f: order.index(f.subject))


def _texts(values: pd.Series) -> pd.Series:
    """As `texts`, which is slow to find that one clean cell is clean."""
    if len(values) == 1 and values.dtype == "str":
        word = values.array[0]
        if not isinstance(word, str) or word == word.strip():
            return values
    return texts(values)


def _numbers(values: pd.Series, rule: dict[str, str]) -> np.ndarray:
    """As `to_numbers`; of texts each different one is read once, and plain numbers without a table."""
    if values.dtype != "str":
        return to_numbers(values, "numeric", rule)
    codes, words = different(values.array)
    numbers = np.full(len(words), np.nan)
    if rule in ({}, NUMBER_RULES[0]) and words:
        numbers = pd.to_numeric(np.array(words, dtype=object), errors="coerce").astype("float64")
    if np.isnan(numbers).any():  # currencies, thousands, words: the long way
        numbers = to_numbers(pd.Series(words, dtype="str"), "numeric", rule)
    return np.append(numbers, np.nan)[codes]


def _flags(values: pd.Series, column: Column) -> np.ndarray:
    """0.0, 1.0 or NaN; the column's own two spellings first, then the common ones."""
    flags = {**dict.fromkeys(_NO, 0.0), **dict.fromkeys(_YES, 1.0)}
    if len(column.levels) == 2:
        flags |= {column.levels[0].lower(): 0.0, column.levels[1].lower(): 1.0}
    codes, words = different(_texts(values).array)
    return np.array([*(flags.get(word.lower(), np.nan) for word in words), np.nan])[codes]


def _cells(values: pd.Series, column: Column, where: np.ndarray, code: str) -> list[pd.DataFrame]:
    """The problem lines of one column, as a list of no or one table."""
    rows = np.flatnonzero(where)
    if not len(rows):
        return []
    shown = values.iloc[rows].astype("str").str.slice(0, 80).to_numpy()
    return [pd.DataFrame({"row": rows, "column": column.name, "code": code, "value": shown})]
