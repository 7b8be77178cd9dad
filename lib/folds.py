"""Folds: the encoded training and validation matrices that a search fits and judges on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lib.crosses import crosses
from lib.features import CROSSED, LINEAR, NATIVE, ORDERED, encoder, expand, ordered_means, plan
from lib.schema import Schema
from lib.splits import fold_rows

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


def encode_folds(style: str, typed: pd.DataFrame, y: np.ndarray, place: np.ndarray, schema: Schema, seed: int,
                 extra: Extra | None = None, max_rows: int | None = None) -> Iterable[Fold]:
    """Each fold with its own plan and encoder, both learnt from its training part alone."""
    for number, (train, valid) in enumerate(fold_rows(place)):
        kept = subsample(train, y, max_rows, seed)
        rows, labels = with_extra(typed.iloc[kept], y[kept], extra, number)
        train_x, encode, types = encode_training(style, rows, labels, schema, seed)
        yield Fold(train_x, labels, encode.transform(expand(typed.iloc[valid], schema)), y[valid], valid, types)


def encode_training(style: str, typed: pd.DataFrame, y: np.ndarray, schema: Schema,
                    seed: int) -> tuple[np.ndarray, Any, str]:
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


def with_extra(rows: pd.DataFrame, y: np.ndarray, extra: Extra | None,
                fold: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Training rows and labels with what `extra` draws from them, if anything."""
    if extra is None:
        return rows, y
    more, more_y = extra(rows, y, fold)
    return pd.concat([rows, more], ignore_index=True), np.concatenate([y, more_y])


def subsample(rows: np.ndarray, y: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """At most `most` of the positions, in order, with the same share of positives."""
    if most is None or len(rows) <= most:
        return rows
    from sklearn.model_selection import train_test_split

    return np.sort(train_test_split(rows, train_size=most, stratify=y[rows], random_state=seed)[0])
