"""Service: the settings of the API, all from the environment, in one table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused

PREFIX = "FIVEFOLD_API_"
# name -> (default, whole number or text, what it means); the variable is FIVEFOLD_API_<NAME>
SETTINGS: dict[str, tuple[Any, str]] = {
    "host": ("127.0.0.1", "address to listen on; 0.0.0.0 for all (then set keys)"),
    "port": (8000, "port"),
    "workers": (1, "processes"),
    "keys": (
        "",
        "comma-separated keys; with any, requests need Authorization: Bearer KEY or X-API-Key: KEY",
    ),
    "max_bytes": (10_000_000, "largest body, in bytes"),
    "max_rows": (10_000, "most rows in one request"),
    "rate": (0, "requests a minute of one client and process; 0: no limit"),
    "problem": (
        "",
        "name of the problem to serve; default: the one whose model was promoted last, at the start",
    ),
    "model": ("", "a training run to serve whatever is promoted, such as TrainFlow/1700000000"),
    "spool": (
        "",
        "folder for what the journal does not take; default: journal-spool beside the runs",
    ),
}


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """{name: value} of `SETTINGS`. Raises `Refused` naming every value that cannot be used."""
    values: dict[str, Any] = {}
    problems = []
    for name, (default, meaning) in SETTINGS.items():
        given = environment.get(f"{PREFIX}{name.upper()}", "")
        values[name] = given or default
        if given and isinstance(default, int):
            values[name] = int(given) if given.isdecimal() and len(given) < 16 else -1
            if values[name] < min(1, default) or (name == "port" and values[name] > 65535):
                problems.append(
                    Finding(
                        code="setting-wrong",
                        severity=ERROR,
                        subject=f"{PREFIX}{name.upper()}",
                        found=repr(given)[:80],
                        expected=f"a whole number ({meaning})",
                        action="correct or unset it",
                    )
                )
    known = {
        f"{PREFIX}{name.upper()}" for name in SETTINGS
    }  # one that is misspelt could leave the server open
    unknown = [name for name in environment if name.startswith(PREFIX) and name not in known]
    problems += [
        Finding(
            code="setting-unknown",
            severity=ERROR,
            subject=name,
            found="no such setting",
            expected=", ".join(sorted(known)),
            action="correct or unset it",
        )
        for name in unknown
    ]
    if problems:
        raise Refused("The API cannot start", problems)
    values["keys"] = tuple(key.strip() for key in str(values["keys"]).split(",") if key.strip())
    return values
