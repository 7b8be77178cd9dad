"""Direct: a fitted model of `fivefold.training.search` asked without the tables and checks that its parts repeat at every call.

What a category becomes is asked of the fitted encoder once, for every level that it knows and for an unknown one;
serving looks it up. Numbers go through the fitted parts as arrays. Sums over trees are made from the leaves that
scikit-learn's own `Tree.apply` names. What is not known here is asked as it is. `tests/model/test_fast_predict.py` holds that the
result is that of `predict_proba`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from fivefold.data.coerce import different

Columns = Mapping[
    str, Any
]  # expanded columns by name (`fivefold.model.inputs.expand_columns`), arrays of one length


class Rows:
    """Expanded columns; each column of texts is reduced to its different texts once, for all parts and members."""

    def __init__(self, columns: Columns):
        self.columns = columns
        self._coded: dict[str, tuple[np.ndarray, list[str]]] = {}

    def coded(self, name: str) -> tuple[np.ndarray, list[str]]:
        """(which of the different texts each row has, -1 for none; these texts)."""
        if name not in self._coded:
            self._coded[name] = different(self.columns[name])
        return self._coded[name]

    def numbers(self, names: list[str]) -> np.ndarray | None:
        """The columns as a float64 matrix; None when one of them holds anything else."""
        found = [self.columns[name] for name in names]
        return (
            np.column_stack(found) if all(values.dtype == np.float64 for values in found) else None
        )

    def frame(self, names: list[str] | None = None) -> pd.DataFrame:
        """The columns as a table, all of them without `names`."""
        return pd.DataFrame({name: self.columns[name] for name in names or self.columns})


Answer = Callable[[Rows], np.ndarray]  # the columns of one part, or probabilities
Way = Callable[[Any], Any]  # matrix -> matrix
Positive = Callable[[np.ndarray], np.ndarray]  # encoded matrix -> probability of the positive class


def direct(model: Any) -> Callable[[Columns], np.ndarray]:
    """Expanded columns -> probability of the positive class, shape (rows,), of a fitted Pipeline of encoder and
    classifier, or of a soft VotingClassifier over such. Anything else is asked by its own `predict_proba`.
    """
    answer = _model(model)

    def probability(columns: Columns) -> np.ndarray:
        length = len(next(iter(columns.values()), ()))
        return (
            answer(Rows(columns)) if length else np.empty(0)
        )  # scikit-learn's parts refuse an empty table

    return probability


def _model(model: Any) -> Answer:
    if _soft_vote(model):
        members = [_model(member) for member in model.estimators_]
        return lambda rows: np.average(
            [member(rows) for member in members], axis=0, weights=model.weights
        )
    steps = [inner for step in _steps(model) for inner in _steps(step) or [step]]
    if len(steps) > 1 and _is(steps[0], "ColumnTransformer") and not steps[0].transformer_weights:
        parts = [
            (part, names)
            for _, part, names in steps[0].transformers_
            if not isinstance(part, str) and len(names)
        ]
        if all(isinstance(name, str) for _, names in parts for name in names):  # not places
            encode = [_part(part, names) for part, names in parts]
            between, classify = [_step(step) for step in steps[1:-1]], _classifier(steps[-1])
            return lambda rows: classify(
                _through(between, np.hstack([_dense(part(rows)) for part in encode]))
            )
    return lambda rows: model.predict_proba(rows.frame())[:, 1]


def _part(part: Any, columns: Any) -> Answer:
    """One part's columns of the encoder's matrix."""
    if isinstance(columns, str):
        return _texts(part, columns)
    names, steps = list(columns), _steps(part) or [part]
    if hasattr(steps[0], "categories_") and (look_up := _lookup(steps, names)):
        return look_up
    ways = [_step(step) for step in steps]
    stock = all(type(step).__module__.startswith("sklearn.") and not _inner(step) for step in steps)

    def of_numbers(rows: Rows) -> np.ndarray:
        matrix = rows.numbers(names) if stock else None  # others may want a table
        return part.transform(rows.frame(names)) if matrix is None else _through(ways, matrix)

    return of_numbers


def _texts(part: Any, name: str) -> Answer:
    def of_texts(rows: Rows) -> np.ndarray:
        if rows.columns[name].dtype != "str":
            return part.transform(pd.Series(rows.columns[name]))
        codes, words = rows.coded(name)
        return _dense(part.transform(words))[codes]

    return of_texts


def _lookup(steps: list[Any], names: list[str]) -> Answer | None:
    """Categories by tables of what the fitted encoder makes of each level, the last line for an unknown one.

    A scaler behind the encoder is part of the tables. None for an encoder that does not go text by text.
    """
    encoder, levels = steps[0], [list(known) for known in steps[0].categories_]
    if getattr(encoder, "handle_unknown", "") == "error":
        return None
    if not all(isinstance(word, str) for known in levels for word in known):
        return None
    scaled = 2 if len(steps) > 1 and _is(steps[1], "StandardScaler") else 1
    most = max(len(known) for known in levels)
    asked = pd.DataFrame(
        {
            name: [
                *known,
                *[max(known) + "?"] * (most + 1 - len(known)),
            ]  # after the last: no level
            for name, known in zip(names, levels, strict=True)
        },
        dtype="str",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a level is unknown
        answered = _through(
            [_step(step) for step in steps[1:scaled]], _dense(encoder.transform(asked))
        )
    widths = [1] * len(names)
    if _is(encoder, "OneHotEncoder"):  # the rare levels of a column share one of its columns
        rare = getattr(encoder, "infrequent_categories_", [None] * len(names))
        widths = [
            len(known) if few is None else len(known) - len(few) + 1
            for known, few in zip(levels, rare, strict=True)
        ]
    if sum(widths) != answered.shape[1]:
        return None
    blocks = np.split(answered, np.cumsum(widths)[:-1], axis=1)
    tables = [
        (name, {word: line for line, word in enumerate(known)}, block[[*range(len(known)), -1]])
        for name, known, block in zip(names, levels, blocks, strict=True)
    ]
    ways = [_step(step) for step in steps[scaled:]]

    def look_up(rows: Rows) -> np.ndarray:
        found = []
        for name, lines, table in tables:
            codes, words = rows.coded(name)
            found.append(table[np.array([*(lines.get(word, -1) for word in words), -1])[codes]])
        return _through(ways, np.hstack(found))

    return look_up


def _step(step: Any) -> Way:
    """What a fitted part does to a matrix; a part that is not known here is asked itself."""
    if _is(step, "FunctionTransformer") and step.func is None:  # "passthrough"
        return lambda x: x
    if _is(step, "StandardScaler") and step.with_mean and step.with_std:
        return lambda x: (x - step.mean_) / step.scale_
    if _is(step, "MissingIndicator") and _is_nan(step.missing_values) and not step.error_on_new:
        return lambda x: np.isnan(x)[:, step.features_]
    if (
        _is(step, "SimpleImputer")
        and _is_nan(step.missing_values)
        and not any(map(_is_nan, step.statistics_))
    ):
        gaps = step.indicator_.features_ if step.add_indicator else np.zeros(0, dtype=int)
        return lambda x: np.hstack(
            [np.where(np.isnan(x), step.statistics_, x), np.isnan(x)[:, gaps]]
        )
    if _is(step, "SplineTransformer") and step.extrapolation == "constant":
        return _curves(step)
    if _is(step, "ColumnTransformer") and (products := _products(step)):
        return products
    twin = copy.copy(step)
    vars(twin).pop("feature_names_in_", None)  # else it asks for them
    return lambda x: twin.transform(x)


def _products(step: Any) -> Way | None:
    """The columns as they are and scaled products of two of them (`fivefold.training.interactions.crosses`); None for anything else."""
    (_, first, columns), *rest = step.transformers_
    parts = [_steps(part) for _, part, _ in rest]
    if columns != slice(0, step.n_features_in_) or not _is(first, "FunctionTransformer"):
        return None
    if not all(
        len(part) == 2
        and _is(part[0], "PolynomialFeatures")
        and part[0].powers_.tolist() == [[1, 1]]
        and _is(part[1], "StandardScaler")
        for part in parts
    ):
        return None
    left, right = np.array([pair for _, _, pair in rest], dtype=int).reshape(-1, 2).T
    mean, scale = (
        np.array([getattr(part[1], key)[0] for part in parts]) for key in ("mean_", "scale_")
    )
    return lambda x: np.hstack([x, (x[:, left] * x[:, right] - mean) / scale])


def _curves(step: Any) -> Way:
    """A SplineTransformer that is constant outside its knots; columns of the same knots (ranks) in one call."""
    curves, degree, last = step.bsplines_, step.degree, None if step.include_bias else -1
    groups: dict[bytes, list[int]] = {}
    for column, curve in enumerate(curves):
        groups.setdefault(curve.t.tobytes(), []).append(column)

    def bend(x: np.ndarray) -> np.ndarray:
        bent = np.empty((len(x), len(curves), curves[0].c.shape[1]))
        for columns in groups.values():
            curve, some = curves[columns[0]], x[:, columns]
            bent[:, columns] = curve(np.clip(some, curve.t[degree], curve.t[-degree - 1]))
        return bent[:, :, :last].reshape(len(x), -1)

    return bend


def _classifier(model: Any) -> Positive:
    """Probability of the positive class, in one thread."""
    if _soft_vote(model):
        members = [_classifier(member) for member in model.estimators_]
        return lambda x: np.average(
            [member(x) for member in members], axis=0, weights=model.weights
        )
    if len(getattr(model, "classes_", ())) == 2:
        if _is(model, "RandomForestClassifier"):
            leaves = [(tree.tree_, tree.tree_.value[:, 0, 1].copy()) for tree in model.estimators_]
            return lambda x: _sum_leaves(leaves, x) / len(leaves)
        if _is(model, "AdaBoostClassifier") and all(
            hasattr(tree, "tree_") for tree in model.estimators_
        ):
            weights = model.estimator_weights_
            leaves = [
                (
                    tree.tree_,
                    weight
                    * np.where(tree.tree_.value[:, 0, 1] > tree.tree_.value[:, 0, 0], 1.0, -1.0),
                )
                for tree, weight in zip(model.estimators_, weights, strict=False)
            ]  # zeros where it stopped early
            return lambda x: expit(2 * _sum_leaves(leaves, x) / weights.sum())
        if _is(model, "LogisticRegression"):
            return lambda x: expit((x @ model.coef_.T + model.intercept_)[:, 0])
        if _is(model, "LGBMClassifier"):
            return lambda x: model.booster_.predict(x, num_threads=1)
    return lambda x: model.predict_proba(x)[:, 1]


def _sum_leaves(leaves: list[tuple[Any, np.ndarray]], x: np.ndarray) -> np.ndarray:
    """The sum over trees of the value of the leaf that each row falls into."""
    small, total = x.astype("float32"), np.zeros(len(x))
    for tree, value in leaves:
        total += value[tree.apply(small)]
    return total


def _through(ways: list[Way], matrix: Any) -> Any:
    for way in ways:
        matrix = way(matrix)
    return matrix


def _dense(matrix: Any) -> np.ndarray:
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)


def _steps(model: Any) -> list[Any]:
    return [step for _, step in model.steps] if _is(model, "Pipeline") else []


def _inner(step: Any) -> bool:
    """Whether a part calls others, or a function, that may look for column names."""
    return any(
        getattr(step, name, None) is not None
        for name in ("steps", "transformers", "transformer_list", "func")
    )


def _soft_vote(model: Any) -> bool:
    return (
        _is(model, "VotingClassifier")
        and model.voting == "soft"
        and (model.weights is None or len(model.weights) == len(model.estimators_))
    )


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and np.isnan(value)


def _is(model: Any, name: str) -> bool:
    return type(model).__name__ == name
