"""Alerts: findings that a person should hear of, told once per run and cooldown by every channel that is set up.

Environment variables (a channel without its variable is off; the log is always on):

FIVEFOLD_ALERT_FILE        a file to which each alert is appended as one line of JSON
FIVEFOLD_ALERT_WEBHOOK     an http(s) address that gets {"problem", "text", "findings"} as JSON by POST
FIVEFOLD_ALERT_SMTP        smtp://[USER:PASSWORD@]HOST:PORT or smtps://..., with FIVEFOLD_ALERT_EMAIL_FROM (one address)
                           and FIVEFOLD_ALERT_EMAIL_TO (one or more, with commas between them)
FIVEFOLD_RUNBOOK           where the runbook is read, in place of docs/runbook.md

A channel that fails stops nothing: its reason is logged and kept in the journal, without passwords and without the
path of the webhook's address, which is a secret in most services.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import logging
import os
import re
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from fivefold.core.clock import utc_now
from fivefold.core.findings import ERROR, Finding, errors, refuse_errors, warnings
from fivefold.journal.alerts import SENT, claim, compose, key_of, line, reached, runbook, settle

log = logging.getLogger("fivefold")
Channel = Callable[
    [dict[str, Any]], str | None
]  # takes a `compose`d message; returns a remark; raises where it fails
TIMEOUT = 5.0  # seconds for each answer of a receiver
DEADLINE = 20.0  # seconds for all channels, which run at once: names that do not resolve, slow conversations
_HIDDEN = "another address (not shown: it may hold a secret)"
_ADDRESS = r"[^\s\x00-\x1f\x7f@,;:<>()\[\]\"\\]+@[^\s\x00-\x1f\x7f@,;:<>()\[\]\"\\]+"


class NotSent(RuntimeError):
    """A channel has failed; the text says why."""


def send(
    engine: Any,
    problem: str,
    findings: Iterable[Finding],
    channels: Mapping[str, Channel],
    *,
    cooldown_hours: float = 24.0,
    now: datetime | None = None,
) -> list[dict[str, Any]]:
    """Tell the warnings and errors that were not told within the cooldown, in one message by each channel.

    Returns the lines that this added to the table `alerts` (`sent` as a dict); [] where nothing was due.
    Raises no error of a channel, but the database's own where the journal takes no claims: then nothing was sent.
    """
    now, findings = now or utc_now(), tuple(findings)
    worth: dict[str, Finding] = {}
    for finding in (*errors(findings), *warnings(findings)):
        worth.setdefault(key_of(finding), finding)
    lines = {key: (line(f.message, 2000), runbook(f.code)) for key, f in worth.items()}
    claimed = claim(engine, problem, lines, cooldown_hours, now) if channels else {}
    if not claimed:
        return []
    sent = _deliver(channels, compose(problem, [worth[key] for key in claimed], now))
    for channel, result in sent.items():
        if result != SENT:
            log.warning("alert by %s: %s", channel, result)
    if not reached(sent):
        log.error("the alert reached nobody; the next run tries again")
    try:
        settle(engine, claimed.values(), sent)
    except Exception as broken:  # what was sent cannot be taken back; the claims lapse
        log.warning("the journal did not take what became of the alert: %s", line(_reason(broken)))
    return [
        {
            "seq": seq,
            "at": now,
            "problem": problem,
            "key": key,
            "message": lines[key][0],
            "runbook": lines[key][1],
            "sent": dict(sent),
        }
        for key, seq in claimed.items()
    ]


def channels(environ: Mapping[str, str]) -> dict[str, Channel]:
    """The channels that the environment asks for, by name. Raises `Refused` naming every wrong setting at once."""
    wrong: list[Finding] = []
    asked = {name: read(environ, wrong) for name, read in _READERS.items()}
    refuse_errors("The alerts cannot be set up", wrong)
    return {name: channel for name, channel in asked.items() if channel}


# One reader per channel: (environment, list for what is wrong) -> the channel; None where it is off.
def _log(environ: Mapping[str, str], wrong: list[Finding]) -> Channel | None:
    # log.error or log.warning, as the first finding says: errors come first
    return lambda message: getattr(log, message["findings"][0]["severity"])("%s", message["text"])


def _file(environ: Mapping[str, str], wrong: list[Finding]) -> Channel | None:
    if not (name := environ.get("FIVEFOLD_ALERT_FILE", "").strip()):
        return None
    path = Path(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        _refuse(wrong, "FIVEFOLD_ALERT_FILE", name, "a file in an existing folder, both writable")

    def append(message: dict[str, Any]) -> None:
        data = (json.dumps(message, ensure_ascii=False) + "\n").encode()
        with path.open("ab", buffering=0) as file:  # one write: lines of two processes do not mix
            if file.write(data) != len(data):
                raise NotSent("the disk took only a part of the line")

    return append


def _webhook(environ: Mapping[str, str], wrong: list[Finding]) -> Channel | None:
    if not (address := environ.get("FIVEFOLD_ALERT_WEBHOOK", "").strip()):
        return None
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        _refuse(
            wrong,
            "FIVEFOLD_ALERT_WEBHOOK",
            _HIDDEN,
            "http://... or https://..., without USER@, spaces and letters beyond a-z as %XX",
        )
        return None

    def post(message: dict[str, Any]) -> None:
        # & < > as Slack wants them: no name of a column can mention a channel or make a link
        body = {name: message[name] for name in ("problem", "findings")} | {
            "text": html.escape(message["text"], quote=False)
        }
        headers = {"Content-Type": "application/json", "User-Agent": "fivefold"}
        content = json.dumps(body).encode()
        request = urllib.request.Request(address, content, headers)  # noqa: S310
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            pass

    return _guarded(post, [address, parts.path.rstrip("/"), parts.query])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Never: elsewhere the alert would arrive without its text, or not over http at all."""


