"""What the API does with requests that are large or slow, and with a journal that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
import pytest
import uvicorn

from fivefold.journal import database, writer
from fivefold.journal.writer import Writer
from fivefold.serving.api_settings import ApiSettings
from fivefold.serving.served_model import ServedModel
from frontend import api, api_metrics, api_protocol
from tests.support.models import bundle_of
from tests.support.servers import free_port

FRAME = pd.DataFrame({"age": [20.0, 30, None, 50] * 5, "fee": [1.0, 2, 3, 4, 5] * 4})
PATIENCE = 60


class Fixed:
    """A follower of one model."""

    def __init__(self, model: ServedModel):
        self.model, self.silence = model, 0.0

    def current(self) -> ServedModel:
        return self.model


class Answer(NamedTuple):
    status: int
    json: Any
    seconds: float


def ask(port: int, path: str, body: bytes | None = None, kind: str = "") -> Answer:
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        headers = {"Content-Type": kind} if kind else {}
        connection.request("GET" if body is None else "POST", path, body, headers)
        answer = connection.getresponse()
        value = json.loads(answer.read())
    return Answer(answer.status, value, time.perf_counter() - began)


def row(**more: Any) -> bytes:
    return json.dumps({"age": 30, "fee": 3, **more}).encode()


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[int]:
    """The port of the real app in this process, with a model of a formula."""
    bundle = bundle_of(FRAME, lambda x: x["age"].fillna(40.0) / 100, optional_columns=("age",))
    engine = database.open_journal(f"sqlite:///{tmp_path}/journal.db")
    monkeypatch.setattr(api_protocol, "HEAD_SECONDS", 0.5)
    api.app.state.server = api.Server(
        settings=ApiSettings(),
        engine=engine,
        key=b"k",
        spool=tmp_path / "spool",
        follower=Fixed(ServedModel(bundle, "sha", "TrainFlow/1")),  # type: ignore[arg-type]
        writer=Writer(engine, tmp_path / "spool"),
    )
    port = free_port()
    options: dict[str, Any] = {"port": port, "lifespan": "off", "log_level": "error"}
    config = uvicorn.Config(api.app, http=api_protocol.BoundedProtocol, **options)
    actual = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(actual.serve()), daemon=True)
    thread.start()
    while not actual.started:
        time.sleep(0.01)
    yield port
    actual.should_exit = True
    thread.join(10)
    api.app.state.server.writer.close()
    engine.dispose()


# --- a journal that hangs ------------------------------------------------------------------------


def test_a_journal_that_hangs_delays_one_answer_and_no_other(server, monkeypatch):
    goes_on = threading.Event()
    real = writer.write

    def hangs(*arguments: Any) -> None:
        goes_on.wait(PATIENCE)
        real(*arguments)

    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.05)
    assert ask(server, "/health").json["status"] == "ok"
    monkeypatch.setattr(writer, "write", hangs)
    first = ask(server, "/predict", row())
    assert (first.status, first.json["journal"]) == (200, "spooled")
    assert 0.9 < first.seconds < 3  # one second, after which it is given up
    later = [ask(server, "/predict", row()) for _ in range(5)]
    assert {answer.json["journal"] for answer in later} == {"spooled"}
    assert max(answer.seconds for answer in later) < 0.6
    body = json.dumps({"instances": [{"age": 30, "fee": 3}]}).encode()
    assert ask(server, "/invocations", body).json["journal"] == "spooled"
    health = ask(server, "/health")
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert (health.json["journal"], health.json["spooled_files"]) == ("does not answer", 7)
    assert sum(thread.name == "journal call" for thread in threading.enumerate()) == 1
    goes_on.set()
    monkeypatch.setattr(writer, "write", real)
    ends = time.monotonic() + 10
    while ask(server, "/health").json["status"] != "ok":
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert "journal" not in ask(server, "/predict", row()).json
    engine = api.app.state.server.engine
    assert len(database.read_predictions(engine, "left")) == 8  # none lost, none twice


def test_labels_are_not_waited_for_without_end(server, monkeypatch):
    goes_on = threading.Event()
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.0)
    monkeypatch.setattr(api, "add_labels", lambda *_, **__: goes_on.wait(PATIENCE))
    answer = ask(server, "/feedback", b'{"prediction_id": "a", "label": 1}')
    assert (answer.status, answer.json["problems"][0]["code"]) == (503, "journal-unreachable")
    assert answer.seconds < 4
    goes_on.set()


# --- large requests ------------------------------------------------------------------------------

MANY = json.dumps([{"age": n % 60, "fee": n % 7} for n in range(10_000)]).encode()
CSV = b"age,fee\n" + b"30,3\n" * 10_000
LARGE = {
    "10,000 rows": ("/predict", MANY, "", 200),
    "10,000 rows of CSV": ("/invocations", CSV, "text/csv", 200),
    "lists in a list": ("/predict", b"[" + b"[]," * 3_000_000 + b"[]]", "", 413),
    "700,000 columns": (
        "/predict",
        b"{" + b",".join(b'"k%d":0' % n for n in range(700_000)) + b"}",
        "",
        413,
    ),
    "700,000 columns of CSV": ("/invocations", b"a," * 700_000 + b"b\n1\n", "text/csv", 413),
    "9 MB of digits": ("/predict", b'{"age": ' + b"9" * 9_000_000 + b"}", "", 400),
    "9 MB of decimals": ("/predict", b'{"age": 0.' + b"9" * 9_000_000 + b"}", "", 400),
    "9 MB of zeros": ("/predict", b"[" + b"0," * 4_500_000 + b"0]", "", 413),
    "9 MB of spaces": ("/predict", b" " * 9_000_000, "", 400),
    "9 MB of quotes": ("/invocations", b'a,b\n"' + b'""' * 4_500_000, "text/csv", 400),
    "9 MB in one cell": ("/predict", row(note="x" * 9_000_000), "", 200),
}


@pytest.mark.parametrize("name", LARGE)
def test_health_is_answered_at_once_beside_a_large_request(server, name):
    path, body, kind, status = LARGE[name]
    ask(server, "/health")
    answers: list[Answer] = []
    asked = threading.Thread(target=lambda: answers.append(ask(server, path, body, kind)))
    asked.start()
    waits = []
    while asked.is_alive():
        waits.append(ask(server, "/health").seconds)
        time.sleep(0.01)
    assert answers[0].status == status, str(answers[0].json)[:500]
    # sender and server share one interpreter here, and the machine may have more to do
    assert sorted(waits)[len(waits) // 2] < 0.1, waits
    assert max(waits) < 1


def test_long_cells_are_cut_in_the_journal(server):
    answer = ask(server, "/predict", row(left="x" * 100_000, age="9" * 300))
    assert answer.status == 422
    rejects = database.read_rejects(api.app.state.server.engine, "left")
    assert len(rejects["inputs"].iloc[0]) <= 4000
    # an accepted text is cut, too
    from fivefold.serving.journal_rows import MAX_CELL, _plain

    assert len(_plain("x" * 100_000)) == MAX_CELL == 10_000


def raw(port: int, *pieces: bytes, pause: float = 0.0) -> tuple[bytes, float]:
    """What a connection answers until it is closed, and the seconds until then."""
    began = time.perf_counter()
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                received += piece
    return received, time.perf_counter() - began


def test_headers_are_bounded_in_size(server):
    start = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    for pieces in (
        [start, *[b"a: " + b"x" * 50_000 + b"\r\n"] * 100],
        [start + b"a: ", *[b"x" * 100_000] * 100],
        [b"GET /", *[b"x" * 100_000] * 100],
        [start, *[b"a: b\r\n" * 5000] * 100],
    ):
        answer, _ = raw(server, *pieces)
        assert answer.startswith(b"HTTP/1.1 431 ") or not answer  # reset before it was read
    answer, _ = raw(server, start + b"a: " + b"x" * 30_000 + b"\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_the_trailers_of_a_body_in_chunks_are_headers(server):
    start = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    )
    answer, _ = raw(server, start, *[b"a: " + b"x" * 50_000 + b"\r\n"] * 20)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer


def test_headers_are_bounded_in_time(server):
    slow = [b"GET /health HTTP/1.1\r\n", *[b"a: b\r\n"] * 50]
    answer, seconds = raw(server, *slow, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["problems"][0]["code"] == "request-too-slow"
    assert seconds < 10
    for start in (b"", b"\r\n"):  # who says nothing is not waited for
        answer, seconds = raw(server, start)
        assert seconds < 5


def test_a_body_is_bounded_in_time(server, monkeypatch):
    monkeypatch.setattr(api_protocol, "BODY_SECONDS", 0.3)
    answer, seconds = raw(
        server, b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert seconds < 5


def test_a_connection_answers_one_request_after_another(server):
    connection = http.client.HTTPConnection("127.0.0.1", server, timeout=PATIENCE)
    with contextlib.closing(connection):
        for _ in range(3):
            connection.request("POST", "/predict", row())
            assert connection.getresponse().read()
            time.sleep(0.7)  # longer than a head may take


# --- answers -------------------------------------------------------------------------------------


def test_an_absent_column_is_told_in_every_answer(server):
    absent = "age: no such column, taken as missing; is it 'agee'?"
    body = json.dumps({"instances": [{"agee": 30, "fee": 3}, {"age": 30, "fee": 3}]}).encode()
    answer = ask(server, "/invocations", body).json
    assert [line["warnings"] for line in answer["predictions"]] == [[absent], []]
    assert answer["notes"] == ["agee: not a column of the model, ignored"]
    lacks = ask(server, "/predict", b'{"age": "abc"}')
    assert (lacks.status, [p["code"] for p in lacks.json["problems"]]) == (
        422,
        ["column-missing", "value-unreadable"],
    )


def test_reasons_are_given_on_request(server):
    answer = ask(server, "/predict?explain=true", row()).json
    (prediction,) = answer["predictions"]
    amounts = [line["contribution"] for line in prediction["reasons"]]
    assert answer["base"] + sum(amounts) == pytest.approx(prediction["probability"])
    assert "reasons" not in ask(server, "/predict", row()).json["predictions"][0]
    assert ask(server, "/predict?explain=maybe", row()).status == 400


# --- who may ask ---------------------------------------------------------------------------------


def status(port: int, path: str, method: str = "POST", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, row() if method == "POST" else None, sent)
        answer = connection.getresponse()
        body = answer.read()
        assert method != "HEAD" or not body
        return answer.status


def test_a_page_of_another_site_cannot_write(server):
    own = f"127.0.0.1:{server}"
    assert status(server, "/predict") == 200
    assert status(server, "/predict", Origin=f"http://{own}") == 200
    assert status(server, "/predict", Origin="http://localhost:1", Host="localhost:1") == 200
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://evil.example", "Host": "evil.example"},  # pointed to this address
        {"Origin": f"http://{own}", "Host": "["},
    ):
        assert status(server, "/predict", **headers) == 403
        assert status(server, "/health", "GET", **headers) == 200
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert status(server, "/predict", Content_Type=kind) == 415
        assert status(server, "/feedback", Content_Type=kind) == 415


def test_head_works_where_get_does(server):
    for path in ("/health", "/ping", "/model", "/metrics", "/docs"):
        assert status(server, path, "HEAD") == status(server, path, "GET") == 200
    assert status(server, "/predict", "HEAD") == 405


def test_who_tries_many_keys_is_not_answered(server, monkeypatch):
    chosen = ApiSettings(keys=("secret",))
    monkeypatch.setattr(api_metrics, "WRONG_KEYS", 5)
    app_state = api.app.state
    monkeypatch.setattr(app_state, "server", replace(app_state.server, settings=chosen))
    assert [status(server, "/predict", X_API_Key=f"{n}") for n in range(6)] == [*[401] * 5, 429]
    assert status(server, "/predict", X_API_Key="secret") == 429
    assert status(server, "/health", "GET") == 200
