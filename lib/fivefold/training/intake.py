"""Intake: from options and scope to a labelled table, or to all reasons for a refusal."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import (
    SEVERITIES,
    WARNING,
    Finding,
    problem,
    refusal,
    refuse_errors,
    verdict,
)
from fivefold.core.schema import NOW, Schema
from fivefold.core.scope import Scope, locate_data, read_scope
from fivefold.core.text import plural
from fivefold.core.urls import mask
from fivefold.data.ages import reference_name
from fivefold.data.infer import infer_column, infer_schema
from fivefold.data.parsing import DATE_FORMATS, to_numbers
from fivefold.data.reading.source import Dataset, read
from fivefold.data.revision import ensure, fetch, revision
from fivefold.data.row_groups import join_groups, twin_groups
from fivefold.data.splits import HOLDOUT_SHARE, Assignment, Split, default_folds, split_rows
from fivefold.data.target import Target, read_target
from fivefold.model.inputs import expand
from fivefold.profiling.check_context import CheckContext
from fivefold.profiling.checks import check_table
from fivefold.profiling.leakage import check_split
from fivefold.training.encoding import plan

BUNDLED = "data/churn.toml"
SHARE_TOLERANCE = 0.05  # largest difference of a holdout from a fifth without a finding
NEED_LABELS = ("few-rows", "few-labels", "imbalance")  # checks that say nothing without a target

OPTION_RANGES = {
    "trials": (1, 10_000),
    "budget": (0, math.inf),
    "folds": (2, 20),
    "threads": (1, 256),
    "synthetic_rows": (0, math.inf),
    "seed": (0, 2**31),
}

OPTION_CHOICES = {
    "serve": ("auto", "single", "blend"),
    "refit": ("auto", "yes", "no"),
    "device": ("cpu", "cuda"),
}


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `Refused` with every option outside `OPTION_RANGES` and `OPTION_CHOICES`."""
    problems = []
    for name, (low, high) in OPTION_RANGES.items():
        value = options.get(name, low)
        if name == "folds" and value == 0:  # by the number of rows
            continue
        if not low <= value <= high:
            expected = f"{low:,} or more" if high == math.inf else f"{low:,} to {high:,}"
            problems.append(_wrong_option("option-out-of-range", name, str(value), expected))
    for name, known in OPTION_CHOICES.items():
        value = options.get(name, known[0])
        if value not in known:
            expected = " or ".join(known)
            problems.append(_wrong_option("option-unknown", name, repr(value), expected))
    refuse_errors("This run cannot start", problems)


def _wrong_option(code: str, name: str, found: str, expected: str) -> Finding:
    option = f"--{name.replace('_', '-')}"
    return problem(code, option, found, expected, "correct the option")


def resolve_scope(
    config: Mapping[str, Any],
    root: Path,
    folder_variable: str = "",
    **options: str | None,
) -> Scope:
    """Return the scope of a run.

    Parameters
    ----------
    config : TOML values of a scope; without them and without data it is the bundled problem
    root : folder of the project
    folder_variable : environment variable with the folder at which a relative `data` of the TOML
        starts
    options : attributes of the scope as command-line options, which win; `id_columns` and
        `drop_columns` are comma-separated names. A relative `data` starts at the current folder and
        is made absolute, so that retraining finds the table from any other folder.

    Raises
    ------
    Refused : as `fivefold.core.scope`
    """
    data = options.get("data")
    if data:
        data = locate_data(Scope(data=data), Path()).data
    if config:
        scope = locate_data(Scope.from_dict(config), Path(os.environ.get(folder_variable, "")))
    elif data:
        scope = Scope()
    else:
        scope = read_scope(root / BUNDLED)
    if data and data != scope.data:  # only the generated table has a known truth
        scope = replace(scope, truth="")
    values: dict[str, Any] = {**options, "data": data}
    for name in ("id_columns", "drop_columns"):
        columns = (options.get(name) or "").split(",")
        values[name] = tuple(column.strip() for column in columns if column.strip())
    return scope.override(**values)


