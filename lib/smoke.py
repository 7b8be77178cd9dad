"""Smoke: a model in the real server, on a port of its own, asked as a client would, before it is promoted."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SECONDS = 60.0  # for the server's start
REPEATS = 30
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy knows nothing of this machine


def smoke(pathspec: str, rows: Sequence[Mapping[str, Any]], expected: Sequence[float], root: Path) -> dict[str, Any]:
    """{ok, why, latency_ms}: whether the API with this model answers example rows with the probabilities `expected`.

    `latency_ms` is the median of single rows, over HTTP. The server keeps its journal in a folder that is thrown away.
    """
    with tempfile.TemporaryDirectory(prefix="fivefold-smoke-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FIVEFOLD_API_")}
        env = {**kept, "FIVEFOLD_API_PORT": str(port), "FIVEFOLD_API_MODEL": pathspec, "FIVEFOLD_API_SPOOL": folder,
               "FIVEFOLD_JOURNAL": f"sqlite:///{folder}/journal.db", "FIVEFOLD_PSEUDONYM_KEY": "smoke"}
        log = Path(folder) / "log"
        with log.open("wb") as out:
            server = subprocess.Popen([sys.executable, str(root / "frontend" / "api.py")], env=env, cwd=folder,
                                      stdout=out, stderr=out, start_new_session=True)
        try:
            return _asked(f"http://127.0.0.1:{port}", server, log, rows, expected)
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def _asked(address: str, server: Any, log: Path, rows: Sequence[Mapping[str, Any]],
           expected: Sequence[float]) -> dict[str, Any]:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            _get(f"{address}/health")
            break
        except OSError as silent:
            if server.poll() is not None or time.monotonic() > deadline:
                said = log.read_text(errors="replace").strip().splitlines()
                why = f"the server did not start: {said[-1] if said else silent}"
                return {"ok": False, "why": why, "latency_ms": None}
            time.sleep(0.1)
    try:
        told = _get(f"{address}/predict", {"rows": list(rows)})
        times = []
        for n in range(REPEATS):
            began = time.perf_counter()
            _get(f"{address}/predict", {"rows": [rows[n % len(rows)]]})
            times.append(1000 * (time.perf_counter() - began))
    except OSError as broken:
        return {"ok": False, "why": f"the server did not answer: {broken}", "latency_ms": None}
    found = [answer["probability"] for answer in told["predictions"]]
    worst = max((abs(a - b) for a, b in zip(found, expected, strict=True)), default=1.0)
    ok = len(found) == len(expected) > 0 and worst < 1e-6
    why = "the server answers as the model" if ok else f"the server's probabilities differ by up to {worst:.3g}"
    return {"ok": ok, "why": why, "latency_ms": statistics.median(times)}


def _get(address: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with _DIRECT.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        raise OSError(f"HTTP {refused.code}: {refused.read(500).decode(errors='replace')}") from None
