"""Target: which column is predicted, and which of its two labels is the positive one."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, PASSED, WARNING, Finding
from fivefold.core.scope import Scope
from fivefold.data.parsing import BOOLEAN_PAIRS, texts

_PAIRS = (*BOOLEAN_PAIRS, ("-1", "1"), ("negative", "positive"))


@dataclass(frozen=True)
class Target:
    """`y`: 1 positive, 0 negative, -1 missing, shape (rows,) int8; labels as spelt in the data."""

    y: np.ndarray
    negative: str
    positive: str


def read_target(frame: pd.DataFrame, scope: Scope) -> tuple[Target | None, list[Finding]]:
    """The target and what was found on the way; None where an error stands in the findings.

    The positive label is the scope's, or the "yes" of a pair that everybody reads alike (0/1, no/yes, false/true,
    n/y, f/t, off/on, -1/1, negative/positive). Any other two labels are a question to the user, not a guess.
    """
    names = [str(n) for n in frame.columns]
    if not scope.target:
        return None, [
            _error(
                "target-not-named",
                "no target",
                "the name of the column to predict",
                f"pass --target NAME; columns: {_listing(names)}",
            )
        ]
    if scope.target not in names:
        near = difflib.get_close_matches(scope.target, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return None, [
            _error(
                "target-missing",
                f"no column {scope.target!r}",
                "the target among the columns",
                f"{hint}columns: {_listing(names)}",
            )
        ]
    if names.count(scope.target) > 1:
        return None, [
            _error(
                "target-repeated",
                f"{names.count(scope.target)} columns named {scope.target!r}",
                "one",
                "rename the others",
            )
        ]
    labels = texts(frame[scope.target])
    counts = labels.value_counts()
    listing = ", ".join(f"{label!r} ({n} rows)" for label, n in counts.head(6).items())
    if len(counts) != 2:
        hint = {0: "fill the column", 1: "collect rows of the other class"}.get(
            len(counts), "this project predicts yes or no: derive a target of two labels"
        )
        return None, [
            _error(
                "target-classes",
                f"{len(counts)} classes: {listing or 'only missing values'}",
                "two classes",
                hint,
            )
        ]
    positive, finding = _positive(list(counts.index), scope.positive, listing)
    if positive is None:
        return None, [finding]
    negative = next(label for label in counts.index if label != positive)
    y = np.where(labels.isna(), -1, labels == positive).astype("int8")
    findings = [finding]
    if missing := int((y < 0).sum()):
        findings.append(
            Finding(
                code="target-missing-values",
                severity=WARNING,
                subject=scope.target,
                found=f"{missing} rows without a label",
                expected="a label in every row",
                action="nothing: these rows are left out of training",
            )
        )
    return Target(y, negative, positive), findings


def _positive(labels: list[str], wanted: str | None, listing: str) -> tuple[str | None, Finding]:
    """(positive label as spelt in the data, what to say about it)."""
    if wanted is not None:
        same = [label for label in labels if label == wanted] or [
            label for label in labels if _canonical(label) == _canonical(wanted)
        ]
        if len(same) == 1:
            return same[0], Finding(
                code="target-positive",
                severity=PASSED,
                subject="target",
                found=f"{same[0]!r} is the positive label, as given",
            )
        return None, _error(
            "positive-missing",
            f"{listing}",
            f"the positive label {wanted!r} among the labels",
            "pass --positive with one of these labels",
        )
    spelt = {_canonical(label): label for label in labels}
    for no, yes in _PAIRS:
        if set(spelt) == {_canonical(no), _canonical(yes)}:
            label = spelt[_canonical(yes)]
            return label, Finding(
                code="target-positive",
                severity=PASSED,
                subject="target",
                found=f"{label!r} is the positive label",
            )
    return None, _error(
        "positive-ambiguous",
        f"the labels {listing}",
        "to be told which of the two is the event to predict",
        " or ".join(f"--positive {label!r}" for label in labels),
    )


def _canonical(label: str) -> str:
    """Lower case, and numbers in one spelling ("1.0" as "1")."""
    lowered = str(label).strip().lower()
    try:
        return f"{float(lowered):g}"
    except ValueError:
        return lowered


def _listing(names: list[str]) -> str:
    return ", ".join(names[:30]) + (f" and {len(names) - 30} more" if len(names) > 30 else "")


def _error(code: str, found: str, expected: str, action: str) -> Finding:
    return Finding(
        code=code, severity=ERROR, subject="target", found=found, expected=expected, action=action
    )
