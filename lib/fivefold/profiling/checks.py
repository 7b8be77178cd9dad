"""Checks: what is wrong with a table before anything learns from it. Findings report or refuse, never repair.

`CHECKS` is the table of contents: a stable code, the function that judges it, and what to say when all is well.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding
from fivefold.core.scope import Scope
from fivefold.core.text import listed
from fivefold.profiling import column_checks, format_checks, leakage
from fivefold.profiling.check_context import CheckContext, not_applicable

MIN_CLASS = 10  # a 20% holdout and five folds of the rest then get two and one or two rows of the rarer class
FEW_OF_CLASS = (
    100  # below, the 95% interval of a held-out AUC (20 rows of the class) is wider than about 0.2
)
MIN_ROWS, FEW_ROWS = 50, 200
RARE, VERY_RARE = 0.05, 0.01  # share of the rarer class
MIN_GROUPS, FEW_GROUPS = (
    10,
    30,
)  # a fifth is held out, and each of five folds needs groups of both classes
BIG_GROUP = 0.5
_PROTECTED = re.compile(
    r"(^|[_\s])(sex|gender|age|race|ethnic\w*|religion|nationality|disab\w*|marital\w*|marriage)"
    r"($|[_\s])",
    re.I,
)


class Check(NamedTuple):
    """One check of a table.

    code: stable name of its findings, in kebab-case.
    find: returns the findings, or `not_applicable`; an empty list means that the check passed.
    clean: what the passed finding says.
    """

    code: str
    find: Callable[[CheckContext], list[Finding]]
    clean: str


def check_table(ctx: CheckContext) -> list[Finding]:
    """Return all findings of all `CHECKS`, in their order: at least one per check.

    Where column names repeat, only that is checked.
    """
    names_repeat = ctx.raw.columns.has_duplicates
    findings: list[Finding] = []
    for check in CHECKS:
        if names_repeat and check.find is not check_names:
            findings += not_applicable(check.code, "column names repeat")
            continue
        passed = Finding(code=check.code, severity=PASSED, subject="table", found=check.clean)
        findings += check.find(ctx) or [passed]
    return findings


def check_names(ctx: CheckContext) -> list[Finding]:
    """Column names that stand more than once (`check_table` checks nothing else then)."""
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


def check_scope(ctx: CheckContext) -> list[Finding]:
    """Columns that the scope names and the table lacks."""
    found = []
    for key, name, severity in _named(ctx.scope):
        if name not in ctx.raw.columns:
            near = difflib.get_close_matches(
                name.lower(), [c.lower() for c in ctx.raw.columns], n=1
            )
            alike = [c for c in ctx.raw.columns if near and c.lower() == near[0]]
            action = (
                f"did you mean {alike[0]!r}?"
                if alike
                else f"columns: {listed(list(ctx.raw.columns), 30)}"
            )
            found.append(
                Finding(
                    code="scope-column-missing",
                    severity=severity,
                    subject=name,
                    found="no such column",
                    expected=f"the column that [columns] {key} names",
                    action=action,
                )
            )
    return found


def check_target_use(ctx: CheckContext) -> list[Finding]:
    """A target that the scope also names as id, dropped, changeable, known, group or time column."""
    keys = [
        key
        for key, name, _ in _named(ctx.scope)
        if name == ctx.scope.target and key not in ("units", "help", "protected", "kinds")
    ]
    return [
        Finding(
            code="scope-target-reused",
            severity=ERROR,
            subject=ctx.scope.target,
            found=f"the target under [columns] {key}",
            expected="a column other than the target",
            action=f"take it out of [columns] {key}",
        )
        for key in keys
    ]


def check_rows(ctx: CheckContext) -> list[Finding]:
    """Too few labelled rows to learn and to judge from."""
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


def check_labels(ctx: CheckContext) -> list[Finding]:
    """Too few rows of a class: nothing can be held out, or the held-out figures mean little."""
    found = []
    for label, name in ((1, ctx.schema.positive), (0, ctx.schema.negative)):
        rows = int((ctx.y == label).sum())
        if rows < FEW_OF_CLASS:
            severity, least = (ERROR, MIN_CLASS) if rows < MIN_CLASS else (WARNING, FEW_OF_CLASS)
            found.append(
                Finding(
                    code="few-labels",
                    severity=severity,
                    subject=ctx.schema.target,
                    found=f"{rows} rows labelled {name!r}",
                    expected=f"at least {least}",
                    action="collect more such rows; read every score with its interval",
                )
            )
    return found


def check_balance(ctx: CheckContext) -> list[Finding]:
    """A rare class."""
    labelled = ctx.y[ctx.y >= 0]
    if not len(labelled):
        return not_applicable("imbalance", "no labelled rows")
    positive = float(labelled.mean())
    share = min(positive, 1 - positive)
    if share >= RARE:
        return []
    name = ctx.schema.positive if positive < 0.5 else ctx.schema.negative
    rare = "very rare: " if share < VERY_RARE else ""
    return [
        Finding(
            code="imbalance",
            severity=WARNING,
            subject=ctx.schema.target,
            found=f"{rare}{100 * share:.2g}% of the labels are {name!r}",
            expected=f"{RARE:.0%} or more",
            action="judge by average precision and costs beside ROC AUC"
            + ("; accuracy says nothing here" if share < VERY_RARE else ""),
        )
    ]


def check_time(ctx: CheckContext) -> list[Finding]:
    """A time column by which rows cannot be ordered."""
    name = ctx.scope.time_column
    if name is None or name not in ctx.typed.columns:
        return not_applicable(
            "time-column", "no time column" if name is None else f"no column {name!r}"
        )
    column = ctx.schema[name]
    if column.kind not in ("date", "numeric"):
        example = next(iter(ctx.raw[name].dropna().astype("str")), "no value")[:40]
        return [
            Finding(
                code="time-column",
                severity=ERROR,
                subject=name,
                found=f"{column.kind} cells such as {example!r}",
                expected="dates or numbers",
                action=f'write dates as 2024-12-31, or state [columns.kinds] {name} = "date" or "numeric"',
            )
        ]
    if gaps := int(ctx.typed[name].isna().sum()):
        severity = ERROR if gaps == len(ctx.raw) else WARNING
        return [
            Finding(
                code="time-column",
                severity=severity,
                subject=name,
                found=f"{gaps:,} rows without a readable time",
                expected="a time in every row",
                action="fill them in: such rows cannot be ordered",
            )
        ]
    return []


def check_groups(ctx: CheckContext) -> list[Finding]:
    """A group column that cannot separate folds."""
    name = ctx.scope.group_column
    if name is None or name not in ctx.raw.columns:
        return not_applicable(
            "group-column", "no group column" if name is None else f"no column {name!r}"
        )
    sizes = ctx.raw.loc[ctx.y >= 0, name].value_counts()
    rows, gaps = int(sizes.sum()), int(ctx.raw[name].isna().sum())
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
    found = []
    if len(sizes) < FEW_GROUPS or sizes.iloc[0] > BIG_GROUP * rows:
        found.append(
            Finding(
                code="group-column",
                severity=WARNING,
                subject=name,
                found=f"{len(sizes)} groups, the largest with {sizes.iloc[0]:,} of {rows:,} rows",
                expected=f"{FEW_GROUPS} or more, none with half of the rows",
                action="expect uneven folds and wide intervals",
            )
        )
    if len(sizes) == rows:
        found.append(
            Finding(
                code="group-column",
                severity=WARNING,
                subject=name,
                found=f"{rows:,} groups of one row each",
                expected="groups of several rows",
                action="leave it out, or state it as [columns] id",
            )
        )
    if gaps:
        found.append(
            Finding(
                code="group-column",
                severity=WARNING,
                subject=name,
                found=f"{gaps:,} rows without a group",
                expected="a group in every row",
                action="fill them in: whom these rows belong to is unknown",
            )
        )
    return found


def check_protected(ctx: CheckContext) -> list[Finding]:
    """Protected columns, and whether the model sees them (information only)."""
    present = [name for name in ctx.scope.protected_columns if name in ctx.typed.columns]
    if not present:
        alike = [c.name for c in ctx.columns() if _PROTECTED.search(c.name)]
        hint = (
            f"; {listed(alike)}: name them in [columns] protected if people are to be treated alike"
            if alike
            else ""
        )
        return not_applicable("protected-columns", f"no protected columns named{hint}")
    return [
        Finding(
            code="protected-columns",
            severity=PASSED,
            subject=name,
            found="protected; "
            + ("the model sees it" if ctx.schema[name].used else "the model does not see it"),
        )
        for name in present
    ]


def _named(scope: Scope) -> Iterator[tuple[str, str, str]]:
    """(key under [columns], column, severity where it is missing) for all columns that the scope names."""
    single = [("group", scope.group_column), ("time", scope.time_column)]
    yield from ((key, name, ERROR) for key, name in single if name is not None)
    for key, names in (("id", scope.id_columns), ("drop", scope.drop_columns)):
        yield from ((key, name, ERROR) for name in names)
    for key, others in (
        ("protected", scope.protected_columns),
        ("changeable", scope.changeable_columns),
        ("known", scope.known_columns),
        ("kinds", tuple(scope.kinds)),
        ("units", tuple(scope.units)),
        ("help", tuple(scope.help)),
    ):
        yield from ((key, name, WARNING) for name in others)


CHECKS: tuple[Check, ...] = (
    Check("duplicate-columns", check_names, "each column name stands once"),
    Check("scope-column-missing", check_scope, "all columns that the scope names are there"),
    Check("scope-target-reused", check_target_use, "the target has no other part"),
    Check("few-rows", check_rows, f"at least {FEW_ROWS} labelled rows"),
    Check("few-labels", check_labels, f"at least {FEW_OF_CLASS} rows of each class"),
    Check("imbalance", check_balance, f"each class has {RARE:.0%} of the labels or more"),
    Check("target-copy", leakage.check_target_copies, "no column of two levels repeats the target"),
    Check(
        "leak",
        leakage.check_leaks,
        f"no column alone ranks the labels with AUC {leakage.SUSPECT} or more",
    ),
    Check("leak-missing", leakage.check_missing_leaks, "missing cells do not give the label away"),
    Check("duplicate-rows", leakage.check_duplicates, "no row repeats another"),
    Check("conflicting-labels", leakage.check_conflicts, "no equal rows with different labels"),
    Check("time-column", check_time, "every row has a time"),
    Check("group-column", check_groups, "groups enough for five folds and a holdout"),
    Check("protected-columns", check_protected, "no protected columns"),
    Check("empty-column", column_checks.check_empty, "no column is empty"),
    Check("constant-column", column_checks.check_constant, "no column is constant"),
    Check("id-like", column_checks.check_ids, "no column numbers or names the rows"),
    Check("redundant-column", column_checks.check_redundant, "no column repeats another"),
    Check(
        "missing-cells",
        column_checks.check_missing,
        f"no used column misses more than {column_checks.MANY_GAPS:.0%}",
    ),
    Check("missing-words", format_checks.check_missing_words, "no level is a word for missing"),
    Check("infinite-values", column_checks.check_infinite, "no infinite numbers"),
    Check("sentinel-suspected", format_checks.check_number_codes, "no isolated codes such as -999"),
    Check("mixed-types", column_checks.check_mixed, "every cell reads as its column's kind"),
    Check(
        "written-numbers",
        format_checks.check_written_numbers,
        "no numbers with currency or separators",
    ),
    Check("date-ambiguous", format_checks.check_ambiguous_dates, "day and month are told apart"),
    Check(
        "date-sentinel", format_checks.check_date_codes, "no placeholder dates such as 1900-01-01"
    ),
    Check(
        "many-levels",
        column_checks.check_cardinality,
        f"no column of more than {column_checks.MANY_LEVELS} levels",
    ),
    Check("level-spelling", column_checks.check_spelling, "each level has one spelling"),
    Check("free-text", column_checks.check_free_text, "no free text"),
)
