"""Leakage: columns that contain the answer, and equal rows on both sides of a split.

A leak is refused on evidence, not on a point estimate: the observed AUC and the lower end of its
95% Wilson interval must both be high. The interval takes min(positives, negatives) as its number
of trials, since the variance of an AUC A is at most A(1-A)/min(m, n) (Birnbaum and Klose 1957). So
a strong but honest column of a small table is not refused by chance: a column whose true AUC is
below `LEAK_SURE` is refused in at most 5% of tables, and only if it also happens to reach `LEAK`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding, problem
from fivefold.core.intervals import wilson
from fivefold.core.roc_auc import roc_auc
from fivefold.core.schema import Column
from fivefold.data.splits import Split
from fivefold.profiling.association import as_numbers, draw_folds
from fivefold.profiling.check_context import CheckContext, NotApplicable, Result

LEAK, LEAK_SURE = 0.995, 0.95  # error: AUC observed, and the lower end of its interval
SUSPECT, SUSPECT_SURE = 0.97, 0.85  # warning
MIN_CLASS = 10  # rows of each class below which no column is checked
# A yes/no column right in 90% of rows agrees with all of 50 labels in 1 of 200 tables.
MIN_COPY_ROWS = 50
BINS, FEW_LEVELS = 50, 20
_Z = 1.6449  # 95%, one-sided


@dataclass(frozen=True)
class _Ranking:
    """How well something ranks the labels: AUC and its lower bound; NaN where unknown."""

    auc: float = math.nan
    low: float = math.nan
    how: str = ""

    @property
    def severity(self) -> str:
        """Error, warning, or nothing (also where the AUC is unknown)."""
        if self.auc >= LEAK and self.low >= LEAK_SURE:
            return ERROR
        return WARNING if self.auc >= SUSPECT and self.low >= SUSPECT_SURE else ""


def lower_bound(area: float, trials: int) -> float:
    """Return the lower end of the one-sided 95% Wilson interval of an AUC.

    The number of trials is that of the rows of the rarer class.

    >>> round(lower_bound(1.0, 52), 3), round(lower_bound(1.0, 30), 3)
    (0.951, 0.917)
    """
    return wilson(area * trials, trials, _Z)[0]


def out_of_fold_rates(codes: np.ndarray, y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Return each row's share of positives among the rows of its level in the other folds.

    So a level seen once has no effect. Rates are smoothed by one row of the overall share.

    Parameters
    ----------
    codes
        Levels 0, 1, ... of shape (rows,).
    """
    levels = int(codes.max(initial=0)) + 1
    scores = np.empty(len(y))
    for fold in np.unique(folds):
        train = folds != fold
        rows = np.bincount(codes[train], minlength=levels)
        hits = np.bincount(codes[train], weights=y[train], minlength=levels)
        prior = y[train].mean() if train.any() else 0.5
        rates = (hits + prior) / (rows + 1)
        scores[~train] = rates[codes[~train]]
    return scores


def find_leaks(ctx: CheckContext) -> Iterator[Result]:
    """Find columns that alone rank the two classes (almost) perfectly.

    By their order, or by their levels out of fold.
    """
    y = _labels(ctx)
    folds = _folds(ctx)
    for column in ctx.columns():
        values = ctx.sample_of(column.name)
        if _copies(values, y) or _rank_by_missing(values, y).severity:
            continue  # target-copy and leak-missing report it
        ranking = _rank_by_column(values, column, y, folds)
        if ranking.severity:
            found = (
                f"alone it ranks the labels with AUC {ranking.auc:.4f}, "
                f"at least {ranking.low:.3f} with 95% confidence, {ranking.how}"
            )
            yield _leak(ctx, column, found, ranking.severity)


