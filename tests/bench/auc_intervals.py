"""Coverage of intervals of a ROC AUC with few rows: `python -m tests.bench.auc_intervals`.

A seeded simulation on a grid of row counts, ROC AUCs and shapes of the scores. It is why
`fivefold.core.roc_auc.auc_interval` is as it is; docs/concepts.md has the table that it prints.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from unittest.mock import patch

import numpy as np
from scipy.special import expit, ndtri

from fivefold.core import roc_auc
from fivefold.core.roc_auc import auc_components, auc_interval, newcombe_interval

COUNTS = ((2, 98), (4, 196), (5, 95), (10, 90), (10, 490), (20, 180), (50, 450), (100, 400))
AUCS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DRAWS = 400  # of a bootstrap
Z = float(ndtri(0.975))
Ends = tuple[float, float]


def normal(spread: float) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return a drawer of normal scores; those of positives have the standard deviation `spread`."""

    def draw(auc: float, m: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        middle = math.hypot(1, spread) * ndtri(auc)
        return rng.normal(middle, spread, m), rng.normal(0, 1, n)

    return draw


def mixture(auc: float, m: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw scores where some positives are unmistakable and the others look like negatives."""
    return rng.normal(0, 1, m) + 20 * (rng.random(m) < 2 * auc - 1), rng.normal(0, 1, n)


SHAPES = {"normal": normal(1), "wide": normal(2), "narrow": normal(0.5), "mixture": mixture}


def delong(y: np.ndarray, score: np.ndarray) -> Ends:
    """Return DeLong's interval on the logit scale; without a variance that of `auc_interval`."""
    aucs, covariance = auc_components(y, [score])
    auc, se = float(aucs[0]), math.sqrt(max(covariance[0, 0], 0))
    if se == 0 or auc in (0, 1):
        return ends(y, score)
    logit, width = math.log(auc / (1 - auc)), Z * se / (auc * (1 - auc))
    low, high = expit([logit - width, logit + width]).tolist()
    return low, high


def delong_t(y: np.ndarray, score: np.ndarray) -> Ends:
    """Return the part of the chosen interval that is DeLong's, with its t quantile."""
    with patch.object(roc_auc, "FEW", 0):
        return ends(y, score)


def bootstraps(y: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> dict[str, Ends]:
    """Return percentile intervals of a stratified and of a Bayesian bootstrap."""
    p, n = score[y == 1], score[y == 0]
    above = (p[:, None] > n) + 0.5 * (p[:, None] == n)
    result = {}
    for name in ("bootstrap", "Bayesian bootstrap"):
        weights = []
        for size in (len(p), len(n)):
            if name == "bootstrap":
                weights.append(rng.multinomial(size, np.full(size, 1 / size), DRAWS) / size)
            else:
                weights.append(rng.dirichlet(np.ones(size), DRAWS))
        aucs = ((weights[0] @ above) * weights[1]).sum(axis=1)
        low, high = np.percentile(aucs, [2.5, 97.5]).tolist()
        result[name] = (low, high)
    return result


def ends(y: np.ndarray, score: np.ndarray) -> Ends:
    """Return the interval that Fivefold reports."""
    interval = auc_interval(y, score)
    return interval["low"], interval["high"]


def intervals(y: np.ndarray, score: np.ndarray, rng: np.random.Generator) -> dict[str, Ends]:
    """Return the interval of every method."""
    m, n = int(y.sum()), int((1 - y).sum())
    auc = float(auc_components(y, [score])[0][0])
    return {
        "DeLong, logit, z": delong(y, score),
        "DeLong, logit, t": delong_t(y, score),
        "Newcombe 5": newcombe_interval(auc, m, n),
        "chosen": ends(y, score),
        **bootstraps(y, score, rng),
    }


def main(worlds: int) -> None:
    """Print mean and worst coverage, and mean width, of each method at each count."""
    rng = np.random.default_rng(0)
    print(f"{'positives, negatives':22} {'method':20} mean  worst  width")
    for m, n in COUNTS:
        covered, width = defaultdict(list), defaultdict(list)
        y = np.repeat([1, 0], [m, n])
        for auc, draw in product(AUCS, SHAPES.values()):
            hits: dict[str, list[bool]] = defaultdict(list)
            for _ in range(worlds):
                score = np.concatenate(draw(auc, m, n, rng))
                for name, (low, high) in intervals(y, score, rng).items():
                    hits[name].append(low <= auc <= high)
                    width[name].append(high - low)
            for name, hit in hits.items():
                covered[name].append(np.mean(hit))
        for name, shares in covered.items():
            figures = f"{np.mean(shares):.3f} {min(shares):.3f}  {np.mean(width[name]):.3f}"
            print(f"{m:>9}, {n:<11} {name:20} {figures}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("worlds", type=int, nargs="?", default=500, help="samples of each world")
    main(parser.parse_args().worlds)
