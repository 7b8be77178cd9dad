"""Distances between two samples: PSI, Kolmogorov-Smirnov and total variation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Counts = Sequence[float] | np.ndarray
HALF_A_CASE = 0.5
EXACT_PAIRS = 1_000_000  # up to these rows x rows the exact p value of KS takes milliseconds


def psi(reference: Counts, current: Counts, floor: float = HALF_A_CASE) -> float:
    """Return the population stability index of two lists of counts over the same bins.

    PSI = sum of (q - p) ln(q / p) over the bins, where p and q are the shares of the reference
    and of the current sample; 0 or more. An empty bin counts as `floor` cases, so that its
    term is finite (Haldane 1956 and Anscombe 1956 correct log ratios in this way). Bins that
    are empty in both samples are left out. If nothing changes, the expectation is about
    (bins - 1)(1/n + 1/m) (Yurdakul 2018, thesis, Western Michigan University).

    Raises
    ------
    ValueError
        If the lists differ in length, hold a negative count, or are all 0.

    >>> round(psi([50, 50], [80, 20]), 4)
    0.4159
    """
    old, new = np.asarray(reference, dtype="float64"), np.asarray(current, dtype="float64")
    fits = old.shape == new.shape and old.ndim == 1
    if not fits or not (old.sum() > 0 and new.sum() > 0) or min(*old, *new) < 0:
        raise ValueError(
            f"expected two equally long lists of counts, not all 0, found {old} and {new}"
        )
    filled = (old > 0) | (new > 0)
    p = np.maximum(old[filled], floor) / old.sum()
    q = np.maximum(new[filled], floor) / new.sum()
    return _stability_index(p, q)


def smoothed_psi(reference: Counts, current: Counts) -> float:
    """Return the PSI after adding half a case to every bin of both samples (Jeffreys).

    >>> round(smoothed_psi([49.5, 49.5], [74.5, 24.5]), 4)
    0.2747
    """
    old = np.asarray(reference, dtype="float64") + HALF_A_CASE
    new = np.asarray(current, dtype="float64") + HALF_A_CASE
    p = old / (sum(reference) + HALF_A_CASE * len(old))
    q = new / (sum(current) + HALF_A_CASE * len(new))
    return _stability_index(p, q)


def psi_by_chance(bins: int, rows: float, other_rows: float, alpha: float) -> float:
    """Return the PSI that two samples of one distribution exceed with chance `alpha`.

    PSI / (1/n + 1/m) is close to chi-squared with bins - 1 degrees of freedom (Yurdakul 2018).
    """
    from scipy.stats import chi2

    quantile = float(chi2.ppf(1 - alpha, max(1, bins - 1)))
    return quantile * (1 / max(rows, 1) + 1 / max(other_rows, 1))


def ks_test(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Return (KS distance, two-sided p value) of two samples without NaN.

    The distance is the largest difference of their distribution functions. Ties only make p larger
    (Noether 1963).

    >>> ks_test(np.array([1, 2, 3, 4]), np.array([3, 4, 5, 6]))[0]
    0.5
    """
    from scipy.stats import ks_2samp

    method = "exact" if len(a) * len(b) <= EXACT_PAIRS else "asymp"
    result = ks_2samp(a, b, method=method)
    return float(result.statistic), float(result.pvalue)


def total_variation(reference: Counts, current: Counts, rows: tuple[int, int]) -> float:
    """Return half the sum of the absolute differences of shares, in [0, 1].

    `reference` and `current` are counts over the same levels; `rows` divides each of them.

    >>> total_variation([2, 2, 0], [3, 0, 1], (4, 4))
    0.5
    """
    shares = np.asarray(reference) / rows[0]
    other_shares = np.asarray(current) / rows[1]
    return float(np.abs(shares - other_shares).sum() / 2)


def _stability_index(p: np.ndarray, q: np.ndarray) -> float:
    return float(((q - p) * np.log(q / p)).sum())
