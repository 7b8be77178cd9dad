"""The one change that turns a decision."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fivefold.core.clock import today
from fivefold.model.counterfactual import Counterfactual, changeable, counterfactuals
from tests.support.models import bundle_of

ROWS = 101


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    once = pd.DataFrame(
        {
            "logins": np.arange(ROWS),
            "tier": pd.Series((["basic", "gold", "basic", "silver"] * 26)[:ROWS], dtype="str"),
            "card": pd.Series((["no", "yes"] * 51)[:ROWS], dtype="str"),
            "since": pd.to_datetime("2020-01-01") + pd.to_timedelta(np.arange(ROWS), unit="D"),
        }
    )
    return pd.concat(
        [once, once], ignore_index=True
    )  # each value twice, or the numbers would look like ids


CASE = {"logins": 20, "tier": "basic", "card": "yes", "since": "2020-01-11"}
ALL = ("logins", "tier", "card", "since")


def test_the_nearest_number_beyond_the_edge_is_offered(frame):
    bundle = bundle_of(frame, lambda x: np.where(x["logins"] < 50, 0.8, 0.1), changeable=ALL)
    assert counterfactuals(bundle, CASE) == [
        Counterfactual(
            column="logins",
            now=20,
            to=50,
            probability=pytest.approx(0.1),
            distance=pytest.approx(0.30, abs=1e-3),
        )
    ]


def test_levels_yes_no_and_dates_are_tried_and_the_smallest_change_comes_first(frame):
    def model(x):
        day = x["since"] <= (pd.Timestamp(today()) - pd.Timestamp("2020-01-16")).days
        return np.where((x["tier"] == "gold") | (x["card"] == 0) | day, 0.9, 0.2)

    actual = counterfactuals(bundle_of(frame, model, changeable=ALL), CASE)
    assert [(f.column, f.to) for f in actual] == [
        ("since", "2020-01-16"),
        ("card", "no"),
        ("tier", "gold"),
    ]
    assert actual[0].distance == pytest.approx(0.05)  # 5 of 100 days
    assert actual[1].distance == pytest.approx(
        1 - 51 / 101, abs=1e-6
    )  # the share of rows with another answer
    assert actual[2].distance == pytest.approx(1 - 25 / 101, abs=1e-6)


def test_only_columns_that_the_scope_names_are_touched(frame):
    bundle = bundle_of(
        frame,
        lambda x: np.where((x["logins"] < 50) & (x["tier"] == "basic"), 0.8, 0.1),
        changeable=("tier",),
    )
    assert changeable(bundle) == ["tier"]
    assert [f.column for f in counterfactuals(bundle, CASE)] == ["tier"]


def test_nothing_is_offered_where_nothing_turns_it_or_nothing_may_change(frame):
    assert (
        counterfactuals(bundle_of(frame, lambda x: np.full(len(x), 0.7), changeable=ALL), CASE)
        == []
    )
    assert (
        counterfactuals(bundle_of(frame, lambda x: np.where(x["logins"] < 50, 0.8, 0.1)), CASE)
        == []
    )


def test_the_threshold_decides_what_a_turn_is(frame):
    def model(x):
        return x["logins"] / 100

    actual = counterfactuals(bundle_of(frame, model, threshold=0.33, changeable=ALL), CASE)
    assert [(f.to, f.probability) for f in actual] == [(33, pytest.approx(0.33))]


def test_from_unknown_to_something_counts_as_the_farthest_change(frame):
    gaps = frame.assign(logins=np.where(np.arange(2 * ROWS) % 10 == 0, np.nan, frame["logins"]))
    bundle = bundle_of(gaps, lambda x: np.where(np.isnan(x["logins"]), 0.9, 0.1), changeable=ALL)
    (actual,) = counterfactuals(bundle, {**CASE, "logins": None})
    assert (actual.now, actual.distance) == (None, 1.0)
