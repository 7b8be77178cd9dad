"""What Prometheus reads, of all worker processes; and the limits of requests."""

from __future__ import annotations

import atexit
import hmac
import ipaddress
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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
from fivefold.serving.request import bad_request
from frontend.api_docs import refusal

if TYPE_CHECKING:
    from frontend.api import Server

OPEN = ("/health", "/ping")  # answered without a key
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
REQUESTS = Counter("fivefold_requests_total", "Requests by path and status", ["path", "status"])
SECONDS = Histogram(
    "fivefold_request_seconds", "Time to answer, seconds", ["path"], buckets=_BUCKETS
)
PREDICTIONS = Counter("fivefold_predictions_total", "Rows answered, by decision", ["decision"])
WARNED = Counter("fivefold_predictions_with_warnings_total", "Rows answered with a warning")
MOST_CLIENTS = 10_000
WRONG_KEYS = 60  # a minute of one client, after which it is not answered


def prepare(workers: int) -> None:
    """Let several processes share their counts through a folder; to be called before they start."""
    if workers > 1 and FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="fivefold-metrics-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)


def request(route: Any, status: int, seconds: float) -> None:
    """Count a request; unknown paths share one name, so that memory stays bounded."""
    path = getattr(route, "path", "other")
    REQUESTS.labels(path, str(status)).inc()
    SECONDS.labels(path).observe(seconds)


def predicted(scores: pd.DataFrame) -> None:
    """Count answered rows."""
    for decision, rows in scores["decision"].value_counts().items():
        PREDICTIONS.labels(str(decision)).inc(int(rows))
    if warned := int((scores["warnings"] != "").sum()):
        WARNED.inc(warned)


def exposition(spool: Path) -> Response:
    """Return the answer of /metrics."""
    registry: Any = REGISTRY
    if FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
    name = "fivefold_spooled_files"
    gauge = (
        f"# HELP {name} Files that wait for the journal\n# TYPE {name} gauge\n"
        f"{name} {spooled_files(spool)}\n"
    )
    content = generate_latest(registry) + gauge.encode()
    return Response(content, headers={"Content-Type": CONTENT_TYPE_LATEST})


def spooled_files(spool: Path) -> int:
    """Return how many files wait for the journal."""
    return len(list(spool.glob("*.jsonl")))


def denied(request: Request, server: Server) -> Response | None:
    """Return the refusal of a request without a key or above the rate, else None."""
    if request.scope["path"] in OPEN:
        return None
    keys, rate = server.settings.keys, server.settings.rate
    if not keys and not _is_own_page(request):
        foreign = Finding(
            code="origin",
            severity=ERROR,
            subject="Origin",
            found=request.headers["origin"][:200],
            expected="no page of another site",
            action="ask from a program, or set keys (FIVEFOLD_API_KEYS)",
        )
        return refusal([foreign])
    stranger = f"key {client(request)}"
    if keys and tokens_left(server.buckets, stranger, WRONG_KEYS, time.monotonic()) < 1:
        return _too_many(WRONG_KEYS, "requests without a known key", 60 / WRONG_KEYS)
    if keys and not _has_key(request, keys):
        wait(server.buckets, stranger, WRONG_KEYS, time.monotonic())
        unknown_key = Finding(
            code="key-missing",
            severity=ERROR,
            subject="Authorization",
            found="no known key",
            expected="Authorization: Bearer KEY",
            action="ask the owner of this server for a key",
        )
        return refusal([unknown_key], headers={"WWW-Authenticate": "Bearer"})
    if not rate:
        return None
    seconds = wait(server.buckets, client(request), rate, time.monotonic())
    return _too_many(rate, "requests", seconds) if seconds else None


def _too_many(rate: int, what: str, seconds: float) -> Response:
    too_many = Finding(
        code="rate",
        severity=ERROR,
        subject="client",
        found=f"more than {rate} {what} a minute",
        expected="fewer",
        action="wait, or send many rows in one request",
    )
    return refusal([too_many], headers={"Retry-After": str(int(seconds) + 1)})


def _is_own_page(request: Request) -> bool:
    """Whether no page of another site sent a request that writes.

    Browsers name the page's origin in every POST to another site. The host must be an address or
    localhost too: any other name may have been pointed here by that site (DNS rebinding).
    """
    origin = request.headers.get("origin")
    if origin is None or request.method in ("GET", "HEAD"):
        return True
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        is_same = urlsplit(origin).netloc == request.headers.get("host")
        if host != "localhost":
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return is_same


def _has_key(request: Request, keys: Iterable[str]) -> bool:
    given = request.headers.get("x-api-key")
    given = given or request.headers.get("authorization", "").partition("Bearer ")[2]
    return any(hmac.compare_digest(given.encode("latin-1"), key.encode()) for key in keys)


async def body(request: Request) -> bytes:
    """Return the body, measured as it comes.

    Raises `Refused` for one that is too large or ends early.
    """
    limit = request.app.state.server.settings.max_bytes
    parts = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > limit:
                raise bad_request(
                    f"a body of more than {limit:,} bytes",
                    f"at most {limit:,} bytes",
                    "send several requests",
                    code="body-too-large",
                )
            parts.append(part)
    except ClientDisconnect:  # nobody will read this
        raise bad_request("a body that ends early", "the whole body") from None
    return b"".join(parts)


def client(request: Request) -> str:
    """Return the address of the client."""
    return request.client.host if request.client else ""


def tokens_left(
    buckets: MutableMapping[str, tuple[float, float]], client: str, rate: int, now: float
) -> float:
    """Return how many requests of this client `wait` would let pass now."""
    tokens, before = buckets.get(client, (float(rate), now))
    return min(float(rate), tokens + (now - before) * rate / 60)


def wait(
    buckets: MutableMapping[str, tuple[float, float]], client: str, rate: int, now: float
) -> float:
    """Return the seconds until this client may ask again (0: now).

    A token bucket: it fills at `rate` a minute and holds what one minute brings.

    >>> held = {}
    >>> [wait(held, "a", 2, now) for now in (0.0, 0.0, 0.0, 30.0)]
    [0.0, 0.0, 30.0, 0.0]
    """
    if len(buckets) > MOST_CLIENTS:
        buckets.clear()
    tokens = tokens_left(buckets, client, rate, now)
    enough = tokens >= 1 - 1e-9
    buckets[client] = (tokens - 1 if enough else tokens, now)
    return 0.0 if enough else (1 - tokens) * 60 / rate
