"""The two halves of the benchmark's tables."""

from __future__ import annotations

import zlib

HALVES = ("choose", "report")


def half(name: str) -> str:
    """Return the half of the table with this name: the parity of its CRC-32.

    Rules and constants are chosen on tables of the half "choose", and their gain is reported on
    those of the half "report".

    >>> half("churn"), half("spam")
    ('choose', 'report')
    """
    return HALVES[zlib.crc32(name.encode()) % 2]
