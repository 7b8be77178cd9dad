"""Text: small pieces of English that many messages share."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"], most=3)
    'a, b, c and 2 more'
    >>> listed(["a", "b"])
    'a, b'
    """
    shown = ", ".join(names[:most])
    rest = len(names) - most
    return f"{shown} and {rest:,} more" if rest > 0 else shown
