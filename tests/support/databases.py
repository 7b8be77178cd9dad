"""A PostgreSQL server for tests, in a temporary folder on a free loopback port."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Start an empty server and yield its URL, `postgresql://postgres@127.0.0.1:PORT/postgres`.

    Without PostgreSQL the test is skipped; on CI it fails. PostgreSQL refuses to run as root, so
    then the server runs as the user `postgres`.
    """
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if not initdb or not pg_ctl:
        _unavailable("no initdb and pg_ctl in PATH or /usr/lib/postgresql/*/bin")
    prefix: list[str] = []
    if os.geteuid() == 0:
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            _unavailable("PostgreSQL does not run as root, and there is no user postgres")
        if not shutil.which("runuser"):
            _unavailable("PostgreSQL does not run as root, and there is no runuser")
        prefix = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
    if prefix:
        shutil.chown(folder, "postgres")
    data = folder / "data"

    def run(*command: str) -> None:
        log = folder.with_suffix(".log")
        with log.open("w") as out:  # a file: the server would hold a pipe open
            done = subprocess.run(
                [*prefix, *command], cwd="/", stdout=out, stderr=out, timeout=300, check=False
            )
        output = log.read_text()
        log.unlink()
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed: {output[-2000:]}")

    try:
        login = ["-U", "postgres", "-A", "trust"]
        run(str(initdb), "-D", str(data), *login, "-E", "UTF8", "--no-sync", "--locale=C")
        try:
            options = (
                f"-p {port} -c listen_addresses=127.0.0.1 "
                f"-c unix_socket_directories={folder} -c fsync=off"
            )
            wait = ["-w", "-t", "300"]
            log = ["-l", str(folder / "server.log")]
            run(str(pg_ctl), "-D", str(data), *wait, "-o", options, *log, "start")
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            with contextlib.suppress(RuntimeError):
                run(str(pg_ctl), "-D", str(data), "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> str | None:
    installed = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    return shutil.which(name) or (installed[-1] if installed else None)


def _unavailable(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"PostgreSQL is needed where CI is set: {reason}")
    pytest.skip(reason)
