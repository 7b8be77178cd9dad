"""Alerts: each channel against a real receiver; sent once, never lost, no secrets or forgery."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import json
import logging
import os
import re
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from fivefold.core.findings import ERROR, NOT_APPLICABLE, PASSED, WARNING, Finding, Refused
from fivefold.journal import alerts as journal_alerts
from fivefold.journal import database
from fivefold.journal.tables import ALERTS
from fivefold.lifecycle import alert_message, alerts
from tests.support.databases import postgresql
from tests.support.running import ROOT
from tests.support.servers import answering, free_port, silent

NOW = datetime(2026, 11, 23, 10, 0)
AGE = Finding(
    code="input-drift",
    severity=WARNING,
    subject="age",
    found="PSI 0.31 < 0.4",
    expected="a PSI below 0.1",
    action="look at the column",
)
LATE = Finding(
    code="latency",
    severity=ERROR,
    subject="requests",
    found="median 900 ms",
    expected="at most 200 ms",
    action="give it room",
)
CODES = {
    "input-drift",
    "score-drift",
    "warnings-share",
    "rejects-share",
    "latency",
    "stale-model",
    "stale-data",
    "performance-estimated",
    "performance-realised",
    "calibration-realised",
    "no-traffic",
    "label-coverage",
    "model-unreadable",
}
MAIL = {
    "FIVEFOLD_ALERT_EMAIL_FROM": "fivefold@example.com",
    "FIVEFOLD_ALERT_EMAIL_TO": "ada@example.com, bob@example.com",
}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """No settings of the machine that runs the tests."""
    for name in [
        n for n in os.environ if n.startswith("FIVEFOLD_") or n.lower().endswith("_proxy")
    ]:
        monkeypatch.delenv(name)


@pytest.fixture
def hasty(monkeypatch):
    """Receivers that say nothing are given up soon."""
    monkeypatch.setattr(alert_message, "TIMEOUT", 0.4)


@pytest.fixture
def engine(tmp_path):
    opened = database.open_journal(f"sqlite:///{tmp_path / 'journal.db'}")
    yield opened
    opened.dispose()


def drifted(*names: str) -> list[Finding]:
    return [
        Finding(
            code="input-drift",
            severity=WARNING,
            subject=name,
            found="PSI 0.3",
            expected="a PSI below 0.1",
            action="look",
        )
        for name in names
    ]


def due(engine, problem: str, keys, cooldown_hours: float, now: datetime) -> set[str]:
    """The keys that may be sent now."""
    with engine.connect() as connection:
        held = journal_alerts._held_keys(connection, problem, cooldown_hours, now)
    return set(keys) - held


def record(engine, problem: str, key: str, message: str, runbook: str, sent: dict, now: datetime):
    """A row of something that was sent, without a claim before it."""
    row = {"key": key, "message": message, "runbook": runbook, "sent": sent}
    with database.writing(engine) as connection:
        connection.execute(sa.insert(ALERTS).values(at=now, problem=problem, **row))


def told(
    engine, environ: dict[str, str], findings=(AGE, LATE), now: datetime = NOW, **options: Any
) -> dict[str, str]:
    """The result of an alert by the channels of `environ`, in the answer and in the journal."""
    lines = alerts.send(engine, "churn", findings, alerts.channels(environ), now=now, **options)
    kept = {line.seq: line for line in journal_alerts.alerts(engine, "churn")}
    assert lines
    assert all(kept[line.seq] == line for line in lines)
    return lines[0].sent


# ---- receivers ----


@contextlib.contextmanager
def hook(
    status: int = 200, location: str = "", words: str | None = None
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(address, requests) of a receiver that reads a POST and answers `status`."""
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(
                {"path": self.path, "type": self.headers["Content-Type"], "body": json.loads(body)}
            )
            self.send_response(status, words)
            if location:
                self.send_header("Location", location)
            self.end_headers()

        def do_GET(self) -> None:
            got.append({"path": self.path})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}/services/T0/SECRETPATH", got


