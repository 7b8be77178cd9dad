"""Inputs of every fit: the training data and the options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.schema import NOW, Schema
from fivefold.core.scope import ROC_AUC
from fivefold.data.splits import Split

# sampler(typed rows, labels, fold number) -> (typed synthetic rows, their labels)
SyntheticSampler = Callable[[pd.DataFrame, np.ndarray, int], tuple[pd.DataFrame, np.ndarray]]


@dataclass(frozen=True)
class TrainingData:
    """A table with labels, folds and input contract.

    Parameters
    ----------
    typed : DataFrame, rows x columns of `schema`, as `fivefold.data.coerce` types them
    y : array of shape (rows,), 1 for the positive class, 0 for the negative, -1 for no label
    fold_ids : array of shape (rows,), the fold assignment of `fivefold.data.splits`
    schema : the input contract
    weights : how much each row counts in a fit, shape (rows,); None for all the same
    """

    typed: pd.DataFrame
    y: np.ndarray
    fold_ids: np.ndarray
    schema: Schema
    weights: np.ndarray | None = None

    @property
    def split(self) -> Split:
        return Split(self.fold_ids)

    def rows(self, positions: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the typed rows at these positions, and their labels."""
        return self.typed.iloc[positions], self.y[positions]

    def weights_of(self, positions: np.ndarray) -> np.ndarray | None:
        """Return the weights of the rows at these positions; None for all the same."""
        return None if self.weights is None else self.weights[positions]


@dataclass(frozen=True)
class FitOptions:
    """How models are fitted.

    Parameters
    ----------
    seed : of everything random
    threads : of one fit, or fits at the same time
    device : "cpu" or "cuda", used where the algorithm's library can
    sampler : gives synthetic rows that are added to training rows, None for none
    metric : by which settings are chosen (`fivefold.training.metric`)
    importance_seconds : that permutation importance may take at most
    """

    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    sampler: SyntheticSampler | None = None
    importance_seconds: float = math.inf
    metric: str = ROC_AUC


def synthetic_sampler(rows: int, schema: Schema, seed: int) -> SyntheticSampler | None:
    """Return a sampler of synthetic rows; None for no rows.

    Each call fits a copula to the given rows alone and draws `rows` rows from it.
    """
    if rows <= 0:
        return None

    def sample(typed: pd.DataFrame, y: np.ndarray, fold: int) -> tuple[pd.DataFrame, np.ndarray]:
        from fivefold.data.synthetic import copula

        known = typed[schema.names()]
        kinds = {name: schema[name].kind for name in known.columns}
        model = copula.fit(known.assign(**{schema.target: y}), schema.target, kinds, seed)
        drawn = copula.sample(model, rows, seed + 1 + fold)
        labels = drawn[schema.target].to_numpy().astype(y.dtype)
        drawn = drawn[list(known.columns)]
        if NOW in typed:  # as of the newest rows
            drawn[NOW] = typed[NOW].max()
        return drawn, labels

    return sample
