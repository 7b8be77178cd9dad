"""Fast predict: a fitted model's probabilities without the tables and checks of `predict_proba`.

Every scikit-learn step checks its input and builds tables at each call, which takes longer than
the prediction of one row. Here encoders are turned into lookup tables once, numbers pass through
the fitted steps as arrays, and forests sum the leaves that `Tree.apply` names. The result is that
of `predict_proba`. A step or model that is not in `_TRANSFORMS` or `_CLASSIFIERS`, or has other
settings than the entry expects, is called itself.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from fivefold.data.coerce import different

# Expanded columns by name (`fivefold.model.inputs.expand_columns`), arrays of one length.
Columns = Mapping[str, Any]


class Rows:
    """Expanded columns; the distinct texts of a column are listed once for all steps and models."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._distinct: dict[str, tuple[np.ndarray, list[str]]] = {}

    def distinct(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Return (the position of each row's text, -1 for none; the distinct texts)."""
        if name not in self._distinct:
            self._distinct[name] = different(self.columns[name])
        return self._distinct[name]

    def matrix(self, names: Sequence[str]) -> np.ndarray | None:
        """Return columns of numbers as a matrix, None where one holds anything else."""
        columns = [self.columns[name] for name in names]
        if any(values.dtype != np.float64 for values in columns):
            return None
        return np.column_stack(columns)

    def frame(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return columns as a table, by default all of them."""
        return pd.DataFrame({name: self.columns[name] for name in names or self.columns})


Encode = Callable[[Rows], Any]  # rows -> columns of the encoded matrix
Predict = Callable[[Rows], np.ndarray]  # rows -> probabilities, shape (rows,)
Transform = Callable[[Any], Any]  # matrix -> matrix
Classify = Callable[[np.ndarray], np.ndarray]  # matrix -> probabilities, shape (rows,)


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
        length = len(next(iter(columns.values()), ()))
        # scikit-learn refuses an empty table
        return predict(Rows(columns)) if length else np.empty(0)

    return probability


def _predictor(model: Any) -> Predict:
    if _is_soft_vote(model):
        return _vote(model, _predictor)
    steps: list[Any] = []
    for step in _steps(model):
        steps += _steps(step) or [step]
    encode = _encoder(steps[0]) if len(steps) > 1 else None
    if encode is None:
        return lambda rows: np.asarray(model.predict_proba(rows.frame())[:, 1])
    transforms = [_transform(step) for step in steps[1:-1]]
    classify = _classifier(steps[-1])
    return lambda rows: classify(_apply(transforms, encode(rows)))


def _vote(
    model: Any, fast: Callable[[Any], Callable[[Any], np.ndarray]]
) -> Callable[[Any], np.ndarray]:
    """Return the weighted mean of the fast paths of a soft vote's members."""
    members = [fast(member) for member in model.estimators_]
    return lambda x: np.average([member(x) for member in members], axis=0, weights=model.weights)


def _encoder(step: Any) -> Encode | None:
    """Return the fast path of the first step, None where it is not one by column names."""
    if not _is(step, "ColumnTransformer") or step.transformer_weights:
        return None
    parts = []
    for _, part, names in step.transformers_:
        if isinstance(part, str) or not len(names):
            continue
        if not all(isinstance(name, str) for name in names):
            return None
        parts.append(_text_encoder(part, names) if isinstance(names, str) else _part(part, names))
    return lambda rows: np.hstack([_dense(part(rows)) for part in parts])


def _part(part: Any, columns: Sequence[str]) -> Encode:
    """Return the fast path of a part of the encoder that reads several columns."""
    names = list(columns)
    steps = _steps(part) or [part]
    lookup = _lookup(steps, names) if hasattr(steps[0], "categories_") else None
    if lookup:
        return lookup
    transforms = [_transform(step) for step in steps]
    # Other steps may need a table.
    takes_arrays = all(
        type(step).__module__.startswith("sklearn.") and not _has_inner_steps(step)
        for step in steps
    )

    def encode(rows: Rows) -> Any:
        matrix = rows.matrix(names) if takes_arrays else None
        if matrix is None:
            return part.transform(rows.frame(names))
        return _apply(transforms, matrix)

    return encode


def _text_encoder(part: Any, name: str) -> Encode:
    """Return the fast path of a vectorizer: each distinct text is transformed once."""

    def encode(rows: Rows) -> Any:
        if rows.columns[name].dtype != "str":
            return part.transform(pd.Series(rows.columns[name]))
        positions, texts = rows.distinct(name)
        return _dense(part.transform(texts))[positions]

    return encode


def _lookup(steps: list[Any], names: list[str]) -> Encode | None:
    """Return a lookup of what the encoder makes of each level; None where it cannot be one.

    The last line of each table is for an unknown level. A scaler after the encoder is part of the
    tables.
    """
    encoder = steps[0]
    levels = [list(known) for known in encoder.categories_]
    if getattr(encoder, "handle_unknown", "") == "error":
        return None
    if not all(isinstance(level, str) for known in levels for level in known):
        return None
    in_table = 2 if len(steps) > 1 and _is(steps[1], "StandardScaler") else 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a level is unknown
        encoded = _dense(encoder.transform(_levels_and_unknown(names, levels)))
    encoded = _apply([_transform(step) for step in steps[1:in_table]], encoded)
    widths = _widths(encoder, levels)
    if sum(widths) != encoded.shape[1]:
        return None
    tables = []
    blocks = np.split(encoded, np.cumsum(widths)[:-1], axis=1)
    for name, known, block in zip(names, levels, blocks, strict=True):
        lines = {level: line for line, level in enumerate(known)}
        tables.append((name, lines, block[[*range(len(known)), -1]]))
    transforms = [_transform(step) for step in steps[in_table:]]

    def encode(rows: Rows) -> Any:
        blocks = []
        for name, lines, table in tables:
            positions, texts = rows.distinct(name)
            # The position of a missing text is -1: the appended unknown level.
            line_of = np.array([*(lines.get(text, -1) for text in texts), -1])
            blocks.append(table[line_of[positions]])
        return _apply(transforms, np.hstack(blocks))

    return encode


def _levels_and_unknown(names: list[str], levels: list[list[str]]) -> pd.DataFrame:
    """Return a table of all levels of each column, filled up with a text that is no level."""
    rows = max(len(known) for known in levels) + 1
    columns = {}
    for name, known in zip(names, levels, strict=True):
        unknown = max(known) + "?"
        columns[name] = [*known, *[unknown] * (rows - len(known))]
    return pd.DataFrame(columns, dtype="str")


def _widths(encoder: Any, levels: list[list[str]]) -> list[int]:
    """Return how many encoded columns each column has; rare levels share one."""
    if not _is(encoder, "OneHotEncoder"):
        return [1] * len(levels)
    rare_levels = getattr(encoder, "infrequent_categories_", [None] * len(levels))
    widths = []
    for known, rare in zip(levels, rare_levels, strict=True):
        widths.append(len(known) if rare is None else len(known) - len(rare) + 1)
    return widths


def _transform(step: Any) -> Transform:
    """Return what a fitted step does to a matrix."""
    fast = _TRANSFORMS.get(type(step).__name__)
    transform = fast(step) if fast else None
    if transform:
        return transform
    unnamed = copy.copy(step)
    vars(unnamed).pop("feature_names_in_", None)  # or it would ask for a table
    return lambda x: unnamed.transform(x)


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
    marked = step.indicator_.features_ if step.add_indicator else np.zeros(0, dtype=int)

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
        if len(steps) != 2 or not _is(steps[0], "PolynomialFeatures"):
            return None
        if steps[0].powers_.tolist() != [[1, 1]] or not _is(steps[1], "StandardScaler"):
            return None
        scalers.append(steps[1])
    left, right = np.array([pair for _, _, pair in rest], dtype=int).reshape(-1, 2).T
    mean = np.array([scaler.mean_[0] for scaler in scalers])
    scale = np.array([scaler.scale_[0] for scaler in scalers])
    return lambda x: np.hstack([x, (x[:, left] * x[:, right] - mean) / scale])


# Optional: by type of a fitted step a function that returns its fast path, or None.
_TRANSFORMS: dict[str, Callable[[Any], Transform | None]] = {
    "FunctionTransformer": _passthrough,
    "StandardScaler": _scale,
    "MissingIndicator": _indicate_missing,
    "SimpleImputer": _impute,
    "SplineTransformer": _splines,
    "ColumnTransformer": _products,
}


def _classifier(model: Any) -> Classify:
    """Return a classifier's probabilities of the positive class, in one thread."""
    if _is_soft_vote(model):
        return _vote(model, _classifier)
    fast = _CLASSIFIERS.get(type(model).__name__)
    if fast and len(getattr(model, "classes_", ())) == 2:
        classify = fast(model)
        if classify:
            return classify
    return lambda x: np.asarray(model.predict_proba(x)[:, 1])


def _logistic_regression(model: Any) -> Classify:
    return lambda x: np.asarray(expit((x @ model.coef_.T + model.intercept_)[:, 0]))


def _lightgbm(model: Any) -> Classify:
    return lambda x: np.asarray(model.booster_.predict(x, num_threads=1))


def _random_forest(model: Any) -> Classify:
    leaves = [(tree.tree_, tree.tree_.value[:, 0, 1].copy()) for tree in model.estimators_]
    return lambda x: _sum_leaves(leaves, x) / len(leaves)


def _adaboost(model: Any) -> Classify | None:
    if not all(hasattr(tree, "tree_") for tree in model.estimators_):
        return None
    weights = model.estimator_weights_
    leaves = []
    for tree, weight in zip(model.estimators_, weights, strict=False):  # it may stop early
        value = tree.tree_.value
        vote = np.where(value[:, 0, 1] > value[:, 0, 0], 1.0, -1.0)
        leaves.append((tree.tree_, weight * vote))
    return lambda x: np.asarray(expit(2 * _sum_leaves(leaves, x) / weights.sum()))


# Optional: by type of a fitted binary classifier a function that returns its fast path, or None.
_CLASSIFIERS: dict[str, Callable[[Any], Classify | None]] = {
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


def _apply(transforms: list[Transform], matrix: Any) -> Any:
    for transform in transforms:
        matrix = transform(matrix)
    return matrix


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)


def _steps(model: Any) -> list[Any]:
    return [step for _, step in model.steps] if _is(model, "Pipeline") else []


def _has_inner_steps(step: Any) -> bool:
    """Return whether a step calls others, or a function, that may need column names."""
    names = ("steps", "transformers", "transformer_list", "func")
    return any(getattr(step, name, None) is not None for name in names)


def _is_soft_vote(model: Any) -> bool:
    if not _is(model, "VotingClassifier") or model.voting != "soft":
        return False
    return model.weights is None or len(model.weights) == len(model.estimators_)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _is(model: Any, name: str) -> bool:
    return type(model).__name__ == name
