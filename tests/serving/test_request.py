"""Requests as bytes, labels as people give them, settings as text: read, or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.core.findings import Refused
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.model.bundle import Bundle
from fivefold.model.evaluation import Evaluation, Importance
from fivefold.serving import api_settings, json_rows, labels, request
from fivefold.serving.journal_rows import Recorder, entity_of
from fivefold.serving.served_model import ServedModel
from frontend.api_metrics import MOST_CLIENTS, wait
from tests.support.models import bundle_of, changed

SCHEMA = Schema(
    (
        Column("age", "numeric", low=18.0, high=90.0),
        Column("city", "categorical", distinct=2, levels=("Bern", "3.0")),
        Column("member", "boolean", nullable=True, levels=("no", "yes")),
        Column("id", "id", used=False),
    ),
    "left",
    "no",
    "yes",
)


# --- JSON ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}',
        b' [1, 2.5e3, null, true, "\xc3\xb6\\u00f6\\ud83e\\udd84"]\n',
        b"\xef\xbb\xbf{}",
        b"-0.0",
        b"1e-400",
        b'{"A": 1, "a": 2}',
        b'"\\u0000"',
        b"[" * 200 + b"]" * 200,
    ],
)
def test_good_json_is_what_the_standard_library_reads(body):
    assert request.parse(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "code", "found"),
    [
        (b"", "request-unreadable", "an empty body"),
        (b"{", "request-unreadable", "at line 1, column 2"),
        (b'{"a": 1} x', "request-unreadable", "extra data at line 1, column 10"),
        (b"\xff", "request-unreadable", "byte 0xff at position 0"),
        (b'{"a": NaN}', "number-not-finite", "NaN"),
        (b"[-Infinity]", "number-not-finite", "-Infinity"),
        (b"1e309", "number-too-large", "the number 1e309"),
        (b"9" * 5000, "number-too-large", "the number 9999"),
        pytest.param(
            b"0." + b"9" * 5000,
            "number-too-large",
            "a number of 5,002 characters",
            id="many-decimals",
        ),
        pytest.param(
            b"[" + b"[]," * 250_000 + b"[]]",
            "too-many-values",
            "more than 250,000 lists and objects",
            id="many-lists",
        ),
        pytest.param(
            b"[" + b"0," * 100_001 + b"0]",
            "too-many-values",
            "of more than 100,000 values",
            id="many-values",
        ),
        (b'{"b": {"a": 1, "c": 2, "a": 3}}', "key-repeated", "the key 'a' twice"),
        (b"[" * 50_000, "request-unreadable", "too deeply"),
        (b'"\\ud800"', "text-no-unicode", "\\ud800"),
        (b'{"\\uDfff": 1}', "text-no-unicode", "\\udfff"),
        (b'["\\ud83e", "\\udd84"]', "text-no-unicode", "\\ud83e"),
    ],
)
def test_bad_json_is_refused_in_words(body, code, found):
    with pytest.raises(Refused, match=code) as result:
        request.parse(body)
    assert found in result.value.findings[0].found


def test_a_repeated_key_among_many_is_found_at_once():
    body = "{" + ",".join(f'"k{n % 89_999}":0' for n in range(90_000)) + "}"
    with pytest.raises(Refused, match="the key 'k0' twice"):
        request.parse(body.encode())


@pytest.mark.parametrize("number", [0, -7, 2**63, 1234567890123456789, 10**307])
def test_whole_numbers_keep_every_digit(number):
    assert request.parse(str(number).encode()) == number
    assert type(request.parse(str(number).encode())) is int


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**300), 10**300)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_whatever_can_be_written_is_read_back(value):
    assert request.parse(json.dumps(value).encode()) == value
    assert request.parse(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=50))
def test_bytes_are_read_or_refused(body):
    for read in (
        request.parse,
        lambda x: request.csv_rows(x, 5),
        lambda x: request.rows_of(request.parse(x), 5),
        lambda x: request.invocation_rows(request.parse(x), 5),
    ):
        try:
            read(body)
        except Refused as refused:
            json.dumps([f.to_dict() for f in refused.findings]).encode()


# --- rows ----------------------------------------------------------------------------------------


def test_one_row_a_list_and_rows():
    row = {"age": 3}
    assert [request.rows_of(value, 5) for value in (row, [row], {"rows": [row]})] == [[row]] * 3
    assert request.rows_of({"rows": 3, "age": 1}, 5) == [{"rows": 3, "age": 1}]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (7, "request-unreadable"),
        ([], "request-unreadable"),
        ({"rows": None}, "request-unreadable"),
        ([{}, 1], r"row-no-object \[rows\[1\]\]"),
        ([{}] * 6, "too-many-rows.*at most 5 in one request.*6 rows"),
    ],
)
def test_rows_that_are_none(value, code):
    with pytest.raises(Refused, match=code):
        request.rows_of(value, 5)


def test_all_bad_rows_are_named_up_to_a_hundred():
    with pytest.raises(Refused, match="3 problems"):
        request.rows_of([1, {}, 2, None], 5)
    with pytest.raises(Refused, match=r"in 100 places \(rows\[0\], rows\[1\]") as many:
        request.rows_of([1] * 200, 500)
    assert len(many.value.findings) == 100
    with pytest.raises(Refused) as nested:
        json_rows.table_of([{"a": []}] * 200, SCHEMA)
    assert len(nested.value.findings) == 100


def test_mlflows_forms_are_the_same_rows():
    rows = [{"a": 1, "b": None}, {"a": 2, "b": "x"}]
    split = {"columns": ["a", "b"], "data": [[1, None], [2, "x"]]}
    for value in (
        {"dataframe_records": rows},
        {"dataframe_split": split},
        {"instances": rows},
        {"inputs": rows},
        {"inputs": {"a": [1, 2], "b": [None, "x"]}},
    ):
        assert request.invocation_rows(value, 2) == rows
        with pytest.raises(Refused, match="too-many-rows"):
            request.invocation_rows(value, 1)
    assert request.invocation_rows({"inputs": {"a": 1, "b": "x"}}, 2) == [{"a": 1, "b": "x"}]


def test_csv_is_texts_with_gaps_and_without_empty_lines():
    assert request.csv_rows(b'\xef\xbb\xbfa,"b\nc"\r\n1,\r\n\r\n" 2","x,""y"""\r\n', 2) == [
        {"a": "1", "b\nc": None},
        {"a": " 2", "b\nc": 'x,"y"'},
    ]
    assert request.csv_rows(b"a;b\n1;2\n", 1) == [{"a": "1", "b": "2"}]
    assert request.csv_rows(b"a\n1\n\n2\n", 2) == [{"a": "1"}, {"a": "2"}]
    for text in (b"a,b\n1,2\n3,4\n", b"a\n1\n2\n"):
        with pytest.raises(Refused, match="too-many-rows"):
            request.csv_rows(text, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty .body.: expected a header line and rows; found no content"),
        (b" \n\n", "empty .body."),
        (b'[{"a": 1}]', "not-csv .*: expected a table as CSV; found JSON"),
        (b'\xef\xbb\xbf{"a": 1, "b": 2}', "not-csv"),
        (b"<!DOCTYPE html><html>", "html-page"),
        (
            b"a,b,a,b\n1,2,3,4\n",
            "(?s)2 problems.*name 'a' in columns 1, 3.*name 'b' in columns 2, 4",
        ),
        (
            b"a,b\n1,2\n3\n4\n",
            r"row-width .*2 rows of another width; row \(fields\): 3 \(1\), 4 \(1\)",
        ),
        (b"a,b\n", "no-rows"),
        (b"a\n", "one-column"),
        (b"a\n1,2\n", "one-column"),
        pytest.param(
            b",".join([b"a"] * 20_000) + b"\n",
            "too-many-columns.*at most 10,000",
            id="many-columns",
        ),
        (b"a,b\n\xff,1\n", "expected comma-separated UTF-8 text with a header"),
    ],
)
def test_csv_that_cannot_be_used_is_refused_in_the_words_for_files(text, words):
    with pytest.raises(Refused, match=words):
        request.csv_rows(text, 5)


