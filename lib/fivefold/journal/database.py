"""Journal database: the SQL record of what was served, refused, labelled and promoted.

It is SQLite or PostgreSQL. A prediction is written, and its transaction committed, before it is
answered: what was acknowledged survives a killed process. SQLite runs in WAL mode with
synchronous=NORMAL, so a power cut may lose the last moments; `FIVEFOLD_JOURNAL_SYNC=full` keeps
those too, at the price of one disk flush a transaction. `fivefold.journal.writer` handles a
database that is locked or away.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from fivefold.core.findings import Refused, refusal
from fivefold.core.text import error_line
from fivefold.core.urls import mask
from fivefold.journal.tables import LABELS, PREDICTIONS, REJECTS

if TYPE_CHECKING:
    import pandas as pd

Engine = sa.Engine  # for all who call the journal
HEAD = "0002"  # newest of the migrations
BUSY_SECONDS = 5.0
COUNTING = ("accepted", "corrected")  # outcomes of the labels that count
_LOCK = 705_555  # PostgreSQL advisory lock of migrations; any fixed number
_MIGRATING = threading.Lock()  # Alembic keeps its state in a module
_LEFT: WeakKeyDictionary[sa.Engine, threading.Thread] = WeakKeyDictionary()  # `within`
T = TypeVar("T")


def open_journal(url: str) -> sa.Engine:
    """Open the journal at a URL, created or brought to the newest revision.

    It is safe for many processes at once.

    Parameters
    ----------
    url
        sqlite:///PATH or postgresql://...

    Raises
    ------
    Refused
        For a wrong URL, a database of another kind, one that does not answer, and a journal that
        a newer version of this project has written.
    """
    engine = _engine(url)
    try:
        if engine.dialect.name == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        _migrate(engine)
        return engine
    except (sa.exc.SQLAlchemyError, OSError, Refused) as broken:
        engine.dispose()
        if isinstance(broken, Refused):
            raise
        raise _refused(
            "journal-unreachable",
            f"{mask(url)}: {error_line(broken, 300)}",
            "a database that answers",
            "check FIVEFOLD_JOURNAL; sqlite:///PATH needs a folder that can be written",
        ) from None


@contextmanager
def writing(
    engine: sa.Engine, lock: Any = None, wait: float | None = None
) -> Iterator[sa.Connection]:
    """Open a transaction that will write; SQLite takes its lock at once, not half-way.

    `lock`, a number, excludes others with the same one until the end, also in PostgreSQL, which
    has many writers at a time. `wait`: seconds for it, `BUSY_SECONDS` by default.
    """
    with engine.connect().execution_options(fivefold_write=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            milliseconds = (wait or BUSY_SECONDS) * 1000
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds:.0f}")
            if lock is not None:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(lock)))
        yield connection


def within(engine: sa.Engine | None, seconds: float, call: Callable[..., T], *arguments: Any) -> T:
    """Return what a call of the journal returns, given up after some seconds.

    No driver ends a call to a server that is stopped or cut off: the call runs in a thread of its
    own, which is left behind. While one is, further calls of the same engine wait for it, and are
    given up too: threads never pile up. What a call that was given up does later must do no harm.

    Raises
    ------
    TimeoutError
        It was given up.
    """
    ends = time.monotonic() + seconds
    left = _LEFT.get(engine) if engine is not None else None
    if left is not None:
        left.join(seconds)
        if left.is_alive():
            raise TimeoutError("an earlier call of the journal has not ended")
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(call(*arguments))
        except BaseException as error:  # the caller raises it
            done.set_exception(error)

    thread = threading.Thread(target=work, daemon=True, name="journal call")
    thread.start()
    thread.join(max(0.0, ends - time.monotonic()))
    if not done.done():
        if engine is not None:
            _LEFT[engine] = thread
        raise TimeoutError(f"no answer in {seconds:g} seconds")
    return done.result()


def fetch(engine: sa.Engine, query: sa.Select[Any]) -> Sequence[Any]:
    """Return the rows of a query."""
    with engine.connect() as connection:
        return connection.execute(query).all()


def insert(connection: sa.Connection, table: sa.Table, **values: Any) -> int:
    """Insert a row, and return the number that the database gives it."""
    key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
    assert key is not None  # the databases that we use return it
    return int(key[0])


def write(
    engine: sa.Engine,
    predictions: Iterable[Mapping[str, Any]],
    rejects: Iterable[Mapping[str, Any]] = (),
) -> None:
    """Record answered and refused cases (rows of `fivefold.journal.tables`) in one transaction.

    Rows whose primary key is there already are left out: repeating it doubles nothing.
    """
    from sqlalchemy.dialects import postgresql, sqlite

    dialect: Any = postgresql if engine.dialect.name == "postgresql" else sqlite
    with writing(engine) as connection:
        # A file of the spool may be of a version without the column.
        complete = [{"control": None, **row} for row in predictions]
        for table, rows in ((PREDICTIONS, complete), (REJECTS, list(rejects))):
            if rows:
                connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def read_predictions(
    engine: sa.Engine,
    problem: str,
    since: datetime | None = None,
    until: datetime | None = None,
    columns: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Read predictions with since <= at < until, oldest first.

    Besides `columns` of the table `predictions` (all by default) there are `label`, the label that
    counts (1, 0 or NaN), `labelled_at`, and `acted`, whether the label says that the case was acted
    upon.
    """
    wanted = [PREDICTIONS.c[name] for name in (columns or PREDICTIONS.c.keys())]
    other = LABELS.alias()
    counting = (
        other.c.problem == problem,
        other.c.prediction_id == PREDICTIONS.c.id,
        other.c.outcome.in_(COUNTING),
    )
    # Looked up for each prediction, whatever the window.
    newest = sa.select(sa.func.max(other.c.seq)).where(*counting).scalar_subquery()
    labelled = PREDICTIONS.outerjoin(LABELS, LABELS.c.seq == newest)
    query = sa.select(*wanted, LABELS.c.label, LABELS.c.at.label("labelled_at"), LABELS.c.acted)
    query = query.select_from(labelled).where(*_between(PREDICTIONS, problem, since, until))
    query = query.order_by(PREDICTIONS.c.at, PREDICTIONS.c.id)
    frame = _frame(engine, query).astype({"label": "float64"})
    for name in {"acted", "control"} & set(frame.columns):  # null: not said
        frame[name] = frame[name].eq(True).astype("bool")
    return frame


