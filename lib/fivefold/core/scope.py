"""Scope: the business problem as plain data, read from TOML and overridden from the command line."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused

KINDS = ("numeric", "categorical", "boolean", "date", "text", "id", "constant")


@dataclass(frozen=True)
class Scope:
    """What is to be predicted, about whom, and what the two mistakes cost.

    Costs are in any one unit (money, effort); only their ratio steers the threshold. `capacity` is the largest
    share of the population that can be acted upon, in (0, 1]. `kinds` overrides inferred column kinds.
    `truth` = "synthetic" says that `fivefold.data.synthetic.bank` drew the table, so that the best achievable ROC AUC is known.
    `known_columns` look like leaks of the target but are truly known when a prediction is made.
    `max_latency_ms`: the longest that one prediction may take (median) for a new model to be promoted.
    `retention_days`: how long the journal keeps predictions; `pseudonymised_columns` stand in it as keyed hashes.
    """

    target: str = ""
    positive: str | None = None
    title: str = ""
    question: str = ""
    data: str = ""
    query: str = ""
    truth: str = ""
    positive_phrase: str = "positive"
    negative_phrase: str = "negative"
    id_columns: tuple[str, ...] = ()
    drop_columns: tuple[str, ...] = ()
    protected_columns: tuple[str, ...] = ()
    changeable_columns: tuple[str, ...] = ()
    known_columns: tuple[str, ...] = ()
    group_column: str | None = None
    time_column: str | None = None
    cost_miss: float = 1.0
    cost_false_alarm: float = 1.0
    capacity: float | None = None
    min_roc_auc: float | None = None
    max_latency_ms: float | None = None
    retention_days: float | None = None
    pseudonymised_columns: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_mapping` reads it back."""
        return asdict(self)

    def override(self, **values: Any) -> Scope:
        """A copy in which every given value that is neither None nor empty replaces ours."""
        return replace(self, **{k: v for k, v in values.items() if v not in (None, "", ())})


# TOML section -> {key in the section: field of Scope}; keys of the top level are under "".
_LAYOUT: dict[str, dict[str, str]] = {
    "": {k: k for k in ("title", "question", "data", "query", "truth")},
    "target": {
        "column": "target",
        "positive": "positive",
        "positive_phrase": "positive_phrase",
        "negative_phrase": "negative_phrase",
    },
    "columns": {
        "id": "id_columns",
        "drop": "drop_columns",
        "protected": "protected_columns",
        "changeable": "changeable_columns",
        "known": "known_columns",
        "group": "group_column",
        "time": "time_column",
        "kinds": "kinds",
        "units": "units",
        "help": "help",
    },
    "costs": {"miss": "cost_miss", "false_alarm": "cost_false_alarm", "capacity": "capacity"},
    "success": {"roc_auc": "min_roc_auc", "latency_ms": "max_latency_ms"},
    "journal": {"retention_days": "retention_days", "pseudonymised": "pseudonymised_columns"},
}
UNREADABLE = "(unreadable)"
_EXPECTED = {
    "tuple": "a list of column names",
    "float": "a number",
    "str": "a text",
    "Mapping": "a table of texts",
}


def loads(text: str) -> dict[str, Any]:
    """The values of a TOML text; a broken text gives {UNREADABLE: why}, which `from_mapping` refuses.

    For callers that would show a person a traceback instead, such as Metaflow's `Config(parser=...)`.
    """
    try:
        return (
            json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        )  # JSON: a run's own scope
    except ValueError as broken:
        return {UNREADABLE: str(broken)}


