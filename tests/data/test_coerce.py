"""What becomes of a table that is held against a contract."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.core.findings import (
    ERROR,
    WARNING,
)
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import (
    LARGEST,
    PROBLEM_COLUMNS,
    coerce_again,
    coerce_column,
    coerce_table,
    compare_columns,
    different,
)
from fivefold.data.infer import infer_schema
from fivefold.data.missing_markers import is_missing
from fivefold.data.parsing import NUMBER_RULES, to_numbers

SCHEMA = Schema(
    (
        Column("age", "numeric", low=18.0, high=90.0),
        Column("pay", "numeric", parse={"decimal": ",", "thousands": "."}),
        Column("city", "categorical", levels=("Bern", "Rome")),
        Column("vip", "boolean", levels=("non", "oui")),
        Column("since", "date", parse={"format": "%d/%m/%Y"}),
        Column("who", "id", used=False, why="identifies rows"),
    ),
    "y",
    "0",
    "1",
)


def rows(**columns):
    return pd.DataFrame(
        {
            "age": [30, 40],
            "pay": ["1.200,5", "7"],
            "city": ["Bern", " Oslo "],
            "vip": ["oui", "non"],
            "since": ["01/02/2024", "29/02/2024"],
            "who": [1, 2],
            **columns,
        }
    )


def problems_of(frame):
    return coerce_table(frame, SCHEMA)[1][["row", "column", "code", "value"]].to_numpy().tolist()


# --- coerce --------------------------------------------------------------------------------------


def test_a_fitting_table_has_the_stated_types_and_no_problems():
    typed, problems = coerce_table(rows(), SCHEMA)
    assert typed.columns.tolist() == ["age", "pay", "city", "vip", "since"]
    assert [str(t) for t in typed.dtypes] == [
        "float64",
        "float64",
        "str",
        "float64",
        "datetime64[us]",
    ]
    assert typed["pay"].tolist() == [1200.5, 7]
    assert typed["city"].tolist() == ["Bern", "Oslo"]  # a new level is no problem here
    assert typed["vip"].tolist() == [1, 0]
    assert typed["since"].tolist() == [pd.Timestamp("2024-02-01"), pd.Timestamp("2024-02-29")]
    assert len(problems) == 0
    assert problems.columns.tolist() == PROBLEM_COLUMNS


def test_every_cell_that_does_not_read_is_named_and_missing():
    frame = rows(
        age=["thirty", "inf"],
        vip=["oui", "perhaps"],
        since=["31/02/2024", "02/13/2024"],
        pay=["1,200.5", None],
    )
    typed, _ = coerce_table(frame, SCHEMA)
    assert problems_of(frame) == [
        [0, "age", "not-a-number", "thirty"],
        [1, "age", "infinite", "inf"],
        [0, "pay", "not-a-number", "1,200.5"],
        [1, "vip", "not-yes-or-no", "perhaps"],
        [0, "since", "not-a-date", "31/02/2024"],
        [1, "since", "not-a-date", "02/13/2024"],
    ]
    assert typed.isna().sum().to_dict() == {"age": 2, "pay": 2, "city": 0, "vip": 1, "since": 2}


def test_problem_rows_are_positions_whatever_the_index():
    assert problems_of(rows(age=[1, "x"]).set_index(pd.Index([70, 90]))) == [
        [1, "age", "not-a-number", "x"]
    ]
    assert coerce_table(rows().set_index(pd.Index([70, 90])), SCHEMA)[0].index.tolist() == [70, 90]


def test_a_long_cell_is_cut_in_the_problem():
    assert problems_of(rows(age=[1, "x" * 500]))[0][3] == "x" * 80


def test_missing_cells_are_no_problem():
    typed, problems = coerce_table(
        rows(**{n: [None, None] for n in ("age", "pay", "city", "vip", "since")}), SCHEMA
    )
    assert len(problems) == 0
    assert typed.isna().all().all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["OUI", "Non"], [1, 0]),
        (["yes", "no"], [1, 0]),
        ([True, False], [1, 0]),
        ([1, 0], [1, 0]),
        ([1.0, None], [1, np.nan]),
        (["1.0", "0.0"], [1, 0]),
        (["T", "off"], [1, 0]),
    ],
)
def test_flags_take_their_own_spelling_and_the_common_ones(values, expected):
    flags, problems = coerce_column(pd.Series(values), SCHEMA["vip"])
    np.testing.assert_array_equal(flags, expected)
    assert problems == []


def test_own_spelling_wins_over_the_common_one():
    flags, _ = coerce_column(pd.Series(["1", "2", "0"]), Column("f", "boolean", levels=("1", "2")))
    assert flags.tolist() == [0, 1, 0]


def test_dates_come_as_texts_stamps_or_zoned_stamps():
    stamps = pd.Series(pd.to_datetime(["2024-02-01", "2024-02-29"]))
    for values in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.strftime("%d/%m/%Y")):
        dates, problems = coerce_column(values, SCHEMA["since"])
        assert dates.tolist() == stamps.tolist()
        assert dates.dtype == "datetime64[us]"
        assert problems == []


def test_a_level_is_spelt_alike_whether_it_comes_as_integer_float_or_text():
    for values in ([1, 2], [1.0, 2.0], ["1", " 2"]):
        assert coerce_column(pd.Series(values), Column("zone", "categorical"))[0].tolist() == [
            "1",
            "2",
        ]


def test_absent_extra_and_unused_columns_are_left_out():
    typed, _ = coerce_table(rows(extra=1).drop(columns="pay"), SCHEMA)
    assert typed.columns.tolist() == ["age", "city", "vip", "since"]
    assert coerce_table(rows(), SCHEMA, used_only=False)[0].columns.tolist() == [
        *SCHEMA.names(used_only=False)
    ]


def test_no_rows_and_no_columns_are_coerced_to_empty_tables():
    typed, problems = coerce_table(rows().iloc[:0], SCHEMA)
    assert typed.shape == (0, 5)
    assert len(problems) == 0
    assert coerce_table(pd.DataFrame(index=[0, 1]), SCHEMA)[0].shape == (2, 0)


cells = st.one_of(
    st.none(), st.floats(), st.integers(-(10**12), 10**12), st.text(max_size=12), st.booleans()
)


@given(
    st.lists(st.fixed_dictionaries(dict.fromkeys(SCHEMA.names(), cells)), min_size=1, max_size=6)
)
@settings(max_examples=40, deadline=None)
def test_any_cells_are_coerced_and_each_lost_cell_is_a_problem(records):
    """The types hold for any input; a typed cell is missing if it was missing or is a problem."""
    frame = pd.DataFrame(records)
    typed, problems = coerce_table(frame, SCHEMA)
    assert [str(t) for t in typed.dtypes] == [
        "float64",
        "float64",
        "str",
        "float64",
        "datetime64[us]",
    ]
    for name in typed:
        lost = {
            row
            for row in np.flatnonzero(typed[name].isna() & frame[name].notna())
            if not is_missing(str(frame[name].iloc[row]), SCHEMA[name])
        }
        assert lost == set(problems.loc[problems["column"] == name, "row"])
    assert not np.isinf(typed[["age", "pay"]].to_numpy()).any()


@given(
    st.lists(
        st.tuples(st.sampled_from(["red", "blue", None]), st.floats(-1e6, 1e6), st.booleans()),
        min_size=4,
        max_size=20,
    )
)
@settings(max_examples=12, deadline=None)
def test_one_row_is_read_as_it_was_among_all(records):
    """No training-serving skew: a row alone gives what it gave in the table of the schema."""
    frame = pd.DataFrame(records, columns=["colour", "x", "b"]).assign(y=0)
    schema = infer_schema(frame, Scope(target="y"))
    whole, _ = coerce_table(frame, schema)
    alone = pd.concat([coerce_table(frame.iloc[[i]], schema)[0] for i in range(len(frame))])
    pd.testing.assert_frame_equal(whole, alone)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-(2**70), 2**70).map(str),
            st.floats().map(repr),
            st.text("0123456789.,e+-' $%(\u00a0\t_", max_size=8),
            st.sampled_from(
                [
                    "",
                    " ",
                    "nan",
                    "Infinity",
                    "1_000",
                    "true",
                    " 12 ",
                    "18446744073709551615",
                    "-9223372036854775809",
                    "1,200.50",
                ]
            ),
        ),
        max_size=6,
    ),
    st.sampled_from([{}, *NUMBER_RULES]),
)
def test_numbers_of_the_different_texts_are_those_of_all_texts(cells, rule):
    values = pd.Series(cells, dtype="str")
    result, _ = coerce_column(values, Column("n", "numeric", parse=rule))
    expected = to_numbers(values, "numeric", rule)
    np.testing.assert_array_equal(result, np.where(np.abs(expected) > LARGEST, np.nan, expected))


@pytest.mark.parametrize("column", SCHEMA.columns, ids=lambda column: column.name)
def test_a_cell_alone_reads_as_it_does_among_others(column):
    cells = pd.Series(
        [
            "30",
            " 30 ",
            "1.200,5",
            "oui",
            "OUI ",
            "\u00a0Rome",
            "01/02/2024",
            " 29/02/2024",
            "nonsense",
            "",
            None,
        ],
        dtype="str",
    )
    whole, problems = coerce_column(cells, column)
    for row in range(len(cells)):
        alone, actual = coerce_column(cells.iloc[[row]], column)
        pd.testing.assert_series_equal(pd.Series(alone), pd.Series(whole[[row]]))
        assert [f["code"].tolist() for f in actual] == [
            [code]
            for f in problems
            for at, code in zip(f["row"], f["code"], strict=True)
            if at == row
        ]


@pytest.mark.parametrize("dtype", ["str", "object"])
def test_different_texts_worked_by_hand(dtype):
    codes, words = different(pd.array(["b", "a", None, "b"], dtype=dtype))
    assert (codes.tolist(), words) == ([0, 1, -1, 0], ["b", "a"])
    assert [
        (c.tolist(), w) for c, w in (different(pd.array([v], dtype=dtype)) for v in ("b", None))
    ] == [([0], ["b"]), ([-1], [])]
    assert [len(part) for part in different(pd.array([], dtype=dtype))] == [0, 0]


# --- compare_columns -----------------------------------------------------------------------------


def compared(frame):
    return [(f.code, f.severity, f.subject) for f in compare_columns(frame, SCHEMA)]


def test_a_fitting_table_differs_in_nothing():
    assert compared(rows()) == []
    assert compared(rows(y=1)) == []  # the target is no extra
    assert compared(rows().drop(columns="who")) == []  # nor are unused columns needed


def test_missing_columns_are_errors_with_the_near_name():
    actual = compare_columns(rows().drop(columns="pay").rename(columns={"age": " Age"}), SCHEMA)
    assert [(f.code, f.severity, f.subject) for f in actual] == [
        ("column-missing", ERROR, "age"),
        ("column-missing", ERROR, "pay"),
        ("column-extra", WARNING, "table"),
    ]
    assert actual[0].action == "rename ' Age' to 'age'"
    assert actual[1].action == (
        "add the column 'pay', or name it in [columns] optional of the scope and train again"
    )
    assert actual[1].expected == "- pay (numeric)"
    assert actual[2].found == "+  Age"


def test_an_optional_column_may_be_missing_and_is_told():
    frame = rows().drop(columns="pay").rename(columns={"age": "agee"})
    actual = compare_columns(frame, SCHEMA, optional=("age", "pay"))
    assert [(f.code, f.severity, f.subject) for f in actual] == [
        ("column-absent", WARNING, "age"),
        ("column-absent", WARNING, "pay"),
        ("column-extra", WARNING, "table"),
    ]
    assert [f.action for f in actual[:2]] == ["rename 'agee' to 'age'", "add it where it is known"]
    assert actual[0].found == "no such column: taken as missing in every row"


def test_repeated_columns_end_the_comparison():
    frame = rows()
    assert compared(pd.concat([frame, frame[["age"]]], axis=1)) == [
        ("column-repeated", ERROR, "age")
    ]


def test_a_column_in_which_nothing_reads_is_an_error():
    frame = pd.concat([rows(since=["x", "y"], age=["z", 1])] * 3, ignore_index=True)
    actual = compare_columns(frame, SCHEMA)
    assert [(f.code, f.subject, f.found) for f in actual] == [
        ("column-type", "since", "no cell of that kind, such as 'x'")
    ]
    assert compared(rows(since=[None, None])) == []


def test_a_few_unreadable_cells_are_errors_of_their_rows_not_of_the_table():
    assert compared(rows(since=["x", "y"])) == []
    assert [code for _, _, code, _ in problems_of(rows(since=["x", "y"]))] == [
        "not-a-date",
        "not-a-date",
    ]


@pytest.mark.parametrize("value", [1e39, -1e300, float("inf")])
def test_a_number_that_trees_cannot_take_is_not_finite(value):
    frame = rows(age=[30.0, value])
    assert [(row, name, code) for row, name, code, _ in problems_of(frame)] == [
        (1, "age", "infinite")
    ]


def test_order_is_a_warning():
    assert compared(rows()[["pay", "age", "city", "vip", "since"]]) == [
        ("column-order", WARNING, "table")
    ]


def test_an_empty_text_is_missing_where_the_contract_knows_no_two_spellings():
    typed, problems = coerce_table(
        pd.DataFrame({"flag": pd.Series(["yes", "", "no"], dtype="str")}),
        Schema((Column("flag", "boolean", levels=("yes",)),), "y", "no", "yes"),
    )
    assert typed["flag"].tolist()[::2] == [1.0, 0.0]
    assert np.isnan(typed["flag"].iloc[1])
    assert not len(problems)


@given(st.integers(0, 50), st.sampled_from(["1.5", "1,5", "x", "2024-01-02", "yes", ""]))
@settings(max_examples=30, deadline=None)
def test_a_table_that_is_coerced_again_is_as_coerced_at_once(seed, odd):
    """Also where the contract, of fewer rows, reads a column in another way."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "number": rng.normal(size=60).round(3),
            "written": [*rng.choice(["1.5", "2.5", "7"], 59), odd],
            "flag": [*rng.choice(["yes", "no"], 59), odd],
            "day": [*rng.choice(["2024-01-02", "2024-02-01"], 59), odd],
            "city": rng.choice(["Rome", "Bern"], 60),
            "same": ["a"] * 59 + [odd],
            "y": np.arange(60) % 2,
        }
    )
    schema = infer_schema(frame, Scope(target="y"))
    contract = infer_schema(frame, Scope(target="y"), rows=np.arange(40))
    typed, _ = coerce_table(frame, schema)
    expected, _ = coerce_table(frame, contract)
    pd.testing.assert_frame_equal(coerce_again(frame, typed, schema, contract), expected)
