"""Tables of codes: statistics of codes and pairs, one-hot pairs, and which tables get them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.pipeline import Pipeline

from fivefold.core.roc_auc import roc_auc
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import split_rows
from fivefold.model.fast_predict import fast_predictor
from fivefold.model.inputs import expand, expand_columns
from fivefold.model.trusted import TRUSTED
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.code_pairs import fit_code_pairs, key_weights, shrunk_log_odds
from fivefold.training.encode_folds import encode_fold, encode_training
from fivefold.training.encoding import (
    LINEAR,
    LINEAR_PAIRS,
    MOST_CODES,
    PAIRS,
    TREES,
    TREES_COUNTS,
    encodings,
    plan,
)
from fivefold.training.search import adapted
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.code_tables import code_table
from tests.support.training import fit_final, searched

WITH_CODES = {
    "logistic_regression": LINEAR_PAIRS,
    "lightgbm": PAIRS,
    "xgboost": PAIRS,
    "random_forest": TREES_COUNTS,
}


def prepared(rows=1500, seed=0, folds=3):
    frame, _ = code_table(rows, seed, rate=0.2)
    y = (frame["event"] == "yes").to_numpy().astype("int8")
    fold_ids = split_rows(y, folds, seed)
    schema = infer_schema(frame, Scope(target="event", positive="yes"), ("no", "yes"))
    return TrainingData(coerce_table(frame, schema)[0], y, fold_ids, schema)


def table(first, second):
    return pd.DataFrame({"a": pd.Series(first, dtype="str"), "b": pd.Series(second, dtype="str")})


def fitted_on(frame, y, **changes):
    options = {"seed": 0, "pairs": True, "sparse": False} | changes
    return fit_code_pairs(frame, list(frame), np.asarray(y, dtype="int8"), **options)


# --- statistics ----------------------------------------------------------------------------------


def test_a_smoothed_mean_by_hand():
    # 3 of 10 rows and an overall mean of a half: (3 + 5) / 20 = .4
    assert shrunk_log_odds(np.array([3]), np.array([10]), 0.5) == pytest.approx(np.log(2 / 3))
    assert shrunk_log_odds(np.array([0]), np.array([0]), 0.07) == pytest.approx(0, abs=1e-12)


def test_keys_of_pairs_differ_where_pairs_differ_also_with_unknown_levels():
    weights = key_weights([3, 5, 2], pairs=True)
    assert weights.shape == (3, 6)
    codes = np.stack(np.meshgrid(range(-1, 3), range(-1, 5), range(-1, 2)), axis=-1).reshape(-1, 3)
    keys = codes @ weights
    for column, pair in enumerate([(0, 1), (0, 2), (1, 2)], 3):
        pairs = pd.MultiIndex.from_arrays(codes[:, list(pair)].T)
        assert len(np.unique(keys[:, column])) == len(pairs.unique())
        assert len(pd.unique(pairs.to_series().astype(str) + keys[:, column].astype(str))) == len(
            pairs.unique()
        )


def test_served_statistics_are_those_of_all_training_rows():
    frame = table(["x"] * 6 + ["y"] * 6, list("uuuvvvuuuvvw"))
    y = np.array([1, 1, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0])
    codes = fitted_on(frame, y)
    asked = table(["x", "y", "new", "y"], ["u", "w", "u", "v"])
    served = codes.step.transform(asked)
    # Columns: log-odds of a, b and (a, b), then their counts.
    rows = np.array([[6, 6, 3], [6, 0, 0], [0, 6, 0], [6, 5, 2]])  # w and (y, w) have one row
    events = np.array([[2, 4, 2], [3, 0, 0], [0, 4, 0], [3, 1, 1]])
    unscaled = np.hstack([shrunk_log_odds(events, rows, y.mean()), np.log1p(rows)])
    for column in range(6):
        expected = unscaled[:, column]
        ratio = served[0, column] / expected[0] if expected[0] else 0.0
        np.testing.assert_allclose(served[:, column], expected * ratio, atol=1e-12)


def test_the_count_of_a_training_row_leaves_out_the_row_itself():
    frame = table(list("xxxxyyyyyz"), list("uvuvuvuvuv"))
    y = np.array([0, 1, 0, 1, 0, 1, 0, 1, 0, 1])
    counts = fitted_on(frame, y).matrix[:, 3]
    assert counts[9] == 0
    assert counts[0] / counts[4] == pytest.approx(np.log(4) / np.log(5))


def test_a_key_of_one_row_is_served_like_an_unknown_one():
    frame = table(list("xxxxyyyyyz"), list("uvuvuvuvuv"))
    step = fitted_on(frame, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]).step
    one, unknown = step.transform(table(["z", "?"], ["u", "u"]))
    np.testing.assert_array_equal(one, unknown)


def test_no_statistic_of_a_training_row_depends_on_its_own_label():
    """Levels and pairs that say nothing stay without a relation to the labels they came with."""
    rng = np.random.default_rng(3)
    names = [f"c{number}" for number in range(400)]
    frame = table(rng.choice(names, 4000), rng.choice(names, 4000))
    y = rng.integers(0, 2, 4000)
    codes = fitted_on(frame, y, sparse=False)
    for column in range(codes.matrix.shape[1]):
        assert abs(roc_auc(y, codes.matrix[:, column]) - 0.5) < 0.03
    in_sample = codes.step.transform(frame)[:, 0]
    assert roc_auc(y, in_sample) > 0.6  # a planted leak: what the means of all rows would show


def test_an_interaction_without_main_effects_is_found():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 30, 6000), rng.integers(0, 30, 6000)
    y = rng.random(6000) < np.where((first + second) % 2, 0.7, 0.3)
    frame = table([f"a{k}" for k in first], [f"b{k}" for k in second])
    matrix = fitted_on(frame, y).matrix
    single, pair = roc_auc(y, matrix[:, 0]), roc_auc(y, matrix[:, 2])
    assert abs(single - 0.5) < 0.05
    assert pair > 0.6


# --- encoded folds -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", [PAIRS, LINEAR_PAIRS, TREES_COUNTS])
def test_a_fold_learns_from_its_training_part_alone(encoding):
    data = prepared()
    valid = data.fold_ids == 0
    fold = encode_fold(data, 0, encoding, FitOptions())
    changed = data.y.copy()
    changed[valid] = 1 - changed[valid]
    typed = data.typed.copy()
    typed.loc[valid, typed.columns[-1]] = "a level of the validation rows"
    again = encode_fold(replace(data, y=changed, typed=typed), 0, encoding, FitOptions())
    difference = abs(fold.train.x - again.train.x)
    assert difference.max() == 0


@pytest.mark.parametrize("encoding", [PAIRS, LINEAR_PAIRS, TREES_COUNTS])
def test_an_encoding_of_codes_works_on_a_part_without_categories(encoding):
    typed = pd.DataFrame({"n": np.arange(40.0), "m": np.arange(40.0) % 7})
    schema = Schema((Column("n", "numeric"), Column("m", "numeric")), "y", "0", "1")
    y = (np.arange(40) % 2).astype("int8")
    encoded, encode = encode_training(encoding, typed, y, schema, 0)
    assert encoded.x.shape[1] == encode.transform(expand(typed, schema)).shape[1] >= 2


def test_at_most_some_columns_have_pairs_and_the_others_keep_their_means():
    rng = np.random.default_rng(0)
    names = [f"c{number}" for number in range(MOST_CODES + 2)]
    frame = pd.DataFrame({n: [f"l{k}" for k in rng.integers(0, 20, 600)] for n in names})
    schema = Schema(tuple(Column(n, "categorical") for n in names), "y", "0", "1")
    y = rng.integers(0, 2, 600).astype("int8")
    recipe = plan(expand(frame, schema), schema)
    assert (len(recipe.codes), recipe.without_codes.many_levels) == (MOST_CODES, names[-2:])
    encoded, _ = encode_training(PAIRS, frame, y, schema, 0)
    keys = MOST_CODES * (MOST_CODES + 1) // 2
    assert encoded.x.shape == (600, 2 + 2 * keys)


@pytest.mark.parametrize("name", list(WITH_CODES))
def test_the_direct_way_and_a_bundle_give_the_pipelines_answers(name):
    data = prepared()
    entry = adapted(ALGORITHMS[name], data)
    params = entry.defaults[0] | ({"n_estimators": 20} if "n_estimators" in entry.space else {})
    encoded, encode = encode_training(entry.encoding_of(params), data.typed, data.y, data.schema, 0)
    model = entry.fit(entry.build(params, 0, 1, encoded.types), encoded)
    pipeline = Pipeline([("features", encode), ("model", model)])
    asked = data.typed.head(300).copy()
    asked.iloc[:40, 8], asked.iloc[20:60, 2] = "never seen", None
    expected = pipeline.predict_proba(expand(asked, data.schema))[:, 1]
    columns = {column: asked[column].array for column in data.schema.names()}
    stored = skops.io.loads(skops.io.dumps(pipeline), trusted=list(TRUSTED))
    for one in (pipeline, stored):
        predict = fast_predictor(one)
        given = predict(expand_columns(columns, data.schema))
        np.testing.assert_allclose(given, expected, atol=1e-6)
        first = {column: values[:1] for column, values in columns.items()}
        np.testing.assert_allclose(
            predict(expand_columns(first, data.schema)), expected[:1], atol=1e-6
        )


# --- which tables --------------------------------------------------------------------------------


def frame_of(levels, numbers):
    categories = {f"c{i}": [f"l{k % count}" for k in range(200)] for i, count in enumerate(levels)}
    columns = [Column(name, "categorical") for name in categories]
    columns += [Column(f"n{number}", "numeric") for number in range(numbers)]
    return pd.DataFrame(categories), Schema(tuple(columns), "y", "0", "1")


@pytest.mark.parametrize(
    ("levels", "numbers", "expected"),
    [
        ((13, 13, 13), 0, True),
        ((13, 13, 13), 3, True),
        ((13, 13, 13), 4, False),  # most columns are numbers
        ((13, 13), 0, False),
        ((12, 12, 12, 13, 13), 0, False),
    ],
)
def test_a_table_of_codes_is_mostly_columns_of_many_levels(levels, numbers, expected):
    known = encodings(*frame_of(levels, numbers))
    assert {PAIRS, LINEAR_PAIRS, TREES_COUNTS} <= set(known) or not expected
    assert expected or not {PAIRS, LINEAR_PAIRS, TREES_COUNTS} & set(known)


@pytest.mark.parametrize("name", list(WITH_CODES))
def test_first_trials_use_the_statistics_on_a_table_of_codes(name):
    entry = adapted(ALGORITHMS[name], prepared(400))
    assert {params["encoding"] for params in entry.defaults} == {WITH_CODES[name]}
    assert set(entry.space["encoding"]) >= {WITH_CODES[name]}
    assert len(entry.space["encoding"]) >= 2
    for params in entry.defaults:
        assert set(params) == set(entry.space)


def test_adaboost_stays_as_it_is():
    assert adapted(ALGORITHMS["adaboost"], prepared(400)) == ALGORITHMS["adaboost"]


def test_a_search_and_a_final_fit_run_on_a_table_of_codes():
    data = prepared(900)
    for name in ("logistic_regression", "random_forest"):
        candidate, oof = searched(name, data.typed, data.y, data.fold_ids, data.schema, trials=4)
        assert candidate.trials[0].params["encoding"] == WITH_CODES[name]
        scored = data.fold_ids >= 0
        assert roc_auc(data.y[scored], oof[scored]) > 0.6
        model = fit_final(candidate, data.typed, data.y, data.schema, seeds=1)
        assert model.predict_proba(expand(data.typed, data.schema)).shape == (900, 2)


@pytest.mark.slow
def test_pairs_of_codes_gain_where_half_of_the_signal_is_in_them():
    data = prepared(8000)
    means, pairs = (
        search_of(data, "logistic_regression", encoding) for encoding in (LINEAR, LINEAR_PAIRS)
    )
    assert pairs > means + 0.02  # measured: .027, and .042 with seed 1
    assert search_of(data, "random_forest", TREES_COUNTS) > search_of(data, "random_forest", TREES)


def search_of(data, name, encoding):
    fold = encode_fold(data, 0, encoding, FitOptions())
    entry = ALGORITHMS[name]
    model = entry.fit(entry.build(entry.defaults[-1], 0, 1, fold.train.types), fold.train)
    return roc_auc(fold.valid.y, entry.predict(model, fold.valid.x, None))


def test_the_generated_table_has_the_rate_and_the_probability_that_it_says():
    frame, probability = code_table(8000, 5)
    assert probability.mean() == pytest.approx(0.065, abs=1e-9)
    event = (frame["event"] == "yes").to_numpy()
    assert abs(event.mean() - 0.065) < 0.01
    assert roc_auc(event.astype("int8"), probability) > 0.88
    assert frame.drop(columns="event").nunique().tolist()[0] == 5
    again, _ = code_table(8000, 5)
    pd.testing.assert_frame_equal(frame, again)