@contextlib.contextmanager
def serving(server: Any) -> Iterator[int]:
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def post_office(
    *,
    refuse: tuple[str, ...] = (),
    password: str = "",
    tls: ssl.SSLContext | None = None,
    starttls: bool = True,
    after_data: str = "",
    address: str = "127.0.0.1",
) -> Iterator[SimpleNamespace]:
    """A mail server: accepted `.mails`, commands `.said`, number of TLS handshakes `.secure`.

    `password` asks for a login; `tls` with `starttls` offers STARTTLS, alone it speaks TLS;
    `after_data` = "drop" hangs up once a mail is accepted, "hang" never says that it is.
    """
    kept = SimpleNamespace(mails=[], said=[], secure=0, port=0)

    class Handler(socketserver.BaseRequestHandler):
        def wrap(self) -> None:
            self.request = tls.wrap_socket(self.request, server_side=True)
            kept.secure += 1
            self.file = self.request.makefile("rwb")

        def say(self, text: str) -> None:
            self.file.write(text.encode() + b"\r\n")
            self.file.flush()

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.talk()

        def talk(self) -> None:
            self.file = self.request.makefile("rwb")
            if tls and not starttls:
                self.wrap()
            self.say("220 ready")
            to: list[str] = []
            while raw := self.file.readline():
                text = raw.decode().strip()
                kept.said.append(text)
                verb = text.upper()
                if verb.startswith("EHLO"):
                    offers = ["STARTTLS"] if tls and starttls and not kept.secure else []
                    offers += ["AUTH PLAIN"] if password else []
                    self.say("\r\n".join(["250-here", *(f"250-{o}" for o in offers), "250 HELP"]))
                elif verb == "STARTTLS":
                    self.say("220 go ahead")
                    self.wrap()
                elif verb.startswith("AUTH PLAIN"):
                    given = base64.b64decode(text.split()[2]).decode().split("\0")[2]
                    self.say("235 welcome" if given == password else f"535 wrong: {given} ({text})")
                elif verb.startswith("RCPT"):
                    who = re.findall(r"<(.*?)>", text)[0]
                    to += [who] if who not in refuse else []
                    self.say("250 ok" if who not in refuse else "550 no such user")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (part := self.file.readline()) not in (b".\r\n", b""):
                        lines.append(part.removeprefix(b"."))
                    if after_data == "hang":
                        time.sleep(3)
                    kept.mails.append((to, b"".join(lines)))
                    self.say("250 accepted")
                    if after_data == "drop":
                        return
                elif verb == "QUIT":
                    return self.say("221 bye")
                else:
                    self.say("250 ok")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    with serving(Server((address, 0), Handler)) as kept.port:
        yield kept


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1 and its key in one file."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl")
    path = tmp_path_factory.mktemp("certificate") / "both.pem"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=127.0.0.1",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            path,
            "-out",
            path.with_suffix(".crt"),
        ],
        check=True,
        capture_output=True,
    )
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


# ---- what is sent ----


def test_twenty_columns_are_one_message_with_the_worst_first(engine):
    got: list[dict[str, Any]] = []
    good = [
        Finding(code="latency", severity=PASSED, subject="x", found="1 ms"),
        Finding(code="label-coverage", severity=NOT_APPLICABLE, subject="x", found="no labels"),
    ]
    findings = [*drifted(*map(str, range(20))), *good, LATE, LATE]
    lines = alerts.send(engine, "churn", findings, {"list": got.append}, now=NOW)
    assert len(got) == 1
    assert got[0].summary == "Fivefold, churn: 1 error, 20 warnings"
    assert [f["subject"] for f in got[0].findings] == ["requests", *map(str, range(20))]
    assert len(lines) == 21
    assert lines[0].key == "latency/requests"
    assert lines[0].sent == {"list": "sent"}