# --- rows as a table -----------------------------------------------------------------------------


def column(name: str, kind: str, values: list, **more) -> list:
    schema = Schema((Column(name, kind, nullable=True, **more),), "left", "no", "yes")
    return json_rows.table_of([{name: value} for value in values], schema)[0][name].tolist()


def test_numbers_among_texts_are_written_as_the_column_writes_them():
    comma = {"decimal": ",", "thousands": "."}
    assert column("x", "numeric", [12.345, "1.234,5", None, 7, 1e-7], parse=comma) == [
        "12,345",
        "1.234,5",
        np.nan,
        "7",
        "1e-07",
    ]
    assert column("x", "numeric", [12.345, None, 7], parse=comma) == [
        12.345,
        pytest.approx(np.nan, nan_ok=True),
        7,
    ]
    assert column("x", "numeric", [12.345, "1,234"], parse={"decimal": ".", "thousands": ","}) == [
        "12.345",
        "1,234",
    ]


def test_booleans_and_whole_numbers_find_the_level_of_training():
    assert column("x", "categorical", [True, 3, 3.0, 2.5, 10**20], levels=("TRUE", "3")) == [
        "TRUE",
        "3",
        "3",
        "2.5",
        "100000000000000000000",
    ]
    assert column("x", "categorical", [3.0, False], levels=("3.0",)) == ["3.0", "false"]
    assert column("x", "numeric", [True, 1]) == ["true", "1"]


