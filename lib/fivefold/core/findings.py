"""Findings: the result of every check of data, of every gate and of every alert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fivefold.core.stored import Stored
from fivefold.core.text import plural

ERROR, WARNING, PASSED, NOT_APPLICABLE = "error", "warning", "passed", "not_applicable"
SEVERITIES = (ERROR, WARNING, PASSED, NOT_APPLICABLE)


@dataclass(frozen=True, kw_only=True)
class Finding(Stored):
    """One result of one check on one subject (a column name, "target", "table", ...).

    `code` is stable, in kebab-case, and named after the fault ("target-missing"). `found`,
    `expected` and `action` are short phrases for a person. A check that cannot be made is
    `not_applicable`, never `passed`.
    """

    code: str
    severity: str
    subject: str
    found: str
    expected: str = ""
    action: str = ""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity: expected one of {SEVERITIES}, found {self.severity!r}")

    @property
    def message(self) -> str:
        """The finding in one line.

        >>> Finding(
        ...     code="target-missing",
        ...     severity="error",
        ...     subject="target",
        ...     found="no column 'y'",
        ...     expected="a column 'y'",
        ...     action="pass --target",
        ... ).message
        "target-missing [target]: expected a column 'y'; found no column 'y'; to do: pass --target"
        """
        parts = [f"expected {self.expected}"] if self.expected else []
        parts.append(f"found {self.found}")
        if self.action:
            parts.append(f"to do: {self.action}")
        return f"{self.code} [{self.subject}]: {'; '.join(parts)}"


class Refused(ValueError):
    """Input that cannot be used: the text lists every error at once, `findings` holds them."""

    def __init__(self, what: str, findings: Iterable[Finding]):
        self.findings = tuple(findings)
        problems = errors(self.findings)
        lines = [f"{what}: {plural(len(problems), 'problem')}"]
        lines += [f"  {number}. {f.message}" for number, f in enumerate(problems, 1)]
        super().__init__("\n".join(lines))


def refusal(what: str, code: str, subject: str, found: str, expected: str, action: str) -> Refused:
    """Return the error to raise for one problem.

    For example `raise refusal("The file cannot be read", code=..., subject=..., ...)`.
    """
    return Refused(what, [problem(code, subject, found, expected, action)])


def problem(
    code: str, subject: str, found: str, expected: str, action: str, severity: str = ERROR
) -> Finding:
    """Return the finding of an error or a warning."""
    return Finding(
        code=code, severity=severity, subject=subject, found=found, expected=expected, action=action
    )


def verdict(
    failed: bool | None, code: str, subject: str, *, action: str = "", **texts: str
) -> Finding:
    """Return a check's finding: a warning if it `failed`, not applicable for None, else passed.

    A passed one has no `action`.
    """
    severity = NOT_APPLICABLE
    if failed is not None:
        severity = WARNING if failed else PASSED
    if severity == PASSED:
        action = ""
    return Finding(code=code, subject=subject, severity=severity, action=action, **texts)


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that must stop the run."""
    return [f for f in findings if f.severity == ERROR]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that a person should read."""
    return [f for f in findings if f.severity == WARNING]


def print_warnings(findings: Iterable[Finding]) -> None:
    """Print a line for each warning."""
    for finding in warnings(findings):
        print(f"warning: {finding.message}")


def refuse_errors(what: str, findings: Iterable[Finding]) -> None:
    """Raise `Refused`, naming all errors, when there is at least one."""
    findings = tuple(findings)
    if errors(findings):
        raise Refused(what, findings)


def from_dicts(rows: Iterable[dict[str, str]]) -> list[Finding]:
    """Return the findings of a list of `Finding.to_dict`."""
    return [Finding(**row) for row in rows]