def test_the_text_says_what_was_found_what_was_expected_and_what_to_do(monkeypatch):
    text = alert_message.compose("churn", [LATE], NOW).text
    assert text.splitlines() == [
        "Fivefold, churn: 1 error",
        "",
        "1. error: latency [requests]",
        "   found: median 900 ms",
        "   expected: at most 200 ms",
        "   to do: give it room",
        "   runbook: docs/runbook.md#latency",
    ]
    monkeypatch.setenv("FIVEFOLD_RUNBOOK", "https://wiki.example.com/runbook")
    (actual,) = alert_message.compose("churn", [LATE], NOW).findings
    assert actual["runbook"] == "https://wiki.example.com/runbook#latency"


def test_nothing_worth_telling_sends_and_records_nothing(engine):
    got: list[dict[str, Any]] = []
    assert (
        alerts.send(
            engine,
            "churn",
            [Finding(code="latency", severity=PASSED, subject="x", found="1 ms")],
            {"list": got.append},
            now=NOW,
        )
        == []
    )
    assert alerts.send(engine, "churn", [LATE], {}, now=NOW) == []
    assert not got
    assert not journal_alerts.alerts(engine, "churn")


# ---- the channels ----


@pytest.mark.parametrize(
    ("findings", "level"), [([AGE], logging.WARNING), ([AGE, LATE], logging.ERROR)]
)
def test_the_log_is_always_on(engine, caplog, findings, level):
    assert told(engine, {}, findings) == {"log": "sent"}
    assert [(r.name, r.levelno) for r in caplog.records] == [("fivefold", level)]
    assert "input-drift [age]" in caplog.text


