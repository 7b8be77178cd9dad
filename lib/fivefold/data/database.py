"""SQL: a table or a SELECT from SQLite or PostgreSQL, read only. The home of database connections."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa

from fivefold.data.csv_files import refused
from fivefold.data.missing_markers import MARKERS
from fivefold.data.normalize import EXACT, LONG, TEXT, Log

CONNECT_SECONDS = 10
_DIALECTS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "sqlite": "sqlite",
}


def select(
    url: str,
    query: str | None,
    masked: str,
    log: Log,
    *,
    max_rows: int | None = None,
    markers: Sequence[str] = MARKERS,
) -> tuple[pa.Table, dict[str, Any]]:
    """(table, details) of a table name or a SELECT statement; `masked` is the URL for messages.

    PostgreSQL runs it in a read-only transaction and SQLite on a read-only connection, so that a statement
    that writes fails. Raises `Refused` for an unknown or unreachable database, for a query that is missing or
    names no table (naming the tables that exist), and for every error of the statement.
    """
    engine = _engine(url, masked)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            statement = _statement(connection, query, masked)
            # no_parameters: "%" and ":" in the statement mean themselves
            result = connection.execution_options(no_parameters=True).exec_driver_sql(statement)
            if not result.returns_rows:
                raise refused(
                    "query-without-rows",
                    masked,
                    "a statement that returns no table",
                    "a SELECT",
                    "correct the query",
                )
            names = [column[0] for column in result.cursor.description]
            rows = result.fetchmany(max_rows + 1) if max_rows is not None else result.fetchall()
    except sa.exc.SQLAlchemyError as broken:
        raise _translated(broken, url, masked) from None
    finally:
        engine.dispose()
    columns = [
        _column(name, [row[n] for row in rows], markers, log) for n, name in enumerate(names)
    ]
    details = {"format": engine.dialect.name, "query": statement}
    return pa.Table.from_arrays(columns, names=names), details


def _engine(url: str, masked: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise refused(
            "url-unreadable",
            masked,
            "no database URL",
            "sqlite:///PATH or postgresql://USER@HOST/NAME",
            "correct the URL; write @ : / in a password as %40 %3A %2F",
        ) from None
    family = parsed.drivername.partition("+")[0]
    if family not in _DIALECTS:
        raise refused(
            "database-unknown",
            masked,
            f"the database {family!r}",
            "sqlite or postgresql",
            "export the table as CSV or Parquet",
        )
    if family != "sqlite":
        return sa.create_engine(
            parsed.set(drivername=_DIALECTS[family]),
            poolclass=sa.pool.NullPool,
            connect_args={"connect_timeout": CONNECT_SECONDS},
        )
    path = Path(parsed.database or "")
    if not path.is_file():
        raise refused(
            "database-missing",
            masked,
            f"no file {path}",
            "a file: sqlite:///relative/path or sqlite:////absolute/path",
            "correct the path",
        )
    location = f"file:{quote(str(path.resolve()))}?mode=ro"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(location, uri=True), poolclass=sa.pool.NullPool
    )


def _statement(connection: sa.Connection, query: str | None, masked: str) -> str:
    """The SELECT to run: `query` itself, or all of the table that it names."""
    inspector = sa.inspect(connection)
    held = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
    query = (query or "").strip().rstrip(";").strip()
    schema, _, table = query.rpartition(".")
    quoted = connection.dialect.identifier_preparer.quote_identifier
    if query in held:
        return f"SELECT * FROM {quoted(query)}"  # noqa: S608
    if schema and inspector.has_table(table, schema=schema):
        return f"SELECT * FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608
    if len(query.split()) > 1:
        return query
    listed = (
        ", ".join(held[:20]) + (f" and {len(held) - 20} more" if len(held) > 20 else "") or "none"
    )
    raise refused(
        "query-missing" if not query else "table-missing",
        masked,
        f"{f'no table {query!r}' if query else 'no query'}; tables here: {listed}",
        "a SELECT statement or the name of a table",
        "pass one as the query",
    )


def _translated(broken: sa.exc.SQLAlchemyError, url: str, masked: str) -> Exception:
    """One line of the driver's message, without the password."""
    text = str(getattr(broken, "orig", None) or broken)
    password = sa.make_url(url).password
    said = " ".join(line.strip() for line in text.splitlines() if line.strip())[:400]
    said = said.replace(str(password), "***") if password else said
    if "file is not a database" in text:
        return refused(
            "database-damaged",
            masked,
            "a file that is no SQLite database",
            "an SQLite file",
            "correct the path",
        )
    unreachable = "connection" in text or "open database" in text
    if isinstance(broken, sa.exc.OperationalError) and unreachable:
        return refused(
            "database-unreachable",
            masked,
            said,
            "a database that answers",
            "check host, port, name, user and password",
        )
    return refused(
        "query-failed",
        masked,
        said,
        "a SELECT that the database accepts (it is run read-only)",
        "correct the query",
    )


