"""Report on one window of predictions, and its stored form in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Engine

from fivefold.core.findings import Finding
from fivefold.core.stored import Stored
from fivefold.core.text import listed
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle.drift import Drift, DriftLine
from fivefold.lifecycle.performance import EstimatedPerformance, RealisedPerformance


@dataclass(frozen=True, kw_only=True)
class WindowReport(Stored):
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

    stored_as: ClassVar[Mapping[str, str]] = {
        "other_rows": "others",
        "label_coverage": "coverage",
        "label_delay_days": "delay_days",
    }

    start: datetime
    end: datetime
    model: str | None = None
    rows: int = 0
    other_rows: int = 0
    rejects: int = 0
    drift: list[DriftLine] = field(default_factory=list)
    score: Drift | None = None
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
        return {**super().to_dict(), "bad": self.bad}


def auc_text(auc: Mapping[str, Any]) -> str:
    """Return a ROC AUC in three digits, or that there is none."""
    return f"{auc['value']:.3f}" if auc.get("value") is not None else "unknown"


def window_reports(engine: Engine, problem: str, most: int = 100) -> list[WindowReport]:
    """Return the newest reports of the journal, oldest first."""
    return [WindowReport.from_dict(r) for r in journal_reports.reports(engine, problem, most)]
