"""Judge: read and validate a hostile table as a run does, and compare it with the right answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fivefold.core.findings import ERROR, WARNING, Finding, Refused
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.reading.source import read
from fivefold.training import intake

RIGHT, UNCLEAR, SILENT = "right", "unclear", "silently wrong"
VERDICTS = (RIGHT, UNCLEAR, SILENT)


@dataclass(frozen=True)
class Answer:
    """What is right: to refuse with one of some codes, else to read as said.

    `values` are cells as {column: (row, value)} after they were read by the column's kind; None is
    a missing one. Of `warned` one code must be a warning; none of `quiet` may be one.
    """

    refused: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    rows: int | None = None
    columns: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, tuple[int, object]] = field(default_factory=dict)
    positives: int | None = None


@dataclass(frozen=True)
class Case:
    """A hostile table: `write` makes it in a folder and returns its path."""

    kind: str
    name: str
    write: Callable[[Path], Path]
    answer: Answer
    scope: Scope


@dataclass(frozen=True)
class Verdict:
    """How a table was answered, and in words what was not as it should be."""

    case: Case
    verdict: str
    why: str = ""


@dataclass(frozen=True)
class _Table:
    frame: pd.DataFrame
    typed: pd.DataFrame
    schema: Schema
    positives: int
    findings: list[Finding]


def judge(case: Case, folder: Path) -> Verdict:
    """Return the verdict on a table: a traceback counts as unclear."""
    try:
        table = _read(case.write(folder), case.scope)
    except Refused as refused:
        codes = sorted({f.code for f in refused.findings if f.severity == ERROR})
        is_right = bool(set(case.answer.refused) & set(codes))
        return Verdict(case, RIGHT if is_right else UNCLEAR, f"refused: {', '.join(codes)}")
    except Exception as error:
        return Verdict(case, UNCLEAR, f"traceback: {type(error).__name__}: {error}")
    faults = list(_faults(case.answer, table))
    if not faults:
        return Verdict(case, RIGHT)
    return Verdict(case, _told(case, table), "; ".join(faults))


def _read(path: Path, scope: Scope) -> _Table:
    data = read(path, query=scope.query or None)
    target, schema, findings = intake.validate(data.frame, scope, list(data.findings), seed=0)
    typed, _ = coerce_table(data.frame, schema, used_only=False)
    return _Table(data.frame, typed, schema, int((target.y == 1).sum()), findings)


def _faults(answer: Answer, table: _Table) -> list[str]:
    """Return what is not as it should be in a table that was read."""
    faults = []
    warnings = {f.code for f in table.findings if f.severity == WARNING}
    if answer.refused:
        faults.append(f"read, not refused as {' or '.join(answer.refused)}")
    if answer.warned and not warnings & set(answer.warned):
        faults.append(f"no warning {' or '.join(answer.warned)}")
    faults += [f"a warning {code}" for code in answer.quiet if code in warnings]
    if answer.rows is not None and len(table.frame) != answer.rows:
        faults.append(f"{len(table.frame)} rows in place of {answer.rows}")
    if answer.columns and tuple(table.frame.columns) != answer.columns:
        faults.append(f"columns {', '.join(table.frame.columns)}")
    if answer.positives is not None and table.positives != answer.positives:
        faults.append(f"{table.positives} positive rows in place of {answer.positives}")
    for name, kind in answer.kinds.items():
        found = table.schema[name].kind if name in table.frame else "absent"
        if found != kind:
            faults.append(f"{name} is {found} in place of {kind}")
    for name, (row, value) in answer.values.items():
        cell = table.typed[name].iloc[row] if name in table.typed else "absent"
        if not _same(cell, value):
            faults.append(f"{name} reads {cell!r} in place of {value!r}")
    return faults


def _same(cell: object, value: object) -> bool:
    if value is None:
        return bool(pd.isna(cell))
    if isinstance(value, float):
        return isinstance(cell, (int, float)) and math.isclose(cell, value, rel_tol=1e-9)
    if isinstance(value, pd.Timestamp):
        return isinstance(cell, pd.Timestamp) and cell == value
    return str(cell) == str(value)


def _told(case: Case, table: _Table) -> str:
    """Return whether a warning stands on what is wrong: on the source, or on the column."""
    if case.answer.refused:
        return SILENT
    subjects = {f.subject for f in table.findings if f.severity == WARNING}
    concerned = {*case.answer.kinds, *case.answer.values} or {"x"}
    about_source = subjects - set(table.frame.columns) - {"table", "target"}
    return UNCLEAR if about_source or concerned & subjects else SILENT
