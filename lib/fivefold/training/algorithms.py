"""Algorithms: one entry each. Adding a sixth is adding one entry to `ALGORITHMS`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fivefold.training.encoding import CROSSED, LINEAR, MEANS, NATIVE, ONE_HOT, ORDERED, TREES

NEWTON_COLUMNS = (
    400  # up to which a logistic regression takes Newton's steps: few, but each costs their square
)
MAX_ROUNDS, PATIENCE = (
    1500,
    40,
)  # boosting rounds at most, and without progress in log-loss before a fold stops

# A space is plain data: parameter -> (low, high), (low, high, "log") or a list of choices. Whole ends mean integers.
Space = Mapping[str, tuple | list]


@dataclass(frozen=True)
class Algorithm:
    """build(params, seed, threads, types) gives an unfitted scikit-learn classifier; `types` has one letter per input
    column, "c" for category codes (style "native" only) and "q" for quantities. `defaults` are tried first, in order.
    A parameter `encoding` of the space takes the place of `style` (`style_of`).
    `boosted` ones get their rounds (n_estimators) by early stopping. `max_rows` bounds the rows of one fit where more
    cost much time and bring little. Under a budget `share` is the part of the arms' time that this one may take, and
    `enough` the trials after which it hands the rest on. `bag`: models of different seeds that the final fit averages;
    `team`: best settings of the search that they are of.
    `large` and `large_space` take the place of `defaults` and of parts of `space` on more than `fivefold.data.splits.MANY_ROWS`
    training rows: higher learning rates, and larger trees, for which there are rows enough.
    """

    title: str
    style: str
    build: Callable[[dict[str, Any], int, int, str], Any]
    defaults: tuple[dict[str, Any], ...]
    space: Space
    boosted: bool = False
    max_rows: int | None = None
    share: float = 0.2
    enough: int = 10_000
    bag: int = 1
    team: int = 1
    large: tuple[dict[str, Any], ...] = ()
    large_space: Space = field(default_factory=dict)

    def style_of(self, params: Mapping[str, Any]) -> str:
        """The encoding (`fivefold.training.encoding`) that a model of these parameters is given."""
        return params.get("encoding", self.style)


def _random_forest(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed, n_jobs=threads, **params)


def _adaboost(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    rest = {k: v for k, v in params.items() if k not in ("max_depth", "min_samples_leaf")}
    tree = DecisionTreeClassifier(
        max_depth=params["max_depth"],
        min_samples_leaf=params["min_samples_leaf"],
        random_state=seed,
    )
    return AdaBoostClassifier(tree, random_state=seed, **rest)


def _logistic_regression(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
    from sklearn.linear_model import LogisticRegression

    params = {k: v for k, v in params.items() if k != "encoding"}
    solver = "newton-cholesky" if len(types) <= NEWTON_COLUMNS else "lbfgs"
    return LogisticRegression(max_iter=1000, random_state=seed, solver=solver, **params)


def _xgboost(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
    from xgboost import XGBClassifier

    params = {k: v for k, v in params.items() if k != "encoding"}
    return XGBClassifier(
        tree_method="hist",
        eval_metric="logloss",
        random_state=seed,
        n_jobs=threads,
        verbosity=0,
        enable_categorical=True,
        feature_types=list(types),
        **params,
    )


def _lightgbm(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
    from lightgbm import LGBMClassifier

    params = {k: v for k, v in params.items() if k != "encoding"}
    return LGBMClassifier(
        metric="binary_logloss",
        bagging_freq=1,
        random_state=seed,
        n_jobs=threads,
        verbosity=-1,
        deterministic=True,
        force_row_wise=True,
        **params,
    )


_ENCODINGS = [NATIVE, ONE_HOT, MEANS, ORDERED]

# In the order in which the arms start. Under a budget the boosted models come last and take all the time that is left:
# their trials are short, so that they end close to it.
ALGORITHMS: dict[str, Algorithm] = {
    "logistic_regression": Algorithm(
        "Logistic regression",
        LINEAR,
        _logistic_regression,
        (
            {"encoding": CROSSED, "C": 0.1},
            {"encoding": LINEAR, "C": 0.1},
            {"encoding": LINEAR, "C": 0.01},
        ),
        {"encoding": [LINEAR, CROSSED], "C": (0.001, 30.0, "log")},
        max_rows=100_000,
        share=0.16,
        enough=10,
    ),
    "adaboost": Algorithm(
        "AdaBoost",
        TREES,
        _adaboost,
        (
            {"n_estimators": 80, "learning_rate": 0.12, "max_depth": 3, "min_samples_leaf": 20},
            {"n_estimators": 60, "learning_rate": 0.3, "max_depth": 2, "min_samples_leaf": 20},
        ),
        {
            "n_estimators": (40, 80, "log"),
            "learning_rate": (0.05, 1.0, "log"),
            "max_depth": (1, 3),
            "min_samples_leaf": (5, 100, "log"),
        },
        max_rows=8_000,
        share=0.11,
        enough=12,
    ),
    "random_forest": Algorithm(
        "Random forest",
        TREES,
        _random_forest,
        (
            {
                "n_estimators": 60,
                "max_features": 0.4,
                "min_samples_leaf": 5,
                "criterion": "entropy",
            },
            {"n_estimators": 60, "max_features": 0.25, "min_samples_leaf": 2, "criterion": "gini"},
        ),
        {
            "n_estimators": [60],
            "max_features": (0.1, 0.6),
            "min_samples_leaf": (2, 50, "log"),
            "criterion": ["gini", "entropy"],
        },
        max_rows=30_000,
        share=0.1,
        enough=12,
        bag=3,
    ),
    "lightgbm": Algorithm(
        "LightGBM",
        NATIVE,
        _lightgbm,
        (
            {
                "encoding": NATIVE,
                "learning_rate": 0.05,
                "num_leaves": 8,
                "min_child_samples": 10,
                "subsample": 0.8,
                "colsample_bytree": 0.9,
                "reg_lambda": 3.0,
                "extra_trees": False,
            },
            {
                "encoding": ONE_HOT,
                "learning_rate": 0.06,
                "num_leaves": 8,
                "min_child_samples": 10,
                "subsample": 0.8,
                "colsample_bytree": 0.9,
                "reg_lambda": 3.0,
                "extra_trees": True,
            },
            {
                "encoding": NATIVE,
                "learning_rate": 0.04,
                "num_leaves": 15,
                "min_child_samples": 40,
                "subsample": 0.8,
                "colsample_bytree": 0.4,
                "reg_lambda": 5.0,
                "extra_trees": False,
            },
        ),
        {
            "encoding": _ENCODINGS,
            "learning_rate": (0.03, 0.15, "log"),
            "num_leaves": (4, 63, "log"),
            "min_child_samples": (5, 100, "log"),
            "subsample": (0.5, 1.0),
            "colsample_bytree": (0.3, 1.0),
            "reg_lambda": (0.1, 30.0, "log"),
            "extra_trees": [False, True],
        },
        boosted=True,
        share=0.32,
        bag=3,
        team=3,
        large=(
            {
                "encoding": NATIVE,
                "learning_rate": 0.12,
                "num_leaves": 24,
                "min_child_samples": 60,
                "subsample": 0.8,
                "colsample_bytree": 0.7,
                "reg_lambda": 3.0,
                "extra_trees": False,
            },
            {
                "encoding": NATIVE,
                "learning_rate": 0.15,
                "num_leaves": 80,
                "min_child_samples": 60,
                "subsample": 0.8,
                "colsample_bytree": 0.7,
                "reg_lambda": 3.0,
                "extra_trees": False,
            },
        ),
        large_space={
            "learning_rate": (0.08, 0.25, "log"),
            "num_leaves": (12, 200, "log"),
            "min_child_samples": (20, 200, "log"),
        },
    ),
    "xgboost": Algorithm(
        "XGBoost",
        NATIVE,
        _xgboost,
        (
            {
                "encoding": NATIVE,
                "learning_rate": 0.06,
                "max_depth": 4,
                "min_child_weight": 1.0,
                "subsample": 0.8,
                "colsample_bytree": 0.9,
                "reg_lambda": 3.0,
            },
            {
                "encoding": ONE_HOT,
                "learning_rate": 0.05,
                "max_depth": 3,
                "min_child_weight": 1.0,
                "subsample": 0.8,
                "colsample_bytree": 0.6,
                "reg_lambda": 3.0,
            },
            {
                "encoding": NATIVE,
                "learning_rate": 0.04,
                "max_depth": 5,
                "min_child_weight": 10.0,
                "subsample": 0.7,
                "colsample_bytree": 0.4,
                "reg_lambda": 5.0,
            },
        ),
        {
            "encoding": _ENCODINGS,
            "learning_rate": (0.03, 0.2, "log"),
            "max_depth": (2, 8),
            "min_child_weight": (0.5, 30.0, "log"),
            "subsample": (0.5, 1.0),
            "colsample_bytree": (0.3, 1.0),
            "reg_lambda": (0.1, 30.0, "log"),
        },
        boosted=True,
        share=0.31,
        bag=3,
        team=3,
        large=(
            {
                "encoding": NATIVE,
                "learning_rate": 0.15,
                "max_depth": 5,
                "min_child_weight": 10.0,
                "subsample": 0.8,
                "colsample_bytree": 0.7,
                "reg_lambda": 3.0,
            },
            {
                "encoding": NATIVE,
                "learning_rate": 0.2,
                "max_depth": 8,
                "min_child_weight": 10.0,
                "subsample": 0.8,
                "colsample_bytree": 0.7,
                "reg_lambda": 3.0,
            },
        ),
        large_space={"learning_rate": (0.08, 0.3, "log"), "max_depth": (4, 10)},
    ),
}


def fit(model: Any, x: np.ndarray, y: np.ndarray, types: str, **options: Any) -> Any:
    """`model` fitted; LightGBM takes the category columns here, the others knew them when they were built."""
    if _is_lightgbm(model) and "c" in types:
        options["categorical_feature"] = [i for i, letter in enumerate(types) if letter == "c"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence and feature-name notes; the fold scores judge
        return model.fit(x, y, **options)


def fit_rounds(
    model: Any,
    x: np.ndarray,
    y: np.ndarray,
    types: str,
    stop_x: np.ndarray,
    stop_y: np.ndarray,
    seconds: float | None = None,
) -> int:
    """Fit a boosted model until log-loss on the stopping rows has not improved for `PATIENCE` rounds; the best round.

    The caller turns the best rounds of all folds into one number for all of them, as lightgbm.cv and xgboost.cv do:
    a hyperparameter like any other, not a choice made fold by fold on the rows that judge the fold. After `seconds`
    the fit ends with the rounds that it has.
    """
    model.set_params(n_estimators=MAX_ROUNDS)
    end = np.inf if seconds is None else time.monotonic() + seconds
    if _is_lightgbm(model):
        from lightgbm import early_stopping
        from lightgbm.callback import EarlyStopException

        watch, best = early_stopping(PATIENCE, verbose=False), [MAX_ROUNDS]

        def stop(
            env: Any,
        ) -> (
            None
        ):  # LightGBM throws the trees after its best round away; `predict_at` may want them
            try:
                watch(env)
            except EarlyStopException as reached:
                best[0] = reached.best_iteration + 1
                raise EarlyStopException(env.iteration, reached.best_score) from None
            if time.monotonic() > end:
                best[0] = env.iteration + 1
                raise EarlyStopException(env.iteration, env.evaluation_result_list)

        fit(model, x, y, types, eval_X=(stop_x,), eval_y=(stop_y,), callbacks=[stop])
        return best[0]
    from xgboost.callback import TrainingCallback

    class Clock(TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return time.monotonic() > end

    model.set_params(early_stopping_rounds=PATIENCE, callbacks=[Clock()])
    fit(model, x, y, types, eval_set=[(stop_x, stop_y)], verbose=False)
    model.set_params(callbacks=None)
    last = getattr(
        model, "best_iteration", None
    )  # not known where the time was up after the first round
    return model.get_booster().num_boosted_rounds() if last is None else int(last) + 1


def predict_at(model: Any, x: np.ndarray, rounds: int | None) -> np.ndarray:
    """Probability of the positive class, shape (rows,), from the first `rounds` rounds where that is given."""
    if rounds is None:
        return model.predict_proba(x)[:, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if _is_lightgbm(model):
            return model.predict_proba(x, num_iteration=rounds)[:, 1]
        grown = model.get_booster().num_boosted_rounds()
        return model.predict_proba(x, iteration_range=(0, min(rounds, grown)))[:, 1]


def xgboost_has_cuda() -> bool:
    """Whether this build of XGBoost can use an NVIDIA accelerator."""
    import xgboost

    return bool(xgboost.build_info().get("USE_CUDA"))


def _is_lightgbm(model: Any) -> bool:
    return type(model).__module__.startswith("lightgbm")
