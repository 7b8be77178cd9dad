"""Numbers with units, bounds, K and M, colons and marks of Excel; dates of every sort."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.schema import Column
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_column
from fivefold.data.date_texts import example, number_format
from fivefold.data.decorations import mixed_units
from fivefold.data.infer import infer_column
from fivefold.data.parsing import currencies

TENS = range(10, 50)


def inferred(cells, name="x", **scope):
    return infer_column(pd.Series(cells), name, Scope(**scope))


@pytest.mark.parametrize(
    ("cells", "cell", "number"),
    [
        ([f"{n}.3 kg" for n in TENS], "12.3 kg", 12.3),
        ([f"{n}.3 kg" for n in TENS], "12.3", 12.3),
        ([f"{n},3kg" for n in TENS], "12,3 KG", 12.3),
        ([f"\u2212{n}.5" for n in TENS], "\u221212.5", -12.5),
        ([f"1:{n}:00" for n in TENS], "1:30:00", 5400),
        ([f"{n % 24}:15" for n in TENS], "14:30", 52200),
        ([f"0 days 06:{n}:22" for n in TENS], "0 days 06:01:22", 21682),
        ([">4000", "<500", *map(str, TENS)], ">4000", 4000),
        ([f"{n}.2K" for n in TENS] + ["950", "3M"], "1.2K", 1200),
        ([f"'{n}.5" for n in TENS], "'12.5", 12.5),
        ([f'="{n}.5"' for n in TENS], '="12.5"', 12.5),
        (["10+ years", "< 1 year", *(f"{n} years" for n in TENS)], "10+ years", 10),
        ([f"$1,{n}0.50" for n in TENS], "$1,200.50", 1200.5),
    ],
)
def test_decorated_numbers_are_numbers(cells, cell, number):
    column = inferred(cells)
    assert (column.kind, column.odd_cells) == ("numeric", False)
    values, problems = coerce_column(pd.Series([cell, "much"]), column)
    assert values[0] == number
    assert np.isnan(values[1])
    assert [p["value"].tolist() for p in problems] == [["much"]]


@pytest.mark.parametrize(
    "cells",
    [
        [f"{n}{letter}" for n in TENS for letter in "AB"] * 2,
        [f"{n} {unit}" for n in TENS for unit in ("kg", "lbs")] * 2,
        [f"00{n} kg" for n in TENS] * 2 + ["Bern"] * 20,
        ["1st", "2nd", "3rd", "4th"] * 9,
    ],
)
def test_what_is_not_one_unit_stays_a_level(cells):
    assert inferred(cells).kind == "categorical"


def test_a_unit_of_another_sort_does_not_read():
    column = Column("x", "numeric", parse={"decimal": ".", "unit": "kg"}, as_text=True)
    values, problems = coerce_column(pd.Series(["5 kg", "5 lb", ">5 kg", "5K"]), column)
    assert values[0] == 5
    assert [p["value"].tolist() for p in problems] == [["5 lb", ">5 kg", "5K"]]


def test_mixed_units_are_named_with_their_counts():
    assert mixed_units(pd.Series({"12 kg": 3, "20 lbs": 2, "9 lb": 1})) == {"kg": 3, "lb": 3}
    for clean in ({"12 kg": 3}, {"12A": 1, "13B": 1}, {"5 kg": 1, "five lb": 4}):
        assert mixed_units(pd.Series(clean)) == {}
    assert currencies(pd.Series({"$5": 2, "\u20ac6": 1})) == {"$": 2, "\u20ac": 1}


@pytest.mark.parametrize(
    ("cells", "cell", "day"),
    [
        (["Monday, May 06, 2024", "Friday, June 07, 2024"], "Monday, May 06, 2024", "2024-05-06"),
        (
            [f"2024-01-{n} 10:00 CET" for n in range(10, 28)],
            "2024-01-12 00:30 CET",
            "2024-01-11 23:30",
        ),
        ([f"2024-{n}" for n in (10, 11, 12)] * 3, "2024-05", "2024-05-01"),
        (["2024-Q1", "2024-Q2", "2023-Q4"] * 3, "2024-Q3", "2024-07-01"),
        ([20240506, 20240507, 20240610], "20240506", "2024-05-06"),
        (["20240506", "20240507", "20240610"], "20240506", "2024-05-06"),
        (
            ["31/12/2024", "30/11/2024", "2024-11-30"] * 3,
            "2024-05-06T10:00:00Z",
            "2024-05-06 10:00",
        ),
        (["Dec-2015", "Jan-2014", "Mar-2013"] * 3, "Feb-2016", "2016-02-01"),
        (
            ["2024-01-01 10:00+02:00", "2024-01-02 10:00"],
            "2024-01-01 10:00+02:00",
            "2024-01-01 08:00",
        ),
    ],
)
def test_dates_of_every_sort(cells, cell, day):
    column = inferred(cells)
    assert (column.kind, column.odd_cells) == ("date", False)
    iso = "2024-02-29"  # reads whatever training wrote
    typed, problems = coerce_column(pd.Series([cell, iso]), column)
    assert list(typed) == [pd.Timestamp(day), pd.Timestamp(iso)]
    assert problems == []


def test_seconds_since_1970_are_dates_where_the_name_says_so():
    seconds = pd.Series([1_700_000_000, 1_700_086_400, 1_700_172_800])
    for name, factor in (("epoch", 1), ("epoch-ms", 1000), ("epoch-us", 1_000_000)):
        column = inferred(seconds * factor, "created_at")
        assert (column.kind, column.parse) == ("date", {"format": name})
        typed, _ = coerce_column(seconds * factor, column)
        assert next(iter(typed)) == pd.Timestamp("2023-11-14 22:13:20")
    assert inferred(seconds, "amount").kind == "numeric"
    assert inferred(seconds, "amount", formats={"amount": "epoch"}).kind == "date"
    assert inferred([3, 5, 8], "time").kind == "numeric"
    assert number_format(pd.Series([20240506, 20241340, 20240610]), "x") == ""


def test_a_format_of_the_scope_reads_what_none_fits():
    cells = ["31|12|2024", "01|02|2023"] * 3
    assert inferred(cells).kind == "categorical"
    column = inferred(cells, formats={"x": "%d|%m|%Y"})
    assert (column.kind, column.odd_cells) == ("date", False)
    assert list(coerce_column(pd.Series(["05|06|2024"]), column)[0]) == [pd.Timestamp("2024-06-05")]


def test_a_date_is_named_with_an_example():
    assert example("quarter") == "2024-Q4 (quarter), or 2024-12-31"
    assert example("epoch") == "1735655400 (epoch), or 2024-12-31"
