"""Folds: the encoded training and validation matrices that a search fits and judges on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.schema import Schema
from fivefold.data.splits import Split, subsample
from fivefold.model.inputs import expand
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    NATIVE,
    ORDERED,
    encoder,
    ordered_means,
    plan,
)
from fivefold.training.interactions import crosses

Extra = Callable[[pd.DataFrame, np.ndarray, int], tuple[pd.DataFrame, np.ndarray]]


@dataclass(frozen=True)
class Fold:
    """One fold, encoded: training matrix and labels, validation matrix, labels and row positions, column types."""

    train_x: np.ndarray
    train_y: np.ndarray
    valid_x: np.ndarray
    valid_y: np.ndarray
    rows: np.ndarray
    types: str


def encode_folds(
    style: str,
    typed: pd.DataFrame,
    y: np.ndarray,
    fold_ids: np.ndarray,
    schema: Schema,
    seed: int,
    extra: Extra | None = None,
    max_rows: int | None = None,
) -> Iterable[Fold]:
    """Each fold with its own plan and encoder, both learnt from its training part alone."""
    for number, (train, valid) in enumerate(Split(fold_ids).folds()):
        yield encode_fold(style, number, train, valid, typed, y, schema, seed, extra, max_rows)


def encode_fold(
    style: str,
    number: int,
    train: np.ndarray,
    valid: np.ndarray,
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    seed: int,
    extra: Extra | None = None,
    max_rows: int | None = None,
) -> Fold:
    """The fold of this number, of these training and validation rows (positions)."""
    rows, labels = fitted_rows(typed.iloc[train], y[train], extra, number, max_rows, seed)
    train_x, encode, types = encode_training(style, rows, labels, schema, seed)
    return Fold(
        train_x, labels, encode.transform(expand(typed.iloc[valid], schema)), y[valid], valid, types
    )


def encode_training(
    style: str, typed: pd.DataFrame, y: np.ndarray, schema: Schema, seed: int
) -> tuple[np.ndarray, Any, str]:
    """(matrix, fitted encoder, column types "c"/"q") of training rows."""
    expanded = expand(typed, schema)
    recipe = plan(expanded, schema)
    encode = encoder(recipe, LINEAR if style == CROSSED else style, seed)
    matrix = encode.fit_transform(expanded, y)
    if style == CROSSED:
        from sklearn.pipeline import Pipeline

        products, matrix = crosses(matrix, y)
        encode = Pipeline([("columns", encode), ("crosses", products)])
    if style == ORDERED and "means" in encode.output_indices_:
        first = encode.output_indices_["means"].start
        for number, name in enumerate(recipe["low"] + recipe["high"]):
            levels = pd.factorize(expanded[name])[0]
            matrix[:, first + number] = ordered_means(levels, np.asarray(y), seed + number)
    codes = len(recipe["native"]) if style == NATIVE else 0
    return matrix, encode, "c" * codes + "q" * (matrix.shape[1] - codes)


def fitted_rows(
    typed: pd.DataFrame,
    y: np.ndarray,
    extra: Extra | None,
    fold: int,
    max_rows: int | None,
    seed: int,
) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows and labels that one fit learns from: at most `max_rows` of these, and at most as many of those that
    `extra` draws from them, if anything.
    """
    kept = subsample(np.arange(len(y)), y, max_rows, seed)
    typed, y = typed.iloc[kept] if len(kept) < len(y) else typed, y[kept]
    if extra is None:
        return typed, y
    more, more_y = extra(typed, y, fold)
    kept = subsample(np.arange(len(more_y)), more_y, max_rows, seed)
    return pd.concat([typed, more.iloc[kept]], ignore_index=True), np.concatenate([y, more_y[kept]])
