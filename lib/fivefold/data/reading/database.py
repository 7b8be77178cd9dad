"""Databases: read a table or a SELECT from SQLite or PostgreSQL, read-only."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import sqlalchemy as sa

from fivefold.core.findings import Refused
from fivefold.core.text import listed, one_line
from fivefold.data.missing_markers import MARKERS
from fivefold.data.parsing import EXACT
from fivefold.data.reading.normalize import LONG_INTEGERS, json_text, text_array
from fivefold.data.reading.read_log import ReadLog, unreadable

CONNECT_SECONDS = 10
_NUMBER_TYPES = {int, float, Decimal}
_ARROW_TYPES = {str, bool, bytes, dt.date, dt.timedelta}  # kept as they are


def select(url: str, query: str | None, shown: str, log: ReadLog) -> pa.Table:
    """Return a table of a database, or the rows of a SELECT statement.

    PostgreSQL runs it in a read-only transaction and SQLite on a read-only connection, so that a
    statement that writes fails.

    Parameters
    ----------
    url
        Database URL.
    query
        Name of a table, or a SELECT statement.
    shown
        The URL without secrets, for messages.
    log
        Receives findings and details.

    Raises
    ------
    Refused
        For an unknown or unreachable database, for a query that is missing or names no table
        (naming the tables there are), and for every error of the statement.
    """
    engine = _engine(url, shown)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            statement = _statement(connection, query, shown)
            # no_parameters: "%" and ":" in the statement mean themselves
            connection = connection.execution_options(no_parameters=True)
            result = connection.exec_driver_sql(statement)
            if not result.returns_rows:
                raise unreadable(
                    "query-without-rows",
                    shown,
                    "a statement that returns no table",
                    expected="a SELECT",
                    action="correct the query",
                )
            names = [column[0] for column in result.cursor.description]
            rows = result.fetchall()
    except sa.exc.SQLAlchemyError as error:
        raise _translated(error, url, shown) from None
    finally:
        engine.dispose()
    log.details.format = engine.dialect.name
    log.details.query = statement
    columns = []
    for position, name in enumerate(names):
        values = [row[position] for row in rows]
        columns.append(_column(name, values, log))
    return pa.Table.from_arrays(columns, names=names)


def _engine(url: str, shown: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise unreadable(
            "url-unreadable",
            shown,
            "no database URL",
            expected="sqlite:///PATH or postgresql://USER@HOST/NAME",
            action="correct the URL; write @ : / in a password as %40 %3A %2F",
        ) from None
    family = parsed.get_backend_name()
    if family == "sqlite":
        return _sqlite_engine(Path(parsed.database or ""), shown)
    if family not in ("postgresql", "postgres"):
        raise unreadable(
            "database-unknown",
            shown,
            f"the database {family!r}",
            expected="sqlite or postgresql",
            action="export the table as CSV or Parquet",
        )
    return sa.create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        poolclass=sa.pool.NullPool,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )


def _sqlite_engine(path: Path, shown: str) -> sa.Engine:
    if not path.is_file():
        raise unreadable(
            "database-missing",
            shown,
            f"no file {path}",
            expected="a file: sqlite:///relative/path or sqlite:////absolute/path",
            action="correct the path",
        )
    location = f"file:{quote(str(path.resolve()))}?mode=ro"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(location, uri=True), poolclass=sa.pool.NullPool
    )


def _statement(connection: sa.Connection, query: str | None, shown: str) -> str:
    """Return the SELECT to run: the query itself, or all of the table that it names."""
    inspector = sa.inspect(connection)
    tables = sorted([*inspector.get_table_names(), *inspector.get_view_names()])
    query = (query or "").strip().rstrip(";").strip()
    schema, _, table = query.rpartition(".")
    quoted = connection.dialect.identifier_preparer.quote_identifier
    if query in tables:
        return f"SELECT * FROM {quoted(query)}"  # noqa: S608
    if schema and inspector.has_table(table, schema=schema):
        return f"SELECT * FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608
    if len(query.split()) > 1:
        return query
    problem = f"no table {query!r}" if query else "no query"
    raise unreadable(
        "table-missing" if query else "query-missing",
        shown,
        f"{problem}; tables here: {listed(tables, most=20) or 'none'}",
        expected="a SELECT statement or the name of a table",
        action="pass one as the query",
    )


def _translated(error: sa.exc.SQLAlchemyError, url: str, shown: str) -> Refused:
    """Return the driver's message in one line, without the password."""
    text = str(getattr(error, "orig", None) or error)
    password = sa.make_url(url).password
    message = text.replace(str(password), "***") if password else text
    message = one_line(message, most=400)
    if "file is not a database" in text:
        return unreadable(
            "database-damaged",
            shown,
            "a file that is no SQLite database",
            expected="an SQLite file",
            action="correct the path",
        )
    is_unreachable = "connection" in text or "open database" in text
    if isinstance(error, sa.exc.OperationalError) and is_unreachable:
        return unreadable(
            "database-unreachable",
            shown,
            message,
            expected="a database that answers",
            action="check host, port, name, user and password",
        )
    return unreadable(
        "query-failed",
        shown,
        message,
        expected="a SELECT that the database accepts (it is run read-only)",
        action="correct the query",
    )


def _column(name: str, values: Sequence[Any], log: ReadLog) -> pa.Array:
    """Return one column of Python values as an Arrow array of one type.

    Decimals become floats, zoned times UTC. Text in a column of numbers is missing if all of it
    is markers; any other mixture becomes text, with a warning. UUID, time and network addresses
    become text.
    """
    texts = [value.strip() for value in values if isinstance(value, str)]
    kinds = {type(value) for value in values if value is not None}
    others = kinds - {str}
    if others and others <= _NUMBER_TYPES and all(text in MARKERS for text in texts):
        log.missing(name, Counter(texts))
        numbers = [None if isinstance(value, str) else value for value in values]
        return _number_array(name, numbers, others, log)
    if kinds == {dt.datetime}:
        if any(value.tzinfo for value in values if value is not None):
            found = "times with a zone; converted to UTC without a zone"
            log.passed("time-zone", name, found)
        return pa.array(values, pa.timestamp("us"))
    if len(kinds) < 2 and kinds <= _ARROW_TYPES:
        return pa.array(values)
    _note_text(name, kinds, log)
    return text_array(values, _text)


def _text(value: Any) -> str:
    return json_text(value) if isinstance(value, dict | list) else str(value)


def _note_text(name: str, kinds: set[type], log: ReadLog) -> None:
    type_names = ", ".join(sorted(kind.__name__ for kind in kinds))
    if kinds & {dict, list, tuple, set}:
        log.warning(
            "nested-values",
            name,
            f"values of type {type_names}; written as JSON text",
            expected="one plain value a cell",
            action="select the parts as columns",
        )
    elif len(kinds) > 1:
        log.warning(
            "mixed-types",
            name,
            f"values of types {type_names}; written as text",
            expected="one type a column",
            action="cast the column in the query",
        )


def _number_array(name: str, values: Sequence[Any], kinds: set[type], log: ReadLog) -> pa.Array:
    limit = 2**63 if kinds == {int} else EXACT
    if any(_is_whole(value) and abs(value) >= limit for value in values):
        log.passed("long-integers", name, LONG_INTEGERS)
        return text_array(values, _text)
    number = int if kinds == {int} else float
    return pa.array([None if value is None else number(value) for value in values])


def _is_whole(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.as_tuple().exponent == 0
    return isinstance(value, int)
