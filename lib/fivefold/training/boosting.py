"""Boosted libraries: early stopping, rounds, categories and devices of each."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from fivefold.core.text import plural

MAX_ROUNDS = 1500  # boosting rounds at most
PATIENCE = 40  # rounds without progress in log-loss after which a fit stops


@dataclass(frozen=True)
class Encoded:
    """An encoded table: the matrix `x` (rows, columns) and the labels `y` (rows,).

    `types` has one letter for each column: "c" for category codes, "q" for quantities, "+" and "-"
    for quantities that the probability has to follow, upwards or downwards. `weights` (rows,) say
    how much each row counts; None for all the same.
    """

    x: np.ndarray
    y: np.ndarray
    types: str
    weights: np.ndarray | None = None


def directions(types: str) -> list[int]:
    """Return 1, -1 or 0 for each column: how the probability has to follow it.

    >>> directions("cq+-")
    [0, 0, 1, -1]
    """
    return [{"+": 1, "-": -1}.get(letter, 0) for letter in types]


def fit_quietly(model: Any, train: Encoded, **options: Any) -> Any:
    """Return the fitted model; warnings on convergence and feature names are not shown."""
    if train.weights is not None:
        options["sample_weight"] = train.weights
    with warnings.catch_warnings(action="ignore"):
        return model.fit(train.x, train.y, **options)


def positive_probability(model: Any, x: np.ndarray, **options: Any) -> np.ndarray:
    """Return the positive-class probability of a fitted model, shape (rows,), without warnings."""
    with warnings.catch_warnings(action="ignore"):
        return np.asarray(model.predict_proba(x, **options)[:, 1])


class OutOfTime(Exception):
    """A boosted fit reached its time limit, after so many `rounds`: no model to use."""

    def __init__(self, rounds: int):
        super().__init__(f"the time was up after {plural(rounds, 'round')}")
        self.rounds = rounds


class BoostedLibrary(ABC):
    """One boosted library. The models are its unfitted or fitted scikit-learn classifiers."""

    rounds_parameter = "n_estimators"
    device_parameter = ""  # where models can be fitted on an accelerator

    @abstractmethod
    def fit_rounds(self, model: Any, train: Encoded, stop: Encoded, seconds: float = np.inf) -> int:
        """Fit with early stopping; return the best round.

        The log-loss on the rows of `stop` ends the fit.

        A search turns the best rounds of all folds into one number for all of them, as lightgbm.cv
        and xgboost.cv do: a hyperparameter like any other, not a choice made fold by fold on the
        rows that evaluate the fold.

        Raises `OutOfTime` after `seconds`: rounds that a clock cut make no model to serve.
        """

    @abstractmethod
    def predict(self, model: Any, x: np.ndarray, rounds: int) -> np.ndarray:
        """Return the positive-class probability after `rounds` rounds, shape (rows,)."""

    def fit_options(self, types: str) -> dict[str, Any]:
        """Return further arguments of `model.fit`, given the types of the columns."""
        return {}

    def set_rounds(self, model: Any, rounds: int) -> Any:
        return model.set_params(**{self.rounds_parameter: rounds})

    def rounds_of(self, model: Any) -> int:
        return int(model.get_params()[self.rounds_parameter])

    def shorten(self, model: Any, rounds: int) -> Any:
        """Return an early-stopped model that predicts with `rounds` rounds, in one thread."""
        return self.set_rounds(model, rounds).set_params(n_jobs=1)

    def check_device(self, device: str) -> None:  # noqa: B027
        """Raise RuntimeError if the installed build cannot use the device.

        Only needed where a fit would not fail by itself.
        """

    def use_device(self, model: Any, device: str) -> Any:
        """Return the unfitted model, set to be fitted on this device."""
        if device == "cpu" or not self.device_parameter:
            return model
        return model.set_params(**{self.device_parameter: device})

    def use_processor(self, model: Any) -> Any:
        """Return the fitted model, set to predict on the processor.

        A server may have no accelerator.
        """
        if model.get_params().get(self.device_parameter) in (None, "cpu"):
            return model
        return model.set_params(**{self.device_parameter: "cpu"})


class LightGBM(BoostedLibrary):
    """LightGBM: each fit gets the columns of category codes."""

    device_parameter = "device_type"

    @staticmethod
    def classifier(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
        """Return an unfitted classifier."""
        from lightgbm import LGBMClassifier

        if any(bounds := directions(types)):
            params = {**params, "monotone_constraints": bounds}
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

    def fit_options(self, types: str) -> dict[str, Any]:
        codes = [column for column, letter in enumerate(types) if letter == "c"]
        return {"categorical_feature": codes} if codes else {}

    def fit_rounds(self, model: Any, train: Encoded, stop: Encoded, seconds: float = np.inf) -> int:
        from lightgbm import early_stopping
        from lightgbm.callback import EarlyStopException

        end = time.monotonic() + seconds
        stop_early = early_stopping(PATIENCE, verbose=False)
        best_round = MAX_ROUNDS

        def watch(env: Any) -> None:
            # LightGBM would drop the trees after its best round; `predict` may need them
            nonlocal best_round
            try:
                stop_early(env)
            except EarlyStopException as reached:
                best_round = reached.best_iteration + 1
                raise EarlyStopException(env.iteration, reached.best_score) from None
            if time.monotonic() > end:
                raise OutOfTime(env.iteration + 1)

        options = self.fit_options(train.types)
        if stop.weights is not None:
            options["eval_sample_weight"] = [stop.weights]
        self.set_rounds(model, MAX_ROUNDS)
        fit_quietly(model, train, eval_X=(stop.x,), eval_y=(stop.y,), callbacks=[watch], **options)
        return best_round

    def predict(self, model: Any, x: np.ndarray, rounds: int) -> np.ndarray:
        return positive_probability(model, x, num_iteration=rounds)

    def shorten(self, model: Any, rounds: int) -> Any:
        model.booster_.best_iteration = rounds
        return super().shorten(model, rounds)


class XGBoost(BoostedLibrary):
    """XGBoost: a classifier is built with its column types."""

    device_parameter = "device"

    @staticmethod
    def classifier(params: dict[str, Any], seed: int, threads: int, types: str) -> Any:
        """Return an unfitted classifier."""
        from xgboost import XGBClassifier

        if any(bounds := directions(types)):
            params = {**params, "monotone_constraints": tuple(bounds)}
        return XGBClassifier(
            tree_method="hist",
            eval_metric="logloss",
            random_state=seed,
            n_jobs=threads,
            verbosity=0,
            enable_categorical=True,
            feature_types=["c" if letter == "c" else "q" for letter in types],
            **params,
        )

    def fit_rounds(self, model: Any, train: Encoded, stop: Encoded, seconds: float = np.inf) -> int:
        from xgboost.callback import TrainingCallback

        end = time.monotonic() + seconds

        class Deadline(TrainingCallback):
            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
                if time.monotonic() > end:
                    raise OutOfTime(epoch + 1)
                return False

        self.set_rounds(model, MAX_ROUNDS)
        model.set_params(early_stopping_rounds=PATIENCE, callbacks=[Deadline()])
        weights = None if stop.weights is None else [stop.weights]
        evaluated = {"eval_set": [(stop.x, stop.y)], "sample_weight_eval_set": weights}
        fit_quietly(model, train, verbose=False, **evaluated)
        model.set_params(callbacks=None)
        return int(model.best_iteration) + 1

    def predict(self, model: Any, x: np.ndarray, rounds: int) -> np.ndarray:
        fitted = model.get_booster().num_boosted_rounds()
        return positive_probability(model, x, iteration_range=(0, min(rounds, fitted)))

    def check_device(self, device: str) -> None:
        import xgboost

        if not xgboost.build_info().get("USE_CUDA"):  # it would fit on the processor and only warn
            raise RuntimeError(
                "this build of XGBoost has no CUDA "
                "(the package xgboost has it, xgboost-cpu has not)"
            )
