"""Leaks and duplicates: columns that know the answer, and rows that would stand on both sides of a split.

A leak is refused on evidence, not on a point estimate: the observed AUC and the lower end of its 95% Wilson
interval must both be high. The interval takes min(positives, negatives) for its number of trials, since the
variance of an AUC A is at most A(1-A)/min(m, n) (Birnbaum and Klose 1957), so that a strong but honest column of
a small table is not refused by chance: a column whose true AUC is below `LEAK_SURE` is refused in at most 5% of
tables, and only if it also happens to reach `LEAK`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding
from fivefold.core.intervals import wilson
from fivefold.core.roc_auc import ranks
from fivefold.core.schema import Column
from fivefold.data.infer import days
from fivefold.profiling.check_context import CheckContext, not_applicable

LEAK, LEAK_SURE = 0.995, 0.95  # error: AUC observed, and the lower end of its interval
SUSPECT, SUSPECT_SURE = 0.97, 0.85  # warning
MIN_CLASS = 10  # rows of each class below which no column is judged
MIN_COPY_ROWS = (
    50  # a yes/no column right in 90% of rows agrees with all of 50 labels in 1 of 200 tables
)
FOLDS, BINS, FEW_LEVELS = 5, 50, 20
_Z = 1.6449  # 95%, one-sided


def auc(scores: np.ndarray, y: np.ndarray) -> float:
    """Area under the ROC curve by ranks (Mann-Whitney U; ties count half); NaN without both classes.

    >>> auc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
    0.875
    """
    positives, negatives = int((y == 1).sum()), int((y == 0).sum())
    if not positives or not negatives:
        return math.nan
    return float(
        (ranks(scores)[y == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )


def lower_bound(area: float, positives: int, negatives: int) -> float:
    """The lower end of the one-sided 95% Wilson interval of an AUC, with min(positives, negatives) trials.

    >>> round(lower_bound(1.0, 52, 500), 3), round(lower_bound(1.0, 30, 30), 3)
    (0.951, 0.917)
    """
    n = min(positives, negatives)
    return wilson(area * n, n, _Z)[0]


def out_of_fold_rates(codes: np.ndarray, y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Each row's share of positives among the rows of its level in the *other* folds, so that a level seen once
    tells nothing. Smoothed by one row of the overall share. `codes` (rows,) are 0, 1, ...; shape (rows,).
    """
    levels, scores = int(codes.max(initial=0)) + 1, np.empty(len(y))
    for fold in np.unique(folds):
        train = folds != fold
        rows = np.bincount(codes[train], minlength=levels)
        hits = np.bincount(codes[train], weights=y[train], minlength=levels)
        prior = y[train].mean() if train.any() else 0.5
        scores[~train] = ((hits + prior) / (rows + 1))[codes[~train]]
    return scores


def check_leaks(ctx: CheckContext) -> list[Finding]:
    """Columns that alone rank the two classes (almost) perfectly: by order, or by their levels out of fold."""
    y = ctx.y[ctx.sample]
    if why := _too_few(y):
        return not_applicable("leak", why)
    folds = _folds(ctx)
    found: list[Finding] = []
    for column in ctx.columns():
        values = ctx.typed[column.name].iloc[ctx.sample]
        if _copies(values, y) or _severity(*_missing_auc(values, y)):
            continue  # target-copy and leak-missing say so
        area, low, how = _column_auc(values, column, y, folds)
        if severity := _severity(area, low):
            text = f"alone it ranks the labels with AUC {area:.4f}, at least {low:.3f} with 95% confidence, {how}"
            found.append(_leak(ctx, "leak", severity, column.name, text + ctx.sampled, column))
    return found


def check_missing_leaks(ctx: CheckContext) -> list[Finding]:
    """Columns whose missing cells give the label away (filled in only after the event)."""
    y = ctx.y[ctx.sample]
    if why := _too_few(y):
        return not_applicable("leak-missing", why)
    gaps = [c for c in ctx.columns() if ctx.typed[c.name].isna().any()]
    if not gaps:
        return not_applicable("leak-missing", "no missing cells in used columns")
    found = []
    for column in gaps:
        values = ctx.typed[column.name].iloc[ctx.sample]
        area, low = _missing_auc(values, y)
        if severity := _severity(area, low):
            shares = [f"{100 * values[y == label].isna().mean():.1f}%" for label in (1, 0)]
            text = f"missing in {shares[0]} of the positive and {shares[1]} of the negative rows"
            found.append(
                _leak(ctx, "leak-missing", severity, column.name, text + ctx.sampled, column)
            )
    return found