def _email(environ: Mapping[str, str], wrong: list[Finding]) -> Channel | None:
    names = ("FIVEFOLD_ALERT_SMTP", "FIVEFOLD_ALERT_EMAIL_FROM", "FIVEFOLD_ALERT_EMAIL_TO")
    server, sender, to = (environ.get(name, "").strip() for name in names)
    if not server and not sender and not to:
        return None
    parts, receivers = (
        _split(server),
        [address.strip() for address in to.split(",") if address.strip()],
    )
    if (
        parts is None
        or parts.scheme not in ("smtp", "smtps")
        or not parts.port
        or parts.path.strip("/")
        or parts.query
        or bool(parts.username) != bool(parts.password)
        or not unquote(server).isascii()
    ):
        _refuse(
            wrong,
            names[0],
            _HIDDEN if server else "nothing",
            "smtp://[USER:PASSWORD@]HOST:PORT or smtps://..., @ : / # in a password as %40 %3A %2F %23",
        )
    if not re.fullmatch(_ADDRESS, sender):
        _refuse(
            wrong,
            names[1],
            repr(sender) if sender else "nothing",
            "one plain address: name@example.com",
        )
    if not receivers or not all(re.fullmatch(_ADDRESS, address) for address in receivers):
        _refuse(
            wrong,
            names[2],
            repr(to) if to else "nothing",
            "plain addresses with commas between them",
        )
    if parts is None:
        return None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")

    def mail(message: dict[str, Any]) -> str | None:
        letter = EmailMessage()
        letter["From"], letter["To"], letter["Subject"] = (
            sender,
            ", ".join(receivers),
            line(message["summary"], 200),
        )
        letter["Date"], letter["Message-ID"] = (
            format_datetime(localtime()),
            make_msgid(domain=sender.partition("@")[2]),
        )
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message["text"] + "\n")
        with _connected(parts, user, password) as smtp:
            refused = smtp.send_message(letter, sender, receivers)
        return _reason(smtplib.SMTPRecipientsRefused(refused)) if refused else None

    return _guarded(
        mail,
        [
            password,
            *(
                base64.b64encode(text.encode()).decode().rstrip("=")
                for text in (password, f"\0{user}\0{password}")
                if password
            ),
        ],
    )


@contextlib.contextmanager
def _connected(parts: SplitResult, user: str, password: str) -> Iterator[smtplib.SMTP]:
    """A mail server, logged in where there is a user. A password never crosses a network in clear."""
    host, port, tls = parts.hostname or "", parts.port or 0, ssl.create_default_context()
    with contextlib.closing(
        smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=tls)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, port, timeout=TIMEOUT)
    ) as smtp:
        smtp.ehlo_or_helo_if_needed()
        if user and parts.scheme == "smtp":
            if smtp.has_extn("starttls"):
                smtp.starttls(context=tls)
            elif host not in ("localhost", "127.0.0.1", "::1"):
                raise NotSent(
                    "the server offers no STARTTLS, so the password was not sent; use smtps://"
                )
        if user:
            smtp.login(user, password)
        yield smtp
        with contextlib.suppress(OSError):  # the mail is accepted, whatever comes now
            smtp.quit()


_READERS = {"log": _log, "file": _file, "webhook": _webhook, "email": _email}


def _deliver(channels: Mapping[str, Channel], message: dict[str, Any]) -> dict[str, str]:
    """{channel: "sent", "sent; REMARK" or "failed: REASON"} of all channels, at once, within `DEADLINE` seconds."""
    told: dict[str, str] = {}

    def tell(name: str, channel: Channel) -> None:
        try:
            remark = channel(message)
            told[name] = f"{SENT}; {line(remark)}" if remark else SENT
        except Exception as broken:
            told[name] = f"failed: {line(_reason(broken))}"

    threads = [threading.Thread(target=tell, args=item, daemon=True) for item in channels.items()]
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {name: told.get(name, f"failed: no end within {DEADLINE:g} s") for name in channels}


def _guarded(channel: Channel, secrets: Iterable[str]) -> Channel:
    """The channel with `secrets` hidden in whatever it says."""
    pattern = (
        "|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True) if secret)
        or r"(?!)"
    )

    def guarded(message: dict[str, Any]) -> str | None:
        try:
            return re.sub(pattern, "***", channel(message) or "") or None
        except Exception as broken:
            raise NotSent(re.sub(pattern, "***", _reason(broken))) from None

    return guarded


def _reason(broken: BaseException) -> str:
    """Why a channel has failed; of any length, so that secrets in it are found."""
    if isinstance(broken, smtplib.SMTPRecipientsRefused):
        return "; ".join(
            f"{who} refused: {code} {why.decode('utf-8', 'replace')}"
            for who, (code, why) in broken.recipients.items()
        )
    if isinstance(broken, smtplib.SMTPResponseException):
        said = broken.smtp_error
        return f"{broken.smtp_code} {said.decode('utf-8', 'replace') if isinstance(said, bytes) else said}"
    if isinstance(broken, urllib.error.URLError):
        broken = broken.reason if isinstance(broken.reason, BaseException) else broken
    return getattr(broken, "strerror", None) or str(broken) or type(broken).__name__


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        return (
            parts
            if parts.hostname and parts.port != 0 and re.fullmatch(r"[\x21-\x7e]+", address)
            else None
        )
    return None


def _refuse(wrong: list[Finding], variable: str, found: str, expected: str) -> None:
    wrong.append(
        Finding(
            code=variable.removeprefix("FIVEFOLD_").lower().replace("_", "-"),
            severity=ERROR,
            subject=variable,
            found=line(found, 200),
            expected=expected,
            action=f"correct {variable}, or unset it",
        )
    )
