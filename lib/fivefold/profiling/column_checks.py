"""Column checks: columns without information, missing cells, cells that do not fit, levels, copies.

Each function takes a `CheckContext` and yields the results of one check; none means all is well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED
from fivefold.core.schema import Column
from fivefold.core.text import listed, plural
from fivefold.data.infer import MIN_ROWS_FOR_ID
from fivefold.data.row_groups import hash_rows
from fivefold.profiling.check_context import CheckContext, Result, quote_cell
from fivefold.profiling.repeated_cases import KEY_NAME

MANY_LEVELS = 50
CODE_DIGITS, EVEN = 5, 2.0  # of codes: least digits beyond the first; distance x sqrt(rows)
MANY_MISSING, MOSTLY_MISSING = 0.5, 0.95  # shares of cells
# Share of cells, and distinct numbers, that make a column of words "mixed".
MIXED_SHARE, MIXED_LEVELS = 0.5, 10
_KIND_OF_PROBLEM = {
    "not-a-number": "numbers",
    "not-a-date": "dates",
    "not-yes-or-no": "yes or no",
}


def find_empty(ctx: CheckContext) -> Iterator[Result]:
    """Find columns without any cell."""
    for column in _not_dropped(ctx):
        if ctx.raw[column.name].isna().all():
            yield Result(
                column.name,
                "only missing cells",
                "values",
                "nothing: the model does not see it; fill the column or delete it",
            )


def find_constant(ctx: CheckContext) -> Iterator[Result]:
    """Find columns with one value only."""
    for column in _not_dropped(ctx, "constant"):
        present = ctx.raw[column.name].dropna()
        if len(present) and not column.used:
            yield Result(
                column.name,
                f"the one value {quote_cell(present.iloc[0])}",
                "two values or more",
                "nothing: the model does not see it",
            )
    for column in ctx.columns("categorical"):
        if column.distinct == 1:
            found = f"{quote_cell(column.levels[0])} or nothing; the model sees whether it is there"
            yield Result(column.name, found, severity=PASSED)


def find_ids(ctx: CheckContext) -> Iterator[Result]:
    """Find columns that number or name the rows."""
    for column in _not_dropped(ctx, "id"):
        name = column.name
        if name in (ctx.scope.group, ctx.scope.weight_column):
            continue
        if name in ctx.scope.id_columns:
            found = "an id by the scope; the model does not see it"
            yield Result(name, found, severity=PASSED)
            continue
        yield Result(
            name,
            f"{column.distinct:,} different values in {len(ctx.raw):,} rows, which "
            "number or name the rows; the model does not see it",
            "a measurement",
            f"state it as [columns] id; if it does measure something, state "
            f'[columns.kinds] {name} = "numeric" or "categorical"',
        )
    for column in ctx.columns("numeric"):
        name, numbers = column.name, ctx.typed[column.name].dropna().to_numpy()
        if name not in ctx.scope.kinds and column.integer and _are_codes(name, numbers):
            yield Result(
                name,
                f"{len(numbers):,} different whole numbers in {len(ctx.raw):,} rows, which look "
                "like codes; the model takes them for a measurement",
                "a measurement",
                f"if they name the rows, state [columns] id (--id-columns {name}); if they measure "
                f'something, state [columns.kinds] {name} = "numeric"',
            )


def _are_codes(name: str, numbers: np.ndarray) -> bool:
    """Return whether whole numbers, all different, look like codes such as 521585.

    They are called so, or are as long as each other and spread evenly, which amounts are not: the
    Kolmogorov-Smirnov distance to an even spread is one that chance exceeds in 7 of 10,000 columns.
    """
    if len(numbers) < MIN_ROWS_FOR_ID or len(np.unique(numbers)) < len(numbers):
        return False
    if KEY_NAME.search(name):
        return True
    ordered = np.sort(numbers)
    low, high = float(ordered[0]), float(ordered[-1])
    if low < 10**CODE_DIGITS or len(f"{low:.0f}") != len(f"{high:.0f}"):
        return False
    apart = np.abs((ordered - low) / (high - low) - np.linspace(0, 1, len(ordered))).max()
    return bool(apart * len(ordered) ** 0.5 < EVEN)


def find_missing(ctx: CheckContext) -> Iterator[Result]:
    """Find used columns that are mostly missing."""
    for column in ctx.columns():
        share = float(ctx.raw[column.name].isna().mean())
        if share <= MANY_MISSING:
            continue
        action = "find out why it is missing: the model learns from the gaps too"
        if share > MOSTLY_MISSING:
            action = "drop it, or find out why it is missing"
        expected = f"at most {MANY_MISSING:.0%}"
        yield Result(column.name, f"{share:.1%} of cells missing", expected, action)


def find_infinite(ctx: CheckContext) -> Iterator[Result]:
    """Find infinite numbers, and finite ones that no library here can take."""
    for name, cells in _problems(ctx, ["infinite"]):
        is_infinite = cells["value"].str.contains("inf", case=False)
        found = f"infinity in {len(cells):,} cells"
        if not is_infinite.all():
            example = cells.loc[~is_infinite, "value"].iloc[0]
            found = f"infinity or numbers beyond 3.4e38, such as {example}, in {len(cells):,} cells"
        yield Result(
            name,
            found,
            "numbers up to 3.4e38",
            "correct the source; until then these cells are missing",
        )


def find_mixed(ctx: CheckContext) -> Iterator[Result]:
    """Find cells that do not read as their column's kind, and columns half numbers, half words."""
    for name, cells in _problems(ctx, _KIND_OF_PROBLEM):
        kind = _KIND_OF_PROBLEM[cells["code"].iloc[0]]
        examples = cells.drop_duplicates("value").head(3)
        pairs = zip(examples["row"], examples["value"], strict=True)
        rows = ", ".join(f"row {row + 1}: {quote_cell(value)}" for row, value in pairs)
        yield Result(
            name,
            f"{len(cells):,} cells that are not {kind} ({rows})",
            f"{kind} only",
            "correct these cells; until then they are missing",
        )
    for column in ctx.columns("categorical"):
        counts = ctx.sample_of(column.name).value_counts()
        levels = pd.Series(counts.index)
        is_number = pd.to_numeric(levels, errors="coerce").notna().to_numpy()
        share = counts.to_numpy()[is_number].sum() / max(counts.sum(), 1)
        if not MIXED_SHARE <= share < 1 or is_number.sum() < MIXED_LEVELS:
            continue
        words = listed([quote_cell(word) for word in counts.index[~is_number]], 3)
        yield Result(
            column.name,
            f"{share:.0%} numbers, the rest words such as {words}{ctx.sampled}; "
            "all are read as levels",
            "numbers or words",
            f'if the words are gaps, state [columns.kinds] {column.name} = "numeric"; else give '
            "them a column of their own",
        )


