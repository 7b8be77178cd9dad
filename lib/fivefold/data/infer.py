"""Infer: the kind of each column of a table, from its values alone (never from the target)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_numeric_dtype,
    is_string_dtype,
)

from fivefold.core.schema import MAX_LEVELS, NEWEST, NOW, Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.ages import ages
from fivefold.data.coerce import coerce_column, without_missing
from fivefold.data.date_texts import FEWEST, PERIODS, may_read_otherwise, number_format
from fivefold.data.decorations import decorations_of
from fivefold.data.missing_markers import NUMBER_MARKERS, rules_of
from fivefold.data.parsing import (
    BOOLEAN_PAIRS,
    DATE_FORMATS,
    EXACT,
    NUMBER_RULES,
    SHORT_DATES,
    Rule,
    days,
    parse_dates,
    parse_numbers,
    texts,
)

# Share of present cells that must parse for a text column to count as numbers or dates.
ENOUGH = 0.95
MIN_ROWS_FOR_ID = 50
# Share of cells of both sorts that make a column of one value or nothing one of presence.
LEAST_PRESENT = 0.0005
# Whole numbers that are codes. Of the common ones of an arbitrary code, a tenth are round; more
# than 6 of 20 happens by chance in 1 of 400 columns.
FEW_CODES = 12  # different ones up to which a column is no column of codes
CODE_ROWS, CODE_GAPS = 3, 4  # rows for each, steps of the range for each
COMMON_CODES, MOST_ROUND = 20, 0.3
CODE_COLUMNS = 3  # that make a table one of codes, if they are half of its columns
_DAY = {"format": "%Y-%m-%d"}
_HEAD = 2000  # different texts, most frequent first, that rules are tried on
# What `reading.normalize` keeps as text though it reads as a number: 00501, and whole numbers
# that may reach 2**53.
_CODE, _LONG = r"[+-]?0\d+(\.\d*)?", r"[+-]?\d{16,}"
# "customer_id", "customerId" and "ROW", but not "paid" or "grid".
_ID_NAME = re.compile(r"(?i:(^|[_\s\-.])(id|uuid|guid|key|index|idx|row_?number|row)$)|[a-z]I[Dd]$")
_NOT_USED = {"id": "identifies rows", "constant": "one value only"}


def infer_schema(
    frame: pd.DataFrame,
    scope: Scope,
    labels: tuple[str, str] = ("0", "1"),
    rows: np.ndarray | None = None,
    decided: Schema | None = None,
) -> Schema:
    """Return the contract of all columns but the target.

    Parameters
    ----------
    scope
        `kinds` overrides what the values say; id, drop and group columns stay in the contract but
        are not used.
    labels
        The (negative, positive) texts of the target.
    rows
        Positions to look at, default all. One column at a time is copied, not the table.
    decided
        A schema of all rows, whose kinds and spellings are kept: what was said of a column is then
        what a model does with it.
    """
    columns, codes = [], {}
    for name in frame.columns:
        if name in (scope.target, NOW):
            continue
        values = frame[name] if rows is None else frame[name].take(rows).reset_index(drop=True)
        known = decided[str(name)] if decided else None
        column = infer_column(values, str(name), scope, known)
        if known:
            columns.append(column)
            continue
        declared = column.name in scope.kinds or column.name in scope.monotone
        if column.used and column.integer and not declared and is_code(values):
            codes[column.name] = values
        columns.append(column)
    if codes and _is_table_of_codes(columns, len(codes)):
        as_codes = replace(scope, kinds={**scope.kinds, **dict.fromkeys(codes, "categorical")})
        for place, column in enumerate(columns):
            if column.name in codes:
                columns[place] = infer_column(codes[column.name], column.name, as_codes)
    schema = Schema(tuple(columns), scope.target, *labels)
    return _with_reference(schema, frame, scope, rows)


def with_levels(
    schema: Schema, frame: pd.DataFrame, names: Collection[str], scope: Scope, rows: np.ndarray
) -> Schema:
    """Return the contract with some numeric columns as categories of the levels in these rows."""
    declared = replace(scope, kinds={**scope.kinds, **dict.fromkeys(names, "categorical")})
    columns = [
        infer_column(frame[column.name].take(rows).reset_index(drop=True), column.name, declared)
        if column.name in names
        else column
        for column in schema.columns
    ]
    return replace(schema, columns=tuple(columns))


def reference_of(schema: Schema, scope: Scope) -> str:
    """Return the moment at which a row is known (`Schema.reference`).

    What the scope says; else its time column, if that is a date; else the newest date of a row, if
    it has several; else the day of scoring.
    """
    dates = schema.names("date")
    if not dates:
        return ""
    if scope.reference_column:
        return NOW if scope.reference_column == "now" else scope.reference_column
    if scope.time_column in dates:
        return str(scope.time_column)
    return NEWEST if len(dates) > 1 else NOW


def _with_reference(
    schema: Schema, frame: pd.DataFrame, scope: Scope, rows: np.ndarray | None
) -> Schema:
    """Return the schema with its reference, and the range of ages of each date column."""
    schema = replace(schema, reference=reference_of(schema, scope))
    if not schema.reference:
        return schema
    typed: dict[str, Any] = {}
    for name in schema.names("date"):
        values = frame[name] if rows is None else frame[name].take(rows)
        typed[name] = coerce_column(values, schema[name])[0]
    if NOW in frame:
        typed[NOW] = (frame[NOW] if rows is None else frame[NOW].take(rows)).array
    columns = {column.name: column for column in schema.columns}
    for name, days_ago in ages(typed, schema).items():
        known = days_ago[np.isfinite(days_ago)]
        if len(known):
            youngest, oldest = float(known.min()), float(known.max())
            columns[name] = replace(columns[name], youngest=youngest, oldest=oldest)
    return replace(schema, columns=tuple(columns.values()))


def is_code(values: pd.Series) -> bool:
    """Return whether whole numbers look like codes: their order and differences mean nothing.

    More than `FEW_CODES` different ones, with gaps between them (counts, ages and years have none),
    that come back (amounts hardly do), and are not round (amounts that come back are).

    >>> is_code(pd.Series(np.repeat(np.arange(40) ** 3 + 17, 5)))
    True
    >>> is_code(pd.Series(np.repeat(np.arange(40), 5)))
    False
    """
    numbers = values.dropna().to_numpy()
    if numbers.dtype.kind not in "iuf":
        return False
    levels, rows = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    if len(levels) <= FEW_CODES or len(numbers) < CODE_ROWS * len(levels):
        return False
    step = np.gcd.reduce(np.diff(levels).astype("int64"))
    steps = (levels[-1] - levels[0]) / step
    common = levels[np.argsort(-rows, kind="stable")[:COMMON_CODES]]
    round_share = float((common % 10 == 0).mean())
    return bool(steps >= CODE_GAPS * len(levels) and round_share <= MOST_ROUND)


def _is_table_of_codes(columns: list[Column], codes: int) -> bool:
    """Return whether codes, and categories of as many levels, are most of a table's columns."""
    used = [column for column in columns if column.used]
    codes += sum(column.kind == "categorical" and column.distinct > FEW_CODES for column in used)
    return codes >= CODE_COLUMNS and 2 * codes >= len(used)


