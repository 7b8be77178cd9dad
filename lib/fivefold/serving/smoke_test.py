"""Smoke: a model in the real server, on a port of its own, asked as a client would, before it is promoted."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fivefold.serving.local_server import local_api, request_json

REPEATS = 30


def smoke(
    pathspec: str, rows: Sequence[Mapping[str, Any]], expected: Sequence[float], root: Path
) -> dict[str, Any]:
    """{ok, why, latency_ms}: whether the API with this model answers example rows with the probabilities `expected`.

    `latency_ms` is the median of single rows, over HTTP. The server keeps its journal in a folder that is thrown away.
    """
    with tempfile.TemporaryDirectory(prefix="fivefold-smoke-") as folder:
        environment = {
            "FIVEFOLD_API_MODEL": pathspec,
            "FIVEFOLD_API_SPOOL": folder,
            "FIVEFOLD_PSEUDONYM_KEY": "smoke",
            "FIVEFOLD_JOURNAL": f"sqlite:///{folder}/journal.db",
        }
        why = ""
        try:
            with local_api(root, Path(folder), environment) as address:
                why = "the server did not answer: "
                return _judged(address, rows, expected)
        except OSError as broken:
            return {"ok": False, "why": f"{why}{broken}", "latency_ms": None}


def _judged(
    address: str, rows: Sequence[Mapping[str, Any]], expected: Sequence[float]
) -> dict[str, Any]:
    told = request_json(f"{address}/predict", {"rows": list(rows)})
    times = []
    for n in range(REPEATS):
        began = time.perf_counter()
        request_json(f"{address}/predict", {"rows": [rows[n % len(rows)]]})
        times.append(1000 * (time.perf_counter() - began))
    found = [answer["probability"] for answer in told["predictions"]]
    worst = max((abs(a - b) for a, b in zip(found, expected, strict=True)), default=1.0)
    ok = len(found) == len(expected) > 0 and worst < 1e-6
    why = (
        "the server answers as the model"
        if ok
        else f"the server's probabilities differ by up to {worst:.3g}"
    )
    return {"ok": ok, "why": why, "latency_ms": statistics.median(times)}
