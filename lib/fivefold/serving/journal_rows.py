"""Records: what the journal keeps of scored rows, from raw rows and scores to lines of its tables."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import pandas as pd

from fivefold.core.scope import Scope
from fivefold.model.bundle import Bundle
from fivefold.model.threshold import Threshold

CUT = 4000  # characters of the inputs of a refused row that are kept


def records(
    bundle: Bundle,
    sha256: str,
    rows: Sequence[Mapping[str, Any]],
    scores: pd.DataFrame,
    ids: Sequence[str],
    *,
    source: str,
    at: datetime,
    key: bytes,
    latency_ms: float | None = None,
    threshold: float | None = None,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(predictions, rejects) as lines of `fivefold.journal.tables` for rows that `Bundle.score` has scored.

    `rows` are the raw rows in the order of `scores`; only columns of the contract, the scope's id columns and what it
    pseudonymises are kept. `key` makes the pseudonyms. `threshold`: where another than the bundle's decides.
    """
    about = bundle.metadata
    common = {
        "at": at,
        "problem": about.scope.problem,
        "model": about.provenance.pathspec,
        "source": source,
    }
    limit = about.threshold if threshold is None else Threshold(threshold)
    kept = kept_columns(bundle)
    good, bad = [], []
    hidden = set(about.scope.pseudonymised_columns)
    for number, row, p, told, error in zip(
        ids, rows, scores["probability"].tolist(), scores["warnings"], scores["error"], strict=True
    ):
        inputs, entity = journaled(row, about.scope, kept, key)
        if hidden:
            told, error = (_without_values(text, hidden, kept) for text in (told, error))
        if error:
            bad.append({**common, "id": number, "inputs": inputs[:CUT], "reason": error})
        else:
            good.append(
                {
                    **common,
                    "id": number,
                    "sha256": sha256,
                    "inputs": inputs,
                    "entity": entity,
                    "probability": p,
                    "decision": about.outcomes.of(limit.is_positive(p)),
                    "threshold": limit.value,
                    "warnings": told,
                    "latency_ms": latency_ms,
                }
            )
    return good, bad


def kept_columns(bundle: Bundle) -> list[str]:
    """The columns of a row that the journal keeps."""
    wanted = [
        *(c.name for c in bundle.schema.columns),
        *bundle.metadata.scope.id_columns,
    ]
    return list(dict.fromkeys(wanted))


def journaled(
    row: Mapping[str, Any], scope: Scope, kept: Sequence[str], key: bytes
) -> tuple[str, str | None]:
    """(inputs as JSON, entity as JSON or None where an id is missing) of a raw row, pseudonyms in place of what the
    scope pseudonymises.
    """
    hidden = set(scope.pseudonymised_columns)
    cells = {name: _plain(row[name]) for name in kept if name in row}
    for name in hidden & cells.keys():
        cells[name] = pseudonym(cells[name], key)
    return json.dumps(cells, ensure_ascii=False, separators=(",", ":")), entity_of(row, scope, key)


def entity_of(row: Mapping[str, Any], scope: Scope, key: bytes) -> str | None:
    """The scope's id columns of a row as JSON texts, for joining labels; None without ids or where one is missing."""
    hidden, values = set(scope.pseudonymised_columns), []
    for name in scope.id_columns:
        value = _plain(row.get(name))
        if value is None or not (text := _text(value)):
            return None
        values.append(pseudonym(text, key) if name in hidden else text)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) if values else None


def pseudonym(value: Any, key: bytes) -> str | None:
    """A keyed hash (HMAC-SHA256, RFC 2104; 128 bits) of a value's text: the same value, the same pseudonym.

    >>> pseudonym(41, b"k") == pseudonym("41", b"k"), pseudonym(None, b"k") is None
    (True, True)
    """
    if value is None:
        return None
    return hmac.new(key, _text(value).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def _text(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value).strip()


def _without_values(told: str, hidden: set[str], kept: Sequence[str]) -> str:
    """The notes of a row, those on pseudonymised columns without the values that they quote.

    Such notes come last (`Bundle.assess`): a value may hold what looks like a note on another column.

    >>> _without_values("age: 7 is odd; name: 'Ann; age: 41' is no number", {"name"}, ["age", "name"])
    'age: 7 is odd; name: unusual or unreadable'
    """
    notes, secret = [], False
    for note in told.split("; "):
        column = next((name for name in kept if note.startswith(f"{name}: ")), None)
        secret = secret or column in hidden
        if not secret:
            notes.append(note)
        elif column in hidden:
            notes.append(f"{column}: unusual or unreadable")
    return "; ".join(dict.fromkeys(notes))


def _plain(value: Any) -> Any:
    """A cell as JSON takes it; missing and infinite ones are None."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return str(value)