def test_the_file_gets_one_line_of_json_for_each_alert(engine, tmp_path):
    path = tmp_path / "alerts.jsonl"
    for hours in (0, 25):
        assert (
            told(engine, {"FIVEFOLD_ALERT_FILE": str(path)}, now=NOW + timedelta(hours=hours))[
                "file"
            ]
            == "sent"
        )
    first, second = map(json.loads, path.read_text().splitlines())
    assert [first["at"], second["at"]] == ["2026-11-23T10:00:00", "2026-11-24T11:00:00"]
    assert [f["code"] for f in first["findings"]] == ["latency", "input-drift"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_a_failure_and_the_alert_is_sent_again(engine):
    assert (
        told(engine, {"FIVEFOLD_ALERT_FILE": "/dev/full"})["file"]
        == "failed: No space left on device"
    )
    assert told(engine, {"FIVEFOLD_ALERT_FILE": "/dev/full"})["file"].startswith("failed")


@pytest.mark.parametrize("status", [200, 204])
def test_the_webhook_gets_json_that_chats_understand(engine, status):
    with hook(status) as (url, got):
        assert told(engine, {"FIVEFOLD_ALERT_WEBHOOK": url}) == {"log": "sent", "webhook": "sent"}
    assert got[0]["type"] == "application/json"
    body = got[0]["body"]
    assert set(body) == {"problem", "text", "findings"}
    assert "PSI 0.31 &lt; 0.4" in body["text"]
    assert body["findings"][1]["found"] == "PSI 0.31 < 0.4"
    assert body["findings"][1]["runbook"] == "docs/runbook.md#input-drift"


def test_a_webhook_that_answers_500_has_failed(engine, caplog):
    with answering(500, 200) as (url, asked):
        assert told(engine, {"FIVEFOLD_ALERT_WEBHOOK": f"{url}/services/SECRETPATH"})[
            "webhook"
        ] == ("failed: HTTP Error 500: Internal Server Error")
    assert asked == ["/services/SECRETPATH"]
    assert "alert by webhook: failed: HTTP Error 500" in caplog.text
    assert "SECRETPATH" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(engine, status):
    with hook() as (elsewhere, got), hook(status, elsewhere) as (url, _):
        assert told(engine, {"FIVEFOLD_ALERT_WEBHOOK": url})["webhook"].startswith(
            f"failed: HTTP Error {status}"
        )
        assert not got
    with hook(status, "file:///etc/hostname") as (url, _):
        assert told(engine, {"FIVEFOLD_ALERT_WEBHOOK": url})["webhook"].startswith(
            f"failed: HTTP Error {status}"
        )


def test_receivers_that_say_nothing_or_nonsense_or_are_not_there_have_failed(engine, hasty):
    def by_hook(url: str) -> str:
        return told(engine, {"FIVEFOLD_ALERT_WEBHOOK": url})["webhook"]

    def by_mail(port: int | str) -> str:
        return told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{port}"})["email"]

    started = time.monotonic()
    with silent() as url:
        assert by_hook(url) == "failed: timed out"
        assert (
            by_mail(url.rpartition(":")[2]) == "failed: Connection unexpectedly closed: timed out"
        )
    assert by_hook(f"http://127.0.0.1:{free_port()}/x") == "failed: Connection refused"
    assert by_mail(free_port()) == "failed: Connection refused"
    with post_office() as office:
        assert by_hook(f"http://127.0.0.1:{office.port}/x") == "failed: 220 ready"
    with hook() as (url, _):
        assert by_mail(url.split(":")[2].partition("/")[0]).startswith("failed: ")
    assert time.monotonic() - started < 10


def test_a_channel_that_never_ends_is_left_behind(engine, monkeypatch):
    monkeypatch.setattr(alerts, "DEADLINE", 0.3)
    over, got = threading.Event(), []
    stuck = {"stuck": lambda _: over.wait(30) and None, "list": got.append}
    lines = alerts.send(engine, "churn", [LATE], stuck, now=NOW)
    over.set()
    assert lines[0].sent == {"stuck": "failed: no end within 0.3 s", "list": "sent"}
    assert len(got) == 1


def test_a_mail_arrives_with_everything_in_it(engine):
    with post_office() as office:
        assert (
            told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{office.port}"})[
                "email"
            ]
            == "sent"
        )
    ((to, raw),) = office.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert to == ["ada@example.com", "bob@example.com"]
    assert (mail["From"], mail["To"]) == (
        "fivefold@example.com",
        "ada@example.com, bob@example.com",
    )
    assert mail["Subject"] == "Fivefold, churn: 1 error, 1 warning"
    assert mail["Date"].datetime.tzinfo
    assert mail["Message-ID"].endswith("@example.com>")
    assert "to do: give it room\n   runbook: docs/runbook.md#latency" in mail.get_content().replace(
        "\r\n", "\n"
    )


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_password_goes_through_tls(engine, certificate, monkeypatch, scheme):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.with_suffix(".crt")))
    with post_office(
        password="p@ss:/word", tls=server_tls(certificate), starttls=scheme == "smtp"
    ) as office:
        url = f"{scheme}://ada:p%40ss%3A%2Fword@127.0.0.1:{office.port}"
        assert told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": url})["email"] == "sent"
    assert office.secure == 1
    assert len(office.mails) == 1
    result = [line.split()[0].upper() for line in office.said]
    assert result.index("AUTH") > (result.index("STARTTLS") if scheme == "smtp" else 0)


def test_a_certificate_that_nobody_vouches_for_gets_no_password(engine, certificate):
    with post_office(password="word", tls=server_tls(certificate)) as office:
        url = f"smtp://ada:word@127.0.0.1:{office.port}"
        assert (
            "certificate verify failed"
            in told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": url})["email"]
        )
    assert not any(line.startswith("AUTH") for line in office.said)


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 answers on Linux only")
def test_a_password_never_goes_to_another_machine_in_clear(engine):
    with post_office(password="word", address="127.0.0.2") as office:
        url = f"smtp://ada:word@127.0.0.2:{office.port}"
        assert "no STARTTLS" in told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": url})["email"]
    assert not any(line.startswith("AUTH") for line in office.said)


