"""A test of a model in the real server, called as a client would, before it is promoted."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fivefold.serving.local_server import local_api, request_json

REPEATS = 30
MAX_DIFFERENCE = 1e-6  # of a probability


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
