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
        pairs = [inputs_and_entity(row, self._scope, self.columns, self.key) for row in rows]
        return self._of(assessment, ids, pairs, at, latency_ms)

    def table(
        self, frame: pd.DataFrame, assessment: Assessment, ids: Sequence[str], at: datetime
    ) -> JournalRows:
        """Return what `rows` does for a table as it was read, column by column: faster."""
        if self._scope.pseudonymised_columns:
            rows: Any = frame.to_dict("records")
            return self.rows(rows, assessment, ids, at)
        columns = [_json_members(frame[name]) for name in self.columns if name in frame.columns]
        inputs: Iterable[str] = ["{}"] * len(frame)
        if columns:
            inputs = ("{" + ",".join(cells) + "}" for cells in zip(*columns, strict=True))
        return self._of(assessment, ids, zip(inputs, self._entities(frame), strict=True), at, None)

    def refused(
        self, rows: Sequence[Mapping[str, Any]], ids: Sequence[str], why: Refused, at: datetime
    ) -> JournalRows:
        """Return journal rows of raw rows that were refused together, as a table."""
        hidden = self._scope.pseudonymised_columns  # findings quote values
        reasons = [
            f"{finding.subject}: {'unreadable' if finding.subject in hidden else finding.found}"
            for finding in why.findings
        ]
        reason = "; ".join(reasons)[:MAX_INPUTS]
        common = self._common(at)
        rejects = []
        for row_id, row in zip(ids, rows, strict=True):
            inputs, _ = inputs_and_entity(row, self._scope, self.columns, self.key)
            rejects.append(_reject(common, row_id, inputs, reason))
        return JournalRows([], rejects)

    def _of(
        self,
        assessment: Assessment,
        ids: Sequence[str],
        inputs_and_entities: Iterable[tuple[str, str | None]],
        at: datetime,
        latency_ms: float | None,
    ) -> JournalRows:
        common = self._common(at)
        common_of_predictions = {
            **common,
            "sha256": self.model.sha256,
            "threshold": self.model.bundle.metadata.threshold.value,
            "latency_ms": latency_ms,
        }
        scores = assessment.scores
        errors, warnings = self._texts(assessment)
        result = JournalRows([], [])
        for row_id, (inputs, entity), probability, decision, warning, error in zip(
            ids,
            inputs_and_entities,
            scores["probability"].tolist(),
            scores["decision"],
            warnings,
            errors,
            strict=True,
        ):
            if error:
                result.rejects.append(_reject(common, row_id, inputs, error))
                continue
            result.predictions.append(
                {
                    **common_of_predictions,
                    "id": row_id,
                    "inputs": inputs,
                    "entity": entity,
                    "probability": probability,
                    "decision": decision,
                    "warnings": warning,
                }
            )
        return result

    def _common(self, at: datetime) -> dict[str, Any]:
        return {
            "at": at,
            "problem": self._scope.problem,
            "model": self.model.pathspec,
            "source": self.source,
        }

    def _texts(self, assessment: Assessment) -> tuple[Iterable[str], Iterable[str]]:
        """Return (errors, warnings) of each row, without values of pseudonymised columns."""
        scores, hidden = assessment.scores, self._scope.pseudonymised_columns
        if hidden:
            return severity_texts(len(scores), assessment.warnings, hidden)
        return scores["error"], scores["warnings"]

    def _entities(self, frame: pd.DataFrame) -> Iterable[str | None]:
        names = self._scope.id_columns
        if not names or any(name not in frame for name in names):
            return [None] * len(frame)
        ids = zip(*(frame[name].tolist() for name in names), strict=True)
        return (entity_of(dict(zip(names, row, strict=True)), self._scope, self.key) for row in ids)


def inputs_and_entity(
    row: Mapping[str, Any], scope: Scope, columns: Sequence[str], key: bytes
) -> tuple[str, str | None]:
    """Return the inputs of a raw row as JSON, with pseudonyms, and its entity (see `entity_of`)."""
    cells = {name: _plain(row[name]) for name in columns if name in row}
    for name in cells.keys() & set(scope.pseudonymised_columns):
        cells[name] = pseudonym(cells[name], key)
    return _json(cells), entity_of(row, scope, key)


def entity_of(row: Mapping[str, Any], scope: Scope, key: bytes) -> str | None:
    """Return the scope's id columns of a row as a JSON list of texts, to which labels are joined.

    None without id columns or where one of them is missing.
    """
    hidden = scope.pseudonymised_columns
    values = []
    for name in scope.id_columns:
        value = _plain(row.get(name))
        text = "" if value is None else _text(value)
        if not text:
            return None
        values.append(pseudonym(text, key) if name in hidden else text)
    return _json(values) if values else None


def pseudonym(value: Any, key: bytes) -> str | None:
    """Return the pseudonym of a value: a keyed hash (HMAC-SHA256, RFC 2104; 128 bits) of its text.

    >>> pseudonym(41, b"k") == pseudonym("41", b"k"), pseudonym(None, b"k") is None
    (True, True)
    """
    if value is None:
        return None
    return hmac.new(key, _text(value).encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def _reject(common: dict[str, Any], row_id: str, inputs: str, reason: str) -> dict[str, Any]:
    return {**common, "id": row_id, "inputs": inputs[:MAX_INPUTS], "reason": reason}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


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


def _text(value: Any) -> str:
    is_whole = isinstance(value, float) and value.is_integer()
    return f"{value:.0f}" if is_whole else str(value).strip()


def _plain(value: Any) -> Any:
    """Return a cell as JSON takes it; missing and infinite ones are None."""
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
