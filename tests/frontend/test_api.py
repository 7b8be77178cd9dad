"""The REST API as a client meets it: server processes on the tiny run, asked over HTTP."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.specs.openapi.checks import positive_data_acceptance

from fivefold.journal import database as journal
from fivefold.journal import labels, promotions
from fivefold.journal.writer import empty
from fivefold.lifecycle import promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.serving.journal_rows import MAX_CELL
from fivefold.tracking import client as runs
from tests.support.promotions import decide
from tests.support.running import ROOT, command, environment
from tests.support.servers import free_port, running

pytestmark = pytest.mark.slow
PROBLEM = "churned"  # the name that the tiny run's scope gets: it has no title
PREDICT = "/predict"
FOLLOW = 5.0  # seconds in which a change is followed
PATIENCE = 120  # seconds to wait on a slow machine


class Server(NamedTuple):
    port: int
    journal: str
    spool: Path
    pid: int
    env: dict[str, str]


class Answer(NamedTuple):
    status: int
    text: str
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def codes(self) -> list[str]:
        return [problem["code"] for problem in self.json["problems"]]


def ask(server: Server, path: str, body: Any = None, method: str = "", **headers: str) -> Answer:
    """`body`: bytes, an iterator of bytes (sent in chunks) or a JSON value."""
    ready = isinstance(body, bytes) or body is None or hasattr(body, "__next__")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request(
            method or ("GET" if body is None else "POST"),
            path,
            body if ready else json.dumps(body).encode(),
            {name.replace("_", "-"): value for name, value in headers.items()},
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode(), answer.headers)


def well_refused(answer: Answer) -> bool:
    """Whether an answer is a refusal in our form, which shows nobody the inside of the server."""
    result = answer.json
    return (
        set(result) == {"error", "problems"}
        and bool(result["problems"])
        and "Traceback" not in answer.text
        and all(
            set(p) == {"code", "field", "expected", "found", "action"} and p["code"] and p["found"]
            for p in result["problems"]
        )
        and answer.headers["Content-Type"] == "application/json"
    )


@contextlib.contextmanager
def serving(store: Path, folder: Path, **chosen: object) -> Iterator[Server]:
    """A server with its journal and spool in `folder`; `chosen`: settings of `api_settings`."""
    port, url, spool = free_port(), f"sqlite:///{folder / 'kept' / 'journal.db'}", folder / "spool"
    env = {
        **environment(store),
        "FIVEFOLD_JOURNAL": url,
        "FIVEFOLD_API_SPOOL": str(spool),
        "FIVEFOLD_PSEUDONYM_KEY": "k",
        "TMPDIR": str(folder),
        "FIVEFOLD_API_PORT": str(port),
        **{f"FIVEFOLD_API_{k.upper()}": str(v) for k, v in chosen.items()},
    }
    api = [sys.executable, str(ROOT / "frontend" / "api.py")]
    with running(api, f"http://127.0.0.1:{port}/openapi.json", folder, env=env) as pid:
        yield Server(port, url, spool, pid, env)
    log = (folder / "server.log").read_text()
    assert "Traceback" not in log, log


def promoted(folder: Path, run: Any) -> Any:
    """The journal in `folder`, in which the tiny run's model is promoted."""
    engine = journal.open_journal(f"sqlite:///{folder / 'kept' / 'journal.db'}")
    promotion.promote(engine, run.id, "tests", "for the tests")
    return engine


@pytest.fixture(scope="module")
def run(tiny):
    return tiny[0]


@pytest.fixture(scope="module")
def bundle(run) -> Bundle:
    return from_bytes(*runs.bundle_bytes(run))


@pytest.fixture(scope="module")
def engine(run, tmp_path_factory):
    return promoted(tmp_path_factory.mktemp("api"), run)


@pytest.fixture(scope="module")
def server(store, engine) -> Iterator[Server]:
    with serving(store, Path(engine.url.database).parent.parent) as actual:
        yield actual


@pytest.fixture(scope="module")
def rows(small_csv, bundle) -> list[dict[str, Any]]:
    """Rows as a program sends them, with their ids: numbers as numbers, gaps as null."""
    frame = pd.read_csv(small_csv).drop(columns="churned").astype("object")
    return frame.where(frame.notna(), None).to_dict("records")


def kept(engine: Any, ids: list[str]) -> pd.DataFrame:
    """The journal's lines of these predictions, in this order."""
    actual = journal.read_predictions(engine, PROBLEM).set_index("id")
    return actual.loc[ids].reset_index()


def probabilities(answer: Answer) -> list[float]:
    assert answer.status == 200, answer.text
    return [p["probability"] for p in answer.json["predictions"]]


# --- predictions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 250])
def test_the_answers_are_the_models(server, bundle, rows, count):
    expected = bundle.score(pd.DataFrame(rows[:count]).astype("object"))
    answer = ask(server, PREDICT, {"rows": rows[:count]})
    np.testing.assert_allclose(probabilities(answer), expected["probability"], atol=1e-9)
    assert [p["decision"] for p in answer.json["predictions"]] == expected["decision"].tolist()