def find_many_levels(ctx: CheckContext) -> Iterator[Result]:
    """Find categorical columns of many levels."""
    for column in ctx.columns_of("categorical"):
        levels = column.distinct
        if levels <= MANY_LEVELS:
            continue
        present = int(ctx.typed[column.name].notna().sum())
        rare = f"; {present / levels:.1f} rows a level" if levels > present / 10 else ""
        action = "nothing: levels are encoded by out-of-fold target rates; or group rare levels"
        if levels > present / 2:
            action = "drop it, or state it as [columns] id if it names the rows"
        found = f"{levels:,} levels in {present:,} rows{rare}"
        yield Result(column.name, found, f"at most {MANY_LEVELS}", action)


def find_spellings(ctx: CheckContext) -> Iterator[Result]:
    """Find levels that differ only in case, white space, hyphens or underscores.

    Space at the ends never counts.
    """
    for column in ctx.columns_of("categorical"):
        levels = pd.Series(column.levels, dtype="str")
        keys = levels.str.casefold().str.replace(r"[\s_-]+", " ", regex=True).str.strip()
        groups = [list(group) for key, group in levels.groupby(keys, sort=False) if key]
        same = [group for group in groups if len(group) > 1]
        if not same:
            continue
        examples = [" = ".join(quote_cell(level) for level in group) for group in same]
        yield Result(
            column.name,
            f"{plural(len(same), 'level')} in several spellings: {listed(examples, 3)}",
            "one spelling a level",
            "correct the spelling at the source",
        )


def list_free_text(ctx: CheckContext) -> Iterator[Result]:
    """List columns of sentences (information only)."""
    for column in ctx.columns_of("text"):
        found = "free text; the model sees hashed word pieces"
        yield Result(column.name, found, severity=PASSED)


def find_redundant(ctx: CheckContext) -> Iterator[Result]:
    """Find used columns that repeat an earlier one: the same values, or the same levels respelt."""
    rows = ctx.sample[:2000]
    first_with: dict[tuple[str, bytes], Column] = {}
    for column in ctx.columns():
        values = ctx.typed[column.name]
        earlier = first_with.setdefault(_pattern(values.iloc[rows], column), column)
        if earlier is column or len(rows) < 2:
            continue
        if _pattern(values, column) == _pattern(ctx.typed[earlier.name], earlier):
            yield Result(
                column.name,
                f"the same information as {earlier.name!r} in every row",
                "a column of its own",
                f"drop {column.name!r} or {earlier.name!r}",
            )


def _pattern(values: pd.Series, column: Column) -> tuple[str, bytes]:
    """Return what is equal for columns that repeat each other.

    Levels by first appearance where they are few, else the values.
    """
    if column.distinct <= MANY_LEVELS:
        return "levels", pd.factorize(values)[0].tobytes()
    return column.kind, hash_rows(values.to_frame()).tobytes()


def _not_dropped(ctx: CheckContext, *kinds: str) -> list[Column]:
    """Return the columns that the scope does not drop."""
    columns = ctx.columns(*kinds, used_only=False)
    return [column for column in columns if column.name not in ctx.scope.drop_columns]


def _problems(ctx: CheckContext, codes: Iterable[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (column, its unreadable cells of these codes) for each used column."""
    used = [column.name for column in ctx.columns()]
    is_wanted = ctx.problems["code"].isin(list(codes)) & ctx.problems["column"].isin(used)
    for name, cells in ctx.problems[is_wanted].groupby("column", sort=False):
        yield str(name), cells
