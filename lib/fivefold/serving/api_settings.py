"""The settings of the API, all from the environment, in one table."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from fivefold.core.findings import problem, refuse_errors

PREFIX = "FIVEFOLD_API_"


def _setting(default: Any, meaning: str, parse: Callable[[str], Any] = str) -> Any:
    """Return a field of `ApiSettings`; `parse` raises ValueError for a text that cannot be used."""
    return field(default=default, metadata={"meaning": meaning, "parse": parse})


def _whole(low: int, high: int = 10**15 - 1) -> Callable[[str], int]:
    """Return a parser of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        number = int(text) if text.isdecimal() and len(text) <= 15 else -1
        if not low <= number <= high:
            raise ValueError(text)
        return number

    return parse


def _keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(",") if key.strip())


def _yes_or_no(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError(text)
    return text == "1"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, kw_only=True)
class ApiSettings:
    """The settings; the environment variable of each is FIVEFOLD_API_<NAME>."""

    host: str = _setting(
        "127.0.0.1", "address to listen on; 0.0.0.0 for all addresses (then set keys)"
    )
    open: bool = _setting(
        False, "1: listen beyond this machine without keys; needed for that", _yes_or_no
    )
    port: int = _setting(8000, "port", _whole(1, 65535))
    workers: int = _setting(1, "processes", _whole(1))
    keys: tuple[str, ...] = _setting(
        (),
        "comma-separated keys; with any, requests need Authorization: Bearer KEY or X-API-Key: KEY",
        _keys,
    )
    max_bytes: int = _setting(10_000_000, "largest body, in bytes", _whole(1))
    max_rows: int = _setting(10_000, "most rows in one request", _whole(1))
    rate: int = _setting(0, "requests a minute of one client and process; 0: no limit", _whole(0))
    problem: str = _setting(
        "", "problem to serve; default: the one whose model was promoted last, at the start"
    )
    model: str = _setting(
        "", "training run to serve whatever is promoted, such as TrainFlow/1700000000"
    )
    spool: str = _setting(
        "", "folder for rows that the journal does not take; default: journal-spool beside the runs"
    )


NAMES = tuple(PREFIX + setting.name.upper() for setting in fields(ApiSettings))


def read_settings(environment: Mapping[str, str] = os.environ) -> ApiSettings:
    """Return the settings in force. Raises `Refused` naming every value that cannot be used."""
    values: dict[str, Any] = {}
    problems = []
    action = "correct or unset it"
    for name, setting in zip(NAMES, fields(ApiSettings), strict=True):
        text = environment.get(name)
        if not text:
            continue
        try:
            values[setting.name] = setting.metadata["parse"](text)
        except ValueError:
            expected = f"a whole number ({setting.metadata['meaning']})"
            problems.append(problem("setting-wrong", name, repr(text)[:80], expected, action))
    known = ", ".join(sorted(NAMES))
    # a misspelt name could leave the server open
    unknown = [name for name in environment if name.startswith(PREFIX) and name not in NAMES]
    problems += [problem("setting-unknown", n, "no such setting", known, action) for n in unknown]
    host = values.get("host", ApiSettings.host)
    if not problems and not (_is_loopback(host) or values.get("keys") or values.get("open")):
        found, expected = f"{host} without keys: everybody could read and write", "keys"
        action = (
            f"set {PREFIX}KEYS, or {PREFIX}OPEN=1 if something before the API asks who is there"
        )
        problems.append(problem("setting-open", f"{PREFIX}HOST", found, expected, action))
    refuse_errors("The API cannot start", problems)
    return ApiSettings(**values)
