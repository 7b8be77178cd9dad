"""Column checks: columns without information, missing cells, cells that do not fit, levels, copies.

Each function takes a `CheckContext` and returns the findings of one code; none means all is well.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding
from fivefold.core.schema import Column
from fivefold.core.text import listed
from fivefold.profiling.check_context import CheckContext, NotApplicable, quote_cell

MANY_LEVELS = 50
MANY_MISSING, MOSTLY_MISSING = 0.5, 0.95  # shares of cells
# Share of cells, and distinct numbers, that make a column of words "mixed".
MIXED_SHARE, MIXED_LEVELS = 0.5, 10
_KIND_OF_PROBLEM = {
    "not-a-number": "numbers",
    "not-a-date": "dates",
    "not-yes-or-no": "yes or no",
}


def find_empty(ctx: CheckContext) -> list[Finding]:
    """Find columns without any cell."""
    return [
        Finding(
            code="empty-column",
            severity=WARNING,
            subject=column.name,
            found="only missing cells",
            expected="values",
            action="nothing: the model does not see it; fill the column or delete it",
        )
        for column in _not_dropped(ctx)
        if ctx.raw[column.name].isna().all()
    ]


def find_constant(ctx: CheckContext) -> list[Finding]:
    """Find columns with one value only."""
    findings = []
    for column in _not_dropped(ctx, "constant"):
        present = ctx.raw[column.name].dropna()
        if not len(present) or column.used:
            continue
        finding = Finding(
            code="constant-column",
            severity=WARNING,
            subject=column.name,
            found=f"the one value {quote_cell(present.iloc[0])}",
            expected="two values or more",
            action="nothing: the model does not see it",
        )
        findings.append(finding)
    return findings


def find_ids(ctx: CheckContext) -> list[Finding]:
    """Find columns that number or name the rows."""
    findings = []
    for column in _not_dropped(ctx, "id"):
        name = column.name
        if name == ctx.scope.group_column:
            continue
        if name in ctx.scope.id_columns:
            finding = Finding(
                code="id-like",
                severity=PASSED,
                subject=name,
                found="an id by the scope; the model does not see it",
            )
        else:
            finding = Finding(
                code="id-like",
                severity=WARNING,
                subject=name,
                found=f"{column.distinct:,} different values in {len(ctx.raw):,} rows, which "
                "number or name the rows; the model does not see it",
                expected="a measurement",
                action=f"state it as [columns] id; if it does measure something, state "
                f'[columns.kinds] {name} = "numeric" or "categorical"',
            )
        findings.append(finding)
    return findings


def find_missing(ctx: CheckContext) -> list[Finding]:
    """Find used columns that are mostly missing."""
    findings = []
    for column in ctx.columns():
        share = float(ctx.raw[column.name].isna().mean())
        if share <= MANY_MISSING:
            continue
        if share > MOSTLY_MISSING:
            action = "drop it, or find out why it is missing"
        else:
            action = "find out why it is missing: the model learns from the gaps too"
        finding = Finding(
            code="missing-cells",
            severity=WARNING,
            subject=column.name,
            found=f"{share:.1%} of cells missing",
            expected=f"at most {MANY_MISSING:.0%}",
            action=action,
        )
        findings.append(finding)
    return findings


def find_infinite(ctx: CheckContext) -> list[Finding]:
    """Find infinite numbers."""
    return [
        Finding(
            code="infinite-values",
            severity=WARNING,
            subject=name,
            found=f"infinity in {len(cells):,} cells",
            expected="finite numbers",
            action="correct the source; until then these cells are missing",
        )
        for name, cells in _problems(ctx, ["infinite"])
    ]


def find_mixed(ctx: CheckContext) -> list[Finding]:
    """Find cells that do not read as their column's kind, and columns half numbers, half words."""
    findings = []
    for name, cells in _problems(ctx, list(_KIND_OF_PROBLEM)):
        kind = _KIND_OF_PROBLEM[cells["code"].iloc[0]]
        examples = cells.drop_duplicates("value").head(3)
        pairs = zip(examples["row"], examples["value"], strict=True)
        rows = ", ".join(f"row {row + 1}: {quote_cell(value)}" for row, value in pairs)
        finding = Finding(
            code="mixed-types",
            severity=WARNING,
            subject=name,
            found=f"{len(cells):,} cells that are not {kind} ({rows})",
            expected=f"{kind} only",
            action="correct these cells; until then they are missing",
        )
        findings.append(finding)
    for column in ctx.columns("categorical"):
        counts = ctx.typed[column.name].iloc[ctx.sample].value_counts()
        levels = pd.Series(counts.index)
        is_number = pd.to_numeric(levels, errors="coerce").notna().to_numpy()
        share = counts.to_numpy()[is_number].sum() / max(counts.sum(), 1)
        if not MIXED_SHARE <= share < 1 or is_number.sum() < MIXED_LEVELS:
            continue
        words = listed([quote_cell(word) for word in counts.index[~is_number]], 3)
        finding = Finding(
            code="mixed-types",
            severity=WARNING,
            subject=column.name,
            found=f"{share:.0%} numbers, the rest words such as {words}{ctx.sampled}; "
            "all are read as levels",
            expected="numbers or words",
            action="give the words a column of their own, or pass them as missing markers",
        )
        findings.append(finding)
    return findings