def test_one_refused_recipient_is_reported_and_the_others_get_the_mail_once(engine):
    with post_office(refuse=("bob@example.com",)) as office:
        environ = {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{office.port}"}
        assert told(engine, environ)["email"] == "sent; bob@example.com refused: 550 no such user"
        assert (
            alerts.send(
                engine, "churn", [AGE], alerts.channels(environ), now=NOW + timedelta(hours=1)
            )
            == []
        )
    assert [to for to, _ in office.mails] == [["ada@example.com"]]


def test_all_recipients_refused_is_a_failure(engine):
    with post_office(refuse=("ada@example.com", "bob@example.com")) as office:
        result = told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{office.port}"})[
            "email"
        ]
    assert (
        result == "failed: ada@example.com refused: 550 no such user; "
        "bob@example.com refused: 550 no such user"
    )
    assert not office.mails


@pytest.mark.parametrize(
    ("after_data", "result"),
    [("drop", "sent"), ("hang", "failed: Connection unexpectedly closed: timed out")],
)
def test_a_server_that_goes_away(engine, hasty, after_data, result):
    with post_office(after_data=after_data) as office:
        assert (
            told(engine, {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{office.port}"})[
                "email"
            ]
            == result
        )


# ---- forged and secret ----


def test_names_from_data_forge_no_header_no_recipient_and_no_finding(engine, tmp_path):
    evil = (
        "age\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>\u2028\x00\x85\ud800\n"
        "2. error: all is well"
    )
    findings = [
        Finding(
            code="input-drift",
            severity=WARNING,
            subject=evil,
            found=evil,
            expected=evil,
            action=evil,
        )
    ]
    with post_office() as office, hook() as (url, got):
        environ = {
            **MAIL,
            "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{office.port}",
            "FIVEFOLD_ALERT_WEBHOOK": url,
            "FIVEFOLD_ALERT_FILE": str(tmp_path / "alerts"),
        }
        lines = alerts.send(
            engine, f"churn{evil[:24]}", findings, alerts.channels(environ), now=NOW
        )
    assert lines[0].sent == dict.fromkeys(("log", "file", "webhook", "email"), "sent")
    ((to, raw),) = office.mails
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert to == ["ada@example.com", "bob@example.com"]
    assert "Bcc" not in mail
    assert mail["Subject"] == "Fivefold, churnage Bcc: eve@example.co: 1 warning"
    assert len(re.findall(r"(?m)^\d\. ", mail.get_content())) == 1
    assert len(re.findall(r"(?m)^\d\. ", got[0]["body"]["text"])) == 1
    assert len((tmp_path / "alerts").read_text().splitlines()) == 1
    assert (
        alerts.send(engine, f"churn{evil[:24]}", findings, {"x": print}, now=NOW) == []
    )  # the key is found again


def test_a_column_cannot_ping_a_whole_channel(engine):
    with hook() as (url, got):
        told(
            engine,
            {"FIVEFOLD_ALERT_WEBHOOK": url},
            drifted("<!channel> <http://evil.example.com|click>"),
        )
    assert "<" not in got[0]["body"]["text"]


def test_keys_are_short_and_no_two_become_one():
    subjects = ["a b", "a\nb", "a\tb", "x" * 400, "x" * 401, "\ud800", "\ud801"]
    keys = {journal_alerts.key_of(finding) for finding in drifted(*subjects)}
    assert len(keys) == len(subjects)
    assert all(key.isprintable() and len(key) <= 300 for key in keys)


def test_secrets_reach_neither_journal_nor_log(engine, caplog):
    echo = "no /services/T0/SECRETPATH?token=SECRETQUERY"
    with post_office(password="right") as office, hook(500, words=echo) as (url, _):
        environ = {
            **MAIL,
            "FIVEFOLD_ALERT_SMTP": f"smtp://ada:SECRETWORD@127.0.0.1:{office.port}",
            "FIVEFOLD_ALERT_WEBHOOK": f"{url}?token=SECRETQUERY",
        }
        sent = told(engine, environ)
    assert sent["email"] == "failed: 535 wrong: *** (AUTH PLAIN ***)"
    assert sent["webhook"] == "failed: HTTP Error 500: no ***?***"
    coded = base64.b64encode(b"\0ada\0SECRETWORD").decode().rstrip("=")
    for text in (
        caplog.text,
        json.dumps([a.to_dict() for a in journal_alerts.alerts(engine, "churn")]),
    ):
        assert "SECRET" not in text
        assert coded not in text


# ---- settings ----


def test_channels_are_on_where_they_are_set(tmp_path):
    assert set(alerts.channels({})) == {"log"}
    assert set(alerts.channels({"FIVEFOLD_ALERT_FILE": " ", "FIVEFOLD_ALERT_SMTP": ""})) == {"log"}
    environ = {
        **MAIL,
        "FIVEFOLD_ALERT_SMTP": "smtps://mail.example.com:465",
        "FIVEFOLD_ALERT_FILE": str(tmp_path / "a"),
        "FIVEFOLD_ALERT_WEBHOOK": "https://hooks.example.com/x?y=z",
    }
    assert list(alerts.channels(environ)) == ["log", "file", "webhook", "email"]


def test_all_wrong_settings_are_refused_at_once_and_show_no_secret(tmp_path):
    environ = {
        "FIVEFOLD_ALERT_FILE": str(tmp_path),
        "FIVEFOLD_ALERT_WEBHOOK": "file:///SECRET",
        "FIVEFOLD_ALERT_SMTP": "smtp://ada:SECRET@host",
        "FIVEFOLD_ALERT_EMAIL_FROM": "a@b\nBcc: c@d",
        "FIVEFOLD_ALERT_EMAIL_TO": "ada",
    }
    with pytest.raises(Refused, match="The alerts cannot be set up: 5 problems") as refused:
        alerts.channels(environ)
    assert [f.code for f in refused.value.findings] == [
        "alert-file",
        "alert-webhook",
        "alert-smtp",
        "alert-email-from",
        "alert-email-to",
    ]
    assert all(f.expected and f.found and f.action for f in refused.value.findings)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("FIVEFOLD_ALERT_WEBHOOK", value)
            for value in (
                "hooks.example.com/x",
                "ftp://host/x",
                "http://",
                "http://host:99999/",
                "http://host:0/",
                "http://[::1/",
                "javascript:alert(1)",
                "http://me:word@host/",
                "http://host/a b",
                "http://host/\u00e9",
                "http://host/\r\nX: y",
            )
        ),
        *(
            ("FIVEFOLD_ALERT_SMTP", value)
            for value in (
                "mail.example.com:25",
                "http://host:25",
                "smtp://host",
                "smtp://host:x",
                "smtp://me@host:25",
                "smtp://host:25/x",
                "smtp://:word@host:25",
                "smtp://host:25?x=y",
                "smtp://me:w\u00f6rd@host:25",
                "smtp://me:w%C3%B6rd@host:25",
                "smtp://me:a/b@host:25",
            )
        ),
        *(
            ("FIVEFOLD_ALERT_EMAIL_FROM", value)
            for value in ("", "ada", "Ada <ada@example.com>", "a@b, c@d", "a@b@c", "a@b\x01c")
        ),
        *(
            ("FIVEFOLD_ALERT_EMAIL_TO", value)
            for value in ("", ",", "ada@example.com;bob@example.com", "ada@example.com, bob")
        ),
        ("FIVEFOLD_ALERT_FILE", "/no/such/folder/alerts.jsonl"),
    ],
)
def test_a_wrong_setting_is_refused(name, value):
    environ = {**MAIL, "FIVEFOLD_ALERT_SMTP": "smtp://host:25", name: value}
    with pytest.raises(
        Refused, match=f"1 problem\n.*{name}.*expected .*; found .*; to do: correct {name}"
    ):
        alerts.channels(environ)