def test_one_row_bare_in_a_list_and_as_texts_is_the_same_row(server, rows):
    texts = {k: None if v is None else str(v) for k, v in rows[0].items()}
    result = [
        probabilities(ask(server, PREDICT, body))
        for body in (rows[0], [rows[0]], {"rows": [rows[0]]}, texts)
    ]
    assert result == [result[0]] * 4


def test_every_answer_is_in_the_journal_as_it_was_given(server, engine, run, rows):
    answer = ask(server, PREDICT, {"rows": rows[:30]}).json
    lines = kept(engine, [p["id"] for p in answer["predictions"]])
    assert lines["probability"].tolist() == [p["probability"] for p in answer["predictions"]]
    assert lines["decision"].tolist() == [p["decision"] for p in answer["predictions"]]
    assert set(lines["model"]) == {answer["model"]} == {run.pathspec}
    assert set(lines["threshold"]) == {answer["threshold"]}
    assert set(lines["sha256"]) == {run["evaluate"].task["bundle_sha256"].data}
    assert set(lines["source"]) == {"api"}
    assert [json.loads(text) for text in lines["inputs"]] == rows[:30]
    assert [json.loads(text) for text in lines["entity"]] == [
        [row["customer_id"]] for row in rows[:30]
    ]
    assert lines["latency_ms"].between(0, 10_000).all()


def test_what_is_unusual_is_warned_of_and_journaled(server, engine, rows):
    odd = {
        **rows[0],
        "country": "Elbonia; or so",
        "age": 300,
        "credit_score": None,
        "shoe size": 44,
    }
    result = ask(server, PREDICT, odd).json
    warnings = result["predictions"][0]["warnings"]
    assert [w for w in warnings if w.startswith("country: 'Elbonia; or so' was not seen")]
    assert [w for w in warnings if w.startswith("age: 300 is outside the training range")]
    assert "credit_score: missing, which training never saw" in warnings
    assert len(warnings) == 3
    assert result["notes"] == ["shoe size: not a column of the model, ignored"]
    line = kept(engine, [result["predictions"][0]["id"]]).iloc[0]
    assert line["warnings"] == "; ".join(warnings)
    assert "shoe size" not in json.loads(line["inputs"])


def test_a_column_that_may_be_empty_is_refused_or_warned_of_where_it_is_absent(
    server, bundle, rows
):
    for name in (c.name for c in bundle.schema.columns if c.used and c.nullable):
        without = ask(server, PREDICT, {k: v for k, v in rows[0].items() if k != name})
        if name not in bundle.optional:
            assert (without.status, without.codes) == (422, ["column-missing"])
            continue
        empty = ask(server, PREDICT, {**rows[0], name: None})
        assert probabilities(without) == probabilities(empty)
        told = without.json["predictions"][0]["warnings"]
        assert f"{name}: no such column, taken as missing" in told


def test_missing_columns_are_named_all_at_once_and_journaled(server, engine, rows):
    part = [rows[0], {k: v for k, v in rows[1].items() if k not in ("age", "country")}]
    answer = ask(server, PREDICT, part)
    assert (answer.status, well_refused(answer)) == (422, True)
    result = {p["field"]: p for p in answer.json["problems"]}
    assert set(result) == {"age", "country"}
    assert result["age"] == {
        "code": "column-missing",
        "field": "age",
        "expected": "a numeric value",
        "found": "no such field in rows 1",
        "action": "add it; null says that the value is unknown",
    }
    last = journal.read_rejects(engine, PROBLEM).tail(2)
    assert {json.loads(text)["customer_id"] for text in last["inputs"]} == {
        rows[0]["customer_id"],
        rows[1]["customer_id"],
    }
    assert last["reason"].str.contains("age: no such field").all()


def test_cells_that_cannot_be_read_are_named_with_row_and_field_and_nothing_is_answered(
    server, engine, rows
):
    before = len(journal.read_predictions(engine, PROBLEM))
    answer = ask(
        server,
        PREDICT,
        {"rows": [rows[0], {**rows[1], "age": "old; very", "customer_since": "long ago"}, rows[2]]},
    )
    assert (answer.status, well_refused(answer)) == (422, True)
    assert [(p["field"], p["found"]) for p in answer.json["problems"]] == [
        ("rows[1].age", "'old; very' is not a number"),
        ("rows[1].customer_since", "'long ago' is not a date, such as 2024-12-31"),
    ]
    line = journal.read_rejects(engine, PROBLEM).iloc[-1]
    assert (json.loads(line["inputs"])["age"], line["source"]) == ("old; very", "api")
    assert "'old; very' is not a number" in line["reason"]
    assert len(journal.read_predictions(engine, PROBLEM)) == before
    assert ask(server, PREDICT, {**rows[1], "age": "old"}).json["problems"][0]["field"] == "age"


def test_a_column_in_which_nothing_can_be_read_is_reported_once(server, engine, rows):
    before = len(journal.read_rejects(engine, PROBLEM))
    answer = ask(server, PREDICT, [{**row, "age": "old"} for row in rows[:6]])
    assert (answer.status, answer.codes, answer.json["problems"][0]["field"]) == (
        422,
        ["column-type"],
        "age",
    )
    assert len(journal.read_rejects(engine, PROBLEM)) == before + 6


