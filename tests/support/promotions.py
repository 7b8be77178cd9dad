"""Decisions about the served model, written to a journal."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fivefold.journal.promotions import PROMOTED, Decision, Promotion, append

DEFAULTS = {"action": PROMOTED, "threshold": 0.5, "who": "ann", "why": "because"}


def decide(
    engine: sa.Engine, problem: str, model: str, now: datetime | None = None, **fields: Any
) -> Promotion:
    """Append a decision about `model`, whose name is its digest where `fields` has none."""
    decision = Decision(model=model, **{**DEFAULTS, "sha256": model, **fields})
    return append(engine, problem, decision, now=now)