# ---- once, and again ----


def test_a_key_is_sent_once_per_cooldown_and_problem(engine):
    got: list[dict[str, Any]] = []

    def subjects(findings, hours, problem="churn", **options):
        before = len(got)
        alerts.send(
            engine,
            problem,
            findings,
            {"list": got.append},
            now=NOW + timedelta(hours=hours),
            **options,
        )
        return [f["subject"] for message in got[before:] for f in message.findings]

    assert subjects(drifted("a", "b"), 0) == ["a", "b"]
    assert subjects(drifted("a", "b", "c"), 23.9) == ["c"]
    assert subjects(drifted("a", "b", "c"), 23.9) == []
    assert subjects(drifted("a"), 1, "other") == ["a"]
    assert subjects(
        [Finding(code="score-drift", severity=ERROR, subject="a", found="PSI 1")], 1
    ) == ["a"]
    assert subjects(drifted("a", "c"), 24) == ["a"]
    assert subjects(drifted("a"), 25, cooldown_hours=1) == ["a"]
    assert subjects(drifted("a"), 25, cooldown_hours=0) == ["a"]


def test_a_failure_by_every_channel_is_sent_again_and_one_success_is_enough(engine, caplog):
    with hook(500) as (bad, _), hook() as (good, got), post_office() as office:
        mail = {**MAIL, "FIVEFOLD_ALERT_SMTP": f"smtp://127.0.0.1:{free_port()}"}
        assert set(told(engine, {"FIVEFOLD_ALERT_WEBHOOK": bad, **mail})) == {
            "log",
            "webhook",
            "email",
        }
        assert "the alert reached nobody" in caplog.text
        sent = told(
            engine, {"FIVEFOLD_ALERT_WEBHOOK": good, **mail}, now=NOW + timedelta(minutes=1)
        )
        assert (sent["webhook"], sent["email"]) == ("sent", "failed: Connection refused")
        mail["FIVEFOLD_ALERT_SMTP"] = f"smtp://127.0.0.1:{office.port}"
        working = alerts.channels({"FIVEFOLD_ALERT_WEBHOOK": good, **mail})
        assert (
            alerts.send(engine, "churn", [AGE, LATE], working, now=NOW + timedelta(minutes=2)) == []
        )
    assert len(got) == 1
    assert not office.mails


