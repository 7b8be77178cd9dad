"""Table checks: column names, scope, labels, time, groups and protected columns.

Each function takes a `CheckContext` and returns the findings of one code; none means all is well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import numpy as np

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding
from fivefold.core.scope import Scope
from fivefold.core.text import listed
from fivefold.profiling.check_context import CheckContext, NotApplicable

# A 20% holdout and five folds of the rest then get two and one or two rows of the rarer class.
MIN_CLASS = 10
# Below, the 95% interval of a held-out AUC (20 rows of the class) is wider than about 0.2.
FEW_OF_CLASS = 100
MIN_ROWS, FEW_ROWS = 50, 200
RARE, VERY_RARE = 0.05, 0.01  # share of the rarer class
# A fifth is held out, and each of five folds needs groups of both classes.
MIN_GROUPS, FEW_GROUPS = 10, 30
BIG_GROUP = 0.5
_PROTECTED = re.compile(
    r"(^|[_\s])(sex|gender|age|race|ethnic\w*|religion|nationality|disab\w*|marital\w*|marriage)"
    r"($|[_\s])",
    re.I,
)


def find_repeated_names(ctx: CheckContext) -> list[Finding]:
    """Find column names that stand more than once."""
    names = ctx.raw.columns
    return [
        Finding(
            code="duplicate-columns",
            severity=ERROR,
            subject=name,
            found=f"{int(np.sum(names == name))} columns named {name!r}",
            expected="each name once",
            action="rename or delete all but one",
        )
        for name in sorted(set(names[names.duplicated()]))
    ]


def find_missing_scope_columns(ctx: CheckContext) -> list[Finding]:
    """Find columns that the scope names and the table lacks."""
    columns = list(ctx.raw.columns)
    by_lower_name = {name.lower(): name for name in reversed(columns)}
    findings = []
    for key, name, severity in _scope_columns(ctx.scope):
        if name in columns:
            continue
        near = difflib.get_close_matches(name.lower(), [c.lower() for c in columns], n=1)
        if near:
            action = f"did you mean {by_lower_name[near[0]]!r}?"
        else:
            action = f"columns: {listed(columns, 30)}"
        findings.append(
            Finding(
                code="scope-column-missing",
                severity=severity,
                subject=name,
                found="no such column",
                expected=f"the column that [columns] {key} names",
                action=action,
            )
        )
    return findings


def find_reused_target(ctx: CheckContext) -> list[Finding]:
    """Find a target that the scope also gives another role, such as id, group or time."""
    allowed = ("units", "help", "protected", "kinds")
    findings = []
    for key, name, _ in _scope_columns(ctx.scope):
        if name == ctx.scope.target and key not in allowed:
            finding = Finding(
                code="scope-target-reused",
                severity=ERROR,
                subject=name,
                found=f"the target under [columns] {key}",
                expected="a column other than the target",
                action=f"take it out of [columns] {key}",
            )
            findings.append(finding)
    return findings


def find_few_rows(ctx: CheckContext) -> list[Finding]:
    """Find too few labelled rows to learn and to evaluate."""
    rows = int((ctx.y >= 0).sum())
    if rows >= FEW_ROWS:
        return []
    severity, least = (ERROR, MIN_ROWS) if rows < MIN_ROWS else (WARNING, FEW_ROWS)
    return [
        Finding(
            code="few-rows",
            severity=severity,
            subject="table",
            found=f"{rows} labelled rows",
            expected=f"at least {least}",
            action="collect more rows",
        )
    ]


def find_few_labels(ctx: CheckContext) -> list[Finding]:
    """Find too few rows of a class for held-out figures that mean something."""
    findings = []
    for label, name in ((1, ctx.schema.positive), (0, ctx.schema.negative)):
        rows = int((ctx.y == label).sum())
        if rows >= FEW_OF_CLASS:
            continue
        severity, least = (ERROR, MIN_CLASS) if rows < MIN_CLASS else (WARNING, FEW_OF_CLASS)
        findings.append(
            Finding(
                code="few-labels",
                severity=severity,
                subject=ctx.schema.target,
                found=f"{rows} rows labelled {name!r}",
                expected=f"at least {least}",
                action="collect more such rows; read every score with its interval",
            )
        )
    return findings


def find_imbalance(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find a rare class."""
    labelled = ctx.y[ctx.y >= 0]
    if not len(labelled):
        return NotApplicable("no labelled rows")
    positive = float(labelled.mean())
    share = min(positive, 1 - positive)
    if share >= RARE:
        return []
    name = ctx.schema.positive if positive < 0.5 else ctx.schema.negative
    found = f"{100 * share:.2g}% of the labels are {name!r}"
    action = "look at average precision and costs beside ROC AUC"
    if share < VERY_RARE:
        found = f"very rare: {found}"
        action += "; accuracy means nothing here"
    return [
        Finding(
            code="imbalance",
            severity=WARNING,
            subject=ctx.schema.target,
            found=found,
            expected=f"{RARE:.0%} or more",
            action=action,
        )
    ]


