"""Repeated cases: columns that name whom a row is about, where whoever it is comes again.

Rows of one case share their label, or nearly. On both sides of a split they let a model recognise
the case instead of learning from it: noise then ranks held-out rows almost perfectly. Evidence is
the intraclass correlation of the label within the values of a column: 0 if the label ignores them,
1 if it is constant within each (Fleiss and Cuzick 1979, "The reliability of dichotomous
judgments"; compared with others by Ridout, Demétrio and Firth 1999). An ordinary number has no more
of it than its neighbours say, and an ordinary category has little.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import WARNING, Finding, problem, verdict
from fivefold.core.scope import Scope
from fivefold.core.text import listed
from fivefold.data.row_groups import duplicate_groups

CODE = "repeated-cases"
MIN_CASES = 30  # values with several rows that a key has at least
MIN_REPEATED = 0.5  # share of rows that such values have at least
MIN_CLASS = 10  # of these values, those that hold the rarer label
# Intraclass correlation of the label: a key, surely; a key if the row's other columns hardly vary
# within its values either; perhaps one. Standard errors from chance that each must be.
SURE, SURE_WITH_COLUMNS, PERHAPS, PERHAPS_WITH_COLUMNS = 0.8, 0.5, 0.4, 0.3
ERRORS = 5.0
ABOVE_NEIGHBOURS = 0.5  # how much more alike the labels are within a value than beside it
MOST_SHARED, LEAST_SHARED = 0.95, 3  # share of values with one cell only; columns of which that is
KEY_NAME = re.compile(r"(?i:(^|[_\s\-.])(id|key|no|nr|number|code|uuid|guid)$)|[a-z]I[Dd]$")


@dataclass(frozen=True)
class RepeatedCases:
    """A column whose values look like cases that come again.

    `alike` is the intraclass correlation of the label within a value, `shared` are columns that
    hardly vary within one. `sure`: whether the evidence is strong.
    """

    column: str
    cases: int
    rows: int
    alike: float
    shared: tuple[str, ...]
    sure: bool

    @property
    def found(self) -> str:
        """What was found, in words."""
        text = (
            f"{self.cases:,} values with {self.rows:,} rows between them, within which the label "
            f"hardly varies (intraclass correlation {self.alike:.2f})"
        )
        if self.shared:
            text += f", nor do {listed(self.shared, 5)}"
        return text


def find_repeated_cases(frame: pd.DataFrame, y: np.ndarray, scope: Scope) -> list[RepeatedCases]:
    """Return the columns that look like keys of cases, the best one first.

    Parameters
    ----------
    frame
        The table as read.
    y
        Labels 1, 0, or -1 for a missing one, shape (rows,).
    """
    names = [str(name) for name in frame.columns if name not in (scope.target, scope.time_column)]
    labelled = np.flatnonzero(y >= 0)
    if len(labelled) < 2 * MIN_CASES or len(np.unique(y[labelled])) < 2:
        return []
    table = frame[names].take(labelled).reset_index(drop=True)
    labels = y[labelled]
    keys = _keys(table, names, labels)
    if not keys:
        return []
    # Copies of a row show nothing: they are kept together anyway.
    copies = pd.Series(duplicate_groups(table) * 2 + labels).duplicated().to_numpy()
    table, labels = table[~copies].reset_index(drop=True), labels[~copies]
    keys = _keys(table, [key.column for key in keys], labels)
    return sorted(keys, key=lambda key: _preference(key, table))


def _keys(table: pd.DataFrame, names: list[str], y: np.ndarray) -> list[RepeatedCases]:
    found = [_look_at(table, name, y) for name in names]
    return [key for key in found if key is not None]


def group_findings(keys: list[RepeatedCases], split_by: str | None) -> list[Finding]:
    """Return the findings on these keys; `split_by` is the one that the split keeps together."""
    if not keys:
        return [verdict(False, CODE, "table", found="no column whose values are cases again")]
    return list(_of_keys(keys, split_by))


def _of_keys(keys: list[RepeatedCases], split_by: str | None) -> Iterator[Finding]:
    expected = "one row for each case, or [columns] group"
    for key in keys:
        found, name = key.found, key.column
        if name == split_by:
            found += "; rows of one value stay on one side of the split, and no model sees it"
            action = (
                f'state [columns] group = "{name}" (--group {name}); if every row is a case of its '
                'own, state group = "none" (--group none)'
            )
        elif split_by:
            continue
        else:
            action = (
                f'if rows of one value are about the same case, state [columns] group = "{name}" '
                f"(--group {name}): the figures are too good otherwise; if not, state group = "
                '"none" (--group none)'
            )
        yield problem(CODE, name, found, expected, action, WARNING)


def _preference(key: RepeatedCases, table: pd.DataFrame) -> tuple[bool, bool, bool, int]:
    """Return the order of keys: sure, named like one, written like one, of few values."""
    values = table[key.column].dropna()
    is_measure = values.dtype.kind == "f" and bool((values % 1 != 0).any())
    is_measure |= values.dtype.kind == "M"
    return not key.sure, not KEY_NAME.search(key.column), is_measure, key.cases


def _look_at(table: pd.DataFrame, name: str, y: np.ndarray) -> RepeatedCases | None:
    """Return what a column shows, None where it is no key."""
    distinct = table[name].nunique()
    # Half of the rows in values of two or more: no more than three quarters are distinct.
    if not MIN_CASES <= distinct <= (1 - MIN_REPEATED / 2) * len(table):
        return None
    codes, values = pd.factorize(table[name], sort=table[name].dtype.kind in "iufM")
    present = codes >= 0
    rows = np.bincount(codes[present])
    hits = np.bincount(codes[present], weights=y[present])
    again = rows > 1
    in_again = int(rows[again].sum())
    rarer = np.minimum((hits[again] > 0).sum(), (hits[again] < rows[again]).sum())
    if again.sum() < MIN_CASES or in_again < MIN_REPEATED * len(y) or rarer < MIN_CLASS:
        return None
    alike, error = intraclass(rows, hits)
    if alike < max(PERHAPS_WITH_COLUMNS, ERRORS * error):
        return None
    if len(values) > 1 and values.dtype.kind in "iufM":
        alike_beside = _beside(rows, hits)
        if alike - max(alike_beside, 0.0) < ABOVE_NEIGHBOURS * alike:
            return None
    shared = _shared(table, name, codes, again)
    has_columns = 2 * len(shared) >= table.shape[1] - 1 and len(shared) >= LEAST_SHARED
    if alike < PERHAPS and not has_columns:
        return None
    sure = alike >= (SURE_WITH_COLUMNS if has_columns else SURE)
    return RepeatedCases(name, int(again.sum()), in_again, alike, shared, sure)


def intraclass(rows: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """Return (the intraclass correlation of a label within groups, its standard error at 0).

    1 - sum of n p (1 - p) over groups / ((rows - groups) P (1 - P)), with the share of positives p
    of a group and P of all (Fleiss and Cuzick 1979). Without a correlation its variance is about 1
    / (pairs of rows within groups).

    Parameters
    ----------
    rows, hits
        Rows and positive rows of each group, shape (groups,).

    >>> intraclass(np.array([2, 2, 2, 2]), np.array([2, 2, 0, 0]))[0]
    1.0
    >>> intraclass(np.array([2, 2]), np.array([1, 1]))[0]
    -1.0
    """
    share = hits.sum() / rows.sum()
    within = (hits * (1 - hits / rows)).sum()
    expected = (rows.sum() - len(rows)) * share * (1 - share)
    pairs = (rows * (rows - 1)).sum() / 2
    if expected <= 0 or pairs <= 0:
        return 0.0, np.inf
    return float(1 - within / expected), float(pairs**-0.5)


def _beside(rows: np.ndarray, hits: np.ndarray) -> float:
    """Return the correlation of labels between each value and the next, as `intraclass`."""
    share = hits.sum() / rows.sum()
    rates = hits / rows
    weights = np.minimum(rows[:-1], rows[1:])
    differ = rates[:-1] * (1 - rates[1:]) + rates[1:] * (1 - rates[:-1])
    return float(1 - (weights * differ).sum() / (weights.sum() * 2 * share * (1 - share)))


def _shared(table: pd.DataFrame, key: str, codes: np.ndarray, again: np.ndarray) -> tuple[str, ...]:
    """Return the other columns that have one cell only in nearly all values of the key.

    A column that would have so by chance, such as one that is nearly constant, does not count.
    """
    rows = np.flatnonzero((codes >= 0) & again[codes])
    groups = codes[rows]
    drawn = np.random.default_rng(0).permutation(len(rows))
    names = []
    for name in table.columns:
        cells = pd.factorize(table[name].take(rows), use_na_sentinel=False)[0]
        if name == key or _constant_share(groups, cells) < MOST_SHARED:
            continue
        if _constant_share(groups, cells[drawn]) < MOST_SHARED / 2:
            names.append(str(name))
    return tuple(names)


def _constant_share(groups: np.ndarray, cells: np.ndarray) -> float:
    """Return the share of groups whose cells are all equal."""
    by_group = pd.Series(cells).groupby(groups)
    return float((by_group.min() == by_group.max()).mean())