def test_a_claim_holds_until_its_process_must_be_dead(engine):
    lines = {"a/b": ("text", "docs/runbook.md#a"), "c/d": ("text", "docs/runbook.md#c")}
    claimed = journal_alerts.claim(engine, "churn", lines, 24, NOW)
    assert list(claimed) == ["a/b", "c/d"]
    assert due(engine, "churn", ["a/b", "e/f"], 24, NOW) == {"e/f"}
    assert due(engine, "churn", ["a/b"], 0, NOW + timedelta(minutes=9)) == set()
    assert due(engine, "churn", ["a/b"], 24, NOW + timedelta(minutes=10)) == {"a/b"}
    journal_alerts.store_results(engine, [claimed["a/b"]], {"email": "sent"})
    journal_alerts.store_results(
        engine, [claimed["c/d"]], {"email": "failed: refused", "log": "sent"}
    )
    assert due(engine, "churn", lines, 24, NOW + timedelta(minutes=1)) == {"c/d"}


def test_a_line_of_a_wrong_clock_silences_nobody_for_years(engine):
    ahead = NOW + timedelta(days=999)
    record(engine, "churn", "a/b", "text", "docs/runbook.md#a", {"log": "sent"}, ahead)
    assert due(engine, "churn", ["a/b"], 24, NOW) == {"a/b"}
    assert due(engine, "churn", ["a/b"], 24, ahead - timedelta(hours=1)) == set()
    journal_alerts.claim(
        engine, "churn", {"c/d": ("text", "docs/runbook.md#c")}, 24, NOW + timedelta(hours=12)
    )
    assert due(engine, "churn", ["c/d"], 24, NOW) == {"c/d"}


def test_alerts_come_newest_first(engine):
    for n in range(5):
        record(engine, "churn", f"a/{n}", "text", "docs/runbook.md#a", {"log": "sent"}, NOW)
    record(engine, "other", "a/9", "text", "docs/runbook.md#a", {}, NOW)
    assert [line.key for line in journal_alerts.alerts(engine, "churn", limit=3)] == [
        "a/4",
        "a/3",
        "a/2",
    ]
    assert journal_alerts.alerts(engine, "churn")[0].sent == {"log": "sent"}


