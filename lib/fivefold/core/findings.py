"""Findings: the result of every check of data, of every gate and of every alert."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from fivefold.core.stored import Stored
from fivefold.core.text import listed, plural

ERROR, WARNING, PASSED, NOT_APPLICABLE = "error", "warning", "passed", "not_applicable"
SEVERITIES = (ERROR, WARNING, PASSED, NOT_APPLICABLE)
ALIKE, NAMES = 5, 12  # findings of one code shown one by one; names shown of more
# Codes of what makes every figure of a model too good, or the table another one than meant.
DANGEROUS = (
    "target-copy",
    "leak",
    "leak-missing",
    "repeated-cases",
    "split-straddle",
    "duplicate-rows",
    "conflicting-labels",
    "rows-drawn",
    "data-modified",
)


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
        problems = condensed(errors(self.findings))
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


def condensed(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings with those that are alike in one, the most dangerous first.

    More than `ALIKE` of one code and severity become one finding: the first, with the names of
    all.
    """
    alike: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        alike.setdefault((finding.code, finding.severity), []).append(finding)
    result: list[Finding] = []
    for group in alike.values():
        result += group if len(group) <= ALIKE else [_joined(group)]
    return by_danger(result)


def by_danger(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings by severity, those of `DANGEROUS` codes first, else in their order."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.code not in DANGEROUS))


def _joined(group: list[Finding]) -> Finding:
    """Return the finding that stands for several of one code and severity."""
    first = group[0]
    names = list(dict.fromkeys(finding.subject for finding in group))
    if len(names) == 1:
        return replace(first, found=f"{first.found}; {len(group) - 1} more like it")
    if any(finding.found != first.found for finding in group):
        found = f"{len(names)} places ({listed(names, NAMES)}), the first: {first.found}"
    else:
        found = f"{first.found}, in {len(names)} places ({listed(names, NAMES)})"
    return replace(first, subject=plural(len(names), "place"), found=found)


def print_warnings(findings: Iterable[Finding]) -> None:
    """Print a line for each warning, or one for many that are alike."""
    for finding in condensed(warnings(findings)):
        print(f"warning: {finding.message}")


def refuse_errors(what: str, findings: Iterable[Finding]) -> None:
    """Raise `Refused`, naming all errors, when there is at least one."""
    findings = tuple(findings)
    if errors(findings):
        raise Refused(what, findings)


def from_dicts(rows: Iterable[dict[str, str]]) -> list[Finding]:
    """Return the findings of a list of `Finding.to_dict`."""
    return [Finding(**row) for row in rows]