def find_missing_leaks(ctx: CheckContext) -> Iterator[Result]:
    """Find columns whose missing cells give the label away (filled in only after the event)."""
    y = _labels(ctx)
    columns = [column for column in ctx.columns() if ctx.typed[column.name].isna().any()]
    if not columns:
        raise NotApplicable("no missing cells in used columns")
    for column in columns:
        values = ctx.sample_of(column.name)
        severity = _rank_by_missing(values, y).severity
        if severity:
            in_positive, in_negative = (values[y == label].isna().mean() for label in (1, 0))
            found = (
                f"missing in {in_positive:.1%} of the positive "
                f"and {in_negative:.1%} of the negative rows"
            )
            yield _leak(ctx, column, found, severity)


def find_target_copies(ctx: CheckContext) -> Iterator[Result]:
    """Find columns of two levels that agree with the target in every row, in any spelling."""
    y = _labels(ctx)
    for column in ctx.columns():
        values = ctx.sample_of(column.name)
        if _copies(values, y):
            yes, no = values[y == 1].iloc[0], values[y == 0].iloc[0]
            found = (
                f"always {yes} where the target is {ctx.schema.positive!r} "
                f"and {no} where the target is {ctx.schema.negative!r}"
            )
            yield _leak(ctx, column, found, ERROR)


def find_duplicates(ctx: CheckContext) -> Iterator[Result]:
    """Find rows that repeat an earlier row in every used column and the label."""
    if not ctx.columns():
        raise NotApplicable("no used columns")
    keys = pd.Series(ctx.row_groups * 3 + ctx.y)
    repeated = np.flatnonzero(keys.duplicated())
    action = (
        "nothing for the split, which keeps equal rows on one side; delete copies made by accident"
    )
    if len(repeated) and not ctx.keeps_twins:
        action = (
            "know that equal rows are on both sides of the split: these columns are too coarse to "
            "tell cases apart; delete copies made by accident"
        )
    if len(repeated):
        examples = ", ".join(str(row + 1) for row in repeated[:3])
        distinct = int(ctx.row_groups.max()) + 1
        yield Result(
            "table",
            f"{len(repeated):,} rows that repeat an earlier row, such as row {examples}; "
            f"{distinct:,} distinct rows of {len(keys):,}",
            "each case once",
            action,
        )


def find_conflicts(ctx: CheckContext) -> Iterator[Result]:
    """Find rows that are equal in every used column but not in the label."""
    labelled = ctx.y >= 0
    y, groups = ctx.y[labelled], ctx.row_groups[labelled]
    if not ctx.columns() or not len(y):
        raise NotApplicable("no labelled rows with used columns")
    rows, hits = np.bincount(groups), np.bincount(groups, weights=y)
    is_mixed = (hits > 0) & (hits < rows)
    if is_mixed.any():
        ceiling = roc_auc(y, (hits / np.maximum(rows, 1))[groups])
        yield Result(
            "table",
            f"{int(rows[is_mixed].sum()):,} rows in {int(is_mixed.sum()):,} groups that "
            f"differ in the label only; no model of these columns can exceed AUC {ceiling:.6f} "
            "on these rows",
            "equal rows with equal labels",
            "look for a missing column, or for labels set by mistake",
        )


def check_split(groups: np.ndarray, fold_ids: np.ndarray) -> list[Finding]:
    """Return the finding on whether no model is scored on a group that it has learnt from.

    In no fold, and not on the holdout. Both arrays have shape (rows,); raises ValueError where the
    lengths differ.
    """
    if len(groups) != len(fold_ids):
        raise ValueError(
            f"expected one fold per row, found {len(groups)} groups and {len(fold_ids)} folds"
        )
    split = Split(fold_ids)
    is_apart = np.zeros(len(groups), dtype=bool)
    for learnt, scored in (*split.folds(), (split.training_rows, split.holdout_rows)):
        both = np.intersect1d(groups[learnt], groups[scored])
        is_apart |= np.isin(groups, both)
    if not is_apart.any():
        found = "no equal rows in two folds, or in a fold and the holdout"
        return [Finding(code="split-straddle", severity=PASSED, subject="split", found=found)]
    found = (
        f"{len(np.unique(groups[is_apart])):,} groups of equal rows ({int(is_apart.sum()):,} rows) "
        "in more than one fold or holdout"
    )
    expected, action = "equal rows on one side", "split by duplicate_groups"
    return [problem("split-straddle", "split", found, expected, action)]