def infer_column(
    values: pd.Series, name: str, scope: Scope | None = None, decided: Column | None = None
) -> Column:
    """Return the `Column` that these values show; any dtype, shape (rows,).

    With `decided` its kind and spelling are known.
    """
    scope = scope or Scope()
    rules = rules_of(scope)
    added, kept = rules.added_in(name), rules.not_in(name)
    values = without_missing(values, Column(name, "", as_text=True, missing=added, kept=kept))
    declared = scope.kinds.get(name)
    if name == scope.reference_column or name in scope.formats:
        declared = "date"
    if decided:
        kind, parse = decided.kind, dict(decided.parse)
    elif name in scope.id_columns:
        kind, parse = "id", {}
    else:
        kind, parse = infer_kind(values, name)
        if declared and declared != kind:
            kind, parse = declared, _parse_for(values, declared)
        if declared == "date" and name in scope.formats:
            parse = {"format": scope.formats[name]}
    why = _NOT_USED.get(kind, "")
    if name in scope.drop_columns:
        why = "dropped by the scope"
    elif name == scope.group:
        why = "groups rows (scope)"
    elif name == scope.weight_column:
        why = "weighs rows (scope)"
    column = Column(
        name=name,
        kind=kind,
        used=not why,
        why=why,
        monotone=scope.monotone.get(name, ""),
        parse=parse,
        as_text=is_string_dtype(values.dtype),
        missing=added,
        kept=kept,
    )
    typed, problems = coerce_column(values, column)
    if kind == "boolean":  # its levels are not known yet
        typed, problems = values.array, []
    described = _describe(values, typed, kind)
    if decided and kind == "boolean":
        described["levels"] = decided.levels
    return replace(
        column, nullable=bool(pd.isna(typed).any()), odd_cells=bool(problems), **described
    )


