"""Timeline: promotions, alerts and windows of a problem in the order of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fivefold.journal import alerts as journal_alerts
from fivefold.journal import promotions
from fivefold.journal.alerts import Alert
from fivefold.lifecycle.report import window_reports

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True)
class Event:
    """Something that happened: when (UTC), what in a word, and a sentence."""

    at: datetime
    what: str
    text: str

    @property
    def minute(self) -> str:
        """When it happened, to the minute."""
        return self.at.isoformat(sep=" ", timespec="minutes")

    def to_dict(self) -> dict[str, str]:
        """Return the event as an artifact of the monitor keeps it."""
        return {"at": self.minute, "what": self.what, "told": self.text}


def timeline(engine: Engine, problem: str) -> list[Event]:
    """Return all events of a problem, oldest first."""
    events = []
    for row in promotions.history(engine, problem):
        text = f"{row.model} at threshold {row.threshold:.3g}, by {row.who}: {row.why}"
        events.append(Event(row.at, row.action, text))
    events += _alert_events(journal_alerts.alerts(engine, problem, 1000))
    for report in window_reports(engine, problem):
        what = "bad window" if report.bad else "window"
        events.append(Event(report.end, what, report.summary()))
    return sorted(events, key=lambda event: event.minute)


def _alert_events(alerts: Sequence[Alert]) -> list[Event]:
    """Return one event for all alerts that were sent together."""
    together: dict[datetime, list[Alert]] = {}
    for alert in reversed(alerts):
        together.setdefault(alert.at, []).append(alert)
    events = []
    for at, group in together.items():
        names = [alert.key.replace("/", " [", 1) + "]" for alert in group]
        channels = ", ".join(group[0].channels_reached) or "nobody"
        events.append(Event(at, "alert", f"{', '.join(names)} (sent: {channels})"))
    return events
