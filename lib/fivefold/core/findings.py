"""Finding: the one currency of data checks, gates and alerts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

ERROR, WARNING, PASSED, NOT_APPLICABLE = "error", "warning", "passed", "not_applicable"
SEVERITIES = (ERROR, WARNING, PASSED, NOT_APPLICABLE)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One result of one check on one subject (a column name, "target", "table", ...).

    `code` is stable, in kebab-case, and named after the fault ("target-missing"). `found`, `expected` and
    `action` are short sentences for a person. "Could not be judged" is `not_applicable`, never `passed`.
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
        parts = [
            f"expected {self.expected}" if self.expected else "",
            f"found {self.found}",
            f"to do: {self.action}" if self.action else "",
        ]
        return f"{self.code} [{self.subject}]: " + "; ".join(part for part in parts if part)

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


class Refused(ValueError):
    """Input that cannot be used: its text lists every error at once, its `findings` hold them."""

    def __init__(self, what: str, findings: Iterable[Finding]):
        self.findings = tuple(findings)
        bad = errors(self.findings)
        count = f"{len(bad)} problem" + ("s" if len(bad) != 1 else "")
        super().__init__(
            "\n".join([f"{what}: {count}", *(f"  {n}. {f.message}" for n, f in enumerate(bad, 1))])
        )


def refusal(
    what: str, *, code: str, subject: str, found: str, expected: str, action: str
) -> Refused:
    """The error to raise for one problem, for example `raise refusal("The file cannot be read", ...)`."""
    finding = Finding(
        code=code, severity=ERROR, subject=subject, found=found, expected=expected, action=action
    )
    return Refused(what, [finding])


def errors(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that must stop the run."""
    return [f for f in findings if f.severity == ERROR]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that a person should read."""
    return [f for f in findings if f.severity == WARNING]


def tell_warnings(findings: Iterable[Finding]) -> None:
    """Print a line for each warning."""
    for finding in warnings(findings):
        print(f"warning: {finding.message}")


def refuse_errors(what: str, findings: Iterable[Finding]) -> None:
    """Raise `Refused`, naming all errors, when there is at least one."""
    findings = tuple(findings)
    if errors(findings):
        raise Refused(what, findings)


def from_dicts(rows: Iterable[dict[str, str]]) -> list[Finding]:
    """The inverse of `to_dict` for a list."""
    return [Finding(**row) for row in rows]
