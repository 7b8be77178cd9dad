"""Reports: what the monitor found in each window of time.

They are stored as JSON; `fivefold.lifecycle.report` knows their type. A window that is evaluated
again, perhaps longer, replaces its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fivefold.journal.database import fetch, writing
from fivefold.journal.tables import REPORTS


def keep(engine: sa.Engine, problem: str, report: Mapping[str, Any], now: datetime) -> None:
    """Store a report."""
    start, end = (datetime.fromisoformat(report[name]) for name in ("start", "end"))
    same = sa.delete(REPORTS).where(REPORTS.c.problem == problem, REPORTS.c.start == start)
    row = sa.insert(REPORTS).values(
        at=now,
        problem=problem,
        model=report["model"] or "",
        start=start,
        end=end,
        bad=report["bad"],
        report=report,
    )
    with writing(engine) as connection:
        connection.execute(same)
        connection.execute(row)


def reports(engine: sa.Engine, problem: str, most: int = 100) -> list[dict[str, Any]]:
    """Return the newest reports, oldest first."""
    query = sa.select(REPORTS.c.report).where(REPORTS.c.problem == problem)
    query = query.order_by(REPORTS.c.end.desc(), REPORTS.c.start.desc()).limit(most)
    return [row.report for row in reversed(fetch(engine, query))]