def collect(scope: Scope, root: Path, rev: str) -> tuple[Dataset, dict[str, Any]]:
    """Read the table at the scope's `data`, and facts about its source.

    With `rev` it is the table as it was at that revision.

    The bundled table is generated first where it is missing. Data that differs from what DVC
    recorded is used, with a finding. Facts, for artifacts and cards: source, md5, rows, details,
    revision (of the data) and code (its commit).
    """
    if not scope.data:
        raise refusal(
            "There is no data",
            code="data-not-named",
            subject="table",
            found="no source of data",
            expected="one",
            action='pass --data, or put data = "..." into the scope',
        )
    is_local = "://" not in scope.data
    path = Path(scope.data).expanduser()
    if is_local and path.is_relative_to(root) and not path.exists():
        ensure(path, root)
    with tempfile.TemporaryDirectory() as folder:
        source = str(fetch(scope.data, rev, folder)) if rev else scope.data
        dataset = read(source, query=scope.query or None)
    recorded = revision(scope.data).to_dict() if is_local else {}
    if rev:
        recorded = {**recorded, "requested": rev, "modified": False}
    code = revision(root / "flows")
    facts = {
        "source": mask(scope.data),
        "md5": dataset.md5,
        "rows": dataset.rows,
        "details": dataset.details.to_dict(),
        "revision": recorded,
        "code": {"git_commit": code.git_commit, "git_dirty": code.git_dirty},
    }
    findings = (*dataset.findings, *_revision_findings(rev, recorded, dataset.md5))
    return replace(dataset, findings=findings), facts


def _revision_findings(rev: str, recorded: Mapping[str, Any], md5: str) -> list[Finding]:
    """Return the finding on the requested revision, or on data that is not as recorded."""
    if rev:
        found = f"the table as it was at {rev}"
        return [verdict(False, "data-revision", "table", found=found)]
    if not recorded.get("modified"):
        return []
    found = f"content md5 {md5[:12]}…, not as recorded"
    expected = f"the recorded md5 {str(recorded.get('dvc_md5'))[:12]}…"
    action = "nothing: the changed table is used; `dvc commit` or `dvc repro` records it"
    return [problem("data-modified", "table", found, expected, action, WARNING)]


def draw(frame: pd.DataFrame, most: int | None) -> tuple[pd.DataFrame, list[Finding]]:
    """Return at most `most` rows of the table in their order, and the finding on that.

    Drawn at random with a fixed seed: the same table gives the same rows. Rows without a label
    count too.
    """
    if most is None or len(frame) <= most:
        return frame, []
    rows = np.sort(np.random.default_rng(0).choice(len(frame), most, replace=False))
    found = (
        f"{len(frame):,} rows, more than the budget has time to read and report on; "
        f"{most:,} of them drawn at random are used"
    )
    expected = "a table that fits --budget"
    action = "give more seconds, or --trials instead of --budget, to use all rows"
    finding = problem("rows-drawn", "table", found, expected, action, WARNING)
    return frame.iloc[rows].reset_index(drop=True), [finding]


def validate(
    frame: pd.DataFrame, scope: Scope, findings: list[Finding], seed: int
) -> tuple[Target, Schema, list[Finding]]:
    """Return the target, the schema of the whole table, and all findings.

    The findings of reading are among them.

    All rows are used, but only to report and to refuse; the model's own schema is inferred from
    training rows.

    Raises
    ------
    Refused : with every error
    """
    target, target_findings = read_target(frame, scope)
    known = target or Target(np.full(len(frame), -1, dtype="int8"), "", "")
    schema = infer_schema(frame, scope, (known.negative, known.positive))
    context = CheckContext.of(frame, scope, schema, known, seed)
    of_reading = [*findings, *target_findings, *_unreadable_kinds(context)]
    merged = merge_findings(of_reading, check_table(context))
    if target is None:  # its own error says enough
        merged = [finding for finding in merged if finding.code not in NEED_LABELS]
    refuse_errors("The table cannot be used for training", merged)
    return known, schema, merged


