"""Monitor stages: the body of each step of `flows/monitor.py`."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fivefold.core.clock import utc_now
from fivefold.core.findings import ERROR, WARNING, Finding, Refused, from_dicts
from fivefold.core.settings import journal_url
from fivefold.journal import alerts as journal_alerts
from fivefold.journal import database, labels, promotions
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle import alerts, retrain_rule, window


def plan(problem: str, days: float, last: int, now: str) -> tuple[str, str, list[tuple[str, str]]]:
    """(problem, the present in ISO, windows as ISO times, oldest first). Raises `Refused`."""
    alerts.channels(os.environ)  # wrong settings are told before any work
    engine, time = database.open_journal(journal_url()), present(now)
    if not days > 0 or last < 0:
        raise _refused(
            "monitor-days",
            f"--days {days:g} --last {last}",
            "days above 0, last 0 or more",
            "correct it",
        )
    name = problem or promotions.newest_problem(engine)
    span = database.span(engine, name) if name else None
    if name and span is None:  # refusals and labels alone
        database.purge(engine, name, _retention(engine, name, []), time)
    if not name or span is None:
        raise _refused(
            "journal-empty",
            f"no predictions{f' of {name!r}' if name else ''}",
            "predictions on record",
            "answer some with the API, the app or flows/score.py, then monitor",
        )
    held = journal_reports.reports(engine, name, 1)
    known = datetime.fromisoformat(held[0]["start"]) if held else None
    found = window.windows(span[0], days, time, known)
    return (
        name,
        time.isoformat(),
        [(a.isoformat(), b.isoformat()) for a, b in (found[-last:] if last else found)],
    )


def present(now: str) -> datetime:
    """The option --now, or the time, as the journal's UTC without a zone. Raises `Refused`."""
    try:
        time = datetime.fromisoformat(now) if now else utc_now()
    except ValueError:
        raise _refused("monitor-now", repr(now), "a time in ISO 8601", "correct --now") from None
    return time.astimezone(UTC).replace(tzinfo=None) if time.tzinfo else time


def judge(
    name: str, windows: list[tuple[str, str]], time: str
) -> tuple[list[dict], dict, list[dict], list[dict]]:
    """(reports, whether to retrain, findings of the newest window, `timeline`); the reports are kept in the journal."""
    engine, now = database.open_journal(journal_url()), datetime.fromisoformat(time)
    labels.settle(engine, name, now)
    reference = cache(window.reference_of)
    reports: list[dict[str, Any]] = []
    for start, end in windows:
        since, until = datetime.fromisoformat(start), datetime.fromisoformat(end)
        frame = database.read_predictions(
            engine,
            name,
            since,
            until,
            columns=(
                "id",
                "at",
                "model",
                "inputs",
                "probability",
                "threshold",
                "warnings",
                "latency_ms",
            ),
        )
        frame.loc[frame["labelled_at"] > now, "label"] = float(
            "nan"
        )  # for a past --now: not known then
        before = (
            reports or [r for r in journal_reports.reports(engine, name) if r["end"] <= start]
        )[-1:]
        silent = bool(before) and not before[0]["rows"]
        report = window.judge_window(
            frame,
            database.count_rejects(engine, name, since, until),
            since,
            until,
            now,
            reference,
            silent=silent,
            served=promotions.champion(engine, name, until),
        )
        journal_reports.keep(engine, name, report, now)
        reports.append(report)
        bad = "bad: " + "; ".join(report["reasons"]) if report["bad"] else "not bad"
        print(
            f"{start[:10]} to {end[:10]}: {report['rows']:,} rows, {report['rejects']:,} refused, {bad}",
            flush=True,
        )
    held = [r for r in journal_reports.reports(engine, name) if r["end"] <= time]
    decided = retrain_rule.due(held, now, last_challenge(engine, name, now))
    events = [e for e in timeline(engine, name) if e["at"] <= time]
    return reports, decided, reports[-1]["findings"] if reports else [], events


