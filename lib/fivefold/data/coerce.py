"""Coerce: convert a table to the types of a schema, and report every cell that does not fit."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import WARNING, Finding, errors, problem, warnings
from fivefold.core.schema import NOW, Column, Schema
from fivefold.data.ages import scored_today
from fivefold.data.missing_markers import is_missing
from fivefold.data.parsing import (
    BOOLEAN_PAIRS,
    NUMBER_RULES,
    Rule,
    parse_dates,
    texts,
    to_numbers,
    without_zone,
)

# Cells of a column that must all be unreadable before the whole table is refused, not just rows.
TELLING = 5
PROBLEM_COLUMNS = ["row", "column", "code", "value"]
# Copied, not made again: that takes longer than the reading of a row.
NO_PROBLEMS = pd.DataFrame(columns=PROBLEM_COLUMNS)
MOST_COMPARED = 200  # unknown names that are compared with a missing one
LARGEST = float(np.finfo("float32").max)  # the trees of every library here take no larger number
_FLAGS = {no: 0.0 for no, _ in BOOLEAN_PAIRS} | {yes: 1.0 for _, yes in BOOLEAN_PAIRS}


def coerce_table(
    frame: pd.DataFrame, schema: Schema, used_only: bool = True
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (typed table, problems) for the schema's columns that `frame` has, in its order.

    Returns
    -------
    typed
        Numeric and boolean columns as float64 (0/1), categorical and text as `str`, dates as
        datetime64[us]; missing is NaN or NaT. With the day of scoring as reference, the column
        `fivefold.core.schema.NOW` has it.
    problems
        A row per cell that could not be read: `row` (position), `column`, `code` (not-a-number,
        infinite, not-a-date, not-yes-or-no) and `value`; such cells are missing in the typed table.
    """
    typed, problems = coerce_columns(frame, schema, used_only)
    return pd.DataFrame(typed, index=frame.index), problems


