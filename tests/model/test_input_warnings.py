"""Warnings on rows as data, worked by hand; and quick reading against a plain one."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest

from fivefold.core.clock import today
from fivefold.core.findings import ERROR, WARNING
from fivefold.core.schema import Column, Schema
from fivefold.data.coerce import coerce_columns
from fivefold.data.splits import Split
from fivefold.model.bundle import Bundle
from fivefold.model.calibration import IDENTITY
from fivefold.model.input_warnings import (
    InputWarning,
    counts,
    find_warnings,
    messages_by_row,
    severity_texts,
)
from fivefold.model.inputs import MISSING
from fivefold.model.metadata import Metadata, Outcomes
from fivefold.model.threshold import Threshold
from fivefold.training.algorithms import ALGORITHMS
from tests.support.tables import mixed, prepared
from tests.support.training import candidate, fit_final

SCHEMA = Schema(
    (
        Column("age", "numeric", low=18.0, high=90.0),
        Column("city", "categorical", distinct=2, levels=("Bern", "Rome"), nullable=True),
        Column("vip", "boolean", levels=("no", "yes"), nullable=True),
        Column(
            "since",
            "date",
            nullable=True,
            low=19_000.0,
            high=19_100.0,
            parse={"format": "%Y-%m-%d"},
        ),
        Column("who", "id", used=False),
    ),
    "left",
    "no",
    "yes",
)
WITH_ODD_CELLS = replace(
    SCHEMA,
    columns=(replace(SCHEMA["age"], odd_cells=True, nullable=True), *SCHEMA.columns[1:]),
)
AS_MISSING = "cannot be read, taken as missing as in training"


def told(schema=SCHEMA, **columns):
    """Warnings on a table that fits but for `columns`, as plain tuples."""
    frame = pd.DataFrame(
        {
            "age": [30, 40, 50],
            "city": ["Bern", "Rome", "Bern"],
            "vip": ["yes", "no", "yes"],
            "since": ["2022-01-08"] * 3,
            **columns,
        }
    ).set_index(pd.Index([7, 7, 9]))
    typed, problems = coerce_columns(frame, schema)
    return [
        (w.column, w.code, w.severity, w.rows.tolist(), [f"{w.column}: {m}" for m in w.messages()])
        for w in find_warnings(frame, typed, problems, schema)
    ]


# --- one by one ----------------------------------------------------------------------------------


def test_a_fitting_table_has_no_warnings():
    assert told() == []
    assert (
        told(city=["Bern", None, "Bern"], vip=[None] * 3, since=[None] * 3) == []
    )  # gaps that training saw


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (
            {"age": [30, "x", "inf"]},
            [
                ("age", "unreadable", ERROR, [1], ["age: 'x' is not a number"]),
                ("age", "unreadable", ERROR, [2], ["age: 'inf' is not finite"]),
            ],
        ),
        (
            {"since": ["2022-01-08", "2022-31-01", None]},
            [("since", "unreadable", ERROR, [1], ["since: '2022-31-01' is not a date"])],
        ),
        (
            {"schema": WITH_ODD_CELLS, "age": [30, "x", "inf"]},
            [
                ("age", "odd", WARNING, [1], [f"age: 'x' {AS_MISSING}"]),
                ("age", "odd", WARNING, [2], [f"age: 'inf' {AS_MISSING}"]),
            ],
        ),
        (
            {"vip": ["maybe", "no", "?"]},
            [
                (
                    "vip",
                    "not-yes-or-no",
                    WARNING,
                    [0, 2],
                    [
                        "vip: 'maybe' is neither yes nor no, taken as missing",
                        "vip: '?' is neither yes nor no, taken as missing",
                    ],
                )
            ],
        ),
        (
            {"age": [None, 40, np.nan]},
            [("age", "missing", WARNING, [0, 2], ["age: missing, which training never saw"] * 2)],
        ),
        (
            {"age": [17.5, 90, 1e6]},
            [
                (
                    "age",
                    "outside",
                    WARNING,
                    [0, 2],
                    [
                        "age: 17.5 is outside the training range 18 to 90",
                        "age: 1e+06 is outside the training range 18 to 90",
                    ],
                )
            ],
        ),
        (
            {"city": ["Oslo", " Rome ", None]},
            [("city", "unseen", WARNING, [0], ["city: 'Oslo' was not seen in training"])],
        ),
    ],
)
def test_each_warning_is_named_with_its_rows_and_texts(columns, expected):
    assert told(**columns) == expected


def test_a_date_is_far_beyond_the_span_of_training_and_a_year():
    # span: 100 days + 365; still good are the days
    # 19100 + 465 = 19565 (2023-07-27) and 19000 - 465 = 18535 (2020-09-30)
    assert told(since=["2023-07-27", "2020-09-30", "2022-01-08"]) == []
    assert told(since=["2023-07-28", "2020-09-29", "2022-01-08"]) == [
        (
            "since",
            "outside",
            WARNING,
            [0, 1],
            [
                "since: 2023-07-28 is far from the dates in training",
                "since: 2020-09-29 is far from the dates in training",
            ],
        )
    ]


def test_an_unreadable_cell_is_no_gap_and_a_gap_beside_it_is():
    assert [(code, rows) for _, code, _, rows, _ in told(age=["x", None, 30])] == [
        ("unreadable", [0]),
        ("missing", [1]),
    ]


def test_levels_are_new_only_where_all_are_known():
    some = Schema(
        (Column("city", "categorical", distinct=3, levels=("Bern", "Rome"), nullable=True),),
        "left",
        "no",
        "yes",
    )
    assert told(some, city=["Oslo", "Bern", "x"]) == []


def test_unreadable_ones_come_first_then_the_columns_in_order():
    assert [
        (c, code) for c, code, *_ in told(age=[1, None, "x"], city=["Oslo"] * 3, vip=["?"] * 3)
    ] == [
        ("age", "unreadable"),
        ("vip", "not-yes-or-no"),
        ("age", "missing"),
        ("age", "outside"),
        ("city", "unseen"),
    ]


def test_no_rows_have_no_warnings():
    frame = pd.DataFrame(columns=["age", "city", "vip", "since"])
    assert find_warnings(frame, *coerce_columns(frame, SCHEMA), SCHEMA) == []


# --- together ------------------------------------------------------------------------------------


def test_texts_are_joined_by_row_in_order_and_counted_by_code_and_column():
    actual = [
        InputWarning("a", "unseen", np.array([0, 2]), ["x", "y"]),
        InputWarning("b", "missing", np.array([2, 3])),
        InputWarning("a", "outside", np.array([2]), [7.0], 1.0, 5.0),
    ]
    x, y = ("a: 'x' was not seen in training", "a: 'y' was not seen in training")
    gap = "b: missing, which training never saw"
    far = "a: 7 is outside the training range 1 to 5"
    assert severity_texts(5, actual)[1].tolist() == [x, "", f"{y}; {gap}; {far}", gap, ""]
    assert counts(actual) == {"unseen": {"a": 2}, "missing": {"b": 2}, "outside": {"a": 1}}
    assert severity_texts(2, [])[1].tolist() == ["", ""]
    assert counts([]) == {}
    later = [warning.part(2, 4) for warning in actual]
    assert severity_texts(2, later)[1].tolist() == [f"{y}; {gap}; {far}", gap]


def test_texts_on_hidden_columns_come_once_and_without_values():
    actual = [
        InputWarning("a", "unseen", np.array([0, 2]), ["secret; b: x", "y"]),
        InputWarning("b", "unseen", np.array([0]), ["open"]),
        InputWarning("a", "missing", np.array([2])),
    ]
    hidden = "a: unusual or unreadable"
    assert severity_texts(3, actual, ["a"])[1].tolist() == [
        f"b: 'open' was not seen in training; {hidden}",
        "",
        hidden,
    ]


def test_a_category_that_looks_like_two_warnings_is_one():
    [(_, code, _, rows, texts)] = told(city=["x; name: y", "Rome", "Bern"])
    assert (code, rows) == ("unseen", [0])
    assert texts == ["city: 'x; name: y' was not seen in training"]
    warning = InputWarning("city", "unseen", np.array([0]), ["x; name: y"])
    assert messages_by_row([warning], WARNING) == {
        0: [("city", "'x; name: y' was not seen in training")]
    }
    assert messages_by_row([warning], ERROR) == {}


# --- the same numbers as a plain reading ---------------------------------------------------------


def odd_rows():
    """Rows of every sort: gaps, unseen levels, unreadable cells, odd spellings."""
    frame = mixed(300, seed=3).drop(columns="left").astype("object")
    rng = np.random.default_rng(0)
    cells = {
        "amount": [None, "x", 1e9, "12.5", np.inf],
        "age": [None, "-3", "", 20.0],
        "region": [None, "atlantis", " north ", 7],
        "shop": [None, "shop 99"],
        "member": [None, "YES", "perhaps", True, 0, 1.0],
        "note": [None, "", "late " * 30],
        "since": [None, "2020-02-29", "2020-02-30", pd.Timestamp("2021-05-06 07:08"), "1900-01-01"],
    }
    for name, values in cells.items():
        for row in rng.choice(300, 40, replace=False):
            frame.loc[row, name] = values[rng.integers(len(values))]
    return frame


def plain_reading(frame, schema):
    """What the model should see, cell by cell; for schemas like that of `mixed`."""
    scored_on = (today() - date(1970, 1, 1)).days  # the only date counts back from this day
    columns, flags = (
        {},
        {
            "yes": 1.0,
            "no": 0.0,
            "true": 1.0,
            "false": 0.0,
            "1": 1.0,
            "0": 0.0,
            "1.0": 1.0,
            "0.0": 0.0,
        },
    )
    for name in schema.names():
        kind, cells = schema[name].kind, [None if pd.isna(v) else v for v in frame[name]]
        if kind == "numeric":
            columns[name] = [np.nan if v is None else float(v) for v in cells]
        elif kind == "boolean":
            columns[name] = [flags.get(str(v).strip().lower(), np.nan) for v in cells]
        elif kind == "date":
            stamps = [None if v is None else pd.Timestamp(v) for v in cells]
            for part, of in (
                ("", lambda s: scored_on - s.value / 1e9 / 86400),
                (" (month)", lambda s: s.month),
                (" (weekday)", lambda s: s.weekday()),
                (" (hour)", lambda s: s.hour),
            ):
                columns[name + part] = [
                    np.nan if s is None else float(of(s.as_unit("ns"))) for s in stamps
                ]
        else:
            columns[name] = [
                (MISSING if kind == "categorical" else "") if v is None else str(v).strip()
                for v in cells
            ]
    return pd.DataFrame(columns)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_probabilities_are_those_of_the_stock_pipeline_on_a_plain_reading(name, monkeypatch):
    typed, y, fold_ids, schema = prepared()
    rows = Split(fold_ids).training_rows
    calibration = replace(IDENTITY, a=0.8)
    bundle = Bundle(
        fit_final(candidate(name), typed.iloc[rows], y[rows], schema),
        schema,
        Metadata(
            calibration=calibration,
            threshold=Threshold(0.4),
            outcomes=Outcomes("stays", "leaves"),
        ),
    )
    frame = odd_rows()
    scores, actual = bundle.assess(frame)
    good = (scores["error"] == "").to_numpy()
    assert 20 < (~good).sum() < 150
    assert {d.code for d in actual} == {
        "unreadable",
        "not-yes-or-no",
        "missing",
        "outside",
        "unseen",
    }
    expected = calibration.apply(
        bundle.pipeline.predict_proba(plain_reading(frame[good], schema))[:, 1]
    )
    np.testing.assert_allclose(
        scores.loc[good, "probability"], expected, rtol=1e-14 if name == "adaboost" else 0
    )  # a sum in another order
    exact = name != "logistic_regression"  # BLAS sums in another order for another number of rows
    pd.testing.assert_frame_equal(bundle.score(frame), scores, check_exact=True)
    for lot in (64, 101):
        monkeypatch.setattr("fivefold.model.bundle.BATCH_ROWS", lot)
        pd.testing.assert_frame_equal(
            bundle.score(frame),
            scores,
            check_exact=exact,
            **({} if exact else {"rtol": 1e-12, "atol": 0}),
        )
    error, warning = severity_texts(len(frame), actual)
    assert warning.tolist() == scores["warnings"].tolist()
    assert error.tolist() == scores["error"].tolist()
