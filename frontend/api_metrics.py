"""API metrics: what Prometheus reads, over all worker processes, and the rate limit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from typing import Any

import pandas as pd
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (.002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10)
REQUESTS = Counter("fivefold_requests_total", "Requests by path and status", ["path", "status"])
SECONDS = Histogram("fivefold_request_seconds", "Time to answer, seconds", ["path"], buckets=_BUCKETS)
PREDICTIONS = Counter("fivefold_predictions_total", "Rows answered, by decision", ["decision"])
WARNED = Counter("fivefold_predictions_with_warnings_total", "Rows answered with a warning")
MOST_CLIENTS = 10_000


def prepare(workers: int) -> None:
    """With several processes let them share their counts through a folder; to be called before they start."""
    if workers > 1 and FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="fivefold-metrics-")


def request(route: Any, status: int, seconds: float) -> None:
    """Count a request; unknown paths share one name, so that nobody can fill the memory with names."""
    path = getattr(route, "path", "other")
    REQUESTS.labels(path, str(status)).inc()
    SECONDS.labels(path).observe(seconds)


def predicted(scores: pd.DataFrame) -> None:
    """Count answered rows."""
    for decision, rows in scores["decision"].value_counts().items():
        PREDICTIONS.labels(str(decision)).inc(int(rows))
    if warned := int((scores["warnings"] != "").sum()):
        WARNED.inc(warned)


def text(state: Any) -> tuple[bytes, int, dict[str, str]]:
    """(body, status, headers) of /metrics."""
    registry: Any = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    spooled = len(list(state.spool.glob("*.jsonl")))
    more = ("# HELP fivefold_spooled_files Files that wait for the journal\n# TYPE fivefold_spooled_files gauge\n"
            f"fivefold_spooled_files {spooled}\n")
    return generate_latest(registry) + more.encode(), 200, {"Content-Type": CONTENT_TYPE_LATEST}


def wait(buckets: MutableMapping[str, tuple[float, float]], client: str, rate: int, now: float) -> float:
    """Seconds until this client may ask again (0: now), by a token bucket of `rate` a minute that holds one minute.

    >>> held = {}
    >>> [wait(held, "a", 2, now) for now in (0.0, 0.0, 0.0, 30.0)]
    [0.0, 0.0, 30.0, 0.0]
    """
    if len(buckets) > MOST_CLIENTS:
        buckets.clear()
    tokens, before = buckets.get(client, (float(rate), now))
    tokens = min(float(rate), tokens + (now - before) * rate / 60)
    enough = tokens >= 1 - 1e-9
    buckets[client] = (tokens - 1 if enough else tokens, now)
    return 0.0 if enough else (1 - tokens) * 60 / rate
