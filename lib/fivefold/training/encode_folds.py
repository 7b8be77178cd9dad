"""Encoded folds: the training and validation matrices that a search fits and scores on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.data.splits import subsample
from fivefold.model.inputs import expand
from fivefold.training.boosting import Encoded
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    NATIVE,
    ORDERED,
    encoder,
    ordered_means,
    plan,
)
from fivefold.training.interactions import interactions
from fivefold.training.training_data import FitOptions, TrainingData

FINAL_FIT = -1  # fold number that a synthetic sampler gets for the final fit


@dataclass(frozen=True)
class Fold:
    """One encoded fold.

    `rows` has the positions of the validation rows.
    """

    train: Encoded
    valid: Encoded
    rows: np.ndarray


def encode_folds(
    data: TrainingData, encoding: str, options: FitOptions, max_rows: int | None = None
) -> Iterator[Fold]:
    """Yield each fold with its own plan and encoder, both fitted on its training part alone."""
    for number in range(data.split.fold_count):
        yield encode_fold(data, number, encoding, options, max_rows)


def encode_fold(
    data: TrainingData, number: int, encoding: str, options: FitOptions, max_rows: int | None = None
) -> Fold:
    """Return the fold of this number, with at most `max_rows` training rows of the table."""
    train, valid = list(data.split.folds())[number]
    rows, labels = fitted_rows(data.typed.iloc[train], data.y[train], number, options, max_rows)
    encoded, encode = encode_training(encoding, rows, labels, data.schema, options.seed)
    valid_x = encode.transform(expand(data.typed.iloc[valid], data.schema))
    return Fold(encoded, Encoded(valid_x, data.y[valid], encoded.types), valid)


def encode_training(
    encoding: str, typed: pd.DataFrame, y: np.ndarray, schema: Schema, seed: int
) -> tuple[Encoded, Any]:
    """Return the encoded training rows and the fitted encoder."""
    expanded = expand(typed, schema)
    recipe = plan(expanded, schema)
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
            matrix[:, first + number] = ordered_means(levels, np.asarray(y), seed + number)
    codes = len(recipe.native) if encoding == NATIVE else 0
    return Encoded(matrix, y, "c" * codes + "q" * (matrix.shape[1] - codes)), encode


def fitted_rows(
    typed: pd.DataFrame, y: np.ndarray, fold: int, options: FitOptions, max_rows: int | None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows and labels that one fit learns from.

    They are at most `max_rows` of the given ones and, with a synthetic sampler, at most as many of
    those that it gives.
    """
    kept = subsample(np.arange(len(y)), y, max_rows, options.seed)
    if len(kept) < len(y):
        typed = typed.iloc[kept]
    y = y[kept]
    if options.sampler is None:
        return typed, y
    synthetic, synthetic_y = options.sampler(typed, y, fold)
    kept = subsample(np.arange(len(synthetic_y)), synthetic_y, max_rows, options.seed)
    rows = pd.concat([typed, synthetic.iloc[kept]], ignore_index=True)
    return rows, np.concatenate([y, synthetic_y[kept]])