def _rank_by_column(
    values: pd.Series, column: Column, y: np.ndarray, folds: np.ndarray
) -> _Ranking:
    """Return the better of two rankings: by order (numbers, dates), and by levels."""
    by_order = _Ranking()
    if column.kind in ("numeric", "date", "boolean"):
        numbers = as_numbers(values, column.kind)
        present = ~np.isnan(numbers)
        area = roc_auc(y[present], numbers[present])
        by_order = _bounded(max(area, 1 - area), y[present], "by its order")
        values = pd.Series(_binned(numbers + 0.0, present))
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    if len(levels) <= FEW_LEVELS:  # such a level is learnt with or without equal rows
        folds = draw_folds(len(y), seed=0)
    # Otherwise equal rows share a fold: copies would make each level known.
    rates = out_of_fold_rates(codes, y, folds)
    by_levels = _bounded(roc_auc(y, rates), y, "by its levels, scored out of fold")
    return by_order if by_order.auc >= by_levels.auc else by_levels


def _binned(numbers: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return the numbers, or their quantile bins where they are many."""
    if len(np.unique(numbers[present])) <= BINS:
        return numbers
    cuts = np.quantile(numbers[present], np.arange(1, BINS) / BINS)
    return np.where(present, np.searchsorted(cuts, numbers), np.nan)


def _rank_by_missing(values: pd.Series, y: np.ndarray) -> _Ranking:
    area = roc_auc(y, values.isna().to_numpy(dtype="float64"))
    return _bounded(max(area, 1 - area), y)


def _bounded(area: float, y: np.ndarray, how: str = "") -> _Ranking:
    rows = _rows_of_rarer_class(y)
    return _Ranking() if rows < MIN_CLASS else _Ranking(area, lower_bound(area, rows), how)


def _rows_of_rarer_class(y: np.ndarray) -> int:
    return min(int((y == 1).sum()), int((y == 0).sum()))


def _copies(values: pd.Series, y: np.ndarray) -> bool:
    """Return whether two levels without gaps stand for the two labels in every row."""
    if len(values) < MIN_COPY_ROWS or values.nunique(dropna=False) != 2 or values.isna().any():
        return False
    is_first_level = (values == values.iloc[0]).to_numpy()
    return bool((is_first_level == (y == y[0])).all())


def _leak(ctx: CheckContext, column: Column, found: str, severity: str) -> Result:
    """Return the result on one column; a column that the scope calls known passes, with a note."""
    name = column.name
    found += ctx.sampled
    if name in ctx.scope.known_columns:
        found += "; the scope lists it as known at prediction time"
        return Result(name, found, severity=PASSED)
    action = (
        f"drop it with --drop {name} ([columns] drop), or, if it is truly known when the "
        "prediction is made, name it in [columns] known"
    )
    if column.kind in ("categorical", "text") and column.distinct > BINS:
        action += "; if it names whom the row is about, state it as [columns] group"
    expected = "a column known before the event, which no column gives away alone"
    return Result(name, found, expected, action, severity)


def _labels(ctx: CheckContext) -> np.ndarray:
    """Return the labels of the sample; raise `NotApplicable` where they are too few."""
    y: np.ndarray = ctx.y[ctx.sample]
    rows = _rows_of_rarer_class(y)
    if rows < MIN_CLASS:
        raise NotApplicable(f"{rows} rows of the rarer class, {MIN_CLASS} are needed")
    return y


def _folds(ctx: CheckContext) -> np.ndarray:
    """Return a fold for each sampled row; rows of one group, or equal rows, share it."""
    name = ctx.scope.group
    groups = pd.factorize(ctx.raw[name])[0] if name in ctx.raw.columns else ctx.row_groups
    # A missing group is -1, the last of the order.
    fold_of_group = draw_folds(int(groups.max()) + 2, ctx.seed)
    folds: np.ndarray = fold_of_group[groups[ctx.sample]]
    return folds