def merge_findings(of_reading: list[Finding], of_checks: list[Finding]) -> list[Finding]:
    """Return the findings of reading, then those of the checks, without duplicates.

    The findings of one code and subject come from one of the two: from the one with the most severe
    finding on it, else with more findings, else from reading.
    """
    merged = _by_subject(of_reading)
    for subject, findings in _by_subject(of_checks).items():
        if subject not in merged or _weight(findings) > _weight(merged[subject]):
            merged.pop(subject, None)
            merged[subject] = findings
    return [finding for findings in merged.values() for finding in findings]


def _by_subject(findings: list[Finding]) -> dict[tuple[str, str], list[Finding]]:
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for finding in dict.fromkeys(findings):
        grouped.setdefault((finding.code, finding.subject), []).append(finding)
    return grouped


def _weight(findings: list[Finding]) -> tuple[int, int]:
    most_severe = min(SEVERITIES.index(finding.severity) for finding in findings)
    return -most_severe, len(findings)


def split(
    frame: pd.DataFrame, typed: pd.DataFrame, scope: Scope, y: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, list[Finding]]:
    """Return the fold assignment of each row (`fivefold.data.splits.split_rows`), and findings.

    Rows of equal inputs stay on one side of every cut. Not so with a time order, which decides
    alone, nor in coarse tables, where most rows have a twin: equal rows are then different cases,
    and keeping them together would evaluate the model on combinations that it has never seen.
    """
    labelled = np.flatnonzero(y >= 0)
    folds = folds or default_folds(len(labelled))
    twins = twin_groups(typed, labelled)
    groups = np.arange(len(y)) if twins is None else twins
    if scope.group_column:
        codes, _ = pd.factorize(frame[scope.group_column], use_na_sentinel=False)
        groups = join_groups(groups, codes)
    times = times_of(frame, scope)[0] if scope.time_column else None
    fold_ids = split_rows(y, folds, seed, groups, times)
    assigned = fold_ids[labelled]
    findings = _holdout_findings(assigned, scope.time_column or scope.group_column or "table")
    if times is not None:
        findings += _time_findings(assigned, times[labelled], folds, str(scope.time_column))
    if times is None and twins is not None:
        leaks = check_split(groups[labelled], assigned)
        refuse_errors("The split leaks", leaks)
        return fold_ids, [*leaks, *findings]
    return fold_ids, [_unchecked(scope), *findings]


def times_of(frame: pd.DataFrame, scope: Scope) -> tuple[np.ndarray, str]:
    """Return (the time of each row by the scope's time column, shape (rows,); its unit)."""
    name = str(scope.time_column)
    column = infer_column(frame[name], name, scope)
    unit = "days" if column.kind == "date" else f"steps of {name}"
    return to_numbers(frame[name], column.kind, dict(column.parse)), unit


def _unchecked(scope: Scope) -> Finding:
    """Return the finding on a split that does not keep equal rows together."""
    if scope.time_column and scope.group_column:
        action = "know that groups are on both sides of the cuts: the time decides"
        found, expected = "a time order and groups", "one of them"
        code = "split-groups-part"
        return problem(code, scope.group_column, found, expected, action, WARNING)
    coarse = "most rows have a twin, as in a table of few levels"
    found = "the split follows time" if scope.time_column else coarse
    return verdict(None, "split-straddle", "table", found=found)


