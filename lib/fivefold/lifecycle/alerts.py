"""Alerts: which findings are sent and when; once per run and cooldown, by every channel.

A channel that fails stops nothing: its reason is logged and kept in the journal, without passwords
and without the path of the webhook's address, which is a secret in most services.
`fivefold.lifecycle.alert_message` lists the channels and their settings.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from fivefold.core.clock import utc_now
from fivefold.core.findings import Finding, errors, refuse_errors, warnings
from fivefold.core.text import one_line
from fivefold.journal.alerts import SENT, Alert, claim, key_of, reached, store_results
from fivefold.journal.database import Engine
from fivefold.lifecycle.alert_message import (
    READERS,
    AlertMessage,
    AlertSettings,
    Channel,
    compose,
    reason,
    runbook,
)

log = logging.getLogger("fivefold")
DEADLINE = 20.0  # seconds for all channels, which run in parallel


def channels(environ: Mapping[str, str]) -> dict[str, Channel]:
    """Return the channels that the environment asks for, by name.

    Raises `Refused`, naming every wrong setting at once.
    """
    settings = AlertSettings(environ)
    channels_by_name = {name: read(settings) for name, read in READERS.items()}
    refuse_errors("The alerts cannot be set up", settings.problems)
    return {name: channel for name, channel in channels_by_name.items() if channel}


def send(
    engine: Engine,
    problem: str,
    findings: Sequence[Finding],
    channels: Mapping[str, Channel],
    *,
    cooldown_hours: float = 24.0,
    now: datetime | None = None,
) -> list[Alert]:
    """Send the warnings and errors that were not sent within the cooldown, in one message.

    An error of a channel is not raised. An error of the database is raised if the journal takes no
    claims: then nothing was sent.

    Returns
    -------
    The rows that this added to the table `alerts`; [] if nothing was due.
    """
    now = now or utc_now()
    by_key: dict[str, Finding] = {}
    for finding in (*errors(findings), *warnings(findings)):
        by_key.setdefault(key_of(finding), finding)
    messages = {key: (one_line(f.message, 2000), runbook(f.code)) for key, f in by_key.items()}
    claimed = claim(engine, problem, messages, cooldown_hours, now) if channels else {}
    if not claimed:
        return []
    sent = _deliver(channels, compose(problem, [by_key[key] for key in claimed], now))
    for channel, result in sent.items():
        if result != SENT:
            log.warning("alert by %s: %s", channel, result)
    if not reached(sent):
        log.error("the alert reached nobody; the next run tries again")
    try:
        store_results(engine, claimed.values(), sent)
    except Exception as error:  # what was sent cannot be taken back; the claims expire
        log.warning(
            "the journal did not store the results of the alert: %s", one_line(reason(error))
        )
    return [Alert(seq, now, problem, key, *messages[key], sent) for key, seq in claimed.items()]


def _deliver(channels: Mapping[str, Channel], message: AlertMessage) -> dict[str, str]:
    """Send by all channels in parallel, within `DEADLINE` seconds, and return {channel: result}."""
    results: dict[str, str] = {}

    def deliver(name: str, channel: Channel) -> None:
        try:
            remark = channel(message)
            results[name] = f"{SENT}; {one_line(remark)}" if remark else SENT
        except Exception as error:
            results[name] = f"failed: {one_line(reason(error))}"

    threads = [threading.Thread(target=deliver, args=c, daemon=True) for c in channels.items()]
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    late = f"failed: no end within {DEADLINE:g} s"
    return {name: results.get(name, late) for name in channels}