def test_all_missing_columns_are_named_with_their_rows():
    with pytest.raises(
        Refused, match=r"(?s)2 problems.*\[age\].*in rows 1.*\[city\].*in rows 0, 1"
    ):
        json_rows.table_of([{"age": 1}, {"member": None}], SCHEMA, {"member"})
    row = {"age": 1, "city": "Bern", "left": "yes", "id": 3, "x" * 200: 1}
    frame, notes, absent = json_rows.table_of([row], SCHEMA, {"member"})
    assert list(frame.columns) == ["age", "city", "member"]
    assert notes == ["x" * 80 + ": not a column of the model, ignored"]
    assert [(w.column, w.code, w.severity, w.rows.tolist()) for w in absent] == [
        ("member", "absent", "warning", [0])
    ]
    many = {"age": 1, "city": "Bern", "member": 1, **{str(n): 0 for n in range(21)}}
    assert len(json_rows.table_of([many], SCHEMA).notes) == 21


def test_all_that_is_wrong_with_a_request_is_told_at_once():
    rows = [{"age": "abc", "city": ["Bern"], "member": 1}, {"Citty": "Bern", "age": 5}]
    with pytest.raises(Refused) as why:
        json_rows.table_of(rows, SCHEMA)
    told = [(f.code, f.subject, f.found, f.action) for f in why.value.findings]
    add = "add it; null says that the value is unknown"
    correct = "correct the value, or null for unknown"
    assert told == [
        ("value-nested", "rows[0].city", "a list", "give one plain value"),
        ("column-missing", "city", "no such field in rows 1", "rename 'Citty' to 'city'"),
        ("column-missing", "member", "no such field in rows 1", add),
        ("value-unreadable", "rows[0].age", "'abc' is not a number", correct),
    ]


def test_a_column_that_cannot_be_read_is_told_beside_single_cells():
    frame = pd.DataFrame({"age": ["old"] * 6, "since": ["2020-01-01"] * 5 + ["soon"]})
    since = Column("since", "date", parse={"format": "%Y-%m-%d"})
    schema = Schema((Column("age", "numeric"), since), "left", "no", "yes")
    told = [(f.code, f.subject) for f in json_rows.unreadable(frame, schema)]
    assert told == [("column-type", "age"), ("value-unreadable", "rows[5].since")]


AGES = pd.DataFrame({"age": [20.0, 30, None, 50] * 3, "fee": [1.0, 2, 3, None] * 3})


def measured(**importance: float) -> Bundle:
    """A model of `AGES` whose importances were measured so."""
    known = bundle_of(AGES, lambda x: x["age"].fillna(90.0) / 100)
    lines = [Importance(name, mean, 0.0) for name, mean in importance.items()]
    return changed(known, evaluation=Evaluation(importance=lines))


