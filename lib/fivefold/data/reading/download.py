"""Tables on the web: the bytes behind an http(s) address."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from base64 import b64encode
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from fivefold.core.findings import Refused
from fivefold.data.reading.read_log import ReadLog, unreadable

MAX_SECONDS = 30  # of silence
MOST_SECONDS = 3600  # of the whole download: a server may send a byte now and then for ever
_BLOCK_BYTES = 1 << 20
MAX_BYTES = 2 << 30


def download(url: str, shown: str, log: ReadLog) -> bytes:
    """Return the bytes behind an address; a user and a password in it go as Basic login.

    Parameters
    ----------
    url
        The http(s) address.
    shown
        The address without secrets, for messages.
    log
        Receives the content type.

    Raises
    ------
    Refused
        If there is no answer, not all of it, too much of it, or another status than success.
    """
    try:
        with urllib.request.urlopen(_request(url), timeout=MAX_SECONDS) as response:  # noqa: S310
            content = _read_all(response)
            log.details.content_type = response.headers.get_content_type()
            promised = int(response.headers.get("Content-Length") or len(content))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(error, shown) from None
    if len(content) > MAX_BYTES:
        raise unreadable(
            "http-too-large",
            shown,
            f"more than {MAX_BYTES >> 30} GiB",
            expected="a smaller table",
            action="download the file first, or send Parquet",
        )
    if len(content) < promised:
        raise unreadable(
            "http-incomplete",
            shown,
            f"{len(content):,} of {promised:,} bytes",
            expected="the whole file",
            action="try again",
        )
    return content


def _read_all(response: http.client.HTTPResponse) -> bytes:
    """Return what a server sends, up to one byte too much. Raises TimeoutError if it is slow."""
    began = time.monotonic()
    content = bytearray()
    while len(content) <= MAX_BYTES and (block := response.read1(_BLOCK_BYTES)):
        content += block
        if time.monotonic() - began > MOST_SECONDS:
            raise TimeoutError
    return bytes(content[: MAX_BYTES + 1])


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~")
    address = urlunsplit((parts.scheme, host, path, parts.query, ""))
    request = urllib.request.Request(address, headers={"User-Agent": "fivefold"})  # noqa: S310
    if login:
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        encoded = b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {encoded}")
    return request


def _no_answer(error: Exception, shown: str) -> Refused:
    code = "http-unreachable"
    found = f"no answer: {getattr(error, 'reason', None) or error}"
    action = "check the address and the network"
    if isinstance(error, urllib.error.HTTPError):
        code = "http-status"
        found = f"HTTP {error.code} {error.reason}"
        action = "pass credentials" if error.code in (401, 403) else "correct the address"
    elif isinstance(error, TimeoutError):
        code = "http-timeout"
        found = f"no answer within {MAX_SECONDS} s, or no end within {MOST_SECONDS // 60} minutes"
        action = "try again, or download the file first"
    expected = "an address that answers with a table"
    return unreadable(code, shown, found, expected=expected, action=action)
