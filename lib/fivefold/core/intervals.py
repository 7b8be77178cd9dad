"""Estimates with intervals, and Wilson's interval for a share."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fivefold.core.stored import Stored

_Z = 1.959963984540054  # of a two-sided 95% interval


def wilson(hits: float, of: float, z: float = _Z) -> tuple[float, float]:
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


@dataclass(frozen=True)
class Estimate(Stored):
    """A figure with its 95% interval; all three are None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None


UNKNOWN = Estimate(None, None, None)


def share(hits: int, of: int) -> Estimate:
    """Return the share of `hits` with its Wilson interval, `UNKNOWN` where nothing was counted."""
    if of == 0:
        return UNKNOWN
    return Estimate(hits / of, *wilson(hits, of))