def test_a_column_may_be_absent_where_it_hardly_matters_or_the_scope_says_so():
    assert measured(age=0.1, fee=0.0019).optional == {"fee"}
    assert measured(age=0.1, fee=0.002).optional == set()
    assert measured().optional == set()  # not measured: it may matter
    named = bundle_of(AGES, lambda x: x["age"] / 100, optional_columns=("age", "gone"))
    assert named.optional == {"age"}
    full = bundle_of(AGES.assign(fee=range(12)), lambda x: x["age"] / 100)
    lines = [Importance("fee", 0.0, 0.0)]  # never empty in training
    assert changed(full, evaluation=Evaluation(importance=lines)).optional == set()


def test_an_absent_column_is_refused_or_warned_of_in_every_row():
    rows = [{"age": 20}, {"age": 30, "fee": None}, {"age": 40, "feee": 3}]
    known = measured(age=0.1, fee=0.0)
    table = json_rows.table_of(rows, known.schema, known.optional)
    scores, actual = json_rows.assess(known, table)
    told = [line["warnings"] for line in json_rows.answers(scores, actual, ["1", "2", "3"])]
    hint = "fee: no such column, taken as missing; is it 'feee'?"
    assert told == [[hint], [], [hint]]
    assert list(scores["warnings"]) == [hint, "", hint]  # in the journal, too
    with pytest.raises(Refused, match=r"column-missing \[age\].*rename 'Agee' to 'age'"):
        json_rows.table_of([{"Agee": 20, "fee": 1}], known.schema, known.optional)


def test_a_table_without_a_column_is_as_a_request_without_it():
    known = measured(age=0.1, fee=0.0)
    scores = known.score(AGES[["age"]])
    assert set(scores["warnings"]) == {"fee: no such column, taken as missing"}
    assert scores["probability"].tolist() == known.score(AGES)["probability"].tolist()
    with pytest.raises(Refused, match=r"column-missing \[age\].*\[columns\] optional"):
        known.score(AGES[["fee"]])


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return bundle_of(
        pd.DataFrame({"age": [20.0, 30, 40, 50], "city": ["Bern", "Rome", "Bern", "Rome"]}),
        lambda rows: rows["age"] / 100,
    )


def test_a_value_that_looks_like_two_notes_stays_one(bundle):
    rows = [
        {"age": 30, "city": "a; b"},
        {"age": "c; d: e", "city": "Rome"},
        {"age": 999, "city": None},
    ]
    scores, actual = bundle.assess(json_rows.table_of(rows, bundle.schema)[0])
    result = json_rows.answers(scores, actual, ["1", "2", "3"])
    assert result[0]["warnings"] == ["city: 'a; b' was not seen in training"]
    assert [len(line["warnings"]) for line in result] == [1, 0, 2]
    with pytest.raises(
        Refused, match=r"1 problem\n.*\[rows\[1\]\.age\]: .*found 'c; d: e' is not a number"
    ):
        json_rows.refuse_unreadable(actual, several=True)
    json_rows.refuse_unreadable(
        bundle.assess(json_rows.table_of(rows[:1], bundle.schema)[0])[1], several=False
    )


def test_rows_refused_together_are_journaled_without_what_is_hidden(bundle):
    scope = replace(bundle.metadata.scope, pseudonymised_columns=("age",))
    secret = changed(bundle, scope=scope)
    rows = [{"age": "forty-one", "city": "Bern"}] * 6
    with pytest.raises(Refused, match="column-type") as why:
        secret.assess(json_rows.table_of(rows, secret.schema)[0])
    recorder = Recorder(ServedModel(secret, "abc", "TrainFlow/1"), "api", b"key")
    none, lines = recorder.refused(rows, list("abcdef"), why.value, datetime(2026, 1, 1))
    assert none == []
    assert len(lines) == 6
    assert "forty-one" not in json.dumps(lines, default=str)
    assert {line["reason"] for line in lines} == {"age: unreadable"}


# --- labels --------------------------------------------------------------------------------------


def read(value, positive="yes", negative="no"):
    schema = Schema((), "left", negative, positive)
    return labels.read_labels([{"prediction_id": "a", "label": value}], schema, Scope(), b"k")[
        0
    ].label


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("yes", 1),
        (" NO ", 0),
        (1, 1),
        (0.0, 0),
        (True, 1),
        (False, 0),
        ("true", 1),
        ("0", 0),
        (np.int64(1), 1),
        (np.bool_(False), 0),
        (np.float64(1), 1),
    ],
)
def test_labels_in_many_spellings(value, label):
    assert read(value) == label


