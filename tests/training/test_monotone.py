"""Directions of columns: kept by every algorithm, by the blend, and by the served bundle."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import split_rows
from fivefold.model import bundle as bundles
from fivefold.model.inputs import expand
from fivefold.model.metadata import Provenance
from fivefold.model.monotone import broken, check_directions
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.boosting import Encoded
from fivefold.training.encoding import CROSSED, PAIRS
from fivefold.training.final_fit import average
from fivefold.training.finalize import Selection, finalize
from fivefold.training.fit_plan import FitPlan
from fivefold.training.intake import validate
from fivefold.training.search import adapted
from fivefold.training.signed_regression import fit_directed
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.training import candidate, fit_final

WAYS = {"age": "increasing", "price": "decreasing", "member": "decreasing"}
PROVENANCE = Provenance("TrainFlow/1", "abc", rows=500)
SCOPE = Scope(target="left", positive="yes", monotone=WAYS)


def table(rows=500, seed=0):
    """A table whose data contradict the directions in places: without bounds a model would too."""
    rng = np.random.default_rng(seed)
    age, price = rng.uniform(18, 80, rows), rng.gamma(2.0, 40.0, rows)
    member, shop = rng.random(rows) < 0.5, rng.integers(0, 20, rows)
    score = 1.5 * np.sin(age / 6) + np.cos(price / 15) + 0.9 * member + 0.1 * (shop - 10)
    left = rng.random(rows) < 1 / (1 + np.exp(-score))
    return pd.DataFrame(
        {
            "age": np.where(rng.random(rows) < 0.1, np.nan, age.round(1)),
            "price": price.round(2),
            "member": np.where(member, "yes", "no"),
            "shop": pd.Series([f"shop {number}" for number in shop], dtype="str"),
            "left": np.where(left, "yes", "no"),
        }
    )


def prepared(scope=SCOPE):
    frame = table()
    y = (frame["left"] == "yes").to_numpy().astype("int8")
    schema = infer_schema(frame, scope, ("no", "yes"))
    typed, _ = coerce_table(frame, schema)
    return typed, y, schema


def wrong_ways(model, typed, schema):
    def predict(rows):
        return model.predict_proba(expand(rows, schema))[:, 1]

    return [check.column for check in broken(check_directions(predict, typed, schema))]


def settings(name):
    """Each default of an algorithm, and each encoding that a search may choose."""
    entry = ALGORITHMS[name]
    known = [one for one in entry.space.get("encoding", []) if one != CROSSED]
    first = dict(entry.defaults[-1])
    varied = [{**first, "encoding": one} for one in (*known, PAIRS) if entry.boosted]
    return [dict(one) for one in entry.defaults if one.get("encoding") != CROSSED] + varied


EVERY = [(name, params) for name in ALGORITHMS for params in settings(name)]


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_each_algorithm_keeps_the_directions_in_each_encoding(name, params):
    typed, y, schema = prepared()
    rounds = 40 if ALGORITHMS[name].boosted else None
    one = candidate(name, params=params, rounds=rounds)
    assert ALGORITHMS[name].keeps_monotone
    assert not wrong_ways(fit_final(one, typed, y, schema, seeds=2), typed, schema)


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_without_the_lines_of_the_scope_the_same_data_break_them(name):
    typed, y, schema = prepared(replace(SCOPE, monotone={}))
    _, _, directed = prepared()
    model = fit_final(candidate(name), typed, y, schema, seeds=1)
    assert wrong_ways(model, typed, directed)


def test_a_search_tries_no_products_of_columns_that_have_a_direction():
    typed, y, schema = prepared()
    data = TrainingData(typed, y, split_rows(y, 5, 0), schema)
    entry = adapted(ALGORITHMS["logistic_regression"], data)
    assert CROSSED not in entry.space["encoding"]
    assert all(params["encoding"] != CROSSED for params in entry.defaults)


def test_the_served_blend_keeps_them_and_says_so_after_it_was_written_and_read():
    typed, y, schema = prepared()
    fold_ids = split_rows(y, 5, 0)
    data = TrainingData(typed, y, fold_ids, schema)
    oof = np.where(fold_ids >= 0, 0.3 + 0.4 * y, np.nan)
    members = [
        candidate("lightgbm", rounds=30, params=dict(ALGORITHMS["lightgbm"].defaults[1])),
        candidate("xgboost", rounds=30),
        candidate("logistic_regression", params={"encoding": "linear", "C": 0.1}, rounds=None),
    ]
    weights = {"lightgbm": 0.5, "xgboost": 0.25, "logistic_regression": 0.25}
    selection = Selection(members, oof, weights, FitPlan())
    made, _ = finalize(
        selection, data, FitOptions(), SCOPE, Provenance("TrainFlow/1", "abc", rows=500)
    )
    content = made.to_bytes()
    served = bundles.from_bytes(content, bundles.sha256(content))
    assert [check.column for check in served.metadata.monotone] == list(WAYS)
    assert all(check.kept and check.tried for check in served.metadata.monotone)
    again = check_directions(served.probability, typed, served.schema)
    assert not broken(again)
    assert {c.name: c.monotone for c in served.schema.columns if c.monotone} == WAYS


def test_the_check_finds_a_model_that_does_not_keep_them():
    typed, _, schema = prepared()
    checks = check_directions(lambda rows: np.sin(rows["age"].to_numpy()) / 2 + 0.5, typed, schema)
    assert [check.column for check in broken(checks)] == ["age"]
    flat = check_directions(lambda rows: np.full(len(rows), 0.5), typed, schema)
    assert len(flat) == 3
    assert not broken(flat)


def test_a_signed_regression_is_the_free_one_where_the_signs_agree():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = (rng.random(400) < 1 / (1 + np.exp(-(x @ [1.0, -0.5, 0.3] - 0.2)))).astype(int)
    build = ALGORITHMS["logistic_regression"].classifier
    free = build({"C": 0.5}, 0, 1, "qqq").fit(x, y)
    bound = fit_directed(build({"C": 0.5}, 0, 1, "+-q"), Encoded(x, y, "+-q"))
    np.testing.assert_allclose(bound.coef_, free.coef_, atol=1e-4)
    np.testing.assert_allclose(bound.intercept_, free.intercept_, atol=1e-4)
    against = fit_directed(build({"C": 0.5}, 0, 1, "-+q"), Encoded(x, y, "-+q"))
    assert against.coef_[0, :2].tolist() == [0.0, 0.0]
    alone = build({"C": 0.5}, 0, 1, "q").fit(x[:, 2:], y)
    np.testing.assert_allclose(against.coef_[0, 2], alone.coef_[0, 0], atol=1e-4)
    doubled = Encoded(np.vstack([x, x[:50]]), np.append(y, y[:50]), "+-q")
    weights = np.where(np.arange(400) < 50, 2.0, 1.0)
    weighted = fit_directed(build({"C": 0.5}, 0, 1, "+-q"), Encoded(x, y, "+-q", weights))
    twice = fit_directed(build({"C": 0.5}, 0, 1, "+-q"), doubled)
    np.testing.assert_allclose(weighted.coef_, twice.coef_, atol=1e-4)


def test_the_mean_of_directed_models_is_directed():
    typed, y, schema = prepared()
    models = [fit_final(candidate(name), typed, y, schema, seeds=1) for name in ("adaboost",)]
    assert not wrong_ways(average(models * 2, [0.3, 0.7]), typed, schema)


def test_a_direction_of_a_column_without_an_order_is_refused():
    frame = table()
    with pytest.raises(Refused, match=r"monotone-kind \[shop\].*of kind categorical"):
        validate(frame, replace(SCOPE, monotone={"shop": "increasing"}), [], 0)
    with pytest.raises(Refused, match=r"monotone: .*\[gone\]|gone"):
        validate(frame, replace(SCOPE, monotone={"gone": "increasing"}), [], 0)
    with pytest.raises(Refused, match=r"monotone.*increasing.*decreasing"):
        Scope.from_dict({"columns": {"monotone": {"age": "up"}}})
