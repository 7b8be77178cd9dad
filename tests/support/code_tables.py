"""Tables of many-level codes with a known probability, as in requests for access.

A rare event, columns of codes alone, and half of the signal in pairs and triples of them.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

LEVELS = 5, 40, 120, 180, 350, 450, 2400, 4200, 7500  # of the columns, as "Amazon employee access"
UNITS = 300  # of a company: its people ask for the same things, so pairs of codes come back
OF_UNIT = 0.7  # share of the cells that are the usual code of the row's unit
EVENT_RATE = 0.065
COMBINATIONS = 10, 5  # pairs and triples that carry signal
SPREAD = 2.5  # standard deviation of the log-odds


def code_table(
    rows: int, seed: int, columns: int = len(LEVELS), rate: float = EVENT_RATE
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the table and the true probability of its target `event` ("yes" or "no").

    Codes have Zipf-like frequencies. Half of the variance of the log-odds comes from single codes,
    half from pairs and triples of columns. The ROC AUC of the true probability is the best that any
    model can reach.
    """
    rng = np.random.default_rng(seed)
    unit = _zipf(rng, UNITS, rows)
    table = np.empty((rows, columns), dtype=int)
    for column, levels in enumerate(LEVELS[-columns:]):
        usual = _zipf(rng, levels, UNITS)[unit]
        table[:, column] = np.where(rng.random(rows) < OF_UNIT, usual, _zipf(rng, levels, rows))
    single = [_effect(rng, table[:, [column]]) for column in range(columns)]
    sizes = np.repeat([2, 3], COMBINATIONS)
    joint = [_effect(rng, table[:, rng.permutation(columns)[:size]]) for size in sizes]
    score = SPREAD * np.sqrt(0.5) * (_scaled(np.sum(single, 0)) + _scaled(np.sum(joint, 0)))
    probability = _with_rate(score, rate)
    frame = pd.DataFrame(
        {f"code {column}": [f"c{code}" for code in table[:, column]] for column in range(columns)}
    )
    frame["event"] = np.where(rng.random(rows) < probability, "yes", "no")
    return frame, probability


def _zipf(rng: np.random.Generator, levels: int, size: int) -> np.ndarray:
    """Draw levels with frequencies of about 1 / rank."""
    weight = 1 / (np.arange(levels) + 3.0) ** 1.3
    return rng.choice(levels, size, p=weight / weight.sum())


def _effect(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Return a normal effect for each distinct combination of codes."""
    _, combination = np.unique(codes, axis=0, return_inverse=True)
    combination = combination.ravel()
    return rng.normal(size=combination.max() + 1)[combination]


def _scaled(effect: np.ndarray) -> np.ndarray:
    return (effect - effect.mean()) / effect.std()


def _with_rate(score: np.ndarray, rate: float) -> np.ndarray:
    """Return probabilities with these log-odds, shifted so that their mean is the rate."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        if (1 / (1 + np.exp(-score - middle))).mean() < rate:
            low = middle
        else:
            high = middle
    return 1 / (1 + np.exp(-score - middle))
