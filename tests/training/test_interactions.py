"""Products of columns: the right ones are found, and nothing but training rows chooses them."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from fivefold.model.inputs import expand
from fivefold.training import encode_folds
from fivefold.training.encode_folds import choose_pairs, encode_training
from fivefold.training.encoding import CROSSED, LINEAR
from tests.support.tables import prepared


def drawn(effect, columns=6, rows=3000, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns))
    return x, (rng.random(rows) < expit(effect(x))).astype("int8")


def test_planted_interactions_come_first():
    x, y = drawn(lambda x: x[:, 4] + 0.8 * x[:, 0] * x[:, 3] - 1.2 * x[:, 1] * x[:, 5])
    assert choose_pairs(x, y)[:2] == [(1, 5), (0, 3)]


def test_a_class_so_rare_that_a_random_part_may_lack_it_is_no_fault():
    x = np.random.default_rng(1).normal(size=(20_000, 3))
    y = np.ones(20_000, dtype="int8")
    y[np.random.default_rng(0).choice(20_000, 19_990, replace=False)] = 0
    assert sorted(choose_pairs(x, y)[:2]) == sorted(set(choose_pairs(x, y)[:2]))
    assert len(choose_pairs(x, y)[:2]) == 2


def test_the_order_is_that_of_score_tests_made_one_by_one():
    x, y = drawn(lambda x: x[:, 0] + 0.3 * x[:, 1] * x[:, 2], rows=500)
    x[:, 3] = x[:, 3] > 0
    model = LogisticRegression(C=encode_folds.BASE_C, solver="newton-cholesky").fit(x, y)
    p = model.predict_proba(x)[:, 1]
    result = {}
    for a in range(6):
        for b in range(a + 1, 6):
            product = x[:, a] * x[:, b]
            product = product - np.average(product, weights=p * (1 - p))
            result[a, b] = abs(product @ (y - p)) / np.sqrt((p * (1 - p)) @ product**2)
    actual = choose_pairs(x, y)
    assert len(actual) == 15
    assert actual == sorted(result, key=lambda pair: -result[pair])


def test_a_product_that_never_varies_is_not_chosen():
    x, y = drawn(lambda x: x[:, 0], columns=3)
    x[:, 1] = x[:, 0] > 0
    x[:, 2] = x[:, 0] <= 0  # two levels of one category
    assert set(choose_pairs(x, y)) == {(0, 1), (0, 2)}


def test_of_many_columns_those_that_tell_most_by_themselves_are_paired(monkeypatch):
    monkeypatch.setattr(encode_folds, "MOST_COLUMNS", 3)
    x, y = drawn(lambda x: x[:, 1] + x[:, 2] + x[:, 5])
    assert {column for pair in choose_pairs(x, y) for column in pair} == {1, 2, 5}


def test_of_many_rows_some_choose(monkeypatch):
    monkeypatch.setattr(encode_folds, "MOST_ROWS", 2000)
    x, y = drawn(lambda x: 1.5 * x[:, 0] * x[:, 3], rows=6000)
    assert choose_pairs(x, y)[:1] == [(0, 3)]


def test_products_are_added_scaled_and_the_columns_stay():
    x, y = drawn(lambda x: x[:, 0] * x[:, 1], columns=4)
    step, matrix = encode_folds.interactions(x, y)
    np.testing.assert_array_equal(step.transform(x), matrix)
    np.testing.assert_array_equal(matrix[:, :4], x)
    for place, (a, b) in enumerate(choose_pairs(x, y), 4):
        product = x[:, a] * x[:, b]
        np.testing.assert_allclose(matrix[:, place], (product - product.mean()) / product.std())
    assert matrix.shape[1] == 4 + 6


@pytest.mark.parametrize("columns", [1, 2])
def test_without_a_pair_there_is_no_product(columns):
    x, y = drawn(lambda x: x[:, 0], columns=columns)
    if columns == 2:
        x = np.column_stack([x[:, 0] > 0, x[:, 0] <= 0]).astype("float64")
    np.testing.assert_array_equal(encode_folds.interactions(x, y)[1], x)


def test_crossed_is_linear_and_more():
    typed, y, fold_ids, schema = prepared(600)
    rows = fold_ids >= 0
    encoded, _ = encode_training(LINEAR, typed[rows], y[rows], schema, 0)
    plain = encoded.x
    encoded, encode = encode_training(CROSSED, typed[rows], y[rows], schema, 0)
    matrix, types = encoded.x, encoded.types
    np.testing.assert_array_equal(matrix[:, : plain.shape[1]], plain)
    assert matrix.shape[1] == plain.shape[1] + encode_folds.MOST_PRODUCTS == len(types)
    np.testing.assert_array_equal(encode["crosses"].transform(plain), matrix)
    served = encode.transform(expand(typed[rows], schema))
    same = [
        c for c in range(plain.shape[1]) if (served[:, c] == plain[:, c]).all()
    ]  # all but the cross-fitted means
    assert len(same) == plain.shape[1] - 1