def from_mapping(values: Mapping[str, Any]) -> Scope:
    """A `Scope` from the sections of a TOML file, or from the flat form of `Scope.to_dict`.

    Raises `Refused` naming every unknown key (with the nearest known one) and every value of a wrong type.
    """
    if UNREADABLE in values:
        raise Refused(
            "The scope cannot be used",
            [
                Finding(
                    code="scope-unreadable",
                    severity=ERROR,
                    subject="scope",
                    found=str(values[UNREADABLE]),
                    expected="valid TOML",
                    action="mend the file",
                )
            ],
        )
    known = {f.name for f in fields(Scope)}
    flat: dict[str, Any] = {}
    problems: list[Finding] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and key in _LAYOUT:
            for inner, inner_value in value.items():
                if inner in _LAYOUT[key]:
                    flat[_LAYOUT[key][inner]] = inner_value
                else:
                    problems.append(
                        _unknown(f"{key}.{inner}", [f"{key}.{k}" for k in _LAYOUT[key]])
                    )
        elif key in _LAYOUT[""] or key in known:
            flat[key] = value
        else:
            problems.append(_unknown(key, [*_LAYOUT[""], *(f"[{k}]" for k in _LAYOUT if k)]))
    checked = {
        name: _checked(name, value, problems) for name, value in flat.items() if value is not None
    }
    if problems:
        raise Refused("The scope cannot be used", problems)
    return Scope(**checked)


def read_scope(path: str | Path) -> Scope:
    """The `Scope` of a TOML file; `data` in it is relative to that file. Raises `Refused` as `from_mapping`."""
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(
            "The scope cannot be used",
            [
                Finding(
                    code="scope-missing",
                    severity=ERROR,
                    subject=str(path),
                    found="no such file",
                    expected="a TOML file",
                    action="correct the path",
                )
            ],
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise Refused(
            "The scope cannot be used",
            [
                Finding(
                    code="scope-unreadable",
                    severity=ERROR,
                    subject=str(path),
                    found=str(broken),
                    expected="valid TOML in UTF-8",
                    action="mend the file",
                )
            ],
        ) from None
    return place_data(from_mapping(values), path.parent)


def place_data(scope: Scope, folder: Path) -> Scope:
    """The scope with its `data`, where that is a path, starting at `folder` where it is relative; `~` is the home."""
    if not scope.data or "://" in scope.data:
        return scope
    path = Path(scope.data)
    with contextlib.suppress(RuntimeError):  # a file that is called ~something
        path = path.expanduser()
    return replace(scope, data=str(folder.resolve() / path))


def problem_name(scope: Mapping[str, Any]) -> str:
    """The name under which a problem's predictions, labels and promotions are kept: its title, else its target.

    >>> problem_name({"title": "Bank churn", "target": "churned"}), problem_name({"title": "", "target": "Y/N"})
    ('bank-churn', 'y-n')
    """
    name = str(scope.get("title") or scope.get("target") or "")
    return (
        "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())[:100]
        or "problem"
    )


def _unknown(key: str, known: list[str]) -> Finding:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "known here: " + ", ".join(known)
    return Finding(
        code="scope-unknown-key",
        severity=ERROR,
        subject=key,
        found=f"the unknown key {key!r}",
        expected="a known key",
        action=hint,
    )


def _checked(name: str, value: Any, problems: list[Finding]) -> Any:
    """`value` as the field's type; otherwise a finding is added and the value returned as it is."""
    kind = next(str(f.type) for f in fields(Scope) if f.name == name)
    wanted = next(w for w in ("tuple", "Mapping", "float", "str") if w in kind)

    def wrong(expected: str) -> None:
        problems.append(
            Finding(
                code="scope-wrong-value",
                severity=ERROR,
                subject=name,
                found=repr(value),
                expected=expected,
                action="mend the scope",
            )
        )

    if wanted == "tuple":
        if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
            return tuple(value)
        wrong(_EXPECTED[wanted])
    elif wanted == "Mapping":
        if not isinstance(value, Mapping):
            wrong(_EXPECTED[wanted])
        elif name == "kinds" and (bad := {c: k for c, k in value.items() if k not in KINDS}):
            problems.append(
                Finding(
                    code="scope-wrong-value",
                    severity=ERROR,
                    subject=name,
                    found=repr(bad),
                    expected=f"one of {KINDS}",
                    action="mend the scope",
                )
            )
        else:
            return dict(value)
    elif wanted == "float":
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
            or value < 0
        ):
            wrong("a number, zero or more")
        elif name in ("capacity", "min_roc_auc") and not 0 < value <= 1:
            wrong("a number above 0 and at most 1")
        else:
            return float(value)
    elif name == "positive" and isinstance(value, (bool, int, float)):
        return str(value)
    elif isinstance(value, str):
        return value
    else:
        wrong(_EXPECTED[wanted])
    return value
