"""Table checks: column names, scope, labels, time, groups and protected columns.

Each function takes a `CheckContext` and yields the results of one check; none means all is well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from fivefold.core.findings import ERROR, PASSED, WARNING
from fivefold.core.scope import COLUMN_KEYS, NO_GROUP, Scope
from fivefold.core.text import listed, plural
from fivefold.profiling.check_context import CheckContext, NotApplicable, Result

# A 20% holdout and five folds of the rest then get two and one or two rows of the rarer class.
MIN_CLASS = 10
# Below, the 95% interval of a held-out AUC (20 rows of the class) is wider than about 0.2.
FEW_OF_CLASS = 100
MIN_ROWS, FEW_ROWS = 50, 200
RARE, VERY_RARE = 0.05, 0.01  # share of the rarer class
# A fifth is held out, and each of five folds needs groups of both classes.
MIN_GROUPS, FEW_GROUPS = 10, 30
BIG_GROUP = 0.5
# Keys of [columns] without whose column a run cannot do what the scope asks for.
NEEDED = ("group", "time", "reference", "weight", "monotone", "id", "drop")
_PROTECTED = re.compile(
    r"(^|[_\s])(sex|gender|age|race|ethnic\w*|religion|nationality|disab\w*|marital\w*|marriage)"
    r"($|[_\s])",
    re.I,
)


def find_repeated_names(ctx: CheckContext) -> Iterator[Result]:
    """Find column names that stand more than once."""
    names = ctx.raw.columns
    for name, count in names[names.duplicated(keep=False)].value_counts().sort_index().items():
        yield Result(
            str(name),
            f"{count} columns named {name!r}",
            "each name once",
            "rename or delete all but one",
            severity=ERROR,
        )


def find_missing_scope_columns(ctx: CheckContext) -> Iterator[Result]:
    """Find columns that the scope names and the table lacks."""
    columns = list(ctx.raw.columns)
    by_lower_name = {name.lower(): name for name in reversed(columns)}
    for key, name, severity in _scope_columns(ctx.scope):
        if name in columns:
            continue
        near = difflib.get_close_matches(name.lower(), by_lower_name, n=1)
        action = f"columns: {listed(columns, 30)}"
        if near:
            action = f"did you mean {by_lower_name[near[0]]!r}?"
        expected = f"the column that [columns] {key} names"
        yield Result(name, "no such column", expected, action, severity)


def find_reused_target(ctx: CheckContext) -> Iterator[Result]:
    """Find a target that the scope also gives another role, such as id, group or time."""
    allowed = ("units", "help", "protected", "kinds", "missing", "keep")
    for key, name, _ in _scope_columns(ctx.scope):
        if name == ctx.scope.target and key not in allowed:
            yield Result(
                name,
                f"the target under [columns] {key}",
                "a column other than the target",
                f"take it out of [columns] {key}",
                severity=ERROR,
            )


def find_few_rows(ctx: CheckContext) -> Iterator[Result]:
    """Find too few labelled rows to learn and to evaluate."""
    rows = int((ctx.y >= 0).sum())
    found, action = f"{rows} labelled rows", "collect more rows"
    yield from _too_few("table", rows, MIN_ROWS, FEW_ROWS, found, action)


def find_few_labels(ctx: CheckContext) -> Iterator[Result]:
    """Find too few rows of a class for held-out figures that mean something."""
    action = "collect more such rows; read every score with its interval"
    for label, name in ((1, ctx.schema.positive), (0, ctx.schema.negative)):
        rows = int((ctx.y == label).sum())
        found = f"{rows} rows labelled {name!r}"
        yield from _too_few(ctx.schema.target, rows, MIN_CLASS, FEW_OF_CLASS, found, action)


def find_imbalance(ctx: CheckContext) -> Iterator[Result]:
    """Find a rare class."""
    labelled = ctx.y[ctx.y >= 0]
    if not len(labelled):
        raise NotApplicable("no labelled rows")
    positive = float(labelled.mean())
    share = min(positive, 1 - positive)
    if share >= RARE:
        return
    name = ctx.schema.positive if positive < 0.5 else ctx.schema.negative
    found = f"{100 * share:.2g}% of the labels are {name!r}"
    action = "look at average precision and costs beside ROC AUC"
    if share < VERY_RARE:
        found = f"very rare: {found}"
        action += "; accuracy means nothing here"
    yield Result(ctx.schema.target, found, f"{RARE:.0%} or more", action)


def find_time_faults(ctx: CheckContext) -> Iterator[Result]:
    """Find a time column by which rows cannot be ordered."""
    name = _role_column(ctx, "time", ctx.scope.time_column)
    column = ctx.schema[name]
    missing = int(ctx.typed[name].isna().sum())
    if column.kind not in ("date", "numeric"):
        cells = ctx.raw[name].dropna().astype("str")
        example = next(iter(cells), "no value")[:40]
        yield Result(
            name,
            f"{column.kind} cells such as {example!r}",
            "dates or numbers",
            f'write dates as 2024-12-31, or state [columns.kinds] {name} = "date" or "numeric"',
            severity=ERROR,
        )
    elif missing:
        yield Result(
            name,
            f"{missing:,} rows without a readable time",
            "a time in every row",
            "fill them in: such rows cannot be ordered",
            severity=ERROR if missing == len(ctx.raw) else WARNING,
        )


def find_group_faults(ctx: CheckContext) -> Iterator[Result]:
    """Find a group column that cannot separate folds."""
    name = _role_column(ctx, "group", ctx.scope.group)
    sizes = ctx.raw.loc[ctx.y >= 0, name].value_counts()
    rows, groups = int(sizes.sum()), plural(len(sizes), "group")
    if len(sizes) < MIN_GROUPS:
        yield Result(
            name,
            groups,
            f"at least {MIN_GROUPS}, for five folds and a holdout",
            "choose another group column, or none",
            severity=ERROR,
        )
        return
    if len(sizes) < FEW_GROUPS or sizes.iloc[0] > BIG_GROUP * rows:
        yield Result(
            name,
            f"{groups}, the largest with {sizes.iloc[0]:,} of {rows:,} rows",
            f"{FEW_GROUPS} or more, none with half of the rows",
            "expect uneven folds and wide intervals",
        )
    if len(sizes) == rows:
        yield Result(
            name,
            f"{groups} of one row each",
            "groups of several rows",
            "leave it out, or state it as [columns] id",
        )
    missing = int(ctx.raw[name].isna().sum())
    if missing:
        yield Result(
            name,
            f"{missing:,} rows without a group",
            "a group in every row",
            "fill them in: nobody knows to which group these rows belong",
        )


def list_protected(ctx: CheckContext) -> Iterator[Result]:
    """List protected columns, and whether the model sees them (information only)."""
    present = [name for name in ctx.scope.protected_columns if name in ctx.typed.columns]
    if not present:
        similar = [c.name for c in ctx.columns() if _PROTECTED.search(c.name)]
        hint = "name them in [columns] protected to compare results between groups of people"
        more = f"; {listed(similar)}: {hint}" if similar else ""
        raise NotApplicable(f"no protected columns named{more}")
    for name in present:
        seen = "sees it" if ctx.schema[name].used else "does not see it"
        yield Result(name, f"protected; the model {seen}", severity=PASSED)


def _too_few(
    subject: str, rows: int, least: int, enough: int, found: str, action: str
) -> Iterator[Result]:
    """Yield an error below `least` rows, a warning below `enough`."""
    if rows < least:
        yield Result(subject, found, f"at least {least}", action, ERROR)
    elif rows < enough:
        yield Result(subject, found, f"at least {enough}", action)


def _role_column(ctx: CheckContext, role: str, name: str | None) -> str:
    """Return the name of a column; raise `NotApplicable` where there is none."""
    if name is None:
        raise NotApplicable(f"no {role} column")
    if name not in ctx.typed.columns:
        raise NotApplicable(f"no column {name!r}")
    return name


def _scope_columns(scope: Scope) -> Iterator[tuple[str, str, str]]:
    """Yield (key under [columns], column, severity where missing) for the scope's columns."""
    for key, attribute in COLUMN_KEYS.items():
        value = getattr(scope, attribute)
        if value is None:
            continue
        severity = ERROR if key in NEEDED else WARNING
        if (key, value) in (("reference", "now"), ("group", NO_GROUP)):
            continue
        for name in [value] if isinstance(value, str) else value:
            yield key, name, severity
