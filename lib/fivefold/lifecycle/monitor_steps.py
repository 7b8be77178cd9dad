"""Monitor steps: the body of each step of `flows/monitor.py`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fivefold.core.clock import utc_now
from fivefold.core.findings import Refused, refusal, warnings
from fivefold.core.settings import journal_url
from fivefold.journal import alerts as journal_alerts
from fivefold.journal import database, labels, promotions
from fivefold.journal import reports as journal_reports
from fivefold.journal.database import Engine
from fivefold.journal.tables import utc
from fivefold.lifecycle import alerts, window
from fivefold.lifecycle.report import RetrainDecision, WindowReport, retrain_due, window_reports
from fivefold.tracking import client

if TYPE_CHECKING:
    import pandas as pd

KNOWN = ("id", "at", "model", "probability", "threshold", "control")
COLUMNS = (*KNOWN, "inputs", "warnings", "latency_ms")
Windows = list[tuple[str, str]]  # [start, end) in ISO 8601, oldest first


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


def plan(problem: str, days: float, last: int, now: str) -> tuple[str, str, Windows]:
    """Return (problem, the present in ISO 8601, the newest `last` windows; all for 0).

    Raises
    ------
    Refused
        For wrong options, wrong settings of the alerts, or a journal without predictions.
    """
    alerts.channels(os.environ)  # wrong settings are reported before any work
    engine, time = database.open_journal(journal_url()), present(now)
    if not days > 0 or last < 0:
        raise _refused(
            "monitor-days",
            f"--days {days:g} --last {last}",
            "days above 0, last 0 or more",
            "correct it",
        )
    name = problem or promotions.newest_problem(engine) or ""
    span = database.span(engine, name)
    if span is None:
        # There may be refusals and labels alone.
        database.purge(engine, name, _retention_days(engine, name, []), time)
        raise _refused(
            "journal-empty",
            f"no predictions{f' of {name!r}' if name else ''}",
            "predictions on record",
            "answer some with the API, the app or flows/score.py, then monitor",
        )
    known = window_reports(engine, name, 1)
    windows = window.cut_windows(span[0], days, time, known[0].start if known else None)
    chosen = windows[-last:] if last else windows
    horizon = _scope_of(engine, name, []).get("horizon_days")
    if horizon:  # so that every window is judged once its labels are final
        mature = [ends for ends in windows if ends[1] <= time - timedelta(days=horizon)]
        chosen = sorted({*mature[-last:], *chosen})
    return name, time.isoformat(), [(a.isoformat(), b.isoformat()) for a, b in chosen]


def present(now: str) -> datetime:
    """Return the option --now, or the time, as the journal's UTC without a zone.

    Raises `Refused` if it is no time.
    """
    try:
        time = datetime.fromisoformat(now) if now else utc_now()
    except ValueError:
        raise _refused("monitor-now", repr(now), "a time in ISO 8601", "correct --now") from None
    return utc(time)


def evaluate(name: str, windows: Windows, time: str) -> tuple[list[WindowReport], RetrainDecision]:
    """Return (a report of each window, whether to retrain); the journal keeps the reports."""
    engine, now = database.open_journal(journal_url()), datetime.fromisoformat(time)
    labels.match_unknown(engine, name, now)
    reference_for = cache(partial(_reference, engine, name))
    reports: list[WindowReport] = []
    past = _past(engine, name, windows, now)
    stored = window_reports(engine, name)
    longest = max(_length(ends) for ends in windows)
    for ends in windows:
        since, until = map(datetime.fromisoformat, ends)
        frame = _known_at(
            database.read_predictions(engine, name, since, until, columns=COLUMNS), now
        )
        earlier = reports or [r for r in stored if r.end <= since]
        rejects = database.count_rejects(engine, name, since, until)
        now_past = replace(
            past,
            silent=bool(earlier) and not earlier[-1].rows,
            answered=_answered(engine, name, since, until, [*stored, *reports]),
            running=until == now and until - since < longest,
        )
        report = window.evaluate_window(
            WindowReport(start=since, end=until, rejects=rejects),
            frame,
            served=promotions.champion(engine, name, until),
            past=now_past,
            now=now,
            reference_for=reference_for,
        )
        journal_reports.keep(engine, name, report.to_dict(), now)
        reports.append(report)
        verdict = "bad: " + "; ".join(report.reasons) if report.bad else "not bad"
        days = f"{since:%Y-%m-%d} to {until:%Y-%m-%d}"
        print(f"{days}: {report.rows:,} rows, {report.rejects:,} refused, {verdict}", flush=True)
    return reports, decide(engine, name, now)


def _length(ends: tuple[str, str]) -> timedelta:
    return datetime.fromisoformat(ends[1]) - datetime.fromisoformat(ends[0])


def _reference(engine: Engine, name: str, model: str) -> window.Reference:
    """Return what windows of a model are compared with."""
    for row in promotions.history(engine, name):
        if row.model == model and row.action == promotions.PROMOTED and row.numbers.get("strata"):
            since = row.at - timedelta(days=window.FOLLOW_DAYS)
            columns = ("id", "at", "inputs")
            recent = database.read_predictions(engine, name, since, row.at, columns=columns)
            return window.reference_of(model, row, recent)
    return window.reference_of(model)


def _answered(
    engine: Engine, name: str, since: datetime, until: datetime, reports: Sequence[WindowReport]
) -> WindowReport | None:
    """Return the report that was there when the drift of a window was answered; None if it wasn't.

    A later one of the reports counts instead of an earlier one of the same window.
    """
    answers = (promotions.KEPT, promotions.DECLINED, promotions.ACKNOWLEDGED)
    for row in promotions.history(engine, name):
        if row.at <= until and row.action in answers:
            by_start = {r.start: r for r in reports if r.start < row.at and r.start <= since}
            return by_start[max(by_start)] if by_start else None
    return None


def _past(engine: Engine, name: str, windows: Windows, now: datetime) -> window.Past:
    """Return what was known before these windows."""
    first, last = windows[0][0], windows[-1][1]
    since = datetime.fromisoformat(first) - timedelta(days=window.CONTROL_DAYS)
    until = datetime.fromisoformat(last)
    predictions = database.read_predictions(engine, name, since, until, columns=KNOWN)
    return window.Past(
        predictions=_known_at(predictions, now),
        only_events=labels.only_events(engine, name, now),
    )


def _known_at(frame: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Return predictions without the labels that were not known at a past `now`."""
    later = frame["labelled_at"] > now
    return frame.assign(label=frame["label"].mask(later), acted=frame["acted"] & ~later)