@pytest.mark.parametrize(
    "value", [None, "maybe", "", 2, 0.5, float("nan"), [1], {"label": 1}, "1.0"]
)
def test_labels_that_say_nothing(value):
    with pytest.raises(
        Refused, match=r"feedback-label \[labels\[0\]\.label\]: expected 'yes' or 'no', or 1 or 0"
    ):
        read(value)


def test_the_models_own_labels_come_first():
    assert [read(x, "False", "True") for x in (False, "false", True)] == [1, 1, 0]
    assert [read(x, "0", "1") for x in (0, "0", 1.0, False)] == [1, 1, 0, 0]
    assert [read(x, "2", "1") for x in (2, 1, "2")] == [1, 0, 1]
    assert [read(x, "Y", "y") for x in ("Y", "y")] == [1, 0]
    assert [read(x, "no", "yes") for x in ("no", "yes", 1)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("given_time", "kept"),
    [
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02", datetime(2026, 1, 2, 23, 59, 59, 999_999)),
        (None, None),
        ("", None),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
        (datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-1))), datetime(2026, 1, 2, 1)),
        (pd.Timestamp("2026-01-02", tz=UTC), datetime(2026, 1, 2)),
        (pd.Timestamp("2026-01-02"), datetime(2026, 1, 2, 23, 59, 59, 999_999)),
        (pd.Timestamp("2026-01-02T03:04"), datetime(2026, 1, 2, 3, 4)),
        (pd.NaT, None),
        (float("nan"), None),
    ],
)
def test_times_are_utc(given_time, kept):
    row = {"prediction_id": "a", "left": "yes", "observed_at": given_time}
    assert labels.read_labels([row], SCHEMA, Scope(), b"k")[0].observed_at == kept


@pytest.mark.parametrize(
    "given_time",
    ["soon", "2026-13-01", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", [1], {}, True],
)
def test_times_that_are_none(given_time):
    with pytest.raises(Refused, match="feedback-time"):
        labels.read_labels(
            [{"prediction_id": "a", "label": 1, "observed_at": given_time}], SCHEMA, Scope(), b"k"
        )


def test_a_case_is_named_by_its_id_or_by_all_id_columns():
    scope = Scope(id_columns=("bank", "id"), pseudonymised_columns=("id",))
    row = {"bank": 1.0, "id": " 7 ", "label": 1}
    line = labels.read_labels([row], SCHEMA, scope, b"k")[0]
    assert line.prediction_id is None
    assert line.entity == entity_of({"bank": "1", "id": 7}, scope, b"k")
    assert '"7"' not in line.entity
    long = labels.read_labels([{"prediction_id": "x" * 40, "label": 1}], SCHEMA, scope, b"k")[
        0
    ].prediction_id
    assert long == "x" * 40  # cut, it could be another's
    for lacking in (
        {"bank": 1},
        {"bank": 1, "id": None},
        {"bank": 1, "id": " "},
        {"prediction_id": ""},
        {},
    ):
        with pytest.raises(
            Refused, match=r"feedback-case \[labels\[0\]\]: expected prediction_id, or bank, id"
        ):
            labels.read_labels([{**lacking, "label": 1}], SCHEMA, scope, b"k")


def test_all_problems_are_named_at_once_up_to_a_hundred():
    with pytest.raises(Refused, match="4 problems"):
        labels.read_labels([{"label": "x", "observed_at": "y"}, 5], SCHEMA, Scope(), b"k")
    with pytest.raises(Refused, match="in 50 places") as many:
        labels.read_labels([{}] * 99, SCHEMA, Scope(), b"k")
    assert len(many.value.findings) == 100
    with pytest.raises(Refused, match="feedback-empty"):
        labels.read_labels([], SCHEMA, Scope(), b"k")


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["label"], "feedback-case"),
        (["prediction_id"], "feedback-label"),
        (["bank", "label"], "feedback-case"),
        (["x"], "(?s)feedback-case.*feedback-label"),
    ],
)
def test_a_table_of_labels_needs_a_case_and_a_label(names, code):
    with pytest.raises(Refused, match=code):
        labels.check_columns(names, SCHEMA, Scope(id_columns=("bank", "id")))
    for good in (["prediction_id", "left"], ["bank", "id", "label"]):
        labels.check_columns(good, SCHEMA, Scope(id_columns=("bank", "id")))