def test_json_booleans_and_numbers_stand_for_the_texts_of_training(server, rows):
    yes = ask(
        server, PREDICT, {**rows[0], "has_card": "yes", "active_member": "no", "n_products": "2"}
    )
    true = ask(
        server, PREDICT, {**rows[0], "has_card": True, "active_member": False, "n_products": 2.0}
    )
    assert probabilities(yes) == probabilities(true)
    assert true.json["predictions"][0]["warnings"] == yes.json["predictions"][0]["warnings"]
    assert ask(server, PREDICT, {**rows[0], "age": True}).codes == ["value-unreadable"]
    assert "country: '3' was not seen" in ask(server, PREDICT, {**rows[0], "country": 3}).text


def test_numbers_and_texts_in_one_column_are_read_as_each_alone(server, rows):
    mixed = [
        {**rows[0], "salary": 31434.5},
        {**rows[0], "salary": "31434.5"},
        {**rows[0], "salary": 1e4},
        {**rows[0], "salary": None},
    ]
    alone = [p for row in mixed for p in probabilities(ask(server, PREDICT, row))]
    np.testing.assert_allclose(probabilities(ask(server, PREDICT, mixed)), alone, rtol=1e-12)
    assert alone[0] == alone[1]


def test_long_whole_numbers_keep_every_digit(server, engine, rows):
    ids = [1234567890123456789, 1234567890123456788]
    result = ask(server, PREDICT, [{**rows[0], "customer_id": number} for number in ids]).json
    lines = kept(engine, [p["id"] for p in result["predictions"]])
    assert [json.loads(text) for text in lines["entity"]] == [[str(number)] for number in ids]


# --- bad input -----------------------------------------------------------------------------------

DEEP = b"[" * 100_000
BAD = {
    "empty": (b"", 400),
    "spaces": (b" \r\n", 400),
    "no JSON": (b"rows", 400),
    "two values": (b"{} {}", 400),
    "latin-1": ('{"country": "Österreich"}'.encode("latin-1"), 400),
    "UTF-16": ('{"age": 1}'.encode("utf-16"), 400),
    "UTF-16 without a mark": ('{"age": 1}'.encode("utf-16-le"), 400),
    "UTF-32": ('{"age": 1}'.encode("utf-32"), 400),
    "deep": (DEEP, 400),
    "deep and closed": (DEEP + b"]" * 100_000, 400),
    "deep objects": (b'{"a":' * 100_000, 400),
    "deep in a row": (b'{"rows": [{"age": ' + DEEP + b"]" * 100_000 + b"}]}", 400),
    "nested in a row": (b'{"rows": [{"age": [[[1]]]}]}', 422),
    "object in a row": (b'{"age": {"value": 3}}', 422),
    "5,000 digits": (b'{"age": ' + b"9" * 5000 + b"}", 400),
    "1e999": (b'{"age": 1e999}', 400),
    "-1e999": (b'{"age": -1e999}', 400),
    "NaN": (b'{"age": NaN}', 400),
    "Infinity": (b'{"age": Infinity}', 400),
    "-Infinity": (b'[{"age": -Infinity}]', 400),
    "a key twice": (b'{"rows": [], "rows": []}', 400),
    "a key twice inside": (b'{"rows": [{"age": 1, "age": 2}]}', 400),
    "a key twice of 60,000": (
        b"{%s}" % b",".join(b'"k%d":0' % (n % 59_999) for n in range(60_000)),
        400,
    ),
    "no rows": (b"[]", 400),
    "rows of nothing": (b'{"rows": []}', 400),
    "rows no list": (b'{"rows": {"age": 1}}', 400),
    "numbers": (b"[1, 2]", 400),
    "null": (b"null", 400),
    "text": (b'"age"', 400),
    "true": (b"true", 400),
    "rows with null": (b"[null]", 400),
    "empty object": (b"{}", 422),
    "empty key": (b'{"": ""}', 422),
    "10,001 rows": (b"[" + b",".join([b"{}"] * 10_001) + b"]", 413),
    "10,000 keys": (b"{%s}" % b",".join(b'"k%d":0' % n for n in range(10_000)), 422),
    "11 MB": (b'"' + b"x" * 11_000_000 + b'"', 413),
    "half a character": (b'{"country": "\\ud800"}', 400),
    "half a character in a key": (b'{"\\ud800": 1}', 400),
    "two halves, wrong way round": (b'{"country": "\\udc00\\ud800"}', 400),
    "a surrogate in UTF-8": (b'{"country": "\xed\xa0\x80"}', 400),
    "half a character in a key twice": (b'{"\\ud800": 1, "\\ud800": 1}', 400),
    "NUL outside": (b"\0", 400),
    "NUL raw in a text": (b'["\0"]', 400),
    "a key of 1 MB": (b'{"%s": 1}' % (b"k" * 1_000_000), 422),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_form(server, name):
    body, status = BAD[name]
    began = time.monotonic()
    answer = ask(server, PREDICT, body)
    assert (answer.status, well_refused(answer)) == (status, True), answer.text[:500]
    assert len(answer.text) < 5000
    assert time.monotonic() - began < 3
    if status == 400:  # the other ways in read with the same eyes
        for path in ("/invocations", "/feedback"):
            answer = ask(server, path, body)
            assert 400 <= answer.status < 500, (path, answer.text[:500])
            assert well_refused(answer), path


def test_a_body_in_chunks_is_measured_as_it_comes(server, rows):
    answer = ask(server, PREDICT, iter([b"x" * 1_000_000] * 11))
    assert (answer.status, answer.codes, well_refused(answer)) == (413, ["body-too-large"], True)
    assert (
        len(probabilities(ask(server, PREDICT, iter([b"[", json.dumps(rows[0]).encode(), b"]"]))))
        == 1
    )


def test_bom_and_charset_are_fine_at_predict(server, rows):
    body = json.dumps(rows[0]).encode()
    result = [
        probabilities(answer)
        for answer in (
            ask(server, PREDICT, body),
            ask(server, PREDICT, b"\xef\xbb\xbf" + body),
            ask(server, PREDICT, body, Content_Type="application/json; charset=utf-8"),
        )
    ]
    assert result == [result[0]] * 3


def test_strange_texts_are_scored_and_journaled_as_they_are(server, engine, rows):
    long = "x" * 1_000_000
    strange = [
        {**rows[0], "country": text, text[:50] or "e": 1}
        for text in ("\0", "a\0b", long, "🦄", "\u2028", "'; DROP TABLE", "=1+1", "")
    ]
    result = ask(server, PREDICT, strange).json
    lines = kept(engine, [p["id"] for p in result["predictions"]])
    shown = [json.loads(text)["country"] for text in lines["inputs"]]
    sent = [row["country"][:MAX_CELL] for row in strange]
    assert [text.replace("\ufffd", "\0") for text in shown] == sent
    assert all(len(p["warnings"]) >= 1 and len(str(p)) < 2000 for p in result["predictions"])
    refused = ask(server, PREDICT, {**rows[0], "age": long})
    assert (refused.status, len(refused.text) < 1000) == (422, True)
    many = ask(server, PREDICT, {**rows[0], **{f"k{n}": n for n in range(10_000)}}).json
    assert (len(many["notes"]), many["notes"][-1]) == (21, "and 9,980 more")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", PREDICT, 405),
        ("PUT", PREDICT, 405),
        ("DELETE", "/model", 405),
        ("POST", "/health", 405),
        ("GET", "/nowhere", 404),
        ("POST", "/predict/", 404),
        ("GET", "/", 404),
        ("GET", "/%ff%00", 404),
        ("GET", "/../../etc/passwd", 404),
    ],
)
def test_unknown_paths_and_methods(server, method, path, status):
    answer = ask(server, path, b"{}" if method in ("POST", "PUT") else None, method)
    assert (answer.status, answer.codes, well_refused(answer)) == (
        status,
        ["request-unknown"],
        True,
    )
    assert "/predict" in answer.json["problems"][0]["expected"]


