"""Findings: one currency of checks, gates and alerts."""

import pytest

from fivefold.core.findings import (
    ERROR,
    PASSED,
    WARNING,
    Finding,
    Refused,
    condensed,
    from_dicts,
    print_warnings,
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


def test_many_alike_are_one_line_with_their_names_and_the_dangerous_come_first(capsys):
    def find(code, subject, found="f", severity=WARNING):
        return Finding(code=code, severity=severity, subject=subject, found=found)

    flood = [find("constant-column", f"c{n}", f"the one value {n}") for n in range(127)]
    few = [find("missing-cells", f"m{n}") for n in range(5)]
    leak = find("leak", "z")
    result = condensed([*flood, *few, leak, find("other", "e", severity=ERROR)])
    assert [f.code for f in result] == ["other", "leak", "constant-column", *["missing-cells"] * 5]
    assert (result[2].subject, result[2].found) == (
        "127 places",
        "127 places (c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 and 115 more), the first: "
        "the one value 0",
    )
    same = condensed([find("a", f"c{n}", "only missing cells") for n in range(6)])
    assert [f.found for f in same] == ["only missing cells, in 6 places (c0, c1, c2, c3, c4, c5)"]
    one = condensed([find("a", "c", str(n)) for n in range(6)])
    assert [(f.subject, f.found) for f in one] == [("c", "0; 5 more like it")]
    print_warnings([*flood, leak])
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(Refused, match=r"No: 1 problem\n  1\. a \[9 places\]"):
        refuse_errors("No", [find("a", f"c{n}", severity=ERROR) for n in range(9)])
