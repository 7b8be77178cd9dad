"""Intervals for shares."""

from __future__ import annotations

import math

_Z = 1.959963984540054  # of a two-sided 95% interval


def wilson(hits: float, of: int, z: float = _Z) -> tuple[float, float]:
    """Return Wilson's interval for a share, 95% by default; (0, 1) where nothing was counted.

    Source: Wilson (1927), Journal of the American Statistical Association 22, 209-212.

    >>> tuple(round(v, 4) for v in wilson(5, 10))
    (0.2366, 0.7634)
    """
    if of == 0:
        return 0.0, 1.0
    share, spread = hits / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    # The ends 0 and 1 are exact, free of rounding.
    low = middle - half if hits else 0.0
    high = middle + half if hits < of else 1.0
    return low, high


def share(hits: int, of: int) -> dict[str, float | None]:
    """Return {value, low, high} of a share with its Wilson interval; None where nothing was counted."""
    if not of:
        return {"value": None, "low": None, "high": None}
    low, high = wilson(hits, of)
    return {"value": hits / of, "low": low, "high": high}
