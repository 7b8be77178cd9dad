"""Intake: from what the user typed to a labelled table that may be trained on, or one list of reasons why not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import (
    ERROR,
    NOT_APPLICABLE,
    PASSED,
    SEVERITIES,
    WARNING,
    Finding,
    Refused,
    refuse_errors,
)
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope, locate_data, read_scope
from fivefold.core.urls import mask
from fivefold.data.infer import infer_schema
from fivefold.data.parsing import DATE_FORMATS, to_numbers
from fivefold.data.revision import ensure, fetch, revision
from fivefold.data.row_groups import join_groups, twin_groups
from fivefold.data.source import Dataset, read
from fivefold.data.splits import HOLDOUT_SHARE, Assignment, default_folds, split_rows
from fivefold.data.target import Target, read_target
from fivefold.model.inputs import expand
from fivefold.profiling.check_context import CheckContext
from fivefold.profiling.checks import check_table
from fivefold.profiling.leakage import check_split
from fivefold.training.encoding import plan

BUNDLED = "data/churn.toml"
SHARE_OFF = (
    0.05  # of the rows that the holdout may be larger or smaller than a fifth before that is said
)


OPTION_RANGES = {
    "trials": (1, 10_000),
    "budget": (0, None),
    "folds": (2, 20),
    "threads": (1, 256),
    "synthetic_rows": (0, None),
    "seed": (0, 2**31),
}

OPTION_CHOICES = {
    "serve": ("auto", "single", "blend"),
    "refit": ("auto", "yes", "no"),
    "device": ("cpu", "cuda"),
}


def check_options(options: Mapping[str, Any]) -> None:
    """Raise `Refused` naming every option outside `OPTION_RANGES` and `OPTION_CHOICES`."""
    problems = []
    for name, (low, high) in OPTION_RANGES.items():
        value = options.get(name, low)
        if name == "folds" and value == 0:  # by the rows
            continue
        if value < low or (high is not None and value > high):
            expected = f"{low:,} or more" if high is None else f"{low:,} to {high:,}"
            problems.append(
                Finding(
                    code="option-out-of-range",
                    severity=ERROR,
                    subject=f"--{name.replace('_', '-')}",
                    found=str(value),
                    expected=expected,
                    action="correct the option",
                )
            )
    for name, known in OPTION_CHOICES.items():
        if (value := options.get(name, known[0])) not in known:
            problems.append(
                Finding(
                    code="option-unknown",
                    severity=ERROR,
                    subject=f"--{name}",
                    found=repr(value),
                    expected=" or ".join(known),
                    action="correct the option",
                )
            )
    refuse_errors("This run cannot start", problems)


def resolve_scope(
    config: Mapping[str, Any],
    root: Path,
    folder_variable: str = "",
    *,
    data: str | None = None,
    query: str | None = None,
    target: str | None = None,
    positive: str | None = None,
    ids: str = "",
    drop: str = "",
) -> Scope:
    """The scope of a run: the given TOML values, else the bundled problem if no data is named, else an empty one;
    command-line options win. `ids` and `drop` are comma-separated names. A relative `data` in the TOML starts at the
    folder that the environment variable `folder_variable` names, if any, and a relative argument `data` here, so that
    retraining finds the table from any other folder. Raises `Refused` as `fivefold.core.scope`.
    """
    data = locate_data(Scope(data=data), Path()).data if data else data
    if config:
        scope = locate_data(Scope.from_dict(config), Path(os.environ.get(folder_variable, "")))
    elif data:
        scope = Scope()
    else:
        scope = read_scope(root / BUNDLED)
    if data and data != scope.data:
        scope = replace(
            scope, truth=""
        )  # the best achievable is known for the generated table only
    return scope.override(
        data=data,
        query=query,
        target=target,
        positive=positive,
        id_columns=_names(ids),
        drop_columns=_names(drop),
    )


def collect(scope: Scope, root: Path, rev: str | None = None) -> tuple[Dataset, dict[str, Any]]:
    """(table, source facts for artifacts and cards) at the scope's `data`, or as it was at a revision `rev`.

    The bundled table is generated first where it is missing. Facts: source, md5, rows, details, revision (of the data)
    and code (its commit). Data that differs from what DVC recorded is used, with a finding.
    """
    place = scope.data
    if not place:
        raise Refused(
            "There is no data",
            [
                Finding(
                    code="data-not-named",
                    severity=ERROR,
                    subject="table",
                    found="no source of data",
                    expected="one",
                    action='pass --data, or put data = "..." into the scope',
                )
            ],
        )
    local = "://" not in place
    if local and (path := Path(place).expanduser()).is_relative_to(root) and not path.exists():
        ensure(path, root)
    with tempfile.TemporaryDirectory() as folder:
        dataset = read(str(fetch(place, rev, folder)) if rev else place, query=scope.query or None)
    found, code = list(dataset.findings), revision(root / "flows")
    about = revision(place) if local else {}
    if rev:
        about = {**about, "requested": rev, "modified": False}
        found.append(
            Finding(
                code="data-revision",
                severity=PASSED,
                subject="table",
                found=f"the table as it was at {rev}",
            )
        )
    elif about.get("modified"):
        found.append(
            Finding(
                code="data-modified",
                severity=WARNING,
                subject="table",
                found=f"content md5 {dataset.md5[:12]}…, not as recorded",
                expected=f"the recorded md5 {str(about.get('dvc_md5'))[:12]}…",
                action="nothing: the changed table is used; `dvc commit` or `dvc repro` records it",
            )
        )
    facts = {
        "source": mask(place),
        "md5": dataset.md5,
        "rows": dataset.rows,
        "details": dataset.details.to_dict(),
        "revision": about,
        "code": {key: code[key] for key in ("git_commit", "git_dirty")},
    }
    return replace(dataset, findings=tuple(found)), facts


def draw(frame: pd.DataFrame, most: int | None) -> tuple[pd.DataFrame, list[Finding]]:
    """(at most `most` rows of the table in their order, the finding that says so).

    Drawn at random with a fixed seed, so that the same table gives the same rows. Rows without a label count too.
    """
    if most is None or len(frame) <= most:
        return frame, []
    rows = np.sort(np.random.default_rng(0).choice(len(frame), most, replace=False))
    return frame.iloc[rows].reset_index(drop=True), [
        Finding(
            code="rows-drawn",
            severity=WARNING,
            subject="table",
            found=f"{len(frame):,} rows, more than the budget has time to read and report on; "
            f"{most:,} of them drawn at random are used",
            expected="a table that fits --budget",
            action="give more seconds, or --trials instead of --budget, to use all rows",
        )
    ]


def validate(
    frame: pd.DataFrame, scope: Scope, found: list[Finding], seed: int
) -> tuple[Target, Schema, list[Finding]]:
    """(target, schema of the whole table, all findings). Raises `Refused` that lists every error at once.

    This looks at all rows only to report and to refuse; the model's own schema is inferred from training rows.
    """
    target, said = read_target(frame, scope)
    schema = infer_schema(frame, scope, (target.negative, target.positive) if target else ("", ""))
    known = target or Target(np.full(len(frame), -1, dtype="int8"), "", "")
    context = CheckContext.of(frame, scope, schema, known, seed)
    said += _unreadable_kinds(context)
    found = told_once([*found, *said], check_table(context))
    if (
        target is None
    ):  # without labels these checks have nothing to say beside the target's own error
        found = [f for f in found if f.code not in ("few-rows", "few-labels", "imbalance")]
    refuse_errors("The table cannot be used for training", found)
    assert target is not None
    return target, schema, found


def told_once(read: list[Finding], checked: list[Finding]) -> list[Finding]:
    """The findings of reading, then of checking; what both have a word on (code and subject) is said by one of them.

    It is the one with the most severe finding on it, else the one with more findings, else reading. Nothing else is
    left out but word for word repetitions.
    """

    def said(found: list[Finding]) -> dict[tuple[str, str], list[Finding]]:
        of: dict[tuple[str, str], list[Finding]] = {}
        for f in dict.fromkeys(found):
            of.setdefault((f.code, f.subject), []).append(f)
        return of

    def weight(found: list[Finding]) -> tuple[int, int]:
        return -min(SEVERITIES.index(f.severity) for f in found), len(found)

    first, second = said(read), said(checked)
    from_checks = {
        key for key in second if key not in first or weight(second[key]) > weight(first[key])
    }
    return [
        *(f for f in dict.fromkeys(read) if (f.code, f.subject) not in from_checks),
        *(f for f in dict.fromkeys(checked) if (f.code, f.subject) in from_checks),
    ]


def split(
    frame: pd.DataFrame, typed: pd.DataFrame, scope: Scope, y: np.ndarray, folds: int, seed: int
) -> tuple[np.ndarray, list[Finding]]:
    """(fold assignment of each row as `fivefold.data.splits.split_rows`, findings). Rows with equal inputs stay on one side of every cut.

    Not so with a time order, which rules alone, nor in coarse tables, where most rows have a twin: equal rows are then
    different cases, and keeping them together would judge the model on combinations that it never met.
    """
    rows = np.flatnonzero(y >= 0)
    groups = twin_groups(typed, rows)
    coarse = groups is None
    groups = np.arange(len(y)) if groups is None else groups
    if scope.group_column:
        groups = join_groups(
            groups, pd.factorize(frame[scope.group_column], use_na_sentinel=False)[0]
        )
    times = None
    if scope.time_column:
        column = infer_schema(frame[[scope.time_column]], replace(scope, target="")).columns[0]
        times = to_numbers(frame[scope.time_column], column.kind, dict(column.parse))
    fold_ids = split_rows(y, folds or default_folds(len(rows)), seed, groups, times)
    told = _held_share(fold_ids[rows], scope.time_column or scope.group_column or "table")
    if times is not None:
        told += _few_times(
            fold_ids[rows], times[rows], folds or default_folds(len(rows)), str(scope.time_column)
        )
    if times is not None or coarse:
        why = (
            "the split follows time"
            if times is not None
            else "most rows have a twin, as in a table of few levels"
        )
        if times is not None and scope.group_column:
            return fold_ids, [
                Finding(
                    code="split-groups-part",
                    severity=WARNING,
                    subject=scope.group_column,
                    found="a time order and groups",
                    expected="one of them",
                    action="know that groups stand on both sides of the cuts: time rules",
                ),
                *told,
            ]
        return fold_ids, [
            Finding(code="split-straddle", severity=NOT_APPLICABLE, subject="table", found=why),
            *told,
        ]
    found = check_split(groups[rows], fold_ids[rows])
    refuse_errors("The split leaks", found)
    return fold_ids, [*found, *told]


def _held_share(fold_ids: np.ndarray, subject: str) -> list[Finding]:
    """The finding where the share of (labelled) rows held out is more than `SHARE_OFF` from what it should be."""
    share = float((fold_ids == Assignment.HOLDOUT).mean())
    if abs(share - HOLDOUT_SHARE) <= SHARE_OFF + 1e-9:
        return []
    judged, learnt = ("fewer", "more") if share < HOLDOUT_SHARE else ("more", "fewer")
    return [
        Finding(
            code="split-holdout-share",
            severity=WARNING,
            subject=subject,
            found=f"{share:.0%} of the rows held out, as whole groups and times come out",
            expected=f"about {HOLDOUT_SHARE:.0%}",
            action=f"know that the held-out figures rest on {judged} "
            f"rows and training on {learnt}; finer groups or times would allow a nearer cut",
        )
    ]


def _few_times(fold_ids: np.ndarray, times: np.ndarray, folds: int, column: str) -> list[Finding]:
    """The finding where a split by time has fewer folds than asked for, or such that do not follow time."""
    before = len(np.unique(np.nan_to_num(times[fold_ids != Assignment.HOLDOUT], nan=-np.inf)))
    if not (fold_ids == Assignment.ALWAYS_TRAIN).any():
        return [
            Finding(
                code="split-folds-unordered",
                severity=WARNING,
                subject=column,
                found=f"{before} distinct time{'s' * (before != 1)} before "
                "those held out, so the folds are drawn regardless of time",
                expected="at least 3",
                action="trust the holdout, "
                "which is later, before the scores over the folds; finer times would allow folds in time",
            )
        ]
    made = int(fold_ids.max()) + 1
    return (
        []
        if made >= folds
        else [
            Finding(
                code="split-fewer-folds",
                severity=WARNING,
                subject=column,
                found=f"{made} folds: the {before} distinct times before those held out make "
                "no more blocks with both classes",
                expected=f"{folds} folds",
                action="know that scores over few folds vary more; finer times allow more",
            )
        ]
    )


def _unreadable_kinds(context: CheckContext) -> list[Finding]:
    """An error for each column whose kind the scope demands and in which no cell reads so."""
    unreadable = context.problems["column"].value_counts()
    findings = []
    for column in context.schema.columns:
        present = int(context.raw[column.name].notna().sum())
        if column.name not in context.scope.kinds or not present:
            continue
        if unreadable.get(column.name, 0) == present:
            formats = ", ".join(rule["format"] for rule in DATE_FORMATS)
            spelling = f" ({formats})" if column.kind == "date" else ""
            findings.append(
                Finding(
                    code="kind-unreadable",
                    severity=ERROR,
                    subject=column.name,
                    found=f"{present:,} cells, none of which reads so",
                    expected=f"{column.kind} values{spelling}, as [columns.kinds] says",
                    action="correct that line of the scope",
                )
            )
    return findings


def refuse_unlearnable(typed: pd.DataFrame, schema: Schema) -> None:
    """Raise `Refused` when no column of the training rows can tell anything."""
    recipe = plan(expand(typed, schema), schema)
    if not any(recipe[key] for key in ("numbers", "low", "high", "text")):
        why = "; ".join(f"{d['column']}: {d['why']}" for d in recipe["dropped"])
        raise Refused(
            "There is nothing to learn from",
            [
                Finding(
                    code="no-usable-column",
                    severity=ERROR,
                    subject="table",
                    found=f"no usable column ({why})",
                    expected="at least one column that varies",
                    action="add columns that describe the cases",
                )
            ],
        )


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())
