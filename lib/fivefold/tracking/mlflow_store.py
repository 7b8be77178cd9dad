"""An MLflow store: first contact, lock and client; only for the mirror's child process."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fivefold.tracking.mlflow_mirror import (
    CONTACT,
    PATHSPEC,
    is_server,
    sqlite_path,
    without_credentials,
)

Report = Callable[[str], Any]  # gets the name of each stage before it starts


def check(uri: str, report: Report) -> None:
    """Raise what is wrong with a store, without mlflow, which costs 2 s and retries much longer."""
    report("first contact")
    path = sqlite_path(uri)
    if path is not None:
        _check_sqlite(path)
    elif is_server(uri):
        _check_server(uri)
    else:
        address = urlsplit(uri)
        if address.hostname and address.port:
            socket.create_connection((address.hostname, address.port), CONTACT).close()


def _check_sqlite(path: Path) -> None:
    if unquote(str(path)) != str(path):
        raise ValueError("a path with a percent code such as %20, which MLflow would decode")
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=CONTACT)) as database:
        database.execute("select count(*) from sqlite_master").fetchall()
        database.execute("begin immediate")  # fails where nothing can be written
        database.rollback()


def _check_server(uri: str) -> None:
    request = urllib.request.Request(without_credentials(uri) + "/health")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=CONTACT) as answer:  # noqa: S310
            answer.read(100)
    except urllib.error.HTTPError as error:  # 4xx: a proxy without /health; MLflow will say
        if error.code >= 500:
            raise ConnectionError(f"HTTP {error.code} from the server's /health") from None
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLError):  # certificates are MLflow's own settings
            raise


@contextlib.contextmanager
def locked(uri: str, report: Report) -> Iterator[None]:
    """Hold the lock of a SQLite store.

    Two processes cannot make its schema at the same time (measured: 4 of 5 died).
    """
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    import fcntl

    report("waiting for another mirror that is writing")
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def connect(uri: str) -> Any:
    """Return MLflow's client of a store, whose schema is made where it is empty."""
    import mlflow

    if not is_server(uri):
        from mlflow.store.db import utils

        database: Any = utils
        database.MAX_RETRY_COUNT = 1  # its own ten tries take 102 s and no setting changes that
        path = sqlite_path(uri)
        if path is not None and not (path.exists() and path.stat().st_size):
            _make_schema(database, path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri, uri)


def find_run(client: Any, pathspec: str) -> Any:
    """Return the parent run that mirrors `pathspec`, complete or not; None where there is none."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(
        experiments,
        f"tags.`{PATHSPEC}` = '{pathspec}'",
        max_results=1,
        order_by=["attributes.start_time ASC"],
    )
    return runs[0] if runs else None


def _make_schema(database: Any, path: Path) -> None:
    """Make the schema elsewhere and move it into place whole: MLflow cannot use half of one."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    engine = database.create_sqlalchemy_engine(f"sqlite:///{part}")
    database._initialize_tables(engine)
    engine.dispose()
    part.replace(path)
