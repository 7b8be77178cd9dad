"""Alert message: its text, and the channels that send it: log, file, webhook and mail.

Environment variables (a channel without its variable is off; the log is always on):

FIVEFOLD_ALERT_FILE        a file to which each alert is appended as one line of JSON
FIVEFOLD_ALERT_WEBHOOK     an http(s) address that gets {"problem", "text", "findings"} as
                           JSON by POST
FIVEFOLD_ALERT_SMTP        smtp://[USER:PASSWORD@]HOST:PORT or smtps://..., with
                           FIVEFOLD_ALERT_EMAIL_FROM (one address) and FIVEFOLD_ALERT_EMAIL_TO
                           (one or more, with commas between them)
FIVEFOLD_RUNBOOK           where the runbook is read, instead of docs/runbook.md
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
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email.message import EmailMessage
from email.utils import localtime, make_msgid
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from fivefold.core.findings import ERROR, Finding, problem
from fivefold.core.text import one_line, plural

log = logging.getLogger("fivefold")
RUNBOOK = "docs/runbook.md"
TIMEOUT = 5.0  # seconds for each answer of a receiver
HIDDEN = "another address (not shown: it may hold a secret)"
ADDRESS = r"[^\s\x00-\x1f\x7f@,;:<>()\[\]\"\\]+@[^\s\x00-\x1f\x7f@,;:<>()\[\]\"\\]+"


@dataclass(frozen=True)
class AlertMessage:
    """What a channel gets; `findings` are dicts of a finding and its section of the runbook."""

    problem: str
    at: str  # ISO 8601, UTC
    summary: str
    text: str
    findings: list[dict[str, str]]


Channel = Callable[[AlertMessage], str | None]  # returns a remark; raises if it fails


class NotSent(RuntimeError):
    """A channel has failed; the text says why."""


def compose(problem_name: str, findings: Sequence[Finding], now: datetime) -> AlertMessage:
    """Return the message about these findings of a problem."""
    severities = Counter(finding.severity for finding in findings)  # errors come first
    counts = [plural(count, severity) for severity, count in severities.items()]
    summary = f"Fivefold, {one_line(problem_name, 120)}: {', '.join(counts)}"
    lines, rows = [summary], []
    for number, finding in enumerate(findings, 1):
        row = {name: one_line(value) for name, value in finding.to_dict().items()}
        row["runbook"] = runbook(finding.code)
        rows.append(row)
        lines += ["", f"{number}. {row['severity']}: {row['code']} [{row['subject']}]"]
        for label, name in _LABELS.items():
            if row[name]:
                lines.append(f"   {label}: {row[name]}")
    at = now.isoformat(timespec="seconds")
    return AlertMessage(one_line(problem_name, 200), at, summary, "\n".join(lines), rows)


_LABELS = {"found": "found", "expected": "expected", "to do": "action", "runbook": "runbook"}


def runbook(code: str) -> str:
    """Return the address of a code's section in the runbook."""
    address = one_line(os.environ.get("FIVEFOLD_RUNBOOK", ""), 200) or RUNBOOK
    return f"{address}#{code}"[:300]


@dataclass(frozen=True)
class AlertSettings:
    """The environment, and the problems that the readers of the channels find in it."""

    environ: Mapping[str, str]
    problems: list[Finding] = field(default_factory=list)

    def text(self, variable: str) -> str:
        """Return a variable's value, "" if it is not set."""
        return self.environ.get(variable, "").strip()

    def refuse(self, variable: str, found: str, expected: str) -> None:
        """Add a problem of a variable."""
        code = variable.removeprefix("FIVEFOLD_").lower().replace("_", "-")
        found = one_line(found, 200) or "nothing"
        action = f"correct {variable}, or unset it"
        self.problems.append(problem(code, variable, found, expected, action))


# One reader per channel: it returns the channel; None if it is off.
def log_channel(settings: AlertSettings) -> Channel | None:
    """Return the channel that logs; always on."""

    def write(message: AlertMessage) -> None:
        # errors come first among the findings
        level = logging.ERROR if message.findings[0]["severity"] == ERROR else logging.WARNING
        log.log(level, "%s", message.text)

    return write


