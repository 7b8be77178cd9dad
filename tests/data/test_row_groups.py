"""Rows that belong together: equal rows, and groups that share a row."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.data.row_groups import duplicate_groups, join_groups, twin_groups


def test_duplicate_groups_by_first_appearance():
    frame = pd.DataFrame(
        {"a": [1.0, -0.0, np.nan, 0.0, np.nan, 1.0], "b": ["x", "y", None, "y", None, "z"]}
    )
    assert duplicate_groups(frame).tolist() == [0, 1, 2, 1, 2, 3]
    assert duplicate_groups(frame[[]]).tolist() == [0, 1, 2, 3, 4, 5]
    assert duplicate_groups(frame.iloc[:0]).tolist() == []


def test_chains_of_groups_are_joined():
    a, b = np.array([0, 0, 1, 2, 3, 3]), np.array([0, 1, 1, 2, 3, 4])
    assert join_groups(a, b).tolist() == [0, 0, 0, 1, 2, 2]
    apart = join_groups(np.arange(5), np.arange(5))
    assert len(set(apart.tolist())) == 5


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), min_size=1, max_size=25))
def test_joined_groups_are_the_finest_that_hold_both(pairs):
    a, b = np.array(pairs).T
    joined = join_groups(a, b)
    for codes in (a, b):
        assert all(len(set(joined[codes == c].tolist())) == 1 for c in codes)
    expected = np.arange(len(a))
    for _ in range(len(a)):  # the smallest row reachable by shared a or b
        expected = np.array([min(expected[(a == a[i]) | (b == b[i])]) for i in range(len(a))])
    assert len(set(joined.tolist())) == len(set(expected.tolist()))


def test_equal_rows_are_copies_where_most_rows_are_distinct():
    rows = np.arange(8)
    assert twin_groups(pd.DataFrame({"a": [1, 2, 3, 4, 5, 5, 6, 6]}), rows).tolist() == [
        *(0, 1, 2, 3),
        *(4, 4, 5, 5),
    ]
    assert twin_groups(pd.DataFrame({"a": [1, 1, 1, 2, 2, 2, 3, 3]}), rows) is None


def numbers(rows, columns, levels=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (rows, columns)
    cells = rng.normal(size=shape) if levels is None else rng.integers(0, levels, shape)
    return pd.DataFrame(cells).rename(columns=str)


def keeps_together(table):
    return twin_groups(table, np.arange(len(table))) is not None


@pytest.mark.parametrize(
    ("table", "times"),
    [
        (numbers(400, 5), 3),
        (numbers(60, 2), 40),
        (numbers(400, 6, levels=4), 3),
        (numbers(400, 6, levels=4), 30),
        (numbers(300, 130, levels=2), 16),
    ],
)
def test_copies_stay_together_however_many_where_columns_can_tell_rows_apart(table, times):
    copies = table.loc[table.index.repeat(times)].sample(frac=1, random_state=0)
    assert keeps_together(copies.reset_index(drop=True))


def test_equal_rows_of_a_coarse_table_are_different_cases():
    assert not keeps_together(numbers(900, 3, levels=3))
    city, goods = np.random.default_rng(0).integers(0, 50, (2, 10_000))
    table = {"city": city, "region": city % 5, "goods": goods, "shelf": goods % 10}
    assert not keeps_together(pd.DataFrame(table))  # a region is determined by its city
    mood = np.random.default_rng(0).normal(size=2000)
    answers = (numbers(2000, 4) * 0.5).add(mood, axis=0).round().clip(-2, 2)
    assert not keeps_together(answers)
