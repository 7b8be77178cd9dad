"""Rows of the journal, made from raw rows and their scores."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fivefold.core.findings import Refused
from fivefold.core.scope import Scope
from fivefold.model.bundle import Assessment
from fivefold.model.input_warnings import severity_texts
from fivefold.serving.served_model import ServedModel

MAX_INPUTS = 4000  # characters of the inputs of a refused row that are kept
MAX_CELL = 10_000  # characters of one cell that are kept
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class JournalRows(NamedTuple):
    """Rows of the tables `predictions` and `rejects` (`fivefold.journal.tables`)."""

    predictions: list[dict[str, Any]]
    rejects: list[dict[str, Any]]


@dataclass(frozen=True)
class Recorder:
    """Makes journal rows of the rows that a model has scored.

    Only columns of the model and the scope's id columns are kept; what the scope pseudonymises is
    replaced by pseudonyms.

    source: app, api or batch. key: makes the pseudonyms.
    """

    model: ServedModel
    source: str
    key: bytes

    @property
    def _scope(self) -> Scope:
        return self.model.bundle.metadata.scope

    @cached_property
    def columns(self) -> list[str]:
        """The columns of a row that the journal keeps."""
        names = [column.name for column in self.model.bundle.schema.columns]
        return list(dict.fromkeys([*names, *self._scope.id_columns]))

    def rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        assessment: Assessment,
        ids: Sequence[str],
        at: datetime,
        latency_ms: float | None = None,
    ) -> JournalRows:
        """Return journal rows of raw rows, which are in the order of their scores."""
        control = left_alone(rows, ids, self._scope)
        return self._of(self._pairs(rows), self._answers(assessment), ids, at, control, latency_ms)

    def table(
        self, frame: pd.DataFrame, assessment: Assessment, ids: Sequence[str], at: datetime
    ) -> JournalRows:
        """Return what `rows` does for a table as it was read, column by column: faster."""
        if self._scope.pseudonymised_columns:
            rows: Any = frame.to_dict("records")
            return self.rows(rows, assessment, ids, at)
        columns = [_json_members(frame[name]) for name in self.columns if name in frame.columns]
        inputs = ("{" + ",".join(cells) + "}" for cells in zip(*columns, strict=True))
        entities: Iterable[str | None] = [None] * len(frame)
        id_columns = list(self._scope.id_columns)
        if id_columns and set(id_columns) <= set(frame.columns):
            cases: Any = frame[id_columns].to_dict("records")
            entities = (entity_of(case, self._scope, self.key) for case in cases)
        pairs = zip(inputs, entities, strict=True)
        control = left_alone_of_table(frame, ids, self._scope)
        return self._of(pairs, self._answers(assessment), ids, at, control)

    def refused(
        self, rows: Sequence[Mapping[str, Any]], ids: Sequence[str], why: Refused, at: datetime
    ) -> JournalRows:
        """Return journal rows of raw rows that were refused together, as a table."""
        hidden = self._scope.pseudonymised_columns  # findings quote values
        reasons = []
        for finding in why.findings:
            found = "unreadable" if finding.subject in hidden else finding.found
            reasons.append(f"{finding.subject}: {found}")
        answer = None, "", "; ".join(reasons)[:MAX_INPUTS], ""
        return self._of(self._pairs(rows), [answer] * len(ids), ids, at, [False] * len(ids))

    def _pairs(self, rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str | None]]:
        """Yield the inputs of each raw row as JSON, with pseudonyms, and its entity."""
        hidden = set(self._scope.pseudonymised_columns)
        for row in rows:
            cells = {name: _plain(row[name]) for name in self.columns if name in row}
            for name in cells.keys() & hidden:
                cells[name] = pseudonym(cells[name], self.key)
            yield _json(cells), entity_of(row, self._scope, self.key)

    def _answers(self, assessment: Assessment) -> Iterable[tuple[Any, ...]]:
        """Return (probability, decision, error, warnings) of each row."""
        scores, hidden = assessment.scores, self._scope.pseudonymised_columns
        texts: tuple[Iterable[str], Iterable[str]] = scores["error"], scores["warnings"]
        if hidden:  # without values of these columns
            texts = severity_texts(len(scores), assessment.warnings, hidden)
        return zip(scores["probability"].tolist(), scores["decision"], *texts, strict=True)

    def _of(
        self,
        pairs: Iterable[tuple[str, str | None]],
        answers: Iterable[tuple[Any, ...]],
        ids: Sequence[str],
        at: datetime,
        control: Sequence[bool],
        latency_ms: float | None = None,
    ) -> JournalRows:
        """Return the journal rows of (inputs, entity) pairs and the answers to them."""
        common = {
            "at": at,
            "problem": self._scope.problem,
            "model": self.model.pathspec,
            "source": self.source,
        }
        decided = {
            "sha256": self.model.sha256,
            "threshold": self.model.bundle.metadata.threshold.value,
            "latency_ms": latency_ms,
        }
        result = JournalRows([], [])
        has_controls = self._scope.control_share is not None
        for row_id, (inputs, entity), answer, alone in zip(
            ids, pairs, answers, control, strict=True
        ):
            probability, decision, error, warnings = answer
            row = {**common, "id": row_id, "inputs": inputs}
            if error:
                row |= {"inputs": inputs[:MAX_INPUTS], "reason": error}
                result.rejects.append(row)
                continue
            row |= {
                **decided,
                "entity": entity,
                "probability": probability,
                "decision": decision,
                "warnings": warnings,
                "control": alone if has_controls else None,
            }
            result.predictions.append(row)
        return result


def entity_of(row: Mapping[str, Any], scope: Scope, key: bytes) -> str | None:
    """Return the scope's id columns of a row as a JSON list of texts, to which labels are joined.

    None without id columns or where one of them is missing.
    """
    hidden = scope.pseudonymised_columns
    values = []
    for name in scope.id_columns:
        text = text_of(row.get(name))
        if not text:
            return None
        values.append(pseudonym(text, key) if name in hidden else text)
    return _json(values) if values else None


def left_alone(rows: Iterable[Mapping[str, Any]], ids: Sequence[str], scope: Scope) -> list[bool]:
    """Return which raw rows are of the control share; `ids` are those of their predictions.

    These cases are to be left alone, whatever is predicted: their outcomes are those that were
    predicted, also where acting on a prediction changes them. A hash of the case draws them: of its
    id columns, so that a case that returns stays what it was, or without them of the prediction.

    >>> left_alone([{}, {}], ["a", "b"], Scope())
    [False, False]
    """
    if scope.control_share is None:
        return [False] * len(ids)
    drawn = []
    for row, row_id in zip(rows, ids, strict=True):
        names = [text_of(row.get(name)) for name in scope.id_columns]
        case = names if names and all(names) else [row_id]
        text = "\x1f".join(["left alone", scope.problem, *case])
        digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
        drawn.append(int.from_bytes(digest[:8], "big") / 2**64 < scope.control_share)
    return drawn


def left_alone_of_table(frame: pd.DataFrame, ids: Sequence[str], scope: Scope) -> list[bool]:
    """Return what `left_alone` does for a table as it was read."""
    if scope.control_share is None:
        return [False] * len(ids)
    names = [name for name in scope.id_columns if name in frame.columns]
    rows: Any = frame[names].to_dict("records") if names else [{}] * len(ids)
    return left_alone(rows, ids, scope)


def pseudonym(value: Any, key: bytes) -> str | None:
    """Return the pseudonym of a value: a keyed hash (HMAC-SHA256, RFC 2104; 128 bits) of its text.

    >>> pseudonym(41, b"k") == pseudonym("41", b"k"), pseudonym(None, b"k") is None
    (True, True)
    """
    if value is None:
        return None
    return hmac.new(key, text_of(value).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def _json(value: Any) -> str:
    return _ENCODER.encode(value)


def _json_members(values: pd.Series) -> list[str]:
    """Return the cells of a column as members of a JSON object; equal texts are written once."""
    name = json.dumps(str(values.name), ensure_ascii=False)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return [
            f"{name}:{cell!r}" if math.isfinite(cell) else f"{name}:null"
            for cell in values.tolist()
        ]
    codes, different = pd.factorize(values)
    written = [f"{name}:{_json(_plain(cell))}" for cell in different]
    members = np.array([*written, f"{name}:null"], dtype=object)[codes]  # the code of a gap is -1
    return list(members)


def text_of(value: Any) -> str:
    """Return a cell as text, "" for a missing or infinite one.

    >>> text_of(41.0), text_of(" x "), text_of(float("nan"))
    ('41', 'x', '')
    """
    value = _plain(value)
    if value is None:
        return ""
    is_whole = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if is_whole else str(value).strip()


def _plain(value: Any) -> Any:
    """Return a cell as JSON takes it; missing and infinite ones are None."""
    value = value.item() if hasattr(value, "item") else value
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str):
        return value[:MAX_CELL]
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