def _column(name: str, values: list[Any], markers: Sequence[str], log: Log) -> pa.Array:
    """One column of Python values as an Arrow array of one type.

    Decimal becomes float, date datetime, zoned times UTC. Text in a column of numbers is missing if all of it
    is markers; any other mixture becomes text, with a warning. UUID, time, network addresses become text.
    """
    kinds = {type(v) for v in values if v is not None}
    if str in kinds and kinds - {str} and kinds <= {str, int, float, Decimal}:
        words = [v.strip() for v in values if isinstance(v, str)]
        if all(word in markers for word in words):
            for word in words:
                log.missing(name, word, 1)
            values, kinds = [None if isinstance(v, str) else v for v in values], kinds - {str}
    if kinds and kinds <= {int, float, Decimal}:
        return _numbers(name, values, kinds, log)
    if kinds and kinds <= {dt.date, dt.datetime}:
        if any(v.tzinfo for v in values if isinstance(v, dt.datetime)):
            log.note(
                "passed", "time-zone", name, "times with a zone; converted to UTC without a zone"
            )
        return pa.array([_moment(v) for v in values], pa.timestamp("us"))
    if kinds <= {bool} or kinds <= {str} or kinds <= {bytes} or kinds <= {dt.timedelta}:
        return pa.array(values, pa.null() if not kinds else TEXT if kinds == {str} else None)
    listed = ", ".join(sorted(kind.__name__ for kind in kinds))
    if kinds & {dict, list, tuple, set}:
        log.note(
            "warning",
            "nested-values",
            name,
            f"values of type {listed}; written as JSON text",
            "one plain value a cell",
            "select the parts as columns",
        )
    elif len(kinds) > 1:
        log.note(
            "warning",
            "mixed-types",
            name,
            f"values of types {listed}; written as text",
            "one type a column",
            "cast the column in the query",
        )
    return pa.array([None if v is None else _written(v) for v in values], TEXT)


def _written(value: Any) -> str:
    return (
        json.dumps(value, default=str, sort_keys=True)
        if isinstance(value, (dict, list))
        else str(value)
    )


def _numbers(name: str, values: list[Any], kinds: set[type], log: Log) -> pa.Array:
    whole = [
        int(v)
        for v in values
        if isinstance(v, int) or (isinstance(v, Decimal) and v.as_tuple().exponent == 0)
    ]
    if (
        whole
        and max(map(abs, whole)) >= EXACT
        and (kinds != {int} or max(map(abs, whole)) >= 2**63)
    ):
        log.note("passed", "long-integers", name, LONG)
        return pa.array([None if v is None else str(v) for v in values], TEXT)
    if kinds == {int}:
        return pa.array(values, pa.int64())
    return pa.array([None if v is None else float(v) for v in values], pa.float64())


def _moment(value: dt.date | None) -> dt.datetime | None:
    if value is None:
        return None
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    return value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
