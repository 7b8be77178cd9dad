"""Clock: the current time, and its text."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path


def utc_now() -> datetime:
    """Return the current time in UTC, without a zone, as the journal stores it.

    FIVEFOLD_CLOCK names a file that holds another time (ISO 8601), for simulations such as
    `make demo`.
    """
    if clock := os.environ.get("FIVEFOLD_CLOCK"):
        return datetime.fromisoformat(Path(clock).read_text(encoding="utf-8").strip())
    return datetime.now(UTC).replace(tzinfo=None)


def today() -> date:
    """Return the current day in UTC, by `utc_now`."""
    return utc_now().date()


def timestamp() -> str:
    """Return the current time in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