def infer_kind(values: pd.Series, name: str = "") -> tuple[str, Rule]:
    """Return (kind, parse rule) of a column.

    The questions in order: constant, boolean, date, numeric, id, text, categorical. One value with
    blanks beside it is a category: its presence says something (`fivefold.model.inputs.expand`).
    A text column is numeric or a date when at least 95% of its present cells read so under one
    rule. Codes (00501, whole numbers that a float would round) are no numbers.

    >>> infer_kind(pd.Series(["$1,200", "$900", "$15", None]))
    ('numeric', {'decimal': '.', 'thousands': ','})
    >>> infer_kind(pd.Series(["yes", "no", "yes"]))
    ('boolean', {})
    """
    present = values.dropna()
    if len(present.unique()) <= 1:
        share = len(present) / max(len(values), 1)
        is_presence = LEAST_PRESENT <= share <= 1 - LEAST_PRESENT
        return ("categorical" if is_presence else "constant"), {}
    if is_bool_dtype(values.dtype):
        return "boolean", {}
    if is_datetime64_any_dtype(values.dtype):
        return "date", {}
    if is_numeric_dtype(values.dtype):
        if set(present.unique()) == {0, 1}:
            return "boolean", {}
        if form := number_format(present, name):
            return "date", {"format": form}
        return ("id" if _numbers_rows(present, name) else "numeric"), {}
    return _infer_text_kind(texts(present), name)


def _infer_text_kind(present: pd.Series, name: str) -> tuple[str, Rule]:
    """Return (kind, parse rule) of a column of texts, given without missing cells."""
    counts = present.value_counts()
    if boolean_levels(counts.index):
        return "boolean", {}
    if date_rule := _best_rule(counts, "date"):
        return "date", date_rule
    if number_rule := _best_rule(counts, "numeric"):
        numbers = parse_numbers(present, number_rule).dropna()
        return ("id" if _numbers_rows(numbers, name) else "numeric"), number_rule
    if _is_free_text(counts):
        return "text", {}
    if len(present) >= MIN_ROWS_FOR_ID and len(counts) >= 0.99 * len(present):
        return "id", {}
    return "categorical", {}


def boolean_levels(levels: pd.Index | list[str]) -> tuple[str, str] | None:
    """Return (no, yes) as spelt in the data where the two levels are a known pair, else None.

    >>> boolean_levels(["Yes", "No"])
    ('No', 'Yes')
    """
    if len(levels) != 2:
        return None
    spelling = {str(level).strip().lower(): str(level) for level in levels}
    for no, yes in BOOLEAN_PAIRS:
        if set(spelling) == {no, yes}:
            return spelling[no], spelling[yes]
    return None


def _best_rule(counts: pd.Series, kind: str, enough: float = ENOUGH) -> Rule | None:
    """Return the parse rule that reads the largest share of cells, if that share is enough.

    The first wins a tie.
    """
    counts = counts[~counts.index.str.lower().isin(NUMBER_MARKERS)]  # gaps, where the rest reads
    head = counts.iloc[:_HEAD]
    if not pd.Series(head.index, dtype="str").str.contains(r"\d").any():
        return None  # words: spares many attempts a column
    if kind == "date":
        rule, share = _first_best(head, _date_rules(counts, enough), _read_strictly)
        if rule or (share < 1 and may_read_otherwise(pd.Series(head.index, dtype="str"))):
            others = (other for other in _date_rules(counts, enough) if other != _DAY)
            lenient = iter([rule]) if rule else others
            other, more = _first_best(head, lenient, parse_dates)
            rule, share = (other, more) if more > share else (rule, share)
    else:
        rule, share = _first_best(head, iter(NUMBER_RULES), parse_numbers)
        if share < 1 and (extra := decorations_of(head)):
            decorated = [{"form": "duration"}] if "form" in extra else _decorated(extra)
            other, more = _first_best(head, iter(decorated), parse_numbers)
            rule, share = (other, more) if more > share else (rule, share)
    if rule is None or share < enough:
        return None
    # Numbers with separators are never codes.
    if kind == "numeric" and rule == NUMBER_RULES[0] and _has_code(counts.index):
        return None
    return dict(rule)


def _decorated(extra: Rule) -> list[Rule]:
    return [{**rule, **extra} for rule in NUMBER_RULES]


def _read_strictly(levels: pd.Series, rule: Rule) -> pd.Series:
    return parse_dates(levels, rule, strictly=True)


