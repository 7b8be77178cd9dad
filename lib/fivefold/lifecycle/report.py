"""Report on one window of predictions, its stored form, and when reports ask for a new model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from fivefold.core.findings import Finding
from fivefold.core.stored import Stored
from fivefold.core.text import listed
from fivefold.journal import reports as journal_reports
from fivefold.journal.database import Engine
from fivefold.lifecycle.drift import Drift, DriftLine
from fivefold.lifecycle.performance import EstimatedPerformance, RealisedPerformance
from fivefold.model.label_sample import LabelSample

BAD_WINDOWS, OF_WINDOWS, COOLDOWN_DAYS = 2, 3, 7.0


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
    labels
        Whether the labels may be judged on, and why; None if none were looked at.
    label_delay_days
        Median days from a prediction to its label.
    warned
        Share of the rows with input warnings.
    latency_ms
        Median latency of a row.
    bad
        Whether the window asks for a new model; `reasons` say why. `label_reasons` are those of
        them that rest on labels.
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
    labels: LabelSample | None = None
    reasons: list[str] = field(default_factory=list)
    label_reasons: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether the window asks for a new model."""
        return bool(self.reasons)

    @property
    def judged_on_labels(self) -> bool:
        """Whether enough labels came that may be judged on."""
        enough = self.realised is not None and self.realised.enough_rows
        return enough and self.labels is not None and self.labels.judged

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


@dataclass(frozen=True)
class RetrainDecision(Stored):
    """Whether a new model is due, and why."""

    retrain: bool
    why: str


def retrain_due(
    reports: Sequence[WindowReport],
    now: datetime,
    last_challenge: datetime | None = None,
    served: str | None = None,
) -> RetrainDecision:
    """Decide whether the reports (oldest first) ask for a new model.

    They do if at least `BAD_WINDOWS` of the last `OF_WINDOWS` windows are bad, the newest among
    them, and the last challenge is `COOLDOWN_DAYS` ago. A single bad window may be chance; one that
    is over says nothing about today. Windows of different lengths may overlap: a window that
    overlaps a newer one is skipped, so that the same days count once.

    Labels come later than the rest: the same rule holds for the newest windows that were judged on
    labels, and for what labels say of them. `served`: the model that is served; what was found of
    another one says nothing about it.

    >>> from datetime import datetime as t
    >>> def days(*bad):
    ...     return [WindowReport(start=t(2026, 1, n), end=t(2026, 1, n + 1), reasons=["x"] * b)
    ...             for n, b in enumerate(bad, 1)]
    >>> cases = (1, 1), (1, 0), (0, 1), (1, 0, 1), ()
    >>> [retrain_due(days(*bad), t(2026, 1, 9)).retrain for bad in cases]
    [True, False, False, True, False]
    """
    known = [r for r in reports if served is None or r.model in (None, served)]
    recent = _newest(known)
    if not recent:
        return RetrainDecision(False, "no window has been evaluated yet")
    on_labels = _newest([report for report in known if report.judged_on_labels])
    asking, why = _asks([report.reasons for report in recent], "windows")
    if not asking:
        asking, _ = _asks([r.label_reasons for r in on_labels], "windows with labels")
    if not asking:
        return RetrainDecision(False, why)
    if last_challenge is not None and now - last_challenge < timedelta(days=COOLDOWN_DAYS):
        why = (
            f"the last challenge was on {last_challenge:%Y-%m-%d}, "
            f"less than {COOLDOWN_DAYS:g} days ago"
        )
        return RetrainDecision(False, why)
    return RetrainDecision(True, asking)


def _newest(reports: Sequence[WindowReport]) -> list[WindowReport]:
    """Return the newest windows, newest first, without those that overlap a newer one."""
    recent: list[WindowReport] = []
    for report in reversed(reports):
        if not recent or report.end <= recent[-1].start:
            recent.append(report)
    return recent[:OF_WINDOWS]


def _asks(reasons_of: Sequence[Sequence[str]], what: str) -> tuple[str, str]:
    """Return (why these windows, newest first, ask for a new model or "", why not or "")."""
    bad = [reasons for reasons in reasons_of if reasons]
    count = f"{len(bad)} of the last {len(reasons_of)} {what} bad"
    if not reasons_of or not reasons_of[0]:
        return "", "the newest window is not bad"
    if len(bad) < BAD_WINDOWS:
        return "", f"{count}, {BAD_WINDOWS} needed"
    reasons = dict.fromkeys(reason for of_window in bad for reason in of_window)
    return f"{count}: " + "; ".join(list(reasons)[:4]), ""
