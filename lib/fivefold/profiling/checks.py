"""Checks: find faults of a table before training; nothing is repaired.

`CHECKS` is the table of contents. A new check is one entry in it, and its function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fivefold.core.findings import NOT_APPLICABLE, PASSED, Finding
from fivefold.profiling import column_checks, format_checks, leakage, table_checks
from fivefold.profiling.check_context import CheckContext, NotApplicable, Result


@dataclass(frozen=True)
class Check:
    """One check of a table.

    Attributes
    ----------
    code : stable name of its findings, in kebab-case, after the fault
    find : yields the results, or raises `NotApplicable`; no result means that the check passed
    clean : message when it passed
    """

    code: str
    find: Callable[[CheckContext], Iterable[Result]]
    clean: str

    def run(self, ctx: CheckContext) -> list[Finding]:
        """Return the findings, at least one: passed or not applicable where there is no fault."""
        try:
            if ctx.raw.columns.has_duplicates and self.find != table_checks.find_repeated_names:
                raise NotApplicable("column names repeat")
            results = list(self.find(ctx)) or [Result("table", self.clean, severity=PASSED)]
        except NotApplicable as reason:
            results = [Result("table", str(reason), severity=NOT_APPLICABLE)]
        return [Finding(code=self.code, **vars(result)) for result in results]


def check_table(ctx: CheckContext) -> list[Finding]:
    """Return all findings of all `CHECKS`, in their order.

    Where column names repeat, nothing else is checked.
    """
    findings: list[Finding] = []
    for check in CHECKS:
        findings += check.run(ctx)
    return findings


CHECKS: tuple[Check, ...] = (
    Check(
        "duplicate-columns",
        table_checks.find_repeated_names,
        "column names are unique",
    ),
    Check(
        "scope-column-missing",
        table_checks.find_missing_scope_columns,
        "all columns that the scope names are there",
    ),
    Check(
        "scope-target-reused",
        table_checks.find_reused_target,
        "the target has no other role",
    ),
    Check(
        "few-rows",
        table_checks.find_few_rows,
        f"at least {table_checks.FEW_ROWS} labelled rows",
    ),
    Check(
        "few-labels",
        table_checks.find_few_labels,
        f"at least {table_checks.FEW_OF_CLASS} rows of each class",
    ),
    Check(
        "imbalance",
        table_checks.find_imbalance,
        f"each class has {table_checks.RARE:.0%} of the labels or more",
    ),
    Check(
        "target-copy",
        leakage.find_target_copies,
        "no column of two levels repeats the target",
    ),
    Check(
        "leak",
        leakage.find_leaks,
        f"no column alone ranks the labels with AUC {leakage.SUSPECT} or more",
    ),
    Check(
        "leak-missing",
        leakage.find_missing_leaks,
        "missing cells do not give the label away",
    ),
    Check("duplicate-rows", leakage.find_duplicates, "no row repeats another"),
    Check("conflicting-labels", leakage.find_conflicts, "no equal rows with different labels"),
    Check("time-column", table_checks.find_time_faults, "every row has a time"),
    Check(
        "group-column",
        table_checks.find_group_faults,
        "enough groups for five folds and a holdout",
    ),
    Check("protected-columns", table_checks.list_protected, "no protected columns"),
    Check("empty-column", column_checks.find_empty, "no column is empty"),
    Check("constant-column", column_checks.find_constant, "no column is constant"),
    Check("id-like", column_checks.find_ids, "no column numbers or names the rows"),
    Check("redundant-column", column_checks.find_redundant, "no column repeats another"),
    Check(
        "missing-cells",
        column_checks.find_missing,
        f"no used column misses more than {column_checks.MANY_MISSING:.0%}",
    ),
    Check("missing-words", format_checks.find_missing_words, "no level is a word for missing"),
    Check("infinite-values", column_checks.find_infinite, "no infinite numbers"),
    Check(
        "sentinel-suspected",
        format_checks.find_number_codes,
        "no isolated codes such as -999",
    ),
    Check("mixed-types", column_checks.find_mixed, "every cell reads as its column's kind"),
    Check(
        "written-numbers",
        format_checks.find_written_numbers,
        "no numbers with currency or separators",
    ),
    Check(
        "mixed-units",
        format_checks.find_mixed_units,
        "each column has one unit",
    ),
    Check(
        "mixed-zones",
        format_checks.find_mixed_zones,
        "no times with a zone beside times without",
    ),
    Check(
        "date-ambiguous",
        format_checks.find_ambiguous_dates,
        "day and month can be distinguished",
    ),
    Check(
        "date-sentinel",
        format_checks.find_date_codes,
        "no placeholder dates such as 1900-01-01",
    ),
    Check(
        "many-levels",
        column_checks.find_many_levels,
        f"no column of more than {column_checks.MANY_LEVELS} levels",
    ),
    Check("level-spelling", column_checks.find_spellings, "each level has one spelling"),
    Check("free-text", column_checks.list_free_text, "no free text"),
)
