"""Trigger: when the monitor's findings ask for a new model. A pure function, so that it can be argued about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

NEED, OF, COOLDOWN_DAYS = 2, 3, 7.0


def due(
    reports: Sequence[Mapping[str, Any]],
    now: datetime,
    last_challenge: datetime | None = None,
    *,
    need: int = NEED,
    of: int = OF,
    cooldown_days: float = COOLDOWN_DAYS,
) -> dict[str, Any]:
    """{retrain, why}: whether at least `need` of the last `of` windows are bad, the newest among them, and the last
    challenge is `cooldown_days` ago.

    `reports` are those of `fivefold.lifecycle.window.judge_window`, oldest first; one that overlaps a newer one is passed over. A
    single bad window may be chance or one odd week; one that is over says nothing of today.

    >>> from datetime import datetime as t
    >>> def days(*bad):
    ...     return [{"start": f"2026-01-{n:02}", "end": f"2026-01-{n + 1:02}", "bad": b, "reasons": ["x"] * b}
    ...             for n, b in enumerate(bad, 1)]
    >>> [due(days(*bad), t(2026, 1, 9))["retrain"] for bad in ((1, 1), (1, 0), (0, 1), (1, 0, 1), ())]
    [True, False, False, True, False]
    """
    recent: list[Mapping[str, Any]] = []
    for report in reversed(
        reports
    ):  # windows of other lengths may overlap: the same days count once
        if not recent or report["end"] <= recent[0]["start"]:
            recent.insert(0, report)
    recent = recent[-of:]
    bad = [report for report in recent if report["bad"]]
    if not recent:
        return {"retrain": False, "why": "no window was judged yet"}
    if not recent[-1]["bad"]:
        return {"retrain": False, "why": "the newest window is not bad"}
    if len(bad) < need:
        return {
            "retrain": False,
            "why": f"{len(bad)} of the last {len(recent)} windows bad, {need} needed",
        }
    if last_challenge is not None and now - last_challenge < timedelta(days=cooldown_days):
        return {
            "retrain": False,
            "why": f"the last challenge was on {last_challenge:%Y-%m-%d}, less than "
            f"{cooldown_days:g} days ago",
        }
    reasons = list(
        dict.fromkeys(reason for report in reversed(bad) for reason in report["reasons"])
    )
    return {
        "retrain": True,
        "why": f"{len(bad)} of the last {len(recent)} windows bad: " + "; ".join(reasons[:4]),
    }
