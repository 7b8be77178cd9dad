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
    user must name one.
    """
    error = _find_column(frame, scope)
    if error:
        return None, [error]
    labels = texts(frame[scope.target])
    counts = labels.value_counts()
    found = ", ".join(f"{label!r} ({rows} rows)" for label, rows in counts.head(6).items())
    if len(counts) != 2:
        action = _WRONG_COUNT.get(
            len(counts), "this project predicts yes or no: derive a target of two labels"
        )
        classes = f"{len(counts)} classes: {found or 'only missing values'}"
        return None, [problem("target-classes", "target", classes, "two classes", action)]
    positive = _choose_positive(list(counts.index), scope.positive, found)
    if isinstance(positive, Finding):
        return None, [positive]
    negative = next(label for label in counts.index if label != positive)
    y = np.where(labels.isna(), -1, labels == positive).astype("int8")
    label = f"{positive!r} is the positive label"
    findings = [Finding(code="target-positive", severity=PASSED, subject="target", found=label)]
    missing = int((y < 0).sum())
    if missing:
        code, found = "target-missing-values", f"{missing} rows without a label"
        expected = "a label in every row"
        action = "nothing: these rows are left out of training"
        findings.append(problem(code, scope.target, found, expected, action, WARNING))
    return Target(y, negative, positive), findings


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
    lowered = str(label).strip().lower()
    try:
        return f"{float(lowered):g}"
    except ValueError:
        return lowered
