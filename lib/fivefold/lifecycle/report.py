"""Report on one window of predictions, and its stored form in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fivefold.core.findings import Finding, from_dicts
from fivefold.core.text import listed
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle.drift import DriftLine, ScoreDrift
from fivefold.lifecycle.performance import EstimatedPerformance, RealisedPerformance

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, kw_only=True)
class WindowReport:
    """What the monitor found in one window [start, end) of predictions.

    Parameters
    ----------
    model
        Pathspec of the model whose rows were compared; None without predictions.
    rows, other_rows, rejects
        Rows of that model, rows of other models, refused rows.
    label_coverage
        Share of the rows that have a label.
    label_delay_days
        Median days from a prediction to its label.
    warned
        Share of the rows with input warnings.
    latency_ms
        Median latency of a row.
    bad
        Whether the window asks for a new model; `reasons` say why.
    """

    start: datetime
    end: datetime
    model: str | None = None
    rows: int = 0
    other_rows: int = 0
    rejects: int = 0
    drift: list[DriftLine] = field(default_factory=list)
    score: ScoreDrift | None = None
    estimated: EstimatedPerformance | None = None
    realised: RealisedPerformance | None = None
    label_coverage: float | None = None
    label_delay_days: float | None = None
    warned: float | None = None
    latency_ms: float | None = None
    reasons: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether the window asks for a new model."""
        return bool(self.reasons)

    @property
    def drifted(self) -> list[DriftLine]:
        """The columns that drifted."""
        return [line for line in self.drift if line.drifted]

    @property
    def estimated_auc(self) -> Mapping[str, Any]:
        """{value, low, high} of the estimated ROC AUC; {} if there is none."""
        return (self.estimated.auc if self.estimated else None) or {}

    @property
    def realised_auc(self) -> Mapping[str, Any]:
        """{value, low, high} of the realised ROC AUC; {} if there is none."""
        return (self.realised.auc if self.realised else None) or {}

    def summary(self) -> str:
        """Return the report in one line."""
        names = [line.column for line in self.drifted]
        return (
            f"{self.rows:,} rows, ROC AUC estimated {auc_text(self.estimated_auc)}, "
            f"realised {auc_text(self.realised_auc)} (labels for {self.label_coverage or 0:.0%}), "
            f"drifted: {listed(names) or 'nothing'}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the report as the journal keeps it."""
        stored = {_KEYS.get(f.name, f.name): getattr(self, f.name) for f in fields(self)}
        stored |= {"start": self.start.isoformat(), "end": self.end.isoformat(), "bad": self.bad}
        for name in ("drift", "findings"):
            stored[name] = [item.to_dict() for item in stored[name]]
        for name in _PARTS:
            stored[name] = stored[name].to_dict() if stored[name] else None
        return stored

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> WindowReport:
        """Return the report that `to_dict` stored."""
        values = {}
        for item in fields(cls):
            key = _KEYS.get(item.name, item.name)
            if key in stored:
                values[item.name] = stored[key]
        for name in ("start", "end"):
            values[name] = datetime.fromisoformat(values[name])
        for name, part in _PARTS.items():
            if values.get(name):
                values[name] = part.from_dict(values[name])
        values["drift"] = [DriftLine.from_dict(line) for line in values.get("drift", ())]
        values["findings"] = from_dicts(values.get("findings", ()))
        return cls(**values)


_KEYS = {
    "other_rows": "others",
    "label_coverage": "coverage",
    "label_delay_days": "delay_days",
}  # {field: key in the journal}, where they differ
_PARTS: dict[str, Any] = {
    "score": ScoreDrift,
    "estimated": EstimatedPerformance,
    "realised": RealisedPerformance,
}


def auc_text(auc: Mapping[str, Any]) -> str:
    """Return a ROC AUC in three digits, or that there is none."""
    return f"{auc['value']:.3f}" if auc.get("value") is not None else "unknown"


def window_reports(engine: Engine, problem: str, most: int = 100) -> list[WindowReport]:
    """Return the newest reports of the journal, oldest first."""
    return [WindowReport.from_dict(r) for r in journal_reports.reports(engine, problem, most)]
