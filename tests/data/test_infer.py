"""Values and kinds: how texts become numbers and dates, and a column's kind from its cells."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fivefold.core.schema import MAX_LEVELS
from fivefold.core.scope import Scope
from fivefold.data.infer import boolean_levels, infer_column, infer_kind, infer_schema, is_code
from fivefold.data.parsing import (
    AMBIGUOUS_DATES,
    DATE_FORMATS,
    NUMBER_RULES,
    days,
    parse_dates,
    parse_numbers,
    texts,
    to_numbers,
    without_zone,
)

PLAIN, US, EU, SWISS, NORDIC, COMMA = NUMBER_RULES


def strings(*cells):
    return pd.Series(cells, dtype="str")


def kind(values, name="x"):
    return infer_kind(values if isinstance(values, pd.Series) else pd.Series(values), name)[0]


# --- texts ---------------------------------------------------------------------------------------


def test_texts_are_stripped_and_missing_stays_missing():
    got = texts(strings(" a ", "b", None))
    assert got.tolist()[:2] == ["a", "b"]
    assert got.isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.5, -0.0], ["1", "2.5", "0"]),
        ([1, 2], ["1", "2"]),
        ([True, False], ["True", "False"]),
        ([1e15, np.inf], ["1000000000000000", "inf"]),
    ],
)
def test_texts_of_numbers_and_flags(values, expected):
    assert texts(pd.Series(values)).tolist() == expected


def test_texts_of_a_float_do_not_depend_on_the_other_cells():
    """Scoring one row must spell a level as training on many did."""
    assert (
        texts(pd.Series([1.0, 2.5])).iloc[0]
        == texts(pd.Series([1.0])).iloc[0]
        == texts(pd.Series([1])).iloc[0]
    )


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_texts_of_integers_and_of_the_same_floats_agree(numbers):
    assert texts(pd.Series(numbers, dtype="float64")).tolist() == texts(pd.Series(numbers)).tolist()


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "text", "number"),
    [
        (PLAIN, "12.5", 12.5),
        (PLAIN, " -3 ", -3),
        (PLAIN, "1e3", 1000),
        (PLAIN, "12%", 12),
        (PLAIN, "€ 5", 5),
        (PLAIN, "-$5", -5),
        (PLAIN, "(30)", -30),
        (PLAIN, "inf", math.inf),
        (PLAIN, ".5", 0.5),
        (PLAIN, "$-5", -5),
        (US, "1,234.5", 1234.5),
        (US, "$1,200", 1200),
        (US, "($1,200.50)", -1200.5),
        (US, "1234.5", 1234.5),
        (US, "1,234,567", 1234567),
        (EU, "1.234,5", 1234.5),
        (EU, "1.234.567 €", 1234567),
        (SWISS, "1'234.5", 1234.5),
        (NORDIC, "1 234,5", 1234.5),
        (NORDIC, "1\u00a0234,5", 1234.5),
        (NORDIC, "1\u202f234 567", 1234567),
        (COMMA, "0,5", 0.5),
        (COMMA, "-1,25", -1.25),
    ],
)
def test_numbers_that_read(rule, text, number):
    assert parse_numbers(strings(text, "x"), rule).iloc[0] == number


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (PLAIN, "1,5"),
        (PLAIN, "1 234"),
        (PLAIN, "1_000"),
        (PLAIN, "0x1A"),
        (PLAIN, "True"),
        (PLAIN, "nan"),
        (PLAIN, ""),
        (PLAIN, "12-13"),
        (PLAIN, "1.2.3"),
        (US, "1,5"),
        (US, "12,34,567"),
        (US, "1,2345"),
        (US, ",123"),
        (US, "1,234,5"),
        (EU, "1,234.5"),
        (EU, "1.5"),
        (SWISS, "1'23"),
        (COMMA, "1.5"),
        (COMMA, "1,2,3"),
    ],
)
def test_numbers_that_do_not_read(rule, text):
    assert math.isnan(parse_numbers(strings(text, "x"), rule).iloc[0])


@given(
    st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 100), min_size=1, max_size=10),
    st.sampled_from(NUMBER_RULES),
)
@settings(max_examples=50, deadline=None)
def test_every_number_written_under_a_rule_reads_back(numbers, rule):
    table = str.maketrans({",": rule.get("thousands", ""), ".": rule["decimal"]})
    written = strings(*(f"{n:,.2f}".translate(table) for n in numbers))
    assert parse_numbers(written, rule).tolist() == numbers


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=10))
@settings(max_examples=50, deadline=None)
def test_every_float_reads_back_from_its_own_spelling(numbers):
    assert parse_numbers(strings(*map(repr, numbers)), PLAIN).tolist() == numbers


# --- dates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%Y-%m-%d", "2024-02-29", "2024-02-29"),
        ("ISO8601", "2024-02-29T10:30:00", "2024-02-29 10:30"),
        ("ISO8601", "2024-02-29T10:30:00+02:00", "2024-02-29 08:30"),
        ("%d.%m.%Y", "29.02.2024", "2024-02-29"),
        ("%m/%d/%Y", "02/29/2024", "2024-02-29"),
        ("%d %b %Y", "29 Feb 2024", "2024-02-29"),
        ("%B %d, %Y", "February 29, 2024", "2024-02-29"),
        ("%Y-%m-%d", "9999-12-31", "9999-12-31"),
        ("%m/%d/%Y %H:%M:%S", "2/29/2024 23:05:07", "2024-02-29 23:05:07"),
        ("%m/%d/%Y %I:%M:%S %p", "2/29/2024 11:05:07 pm", "2024-02-29 23:05:07"),
        ("%m/%d/%Y %I:%M:%S %p", "02/29/2024 12:00:00 AM", "2024-02-29 00:00:00"),
        ("%d.%m.%Y %H:%M:%S", "29.02.2024 23:05:07", "2024-02-29 23:05:07"),
        ("%Y/%m/%d %H:%M:%S", "2024/02/29 23:05:07", "2024-02-29 23:05:07"),
        ("%d-%m-%Y %H:%M", "29-02-2024 23:05", "2024-02-29 23:05"),
        ("%d/%m/%y", "29/2/24", "2024-02-29"),
        ("%m/%d/%y", "02/29/24", "2024-02-29"),
        ("%d.%m.%y", "31.12.69", "1969-12-31"),
        ("%d.%m.%y", "31.12.68", "2068-12-31"),
    ],
)
def test_dates_that_read(form, text, expected):
    got = parse_dates(strings(text, None), {"format": form})
    assert got.iloc[0] == pd.Timestamp(expected).as_unit("us")
    assert got.dtype == "datetime64[us]"
    assert got.isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y-%m-%d", "2023-02-29"),
        ("ISO8601", "2020"),
        ("ISO8601", "20200101"),
        ("%d/%m/%Y", "12/13/2024"),
        ("%Y-%m-%d", ""),
    ],
)
def test_dates_that_do_not_read(form, text):
    assert parse_dates(strings(text), {"format": form}).isna().all()


@given(
    st.dates(
        min_value=pd.Timestamp("1900-01-01").date(), max_value=pd.Timestamp("2099-12-31").date()
    ),
    st.sampled_from(
        [f["format"] for f in DATE_FORMATS if "%y" not in f["format"] and f["format"] != "ISO8601"]
    ),
)
@settings(max_examples=50, deadline=None)
def test_every_date_written_in_a_format_reads_back(day, form):
    assert parse_dates(strings(day.strftime(form)), {"format": form}).iloc[0].date() == day


def test_days_since_1970_with_fractions():
    stamps = pd.Series(pd.to_datetime(["1970-01-02 12:00", None, "1969-12-31 00:00"]))
    np.testing.assert_array_equal(days(stamps), [1.5, np.nan, -1])


def test_times_with_a_zone_become_utc():
    zoned = pd.Series(pd.to_datetime(["2024-01-01 01:00+02:00"])).dt.tz_convert("Europe/Paris")
    assert without_zone(zoned).tolist() == [pd.Timestamp("2023-12-31 23:00")]
    assert days(zoned)[0] == 19722 + 23 / 24
    assert infer_column(pd.concat([zoned, zoned + pd.Timedelta(days=1)]), "t").kind == "date"


# --- kinds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([None, None], "constant"),
        ([5, 5], "constant"),
        ([5, 5, None], "categorical"),
        (["a", "a"], "constant"),
        ([], "constant"),
        ([True, False], "boolean"),
        ([0, 1, 1], "boolean"),
        ([0.0, 1.0, None], "boolean"),
        (["Yes", "no", None], "boolean"),
        (["T", "F"], "boolean"),
        ([1, 2, 1], "numeric"),
        ([1.5, 2.5], "numeric"),
        (["1", "2", "30"], "numeric"),
        (["M", "F"], "categorical"),
        (["1", "a", "b"], "categorical"),
        (["2024-01-01", "2024-05-06"], "date"),
        (["01.02.2024", "05.06.2024"], "date"),
        (["2020", "2021"], "numeric"),
        (["10:30", "11:45"], "numeric"),
    ],
)
def test_kinds(values, expected):
    assert kind(values) == expected


def test_a_datetime_column_is_a_date():
    assert infer_kind(pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02"]))) == ("date", {})


@pytest.mark.parametrize(
    ("cells", "rule"),
    [
        (("12.5", "7"), PLAIN),
        (("1,234.5", "12"), US),
        (("1.234,5", "12"), EU),
        (("1'234", "12"), SWISS),
        (("1 234,5", "12"), NORDIC),
        (("0,5", "1,25"), EU),
        ((",5", "1,25"), COMMA),
        (("$5", "$7"), PLAIN),
    ],
)
def test_the_number_rule_that_reads_most_wins(cells, rule):
    assert infer_kind(strings(*cells)) == ("numeric", rule)


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (("2024-01-31", "2024-02-01"), "%Y-%m-%d"),
        (("05/06/2020", "01/02/2020"), "%d/%m/%Y"),
        (("05/13/2020", "01/02/2020"), "%m/%d/%Y"),
        (("13/05/2020", "01/02/2020"), "%d/%m/%Y"),
        (("2024-01-31 10:00", "2024-02-01"), "ISO8601"),
        (("01/13/2020 10:00:05", "01/02/2020 11:00:00"), "%m/%d/%Y %H:%M:%S"),
        (("01/02/2020 10:00:05", "01/03/2020 11:00:00"), "%d/%m/%Y %H:%M:%S"),
        (("1/13/2020 1:00:05 PM", "1/2/2020 11:00:00 AM"), "%m/%d/%Y %I:%M:%S %p"),
        (("1/13/2020 1:00 PM", "1/2/2020 11:00 AM"), "%m/%d/%Y %I:%M %p"),
        (("13.01.2020 10:00:05", "01.02.2020 11:00:00"), "%d.%m.%Y %H:%M:%S"),
        (("2020/01/31 10:00:05", "2020/02/01 11:00:00"), "%Y/%m/%d %H:%M:%S"),
        (("31-01-2020 10:00", "01-02-2020 11:00"), "%d-%m-%Y %H:%M"),
        (("13/01/20", "01/02/20"), "%d/%m/%y"),
        (("1/13/20", "1/2/20"), "%m/%d/%y"),
        (("13.01.20", "01.02.20"), "%d.%m.%y"),
        (("1/2/20", "1/3/20"), "%d/%m/%y"),
        (("1 May 2020", "2 June 2020"), "%d %B %Y"),
    ],
)
def test_the_date_format_that_reads_most_wins(cells, form):
    if form == "%d %B %Y":  # "May" is both the short and the long name
        cells = (*cells, "3 July 2020")
    assert infer_kind(strings(*cells)) == ("date", {"format": form})


@pytest.mark.parametrize(
    "cells",
    [
        ("1.2.10", "1.3.11", "2.0.12"),
        ("1.2.10", "1.3.11"),
        ("10.11.12", "9.11.12"),
        ("1/2", "3/4"),
        ("120/80", "110/70"),
        ("1/2/3", "4/5/6"),
        ("10.20.30", "11.22.33"),
        ("10.0.0.1", "10.0.0.2"),
        ("1-2-10", "1-3-11"),
        ("01/02/20", "13/02/20", "no"),
        (*(f"{n % 28 + 1:02d}/01/20" for n in range(99)), "unclear"),
        ("01.02.20", "31.02.20", "01.03.20"),
    ],
)
def test_what_only_looks_like_a_date_with_a_short_year_is_none(cells):
    assert kind(strings(*cells)) == "categorical"


def test_a_cell_that_is_no_short_date_counts_wherever_it_stands():
    cells = [f"{n % 28 + 1:02d}/{n // 28 % 12 + 1:02d}/{n // 336:02d}" for n in range(3000)]
    assert kind(strings(*cells)) == "date"
    assert kind(strings(*cells, "1/2/3")) == "id"


def test_a_column_declared_a_date_is_read_by_the_best_rule_however_poor():
    declared = Scope(kinds={"d": "date"})
    assert infer_column(strings("1.2.10", "1.3.11"), "d", declared).parse == {"format": "%d.%m.%y"}
    assert infer_column(strings("13/01/2024", "later", "unknown yet 1"), "d", declared).parse == {
        "format": "%d/%m/%Y"
    }
    assert infer_column(strings("Q1 2024", "Q2 2024"), "d", declared).parse == {
        "format": "%Y-%m-%d"
    }


def test_every_date_of_two_readings_names_the_other():
    forms = {rule["format"] for rule in DATE_FORMATS}
    assert set(AMBIGUOUS_DATES) == {form for form in forms if form.startswith(("%d/%m", "%d-%m"))}
    assert set(AMBIGUOUS_DATES.values()) == {
        form for form in forms if form.startswith(("%m/%d", "%m-%d"))
    }
    for form, other in AMBIGUOUS_DATES.items():
        written = pd.Timestamp("2024-02-03 04:05").strftime(form)
        assert parse_dates(strings(written), {"format": other}).dt.strftime("%m-%d").tolist() == [
            "03-02"
        ]


@pytest.mark.parametrize(("bad", "expected"), [(5, "numeric"), (6, "categorical")])
def test_a_column_is_numeric_from_95_percent_of_its_cells(bad, expected):
    cells = [str(n % 40) for n in range(100 - bad)] + ["unclear"] * bad
    assert kind(strings(*cells)) == expected
    assert kind(strings(*cells, None, None, None)) == expected  # gaps do not count


def test_cells_that_do_not_read_are_remembered():
    zips = infer_column(pd.Series(["98033"] * 30 + ["98033-6314"]), "zip")
    assert (zips.kind, zips.odd_cells, zips.nullable) == ("numeric", True, True)
    gaps = infer_column(pd.Series([1.5, None, 2.5]), "size")
    assert (gaps.odd_cells, gaps.nullable) == (False, True)
    days = infer_column(pd.Series(["2024-01-08"] * 20 + ["2024-01-09"] * 20 + ["soon"]), "day")
    assert (days.kind, days.odd_cells) == ("date", True)


@pytest.mark.parametrize(
    ("values", "name", "expected"),
    [
        (np.arange(60), "x", "id"),
        (np.arange(60) * 1000, "x", "numeric"),
        (np.arange(60) * 1000, "customer_id", "id"),
        (np.arange(60) * 1000, "customerId", "id"),
        (np.arange(60) * 1000, "ROWNUMBER", "id"),
        (np.arange(60) * 1000, "paid", "numeric"),
        (np.arange(60) * 1000, "grid", "numeric"),
        (np.arange(49), "id", "numeric"),
        (np.arange(60) % 50, "id", "numeric"),
        (np.arange(60) + 0.5, "id", "numeric"),
        (np.arange(60).astype("str"), "x", "id"),
        (np.arange(60) * 1.0, "x", "id"),
    ],
)
def test_numbers_that_only_number_the_rows_are_ids(values, name, expected):
    assert kind(pd.Series(values), name) == expected


def test_texts_that_differ_in_every_row_are_ids_from_fifty_rows():
    names = [f"n{i}x" for i in range(100)]
    assert kind(strings(*names)) == "id"
    assert kind(strings(*names[:98], *names[:2])) == "categorical"
    assert kind(strings(*names[:49])) == "categorical"


def test_sentences_are_text_and_short_labels_are_not():
    sentences = [f"the parcel number {i} came late" for i in range(100)]
    assert kind(strings(*sentences)) == "text"
    assert kind(strings(*(sentences[:3] * 30))) == "categorical"
    assert kind(strings(*[f"parcel {i % 50}" for i in range(100)])) == "categorical"


@pytest.mark.parametrize(
    ("levels", "pair"),
    [
        (["Yes", "No"], ("No", "Yes")),
        (["1", "0"], ("0", "1")),
        (["off", "ON"], ("off", "ON")),
        (["1", "2"], None),
        (["m", "f"], None),
        (["yes", "no", "maybe"], None),
        (["yes", "false"], None),
        ([], None),
    ],
)
def test_boolean_levels(levels, pair):
    assert boolean_levels(levels) == pair


# --- columns -------------------------------------------------------------------------------------


def test_a_numeric_column_is_described_from_its_finite_numbers():
    column = infer_column(pd.Series([3.0, np.inf, None, 1.0, 8.0, -np.inf]), "x")
    assert (column.kind, column.low, column.high, column.typical) == ("numeric", 1, 8, 3)
    assert (column.integer, column.nullable, column.distinct, column.used) == (True, True, 3, True)


def test_a_date_column_is_described_in_days():
    column = infer_column(strings("03.01.1970", "01.01.1970", "02.01.1970"), "d")
    assert (column.low, column.high, column.typical, column.parse) == (
        0,
        2,
        1,
        {"format": "%d.%m.%Y"},
    )


def test_levels_are_ordered_by_count_then_name():
    column = infer_column(strings("b", "c", "a", "c", "b", "d", None), "x")
    assert (column.levels, column.distinct, column.typical, column.nullable) == (
        ("b", "c", "a", "d"),
        4,
        "b",
        True,
    )


def test_levels_are_capped_and_counted():
    column = infer_column(strings(*[f"v{i}" for i in range(1500)] * 2), "x")
    assert (len(column.levels), column.distinct) == (MAX_LEVELS, 1500)


def test_boolean_levels_are_no_then_yes():
    assert infer_column(strings("Y", "N", "Y"), "x").levels == ("N", "Y")
    assert infer_column(pd.Series([True, False]), "x").levels == ("False", "True")


def test_the_scope_overrides_kinds():
    scope = Scope(kinds={"zip": "categorical", "n": "numeric", "when": "date"})
    assert infer_column(pd.Series([8001, 8002, 8001]), "zip", scope).levels == ("8001", "8002")
    poor = infer_column(strings("1", "a", "b"), "n", scope)
    assert (poor.kind, poor.parse, poor.low) == ("numeric", PLAIN, 1)
    assert infer_column(strings("13/01/2024", "14/01/2024"), "when", scope).parse == {
        "format": "%d/%m/%Y"
    }
    row = infer_column(pd.Series(np.arange(60)), "n", scope)
    assert (row.kind, row.used) == ("numeric", True)


def test_columns_with_a_part_in_the_scope_are_kept_but_not_used():
    frame = pd.DataFrame(
        {
            "who": [1, 2, 3],
            "shop": [1, 1, 2],
            "junk": [1.5, 2.5, 3.5],
            "x": [1.5, 2.5, 9],
            "same": 1,
            "y": [0, 1, 1],
        }
    )
    schema = infer_schema(
        frame,
        Scope(target="y", id_columns=("who",), group_column="shop", drop_columns=("junk",)),
        ("no", "yes"),
    )
    assert {c.name: c.why for c in schema.columns if not c.used} == {
        "who": "identifies rows",
        "shop": "groups rows (scope)",
        "junk": "dropped by the scope",
        "same": "one value only",
    }
    assert schema.names() == ["x"]
    assert (schema.target, schema.negative, schema.positive) == ("y", "no", "yes")


def test_the_target_never_steers_the_schema():
    frame = pd.DataFrame({"a": ["u", "v", "w"] * 20, "b": np.arange(60) * 1.5, "y": [0, 1] * 30})
    flipped = frame.assign(y=1 - frame["y"])
    assert infer_schema(frame, Scope(target="y")) == infer_schema(flipped, Scope(target="y"))


@given(st.permutations(list(range(30))))
@settings(max_examples=8, deadline=None)
def test_the_schema_does_not_depend_on_the_order_of_rows(order):
    frame = pd.DataFrame(
        {
            "a": ["u", "v", "w", "w", None] * 6,
            "b": np.arange(30) * 1.5,
            "c": [f"{i % 7 + 1:02d}/0{i % 9 + 1}/2024" for i in range(30)],
            "y": [0, 1] * 15,
        }
    )
    assert infer_schema(frame.iloc[order], Scope(target="y")) == infer_schema(
        frame, Scope(target="y")
    )


def test_to_numbers_by_kind():
    np.testing.assert_array_equal(
        to_numbers(strings("1,200", "x", None), "numeric", US), [1200, np.nan, np.nan]
    )
    np.testing.assert_array_equal(
        to_numbers(pd.Series([1, None], dtype="Int64"), "numeric", {}), [1, np.nan]
    )
    np.testing.assert_array_equal(
        to_numbers(strings("1970-01-03", "?"), "date", {"format": "%Y-%m-%d"}), [2, np.nan]
    )


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["12.50 EUR", "1,300.00 EUR", "3 EUR"], [12.5, 1300, 3]),
        (["CHF 1,234.00", "CHF 12", "CHF 0.5"], [1234, 12, 0.5]),
    ],
)
def test_currency_codes_are_read_over(cells, numbers):
    column = infer_column(pd.Series(cells), "price")
    assert column.kind == "numeric"
    assert to_numbers(pd.Series(cells), "numeric", dict(column.parse)).tolist() == numbers


def test_a_product_code_is_no_currency():
    assert infer_column(pd.Series(["ABC123", "XYZ456", "ABC124"]), "code").kind == "categorical"


def test_zero_point_something_is_no_group_of_thousands():
    assert (
        parse_numbers(pd.Series(["0.750", "1.234"]), {"decimal": ",", "thousands": "."}).tolist()[1]
        == 1234
    )
    assert np.isnan(parse_numbers(pd.Series(["0.750"]), {"decimal": ",", "thousands": "."}).iloc[0])


# --- codes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("00501", "501", "10115"), "categorical"),
        (("+07", "8", "9"), "categorical"),
        (("007.50", "8.25", "9"), "categorical"),
        (("9007199254740992", "1", "2"), "categorical"),
        (("-9007199254740993", "1", "2"), "categorical"),
        (("9007199254740991", "1", "2"), "numeric"),
        (("0000000000000012", "1", "2"), "categorical"),
        (("0.5", "0", "10"), "numeric"),
        (("-0.5", "0", "10"), "numeric"),
        (("1e300", "1", "2"), "numeric"),
        (("$1,200", "0500", "$15"), "numeric"),
        (("0,5", "01,5", "2"), "numeric"),
        (("007 EUR", "12 EUR", "9 EUR"), "numeric"),
    ],
)
def test_codes_are_no_numbers_and_numbers_are_no_codes(cells, expected):
    assert kind(strings(*cells)) == expected


def test_codes_stay_apart():
    """Fifty codes of twenty digits are one float64; 00501 and 501 would be one number."""
    codes = [f"123456789012345678{n:02d}" for n in range(50)]
    assert len({float(code) for code in codes}) == 1
    assert kind(strings(*codes)) == "id"
    column = infer_column(strings(*codes * 3), "shop")
    assert (column.kind, column.distinct, column.levels) == ("categorical", 50, tuple(codes))
    assert infer_column(strings("00501", "501", "00501"), "zip").levels == ("00501", "501")


def test_one_code_among_thousands_of_levels_is_seen():
    plain = [str(10_000 + 7 * n) for n in range(3000)]
    assert kind(strings(*plain)) == "numeric"
    assert kind(strings(*plain, "00501")) == "id"


def test_codes_declared_numeric_are_numbers():
    column = infer_column(strings("00501", "10115"), "zip", Scope(kinds={"zip": "numeric"}))
    assert (column.kind, column.parse, column.low, column.high) == ("numeric", PLAIN, 501, 10115)


# --- codes that are whole numbers ----------------------------------------------------------------


def numbered_codes(rows=600, levels=40, seed=0):
    rng = np.random.default_rng(seed)
    return pd.Series(rng.choice(100_000, levels, replace=False)[rng.integers(0, levels, rows)])


NUMBERS = {
    "ages": lambda rng: rng.integers(18, 80, 600),
    "amounts": lambda rng: rng.integers(0, 100_000, 600),
    "round amounts": lambda rng: 50 * rng.integers(1, 40, 600) ** 2,
    "thousands": lambda rng: 1000 * rng.integers(1, 60, 600),
    "few": lambda rng: 7919 * rng.integers(1, 12, 600),
}


def test_sparse_whole_numbers_that_come_back_are_codes():
    assert is_code(numbered_codes())
    assert is_code(numbered_codes().astype("float64").where(lambda codes: codes != codes[0]))


@pytest.mark.parametrize("name", NUMBERS)
def test_measured_whole_numbers_are_no_codes(name):
    assert not is_code(pd.Series(NUMBERS[name](np.random.default_rng(0))))


def codes_and_ages(codes, ages, scope=None):
    columns = {f"code{number}": numbered_codes(seed=number) for number in range(codes)}
    rng = np.random.default_rng(9)
    columns |= {f"age{number}": rng.integers(18, 80, 600) for number in range(ages)}
    frame = pd.DataFrame(columns).assign(y=rng.integers(0, 2, 600))
    schema = infer_schema(frame, scope or Scope(target="y", positive="1"))
    return {column.name: column.kind for column in schema.columns}


def test_a_table_of_numbered_codes_has_categories():
    kinds = codes_and_ages(3, 3)
    assert [kinds[f"code{number}"] for number in range(3)] == ["categorical"] * 3
    assert [kinds[f"age{number}"] for number in range(3)] == ["numeric"] * 3


@pytest.mark.parametrize(("codes", "ages"), [(2, 0), (3, 4)])
def test_few_numbered_codes_among_other_columns_stay_numbers(codes, ages):
    assert set(codes_and_ages(codes, ages).values()) == {"numeric"}


def test_a_declared_number_stays_one():
    scope = Scope(target="y", positive="1", kinds={"code0": "numeric"})
    kinds = codes_and_ages(4, 0, scope)
    assert (kinds["code0"], kinds["code1"]) == ("numeric", "categorical")


@pytest.mark.parametrize("value", ["2024-05-01", "yes", 1.0, "left early"])
def test_one_value_or_nothing_is_presence_and_one_value_alone_is_constant(value):
    cells = pd.Series([value, None] * 100)
    column = infer_column(cells, "c")
    assert (column.kind, column.used, column.distinct) == ("categorical", True, 1)
    assert infer_column(cells.dropna(), "c").kind == "constant"
    assert infer_column(pd.Series([value] * 10_000 + [None]), "c").kind == "constant"
    assert infer_column(pd.Series([None] * 100, dtype="str"), "c").kind == "constant"


def test_kinds_are_decided_once_and_the_rest_comes_from_the_given_rows():
    rng = np.random.default_rng(0)
    kept = np.sort(rng.choice(1330, 1000, replace=False))  # 75% of consecutive numbers
    frame = pd.DataFrame(
        {
            "row_no": kept,
            "member": np.where(np.arange(1000) < 900, "no", "yes"),
            "day": [
                f"{d:02d}/05/2024" for d in np.arange(1000) // 800 * 12 + 1 + np.arange(1000) % 9
            ],
            "x": rng.normal(size=1000),
            "y": rng.integers(0, 2, 1000),
        }
    )
    scope = Scope(target="y")
    whole = infer_schema(frame, scope)
    rows = np.sort(rng.permutation(800))
    contract = infer_schema(frame, scope, rows=rows, decided=whole)
    assert whole["row_no"].kind == "id"
    assert infer_schema(frame, scope, rows=rng.permutation(1000)[:400])["row_no"].kind == "numeric"
    assert [(c.kind, c.used, c.parse) for c in contract.columns] == [
        (c.kind, c.used, c.parse) for c in whole.columns
    ]
    assert contract["member"].levels == ("no", "yes")
    assert contract["x"].high == frame["x"].iloc[rows].max()