def _holdout_findings(fold_ids: np.ndarray, subject: str) -> list[Finding]:
    """Return the finding on a holdout share that is off by more than `SHARE_TOLERANCE`."""
    share = float((fold_ids == Assignment.HOLDOUT).mean())
    if abs(share - HOLDOUT_SHARE) <= SHARE_TOLERANCE + 1e-9:
        return []
    held, train = ("fewer", "more") if share < HOLDOUT_SHARE else ("more", "fewer")
    found = f"{share:.0%} of the rows held out, because groups and times stay whole"
    expected = f"about {HOLDOUT_SHARE:.0%}"
    action = (
        f"know that the held-out figures have {held} rows and training has {train}; "
        "finer groups or times would allow a nearer cut"
    )
    return [problem("split-holdout-share", subject, found, expected, action, WARNING)]


def _time_findings(
    fold_ids: np.ndarray, times: np.ndarray, folds: int, column: str
) -> list[Finding]:
    """Return the finding on a split by time with too few folds.

    There may be fewer folds than requested, or folds that do not follow time.
    """
    earlier = np.nan_to_num(times[fold_ids != Assignment.HOLDOUT], nan=-np.inf)
    distinct = len(np.unique(earlier))
    assigned = Split(fold_ids)
    if not assigned.is_ordered:
        code, expected = "split-folds-unordered", "at least 3"
        found = (
            f"{plural(distinct, 'distinct time')} before those held out, so the folds are "
            "drawn regardless of time"
        )
        action = (
            "trust the holdout, which is later, more than the scores over the folds; finer "
            "times would allow folds in time"
        )
    elif assigned.fold_count < folds:
        code, expected = "split-fewer-folds", f"{folds} folds"
        found = (
            f"{assigned.fold_count} folds: the {distinct} distinct times before those held out "
            "make no more blocks with both classes"
        )
        action = "know that scores over few folds vary more; finer times allow more"
    else:
        return []
    return [problem(code, column, found, expected, action, WARNING)]


def _unreadable_kinds(context: CheckContext) -> list[Finding]:
    """Return an error for each column without a cell of the kind that the scope gives it."""
    unreadable = context.problems["column"].value_counts()
    findings = []
    for column in context.schema.columns:
        present = int(context.raw[column.name].notna().sum())
        declared = {*context.scope.kinds, context.scope.reference_column}
        if column.name in declared and unreadable.get(column.name) == present:
            formats = ", ".join(rule["format"] for rule in DATE_FORMATS)
            spelling = f" ({formats})" if column.kind == "date" else ""
            found = f"{present:,} cells, none of which can be read as that kind"
            expected = f"{column.kind} values{spelling}, as [columns] says"
            action = "correct that line of the scope"
            findings.append(problem("kind-unreadable", column.name, found, expected, action))
    return findings


def reference_findings(schema: Schema, scope: Scope) -> list[Finding]:
    """Return what the dates of a table are compared with; nothing without dates.

    The day of scoring, where nobody asked for it, is a warning: a table of long ago has had other
    days.
    """
    if not schema.reference:
        return []
    found = f"dates count as days before {reference_name(schema)}"
    if schema.reference != NOW or scope.reference_column:
        return [verdict(False, "dates-reference", "table", found=found)]
    name = schema.names("date")[0]
    return [
        problem(
            "dates-reference",
            name,
            f"{found}, as the table has no other date",
            "the moment at which each row was known",
            'state [columns] reference = "..." (a date column), or "now" if rows are scored on the '
            "day that they describe",
            WARNING,
        )
    ]


def refuse_unlearnable(typed: pd.DataFrame, schema: Schema) -> None:
    """Raise `Refused` when no column of the training rows varies."""
    recipe = plan(expand(typed, schema), schema)
    if recipe.numbers or recipe.categories or recipe.text:
        return
    reasons = "; ".join(f"{dropped['column']}: {dropped['why']}" for dropped in recipe.dropped)
    raise refusal(
        "There is nothing to learn from",
        code="no-usable-column",
        subject="table",
        found=f"no usable column ({reasons})",
        expected="at least one column that varies",
        action="add columns that describe the cases",
    )
