"""Clock: the present, as it is written down."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> str:
    """The present in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
