"""API metrics: what Prometheus reads, over all worker processes; and who may ask, how often, and how much."""

from __future__ import annotations

import atexit
import hmac
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import pandas as pd
from fastapi import Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import ClientDisconnect

from fivefold.core.findings import ERROR, Finding
from fivefold.serving.request import bad
from frontend.api_docs import refusal

OPEN = ("/health", "/ping")  # asked without a key
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
REQUESTS = Counter("fivefold_requests_total", "Requests by path and status", ["path", "status"])
SECONDS = Histogram(
    "fivefold_request_seconds", "Time to answer, seconds", ["path"], buckets=_BUCKETS
)
PREDICTIONS = Counter("fivefold_predictions_total", "Rows answered, by decision", ["decision"])
WARNED = Counter("fivefold_predictions_with_warnings_total", "Rows answered with a warning")
MOST_CLIENTS = 10_000


def prepare(workers: int) -> None:
    """With several processes let them share their counts through a folder; to be called before they start."""
    if workers > 1 and FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="fivefold-metrics-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)


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
    more = (
        "# HELP fivefold_spooled_files Files that wait for the journal\n# TYPE fivefold_spooled_files gauge\n"
        f"fivefold_spooled_files {spooled}\n"
    )
    return generate_latest(registry) + more.encode(), 200, {"Content-Type": CONTENT_TYPE_LATEST}


def denied(request: Request, chosen: Mapping[str, Any]) -> Response | None:
    """The refusal of a request without a key or above the rate; None for one that may go on."""
    if request.scope["path"] in OPEN:
        return None
    given = (
        request.headers.get("x-api-key")
        or request.headers.get("authorization", "").partition("Bearer ")[2]
    )
    if chosen["keys"] and not any(
        hmac.compare_digest(given.encode("latin-1"), k.encode()) for k in chosen["keys"]
    ):
        return refusal(
            401,
            Finding(
                code="key-missing",
                severity=ERROR,
                subject="Authorization",
                found="no known key",
                expected="Authorization: Bearer KEY",
                action="ask the owner of this server for a key",
            ),
            headers={"WWW-Authenticate": "Bearer"},
        )
    rate = chosen["rate"]
    seconds = (
        wait(request.app.state.buckets, client(request), rate, time.monotonic()) if rate else 0.0
    )
    if not seconds:
        return None
    return refusal(
        429,
        Finding(
            code="rate",
            severity=ERROR,
            subject="client",
            found=f"more than {rate} requests a minute",
            expected="fewer",
            action="wait, or send many rows in one request",
        ),
        headers={"Retry-After": str(int(seconds) + 1)},
    )


async def body(request: Request) -> bytes:
    """The body, measured as it comes. Raises `Refused` for one that is too large or ends early."""
    most, parts, size = request.app.state.settings["max_bytes"], [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise bad(
                    f"a body of more than {most:,} bytes",
                    f"at most {most:,} bytes",
                    "send several requests",
                    code="body-too-large",
                )
            parts.append(part)
    except ClientDisconnect:  # nobody will read this
        raise bad("a body that ends early", "the whole body") from None
    return b"".join(parts)


def client(request: Request) -> str:
    """The address of who asks."""
    return request.client.host if request.client else ""


def wait(
    buckets: MutableMapping[str, tuple[float, float]], client: str, rate: int, now: float
) -> float:
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
