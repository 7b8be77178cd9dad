"""Kinds: what each column of a table is, read from its values alone (never from the target)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import MAX_LEVELS, Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.parsing import (
    BOOLEAN_PAIRS,
    DATE_FORMATS,
    EXACT,
    NUMBER_RULES,
    SHORT_DATES,
    parse_dates,
    parse_numbers,
    texts,
    without_zone,
)

ENOUGH = 0.95  # share of non-missing cells that must parse for a text column to count as numbers or dates
MIN_ROWS_FOR_ID = 50
# What `fivefold.data.normalize` keeps as text though it reads as a number: 00501, and whole numbers that may reach 2**53.
_CODE, _LONG = r"[+-]?0\d+(\.\d*)?", r"[+-]?\d{16,}"
# "customer_id", "customerId" and "ROW", but not "paid" or "grid".
_ID_NAME = re.compile(r"(?i:(^|[_\s\-.])(id|uuid|guid|key|index|idx|row_?number|row)$)|[a-z]I[Dd]$")


def infer_schema(
    frame: pd.DataFrame,
    scope: Scope,
    labels: tuple[str, str] = ("0", "1"),
    rows: np.ndarray | None = None,
) -> Schema:
    """The contract of all columns but the target, from these rows only, or from those at the positions `rows`, of which
    one column at a time is copied, not the table.

    `labels` are the target's (negative, positive) texts. `scope.kinds` overrides what the values say; columns
    that the scope names as id, drop or group are kept in the contract but not used.
    """

    def cells(name: Any) -> pd.Series:
        return frame[name] if rows is None else frame[name].take(rows).reset_index(drop=True)

    columns = tuple(
        infer_column(cells(name), str(name), scope)
        for name in frame.columns
        if name != scope.target
    )
    return Schema(columns, scope.target, *labels)


def infer_column(values: pd.Series, name: str, scope: Scope | None = None) -> Column:
    """The `Column` that these values show. Shape of `values`: (rows,); any dtype."""
    scope = scope or Scope()
    kind, parse = infer_kind(values, name)
    if name in scope.id_columns:
        kind, parse = "id", {}
    elif wanted := scope.kinds.get(name):
        kind, parse = wanted, (parse if wanted == kind else _parse_for(values, wanted))
    used, why = (
        kind not in ("id", "constant"),
        {"id": "identifies rows", "constant": "one value only"}.get(kind, ""),
    )
    if name in scope.drop_columns:
        used, why = False, "dropped by the scope"
    elif name == scope.group_column:
        used, why = False, "groups rows (scope)"
    return Column(
        name=name,
        kind=kind,
        used=used,
        why=why,
        parse=parse,
        nullable=bool(values.isna().any()),
        **_describe(values, kind, parse),
    )


def infer_kind(values: pd.Series, name: str = "") -> tuple[str, dict[str, str]]:
    """(kind, parse rule) of a column.

    Order of the questions: constant, boolean, date, numeric, id, text, categorical. A text column is numeric or
    a date when at least 95% of its non-missing cells read so under one rule. Codes (00501, whole numbers that a
    float would round) are no numbers.

    >>> infer_kind(pd.Series(["$1,200", "$900", "$15", None]))
    ('numeric', {'decimal': '.', 'thousands': ','})
    >>> infer_kind(pd.Series(["yes", "no", "yes"]))
    ('boolean', {})
    """
    present = values.dropna()
    if len(present.unique()) <= 1:
        return "constant", {}
    if pd.api.types.is_bool_dtype(values.dtype):
        return "boolean", {}
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return "date", {}
    if pd.api.types.is_numeric_dtype(values.dtype):
        if set(present.unique()) == {0, 1}:
            return "boolean", {}
        return ("id" if _numbered(present, name) else "numeric"), {}
    counts = texts(present).value_counts()
    if boolean_levels(counts.index):
        return "boolean", {}
    for kind in ("date", "numeric"):
        if (rule := _best_rule(counts, kind)) is not None:
            numbers = parse_numbers(texts(present), rule).dropna() if kind == "numeric" else None
            return ("id" if numbers is not None and _numbered(numbers, name) else kind), rule
    if _free_text(counts):
        return "text", {}
    if len(present) >= MIN_ROWS_FOR_ID and len(counts) >= 0.99 * len(present):
        return "id", {}
    return "categorical", {}


def boolean_levels(levels: pd.Index | list[str]) -> tuple[str, str] | None:
    """(no, yes) as spelt in the data where the two levels are a known pair, else None.

    >>> boolean_levels(["Yes", "No"])
    ('No', 'Yes')
    """
    if len(levels) != 2:
        return None
    spelt = {str(level).strip().lower(): str(level) for level in levels}
    for no, yes in BOOLEAN_PAIRS:
        if set(spelt) == {no, yes}:
            return spelt[no], spelt[yes]
    return None


def _best_rule(counts: pd.Series, kind: str, enough: float = ENOUGH) -> dict[str, str] | None:
    """The parse rule that reads the largest share of cells (first wins a tie), if that share is enough."""
    head = counts.iloc[:2000]
    levels = pd.Series(head.index, dtype="str")
    if not levels.str.contains(r"\d").any():  # words: spares 12 attempts a column
        return None
    rules: Iterable[dict[str, str]] = (
        _date_rules(counts, enough) if kind == "date" else NUMBER_RULES
    )
    parse = parse_dates if kind == "date" else parse_numbers
    best, best_share = None, enough
    for rule in rules:
        share = head.to_numpy()[parse(levels, rule).notna().to_numpy()].sum() / head.sum()
        if share > best_share or (best is None and share >= enough):
            best, best_share = rule, share
        if share == 1:
            break
    if best is NUMBER_RULES[0] and _coded(
        counts.index
    ):  # a rule with separators speaks for numbers nevertheless
        return None
    return dict(best) if best is not None else None


def _date_rules(counts: pd.Series, enough: float) -> Iterator[dict[str, str]]:
    """The rules worth trying: those with names of months, and others only where enough cells look like digits of dates.

    Years of two digits count only where every cell has them, unless the column is declared a date (`enough` is 0).
    """
    head, every = counts.iloc[:2000], pd.Series(counts.index, dtype="str")
    looks = every.iloc[:2000].str.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d").to_numpy(dtype=bool)
    digits = head.to_numpy()[looks].sum() >= enough * head.sum()
    for rule in DATE_FORMATS:
        form = rule["format"]
        short = SHORT_DATES.get(form) if enough else None
        if (digits or "%b" in form or "%B" in form) and (
            short is None
            or (every.str.fullmatch(short).all() and parse_dates(every, rule).notna().all())
        ):
            yield rule


def _coded(levels: pd.Index) -> bool:
    """Whether a text is a number with leading zeros, or a whole one of 2**53 and more: '00501' is not '501'."""
    cells = pd.Series(levels, dtype="str")
    if cells.str.fullmatch(_CODE).any():
        return True
    return any(abs(int(cell)) >= EXACT for cell in cells[cells.str.fullmatch(_LONG)])


def _parse_for(values: pd.Series, kind: str) -> dict[str, str]:
    """The rule for a kind that the scope demands: the best fitting one, however poor; the first where none fits."""
    if kind not in ("date", "numeric") or not pd.api.types.is_string_dtype(values.dtype):
        return {}
    counts = texts(values.dropna()).value_counts()
    return _best_rule(counts, kind, enough=0) or dict(
        (DATE_FORMATS if kind == "date" else NUMBER_RULES)[0]
    )


def _numbered(present: pd.Series, name: str) -> bool:
    """Whether numbers only number the rows: whole, all different, and named like an id or nearly consecutive."""
    n = len(present)
    if n < MIN_ROWS_FOR_ID or present.nunique() < n:
        return False
    numbers = present.to_numpy(dtype="float64")
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        return False
    return bool(_ID_NAME.search(name)) or numbers.max() - numbers.min() + 1 <= 1.5 * n


def _free_text(counts: pd.Series) -> bool:
    """Sentences rather than labels: at least four words on average, and mostly different from row to row."""
    if len(counts) < 30 or len(counts) < 0.3 * counts.sum():
        return False
    return float(pd.Series(counts.index[:2000]).str.count(r"\S+").mean()) >= 4


def _describe(values: pd.Series, kind: str, parse: dict[str, str]) -> dict[str, Any]:
    """Levels, range and typical value, by kind."""
    present = values.dropna()
    if kind in ("categorical", "boolean"):
        counts = texts(present).value_counts()
        counts = counts.sort_index().sort_values(
            ascending=False, kind="stable"
        )  # ties by name: reproducible
        pair = boolean_levels(counts.index) if kind == "boolean" else None
        if (
            kind == "boolean" and not pair
        ):  # declared so: spellings that differ in case alone are one answer
            counts = counts[~counts.index.str.lower().duplicated()]
        levels = pair or tuple(counts.index[: 2 if kind == "boolean" else MAX_LEVELS])
        return {
            "distinct": len(counts),
            "levels": levels,
            "typical": counts.index[0] if len(counts) else None,
        }
    if kind in ("numeric", "date"):
        numbers = to_numbers(values, kind, parse)
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
    return {"distinct": int(present.nunique())}


def to_numbers(values: pd.Series, kind: str, parse: dict[str, str]) -> np.ndarray:
    """A numeric or date column as float64 (dates in days since 1970-01-01), missing and unreadable as NaN."""
    if kind == "date":
        return days(
            values
            if pd.api.types.is_datetime64_any_dtype(values.dtype)
            else parse_dates(texts(values), parse)
        )
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.array.to_numpy(dtype="float64", na_value=np.nan)
    return parse_numbers(texts(values), parse or NUMBER_RULES[0]).to_numpy(dtype="float64")


def days(dates: pd.Series | Any) -> np.ndarray:
    """Days since 1970-01-01 as float64, with the time of day as a fraction; `dates`: a column or its array."""
    moments = np.asarray(without_zone(dates))
    return np.where(np.isnat(moments), np.nan, moments.astype("float64") / 1e6 / 86400)