def test_a_host_that_is_no_address_does_no_harm(server):
    assert ask(server, "/health", Host="[").status == 200
    assert ask(server, "/nowhere", Host="[").status == 404


def test_clients_that_leave_early_do_no_harm(server, rows):
    whole = json.dumps(rows[0]).encode()
    for body in (whole, whole[:50]):
        with socket.create_connection(("127.0.0.1", server.port)) as rude:
            rude.sendall(
                b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(whole)
                + body
            )
    assert ask(server, PREDICT, rows[0]).status == 200  # the log is read at the end


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(
    [
        "rows",
        "labels",
        "label",
        "prediction_id",
        "observed_at",
        "customer_id",
        "dataframe_split",
        "dataframe_records",
        "instances",
        "inputs",
        "columns",
        "data",
        "age",
        "country",
        "customer_since",
    ]
)
NEAR = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("2024-01-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
LIMITS = hypothesis_settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck)
)


@LIMITS
@given(body=st.binary(max_size=200) | st.builds(lambda v: json.dumps(v).encode(), VALUES | NEAR))
def test_no_bytes_and_no_values_break_the_server(server, body):
    for path in (PREDICT, "/invocations", "/feedback"):
        answer = ask(server, path, body)
        assert answer.status < 500, (path, answer.text)
        assert answer.status == 200 or well_refused(answer)
    assert ask(server, "/invocations", body, Content_Type="text/csv").status < 500


@LIMITS
@given(
    name=st.sampled_from(
        ["age", "country", "customer_since", "has_card", "salary", "customer_id", "last_contact"]
    ),
    value=VALUES
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.dates().map(str)
    | st.datetimes().map(str),
)
def test_no_value_in_a_good_row_breaks_the_server(server, rows, name, value):
    answer = ask(server, PREDICT, {**rows[0], name: value})
    assert answer.status in (200, 400, 422), answer.text
    assert answer.status == 200 or well_refused(answer)


