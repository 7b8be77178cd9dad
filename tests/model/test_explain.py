"""Contributions: exact where Shapley values are known by hand; they add up on all algorithms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.schema import NOW
from fivefold.model.case import plain
from fivefold.model.explain import BACKGROUND, background, explain
from fivefold.model.metadata import Provenance
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.finalize import Selection, finalize
from fivefold.training.fit_plan import FitPlan
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.models import bundle_of, changed
from tests.support.tables import SCOPE, prepared
from tests.support.training import searched

ROWS = 60


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.random(ROWS),
            "b": rng.random(ROWS),
            "c": pd.Series(["x", "y", "z"] * (ROWS // 3), dtype="str"),
        }
    )


def by_column(found) -> dict[str, float]:
    return {line.column: line.contribution for line in found.contributions}


def test_an_additive_model_gives_each_column_its_own_part(frame):
    bundle = bundle_of(frame, lambda x: 0.1 + 0.3 * x["a"] + 0.2 * (x["c"] == "x"))
    actual = explain(bundle, {"a": 0.9, "b": 0.5, "c": "x"})
    assert by_column(actual)["a"] == pytest.approx(0.3 * (0.9 - frame["a"].mean()), abs=1e-9)
    assert by_column(actual)["b"] == 0
    assert by_column(actual)["c"] == pytest.approx(0.2 * (1 - 1 / 3), abs=1e-9)


def test_an_interaction_of_two_columns_is_shared_in_halves(frame):
    bundle = bundle_of(frame, lambda x: 0.5 * x["a"] * x["b"])
    actual = by_column(explain(bundle, {"a": 1.0, "b": 1.0, "c": "y"}))
    a, b = (
        frame["a"],
        frame["b"],
    )  # Shapley of a product: (x1 - z1)(x2 + z2) / 2, over the background rows
    assert actual["a"] == pytest.approx(0.5 * ((1 - a) * (1 + b) / 2).mean(), abs=1e-9)
    assert actual["b"] == pytest.approx(0.5 * ((1 - b) * (1 + a) / 2).mean(), abs=1e-9)


def test_three_columns_together_are_near_their_exact_value_and_still_add_up(frame):
    bundle = bundle_of(frame, lambda x: 0.8 * x["a"] * x["b"] * (x["c"] == "x"))
    actual = explain(bundle, {"a": 1.0, "b": 1.0, "c": "x"})
    assert sum(by_column(actual).values()) + actual.base == pytest.approx(0.8, abs=1e-9)
    assert actual.probability == pytest.approx(0.8, abs=1e-9)
    assert min(by_column(actual).values()) > 0.05


def test_unknown_is_a_value_like_any_other(frame):
    frame = frame.assign(a=np.where(np.arange(ROWS) < 10, np.nan, frame["a"]))
    bundle = bundle_of(frame, lambda x: np.where(np.isnan(x["a"]), 0.6, 0.0))
    actual = by_column(explain(bundle, {"a": None, "b": 0.1, "c": "x"}))
    assert actual["a"] == pytest.approx(0.6 * 50 / 60, abs=1e-6)


def test_same_case_same_numbers(frame):
    bundle = bundle_of(frame, lambda x: x["a"] * x["b"] * (x["c"] == "x"))
    case = {"a": 0.3, "b": 0.9, "c": "x"}
    assert explain(bundle, case) == explain(bundle, case)


def test_a_bundle_without_background_says_what_to_do(frame):
    bundle = changed(bundle_of(frame, lambda x: x["a"]), background=())
    with pytest.raises(Refused, match=r"no background rows.*train again"):
        explain(bundle, {"a": 0.3, "b": 0.9, "c": "x"})


def test_background_rows_hold_used_columns_as_plain_data():
    typed, _, _, schema = prepared(400)
    rows = background(typed, schema, 0)
    assert len(rows) == BACKGROUND
    assert set(rows[0]) == {*schema.names(), NOW}
    assert all(v is None or isinstance(v, (int, float, str)) for row in rows for v in row.values())
    assert background(typed, schema, 0) == rows


@pytest.mark.parametrize("name", ALGORITHMS)
def test_contributions_add_up_for_every_algorithm(name):
    typed, y, fold_ids, schema = prepared(600)
    candidate, oof = searched(name, typed, y, fold_ids, schema, trials=1)
    provenance = Provenance("TrainFlow/1", "m", rows=600)
    data = TrainingData(typed, y, fold_ids, schema)
    bundle = finalize(
        Selection([candidate], oof, {}, FitPlan()), data, FitOptions(), SCOPE, provenance
    )[0]
    for row in (0, 7):
        case = {n: plain(schema[n], typed[n].iloc[row]) for n in schema.names()}
        actual = explain(bundle, case)
        assert actual.probability == pytest.approx(
            bundle.probability(typed.iloc[[row]])[0], abs=1e-12
        )
        assert actual.base + sum(by_column(actual).values()) == pytest.approx(
            actual.probability, abs=1e-9
        )
    assert abs(by_column(actual)["noise"]) < max(map(abs, by_column(actual).values()))
