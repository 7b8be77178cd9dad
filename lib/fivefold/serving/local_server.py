"""Local API: the real server on a port of its own, for those that ask it from this machine: smoke test, simulation."""

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

SECONDS = 60.0  # for the server's start
_DIRECT = urllib.request.build_opener(
    urllib.request.ProxyHandler({})
)  # a proxy knows nothing of this machine


@contextlib.contextmanager
def local_api(root: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """The address of the API, with none of this process's own FIVEFOLD_API_ settings, until the block ends.

    Its log is `api.log` in `folder`. Raises OSError with the log's last line where it does not start.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("FIVEFOLD_API_")
    }
    log = folder / "api.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, str(root / "frontend" / "api.py")],
            cwd=folder,
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**kept, **environment, "FIVEFOLD_API_PORT": str(port)},
        )
    try:
        address, deadline = f"http://127.0.0.1:{port}", time.monotonic() + SECONDS
        while True:
            try:
                request_json(f"{address}/health")
                break
            except OSError as silent:
                if server.poll() is not None or time.monotonic() > deadline:
                    said = log.read_text(errors="replace").strip().splitlines()
                    raise OSError(
                        f"the server did not start: {said[-1] if said else silent}"
                    ) from None
                time.sleep(0.1)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def request_json(address: str, body: Any = None) -> Any:
    """The JSON that is answered to a GET, or with `body` to a POST. Raises OSError that says what was answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with _DIRECT.open(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise OSError(
            f"HTTP {refused.code}: {refused.read(500).decode(errors='replace')}"
        ) from None