@pytest.mark.parametrize("mode", schemathesis.GenerationMode)
def test_the_server_does_as_its_description_says(server, mode):
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
    operations = [actual.ok() for actual in schema.get_all_operations()]
    assert len(operations) == 7
    for operation in operations:

        @hypothesis_settings(LIMITS, max_examples=25 if operation.body else 1)
        @given(case=operation.as_strategy(mode))
        def ask_and_check(
            case,
        ):  # a text in a column of numbers or dates fits the description, and may still say none
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        if operation.body or mode == schemathesis.GenerationMode.POSITIVE:
            ask_and_check()


def test_a_value_of_another_type_than_described_is_refused_and_a_category_may_have_any(
    server, rows
):
    contract = ask(server, "/model").json["columns"]["properties"]
    values = {"string": "x", "number": 3, "boolean": True}
    refused = set()
    for name, field in contract.items():
        for kind in set(values) - set(field["type"]):
            assert ask(server, PREDICT, {**rows[0], name: values[kind]}).status == 422
            refused.add((field["description"].partition(",")[0], kind))
    assert refused == {("numeric", "boolean"), ("date", "boolean")}
    for value in values.values():
        answer = ask(server, PREDICT, {**rows[0], "card_tier": value})
        assert answer.status == 200
        assert "card_tier" in answer.text


# --- MLflow's protocol ---------------------------------------------------------------------------


def test_the_four_forms_of_mlflow_and_csv_answer_as_predict(server, engine, rows):
    few, names = rows[:3], list(rows[0])
    cells = [[row[name] for name in names] for row in few]
    expected = probabilities(ask(server, PREDICT, few))
    forms = [
        {"dataframe_records": few},
        {"dataframe_split": {"columns": names, "data": cells, "index": [7, 8, 9]}},
        {"instances": few},
        {"inputs": {name: [row[name] for row in few] for name in names}},
        {"inputs": few, "params": {"anything": 1}},
    ]
    answers = [ask(server, "/invocations", form, Content_Type="application/json") for form in forms]
    csv = pd.DataFrame(few).to_csv(index=False).encode()
    answers += [
        ask(server, "/invocations", text, Content_Type="text/csv; charset=utf-8")
        for text in (csv, b"\xef\xbb\xbf" + csv + b"\r\n\r\n")
    ]
    for answer in answers:
        np.testing.assert_allclose(probabilities(answer), expected, rtol=1e-12)
        assert set(answer.json) == {"predictions"}
    assert len(kept(engine, [p["id"] for p in answers[-1].json["predictions"]])) == 3
    one = probabilities(ask(server, "/invocations", {"inputs": few[0]}))
    assert one == probabilities(ask(server, PREDICT, few[0]))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([1], 400),
        ({}, 400),
        ({"instances": [], "inputs": []}, 400),
        ({"instances": []}, 400),
        ({"dataframe_split": []}, 400),
        ({"dataframe_split": {"columns": ["a", "a"], "data": []}}, 400),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, 400),
        ({"dataframe_split": {"columns": ["a"], "data": [5]}}, 400),
        ({"inputs": {"a": [1], "b": [1, 2]}}, 400),
        ({"inputs": {}}, 400),
        ({"inputs": {"a": []}}, 400),
        ({"dataframe_records": [{"a": [1]}]}, 422),
        ({"instances": [{"a": 1}]}, 422),
        ({"dataframe_split": {"columns": ["a"], "data": [[1]] * 10_001}}, 413),
        ({"inputs": {"a": [1] * 10_001}}, 413),
    ],
)
def test_forms_that_are_none_are_refused(server, body, status):
    answer = ask(server, "/invocations", body)
    assert (answer.status, well_refused(answer)) == (status, True), answer.text[:500]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"", 400),
        (b"\n\n", 400),
        (b"age,age\n1,2\n", 400),
        (b"age,country\n1\n", 400),
        (b"age\n", 400),
        (b'age\n"1\n', 400),
        (b"age\n\xff\n", 400),
        (b"age\n1\n", 422),
        (b"age\n" + b"1\n" * 10_001, 413),
        (b"age\n" + b"x" * 200_000, 400),
    ],
)
def test_csv_that_cannot_be_used_is_refused(server, text, status):
    answer = ask(server, "/invocations", text, Content_Type="text/csv")
    assert (answer.status, well_refused(answer)) == (status, True), answer.text[:500]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "ü", ";"]
)
def test_other_content_types_are_not_read(server, rows, kind):
    answer = ask(
        server, "/invocations", {"instances": rows[:1]}, Content_Type=kind.encode("latin-1")
    )
    assert answer.status == (200 if kind == ";" else 415)
    assert answer.status == 200 or (answer.codes == ["content-type"] and well_refused(answer))


# --- about the server ----------------------------------------------------------------------------


def test_ping_health_and_model_say_what_is_served(server, run, bundle):
    assert (ask(server, "/ping").status, ask(server, "/ping").text) == (200, "\n")
    assert ask(server, "/health").json == {
        "status": "ok",
        "model": run.pathspec,
        "spooled_files": 0,
    }
    result = ask(server, "/model").json
    assert (result["model"], result["sha256"]) == (
        run.pathspec,
        run["evaluate"].task["bundle_sha256"].data,
    )
    assert (result["problem"], result["why"], result["promoted_by"]) == (
        PROBLEM,
        "for the tests",
        "tests",
    )
    assert result["decisions"] == list(bundle.metadata.outcomes)
    assert result["threshold"] == bundle.metadata.threshold.value
    assert set(result["columns"]["properties"]) == set(bundle.schema.names())
    assert (
        0.5 < result["roc_auc"]["low"] < result["roc_auc"]["value"] < result["roc_auc"]["high"] <= 1
    )


