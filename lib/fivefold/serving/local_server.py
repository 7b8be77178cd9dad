"""The real API on a port of its own, for callers on this machine: smoke test, simulation."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fivefold.serving.api_settings import PREFIX

START_SECONDS = 60.0  # until the server must answer
STOP_SECONDS = 10.0
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextlib.contextmanager
def local_api(root: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """Run the API until the block ends, with none of this process's own FIVEFOLD_API_ settings.

    Parameters
    ----------
    root
        Folder of the project.
    folder
        Working directory; the log of the server is `api.log` in it.
    environment
        Further environment variables.

    Yields
    ------
    str
        The address of the API.

    Raises
    ------
    OSError
        The server does not start; with the last line of its log.
    """
    port = _free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    log = folder / "api.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, str(root / "frontend" / "api.py")],
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**kept, **environment, f"{PREFIX}PORT": str(port)},
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address, server, log)
        yield address
    finally:
        _stop(server)


def request_json(address: str, body: Any = None) -> Any:
    """Return the JSON answer to a GET, or with `body` to a POST.

    Raises OSError with the answer in words.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with _NO_PROXY.open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read(500).decode(errors="replace")
        raise OSError(f"HTTP {error.code}: {text}") from None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            request_json(f"{address}/health")
            return
        except OSError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                lines = log.read_text(errors="replace").strip().splitlines()
                why = lines[-1] if lines else error
                raise OSError(f"the server did not start: {why}") from None
            time.sleep(0.1)


def _stop(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(STOP_SECONDS)
