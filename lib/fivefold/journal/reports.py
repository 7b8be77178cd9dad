"""Reports: what the monitor said of each window of time; a window judged again, perhaps longer, replaces its line."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fivefold.core.clock import utc_now
from fivefold.journal.database import as_json, writing
from fivefold.journal.tables import REPORTS


def keep(
    engine: sa.Engine, problem: str, report: dict[str, Any], now: datetime | None = None
) -> None:
    """Record a report of `fivefold.lifecycle.window.judge_window`."""
    start, end = (datetime.fromisoformat(report[name]) for name in ("start", "end"))
    with writing(engine) as connection:
        connection.execute(
            sa.delete(REPORTS).where(REPORTS.c.problem == problem, REPORTS.c.start == start)
        )
        connection.execute(
            sa.insert(REPORTS).values(
                at=now or utc_now(),
                problem=problem,
                model=report["model"] or "",
                start=start,
                end=end,
                bad=report["bad"],
                report=as_json(report),
            )
        )


def reports(engine: sa.Engine, problem: str, most: int = 100) -> list[dict[str, Any]]:
    """The newest reports, oldest first."""
    with engine.connect() as connection:
        lines = (
            connection.execute(
                sa.select(REPORTS.c.report)
                .where(REPORTS.c.problem == problem)
                .order_by(REPORTS.c.end.desc(), REPORTS.c.start.desc())
                .limit(most)
            )
            .scalars()
            .all()
        )
    return [json.loads(line) for line in reversed(lines)]
