"""Read log: the findings of reading a source, and the error that stops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from fivefold.core.findings import PASSED, WARNING, Finding, Refused, problem, refusal


@dataclass
class Details:
    """How a table was read; fields that do not apply are None.

    `bytes` is the size of the file or download before unpacking, `parts` the number of files of
    a folder. `categories` names the columns of whole numbers that a typed file declares as
    categories. `missing_markers` counts the cells that each marker made missing.
    """

    format: str = ""
    bytes: int | None = None
    compression: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    content_type: str | None = None
    parts: int | None = None
    query: str | None = None
    categories: list[str] | None = None
    rows: int = 0
    columns: int = 0
    missing_markers: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what applies, JSON-ready; `compression` is there for every single file."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        is_one_file = self.bytes is not None and self.parts is None
        return known | {"compression": self.compression} if is_one_file else known


@dataclass
class ReadLog:
    """Notes on one table: findings, details, and what became of its cells.

    `markers` holds the cells that became missing as {marker: {column: cells}}, `stripped` the
    cells that lost white space as {column: cells}, `text_columns` the columns that stayed text.
    """

    findings: list[Finding] = field(default_factory=list)
    details: Details = field(default_factory=Details)
    markers: dict[str, Counter[str]] = field(default_factory=dict)
    stripped: dict[str, int] = field(default_factory=dict)
    text_columns: set[str] = field(default_factory=set)

    def passed(self, code: str, subject: str, found: str) -> None:
        """Add a finding that needs no action, once."""
        finding = Finding(code=code, severity=PASSED, subject=subject, found=found)
        if finding not in self.findings:
            self.findings.append(finding)

    def warning(self, code: str, subject: str, found: str, *, expected: str, action: str) -> None:
        """Add a finding that a person should read."""
        self.findings.append(problem(code, subject, found, expected, action, WARNING))

    def error(self, code: str, subject: str, found: str, *, expected: str, action: str) -> None:
        """Add a finding that must stop the run."""
        self.findings.append(problem(code, subject, found, expected, action))

    def missing(self, column: str, counts: Mapping[str, int]) -> None:
        """Add the number of cells of a column that each marker makes missing."""
        for marker, cells in counts.items():
            self.markers.setdefault(marker, Counter())[column] += cells


def unreadable(code: str, subject: str, found: str, *, expected: str, action: str) -> Refused:
    """Return the error that stops the reading of a source."""
    return refusal(f"{subject} cannot be read", code, subject, found, expected, action)
