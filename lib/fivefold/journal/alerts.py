"""Alerts on record: what is told, what was told when and by which channels, and what may be told again.

A line is written before anything is sent: a claim, whose `sent` is still empty. Whoever holds the claim sends, then
stores what became of it. Claims are made in one transaction that no other process can be in, so that of two that
alert at once only one sends. A key may be told again when

- nobody was told within the cooldown: a line that reached nobody (`reached`) starts none, so that the next run retries;
- a claim is older than `CLAIM_MINUTES`: its process has died. It may have sent; told twice is better than never.

A line counts for as long before its time as after it: one that a wrong clock has dated years ahead silences nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from fivefold.core.findings import ERROR, Finding
from fivefold.journal.database import as_json, writing
from fivefold.journal.tables import ALERTS

RUNBOOK = "docs/runbook.md"
SENT = "sent"  # of one channel: "sent", "sent; REMARK" or "failed: REASON"
CLAIM_MINUTES = 10.0  # far longer than any sending takes (fivefold.lifecycle.alerts.DEADLINE)
_LOCK = 705_556  # PostgreSQL advisory lock of claims; any fixed number besides that of fivefold.journal.database


def line(text: str, most: int = 500) -> str:
    """`text` as one printable line of at most `most` characters: fit for the journal, a header and a person.

    >>> line("age\\r\\nBcc: all@example.com")
    'age Bcc: all@example.com'
    """
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:most]


def key_of(finding: Finding) -> str:
    """What is told once per cooldown, "code/subject"; shortened, where it must be, so that no two become one."""
    whole = f"{finding.code}/{finding.subject}"
    shown = line(whole, 280)
    return (
        whole
        if shown == whole
        else (f"{shown} {hashlib.sha256(whole.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}")
    )


def compose(problem: str, findings: Iterable[Finding], now: datetime) -> dict[str, Any]:
    """What a channel gets: {problem, at (ISO, UTC), summary (one line), text, findings (dicts, with runbook)}."""
    told = [
        {**{name: line(value) for name, value in f.to_dict().items()}, "runbook": runbook(f.code)}
        for f in findings
    ]
    bad = sum(f["severity"] == ERROR for f in told)
    counts = [
        f"{n} {word}{'s' if n != 1 else ''}"
        for n, word in ((bad, "error"), (len(told) - bad, "warning"))
        if n
    ]
    text = [summary := f"Fivefold, {line(problem, 120)}: {', '.join(counts)}"]
    for number, f in enumerate(told, 1):
        parts = (
            ("found", f["found"]),
            ("expected", f["expected"]),
            ("to do", f["action"]),
            ("runbook", f["runbook"]),
        )
        text += [
            "",
            f"{number}. {f['severity']}: {f['code']} [{f['subject']}]",
            *(f"   {name}: {value}" for name, value in parts if value),
        ]
    return {
        "problem": line(problem, 200),
        "at": now.isoformat(timespec="seconds"),
        "summary": summary,
        "text": "\n".join(text),
        "findings": told,
    }


def runbook(code: str) -> str:
    """The address of a code's section in the runbook."""
    return f"{line(os.environ.get('FIVEFOLD_RUNBOOK', ''), 200) or RUNBOOK}#{code}"[:300]


def due(
    engine: sa.Engine, problem: str, keys: Iterable[str], cooldown_hours: float, now: datetime
) -> set[str]:
    """The keys (of `key_of`) that may be told now. Only a look: `claim` keeps another process from telling them too."""
    with engine.connect() as connection:
        return _due(connection, problem, keys, cooldown_hours, now)


def claim(
    engine: sa.Engine,
    problem: str,
    lines: Mapping[str, tuple[str, str]],
    cooldown_hours: float,
    now: datetime,
) -> dict[str, int]:
    """Of the lines {key: (message, runbook)} claim those that are due: {key: seq} in the order given.

    The caller must send them and then call `settle`.
    """
    if not lines:
        return {}
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        free = _due(connection, problem, lines, cooldown_hours, now)
        return {
            key: _append(connection, problem, key, message, runbook, {}, now)
            for key, (message, runbook) in lines.items()
            if key in free
        }


def settle(engine: sa.Engine, seqs: Iterable[int], sent: Mapping[str, str]) -> None:
    """Store what became of claims: `sent` is {channel: "sent", "sent; REMARK" or "failed: REASON"}."""
    lines = [{"of": seq} for seq in seqs]
    if lines:
        with writing(engine) as connection:
            connection.execute(
                sa.update(ALERTS)
                .where(ALERTS.c.seq == sa.bindparam("of"))
                .values(sent=as_json(dict(sent))),
                lines,
            )


def record(
    engine: sa.Engine,
    problem: str,
    key: str,
    message: str,
    runbook: str,
    sent: Mapping[str, str],
    now: datetime,
) -> int:
    """Append a line of something already told, with no claim before it; its seq. It starts a cooldown as others do."""
    with writing(engine) as connection:
        return _append(connection, problem, key, message, runbook, sent, now)


def alerts(engine: sa.Engine, problem: str, limit: int = 200) -> list[dict[str, Any]]:
    """The newest `limit` lines, newest first: dicts of the table's columns, `sent` read from JSON ({}: a claim)."""
    with engine.connect() as connection:
        lines = (
            connection.execute(
                sa.select(ALERTS)
                .where(ALERTS.c.problem == problem)
                .order_by(ALERTS.c.seq.desc())
                .limit(limit)
            )
            .mappings()
            .all()
        )
    return [{**told, "sent": json.loads(told["sent"])} for told in lines]


def reached(sent: Mapping[str, str]) -> bool:
    """Whether anybody was told. The log, which always works, counts only where it is the only channel.

    >>> reached({"log": "sent"}), reached({"log": "sent", "email": "failed: refused"}), reached({})
    (True, False, False)
    """
    outside = {channel: result for channel, result in sent.items() if channel != "log"} or sent
    return any(result.partition(";")[0] == SENT for result in outside.values())


def _due(
    connection: sa.Connection,
    problem: str,
    keys: Iterable[str],
    cooldown_hours: float,
    now: datetime,
) -> set[str]:
    wanted, held = list(dict.fromkeys(keys)), set()
    cooldown, lease = timedelta(hours=cooldown_hours), timedelta(minutes=CLAIM_MINUTES)
    widest = max(cooldown, lease)
    for start in range(0, len(wanted), 500):  # SQLite takes a limited number of parameters
        rows = connection.execute(
            sa.select(ALERTS.c.key, ALERTS.c.at, ALERTS.c.sent).where(
                ALERTS.c.problem == problem,
                ALERTS.c.key.in_(wanted[start : start + 500]),
                ALERTS.c.at > now - widest,
                ALERTS.c.at < now + widest,
            )
        ).all()
        for key, at, text in rows:
            sent = json.loads(text)
            if abs(now - at) < (cooldown if reached(sent) else timedelta(0) if sent else lease):
                held.add(key)
    return set(wanted) - held


def _append(
    connection: sa.Connection,
    problem: str,
    key: str,
    message: str,
    runbook: str,
    sent: Mapping[str, str],
    now: datetime,
) -> int:
    seq = connection.execute(
        sa.insert(ALERTS).values(
            at=now,
            problem=problem,
            key=key,
            message=message,
            runbook=runbook,
            sent=as_json(dict(sent)),
        )
    )
    return int((seq.inserted_primary_key or (0,))[0])