def test_a_journal_that_takes_no_claims_sends_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    engine, got = database.open_journal(f"sqlite:///{tmp_path / 'busy.db'}"), []
    with database.writing(engine), pytest.raises(Exception, match="database is locked"):
        alerts.send(engine, "churn", [LATE], {"list": got.append}, now=NOW)
    assert not got
    assert len(alerts.send(engine, "churn", [LATE], {"list": got.append}, now=NOW)) == 1


def test_a_journal_that_goes_away_while_sending_raises_nothing(engine, caplog):
    def drop(_: dict[str, Any]) -> None:
        with database.writing(engine) as connection:
            connection.exec_driver_sql("DROP TABLE alerts")

    assert alerts.send(engine, "churn", [LATE], {"drop": drop}, now=NOW)[0].sent == {"drop": "sent"}
    assert "the journal did not store the results of the alert" in caplog.text


def at_once(url: str, people: int = 6) -> list[str]:
    """The subjects that `people` threads sent at the same moment, each with its own engine."""
    database.open_journal(url).dispose()
    start, got = threading.Barrier(people, timeout=300), []

    def slow(message: dict[str, Any]) -> None:
        time.sleep(0.1)
        got.append(message)

    def work(_: int) -> None:
        engine = database.open_journal(url)
        start.wait()
        alerts.send(engine, "churn", drifted("a", "b", "c"), {"slow": slow}, now=NOW)
        engine.dispose()

    with ThreadPoolExecutor(people) as pool:
        list(pool.map(work, range(people)))
    return sorted(f["subject"] for message in got for f in message.findings)


def test_threads_that_alert_at_once_send_once(tmp_path):
    assert at_once(f"sqlite:///{tmp_path / 'journal.db'}") == ["a", "b", "c"]


@pytest.mark.slow
def test_threads_that_alert_at_once_send_once_with_postgresql():
    with postgresql() as url:
        assert at_once(url) == ["a", "b", "c"]


def test_processes_that_alert_at_once_send_once(tmp_path, engine):
    code = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT)!r})
from datetime import datetime
from fivefold.journal import database as journal
from fivefold.lifecycle import alerts
from fivefold.core.findings import Finding
engine = journal.open_journal("sqlite:///{tmp_path / "journal.db"}")
drifted = dict(code="input-drift", severity="warning", found="PSI 0.3")
found = [Finding(subject=name, **drifted) for name in "abc"]
print("ready", flush=True)
sys.stdin.readline()
channels, now = alerts.channels(os.environ), datetime(2026, 11, 23, 10)
print(len(alerts.send(engine, "churn", found, channels, now=now)))
"""
    environ = {**os.environ, "FIVEFOLD_ALERT_FILE": str(tmp_path / "alerts.jsonl")}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=environ,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(2)
    ]
    assert [process.stdout.readline() for process in running] == ["ready\n"] * 2
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert sorted(process.communicate(timeout=300)[0] for process in running) == ["0\n", "3\n"]
    assert len((tmp_path / "alerts.jsonl").read_text().splitlines()) == 1


# ---- the runbook ----


def test_the_runbook_has_a_section_for_each_code_and_no_other():
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = dict(
        zip(re.findall(r"(?m)^## (.+)$", text), re.split(r"(?m)^## .+$", text)[1:], strict=True)
    )
    assert set(sections) == CODES
    for code, section in sections.items():
        for part in ("**Means.**", "**Look at.**", "**Do.**", "**Ignore if**"):
            assert section.count(part) == 1, (code, part)
        named = set(re.findall(r"`([a-z]+-[a-z]+)`", section))
        assert named <= CODES, (code, named)


def test_a_port_is_free_again():  # the receivers above are closed, whatever happened in them
    with post_office() as office:
        port = office.port
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