def file_channel(settings: AlertSettings) -> Channel | None:
    """Return the channel that appends to a file."""
    name = settings.text("FIVEFOLD_ALERT_FILE")
    if not name:
        return None
    path = Path(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        expected = "a file in an existing folder, both writable"
        settings.refuse("FIVEFOLD_ALERT_FILE", name, expected)

    def append(message: AlertMessage) -> None:
        data = (json.dumps(asdict(message), ensure_ascii=False) + "\n").encode()
        with path.open("ab", buffering=0) as file:  # one write: lines of two processes do not mix
            if file.write(data) != len(data):
                raise NotSent("the disk took only a part of the line")

    return append


def webhook_channel(settings: AlertSettings) -> Channel | None:
    """Return the channel that posts to a webhook."""
    address = settings.text("FIVEFOLD_ALERT_WEBHOOK")
    if not address:
        return None
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        expected = "http://... or https://..., without USER@, spaces and letters beyond a-z as %XX"
        settings.refuse("FIVEFOLD_ALERT_WEBHOOK", HIDDEN, expected)
        return None

    def post(message: AlertMessage) -> None:
        # & < > as Slack wants them: no name of a column can mention a channel or make a link
        text = html.escape(message.text, quote=False)
        body = {"problem": message.problem, "findings": message.findings, "text": text}
        headers = {"Content-Type": "application/json", "User-Agent": "fivefold"}
        content = json.dumps(body).encode()
        request = urllib.request.Request(address, content, headers)  # noqa: S310
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT):
            pass

    return _hiding_secrets(post, [address, parts.path.rstrip("/"), parts.query])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Never: elsewhere the alert would arrive without its text, or not over http at all."""


def mail_channel(settings: AlertSettings) -> Channel | None:
    """Return the channel that sends a mail."""
    names = ("FIVEFOLD_ALERT_SMTP", "FIVEFOLD_ALERT_EMAIL_FROM", "FIVEFOLD_ALERT_EMAIL_TO")
    server, sender, to = map(settings.text, names)
    if not server and not sender and not to:
        return None
    parts = _split(server)
    if not _is_mail_server(server, parts):
        expected = (
            "smtp://[USER:PASSWORD@]HOST:PORT or smtps://..., "
            "@ : / # in a password as %40 %3A %2F %23"
        )
        settings.refuse(names[0], server and HIDDEN, expected)
    if not re.fullmatch(ADDRESS, sender):
        expected = "one plain address: name@example.com"
        settings.refuse(names[1], sender and repr(sender), expected)
    receivers = [address.strip() for address in to.split(",") if address.strip()]
    if not receivers or not all(re.fullmatch(ADDRESS, address) for address in receivers):
        expected = "plain addresses with commas between them"
        settings.refuse(names[2], to and repr(to), expected)
    if parts is None:
        return None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")

    def mail(message: AlertMessage) -> str | None:
        letter = EmailMessage()
        letter["From"] = sender
        letter["To"] = ", ".join(receivers)
        letter["Subject"] = one_line(message.summary, 200)
        letter["Date"] = localtime()
        letter["Message-ID"] = make_msgid(domain=sender.partition("@")[2])
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(message.text + "\n")
        with _connected(parts, user, password) as smtp:
            refused = smtp.send_message(letter, sender, receivers)
        return reason(smtplib.SMTPRecipientsRefused(refused)) if refused else None

    plain = [password, f"\0{user}\0{password}"] if password else []
    encoded = [base64.b64encode(text.encode()).decode().rstrip("=") for text in plain]
    return _hiding_secrets(mail, [password, *encoded])


READERS = {
    "log": log_channel,
    "file": file_channel,
    "webhook": webhook_channel,
    "email": mail_channel,
}


def reason(error: BaseException) -> str:
    """Return the full reason why a channel failed; secrets in it are masked before it is cut."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        refusals = []
        for receiver, (code, why) in error.recipients.items():
            refusals.append(f"{receiver} refused: {code} {why.decode('utf-8', 'replace')}")
        return "; ".join(refusals)
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        return f"{error.smtp_code} {text}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        error = error.reason
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _is_mail_server(server: str, parts: SplitResult | None) -> bool:
    if parts is None or parts.scheme not in ("smtp", "smtps") or not parts.port:
        return False
    only_host = not parts.path.strip("/") and not parts.query
    both_or_none = bool(parts.username) == bool(parts.password)
    return only_host and both_or_none and unquote(server).isascii()


@contextlib.contextmanager
def _connected(parts: SplitResult, user: str, password: str) -> Iterator[smtplib.SMTP]:
    """Open a mail server and log in if there is a user. A password never travels in clear text."""
    host, port, tls = parts.hostname or "", parts.port or 0, ssl.create_default_context()
    server: smtplib.SMTP
    if parts.scheme == "smtps":
        server = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=tls)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    with contextlib.closing(server) as smtp:
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


def _hiding_secrets(channel: Channel, secrets: Iterable[str]) -> Channel:
    """Return the channel with `secrets` hidden in its remarks and errors."""
    longest_first = sorted((secret for secret in secrets if secret), key=len, reverse=True)
    pattern = "|".join(map(re.escape, longest_first)) or r"(?!)"

    def send(message: AlertMessage) -> str | None:
        try:
            return re.sub(pattern, "***", channel(message) or "") or None
        except Exception as error:
            raise NotSent(re.sub(pattern, "***", reason(error))) from None

    return send


def _split(address: str) -> SplitResult | None:
    """Return the parts of an address; None if it is none."""
    with contextlib.suppress(ValueError):
        parts = urlsplit(address)
        if parts.hostname and parts.port != 0 and re.fullmatch(r"[\x21-\x7e]+", address):
            return parts
    return None
