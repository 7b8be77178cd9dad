"""Log-loss: the score of probabilities against the labels."""

from __future__ import annotations

import numpy as np


def log_losses(y: np.ndarray, q: np.ndarray, floor: float = 1e-15) -> np.ndarray:
    """Return the negative log-likelihood of each row in nats, shape (rows,).

    Parameters
    ----------
    y : array of shape (rows,)
        Labels, 0 or 1.
    q : array of shape (rows,)
        Probabilities of a 1. They are clipped to `floor` and 1 - `floor`.
    """
    q = np.clip(q, floor, 1 - floor)
    losses: np.ndarray = -np.where(y == 1, np.log(q), np.log1p(-q))
    return losses


def log_loss(y: np.ndarray, q: np.ndarray) -> float:
    """Return the mean negative log-likelihood in nats.

    >>> round(log_loss(np.array([1, 0]), np.array([0.5, 0.5])), 4)
    0.6931
    """
    return float(log_losses(y, q).mean())
