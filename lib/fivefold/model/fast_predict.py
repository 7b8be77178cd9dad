"""Fast predict: a fitted model's probabilities without the tables and checks of `predict_proba`.

Every scikit-learn step checks its input and builds tables at each call, which takes longer than
the prediction of one row. Here encoders are turned into lookup tables once, numbers pass through
the fitted steps as arrays, and forests sum the leaves that `Tree.apply` names. The result is that
of `predict_proba`. A step or model that is not in `_FAST_PATHS`, or has other
settings than the entry expects, is called itself.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.special import expit

from fivefold.data.coerce import different

ROWS_AT_A_TIME = 5000  # of a model that has no fast path
# Expanded columns by name (`fivefold.model.inputs.expand_columns`), arrays of one length.
Columns = Mapping[str, Any]


class Rows(NamedTuple):
    """Expanded columns; the distinct texts of a column are listed once for all steps and models.

    `distinct(name)` returns (the position of each row's text, -1 for none; the distinct texts).
    """

    columns: Columns
    distinct: Callable[[str], tuple[np.ndarray, list[str]]]


Encode = Callable[[Rows], Any]  # rows -> columns of the encoded matrix
Transform = Callable[[Any], Any]  # matrix -> matrix
Predict = Callable[[Any], np.ndarray]  # rows or a matrix -> probabilities, shape (rows,)


def fast_predictor(model: Any) -> Callable[[Columns], np.ndarray]:
    """Return a function from expanded columns to probabilities of the positive class.

    Parameters
    ----------
    model
        A fitted Pipeline of a ColumnTransformer and a classifier, or a soft VotingClassifier of
        such pipelines. Any other model is called by its `predict_proba`.
    """
    predict = _predictor(model)

    def probability(columns: Columns) -> np.ndarray:
        if not len(next(iter(columns.values()))):  # scikit-learn refuses an empty table
            return np.empty(0)
        return predict(Rows(columns, cache(lambda name: different(columns[name]))))

    return probability


def _predictor(model: Any) -> Predict:
    if _is_soft_vote(model):
        return _vote(model, _predictor)
    steps = _steps(model)
    encode = _encoder(steps[0])
    if encode is None:
        return lambda rows: _in_pieces(model, pd.DataFrame(rows.columns))
    transform, classify = _chain(steps[1:-1]), _classifier(steps[-1])
    return lambda rows: classify(transform(encode(rows)))


def _in_pieces(model: Any, table: pd.DataFrame) -> np.ndarray:
    """Return a model's probabilities, some rows at a time: those of texts need much memory."""
    starts = range(0, len(table), ROWS_AT_A_TIME)
    pieces = [model.predict_proba(table.iloc[at : at + ROWS_AT_A_TIME])[:, 1] for at in starts]
    return np.concatenate(pieces)


def _vote(model: Any, fast: Callable[[Any], Predict]) -> Predict:
    """Return the weighted mean of the fast paths of a soft vote's members."""
    members = [fast(member) for member in model.estimators_]
    return lambda x: np.average([member(x) for member in members], axis=0, weights=model.weights)


def _encoder(step: Any) -> Encode | None:
    """Return the fast path of the first step, None where it is not one by column names."""
    if _is(step, "FeatureUnion"):
        return _columns_and_codes(step)
    if not _is(step, "ColumnTransformer") or step.transformer_weights:
        return None
    parts = []
    for _, part, names in step.transformers_:
        if isinstance(part, str) or not len(names):
            continue
        if not all(isinstance(name, str) for name in names):
            return None
        parts.append(_text_encoder(part, names) if isinstance(names, str) else _part(part, names))
    if not parts:
        return lambda rows: np.empty((len(next(iter(rows.columns.values()))), 0))
    return lambda rows: np.hstack([_dense(part(rows)) for part in parts])


def _columns_and_codes(step: Any) -> Encode | None:
    """Return the fast path of columns beside codes (`fivefold.training.encode_folds`)."""
    parts = [part for _, part in step.transformer_list]
    if step.transformer_weights or len(parts) != 2:
        return None
    columns, codes = _encoder(parts[0]), _code_pairs(_steps(parts[1]))
    if columns is None or codes is None:
        return None

    def encode(rows: Rows) -> Any:
        statistics, one_hot = codes(rows)
        dense = np.hstack([columns(rows), statistics])
        return dense if one_hot is None else sparse.hstack([dense, one_hot], format="csr")

    return encode


def _code_pairs(steps: list[Any]) -> Callable[[Rows], tuple[np.ndarray, Any]] | None:
    """Return the fast path of `fivefold.training.code_pairs`: statistics, one-hot columns if any.

    Each key is searched once, for all of them.
    """
    kinds = [type(step).__name__ for step in steps]
    if kinds != ["ColumnTransformer", "FunctionTransformer", "FeatureUnion"]:
        return None
    encode_levels, to_keys, union = _encoder(steps[0]), steps[1], dict(steps[2].transformer_list)
    if encode_levels is None or to_keys.func is not np.dot:
        return None
    known = union["log_odds"].categories_
    values = [union["log_odds"].encodings_, union["counts"].encodings_]
    weights, is_sparse = to_keys.kw_args["b"], "one_hot" in union
    first = np.cumsum([0, *map(len, known)])  # one-hot column of each key's first value

    def encode(rows: Rows) -> tuple[np.ndarray, Any]:
        keys = encode_levels(rows) @ weights
        statistics = np.zeros((len(values), *keys.shape))
        places = np.full(keys.shape, -1)
        for number, levels in enumerate(known):
            if not len(levels):
                continue
            line = np.minimum(np.searchsorted(levels, keys[:, number]), len(levels) - 1)
            found = levels[line] == keys[:, number]
            places[found, number] = first[number] + line[found]
            for table, kind in zip(statistics, values, strict=True):
                table[found, number] = kind[number][line[found]]
        if not is_sparse:
            return np.hstack([*statistics]), None
        row, key = np.nonzero(places >= 0)
        ones = np.ones(len(row)), (row, places[row, key])
        return np.hstack([*statistics]), sparse.csr_array(ones, shape=(len(keys), first[-1]))

    return encode


def _part(part: Any, names: Sequence[str]) -> Encode:
    """Return the fast path of a part of the encoder that reads several columns."""
    steps = _steps(part)
    lookup = _lookup(steps, names) if hasattr(steps[0], "categories_") else None
    if lookup:
        return lookup
    transform = _chain(steps)
    takes_arrays = all(_takes_arrays(step) for step in steps)

    def encode(rows: Rows) -> Any:
        columns = {name: rows.columns[name] for name in names}
        if takes_arrays and all(values.dtype == np.float64 for values in columns.values()):
            return transform(np.column_stack([*columns.values()]))
        return part.transform(pd.DataFrame(columns))

    return encode


def _text_encoder(part: Any, name: str) -> Encode:
    """Return the fast path of a vectorizer: each distinct text is transformed once."""

    def encode(rows: Rows) -> Any:
        if rows.columns[name].dtype != "str":
            return part.transform(pd.Series(rows.columns[name]))
        positions, texts = rows.distinct(name)
        return _dense(part.transform(texts))[positions]

    return encode


def _lookup(steps: list[Any], names: Sequence[str]) -> Encode | None:
    """Return a lookup of what the encoder makes of each level; None where it cannot be one.

    The last line of each table is for an unknown level.
    """
    encoder = steps[0]
    levels = {}
    for name, known in zip(names, encoder.categories_, strict=True):
        if not all(isinstance(level, str) for level in known):
            return None
        levels[name] = pd.Series([*known, max(known) + "?"], dtype="str")  # one is no level
    if getattr(encoder, "handle_unknown", "") == "error":
        return None
    encoded = _dense(encoder.transform(pd.DataFrame(levels).ffill()))
    named = copy.copy(encoder)
    named.feature_name_combiner = lambda name, level: name  # a one-hot encoder asks for it
    sources = named.get_feature_names_out()  # the column that each encoded one was made of
    if set(sources) != set(names):
        return None
    tables = []
    for name, known in levels.items():
        lines = {level: line for line, level in enumerate(known[:-1])}
        tables.append((name, lines, encoded[: len(known), sources == name]))
    transform = _chain(steps[1:])

    def encode(rows: Rows) -> Any:
        blocks = []
        for name, lines, table in tables:
            positions, texts = rows.distinct(name)
            # The position of a missing text is -1: the appended unknown level.
            line_of = np.array([*(lines.get(text, -1) for text in texts), -1])
            blocks.append(table[line_of[positions]])
        return transform(np.hstack(blocks))

    return encode


def _chain(steps: Sequence[Any]) -> Transform:
    """Return what fitted steps do to a matrix, one after the other."""
    transforms = [_transform(step) for step in steps]

    def chain(matrix: Any) -> Any:
        for transform in transforms:
            matrix = transform(matrix)
        return matrix

    return chain


def _transform(step: Any) -> Transform:
    """Return what a fitted step does to a matrix."""
    unnamed = copy.copy(step)
    vars(unnamed).pop("feature_names_in_", None)  # or it would ask for a table
    return _fast_path(step) or (lambda x: unnamed.transform(x))


def _fast_path(step: Any) -> Transform | None:
    make = _FAST_PATHS.get(type(step).__name__)
    return make(step) if make else None


def _passthrough(step: Any) -> Transform | None:
    return (lambda x: x) if step.func is None else None


def _scale(step: Any) -> Transform | None:
    if not (step.with_mean and step.with_std):
        return None
    return lambda x: (x - step.mean_) / step.scale_


def _indicate_missing(step: Any) -> Transform | None:
    if not _is_nan(step.missing_values) or step.error_on_new:
        return None
    return lambda x: np.isnan(x)[:, step.features_]


def _impute(step: Any) -> Transform | None:
    if not _is_nan(step.missing_values) or any(map(_is_nan, step.statistics_)):
        return None
    marked = step.indicator_.features_ if step.add_indicator else []

    def impute(x: np.ndarray) -> np.ndarray:
        missing = np.isnan(x)
        return np.hstack([np.where(missing, step.statistics_, x), missing[:, marked]])

    return impute


def _splines(step: Any) -> Transform | None:
    """Splines that are constant outside their knots; columns of the same knots in one call."""
    if step.extrapolation != "constant":
        return None
    curves, degree = step.bsplines_, step.degree
    last = None if step.include_bias else -1
    same_knots: dict[bytes, list[int]] = {}
    for column, curve in enumerate(curves):
        same_knots.setdefault(curve.t.tobytes(), []).append(column)

    def bend(x: np.ndarray) -> np.ndarray:
        bent = np.empty((len(x), len(curves), curves[0].c.shape[1]))
        for columns in same_knots.values():
            curve = curves[columns[0]]
            inside = np.clip(x[:, columns], curve.t[degree], curve.t[-degree - 1])
            bent[:, columns] = curve(inside)
        return bent[:, :, :last].reshape(len(x), -1)

    return bend


def _products(step: Any) -> Transform | None:
    """All columns and scaled products of two (`fivefold.training.encode_folds`)."""
    (_, first, columns), *rest = step.transformers_
    if columns != slice(0, step.n_features_in_) or not _is(first, "FunctionTransformer"):
        return None
    scalers = []
    for _, part, _ in rest:
        steps = _steps(part)
        if [type(step).__name__ for step in steps] != ["PolynomialFeatures", "StandardScaler"]:
            return None
        if steps[0].powers_.tolist() != [[1, 1]]:
            return None
        scalers.append(steps[1])
    left, right = np.array([pair for _, _, pair in rest], dtype=int).reshape(-1, 2).T
    mean = np.array([scaler.mean_[0] for scaler in scalers])
    scale = np.array([scaler.scale_[0] for scaler in scalers])
    return lambda x: np.hstack([x, (x[:, left] * x[:, right] - mean) / scale])


def _classifier(model: Any) -> Predict:
    """Return a classifier's probabilities of the positive class, in one thread."""
    if _is_soft_vote(model):
        return _vote(model, _classifier)
    fast = _fast_path(model) if len(getattr(model, "classes_", ())) == 2 else None
    return fast or (lambda x: np.asarray(model.predict_proba(x)[:, 1]))


def _logistic_regression(model: Any) -> Predict:
    return lambda x: np.asarray(expit((x @ model.coef_.T + model.intercept_)[:, 0]))


def _lightgbm(model: Any) -> Predict:
    return lambda x: np.asarray(model.booster_.predict(x, num_threads=1))


def _random_forest(model: Any) -> Predict:
    leaves = [(tree.tree_, tree.tree_.value[:, 0, 1].copy()) for tree in model.estimators_]
    return lambda x: _sum_leaves(leaves, x) / len(leaves)


def _adaboost(model: Any) -> Predict | None:
    if not all(hasattr(tree, "tree_") for tree in model.estimators_):
        return None
    weights = model.estimator_weights_
    leaves = []
    for tree, weight in zip(model.estimators_, weights, strict=False):  # it may stop early
        value = tree.tree_.value
        vote = np.where(value[:, 0, 1] > value[:, 0, 0], 1.0, -1.0)
        leaves.append((tree.tree_, weight * vote))
    return lambda x: np.asarray(expit(2 * _sum_leaves(leaves, x) / weights.sum()))


# Optional: by type of a fitted step or binary classifier a function that returns its fast path, or
# None.
_FAST_PATHS: dict[str, Callable[[Any], Transform | None]] = {
    "FunctionTransformer": _passthrough,
    "StandardScaler": _scale,
    "MissingIndicator": _indicate_missing,
    "SimpleImputer": _impute,
    "SplineTransformer": _splines,
    "ColumnTransformer": _products,
    "LogisticRegression": _logistic_regression,
    "LGBMClassifier": _lightgbm,
    "RandomForestClassifier": _random_forest,
    "AdaBoostClassifier": _adaboost,
}


def _sum_leaves(leaves: list[tuple[Any, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """Return the sum over trees of the value of the leaf that each row reaches."""
    x32 = x.astype("float32")
    total = np.zeros(len(x))
    for tree, value in leaves:
        total += value[tree.apply(x32)]
    return total


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _steps(model: Any) -> list[Any]:
    """Return the steps of a pipeline and of those inside it; anything else is one step."""
    if not _is(model, "Pipeline"):
        return [model]
    steps = []
    for _, step in model.steps:
        steps += _steps(step)
    return steps


def _takes_arrays(step: Any) -> bool:
    """Return whether a step needs no column names, nor calls others, or a function, that may."""
    names = ("transformers", "transformer_list", "func")
    calls_others = any(getattr(step, name, None) is not None for name in names)
    return type(step).__module__.startswith("sklearn.") and not calls_others


def _is_soft_vote(model: Any) -> bool:
    return _is(model, "VotingClassifier") and model.voting == "soft"


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _is(model: Any, name: str) -> bool:
    return type(model).__name__ == name
