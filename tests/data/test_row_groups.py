"""Rows that belong together: equal rows, and groups that share a row."""

import numpy as np
import pandas as pd
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


def test_equal_rows_are_copies_only_where_most_rows_are_distinct():
    rows = np.arange(8)
    assert twin_groups(pd.DataFrame({"a": [1, 2, 3, 4, 5, 5, 6, 6]}), rows).tolist() == [
        *(0, 1, 2, 3),
        *(4, 4, 5, 5),
    ]
    assert twin_groups(pd.DataFrame({"a": [1, 1, 1, 2, 2, 2, 3, 3]}), rows) is None
