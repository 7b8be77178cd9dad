"""Timeline: promotions, alerts and windows of a problem in the order of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Engine

from fivefold.journal import alerts as journal_alerts
from fivefold.journal import promotions
from fivefold.lifecycle.report import window_reports


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
    alerts = reversed(journal_alerts.alerts(engine, problem, 1000))
    for at, group in groupby(alerts, key=lambda alert: alert.at):  # sent together
        together = list(group)
        names = [alert.key.replace("/", " [", 1) + "]" for alert in together]
        channels = ", ".join(together[0].channels_reached) or "nobody"
        events.append(Event(at, "alert", f"{', '.join(names)} (sent: {channels})"))
    for report in window_reports(engine, problem):
        what = "bad window" if report.bad else "window"
        events.append(Event(report.end, what, report.summary()))
    return sorted(events, key=lambda event: event.minute)
