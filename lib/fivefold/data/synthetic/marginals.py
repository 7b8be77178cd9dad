"""Marginals: the distribution of one column as plain data, with what a Gaussian copula needs of it.

A marginal is {"missing": share, "pieces": [{"share", "grid"}, ...]} from low to high; shares sum
to one. A grid of several values stands for equally likely steps with straight lines between them;
a grid of one value is an atom. Columns of numbers and days hold their values, columns of levels
the numbers of the levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from fivefold.core.roc_auc import ranks

POINTS = 512  # quantiles kept for the continuous part of a column
# A number with at least this share (and 3 rows) is a value of its own, as balance = 0.
ATOM_SHARE = 0.005
DEGREES = 40  # of the Hermite series
Z = np.linspace(-8, 8, 4001)
_DENSITY = np.exp(-(Z**2) / 2) / np.sqrt(2 * np.pi) * (Z[1] - Z[0])
Pieces = Sequence[Mapping[str, Any]]


def fit(values: np.ndarray, are_levels: bool = False) -> dict[str, Any]:
    """Return the marginal of numbers or of numbered levels, shape (rows,), NaN for missing.

    Levels and frequent numbers are atoms, between them stand quantiles. No value is ever made
    between an atom and its neighbours in the data, nor beyond the extremes. Between atoms the
    distribution function is off by at most one step, 1/512 (or one row in smaller data).

    >>> fit(np.array([0.0, 0.0, 0.0, 5.0, 7.0, np.nan]))["pieces"]
    [{'share': 0.6, 'grid': [0.0]}, {'share': 0.4, 'grid': [5.0, 7.0]}]
    """
    present = values[~np.isnan(values)]
    distinct, counts = np.unique(present, return_counts=True)
    is_atom = are_levels | (counts >= max(3, ATOM_SHARE * len(present)))
    starts = np.flatnonzero(is_atom[1:] | is_atom[:-1]) + 1
    pieces = []
    for run in np.split(np.arange(len(distinct)), starts):
        rows = int(counts[run].sum())
        if not rows:
            continue
        points = min(rows, max(2, round(POINTS * rows / len(present)))) if len(run) > 1 else 1
        grid = distinct[run]
        if points > 1:
            grid = np.quantile(np.repeat(grid, counts[run]), np.linspace(0, 1, points))
        pieces.append({"share": rows / len(present), "grid": [float(v) for v in grid]})
    missing = 1 - len(present) / len(values) if len(values) else 0.0
    return {"missing": missing, "pieces": pieces}


def values_at(marginal: Mapping[str, Any], u: np.ndarray) -> np.ndarray:
    """Return the quantiles of a marginal at `u` in [0, 1]; NaN where it has no value."""
    values = np.full(len(u), np.nan)
    piece, low, share = _locate(marginal["pieces"], u)
    for k, one in enumerate(marginal["pieces"]):
        here = piece == k
        inside = (u[here] - low[k]) / share[k]
        values[here] = np.interp(inside, np.linspace(0, 1, len(one["grid"])), one["grid"])
    return values


def present_share(normal: np.ndarray, missing: float, r: float) -> np.ndarray:
    """Return P(value below | the cell is present) at the hidden normal of the value, shape (rows,).

    Where value and missing mark have the correlation `r`, the cells that stay are a selection.
    With this as the quantile they have the distribution of the cells that were present in the
    data. It is the plain normal distribution function for r = 0.
    """
    if r == 0 or missing in (0, 1):
        return np.asarray(ndtr(normal))
    below = np.cumsum(_DENSITY * ndtr((ndtri(1 - missing) - r * Z) / np.sqrt(1 - r**2)))
    shares: np.ndarray = np.interp(normal, Z, below / below[-1])
    return shares


def scores(marginal: Mapping[str, Any], values: np.ndarray) -> np.ndarray:
    """Return normal scores of the values that the marginal was made from.

    An atom has its mean normal, E[Z | Z in its range].
    """
    pieces = marginal["pieces"]
    if not pieces:
        return np.full(len(values), np.nan)
    _, low, share = _locate(pieces, np.empty(0))
    tops = [one["grid"][-1] for one in pieces]
    piece = np.minimum(np.searchsorted(tops, values), len(pieces) - 1)
    piece = np.where(np.isnan(values), -1, piece)
    means = _atom_means(pieces, low, share)
    result = np.where(piece >= 0, means[piece], np.nan)
    for k in np.flatnonzero(np.isnan(means)):
        here = piece == k
        middles = ranks(values[here]) - 0.5
        result[here] = ndtri(low[k] + share[k] * middles / max(here.sum(), 1))
    return result


def hermite(marginal: Mapping[str, Any]) -> np.ndarray:
    """Return coefficients 1 to 40, shape (40,), of the score as a function of the hidden normal.

    They are scaled to variance one. With a and b of two columns, normals of correlation r give
    scores of correlation sum_k a_k b_k r^k (Mehler).
    """
    pieces = marginal["pieces"]
    if len(pieces) < 2 and (not pieces or len(pieces[0]["grid"]) == 1):
        return np.zeros(DEGREES)  # one value: no correlation with anything
    piece, low, share = _locate(pieces, ndtr(Z))
    means = _atom_means(pieces, low, share)[piece]
    curve = np.where(np.isnan(means), Z, means)
    before, now = np.ones_like(Z), Z
    coefficients = []
    for k in range(1, DEGREES + 1):
        coefficients.append(float((curve * now * _DENSITY).sum()))
        before, now = now, (Z * now - np.sqrt(k) * before) / np.sqrt(k + 1)
    scaled: np.ndarray = np.array(coefficients) / np.sqrt((curve**2 * _DENSITY).sum())
    return scaled


def _locate(pieces: Pieces, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (piece of each number in [0, 1], lower end of each piece, share of each piece)."""
    share = np.array([one["share"] for one in pieces], dtype="float64")
    high = np.cumsum(share)
    piece = np.searchsorted(high, u, side="right")
    return np.minimum(piece, max(len(pieces) - 1, 0)), high - share, share


def _atom_means(pieces: Pieces, low: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return the mean of the hidden normal in the range of each atom, shape (pieces,).

    NaN for the other pieces.
    """
    ends = ndtri(np.clip([low, low + share], 0, 1))
    density = np.exp(-(ends**2) / 2) / np.sqrt(2 * np.pi)
    is_atom = np.array([len(one["grid"]) == 1 for one in pieces], dtype=bool)
    return np.where(is_atom, (density[0] - density[1]) / share, np.nan)
