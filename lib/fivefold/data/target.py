"""Target: which column is predicted, and which of its two labels is the positive one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding, problem
from fivefold.core.scope import Scope
from fivefold.core.text import listed
from fivefold.data.parsing import BOOLEAN_PAIRS, texts

_PAIRS = (*BOOLEAN_PAIRS, ("-1", "1"), ("negative", "positive"))
_WRONG_COUNT = {0: "fill the column", 1: "collect rows of the other class"}


@dataclass(frozen=True)
class Target:
    """The labels of all rows.

    y: 1 positive, 0 negative, -1 missing, shape (rows,) int8. negative, positive: as spelt in the
    data.
    """

    y: np.ndarray
    negative: str
    positive: str


def read_target(frame: pd.DataFrame, scope: Scope) -> tuple[Target | None, list[Finding]]:
    """Return (the target, findings); None where a finding is an error.

    The positive label is the scope's, or the "yes" of a pair with a common meaning (0/1,
    no/yes, false/true, n/y, f/t, off/on, -1/1, negative/positive). Of any other two labels the
    user must name one. Spellings that differ in case and spaces only are one label. A cell without
    a label has the scope's `empty_label`, if it names one.
    """
    error = _find_column(frame, scope)
    if error:
        return None, [error]
    labels = texts(frame[scope.target])
    if scope.empty_label is not None:
        labels = labels.fillna(scope.empty_label)
    labels, findings = _one_spelling(labels, scope)
    counts = labels.value_counts()
    found = ", ".join(f"{label!r} ({rows} rows)" for label, rows in counts.head(6).items())
    if len(counts) != 2:
        return None, [
            *findings,
            _wrong_classes(scope, found, len(counts), int(labels.isna().sum())),
        ]
    positive = _choose_positive(list(counts.index), scope.positive, found)
    if isinstance(positive, Finding):
        return None, [positive]
    negative = next(label for label in counts.index if label != positive)
    y = np.where(labels.isna(), -1, labels == positive).astype("int8")
    label = f"{positive!r} is the positive label"
    findings.append(Finding(code="target-positive", severity=PASSED, subject="target", found=label))
    missing = int((y < 0).sum())
    if missing:
        code, found = "target-missing-values", f"{missing} rows without a label"
        expected = "a label in every row"
        action = (
            "nothing: these rows are left out of training; if empty means a label, state it as "
            "[target] empty"
        )
        findings.append(problem(code, scope.target, found, expected, action, WARNING))
    return Target(y, negative, positive), findings


def _one_spelling(labels: pd.Series, scope: Scope) -> tuple[pd.Series, list[Finding]]:
    """Return the labels in one spelling each, the most frequent one, and what was joined.

    Two labels of which the scope names one exactly stay as they are.
    """
    counts = labels.value_counts()
    if len(counts) == 2 and scope.positive in counts.index:
        return labels, []
    spelling: dict[str, str] = {}
    for label in counts.sort_index().sort_values(ascending=False, kind="stable").index:
        spelling.setdefault(_canonical(label), label)
    if len(spelling) == len(counts):
        return labels, []
    others = [label for label in counts.index if label not in spelling.values()]
    joined = [f"{label!r} as {spelling[_canonical(label)]!r}" for label in others]
    found = f"labels that differ in case, spaces or digits only: {listed(joined, 6)}"
    action = "nothing: they are read as one label; correct the spelling at the source"
    expected = "one spelling a label"
    finding = problem("target-spellings", scope.target, found, expected, action, WARNING)
    return labels.map({label: spelling[_canonical(label)] for label in counts.index}), [finding]


def _wrong_classes(scope: Scope, found: str, classes: int, empty: int) -> Finding:
    """Return the error where there are not two labels."""
    name = scope.target
    action = _WRONG_COUNT.get(
        classes, "this project predicts yes or no: derive a target of two labels"
    )
    classes_found = f"{classes} classes: {found or 'only missing values'}"
    if classes == 1 and empty:
        classes_found += f", and {empty:,} cells without a label"
        action = (
            'if empty means the other label, state [target] empty = "..."; if a text such as NA or '
            f'None is a label, state [columns.keep] {name} = ["NA"]'
        )
    return problem("target-classes", "target", classes_found, "two classes", action)


def _find_column(frame: pd.DataFrame, scope: Scope) -> Finding | None:
    """Return the error where the table does not have the target exactly once."""
    names = [str(name) for name in frame.columns]
    columns = f"columns: {listed(names, 30)}"
    if not scope.target:
        return problem(
            "target-not-named",
            "target",
            "no target",
            "the name of the column to predict",
            f"pass --target NAME; {columns}",
        )
    count = names.count(scope.target)
    if count > 1:
        found = f"{count} columns named {scope.target!r}"
        return problem("target-repeated", "target", found, "one", "rename the others")
    if count == 1:
        return None
    near = difflib.get_close_matches(scope.target, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    found, expected = f"no column {scope.target!r}", "the target among the columns"
    return problem("target-missing", "target", found, expected, action=hint + columns)


def _choose_positive(labels: list[str], wanted: str | None, found: str) -> str | Finding:
    """Return the positive label as spelt in the data, or the error where it is not known."""
    if wanted is not None:
        same = [label for label in labels if label == wanted]
        same = same or [label for label in labels if _canonical(label) == _canonical(wanted)]
        if len(same) == 1:
            return same[0]
        expected = f"the positive label {wanted!r} among the labels"
        action = "pass --positive with one of these labels"
        return problem("positive-missing", "target", found, expected, action)
    spelling = {_canonical(label): label for label in labels}
    for no, yes in _PAIRS:
        if set(spelling) == {no, yes}:
            return spelling[yes]
    expected = "the name of the label to predict"
    action = " or ".join(f"--positive {label!r}" for label in labels)
    return problem("positive-ambiguous", "target", f"the labels {found}", expected, action)


def _canonical(label: str) -> str:
    """Return lower case, and numbers in one spelling ("1.0" as "1")."""
    lowered = " ".join(str(label).lower().split())
    try:
        return f"{float(lowered):g}"
    except ValueError:
        return lowered
