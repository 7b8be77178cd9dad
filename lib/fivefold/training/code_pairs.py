"""Code pairs: statistics of codes and of their pairs, for tables of many-level categories.

A key stands for a code, or for a pair of codes. Each key gets two columns: the log-odds of the
positive class among the other rows with that key, and their count. A logistic regression also gets
one column for each key. The fitted steps are scikit-learn's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

SMOOTHING = 10.0  # rows that the overall mean weighs in the mean of a key
FEWEST_ROWS = 2  # of a key: alone, a row tells nothing about other rows
SPREAD = 0.3  # standard deviation of the statistics, beside one-hot columns of 0 and 1
FOLDS = 5  # of the cross-fitted log-odds


@dataclass(frozen=True)
class CodePairs:
    """The fitted step, from expanded rows to a matrix, and the matrix of its training rows.

    The matrix is sparse with one-hot columns, dense without.
    """

    step: Any
    matrix: Any


@dataclass(frozen=True)
class _KeyTable:
    """What is known of the keys of one column or pair.

    `keys` are the sorted keys of at least `FEWEST_ROWS` rows, `log_odds` and `counts` their values,
    and the others those of each training row. An unknown key has 0 in both.
    """

    keys: np.ndarray
    log_odds: np.ndarray
    counts: np.ndarray
    row_log_odds: np.ndarray
    row_counts: np.ndarray


def fit_code_pairs(
    expanded: pd.DataFrame, names: list[str], y: np.ndarray, seed: int, *, pairs: bool, sparse: bool
) -> CodePairs:
    """Return the statistics of these columns' codes, fitted on training rows.

    Parameters
    ----------
    expanded : training rows
    names : the columns of codes
    y : labels of shape (rows,), 0 or 1
    seed : of the folds
    pairs : whether all pairs of columns have keys too
    sparse : whether each key has a one-hot column

    References
    ----------
    Micci-Barreca 2001, "A preprocessing scheme for high-cardinality categorical attributes", for
    the smoothed means. Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical
    features", for combinations of categories and for counts. The log-odds of a training row come
    from the other folds, its count leaves out the row itself: neither depends on its own label.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    levels = ColumnTransformer([("levels", ordinal, names)], verbose_feature_names_out=False)
    codes = levels.fit_transform(expanded)
    weights = key_weights([len(known) for known in ordinal_of(levels).categories_], pairs)
    keys = codes @ weights
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    parts = [held_out for _, held_out in folds.split(y, y)]
    tables = [_key_table(key, y, parts) for key in keys.T]
    known = [table.keys for table in tables]
    union: list[tuple[str, Any]] = [
        ("log_odds", _lookup(known, [table.log_odds for table in tables])),
        ("counts", _lookup(known, [table.counts for table in tables])),
    ]
    columns = [table.row_log_odds for table in tables] + [table.row_counts for table in tables]
    matrix: Any = np.column_stack(columns)
    if sparse:
        from scipy.sparse import csr_array, hstack

        one_hot = OneHotEncoder(categories=known, handle_unknown="ignore")
        union.append(("one_hot", one_hot.fit(keys[:1])))
        matrix = hstack([csr_array(matrix), one_hot.transform(keys)], format="csr")
    steps = [
        ("levels", levels),
        ("keys", FunctionTransformer(np.dot, kw_args={"b": weights}).fit(codes[:1])),
        ("statistics", FeatureUnion(union)),
    ]
    return CodePairs(Pipeline(steps), matrix)


def ordinal_of(levels: Any) -> Any:
    """Return the fitted OrdinalEncoder of the first step."""
    return levels.named_transformers_["levels"]


def key_weights(levels: list[int], pairs: bool) -> np.ndarray:
    """Return the matrix that turns codes into keys, shape (columns, keys).

    The key of a pair is first * (levels of the second + 1) + second: different for each pair, also
    where a code is -1 for an unknown level.

    >>> key_weights([3, 4], pairs=True).tolist()
    [[1.0, 0.0, 5.0], [0.0, 1.0, 1.0]]
    """
    columns = list(np.eye(len(levels)))
    for first, second in combinations(range(len(levels)), 2) if pairs else ():
        column = np.zeros(len(levels))
        column[first], column[second] = levels[second] + 1, 1
        columns.append(column)
    return np.column_stack(columns)


def _key_table(key: np.ndarray, y: np.ndarray, parts: list[np.ndarray]) -> _KeyTable:
    keys, line, rows = np.unique(key, return_inverse=True, return_counts=True)
    events = np.bincount(line, y, len(keys))
    row_log_odds = np.empty(len(y))
    for part in parts:
        at = line[part]
        other_rows = rows - np.bincount(at, minlength=len(keys))
        other_events = events - np.bincount(at, y[part], len(keys))
        row_log_odds[part] = shrunk_log_odds(other_events, other_rows, y.mean())[at]
    row_counts = np.log(rows[line])
    frequent = rows >= FEWEST_ROWS
    log_odds, counts = shrunk_log_odds(events, rows, y.mean()), np.log1p(rows)
    scale, count_scale = _scale(row_log_odds), _scale(row_counts)
    return _KeyTable(
        keys[frequent],
        log_odds[frequent] * scale,
        counts[frequent] * count_scale,
        row_log_odds * scale,
        row_counts * count_scale,
    )


def shrunk_log_odds(events: np.ndarray, rows: np.ndarray, mean: float) -> np.ndarray:
    """Return how far the log-odds of smoothed means are from those of the overall mean.

    >>> shrunk_log_odds(np.array([0, 6]), np.array([0, 10]), 0.5).round(3).tolist()
    [0.0, 0.201]
    """
    rate = (events + SMOOTHING * mean) / (rows + SMOOTHING)
    return np.asarray(np.log(rate / (1 - rate)) - np.log(mean / (1 - mean)))


def _scale(values: np.ndarray) -> float:
    spread = float(values.std())
    return SPREAD / spread if spread > 0 else 0.0


def _lookup(keys: list[np.ndarray], values: list[np.ndarray]) -> Any:
    """Return a TargetEncoder that gives each key its value and any other key 0."""
    from sklearn.preprocessing import TargetEncoder

    some = np.zeros((2, len(keys)))
    lookup = TargetEncoder(target_type="binary").fit(some, [0, 1])
    lookup.categories_, lookup.encodings_, lookup.target_mean_ = keys, values, 0.0
    return lookup