def timeline(engine: Any, name: str) -> list[dict[str, str]]:
    """[{at, what, told}] of promotions, alerts and judged windows, oldest first."""
    events = [
        {
            "at": row.at.isoformat(sep=" ", timespec="minutes"),
            "what": row.action,
            "told": f"{row.model} at threshold {row.threshold:.3g}, by {row.who}: {row.why}",
        }
        for row in promotions.history(engine, name)
    ]
    events += _alerts_told(journal_alerts.alerts(engine, name, 1000))
    events += [
        {
            "at": report["end"].replace("T", " ")[:16],
            "what": "bad window" if report["bad"] else "window",
            "told": window_told(report),
        }
        for report in journal_reports.reports(engine, name)
    ]
    return sorted(events, key=lambda event: event["at"])


def _alerts_told(lines: list[dict[str, Any]]) -> list[dict[str, str]]:
    """One event for what was sent at once."""
    at_once: dict[Any, list[dict[str, Any]]] = {}
    for line in reversed(lines):
        at_once.setdefault(line["at"], []).append(line)
    return [
        {
            "at": at.isoformat(sep=" ", timespec="minutes"),
            "what": "alert",
            "told": f"{', '.join(line['key'].replace('/', ' [', 1) + ']' for line in group)} (sent: "
            f"{', '.join(c for c, r in group[0]['sent'].items() if r.partition(';')[0] == 'sent') or 'nobody'})",
        }
        for at, group in at_once.items()
    ]


def window_told(report: dict[str, Any]) -> str:
    """A window in one line."""
    auc = {
        key: ((report[key] or {}).get("auc") or {}).get("value")
        for key in ("estimated", "realised")
    }
    told = {key: "not judged" if value is None else f"{value:.3f}" for key, value in auc.items()}
    drifted = [line["column"] for line in report["drift"] if line.get("drifted")]
    return (
        f"{report['rows']:,} rows, ROC AUC estimated {told['estimated']}, realised {told['realised']} "
        f"(labels for {report['coverage'] or 0:.0%}), drifted: {', '.join(drifted[:5]) or 'nothing'}"
    )


def act(
    name: str, reports: list[dict], told: list[dict], time: str, cooldown: float, simulated: bool
) -> tuple[list[dict], dict]:
    """(alerts sent, rows that retention removed)."""
    engine, now = database.open_journal(journal_url()), datetime.fromisoformat(time)
    findings = [f for f in from_dicts(told) if f.severity in (WARNING, ERROR)]
    sent = alerts.send(
        engine,
        name,
        findings,
        alerts.channels(os.environ),
        cooldown_hours=cooldown,
        now=now if simulated else None,
    )
    purged = database.purge(engine, name, _retention(engine, name, reports), now)
    return [{**line, "at": line["at"].isoformat()} for line in sent], purged


def _retention(engine: Any, name: str, reports: list[dict[str, Any]]) -> float | None:
    """The scope's days of the model that answered last, or is served: also where nothing came for weeks."""
    held = promotions.champion(engine, name)
    for model in (*(r["model"] for r in reversed(reports)), held.model if held else None):
        if model:
            with contextlib.suppress(Refused):  # the run was removed
                return window.scope_of(model).get("retention_days")
    return None


def last_challenge(engine: Any, name: str, now: datetime) -> datetime | None:
    """When a challenger was last judged or the champion replaced by a model; the first promotion does not count."""
    no_challenge = (promotions.THRESHOLD, promotions.ROLLED_BACK)
    for promotion in promotions.history(engine, name):
        if promotion.at <= now and promotion.action not in no_challenge and promotion.replaces != 0:
            return promotion.at
    return None


def closing_words(name: str, reports: list[dict], decided: dict, sent: list[dict]) -> str:
    """What a person reads at the end."""
    newest = reports[-1] if reports else {"findings": []}
    warned = [f for f in newest["findings"] if f["severity"] == WARNING]
    lines = [f"Problem {name}: {len(reports)} windows judged; in the newest {len(warned)} warnings"]
    lines += [f"  {f['code']} [{f['subject']}]: {f['found']}" for f in warned[:12]]
    lines.append(f"Alerts sent: {len(sent)}")
    lines.append(f"Retrain: {'yes' if decided['retrain'] else 'no'} ({decided['why']})")
    if decided["retrain"]:
        lines.append("Next: python flows/retrain.py run")
    return "\n".join(lines)


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return Refused(
        "There is nothing to monitor",
        [
            Finding(
                code=code,
                severity=ERROR,
                subject="monitor",
                found=found,
                expected=expected,
                action=action,
            )
        ],
    )