def _first_best(
    head: pd.Series, rules: Iterator[Rule], parse: Callable[[pd.Series, Rule], pd.Series]
) -> tuple[Rule | None, float]:
    """Return the first rule that reads most of the cells, and their share."""
    levels = pd.Series(head.index, dtype="str")
    best, best_share = None, 0.0
    for rule in rules:
        is_read = parse(levels, rule).notna().to_numpy()
        share = head.to_numpy()[is_read].sum() / head.sum()
        if share > best_share:
            best, best_share = rule, share
        if share == 1:
            break
    return best, best_share


def _date_rules(counts: pd.Series, enough: float) -> Iterator[Rule]:
    """Yield the rules worth trying.

    Those with names of months always, others only where enough cells look like digits of dates.
    Years of two digits count only where every cell has them, unless the column is declared a date
    (`enough` is 0).
    """
    levels = pd.Series(counts.index, dtype="str")
    head = counts.iloc[:_HEAD]
    for form, pattern in PERIODS.items():
        is_period = head.index.str.fullmatch(pattern)
        if head[is_period].sum() >= max(enough, 0.5) * head.sum() and is_period.sum() >= FEWEST:
            yield {"format": form}
    dated = head[head.index.str.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d")].sum()
    has_digits = dated >= enough * head.sum()
    for rule in DATE_FORMATS:
        form = rule["format"]
        has_month_name = "%b" in form or "%B" in form
        if not has_digits and not has_month_name:
            continue
        short = SHORT_DATES.get(form) if enough else None
        if short and not levels.str.fullmatch(short).all():
            continue
        if not short or parse_dates(levels, rule).notna().all():
            yield rule


def _has_code(levels: pd.Index) -> bool:
    """Return whether a text has leading zeros, or is a whole number of 2**53 or more.

    '00501' is not '501'.
    """
    if levels.str.fullmatch(_CODE).any():
        return True
    return any(abs(int(level)) >= EXACT for level in levels[levels.str.fullmatch(_LONG)])


def _parse_for(values: pd.Series, kind: str) -> Rule:
    """Return the best rule for a declared kind, however poor; the first where none fits."""
    if kind == "date" and is_numeric_dtype(values.dtype):
        form = number_format(values.dropna(), "time")
        return {"format": form} if form else {}
    if kind not in ("date", "numeric") or not is_string_dtype(values.dtype):
        return {}
    counts = texts(values.dropna()).value_counts()
    rules = DATE_FORMATS if kind == "date" else NUMBER_RULES
    return _best_rule(counts, kind, enough=0) or dict(rules[0])


def _numbers_rows(present: pd.Series, name: str) -> bool:
    """Return whether numbers only number the rows.

    They are whole, all different, and named like an id or nearly consecutive.
    """
    rows = len(present)
    if rows < MIN_ROWS_FOR_ID or present.nunique() < rows:
        return False
    numbers = present.to_numpy(dtype="float64")
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        return False
    return bool(_ID_NAME.search(name)) or numbers.max() - numbers.min() + 1 <= 1.5 * rows


def _is_free_text(counts: pd.Series) -> bool:
    """Return whether texts are sentences: four words or more on average, mostly different."""
    if len(counts) < 30 or len(counts) < 0.3 * counts.sum():
        return False
    words = pd.Series(counts.index[:_HEAD]).str.count(r"\S+")
    return float(words.mean()) >= 4


def _describe(values: pd.Series, typed: Any, kind: str) -> dict[str, Any]:
    """Return the levels, range and typical value of a `Column`, by kind.

    `typed`: the cells as `coerce_column` gives them.
    """
    if kind in ("categorical", "boolean"):
        return _describe_levels(texts(pd.Series(typed).dropna()).value_counts(), kind)
    if kind not in ("numeric", "date"):
        return {"distinct": int(values.dropna().nunique())}
    numbers = days(typed) if kind == "date" else typed
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return {"distinct": 0}
    return {
        "distinct": len(pd.unique(finite)),
        "low": float(finite.min()),
        "high": float(finite.max()),
        "typical": float(np.median(finite)),
        "integer": bool((finite == np.floor(finite)).all()),
    }


def _describe_levels(counts: pd.Series, kind: str) -> dict[str, Any]:
    # Ties by name: reproducible.
    counts = counts.sort_index().sort_values(ascending=False, kind="stable")
    most, levels = MAX_LEVELS, None
    if kind == "boolean":
        most, levels = 2, boolean_levels(counts.index)
        if not levels:  # declared so: spellings that differ in case alone are one answer
            counts = counts[~counts.index.str.lower().duplicated()]
    return {
        "distinct": len(counts),
        "levels": levels or tuple(counts.index[:most]),
        "typical": counts.index[0] if len(counts) else None,
    }