def find_many_levels(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find categorical columns of many levels."""
    categorical = ctx.columns("categorical")
    if not categorical:
        return NotApplicable("no categorical columns")
    findings = []
    for column in categorical:
        levels = column.distinct
        if levels <= MANY_LEVELS:
            continue
        present = int(ctx.typed[column.name].notna().sum())
        rare = f"; {present / levels:.1f} rows a level" if levels > present / 10 else ""
        if levels > present / 2:
            action = "drop it, or state it as [columns] id if it names the rows"
        else:
            action = "nothing: levels are encoded by out-of-fold target rates; or group rare levels"
        finding = Finding(
            code="many-levels",
            severity=WARNING,
            subject=column.name,
            found=f"{levels:,} levels in {present:,} rows{rare}",
            expected=f"at most {MANY_LEVELS}",
            action=action,
        )
        findings.append(finding)
    return findings


def find_spellings(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find levels that differ only in case, white space, hyphens or underscores.

    Space at the ends never counts.
    """
    categorical = ctx.columns("categorical")
    if not categorical:
        return NotApplicable("no categorical columns")
    findings = []
    for column in categorical:
        levels = pd.Series(column.levels, dtype="str")
        keys = levels.str.casefold().str.replace(r"[\s_-]+", " ", regex=True).str.strip()
        groups = [list(group) for key, group in levels.groupby(keys, sort=False) if key]
        same = [group for group in groups if len(group) > 1]
        if not same:
            continue
        examples = [" = ".join(quote_cell(level) for level in group) for group in same]
        count = "1 level" if len(same) == 1 else f"{len(same):,} levels"
        finding = Finding(
            code="level-spelling",
            severity=WARNING,
            subject=column.name,
            found=f"{count} in several spellings: {listed(examples, 3)}",
            expected="one spelling a level",
            action="correct the spelling at the source",
        )
        findings.append(finding)
    return findings


def list_free_text(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """List columns of sentences (information only)."""
    columns = ctx.columns("text")
    if not columns:
        return NotApplicable("no columns of free text")
    return [
        Finding(
            code="free-text",
            severity=PASSED,
            subject=column.name,
            found="free text; the model sees hashed word pieces",
        )
        for column in columns
    ]


def find_redundant(ctx: CheckContext) -> list[Finding]:
    """Find used columns that repeat an earlier one: the same values, or the same levels respelt."""
    rows = ctx.sample[:2000]
    first_with: dict[tuple[str, bytes], Column] = {}
    findings = []
    for column in ctx.columns():
        values = ctx.typed[column.name]
        earlier = first_with.setdefault(_pattern(values.iloc[rows], column), column)
        if earlier is column or len(rows) < 2:
            continue
        if _pattern(values, column) != _pattern(ctx.typed[earlier.name], earlier):
            continue
        finding = Finding(
            code="redundant-column",
            severity=WARNING,
            subject=column.name,
            found=f"the same information as {earlier.name!r} in every row",
            expected="a column of its own",
            action=f"drop {column.name!r} or {earlier.name!r}",
        )
        findings.append(finding)
    return findings


def _pattern(values: pd.Series, column: Column) -> tuple[str, bytes]:
    """Return what is equal for columns that repeat each other.

    Levels by first appearance where they are few, else the values.
    """
    if column.distinct <= MANY_LEVELS:
        return "levels", pd.factorize(values)[0].tobytes()
    hashes: np.ndarray = pd.util.hash_pandas_object(values, index=False).to_numpy()
    return column.kind, hashes.tobytes()


def _not_dropped(ctx: CheckContext, *kinds: str) -> list[Column]:
    """Return the columns that the scope does not drop."""
    columns = ctx.columns(*kinds, used_only=False)
    return [column for column in columns if column.name not in ctx.scope.drop_columns]


def _problems(ctx: CheckContext, codes: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (column, its unreadable cells of these codes) for each used column."""
    used = [column.name for column in ctx.columns()]
    is_wanted = ctx.problems["code"].isin(codes) & ctx.problems["column"].isin(used)
    for name, cells in ctx.problems[is_wanted].groupby("column", sort=False):
        yield str(name), cells