def counts(server: Server) -> dict[tuple[str, ...], float]:
    """{(sample, labels...): value} of /metrics, read as Prometheus would."""
    families = text_string_to_metric_families(ask(server, "/metrics").text)
    return {
        (s.name, *map(str, s.labels.values())): s.value
        for family in families
        for s in family.samples
    }


def test_the_metrics_count_right(server, rows):
    before = counts(server)
    ask(server, PREDICT, [rows[0], {**rows[1], "country": "Elbonia"}])
    ask(server, PREDICT, b"no")
    ask(server, "/nowhere")
    after = counts(server)
    increase = {
        key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)
    }
    assert increase["fivefold_requests_total", PREDICT, "200"] == 1
    assert increase["fivefold_requests_total", PREDICT, "400"] == 1
    assert increase["fivefold_requests_total", "other", "404"] == 1
    assert increase["fivefold_requests_total", "/metrics", "200"] == 1
    assert increase["fivefold_predictions_with_warnings_total",] == 1
    assert sum(n for key, n in increase.items() if key[0] == "fivefold_predictions_total") == 2
    assert increase["fivefold_request_seconds_count", PREDICT] == 2
    assert after["fivefold_spooled_files",] == 0


# --- feedback ------------------------------------------------------------------------------------


def outcomes(answer: Answer) -> dict[str, int]:
    assert answer.status == 200, answer.text
    return {name: n for name, n in answer.json.items() if name != "told" and n}


def test_labels_by_id_and_by_id_columns_find_their_prediction(server, engine, rows):
    before = labels.counts(engine, PROBLEM)["unknown"]
    result = ask(
        server,
        PREDICT,
        {"rows": [{**row, "customer_id": f"F{n}"} for n, row in enumerate(rows[:4])]},
    ).json["predictions"]
    by_id = {
        "prediction_id": result[0]["id"],
        "label": "yes",
        "observed_at": "2026-01-02T03:04:05+02:00",
    }
    by_customer = {"customer_id": "F1", "churned": "no"}
    assert outcomes(ask(server, "/feedback", {"labels": [by_id, by_customer]})) == {"accepted": 2}
    assert outcomes(ask(server, "/feedback", by_id)) == {"duplicate": 1}
    assert outcomes(
        ask(server, "/feedback", [{**by_id, "label": False}, {"customer_id": " F2 ", "label": 1.0}])
    ) == {"corrected": 1, "accepted": 1}
    assert outcomes(ask(server, "/feedback", {"prediction_id": "nobody", "label": 1})) == {
        "unknown": 1
    }
    assert outcomes(ask(server, "/feedback", {"customer_id": "nobody", "label": "NO"})) == {
        "unknown": 1
    }
    both = ask(
        server, "/feedback", [{"prediction_id": result[3]["id"], "label": x} for x in ("0", "TRUE")]
    )
    assert outcomes(both) == {"accepted": 1, "corrected": 1}
    assert both.json["told"] == "1 accepted, 1 corrected"
    lines = kept(engine, [p["id"] for p in result])
    assert lines["label"].tolist() == [0, 0, 1, 1]
    assert labels.counts(engine, PROBLEM)["unknown"] == before + 2


def test_labels_that_cannot_be_used_are_named_all_at_once_and_none_is_taken(server, engine):
    before = labels.counts(engine, PROBLEM)
    answer = ask(
        server,
        "/feedback",
        {
            "labels": [
                {"prediction_id": "a", "label": "maybe"},
                {"label": 1},
                {"prediction_id": "a", "label": 1, "observed_at": "soon"},
                7,
                {"prediction_id": "a", "label": 1, "observed_at": "0001-01-01T00:00:00+14:00"},
                {"prediction_id": "a", "label": 1},
            ]
        },
    )
    assert (answer.status, well_refused(answer)) == (400, True)
    assert [(p["code"], p["field"]) for p in answer.json["problems"]] == [
        ("feedback-label", "labels[0].label"),
        ("feedback-case", "labels[1]"),
        ("feedback-time", "labels[2].observed_at"),
        ("feedback-row", "labels[3]"),
        ("feedback-time", "labels[4].observed_at"),
    ]
    assert answer.json["problems"][0]["expected"] == "'yes' or 'no', or 1 or 0"
    assert labels.counts(engine, PROBLEM) == before
    assert ask(server, "/feedback", {"labels": 5}).status == 400
    assert ask(server, "/feedback", [{"prediction_id": "a", "label": 1}] * 10_001).codes == [
        "too-many-rows"
    ]


# --- following what is promoted ------------------------------------------------------------------


