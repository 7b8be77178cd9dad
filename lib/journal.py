"""Journal: the SQL record of what was served, refused, learnt and promoted. SQLite or PostgreSQL.

A prediction is written, and its transaction committed, before it is answered: what was acknowledged survives a killed
process (SQLite in WAL mode with synchronous=NORMAL; a power cut may take the last moments, `FIVEFOLD_JOURNAL_SYNC=full`
keeps those too at the price of one disk flush a lot). `lib.journal_writer` says what happens while the database is
locked or away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from lib.findings import ERROR, Finding, Refused
from lib.journal_tables import LABELS, METADATA, PREDICTIONS, REJECTS

HEAD = "0001"  # newest revision of lib/migrations
BUSY_SECONDS = 5.0
LOT = 5000
_DIALECTS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}
_LOCK = 705_555  # PostgreSQL advisory lock of migrations; any fixed number


def utc_now() -> datetime:
    """The present, UTC, without a zone, as the journal keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)


def open_journal(url: str) -> sa.Engine:
    """The journal at a URL (sqlite:///PATH or postgresql://...), created or brought to the newest revision.

    Safe for many processes at once. Raises `Refused` for a URL that is none, a database of another kind, one that
    does not answer, and a journal that a newer version of this project has written.
    """
    engine = _engine(url)
    try:
        _migrate(engine)
    except sa.exc.SQLAlchemyError as broken:
        engine.dispose()
        said = str(getattr(broken, "orig", None) or broken).splitlines()[0][:300]
        raise _refused("journal-unreachable", f"{_masked(url)}: {said}", "a database that answers",
                       "check FIVEFOLD_JOURNAL; sqlite:///PATH needs an existing, writable folder") from None
    return engine


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that will write: SQLite takes its lock at once, so that it never fails half-way for want of it."""
    with engine.connect().execution_options(fivefold_write=True) as connection, connection.begin():
        yield connection


def add(connection: sa.Connection, table: sa.Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Insert rows whose primary key is not there yet; how many were new. Repeating it doubles nothing."""
    rows, added = list(rows), 0
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql

        statement: Any = insert_postgresql(table).on_conflict_do_nothing()
    else:
        from sqlalchemy.dialects.sqlite import insert as insert_sqlite

        statement = insert_sqlite(table).on_conflict_do_nothing()
    for start in range(0, len(rows), LOT):
        added += max(0, connection.execute(statement, rows[start:start + LOT]).rowcount)
    return added


def write(engine: sa.Engine, predictions: Iterable[Mapping[str, Any]],
          rejects: Iterable[Mapping[str, Any]] = ()) -> None:
    """Record answered and refused cases (rows of `journal_tables`) in one transaction."""
    with writing(engine) as connection:
        add(connection, PREDICTIONS, predictions)
        add(connection, REJECTS, rejects)


def read_predictions(engine: sa.Engine, problem: str, since: datetime | None = None, until: datetime | None = None,
                     columns: Iterable[str] | None = None) -> pd.DataFrame:
    """Predictions with since <= at < until, oldest first, with the label that counts (1, 0 or NaN) and `labelled_at`.

    `columns` names those of the table `predictions` that are wanted (all by default).
    """
    wanted = [PREDICTIONS.c[name] for name in (columns or PREDICTIONS.c.keys())]
    truth = truths(problem).subquery()
    query = sa.select(*wanted, truth.c.label, truth.c.at.label("labelled_at")).select_from(
        PREDICTIONS.outerjoin(truth, truth.c.prediction_id == PREDICTIONS.c.id)).where(
        *_between(PREDICTIONS, problem, since, until)).order_by(PREDICTIONS.c.at, PREDICTIONS.c.id)
    return _frame(engine, query)


def read_rejects(engine: sa.Engine, problem: str, since: datetime | None = None,
                 until: datetime | None = None) -> pd.DataFrame:
    """Refused cases with since <= at < until, oldest first."""
    return _frame(engine, sa.select(REJECTS).where(*_between(REJECTS, problem, since, until)).order_by(REJECTS.c.at))