# --- settings and the rate -----------------------------------------------------------------------


def test_the_settings_by_default_and_as_given():
    result = api_settings.read_settings({})
    assert (result.host, result.port, result.workers, result.keys, result.rate) == (
        "127.0.0.1",
        8000,
        1,
        (),
        0,
    )
    result = api_settings.read_settings(
        {
            "FIVEFOLD_API_KEYS": " one,two ,, ",
            "FIVEFOLD_API_PORT": "65535",
            "FIVEFOLD_API_RATE": "0",
            "OTHER": "x",
            "FIVEFOLD_API_HOST": "0.0.0.0",
            "FIVEFOLD_API_WORKERS": "",
        }
    )
    assert (result.keys, result.port, result.rate, result.host, result.workers) == (
        ("one", "two"),
        65535,
        0,
        "0.0.0.0",
        1,
    )


def test_nobody_listens_beyond_this_machine_without_keys_by_mistake():
    for host in ("0.0.0.0", "192.168.0.1", "::", "server.example"):
        with pytest.raises(
            Refused, match=r"setting-open \[FIVEFOLD_API_HOST\].*FIVEFOLD_API_OPEN=1"
        ):
            api_settings.read_settings({"FIVEFOLD_API_HOST": host})
        for more in ({"FIVEFOLD_API_KEYS": "a"}, {"FIVEFOLD_API_OPEN": "1"}):
            assert api_settings.read_settings({"FIVEFOLD_API_HOST": host, **more}).host == host
    for host in ("127.0.0.1", "127.0.0.2", "localhost", "::1"):
        assert api_settings.read_settings({"FIVEFOLD_API_HOST": host}).host == host


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OPEN", "yes"),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", " 80"),
        ("WORKERS", "-1"),
        ("WORKERS", "2.0"),
        ("MAX_ROWS", "²"),
        ("MAX_BYTES", "1e6"),
        ("RATE", "-5"),
        ("RATE", "9" * 5000),
    ],
)
def test_settings_that_are_no_numbers(name, value):
    with pytest.raises(
        Refused, match=rf"setting-wrong \[FIVEFOLD_API_{name}\]: expected a whole number"
    ):
        api_settings.read_settings({f"FIVEFOLD_API_{name}": value})


def test_all_wrong_and_unknown_settings_are_named():
    with pytest.raises(
        Refused,
        match=r"(?s)3 problems.*_PORT.*_RATE.*"
        r"setting-unknown \[FIVEFOLD_API_KEY\]: expected .*FIVEFOLD_API_KEYS",
    ):
        api_settings.read_settings(
            {"FIVEFOLD_API_PORT": "x", "FIVEFOLD_API_RATE": "x", "FIVEFOLD_API_KEY": "secret"}
        )


def test_a_client_may_ask_so_often_and_others_do_not_count():
    held: dict[str, tuple[float, float]] = {}
    assert [wait(held, "a", 3, 0.0) for _ in range(4)] == [0, 0, 0, 20]
    assert wait(held, "b", 3, 0.0) == 0
    assert wait(held, "a", 3, 10.0) == pytest.approx(10)  # to be refused costs nothing
    assert wait(held, "a", 3, 20.0) == 0
    assert [wait(held, "a", 3, 1e6) for _ in range(4)] == [
        0,
        0,
        0,
        20,
    ]  # no more than a minute is saved up


def test_the_memory_for_clients_is_bounded():
    held: dict[str, tuple[float, float]] = {}
    for n in range(MOST_CLIENTS + 100):
        wait(held, str(n), 1, 0.0)
    assert len(held) <= MOST_CLIENTS + 1


@given(st.lists(st.floats(0, 30), min_size=1, max_size=80), st.integers(1, 120))
def test_never_more_than_the_rate_and_what_was_saved(gaps, rate):
    held: dict[str, tuple[float, float]] = {}
    now, passed = 0.0, 0
    for gap in gaps:
        now += gap
        passed += wait(held, "a", rate, now) == 0
        assert passed <= rate + now * rate / 60 + 1e-6
