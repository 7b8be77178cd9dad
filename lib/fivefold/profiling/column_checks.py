"""Quality: columns that tell nothing, gaps, cells that do not fit, levels, copies.

Each function takes a `CheckContext` and returns the findings of one code; no finding means that all is well.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding
from fivefold.core.schema import Column
from fivefold.core.text import listed
from fivefold.profiling.check_context import CheckContext, not_applicable, quote_cell

MANY_LEVELS = 50
MANY_GAPS, MOSTLY_GAPS = 0.5, 0.95  # shares of missing cells
MIXED_SHARE, MIXED_LEVELS = (
    0.5,
    10,
)  # of cells, and distinct numbers, that make a column of words "mixed"


def check_empty(ctx: CheckContext) -> list[Finding]:
    """Columns without any cell."""
    return [
        Finding(
            code="empty-column",
            severity=WARNING,
            subject=c.name,
            found="only missing cells",
            expected="values",
            action="nothing: the model does not see it; fill the column or delete it",
        )
        for c in _not_dropped(ctx)
        if ctx.raw[c.name].isna().all()
    ]


def check_constant(ctx: CheckContext) -> list[Finding]:
    """Columns with one value only."""
    found = []
    for column in _not_dropped(ctx, "constant"):
        present = ctx.raw[column.name].dropna()
        if len(present) and not column.used:
            found.append(
                Finding(
                    code="constant-column",
                    severity=WARNING,
                    subject=column.name,
                    found=f"the one value {quote_cell(present.iloc[0])}",
                    expected="two values or more",
                    action="nothing: the model does not see it",
                )
            )
    return found


def check_ids(ctx: CheckContext) -> list[Finding]:
    """Columns that number or name the rows."""
    found = []
    for column in (c for c in _not_dropped(ctx, "id") if c.name != ctx.scope.group_column):
        if column.name in ctx.scope.id_columns:
            found.append(
                Finding(
                    code="id-like",
                    severity=PASSED,
                    subject=column.name,
                    found="an id, as the scope says; the model does not see it",
                )
            )
        else:
            found.append(
                Finding(
                    code="id-like",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{column.distinct:,} different values in "
                    f"{len(ctx.raw):,} rows, which number or name the rows; the model does not see it",
                    expected="a measurement",
                    action=f"state it as [columns] id, or [columns.kinds] {column.name} = "
                    '"numeric" or "categorical" if it does measure something',
                )
            )
    return found


def check_missing(ctx: CheckContext) -> list[Finding]:
    """Used columns that are mostly missing."""
    found = []
    for column in ctx.columns():
        share = float(ctx.raw[column.name].isna().mean())
        if share > MANY_GAPS:
            action = (
                "drop it, or find out why it is missing"
                if share > MOSTLY_GAPS
                else "find out why it is missing: the model takes a gap for information"
            )
            found.append(
                Finding(
                    code="missing-cells",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{100 * share:.1f}% of cells missing",
                    expected=f"at most {MANY_GAPS:.0%}",
                    action=action,
                )
            )
    return found


def check_infinite(ctx: CheckContext) -> list[Finding]:
    """Infinite numbers."""
    return [
        Finding(
            code="infinite-values",
            severity=WARNING,
            subject=str(name),
            found=f"infinity in {len(cells):,} cells",
            expected="finite numbers",
            action="mend the source; until then these cells are missing",
        )
        for name, cells in _unreadable(ctx, ["infinite"])
    ]


def check_mixed(ctx: CheckContext) -> list[Finding]:
    """Columns of numbers, dates or yes/no with cells that do not read so, and columns half numbers, half words."""
    found = []
    for name, cells in _unreadable(ctx, ["not-a-number", "not-a-date", "not-yes-or-no"]):
        kind = {"not-a-number": "numbers", "not-a-date": "dates", "not-yes-or-no": "yes or no"}[
            cells["code"].iloc[0]
        ]
        rows = ", ".join(
            f"row {row + 1}: {quote_cell(value)}"
            for row, value in cells.drop_duplicates("value")[["row", "value"]]
            .head(3)
            .itertuples(index=False)
        )
        found.append(
            Finding(
                code="mixed-types",
                severity=WARNING,
                subject=str(name),
                found=f"{len(cells):,} cells that are not {kind} ({rows})",
                expected=f"{kind} only",
                action="correct these cells; until then they are missing",
            )
        )
    for column in ctx.columns("categorical"):
        counts = ctx.typed[column.name].iloc[ctx.sample].value_counts()
        numbers = pd.to_numeric(pd.Series(counts.index), errors="coerce").notna().to_numpy()
        share = counts.to_numpy()[numbers].sum() / max(counts.sum(), 1)
        if MIXED_SHARE <= share < 1 and numbers.sum() >= MIXED_LEVELS:
            words = listed([quote_cell(w) for w in counts.index[~numbers]], 3)
            found.append(
                Finding(
                    code="mixed-types",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{100 * share:.0f}% numbers, the rest words "
                    f"such as {words}{ctx.sampled}; taken for levels",
                    expected="numbers or words",
                    action="give the words a column of their own, or pass them as missing markers",
                )
            )
    return found


def check_cardinality(ctx: CheckContext) -> list[Finding]:
    """Categorical columns of many levels."""
    if not (categorical := ctx.columns("categorical")):
        return not_applicable("many-levels", "no categorical columns")
    found = []
    for column in categorical:
        present = int(ctx.typed[column.name].notna().sum())
        if column.distinct > MANY_LEVELS:
            rare = (
                f"; {present / column.distinct:.1f} rows a level"
                if column.distinct > present / 10
                else ""
            )
            action = (
                "drop it, or state it as [columns] id if it names the rows"
                if column.distinct > present / 2
                else "nothing: levels are encoded by out-of-fold target rates; or group rare levels"
            )
            found.append(
                Finding(
                    code="many-levels",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{column.distinct:,} levels in {present:,} rows{rare}",
                    expected=f"at most {MANY_LEVELS}",
                    action=action,
                )
            )
    return found


def check_spelling(ctx: CheckContext) -> list[Finding]:
    """Levels that differ only in case, white space, hyphens or underscores (space at the ends never counts)."""
    if not (categorical := ctx.columns("categorical")):
        return not_applicable("level-spelling", "no categorical columns")
    found = []
    for column in categorical:
        levels = pd.Series(column.levels, dtype="str")
        keys = levels.str.casefold().str.replace(r"[\s_-]+", " ", regex=True).str.strip()
        alike = [
            list(group) for key, group in levels.groupby(keys, sort=False) if len(group) > 1 and key
        ]
        if alike:
            examples = listed(
                [" = ".join(quote_cell(level) for level in group) for group in alike], 3
            )
            levels_of = "1 level" if len(alike) == 1 else f"{len(alike):,} levels"
            found.append(
                Finding(
                    code="level-spelling",
                    severity=WARNING,
                    subject=column.name,
                    found=f"{levels_of} in several spellings: {examples}",
                    expected="one spelling a level",
                    action="correct the spelling at the source",
                )
            )
    return found


def check_free_text(ctx: CheckContext) -> list[Finding]:
    """Columns of sentences (information only)."""
    return [
        Finding(
            code="free-text",
            severity=PASSED,
            subject=c.name,
            found="free text; the model sees hashed word pieces",
        )
        for c in ctx.columns("text")
    ] or not_applicable("free-text", "no columns of free text")


def check_redundant(ctx: CheckContext) -> list[Finding]:
    """Used columns that repeat an earlier one: the same values, or the same few levels in another spelling."""
    rows = ctx.sample[:2000]
    first: dict[tuple[str, bytes], Column] = {}
    found = []
    for column in ctx.columns():
        key = _pattern(ctx.typed[column.name].iloc[rows], column)
        earlier = first.setdefault(key, column)
        if (
            earlier is not column
            and len(rows) > 1
            and _pattern(ctx.typed[column.name], column)
            == _pattern(ctx.typed[earlier.name], earlier)
        ):
            found.append(
                Finding(
                    code="redundant-column",
                    severity=WARNING,
                    subject=column.name,
                    found=f"the same information as {earlier.name!r} in every row",
                    expected="a column of its own",
                    action=f"drop {column.name!r} or {earlier.name!r}",
                )
            )
    return found


def _pattern(values: pd.Series, column: Column) -> tuple[str, bytes]:
    """Equal for columns that repeat each other: levels by first appearance where they are few, else the values."""
    if column.distinct <= MANY_LEVELS:
        return "levels", pd.factorize(values)[0].tobytes()
    return column.kind, pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes()


def _not_dropped(ctx: CheckContext, *kinds: str) -> list[Column]:
    """Columns that the scope does not drop."""
    return [c for c in ctx.columns(*kinds, used_only=False) if c.name not in ctx.scope.drop_columns]


def _unreadable(ctx: CheckContext, codes: list[str]) -> Iterable[tuple[object, pd.DataFrame]]:
    """(column, its problem cells of these codes) for each used column that has some, in the schema's order."""
    used = [c.name for c in ctx.columns()]
    bad = ctx.problems[ctx.problems["code"].isin(codes) & ctx.problems["column"].isin(used)]
    return bad.groupby("column", sort=False)