def decide(engine: Engine, name: str, now: datetime) -> RetrainDecision:
    """Return whether the reports of the journal ask for a new model."""
    reports = [report for report in window_reports(engine, name) if report.end <= now]
    served = promotions.champion(engine, name, now)
    model = served.model if served else None
    return retrain_due(reports, now, last_challenge(engine, name, now), model)


def timeline(engine: Engine, problem: str) -> list[Event]:
    """Return all events of a problem, oldest first."""
    events = []
    for row in promotions.history(engine, problem):
        text = f"{row.model} at threshold {row.threshold:.3g}, by {row.who}: {row.why}"
        events.append(Event(row.at, row.action, text))
    sent = reversed(journal_alerts.alerts(engine, problem, 1000))
    for at, group in groupby(sent, key=lambda alert: alert.at):  # sent together
        together = list(group)
        names = [alert.key.replace("/", " [", 1) + "]" for alert in together]
        channels = ", ".join(together[0].channels_reached) or "nobody"
        events.append(Event(at, "alert", f"{', '.join(names)} (sent: {channels})"))
    for report in window_reports(engine, problem):
        what = "bad window" if report.bad else "window"
        events.append(Event(report.end, what, report.summary()))
    return sorted(events, key=lambda event: event.minute)


def events_until(name: str, time: str) -> list[Event]:
    """Return what happened until now, oldest first."""
    engine, now = database.open_journal(journal_url()), datetime.fromisoformat(time)
    return [event for event in timeline(engine, name) if event.at <= now]


def from_artifact(reports: Sequence[Mapping[str, Any]]) -> list[WindowReport]:
    """Return the reports of the flow's artifact."""
    return [WindowReport.from_dict(report) for report in reports]


def last_challenge(engine: Engine, name: str, now: datetime) -> datetime | None:
    """Return when a challenger was last compared, or the champion replaced by another model.

    The first promotion does not count.
    """
    no_challenge = (promotions.THRESHOLD, promotions.ROLLED_BACK, promotions.ACKNOWLEDGED)
    for promotion in promotions.history(engine, name):
        if promotion.at <= now and promotion.action not in no_challenge and promotion.replaces != 0:
            return promotion.at
    return None


def act(
    name: str,
    reports: Sequence[WindowReport],
    time: str,
    cooldown_hours: float,
    simulated: bool,
) -> tuple[list[journal_alerts.Alert], dict[str, int]]:
    """Send the findings of the newest window, and purge what the scope no longer keeps.

    Returns
    -------
    (alerts sent, {table: rows removed})
    """
    engine, now = database.open_journal(journal_url()), datetime.fromisoformat(time)
    findings = reports[-1].findings if reports else []
    sent = alerts.send(
        engine,
        name,
        findings,
        alerts.channels(os.environ),
        cooldown_hours=cooldown_hours,
        now=now if simulated else None,
    )
    return sent, database.purge(engine, name, _retention_days(engine, name, reports), now)


def closing_words(
    name: str,
    reports: Sequence[WindowReport],
    decision: Mapping[str, Any],
    alerts_sent: int,
) -> str:
    """Return what a person reads at the end of the run."""
    due = decision["retrain"]
    newest = warnings(reports[-1].findings) if reports else []
    lines = [
        f"Problem {name}: {len(reports)} windows evaluated; {len(newest)} warnings in the newest"
    ]
    lines += [f"  {f.code} [{f.subject}]: {f.found}" for f in newest[:12]]
    lines.append(f"Alerts sent: {alerts_sent}")
    lines.append(f"Retrain: {'yes' if due else 'no'} ({decision['why']})")
    if due:
        lines.append("Next: python flows/retrain.py run")
    return "\n".join(lines)


def _retention_days(engine: Engine, name: str, reports: Sequence[WindowReport]) -> float | None:
    """Return the retention in the scope of the model that answered last, or that is served.

    So the journal is purged even if nothing came for weeks.
    """
    days: float | None = _scope_of(engine, name, reports).get("retention_days")
    return days


def _scope_of(engine: Engine, name: str, reports: Sequence[WindowReport]) -> dict[str, Any]:
    """Return the scope of the model that answered last, or that is served; {} without one."""
    champion = promotions.champion(engine, name)
    models = [report.model for report in reversed(reports)]
    models.append(champion.model if champion else None)
    for model in models:
        if model:
            with contextlib.suppress(Refused):  # the run was removed
                scope: dict[str, Any] = client.read(client.find_run(model), "problem") or {}
                return scope
    return {}


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return refusal("There is nothing to monitor", code, "monitor", found, expected, action)
