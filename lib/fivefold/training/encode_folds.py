"""Encoded folds: the training and validation matrices that a search fits and scores on.

For a logistic regression they may have interactions: products of two encoded columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.data.splits import subsample
from fivefold.model.inputs import expand
from fivefold.training.algorithms import ALGORITHMS, Algorithm, Params
from fivefold.training.boosting import Encoded
from fivefold.training.code_pairs import fit_code_pairs
from fivefold.training.encoding import (
    CROSSED,
    DIRECTED,
    LINEAR,
    LINEAR_PAIRS,
    NATIVE,
    ORDERED,
    TREES_COUNTS,
    WITHOUT_CODES,
    WORDS,
    EncodingPlan,
    encoder,
    ordered_means,
    plan,
    words_encoder,
)
from fivefold.training.training_data import FitOptions, TrainingData

FINAL_FIT = -1  # fold number that a synthetic sampler gets for the final fit
MOST_PRODUCTS = 40  # products that are added
MOST_COLUMNS = 400  # whose pairs are tested: those that the model without products uses most
MOST_ROWS = 10_000  # rows of the test
BASE_C = 0.1  # inverse strength of the L2 penalty of the model without products


@dataclass(frozen=True)
class Fold:
    """One encoded fold.

    `rows` has the positions of the validation rows.
    """

    train: Encoded
    valid: Encoded
    rows: np.ndarray


def encode_fold(
    data: TrainingData, number: int, encoding: str, options: FitOptions, max_rows: int | None = None
) -> Fold:
    """Return the fold of this number, with at most `max_rows` training rows of the table.

    Its plan and its encoder are fitted on its training part alone.
    """
    train, valid = list(data.split.folds())[number]
    rows, labels, weights = fitted_rows(data, train, number, options, max_rows)
    encoded, encode = encode_training(encoding, rows, labels, data.schema, options.seed)
    valid_rows, valid_y = data.rows(valid)
    valid_x = encode.transform(expand(valid_rows, data.schema))
    held_out = Encoded(valid_x, valid_y, encoded.types, data.weights_of(valid))
    return Fold(replace(encoded, weights=weights), held_out, valid)


def fit_fold(
    entry: Algorithm, params: Params, fold: Fold, options: FitOptions, seconds: float = np.inf
) -> tuple[Any, int | None]:
    """Return the model fitted on the training part of a fold, and its best round of boosting.

    Raises `OutOfTime` where a boosted fit takes longer than `seconds`.
    """
    train = fold.train
    model = entry.build(params, options.seed, options.threads, train.types, options.device)
    if entry.boosted is None:
        return entry.fit(model, train), None
    return model, entry.boosted.fit_rounds(model, train, fold.valid, seconds)


def encode_training(
    encoding: str, typed: pd.DataFrame, y: np.ndarray, schema: Schema, seed: int
) -> tuple[Encoded, Any]:
    """Return the encoded training rows and the fitted encoder."""
    expanded = expand(typed, schema)
    recipe = plan(expanded, schema)
    if encoding in WITHOUT_CODES and recipe.codes:
        return _encode_codes(encoding, expanded, y, recipe, seed)
    if encoding == WORDS and recipe.text:
        return _encode_words(expanded, y, recipe, seed)
    encoding = WITHOUT_CODES.get(encoding, LINEAR if encoding == WORDS else encoding)
    encode = encoder(recipe, LINEAR if encoding == CROSSED else encoding, seed)
    matrix = encode.fit_transform(expanded, y)
    if encoding == CROSSED:
        from sklearn.pipeline import Pipeline

        products, matrix = interactions(matrix, y)
        encode = Pipeline([("columns", encode), ("crosses", products)])
    if encoding == ORDERED and "means" in encode.output_indices_:
        first = encode.output_indices_["means"].start
        for number, name in enumerate(recipe.categories):
            levels = pd.factorize(expanded[name])[0]
            matrix[:, first + number] = ordered_means(levels, y, seed + number)
    codes = len(recipe.native) if encoding == NATIVE else 0
    types = "c" * codes + "q" * (matrix.shape[1] - codes)
    return Encoded(matrix, y, _directed(types, recipe, encode)), encode


def _directed(types: str, recipe: EncodingPlan, encode: Any) -> str:
    """Return the types with "+" and "-" for the columns that have a direction.

    `encode` : fitted ColumnTransformer of numbers as they are, filled, or rank-scaled
    """
    if not recipe.directions:
        return types
    letters = list(types)
    places = encode.output_indices_
    names = recipe.numbers
    if DIRECTED in places:
        names = [name for name in names if name in recipe.directions]
    first = places[DIRECTED if DIRECTED in places else "numbers"].start
    for place, name in enumerate(names, first):
        if way := recipe.directions.get(name):
            letters[place] = "+" if way > 0 else "-"
    return "".join(letters)


def _encode_codes(
    encoding: str, expanded: pd.DataFrame, y: np.ndarray, recipe: EncodingPlan, seed: int
) -> tuple[Encoded, Any]:
    """Do as `encode_training` where codes and their pairs have statistics of their own."""
    from scipy.sparse import csr_array, hstack
    from sklearn.pipeline import FeatureUnion

    columns = encoder(recipe.without_codes, WITHOUT_CODES[encoding], seed)
    matrix: Any = columns.fit_transform(expanded, y)
    sparse, pairs = encoding == LINEAR_PAIRS, encoding != TREES_COUNTS
    codes = fit_code_pairs(expanded, recipe.codes, y, seed, pairs=pairs, sparse=sparse)
    if sparse:
        matrix = hstack([csr_array(matrix), codes.matrix], format="csr")
    else:
        matrix = np.hstack([matrix, codes.matrix])
    encode = FeatureUnion([("columns", columns), ("codes", codes.step)])
    types = _directed("q" * matrix.shape[1], recipe, columns)
    return Encoded(matrix, y, types), encode


def _encode_words(
    expanded: pd.DataFrame, y: np.ndarray, recipe: EncodingPlan, seed: int
) -> tuple[Encoded, Any]:
    """Do as `encode_training` where a regression gets the words of texts beside the columns."""
    from scipy.sparse import csr_array, hstack
    from sklearn.pipeline import FeatureUnion

    columns = encoder(replace(recipe, text=[]), LINEAR, seed)
    words = words_encoder(recipe)
    parts = [csr_array(columns.fit_transform(expanded, y)), words.fit_transform(expanded, y)]
    matrix: Any = hstack(parts, format="csr")
    encode = FeatureUnion([("columns", columns), ("words", words)])
    types = _directed("q" * matrix.shape[1], recipe, columns)
    return Encoded(matrix, y, types), encode


def fitted_rows(
    data: TrainingData, rows: np.ndarray, fold: int, options: FitOptions, max_rows: int | None
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray | None]:
    """Return the typed rows, labels and weights that one fit learns from.

    They are at most `max_rows` of those at the sorted positions `rows` and, with a synthetic
    sampler, at most as many of those that it gives, which weigh as much as the mean of the others.
    """
    learnt = subsample(rows, data.y, max_rows, options.seed)
    typed, y = data.rows(learnt)
    weights = data.weights_of(learnt)
    if options.sampler is None:
        return typed, y, weights
    synthetic, synthetic_y = options.sampler(typed, y, fold)
    kept = subsample(np.arange(len(synthetic_y)), synthetic_y, max_rows, options.seed)
    joined = pd.concat([typed, synthetic.iloc[kept]], ignore_index=True)
    if weights is not None:
        weights = np.concatenate([weights, np.full(len(kept), weights.mean())])
    return joined, np.concatenate([y, synthetic_y[kept]]), weights


def choose_pairs(matrix: np.ndarray, y: np.ndarray) -> list[tuple[int, int]]:
    """Return the column pairs whose products would help a logistic regression most, best first.

    A logistic regression is fitted on the columns alone. Each product then gets its score test: the
    covariance of the product with the residuals, over the standard error of that. Only the
    intercept is projected out, not the other columns. This makes the test a little too cautious,
    but quick: all pairs together are three matrix products.

    Parameters
    ----------
    matrix : array, training rows x columns, no missing values; the labels choose, so no other rows
        may be in it
    y : array of shape (rows,), 0 or 1

    References
    ----------
    Rao 1948, "Large sample tests of statistical hypotheses concerning several parameters with
    applications to problems of estimation".
    """
    rows = subsample(np.arange(len(y)), y, MOST_ROWS, 0)
    matrix, y = matrix[rows], y[rows]
    types = "q" * matrix.shape[1]
    logistic = ALGORITHMS["logistic_regression"]
    base = logistic.fit(logistic.build({"C": BASE_C}, 0, 1, types), Encoded(matrix, y, types))
    strength = np.abs(base.coef_[0]) * matrix.std(axis=0)
    used = np.argsort(-strength, kind="stable")[:MOST_COLUMNS]
    x, p = matrix[:, used], base.predict_proba(matrix)[:, 1]
    weight = p * (1 - p)
    mean = (x * weight[:, None]).T @ x / weight.sum()
    variance = ((x * x) * weight[:, None]).T @ (x * x) - mean * mean * weight.sum()
    effect = (x * (y - p)[:, None]).T @ x - mean * (y - p).sum()
    varies = np.triu(variance > 1e-6 * len(y), 1)
    score = np.where(varies, np.abs(effect) / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    best = np.argsort(-score, axis=None, kind="stable")[: min(MOST_PRODUCTS, int(varies.sum()))]
    pairs = used[np.stack(np.unravel_index(best, score.shape), axis=1)]
    return [(int(a), int(b)) for a, b in np.sort(pairs, axis=1)]


def interactions(matrix: np.ndarray, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return a fitted ColumnTransformer that adds the chosen products, and its output.

    The products have unit variance. The output is that for `matrix`.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    parts: list[tuple[str, Any, Any]] = [("columns", "passthrough", slice(0, matrix.shape[1]))]
    for number, pair in enumerate(choose_pairs(matrix, y)):
        product = PolynomialFeatures((2, 2), interaction_only=True, include_bias=False)
        parts.append((f"product {number}", make_pipeline(product, StandardScaler()), list(pair)))
    step = ColumnTransformer(parts, sparse_threshold=0, verbose_feature_names_out=False)
    return step, step.fit_transform(matrix)
