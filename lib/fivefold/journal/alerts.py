"""Alerts on record: what was sent, when, by which channels, and what may be sent again.

A row is written before anything is sent: a claim, whose `sent` is still empty. Whoever holds the
claim sends, then stores the results. Claims are made in one transaction that excludes all other
processes: of two that send alerts at once, only one sends. A key may be sent again if

- nobody was reached within the cooldown: a row that reached nobody starts none, so that the next
  run tries again;
- a claim is older than `CLAIM_MINUTES`: its process has died. It may have sent; twice is better
  than never.

A row counts for as long before its time as after it: a row that a wrong clock has dated years ahead
silences nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from fivefold.core.findings import Finding
from fivefold.core.stored import Stored
from fivefold.core.text import one_line
from fivefold.journal.database import fetch, insert, writing
from fivefold.journal.tables import ALERTS

SENT = "sent"  # result of a channel: "sent", "sent; REMARK" or "failed: REASON"
CLAIM_MINUTES = 10.0  # far longer than sending takes (fivefold.lifecycle.alerts.DEADLINE)
_LOCK = 705_556  # PostgreSQL advisory lock of claims; any number but that of the migrations


@dataclass(frozen=True)
class Alert(Stored):
    """A row of the table `alerts`; `sent` is {channel: result}, empty for a claim."""

    seq: int
    at: datetime
    problem: str
    key: str
    message: str
    runbook: str
    sent: Mapping[str, str]

    @property
    def channels_reached(self) -> list[str]:
        """The channels that took the alert."""
        return [channel for channel, result in self.sent.items() if _took_it(result)]


def key_of(finding: Finding) -> str:
    """Return what is sent once per cooldown, "code/subject".

    A key that is too long or not printable is shortened, so that no two become one.
    """
    whole = f"{finding.code}/{finding.subject}"
    shown = one_line(whole, 280)
    if shown == whole:
        return whole
    digest = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{shown} {digest[:12]}"


def claim(
    engine: sa.Engine,
    problem: str,
    messages: Mapping[str, tuple[str, str]],
    cooldown_hours: float,
    now: datetime,
) -> dict[str, int]:
    """Claim those of the messages {key: (message, runbook)} that are due.

    The caller must send them and then call `store_results`.

    Returns
    -------
    {key: seq} in the order given.
    """
    if not messages:
        return {}
    claimed = {}
    with writing(engine, _LOCK) as connection:
        held = _held_keys(connection, problem, cooldown_hours, now)
        for key, (message, runbook) in messages.items():
            if key in held:
                continue
            row = {"key": key, "message": message, "runbook": runbook, "sent": {}}
            claimed[key] = insert(connection, ALERTS, at=now, problem=problem, **row)
    return claimed


def store_results(engine: sa.Engine, seqs: Iterable[int], sent: Mapping[str, str]) -> None:
    """Store {channel: result} in the rows of claims."""
    update = sa.update(ALERTS).where(ALERTS.c.seq.in_(list(seqs)))
    with writing(engine) as connection:
        connection.execute(update.values(sent=dict(sent)))


def alerts(engine: sa.Engine, problem: str, limit: int = 200) -> list[Alert]:
    """Return the newest alerts of a problem, newest first."""
    query = sa.select(ALERTS).where(ALERTS.c.problem == problem)
    query = query.order_by(ALERTS.c.seq.desc()).limit(limit)
    return [Alert(**row._asdict()) for row in fetch(engine, query)]


def reached(sent: Mapping[str, str]) -> bool:
    """Return whether anybody was reached by {channel: result}.

    The log, which always works, counts only if it is the only channel.

    >>> reached({"log": "sent"}), reached({"log": "sent", "email": "failed: refused"}), reached({})
    (True, False, False)
    """
    outside = {channel: result for channel, result in sent.items() if channel != "log"}
    return any(_took_it(result) for result in (outside or sent).values())


def _took_it(result: str) -> bool:
    return result.partition(";")[0] == SENT


def _held_keys(
    connection: sa.Connection, problem: str, cooldown_hours: float, now: datetime
) -> set[str]:
    """Return the keys that must not be sent now."""
    held = set()
    cooldown, lease = timedelta(hours=cooldown_hours), timedelta(minutes=CLAIM_MINUTES)
    widest = max(cooldown, lease)
    query = sa.select(ALERTS.c.key, ALERTS.c.at, ALERTS.c.sent).where(
        ALERTS.c.problem == problem,
        ALERTS.c.at > now - widest,
        ALERTS.c.at < now + widest,
    )
    for key, at, sent in connection.execute(query):
        wait = lease
        if sent:
            wait = cooldown if reached(sent) else timedelta(0)
        if abs(now - at) < wait:
            held.add(key)
    return held