def check_target_copies(ctx: CheckContext) -> list[Finding]:
    """Columns of two levels that agree with the target in every row, however they are spelt."""
    y = ctx.y[ctx.sample]
    if why := _too_few(y):
        return not_applicable("target-copy", why)
    found = []
    for column in ctx.columns():
        values = ctx.typed[column.name].iloc[ctx.sample]
        if _copies(values, y):
            pair = " and ".join(
                f"{label} where the target is {name!r}"
                for label, name in (
                    (values[y == 1].iloc[0], ctx.schema.positive),
                    (values[y == 0].iloc[0], ctx.schema.negative),
                )
            )
            found.append(
                _leak(ctx, "target-copy", ERROR, column.name, f"always {pair}{ctx.sampled}", column)
            )
    return found


def check_duplicates(ctx: CheckContext) -> list[Finding]:
    """Rows that repeat an earlier row in every used column and the label."""
    if not ctx.columns():
        return not_applicable("duplicate-rows", "no used columns")
    pairs, firsts = np.unique(ctx.row_groups * 3 + ctx.y, return_index=True)
    extra = len(ctx.y) - len(pairs)
    if not extra:
        return []
    again = np.setdiff1d(np.arange(len(ctx.y)), firsts)[:3] + 1
    distinct = int(ctx.row_groups.max()) + 1
    return [
        Finding(
            code="duplicate-rows",
            severity=WARNING,
            subject="table",
            found=f"{extra:,} rows that repeat an earlier row, such as row {', '.join(map(str, again))}; "
            f"{distinct:,} distinct rows of {len(ctx.y):,}",
            expected="each case once",
            action="nothing for the split, which keeps equal rows on one side; delete copies made by accident",
        )
    ]


def check_conflicts(ctx: CheckContext) -> list[Finding]:
    """Rows that are equal in every used column but not in the label: no model can tell them apart."""
    labelled = ctx.y >= 0
    y, groups = ctx.y[labelled], ctx.row_groups[labelled]
    if not ctx.columns() or not len(y):
        return not_applicable("conflicting-labels", "no labelled rows with used columns")
    rows, hits = np.bincount(groups), np.bincount(groups, weights=y)
    mixed = (hits > 0) & (hits < rows)
    if not mixed.any():
        return []
    ceiling = auc((hits / np.maximum(rows, 1))[groups], y)
    return [
        Finding(
            code="conflicting-labels",
            severity=WARNING,
            subject="table",
            found=f"{int(rows[mixed].sum()):,} rows in {int(mixed.sum()):,} groups that differ in the label only; "
            f"no model of these columns can exceed AUC {ceiling:.6f} on these rows",
            expected="equal rows with equal labels",
            action="look for a missing column, or for labels set by mistake",
        )
    ]


def check_split(groups: np.ndarray, fold_of_row: np.ndarray) -> list[Finding]:
    """Whether all rows of a duplicate group are on one side: one fold (0, 1, ...) or the holdout (-1).

    Both of shape (rows,); raises ValueError where the lengths differ.
    """
    if len(groups) != len(fold_of_row):
        raise ValueError(
            f"expected one fold per row, found {len(groups)} groups and {len(fold_of_row)} folds"
        )
    sides = pd.Series(np.asarray(fold_of_row)).groupby(np.asarray(groups))
    apart = sides.min() != sides.max()
    if not apart.any():
        return [
            Finding(
                code="split-straddle",
                severity=PASSED,
                subject="split",
                found="no equal rows in two folds, or in a fold and the holdout",
            )
        ]
    rows = int(sides.size()[apart].sum())
    return [
        Finding(
            code="split-straddle",
            severity=ERROR,
            subject="split",
            found=f"{int(apart.sum()):,} groups of equal rows ({rows:,} rows) in "
            "more than one fold or holdout",
            expected="equal rows on one side",
            action="split by duplicate_groups",
        )
    ]