def eventually(true: Any, seconds: float = FOLLOW) -> float:
    """Seconds until `true()` holds, asked every 50 ms."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "it did not happen"
        time.sleep(0.05)
    return time.monotonic() - began


def promote(server: Server, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("promote.py", *arguments),
        env=server.env,
        cwd=server.spool.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_a_threshold_and_a_rollback_are_followed_without_a_restart(server, engine, rows, bundle):
    first = ask(server, PREDICT, rows[0]).json
    raised = promote(server, "threshold", "0.9", "--why", "a test")
    eventually(lambda: ask(server, "/model").json["threshold"] == 0.9, 30)
    result = ask(server, PREDICT, rows[0]).json
    assert result["threshold"] == 0.9
    assert result["predictions"][0]["probability"] == first["predictions"][0]["probability"]
    assert set(kept(engine, [result["predictions"][0]["id"]])["threshold"]) == {0.9}
    assert ask(server, "/model").json["why"] == "a test"
    undone = promote(server, "rollback")  # loads the earlier model first: not the server's time
    rolled_back = promotions.ROLLED_BACK
    eventually(lambda: promotions.champion(engine, PROBLEM).action == rolled_back, PATIENCE)
    threshold = bundle.metadata.threshold.value
    took = eventually(lambda: ask(server, "/model").json["threshold"] == threshold, 30)
    assert "at threshold 0.9. a test" in raised.communicate(timeout=PATIENCE)[0]
    assert undone.communicate(timeout=PATIENCE)[0].startswith("rolled-back")
    busy = max(
        1.0, os.getloadavg()[0] / (os.cpu_count() or 1)
    )  # the machine may have more to do than this
    assert took < 5 * busy


def test_without_a_model_every_path_says_what_to_do_and_a_promotion_is_enough(
    store, tmp_path, run, rows
):
    key = {"Authorization": "Bearer two"}
    with serving(store, tmp_path, keys="one, two ,schlüssel", rate=60) as server:
        for path, body in (
            (PREDICT, rows[0]),
            ("/invocations", {"instances": rows[:1]}),
            ("/feedback", {"prediction_id": "a", "label": 1}),
            ("/model", None),
            ("/health", None),
            ("/ping", None),
        ):
            answer = ask(server, path, body, **key)
            assert (answer.status, answer.codes, well_refused(answer)) == (
                503,
                ["nothing-promoted"],
                True,
            ), path
            assert "python flows/promote.py promote RUN" in answer.json["problems"][0]["action"]
        assert ask(server, "/openapi.json", **key).json["components"]["schemas"]["Row"] == {
            "type": "object"
        }
        damaged = {"sha256": "0" * 64, "replaces": 0}
        decide(journal.open_journal(server.journal), PROBLEM, run.pathspec, **damaged)
        eventually(lambda: ask(server, "/health").codes == ["bundle-digest"])
        assert ask(server, PREDICT, rows[0], **key).status == 503
        promoted(tmp_path, run)
        eventually(lambda: ask(server, "/health").status == 200, PATIENCE)
        check_keys(server, rows)
        check_rate(server, rows)


def check_keys(server: Server, rows: list[dict[str, Any]]) -> None:
    for headers in (
        {},
        {"Authorization": "Bearer three"},
        {"X_API_Key": "tw"},
        {"Authorization": "Basic two"},
        {"X_API_Key": "ü"},
        {"Authorization": "Bearer "},
    ):
        answer = ask(server, PREDICT, rows[0], **headers)
        assert (answer.status, answer.codes, well_refused(answer)) == (
            401,
            ["key-missing"],
            True,
        ), headers
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert {ask(server, path).status for path in ("/model", "/metrics", "/nowhere")} == {401}
    assert {ask(server, path).status for path in ("/health", "/ping")} == {200}
    assert {ask(server, path).status for path in ("/docs", "/openapi.json")} == {401}
    for headers in (
        {"Authorization": "Bearer one"},
        {"X_API_Key": "two"},
        {"X_API_Key": "schlüssel".encode()},
    ):
        assert ask(server, PREDICT, rows[0], **headers).status == 200


def check_rate(server: Server, rows: list[dict[str, Any]]) -> None:
    answers = [ask(server, PREDICT, rows[0], X_API_Key="one") for _ in range(61)]
    refused = [answer for answer in answers if answer.status != 200]
    assert 0 < len(refused) < 40
    assert {(answer.status, *answer.codes) for answer in refused} == {(429, "rate")}
    assert well_refused(refused[0])
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 2
    assert ask(server, "/ping").status == 200
    time.sleep(int(refused[-1].headers["Retry-After"]))
    assert ask(server, PREDICT, rows[0], X_API_Key="one").status == 200


# --- when things break ---------------------------------------------------------------------------


def times_kept(engine: Any, ids: list[str]) -> list[int]:
    actual = journal.read_predictions(engine, PROBLEM, columns=["id"])["id"].value_counts()
    return [int(actual.get(number, 0)) for number in ids]


def test_a_locked_journal_delays_answers_and_loses_none(server, engine, rows):
    lock = sqlite3.connect(str(engine.url.database), isolation_level=None)
    with contextlib.closing(lock), ThreadPoolExecutor(4) as pool:
        lock.execute("BEGIN EXCLUSIVE")
        asked = [pool.submit(ask, server, PREDICT, [row]) for row in rows[:4]]
        time.sleep(1)
        assert ask(server, "/health").status == 200
        wait(asked, PATIENCE, FIRST_COMPLETED)  # given up by the journal, so spooled
        lock.execute("COMMIT")
        result = [future.result().json for future in asked]
    ids = [answer["predictions"][0]["id"] for answer in result]
    # the others may have come when the lock was gone
    assert "spooled" in [answer.get("journal") for answer in result]
    eventually(lambda: times_kept(engine, ids) == [1] * 4, 15)
    eventually(lambda: ask(server, "/health").json["spooled_files"] == 0)
    assert "journal" not in ask(server, PREDICT, rows[0]).json


def test_a_journal_that_is_removed_is_missed_by_nobody(store, tmp_path, run, rows):
    promoted(tmp_path, run).dispose()
    with serving(store, tmp_path) as server:
        ask(server, PREDICT, rows[0])
        shutil.rmtree(tmp_path / "kept")
        server.spool.write_text("in the way")
        nowhere = ask(server, PREDICT, rows[0])
        assert (nowhere.status, nowhere.codes, well_refused(nowhere)) == (
            503,
            ["journal-unreachable"],
            True,
        )
        server.spool.unlink()
        result = ask(server, PREDICT, rows[:2]).json
        assert result["journal"] == "spooled"
        assert ask(server, "/health").json["spooled_files"] == 1
        assert counts(server)["fivefold_spooled_files",] == 1
        lost = ask(server, "/feedback", {"prediction_id": "a", "label": 1})
        assert (lost.status, lost.codes, well_refused(lost)) == (503, ["journal-unreachable"], True)
        fresh = journal.open_journal(server.journal)
        ids = [p["id"] for p in result["predictions"]]
        eventually(lambda: times_kept(fresh, ids) == [1, 1], 15)
        assert "journal" not in ask(server, PREDICT, rows[0]).json


@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_acknowledged_survives_a_kill(store, tmp_path, run, rows, workers):
    engine = promoted(tmp_path, run)
    with serving(store, tmp_path, workers=workers) as server:
        if workers > 1:
            check_workers(server, engine, rows)
        acknowledged: list[str] = []

        def load(n: int) -> None:
            with contextlib.suppress(
                OSError, http.client.HTTPException, ValueError
            ):  # killed before or amid the answer
                while True:
                    answer = ask(server, PREDICT, rows[n * 7 : n * 7 + 1 + n])
                    acknowledged.extend(p["id"] for p in answer.json["predictions"])

        clients = [threading.Thread(target=load, args=(n,)) for n in range(4)]
        for client in clients:
            client.start()
        eventually(lambda: len(acknowledged) > 100, PATIENCE)
        os.killpg(server.pid, signal.SIGKILL)
        for client in clients:
            client.join(PATIENCE)
    assert len(acknowledged) > 40
    empty(engine, server.spool)
    assert times_kept(engine, acknowledged) == [1] * len(acknowledged)
    with sqlite3.connect(str(engine.url.database)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def check_workers(server: Server, engine: Any, rows: list[dict[str, Any]]) -> None:
    """Counts add up over the processes, and all of them follow."""
    before = counts(server)
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda row: ask(server, PREDICT, row).status, rows[:40]))
    assert result == [200] * 40
    now = counts(server)
    assert (
        now["fivefold_requests_total", PREDICT, "200"]
        - before.get(("fivefold_requests_total", PREDICT, "200"), 0)
        == 40
    )
    assert sum(n for key, n in now.items() if key[0] == "fivefold_predictions_total") == 40
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port)) as connection:
        times = []
        for _ in range(
            20
        ):  # over one connection: Nagle's algorithm would hold each answer back for 40 ms
            times.append(-time.perf_counter())
            connection.request("GET", "/ping")
            connection.getresponse().read()
            times[-1] += time.perf_counter()
    assert min(times) < 0.02
    held = promotions.champion(engine, PROBLEM)
    assert held
    changed = {"action": promotions.THRESHOLD, "sha256": held.sha256, "replaces": held.seq}
    decide(engine, PROBLEM, held.model, threshold=0.8, **changed)
    eventually(lambda: {ask(server, "/model").json["threshold"] for _ in range(20)} == {0.8})
    decide(engine, "another", held.model, threshold=0.1, replaces=0, sha256=held.sha256)
    time.sleep(1.5)
    # clients of one problem never meet another
    assert {ask(server, "/model").json["threshold"] for _ in range(20)} == {0.8}


def test_settings_that_cannot_be_used_stop_the_start_with_one_line_each(store, tmp_path):
    env = {
        **environment(store),
        "FIVEFOLD_JOURNAL": f"sqlite:///{tmp_path}/j.db",
        "FIVEFOLD_API_PORT": "80000",
        "FIVEFOLD_API_KEY": "x",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "frontend" / "api.py")],
        env=env,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "setting-wrong [FIVEFOLD_API_PORT]" in done.stderr
    assert "setting-unknown [FIVEFOLD_API_KEY]" in done.stderr