def read_rejects(
    engine: sa.Engine, problem: str, since: datetime | None = None, until: datetime | None = None
) -> pd.DataFrame:
    """Read refused cases with since <= at < until, oldest first."""
    query = sa.select(REJECTS).where(*_between(REJECTS, problem, since, until))
    return _frame(engine, query.order_by(REJECTS.c.at))


def count_rejects(
    engine: sa.Engine, problem: str, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Count refused cases with since <= at < until."""
    query = sa.select(sa.func.count()).where(*_between(REJECTS, problem, since, until))
    return int(fetch(engine, query)[0][0])


def span(engine: sa.Engine, problem: str) -> tuple[datetime, datetime] | None:
    """Return (time of the oldest, time of the newest prediction); None if there is none."""
    at = PREDICTIONS.c.at
    query = sa.select(sa.func.min(at), sa.func.max(at)).where(PREDICTIONS.c.problem == problem)
    first, last = fetch(engine, query)[0]
    return (first, last) if first else None


def purge(engine: sa.Engine, problem: str, days: float | None, now: datetime) -> dict[str, int]:
    """Delete predictions, refusals and labels older than `days` and return {table: rows}.

    `days` is the scope's retention; None: nothing is deleted.
    """
    if days is None:
        return {}
    before = now - timedelta(days=days)
    old = sa.select(PREDICTIONS.c.id).where(*_between(PREDICTIONS, problem, None, before))
    unmatched = sa.and_(LABELS.c.outcome == "unknown", LABELS.c.at < before)
    conditions = {
        LABELS: sa.or_(LABELS.c.prediction_id.in_(old), unmatched),
        PREDICTIONS: PREDICTIONS.c.at < before,
        REJECTS: REJECTS.c.at < before,
    }
    deleted = {}
    with writing(engine) as connection:
        for table, condition in conditions.items():
            query = sa.delete(table).where(table.c.problem == problem, condition)
            deleted[table.name] = connection.execute(query).rowcount
    return deleted


def _between(
    table: sa.Table, problem: str, since: datetime | None, until: datetime | None
) -> list[sa.ColumnElement[bool]]:
    conditions = [table.c.problem == problem]
    if since:
        conditions.append(table.c.at >= since)
    if until:
        conditions.append(table.c.at < until)
    return conditions


def _frame(engine: sa.Engine, query: sa.Select[Any]) -> pd.DataFrame:
    import pandas as pd

    columns = query.selected_columns
    frame = pd.DataFrame(fetch(engine, query), columns=columns.keys())
    time_type = type(PREDICTIONS.c.at.type)
    times = [c.name for c in columns if isinstance(c.type, time_type)]
    return frame.astype(dict.fromkeys(times, "datetime64[us]"))  # also if there are no rows


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        family = parsed.get_backend_name()
        if family == "sqlite":
            # In memory each thread would have a database of its own.
            if parsed.database in (None, "", ":memory:"):
                raise ValueError
            return _sqlite(parsed.set(drivername="sqlite"))
        if family in ("postgres", "postgresql"):
            # An @ in the host or the name would be a piece of the password.
            if "@" in f"{parsed.host}{parsed.database}":
                raise ValueError
            return sa.create_engine(
                parsed.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                pool_timeout=BUSY_SECONDS,
                connect_args={
                    "connect_timeout": max(2, int(BUSY_SECONDS)),
                    # a network that was cut is noticed, here and by a call that was left behind
                    "keepalives_idle": 10,
                    "keepalives_interval": 5,
                    "keepalives_count": 3,
                    "tcp_user_timeout": 30_000,
                },
            )
    except (sa.exc.ArgumentError, ValueError, TypeError):
        raise _refused(
            "journal-url",
            "no database URL",
            "sqlite:///PATH or postgresql://USER@HOST/NAME",
            "correct FIVEFOLD_JOURNAL; write @ : / in a password as %40 %3A %2F",
        ) from None
    raise _refused(
        "journal-unknown",
        f"the database {family!r}",
        "sqlite or postgresql",
        "correct FIVEFOLD_JOURNAL",
    )


def _sqlite(url: sa.URL) -> sa.Engine:
    path = Path(str(url.database))
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS, "isolation_level": None})

    @sa.event.listens_for(engine, "connect")
    def _settings(raw: Any, record: Any) -> None:
        sync = "FULL" if os.environ.get("FIVEFOLD_JOURNAL_SYNC", "").lower() == "full" else "NORMAL"
        ends = time.monotonic() + BUSY_SECONDS
        while True:  # a new file's first users meet here, and SQLite does not wait by itself
            try:
                raw.execute("PRAGMA journal_mode=WAL")
                break
            except raw.OperationalError as broken:
                if not broken.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > ends:
                    raise
                time.sleep(0.01)
        raw.execute(f"PRAGMA synchronous={sync}")
        record.info["file"] = path.stat().st_ino

    @sa.event.listens_for(engine, "checkout")
    def _same_file(_: Any, record: Any, __: Any) -> None:
        # A connection to a removed file takes lines to nowhere.
        if not path.exists() or record.info["file"] != path.stat().st_ino:
            raise sa.exc.DisconnectionError("the file was removed or replaced")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:  # the driver's own transactions come too late
        immediate = connection.get_execution_options().get("fivefold_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

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
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    with _MIGRATING, writing(engine, _LOCK, wait=60) as connection:
        if _revision(connection) == HEAD:  # another process was faster
            return
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, HEAD)
        except CommandError:
            raise _refused(
                "journal-newer",
                f"revision {held!r}",
                f"at most {HEAD}",
                "use the version of this project that wrote it, or another FIVEFOLD_JOURNAL",
            ) from None


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _refused(code: str, found: str, expected: str, action: str) -> Refused:
    return refusal("The journal cannot be used", code, "journal", found, expected, action)