def _column_auc(
    values: pd.Series, column: Column, y: np.ndarray, folds: np.ndarray
) -> tuple[float, float, str]:
    """(AUC, lower bound, how) of the better of two readings: by order (numbers, dates), and by levels."""
    best = (math.nan, math.nan, "")
    if column.kind in ("numeric", "date", "boolean"):
        numbers = days(values) if column.kind == "date" else values.to_numpy(dtype="float64")
        there = ~np.isnan(numbers)
        area = auc(numbers[there], y[there])
        best = (*_bounded(max(area, 1 - area), y[there]), "by its order")
        numbers = numbers + 0.0
        if len(np.unique(numbers[there])) > BINS:
            numbers = np.where(
                there,
                np.searchsorted(np.quantile(numbers[there], np.arange(1, BINS) / BINS), numbers),
                np.nan,
            )
        values = pd.Series(numbers)
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    # By row: a level of many rows is learnt whatever its twins do. By twins where levels are many, or an
    # oversampled table would make each level known from its copies.
    plain = np.random.default_rng(0).permutation(len(y)) % FOLDS
    rates = out_of_fold_rates(codes, y, plain if len(levels) <= FEW_LEVELS else folds)
    area, low = _bounded(auc(rates, y), y)
    if math.isnan(best[0]) or area > best[0]:
        return area, low, "by its levels, judged out of fold"
    return best


def _missing_auc(values: pd.Series, y: np.ndarray) -> tuple[float, float]:
    area = auc(values.isna().to_numpy().astype("float64"), y)
    return _bounded(max(area, 1 - area), y)


def _bounded(area: float, y: np.ndarray) -> tuple[float, float]:
    positives, negatives = int((y == 1).sum()), int((y == 0).sum())
    if min(positives, negatives) < MIN_CLASS:
        return math.nan, math.nan
    return area, lower_bound(area, positives, negatives)


def _severity(area: float, low: float) -> str:
    """error, warning, or nothing (also where the AUC is unknown)."""
    if area >= LEAK and low >= LEAK_SURE:
        return ERROR
    return WARNING if area >= SUSPECT and low >= SUSPECT_SURE else ""


def _copies(values: pd.Series, y: np.ndarray) -> bool:
    """Whether two levels without gaps stand for the two labels in every row."""
    if len(values) < MIN_COPY_ROWS or values.nunique(dropna=False) != 2 or values.isna().any():
        return False
    first = (values == values.iloc[0]).to_numpy()
    return bool((first == (y == y[0])).all())


def _leak(
    ctx: CheckContext, code: str, severity: str, name: str, text: str, column: Column
) -> Finding:
    """The finding on one column; a column that the scope vouches for passes, and says so."""
    if name in ctx.scope.known_columns:
        return Finding(
            code=code,
            severity=PASSED,
            subject=name,
            found=f"{text}; the scope says it is known at prediction time",
        )
    action = (
        f"drop it with --drop {name} ([columns] drop), or, if it is truly known when the prediction is made, "
        "name it in [columns] known"
    )
    if column.kind in ("categorical", "text") and column.distinct > BINS:
        action += "; if it names whom the row is about, state it as [columns] group"
    return Finding(
        code=code,
        severity=severity,
        subject=name,
        found=text,
        expected="a column known before the event, which no column tells alone",
        action=action,
    )


def _too_few(y: np.ndarray) -> str:
    few = min(int((y == 1).sum()), int((y == 0).sum()))
    return f"{few} rows of the rarer class, {MIN_CLASS} are needed" if few < MIN_CLASS else ""


def _folds(ctx: CheckContext) -> np.ndarray:
    """A fold for each sampled row; rows of one group (the scope's, else equal rows) share it."""
    group = ctx.scope.group_column
    groups = pd.factorize(ctx.raw[group])[0] if group in ctx.raw.columns else ctx.row_groups
    order = np.random.default_rng(ctx.seed).permutation(
        int(groups.max()) + 2
    )  # missing is -1, the last
    return order[groups[ctx.sample]] % FOLDS