def truths(problem: str) -> sa.Select:
    """(prediction_id, label, at): of each prediction the newest label that counts."""
    newest = sa.select(sa.func.max(LABELS.c.seq)).where(
        LABELS.c.problem == problem, LABELS.c.outcome.in_(("accepted", "corrected"))).group_by(LABELS.c.prediction_id)
    return sa.select(LABELS.c.prediction_id, LABELS.c.label, LABELS.c.at).where(LABELS.c.seq.in_(newest))


def span(engine: sa.Engine, problem: str) -> tuple[datetime, datetime] | None:
    """(time of the oldest, of the newest prediction); None where there is none."""
    with engine.connect() as connection:
        low, high = connection.execute(sa.select(sa.func.min(PREDICTIONS.c.at), sa.func.max(PREDICTIONS.c.at)).where(
            PREDICTIONS.c.problem == problem)).one()
    return (low, high) if low is not None else None


def purge(engine: sa.Engine, problem: str, days: float | None, now: datetime) -> dict[str, int]:
    """Forget predictions, refusals and labels older than `days` (the scope's retention; None: nothing): {table: rows}."""
    if days is None:
        return {}
    before, gone = now - timedelta(days=days), {}
    with writing(engine) as connection:
        old = sa.select(PREDICTIONS.c.id).where(PREDICTIONS.c.problem == problem, PREDICTIONS.c.at < before)
        stale = sa.or_(LABELS.c.prediction_id.in_(old), sa.and_(LABELS.c.prediction_id.is_(None), LABELS.c.at < before))
        gone["labels"] = connection.execute(sa.delete(LABELS).where(LABELS.c.problem == problem, stale)).rowcount
        for table in (PREDICTIONS, REJECTS):
            gone[table.name] = connection.execute(sa.delete(table).where(
                table.c.problem == problem, table.c.at < before)).rowcount
    return gone


def as_json(value: Any, most: int | None = None) -> str:
    """Compact JSON in which every character stands for itself; cut at `most` characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)[:most]


def _between(table: sa.Table, problem: str, since: datetime | None, until: datetime | None) -> list[Any]:
    ends = [*([table.c.at >= since] if since else []), *([table.c.at < until] if until else [])]
    return [table.c.problem == problem, *ends]


def _frame(engine: sa.Engine, query: sa.Select) -> pd.DataFrame:
    with engine.connect() as connection:
        result = connection.execute(query)
        return pd.DataFrame(result.fetchall(), columns=list(result.keys()))


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise _refused("journal-url", "no database URL", "sqlite:///PATH or postgresql://USER@HOST/NAME",
                       "correct FIVEFOLD_JOURNAL; write @ : / in a password as %40 %3A %2F") from None
    family = parsed.drivername.partition("+")[0]
    if family not in _DIALECTS:
        raise _refused("journal-unknown", f"the database {family!r}", "sqlite or postgresql",
                       "correct FIVEFOLD_JOURNAL")
    if family != "sqlite":
        return sa.create_engine(parsed.set(drivername=_DIALECTS[family]), pool_pre_ping=True,
                                connect_args={"connect_timeout": int(BUSY_SECONDS)})
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def _settings(raw: Any, _: Any) -> None:
        sync = "FULL" if os.environ.get("FIVEFOLD_JOURNAL_SYNC", "").lower() == "full" else "NORMAL"
        for pragma in ("journal_mode=WAL", f"synchronous={sync}", "foreign_keys=ON"):
            raw.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:  # the driver's own transactions come too late
        write = connection.get_execution_options().get("fivefold_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _migrate(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        held = _revision(connection)
    if held == HEAD:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if _revision(connection) == HEAD:  # another process was faster
            return
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, HEAD)
        except CommandError:
            raise _refused("journal-newer", f"revision {held!r}", f"at most {HEAD}",
                           "use the version of this project that wrote it, or another FIVEFOLD_JOURNAL") from None


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _masked(url: str) -> str:
    return sa.make_url(url).render_as_string(hide_password=True)


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return Refused("The journal cannot be used", [Finding(code, ERROR, "journal", found, expected, action)])


__all__ = ["METADATA", "add", "as_json", "open_journal", "purge", "read_predictions", "read_rejects", "span", "truths",
           "utc_now", "write", "writing"]
