"""A stranger's first change: a new check is one entry in `CHECKS`, and its function."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding
from fivefold.core.scope import Scope
from fivefold.profiling import checks
from fivefold.profiling.check_context import CheckContext, Result
from fivefold.profiling.checks import CHECKS, Check
from fivefold.training.intake import validate

CODE = "negative-numbers"


def find_negative_numbers(ctx: CheckContext) -> Iterator[Result]:
    for column in ctx.columns_of("numeric"):
        if column.low is not None and column.low < 0:
            yield Result(
                column.name,
                found=f"{int((ctx.typed[column.name] < 0).sum())} cells below zero",
                expected="zero or more",
                action="look at these cells",
            )


@pytest.fixture
def new_check(monkeypatch):
    check = Check(CODE, find_negative_numbers, "no number is below zero")
    monkeypatch.setattr(checks, "CHECKS", (*CHECKS, check))


def findings(**columns) -> list[Finding]:
    """What a run says about a table of 400 rows with these columns, under the new code."""
    frame = pd.DataFrame({**columns, "y": np.arange(400) % 2})
    _, _, all_findings = validate(frame, Scope(target="y"), [], 0)
    assert {f.code for f in all_findings} > {check.code for check in CHECKS}
    return [f for f in all_findings if f.code == CODE]


def test_a_new_check_finds_its_fault_in_a_run(new_check):
    amounts = np.random.default_rng(0).permutation(400) / 4 - 1
    (finding,) = findings(amount=amounts)
    assert (finding.severity, finding.subject) == (WARNING, "amount")
    assert finding.found == "4 cells below zero"


def test_a_new_check_passes_in_its_own_words(new_check):
    (finding,) = findings(amount=np.random.default_rng(0).permutation(400) / 4 + 1)
    assert (finding.severity, finding.found) == (PASSED, "no number is below zero")


def test_a_new_check_that_has_nothing_to_look_at_does_not_pass(new_check):
    (finding,) = findings(plan=np.random.default_rng(0).choice(["a", "b", "c"], 400))
    assert (finding.severity, finding.found) == (NOT_APPLICABLE, "no numeric columns")


def test_without_the_entry_the_run_knows_nothing_of_it():
    frame = pd.DataFrame({"amount": np.random.default_rng(0).normal(size=400).round(2)})
    frame["y"] = np.arange(400) % 2
    _, _, all_findings = validate(frame, Scope(target="y"), [], 0)
    assert CODE not in {f.code for f in all_findings}
