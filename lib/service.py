"""Service: the settings of the API, all from the environment, in one table."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lib.findings import ERROR, Finding, Refused

# name -> (default, whole number or text, what it means); the variable is FIVEFOLD_API_<NAME>
SETTINGS: dict[str, tuple[Any, str]] = {
    "host": ("127.0.0.1", "address to listen on; 0.0.0.0 for all (then set keys)"),
    "port": (8000, "port"),
    "workers": (1, "processes"),
    "keys": ("", "comma-separated keys; with any, requests need Authorization: Bearer KEY or X-API-Key: KEY"),
    "max_bytes": (10_000_000, "largest body, in bytes"),
    "max_rows": (10_000, "most rows in one request"),
    "rate": (0, "requests a minute of one client and process; 0: no limit"),
    "problem": ("", "name of the problem to serve; default: the one whose model was promoted last"),
    "model": ("", "a training run to serve whatever is promoted, such as TrainFlow/1700000000"),
}


def settings(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """{name: value} of `SETTINGS`. Raises `Refused` naming every value that cannot be used."""
    values, problems = {}, []
    for name, (default, meaning) in SETTINGS.items():
        given = environment.get(f"FIVEFOLD_API_{name.upper()}", "")
        values[name] = given or default
        if given and isinstance(default, int):
            if given.isdigit() and (int(given) > 0 or default == 0):
                values[name] = int(given)
            else:
                problems.append(Finding("setting-wrong", ERROR, f"FIVEFOLD_API_{name.upper()}", repr(given),
                                        f"a whole number ({meaning})", "correct or unset it"))
    if problems:
        raise Refused("The API cannot start", problems)
    values["keys"] = tuple(key.strip() for key in str(values["keys"]).split(",") if key.strip())
    return values
