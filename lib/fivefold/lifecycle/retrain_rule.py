"""Retrain rule: when the monitor's reports ask for a new model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fivefold.core.stored import Stored
from fivefold.lifecycle.report import WindowReport

BAD_WINDOWS, OF_WINDOWS, COOLDOWN_DAYS = 2, 3, 7.0


@dataclass(frozen=True)
class RetrainDecision(Stored):
    """Whether a new model is due, and why."""

    retrain: bool
    why: str


def retrain_due(
    reports: Sequence[WindowReport], now: datetime, last_challenge: datetime | None = None
) -> RetrainDecision:
    """Decide whether the reports (oldest first) ask for a new model.

    They do if at least `BAD_WINDOWS` of the last `OF_WINDOWS` windows are bad, the newest among
    them, and the last challenge is `COOLDOWN_DAYS` ago. A single bad window may be chance; one that
    is over says nothing about today. Windows of different lengths may overlap: a window that
    overlaps a newer one is skipped, so that the same days count once.

    >>> from datetime import datetime as t
    >>> def days(*bad):
    ...     return [WindowReport(start=t(2026, 1, n), end=t(2026, 1, n + 1), reasons=["x"] * b)
    ...             for n, b in enumerate(bad, 1)]
    >>> cases = (1, 1), (1, 0), (0, 1), (1, 0, 1), ()
    >>> [retrain_due(days(*bad), t(2026, 1, 9)).retrain for bad in cases]
    [True, False, False, True, False]
    """
    recent: list[WindowReport] = []
    for report in reversed(reports):
        if not recent or report.end <= recent[-1].start:
            recent.append(report)
    recent = recent[:OF_WINDOWS]  # newest first
    bad = [report for report in recent if report.bad]
    count = f"{len(bad)} of the last {len(recent)} windows bad"
    if not recent:
        return RetrainDecision(False, "no window has been evaluated yet")
    if not recent[0].bad:
        return RetrainDecision(False, "the newest window is not bad")
    if len(bad) < BAD_WINDOWS:
        return RetrainDecision(False, f"{count}, {BAD_WINDOWS} needed")
    if last_challenge is not None and now - last_challenge < timedelta(days=COOLDOWN_DAYS):
        why = (
            f"the last challenge was on {last_challenge:%Y-%m-%d}, "
            f"less than {COOLDOWN_DAYS:g} days ago"
        )
        return RetrainDecision(False, why)
    reasons = dict.fromkeys(reason for report in bad for reason in report.reasons)
    return RetrainDecision(True, f"{count}: " + "; ".join(list(reasons)[:4]))
