"""HTTP connections with limits: uvicorn itself takes headers of any size, at any pace."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 65_536  # of a request line and its headers; those of proxies are far below
HEAD_SECONDS = 10.0  # until they are there
BODY_SECONDS = 60.0  # until the body is


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections whose request is too large, or too slow to arrive."""

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._head = 0  # bytes of the head so far
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
            if self._timer is None:
                self._wait(HEAD_SECONDS)
        super().data_received(data)
        if self._in_head and self._head > HEAD_BYTES:
            self._too_large()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if not self._in_head:  # trailers of a body in chunks
            self._head += len(name) + len(value) + 4
            if self._head > HEAD_BYTES:
                self._too_large()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head, self._head = False, 0
        self._wait(BODY_SECONDS)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._stop()
        self._in_head, self._head = True, 0

    def _wait(self, seconds: float) -> None:
        self._stop()
        self._timer = self.loop.call_later(seconds, self._too_slow, seconds)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_large(self) -> None:
        found, expected = f"headers of more than {HEAD_BYTES:,} bytes", f"at most {HEAD_BYTES:,}"
        self._refuse(431, "headers-too-large", found, expected)

    def _too_slow(self, seconds: float) -> None:
        self._timer = None
        found, expected = f"no whole request in {seconds:g} seconds", "a faster request"
        self._refuse(408, "request-too-slow", found, expected)

    def _refuse(self, status: int, code: str, found: str, expected: str) -> None:
        """Answer in the form of `frontend.api_docs.refusal`, unless an answer began, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            fields = {"code": code, "field": "request", "expected": expected, "found": found}
            problems = [{**fields, "action": "correct the request"}]
            body = json.dumps({"error": found, "problems": problems}).encode()
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json"
                f"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + body)
        self.transport.close()