def find_time_faults(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find a time column by which rows cannot be ordered."""
    name = ctx.scope.time_column
    if name is None:
        return NotApplicable("no time column")
    if name not in ctx.typed.columns:
        return NotApplicable(f"no column {name!r}")
    column = ctx.schema[name]
    if column.kind not in ("date", "numeric"):
        cells = ctx.raw[name].dropna().astype("str")
        example = next(iter(cells), "no value")[:40]
        return [
            Finding(
                code="time-column",
                severity=ERROR,
                subject=name,
                found=f"{column.kind} cells such as {example!r}",
                expected="dates or numbers",
                action="write dates as 2024-12-31, or state "
                f'[columns.kinds] {name} = "date" or "numeric"',
            )
        ]
    missing = int(ctx.typed[name].isna().sum())
    if not missing:
        return []
    return [
        Finding(
            code="time-column",
            severity=ERROR if missing == len(ctx.raw) else WARNING,
            subject=name,
            found=f"{missing:,} rows without a readable time",
            expected="a time in every row",
            action="fill them in: such rows cannot be ordered",
        )
    ]


def find_group_faults(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """Find a group column that cannot separate folds."""
    name = ctx.scope.group_column
    if name is None:
        return NotApplicable("no group column")
    if name not in ctx.raw.columns:
        return NotApplicable(f"no column {name!r}")
    sizes = ctx.raw.loc[ctx.y >= 0, name].value_counts()
    rows = int(sizes.sum())
    if len(sizes) < MIN_GROUPS:
        return [
            Finding(
                code="group-column",
                severity=ERROR,
                subject=name,
                found=f"{len(sizes)} group{'' if len(sizes) == 1 else 's'}",
                expected=f"at least {MIN_GROUPS}, for five folds and a holdout",
                action="choose another group column, or none",
            )
        ]
    findings = []

    def warn(found: str, expected: str, action: str) -> None:
        finding = Finding(
            code="group-column",
            severity=WARNING,
            subject=name,
            found=found,
            expected=expected,
            action=action,
        )
        findings.append(finding)

    if len(sizes) < FEW_GROUPS or sizes.iloc[0] > BIG_GROUP * rows:
        warn(
            f"{len(sizes)} groups, the largest with {sizes.iloc[0]:,} of {rows:,} rows",
            f"{FEW_GROUPS} or more, none with half of the rows",
            "expect uneven folds and wide intervals",
        )
    if len(sizes) == rows:
        warn(
            f"{rows:,} groups of one row each",
            "groups of several rows",
            "leave it out, or state it as [columns] id",
        )
    missing = int(ctx.raw[name].isna().sum())
    if missing:
        warn(
            f"{missing:,} rows without a group",
            "a group in every row",
            "fill them in: nobody knows to which group these rows belong",
        )
    return findings


def list_protected(ctx: CheckContext) -> list[Finding] | NotApplicable:
    """List protected columns, and whether the model sees them (information only)."""
    present = [name for name in ctx.scope.protected_columns if name in ctx.typed.columns]
    if not present:
        similar = [c.name for c in ctx.columns() if _PROTECTED.search(c.name)]
        hint = "name them in [columns] protected to compare results between groups of people"
        more = f"; {listed(similar)}: {hint}" if similar else ""
        return NotApplicable(f"no protected columns named{more}")
    findings = []
    for name in present:
        seen = "the model sees it" if ctx.schema[name].used else "the model does not see it"
        findings.append(
            Finding(
                code="protected-columns", severity=PASSED, subject=name, found=f"protected; {seen}"
            )
        )
    return findings


def _scope_columns(scope: Scope) -> Iterator[tuple[str, str, str]]:
    """Yield (key under [columns], column, severity where missing) for the scope's columns."""
    required: dict[str, tuple[str | None, ...]] = {
        "group": (scope.group_column,),
        "time": (scope.time_column,),
        "id": scope.id_columns,
        "drop": scope.drop_columns,
    }
    optional = {
        "protected": scope.protected_columns,
        "changeable": scope.changeable_columns,
        "known": scope.known_columns,
        "kinds": scope.kinds,
        "units": scope.units,
        "help": scope.help,
    }
    for key, names in required.items():
        for name in names:
            if name is not None:
                yield key, name, ERROR
    for key, others in optional.items():
        for name in others:
            yield key, name, WARNING
