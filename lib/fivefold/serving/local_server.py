"""The real API on a port of its own, for callers on this machine; smoke test of a model in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fivefold.serving.api_settings import PREFIX

START_SECONDS = 60.0  # until the server must answer
STOP_SECONDS = 10.0
REPEATS = 30
MAX_DIFFERENCE = 1e-6  # of a probability
_NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def has_server(root: Path) -> bool:
    """Whether the API is in this folder of the project."""
    return _program(root).is_file()


def _program(root: Path) -> Path:
    return root / "frontend" / "api.py"


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
    with socket.socket() as probe:  # finds a free port
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    log = folder / "api.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, str(_program(root))],
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


@dataclass(frozen=True)
class SmokeResult:
    """Whether the server answers as the model, why (not), and the median ms of one row."""

    ok: bool
    why: str
    latency_ms: float | None = None


def smoke(
    pathspec: str, rows: Sequence[Mapping[str, Any]], expected: Sequence[float], root: Path
) -> SmokeResult:
    """Test whether the API with this model answers example rows with the `expected` probabilities.

    The server keeps its journal in a folder that is removed afterwards.
    """
    with tempfile.TemporaryDirectory(prefix="fivefold-smoke-") as folder:
        environment = {
            "FIVEFOLD_API_MODEL": pathspec,
            "FIVEFOLD_API_SPOOL": folder,
            "FIVEFOLD_PSEUDONYM_KEY": "smoke",
            "FIVEFOLD_JOURNAL": f"sqlite:///{folder}/journal.db",
        }
        started = False
        try:
            with local_api(root, Path(folder), environment) as address:
                started = True
                return _compare(f"{address}/predict", rows, expected)
        except OSError as error:
            why = f"the server did not answer: {error}" if started else str(error)
            return SmokeResult(False, why)


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


def _compare(
    address: str, rows: Sequence[Mapping[str, Any]], expected: Sequence[float]
) -> SmokeResult:
    predictions = request_json(address, {"rows": list(rows)})["predictions"]
    milliseconds = []
    for number in range(REPEATS):
        began = time.perf_counter()
        request_json(address, {"rows": [rows[number % len(rows)]]})
        milliseconds.append(1000 * (time.perf_counter() - began))
    served = [prediction["probability"] for prediction in predictions]
    differences = [abs(a - b) for a, b in zip(served, expected, strict=True)]
    worst = max(differences, default=1.0)
    ok = worst < MAX_DIFFERENCE
    why = "the server answers as the model"
    if not ok:
        why = f"the server's probabilities differ by up to {worst:.3g}"
    return SmokeResult(ok, why, statistics.median(milliseconds))
