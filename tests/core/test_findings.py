"""Findings: one currency of checks, gates and alerts."""

import pytest

from fivefold.core.findings import (
    ERROR,
    PASSED,
    WARNING,
    Finding,
    Refused,
    from_dicts,
    refuse_errors,
)


def test_findings_refuse_all_errors_at_once_and_survive_a_dictionary():
    findings = [
        Finding(code="a", severity=ERROR, subject="s", found="f"),
        Finding(code="b", severity=WARNING, subject="s", found="f"),
        Finding(code="c", severity=ERROR, subject="s", found="f", expected="e", action="t"),
    ]
    with pytest.raises(
        Refused,
        match=r"(?s)No: 2 problems\n  1\. a \[s\]: found f\n"
        r"  2\. c \[s\]: expected e; found f; to do: t",
    ):
        refuse_errors("No", findings)
    refuse_errors("No", [Finding(code="p", severity=PASSED, subject="s", found="f")])
    assert from_dicts([f.to_dict() for f in findings]) == findings
    with pytest.raises(ValueError, match="severity: expected one of"):
        Finding(code="a", severity="fatal", subject="s", found="f")
