"""Algorithms: each is described by one entry of `ALGORITHMS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from fivefold.core.text import error_line
from fivefold.training.boosting import (
    BoostedLibrary,
    Encoded,
    LightGBM,
    XGBoost,
    directions,
    fit_quietly,
    positive_probability,
)
from fivefold.training.encoding import (
    CROSSED,
    LINEAR,
    LINEAR_PAIRS,
    MEANS,
    NATIVE,
    ONE_HOT,
    ORDERED,
    PAIRS,
    TREES,
    TREES_COUNTS,
    WORDS,
)
from fivefold.training.signed_regression import fit_directed

MOST_ROWS_TIMES_SEEDS = 200_000  # of a final fit
NEWTON_COLUMNS = 400  # most columns for Newton's method, which takes few but costly steps
ONE_HOT_COLUMNS = 2_000  # most columns for a fine tolerance: twice the time for at most .001

Params = dict[str, Any]
# parameter -> (low, high), (low, high, "log") or a list of choices; integer ends mean integers
Space = Mapping[str, tuple[Any, ...] | list[Any]]


@dataclass(frozen=True)
class Algorithm:
    """One algorithm. A new one is a new entry of `ALGORITHMS` (docs/architecture.md).

    Parameters
    ----------
    title : the name that people read
    encoding : of `fivefold.training.encoding`; a parameter `encoding` of the space overrides it
    classifier : (params, seed, threads, types) -> unfitted scikit-learn classifier; `types` has one
        letter for each input column (`fivefold.training.boosting.Encoded`), "c" for category codes
        with the encoding "native" only
    defaults : parameters that a search tries first, in this order
    space : parameters that a search chooses from
    boosted : early stopping, rounds and devices of the library; None without boosting
    max_rows : most rows of one fit; more rows would cost much time and bring little
    priority : order of the searches (1 first) when the budget has no time for all
    time_share : share of a budget for this search
    optional : whether a budget may do without it; it is never the best by much
    enough_trials : number of trials after which a search under a budget stops
    trial_share : share of `--trials` that this search gets; its settings matter little
    seeds : number of models with different seeds that the final fit averages
    top_k : number of best settings among these models
    large_defaults, large_space : replace `defaults` and parts of `space` on more than
        `fivefold.data.splits.MANY_ROWS` training rows: higher learning rates and larger trees
    text_defaults : replace `defaults` on a table with free text
    keeps_monotone : whether fitted models follow "+" and "-" of `types`; without it the algorithm
        is left out where the scope asks for that
    fit_directed : fits a model with "+" or "-" columns, where its own `fit` cannot follow them
    code_defaults : replace `defaults` on a table of codes, where `encodings` has the encoding of
        the first; each has an encoding, and also keeps what it does not name of the default in
        its place
    """

    title: str
    encoding: str
    classifier: Callable[[Params, int, int, str], Any]
    defaults: tuple[Params, ...]
    space: Space
    boosted: BoostedLibrary | None = None
    max_rows: int | None = None
    priority: int = 100
    time_share: float = 0.2
    optional: bool = False
    enough_trials: int = 10_000
    trial_share: float = 1.0
    seeds: int = 1
    top_k: int = 1
    large_defaults: tuple[Params, ...] = ()
    large_space: Space = field(default_factory=dict)
    code_defaults: tuple[Params, ...] = ()
    text_defaults: tuple[Params, ...] = ()
    keeps_monotone: bool = False
    fit_directed: Callable[[Any, Encoded], Any] | None = None

    def encoding_of(self, params: Mapping[str, Any]) -> str:
        """Return the encoding for a model with these parameters."""
        return str(params.get("encoding", self.encoding))

    def seeds_of(self, rows: int) -> int:
        """Return how many seeds a final fit averages: fewer on large tables.

        A model that is fitted on many rows varies little.
        """
        return max(1, min(self.seeds, MOST_ROWS_TIMES_SEEDS // max(1, rows)))

    def trials_of(self, trials: int) -> int:
        """Return how many of `trials` this search has: its share, rounded up.

        >>> forest = ALGORITHMS["random_forest"]
        >>> [forest.trials_of(trials) for trials in (1, 6, 12, 13)]
        [1, 1, 2, 3]
        """
        return math.ceil(trials * self.trial_share)

    def build(
        self, params: Mapping[str, Any], seed: int, threads: int, types: str, device: str = "cpu"
    ) -> Any:
        """Return the unfitted classifier with all of `params` except the encoding."""
        own = {name: value for name, value in params.items() if name != "encoding"}
        model = self.classifier(own, seed, threads, types)
        return self.boosted.use_device(model, device) if self.boosted else model

    def fit(self, model: Any, train: Encoded) -> Any:
        """Return the fitted model."""
        if self.fit_directed and any(directions(train.types)):
            return self.fit_directed(model, train)
        options = self.boosted.fit_options(train.types) if self.boosted else {}
        return fit_quietly(model, train, **options)

    def predict(self, model: Any, x: np.ndarray, rounds: int | None) -> np.ndarray:
        """Return the positive-class probability, after `rounds` rounds of a boosted model."""
        if self.boosted is None or rounds is None:
            return positive_probability(model, x)
        return self.boosted.predict(model, x, rounds)


def _bounds(types: str) -> Params:
    """Return the argument that makes a tree of scikit-learn follow directions, if there are any.

    The mean of such trees, and a vote of them with positive weights, follow them too.
    """
    bounds = directions(types)
    return {"monotonic_cst": bounds} if any(bounds) else {}


def _random_forest(params: Params, seed: int, threads: int, types: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    bounds = _bounds(types)
    return RandomForestClassifier(random_state=seed, n_jobs=threads, **bounds, **params)


def _adaboost(params: Params, seed: int, threads: int, types: str) -> Any:
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    own = dict(params)
    depth, leaf = own.pop("max_depth"), own.pop("min_samples_leaf")
    bounds = _bounds(types)
    tree = DecisionTreeClassifier(
        max_depth=depth, min_samples_leaf=leaf, random_state=seed, **bounds
    )
    return AdaBoostClassifier(tree, random_state=seed, **own)


def _logistic_regression(params: Params, seed: int, threads: int, types: str) -> Any:
    from sklearn.linear_model import LogisticRegression

    solver = "newton-cholesky" if len(types) <= NEWTON_COLUMNS else "lbfgs"
    tol = 1e-3 if len(types) > ONE_HOT_COLUMNS else 1e-4
    return LogisticRegression(max_iter=1000, tol=tol, random_state=seed, solver=solver, **params)


_FOREST = {"n_estimators": 60, "max_features": 0.4, "min_samples_leaf": 5, "criterion": "entropy"}

_BOOSTED_ENCODINGS = [NATIVE, ONE_HOT, MEANS, ORDERED]
_BOOSTED_SPACE: Space = {
    "subsample": (0.5, 1.0),
    "colsample_bytree": (0.3, 1.0),
    "reg_lambda": (0.1, 30.0, "log"),
}

_LIGHTGBM: Params = {
    "encoding": NATIVE,
    "learning_rate": 0.05,
    "num_leaves": 8,
    "min_child_samples": 10,
    "subsample": 0.8,
    "colsample_bytree": 0.9,
    "reg_lambda": 3.0,
    "extra_trees": False,
}
_LIGHTGBM_RANDOM_SPLITS = {"encoding": ONE_HOT, "learning_rate": 0.06, "extra_trees": True}
_LIGHTGBM_DEEPER = {
    "learning_rate": 0.04,
    "num_leaves": 15,
    "min_child_samples": 40,
    "colsample_bytree": 0.4,
    "reg_lambda": 5.0,
}
_LIGHTGBM_LARGE = _LIGHTGBM | {
    "learning_rate": 0.12,
    "num_leaves": 24,
    "min_child_samples": 60,
    "colsample_bytree": 0.7,
}

_BOOSTED_CODES = {"encoding": PAIRS, "colsample_bytree": 0.5}
_BOOSTED_CODES_FAST = {"encoding": PAIRS, "colsample_bytree": 0.3, "learning_rate": 0.1}

_XGBOOST: Params = {
    "encoding": NATIVE,
    "learning_rate": 0.06,
    "max_depth": 4,
    "min_child_weight": 1.0,
    "subsample": 0.8,
    "colsample_bytree": 0.9,
    "reg_lambda": 3.0,
}
_XGBOOST_ONE_HOT = {
    "encoding": ONE_HOT,
    "learning_rate": 0.05,
    "max_depth": 3,
    "colsample_bytree": 0.6,
}
_XGBOOST_DEEPER = {
    "learning_rate": 0.04,
    "max_depth": 5,
    "min_child_weight": 10.0,
    "subsample": 0.7,
    "colsample_bytree": 0.4,
    "reg_lambda": 5.0,
}
_XGBOOST_LARGE = _XGBOOST | {
    "learning_rate": 0.15,
    "max_depth": 5,
    "min_child_weight": 10.0,
    "colsample_bytree": 0.7,
}

# The order matters: the searches start in it. Keep boosted models last. Under a budget the last
# searches take all the time that is left, and short trials end close to the limit.
ALGORITHMS: dict[str, Algorithm] = {
    "logistic_regression": Algorithm(
        title="Logistic regression",
        encoding=LINEAR,
        classifier=_logistic_regression,
        keeps_monotone=True,
        fit_directed=fit_directed,
        defaults=(
            {"encoding": CROSSED, "C": 0.1},
            {"encoding": LINEAR, "C": 0.1},
            {"encoding": LINEAR, "C": 0.01},
        ),
        space={"encoding": [LINEAR, CROSSED, WORDS], "C": (0.001, 30.0, "log")},
        text_defaults=(
            {"encoding": WORDS, "C": 0.1},
            {"encoding": CROSSED, "C": 0.1},
            {"encoding": LINEAR, "C": 0.1},
        ),
        code_defaults=(
            {"encoding": LINEAR_PAIRS, "C": 0.03},
            {"encoding": LINEAR_PAIRS, "C": 0.1},
            {"encoding": LINEAR_PAIRS, "C": 0.01},
        ),
        max_rows=100_000,
        priority=3,
        time_share=0.16,
        enough_trials=10,
    ),
    "adaboost": Algorithm(
        title="AdaBoost",
        encoding=TREES,
        classifier=_adaboost,
        keeps_monotone=True,
        defaults=(
            {"n_estimators": 80, "learning_rate": 0.12, "max_depth": 3, "min_samples_leaf": 20},
            {"n_estimators": 60, "learning_rate": 0.3, "max_depth": 2, "min_samples_leaf": 20},
        ),
        space={
            "n_estimators": (40, 80, "log"),
            "learning_rate": (0.05, 1.0, "log"),
            "max_depth": (1, 3),
            "min_samples_leaf": (5, 100, "log"),
        },
        max_rows=8_000,
        priority=5,
        time_share=0.11,
        enough_trials=12,
        trial_share=1 / 6,
        optional=True,
    ),
    "random_forest": Algorithm(
        title="Random forest",
        encoding=TREES,
        classifier=_random_forest,
        keeps_monotone=True,
        defaults=(
            _FOREST,
            _FOREST | {"max_features": 0.25, "min_samples_leaf": 2, "criterion": "gini"},
        ),
        space={
            "n_estimators": [60],
            "max_features": (0.1, 0.6),
            "min_samples_leaf": (2, 50, "log"),
            "criterion": ["gini", "entropy"],
        },
        code_defaults=({"encoding": TREES_COUNTS}, {"encoding": TREES_COUNTS}),
        max_rows=30_000,
        priority=4,
        time_share=0.1,
        enough_trials=12,
        trial_share=1 / 6,
        optional=True,
        seeds=3,
    ),
    "lightgbm": Algorithm(
        title="LightGBM",
        encoding=NATIVE,
        classifier=LightGBM.classifier,
        keeps_monotone=True,
        defaults=(_LIGHTGBM, _LIGHTGBM | _LIGHTGBM_RANDOM_SPLITS, _LIGHTGBM | _LIGHTGBM_DEEPER),
        space={
            "encoding": _BOOSTED_ENCODINGS,
            "learning_rate": (0.03, 0.15, "log"),
            "num_leaves": (4, 63, "log"),
            "min_child_samples": (5, 100, "log"),
            **_BOOSTED_SPACE,
            "extra_trees": [False, True],
        },
        code_defaults=(_BOOSTED_CODES_FAST, _BOOSTED_CODES, _BOOSTED_CODES),
        boosted=LightGBM(),
        priority=1,
        time_share=0.32,
        seeds=3,
        top_k=3,
        large_defaults=(
            _LIGHTGBM_LARGE,
            _LIGHTGBM_LARGE | {"learning_rate": 0.15, "num_leaves": 80},
        ),
        large_space={
            "learning_rate": (0.08, 0.25, "log"),
            "num_leaves": (12, 200, "log"),
            "min_child_samples": (20, 200, "log"),
        },
    ),
    "xgboost": Algorithm(
        title="XGBoost",
        encoding=NATIVE,
        classifier=XGBoost.classifier,
        keeps_monotone=True,
        defaults=(_XGBOOST, _XGBOOST | _XGBOOST_ONE_HOT, _XGBOOST | _XGBOOST_DEEPER),
        space={
            "encoding": _BOOSTED_ENCODINGS,
            "learning_rate": (0.03, 0.2, "log"),
            "max_depth": (2, 8),
            "min_child_weight": (0.5, 30.0, "log"),
            **_BOOSTED_SPACE,
        },
        code_defaults=(_BOOSTED_CODES_FAST, _BOOSTED_CODES, _BOOSTED_CODES),
        boosted=XGBoost(),
        priority=2,
        time_share=0.31,
        seeds=3,
        top_k=3,
        large_defaults=(_XGBOOST_LARGE, _XGBOOST_LARGE | {"learning_rate": 0.2, "max_depth": 8}),
        large_space={"learning_rate": (0.08, 0.3, "log"), "max_depth": (4, 10)},
    ),
}


@cache
def usable_device(device: str, algorithm: str) -> tuple[str, str]:
    """Return the device to fit on, and the reason if it is not the requested one.

    A tiny fit tests the device. The reason is "" if the device can be used.
    """
    entry = ALGORITHMS[algorithm]
    library = entry.boosted
    if device == "cpu" or library is None or not library.device_parameter:
        return "cpu", ""
    some = Encoded(np.arange(64.0).reshape(32, 2), np.arange(32) % 2, "qq")
    try:
        library.check_device(device)
        model = entry.build(entry.defaults[0], 0, 1, some.types, device)
        entry.fit(library.set_rounds(model, 2), some)
    except Exception as error:  # each library and driver raises its own kind
        asked = f"--device {device} was asked for, but {error_line(error)}"
        return "cpu", f"{entry.title} is fitted on the processor: {asked}"
    return device, ""