def coerce_columns(
    frame: pd.DataFrame, schema: Schema, used_only: bool = True
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return as `coerce_table` does, with the typed columns as arrays by name.

    Around one row a table costs more than its reading.
    """
    typed: dict[str, Any] = {}
    problems: list[pd.DataFrame] = []
    for column in schema.columns:
        if column.name in frame.columns and (column.used or not used_only):
            typed[column.name], found = coerce_column(frame[column.name], column)
            problems += found
    if schema.reference == NOW:
        typed[NOW] = _days_of_scoring(frame)
    return typed, pd.concat(problems, ignore_index=True) if problems else NO_PROBLEMS.copy()


def coerce_again(
    frame: pd.DataFrame, typed: pd.DataFrame, schema: Schema, contract: Schema
) -> pd.DataFrame:
    """Return `frame` in the types of `contract`'s used columns.

    `typed` is the same table by `schema`. A column that both read in the same way is taken from
    it, so that no cell is parsed twice.
    """
    known = {column.name: column for column in schema.columns if column.used}
    columns: dict[str, Any] = {}
    for column in contract.columns:
        name = column.name
        if not column.used:
            continue
        if name in known and _same_reading(known[name], column):
            columns[name] = typed[name].array
        else:
            columns[name], _ = coerce_column(frame[name], column)
    if contract.reference == NOW:
        columns[NOW] = _days_of_scoring(frame)
    return pd.DataFrame(columns, index=frame.index)


def coerce_column(values: pd.Series, column: Column) -> tuple[Any, list[pd.DataFrame]]:
    """Return (one column in its kind, as an array without index; its unreadable cells).

    Texts that mean missing by the column's contract are missing, wherever the cells are from.
    """
    if column.kind == "numeric":
        numbers = _numbers(values, dict(column.parse))
        problems = _problems(values, column, _unreadable(values, np.isnan(numbers), column))
        is_code = _is_added(numbers, column) if column.missing else False
        infinite = (np.abs(numbers) > LARGEST) & ~is_code
        problems += _problems(values, column, infinite, "infinite")
        return np.where(infinite | is_code, np.nan, numbers), problems
    if column.kind == "date":
        is_typed = pd.api.types.is_datetime64_any_dtype(values.dtype)
        rule = dict(column.parse)
        dates = without_zone(values) if is_typed else parse_dates(_texts(values), rule)
        problems = _problems(values, column, _unreadable(values, dates.array.isna(), column))
        if column.missing:
            placeholders = parse_dates(pd.Series(column.missing, dtype="str"), rule)
            dates = dates.mask(dates.isin(placeholders.dropna()))
        return dates.array, problems
    if column.kind == "boolean":
        flags = _flags(values, column)
        return flags, _problems(values, column, _unreadable(values, np.isnan(flags), column))
    return _without_missing(_texts(values), column).array, []


def without_missing(values: pd.Series, column: Column) -> pd.Series:
    """Return a column as read, without the cells that mean missing by its contract."""
    if not pd.api.types.is_numeric_dtype(values.dtype):
        return _without_missing(values, column)
    if not column.missing:
        return values
    gone = _is_added(to_numbers(values, "numeric", {}), column)
    return values.mask(gone) if gone.any() else values


def different(values: Any) -> tuple[np.ndarray, list[str]]:
    """Return (the number of the text in each cell, -1 for a missing one; the different texts)."""
    if len(values) == 1:  # around one row pandas costs more than all the rest
        word = values[0]
        return (np.zeros(1, dtype=int), [word]) if isinstance(word, str) else (np.array([-1]), [])
    codes, words = pd.factorize(values)
    return codes, words.tolist()


def compare_columns(
    frame: pd.DataFrame, schema: Schema, optional: Collection[str] = ()
) -> list[Finding]:
    """Return how the table's columns differ from the contract, errors first.

    Missing used columns that are not `optional`, and used columns in which no cell can be read as
    their kind, are errors. Missing optional, extra and reordered columns are warnings: columns are
    matched by name. The target is never an extra.
    """
    by_name = compare_names(frame, schema, optional)
    if any(finding.code == "column-repeated" for finding in by_name):
        return by_name
    by_type = compare_types(frame, schema, coerce_table(frame, schema)[1])
    return [*errors(by_name), *by_type, *warnings(by_name)]


def compare_names(
    frame: pd.DataFrame, schema: Schema, optional: Collection[str] = ()
) -> list[Finding]:
    """Return the part of `compare_columns` that needs only the names; costs nothing."""
    names = list(frame.columns)
    wanted = schema.names()
    others = other_names(names, schema)
    findings = [
        missing_column(schema[name], others, name in optional)
        for name in wanted
        if name not in names
    ]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        found, expected = "the same name more than once", "one column of each name"
        action = "rename or drop the copies"
        subject = ", ".join(repeated)
        return [*findings, problem("column-repeated", subject, found, expected, action)]
    extra = others
    if extra:
        found, expected = "+ " + ", + ".join(extra[:20]), "only the columns of the contract"
        action = "nothing: they are ignored"
        findings.append(problem("column-extra", "table", found, expected, action, WARNING))
    shared = [name for name in names if name in wanted]
    if shared != [name for name in wanted if name in shared]:
        found, expected = "the columns in another order", "the order of training"
        action = "nothing: columns are matched by name"
        findings.append(problem("column-order", "table", found, expected, action, WARNING))
    return findings


def other_names(names: Iterable[str], schema: Schema) -> list[str]:
    """Return the names that are neither columns of the contract nor its target."""
    known = {column.name for column in schema.columns} | {schema.target, NOW}
    return [name for name in names if name not in known]


def similar_name(name: str, others: Iterable[str]) -> str:
    """Return the name among `others` that is probably a misspelt `name`, "" without one.

    >>> similar_name("tenure", ["Tenure ", "fee"]), similar_name("Age", ["Agee"])
    ('Tenure ', 'Agee')
    >>> similar_name("Age", ["salary"])
    ''
    """
    folded = {other.strip().lower(): other for other in list(others)[:MOST_COMPARED]}
    near = difflib.get_close_matches(name.strip().lower(), folded, n=1, cutoff=0.75)
    return folded[near[0]] if near else ""


def missing_column(
    column: Column, others: Iterable[str], is_optional: bool, found: str = "no such column"
) -> Finding:
    """Return the finding on a column that a table lacks; `others` may hold it, misspelt."""
    name = column.name
    expected = f"- {name} ({column.kind})"
    near = similar_name(name, others)
    if is_optional:
        found = f"{found}: taken as missing in every row"
        action = f"rename {near!r} to {name!r}" if near else "add it where it is known"
        return problem("column-absent", name, found, expected, action, WARNING)
    add = f"add the column {name!r}, or name it in [columns] optional of the scope and train again"
    action = f"rename {near!r} to {name!r}" if near else add
    return problem("column-missing", name, found, expected, action)


def compare_types(frame: pd.DataFrame, schema: Schema, problems: pd.DataFrame) -> list[Finding]:
    """Return the part of `compare_columns` that needs the cells: used columns that cannot be read.

    `problems`: what `coerce_table` found in this table.
    """
    if not len(problems):
        return []
    unreadable = problems["column"].value_counts()
    findings = []
    for name in schema.names():
        cells = unreadable.get(name, 0)
        if cells < TELLING or cells != frame[name].notna().sum():
            continue
        example = str(frame[name].dropna().iloc[0])[:40]
        found = f"no cell of that kind, such as {example!r}"
        expected, action = f"{schema[name].kind} values", "correct the column or its name"
        findings.append(problem("column-type", name, found, expected, action))
    return findings


def _days_of_scoring(frame: pd.DataFrame) -> Any:
    """Return the day on which each row is scored: that of its own column, else today."""
    if NOW in frame:
        return without_zone(pd.to_datetime(frame[NOW])).array
    return pd.array(scored_today(len(frame)))


def _same_reading(a: Column, b: Column) -> bool:
    """Return whether `coerce_column` gives the same cells for both."""
    same_levels = a.kind != "boolean" or a.levels == b.levels
    return a.kind == b.kind and a.parse == b.parse and same_levels


def _texts(values: pd.Series) -> pd.Series:
    """Return as `texts` does, which is slow to find that one clean cell is clean."""
    if len(values) == 1 and values.dtype == "str":
        word = values.array[0]
        if not isinstance(word, str) or word == word.strip():
            return values
    return texts(values)


def _numbers(values: pd.Series, rule: Rule) -> np.ndarray:
    """Return as `to_numbers` does; each different text is read once."""
    if values.dtype != "str":
        return to_numbers(values, "numeric", rule)
    codes, words = different(values.array)
    numbers = np.full(len(words), np.nan)
    if rule in ({}, NUMBER_RULES[0]) and words:
        numbers = pd.to_numeric(np.array(words, dtype=object), errors="coerce").astype("float64")
    if np.isnan(numbers).any():  # currencies, thousands, words: the long way
        numbers = to_numbers(pd.Series(words, dtype="str"), "numeric", rule)
    return _by_code(numbers, codes)


def _flags(values: pd.Series, column: Column) -> np.ndarray:
    """Return 0.0, 1.0 or NaN; the column's own two spellings first, then the common ones."""
    flags = _FLAGS
    if len(column.levels) == 2:
        no, yes = column.levels
        flags = _FLAGS | {no.lower(): 0.0, yes.lower(): 1.0}
    codes, words = different(_texts(values).array)
    return _by_code(np.array([flags.get(word.lower(), np.nan) for word in words]), codes)


def _without_missing(values: pd.Series, column: Column) -> pd.Series:
    """Return texts without those that mean missing; each different text is looked at once."""
    if values.dtype != "str":
        return values
    codes, words = different(values.array)
    gone = [is_missing(word, column) for word in words]
    return values.mask(np.array([*gone, False])[codes]) if any(gone) else values


def _is_added(numbers: np.ndarray, column: Column) -> np.ndarray:
    """Return which numbers mean missing by the scope: -999.0 is -999."""
    codes = to_numbers(pd.Series(column.missing, dtype="str"), "numeric", dict(column.parse))
    return np.isin(numbers, codes[~np.isnan(codes)])


def _unreadable(values: pd.Series, is_nothing: np.ndarray, column: Column) -> np.ndarray:
    """Return the cells that became nothing and do not mean missing."""
    unreadable: np.ndarray = is_nothing & ~values.array.isna()
    if unreadable.any():
        codes, words = different(values[unreadable].astype("str").array)
        unreadable[unreadable] = np.array([not is_missing(word, column) for word in words])[codes]
    return unreadable


def _by_code(of_word: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Return the number of each cell from that of each different text; NaN for the code -1."""
    numbers: np.ndarray = np.append(of_word, np.nan)[codes]
    return numbers


_CODES = {"numeric": "not-a-number", "date": "not-a-date", "boolean": "not-yes-or-no"}


def _problems(
    values: pd.Series, column: Column, where: np.ndarray, code: str = ""
) -> list[pd.DataFrame]:
    """Return the problems of one column, as a list of no or one table."""
    rows = np.flatnonzero(where)
    code = code or _CODES[column.kind]
    if not len(rows):
        return []
    cells = values.iloc[rows].astype("str").str.slice(0, 80).to_numpy()
    return [pd.DataFrame({"row": rows, "column": column.name, "code": code, "value": cells})]
