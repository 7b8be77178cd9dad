"""A first touch of an MLflow store, its lock, and its client. Runs in the child process of `fivefold.tracking.mlflow_mirror` only."""

from __future__ import annotations

import contextlib
import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from fivefold.tracking.mlflow_mirror import CONTACT, PATHSPEC, sqlite_path

Report = Callable[[str], Any]  # told the name of each stage before it starts


def check(uri: str, report: Report) -> None:
    """Touch the store at `uri` without mlflow, which costs 2 s and retries much longer; raises what it finds."""
    report("first contact")
    address = urlsplit(uri)
    if (path := sqlite_path(uri)) is not None:
        if unquote(str(path)) != str(path):
            raise ValueError("a path with a percent code such as %20, which MLflow would decode")
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=CONTACT)) as database:
            database.execute("select count(*) from sqlite_master").fetchall()
            database.execute("begin immediate")  # fails where nothing can be written
            database.rollback()
    elif address.scheme in ("http", "https"):
        try:
            health = re.sub(r"://[^/@]*@", "://", uri).rstrip("/") + "/health"
            request = urllib.request.Request(health)  # noqa: S310
            with urllib.request.urlopen(request, timeout=CONTACT) as answer:  # noqa: S310
                answer.read(100)
        except urllib.error.HTTPError as refused:  # 4xx: a proxy without /health; MLflow will say
            if refused.code >= 500:
                raise ConnectionError(f"HTTP {refused.code} from the server's /health") from None
        except urllib.error.URLError as unreachable:
            if not isinstance(
                unreachable.reason, ssl.SSLError
            ):  # certificates are MLflow's own settings
                raise
    elif address.hostname and address.port:
        socket.create_connection((address.hostname, address.port), CONTACT).close()


@contextlib.contextmanager
def alone(uri: str, report: Report) -> Iterator[None]:
    """Hold the lock of a SQLite store: making its schema is not safe for two processes (measured: 4 of 5 died)."""
    path = sqlite_path(uri)
    if path is None:
        yield
        return
    import fcntl

    report("waiting for another mirror that is writing")
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_empty(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute("select count(*) from sqlite_master").fetchone()[0] == 0


def connect(uri: str) -> Any:
    """Return a client of the store at `uri`, creating a SQLite store if it is empty."""
    import mlflow

    if not uri.startswith(("http://", "https://")):
        from mlflow.store.db import utils

        utils.MAX_RETRY_COUNT = 1  # its own ten tries take 102 s and no setting changes that
    if (path := sqlite_path(uri)) is not None and _is_empty(path):
        # made elsewhere and moved into place whole: MLflow can neither use nor mend a half-made schema
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        engine = utils.create_sqlalchemy_engine(f"sqlite:///{part}")
        utils._initialize_tables(engine)
        engine.dispose()
        part.replace(path)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(uri, uri)


def find_run(client: Any, pathspec: str) -> Any:
    """Return the MLflow run that mirrors the Metaflow run `pathspec`, or None."""
    experiments = [e.experiment_id for e in client.search_experiments()]
    quoted = pathspec.replace("'", "")
    return next(
        iter(
            client.search_runs(
                experiments,
                f"tags.`{PATHSPEC}` = '{quoted}'",
                max_results=1,
                order_by=["attributes.start_time ASC"],
            )
        ),
        None,
    )
