"""Serving: rows in, answers and journal lines out, from the model that is promoted now."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.clock import utc_now
from fivefold.core.findings import ERROR, WARNING, Finding, Refused
from fivefold.core.schema import Column, Schema
from fivefold.journal import promotions
from fivefold.journal.promotions import Promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.model.input_warnings import Doubt
from fivefold.serving import journal_rows
from fivefold.tracking import client

log = logging.getLogger("fivefold")
_JSON_TYPES = {"numeric": ["number", "string"], "boolean": ["boolean", "string", "number"]}
FOLLOW_SECONDS = 1.0  # how often a server asks whether another model was promoted
MOST_NOTES = 20
_TEXTS = pd.StringDtype(na_value=np.nan)  # "str", without asking pandas each time what that means


@dataclass(frozen=True)
class ServedModel:
    """A loaded model: its bundle with the threshold in force, and the promotion that set it."""

    bundle: Bundle
    sha256: str
    pathspec: str
    promotion: Promotion | None


def load(pathspec: str, promotion: Promotion | None = None) -> ServedModel:
    """The model of a training run; with a promotion at its threshold. Raises `Refused`."""
    blob, digest = client.bundle_bytes(client.find_run(pathspec))
    if promotion and promotion.sha256 != digest:
        raise Refused(
            "The model cannot be served",
            [
                Finding(
                    code="bundle-digest",
                    severity=ERROR,
                    subject=pathspec,
                    found=f"sha256 {digest[:12]}…",
                    expected=f"sha256 {promotion.sha256[:12]}… as promoted",
                    action="promote the run again: python flows/promote.py promote RUN",
                )
            ],
        )
    bundle = from_bytes(blob, digest)
    if promotion:
        bundle = at_threshold(bundle, promotion.threshold, promotion.why)
    return ServedModel(bundle, digest, pathspec, promotion)


def at_threshold(bundle: Bundle, threshold: float, why: str) -> Bundle:
    """The bundle deciding at a promoted threshold."""
    if threshold == bundle.metadata.threshold.value:
        return bundle
    return bundle.with_threshold(threshold, why)


def no_model(problem: str | None) -> Refused:
    """What to say where nothing is promoted."""
    return Refused(
        "There is no model to serve",
        [
            Finding(
                code="nothing-promoted",
                severity=ERROR,
                subject=problem or "journal",
                found="no promoted model",
                expected="one",
                action="train one (a first model that meets its scope promotes itself), or python flows/promote.py promote RUN",
            )
        ],
    )


class Follower:
    """The promoted model of a problem, kept loaded; `current()` asks at most once a second whether it was replaced.

    A new model is loaded beside the old one, which answers until then. With `pinned` (a training run) it is that model
    and no other. Where the journal does not answer, the model that is loaded stays.
    """

    def __init__(self, engine: Any, problem: str = "", pinned: str = ""):
        self._engine, self._problem, self._pinned = engine, problem, pinned
        self._model: ServedModel | None = load(pinned) if pinned else None
        self._asked, self._lock = float("-inf"), threading.Lock()

    def current(self) -> ServedModel:
        """The model in force. Raises `Refused` where none is promoted."""
        if self._pinned or time.monotonic() - self._asked < FOLLOW_SECONDS:
            if self._model is None:
                raise no_model(self._problem)
            return self._model
        if self._model is None:
            with self._lock:
                self._follow()
        elif self._lock.acquire(
            blocking=False
        ):  # one thread looks; the others go on with what there is
            self._asked = time.monotonic()
            threading.Thread(target=self._follow_then_release, daemon=True).start()
        if self._model is None:
            raise no_model(self._problem)
        return self._model

    def _follow_then_release(self) -> None:
        try:
            self._follow()
        except Exception as broken:
            log.warning(
                "the promoted model could not be looked up or loaded (%s); the present one stays",
                broken,
            )
        finally:
            self._lock.release()

    def _follow(self) -> None:
        problem = self._problem or promotions.newest_problem(self._engine)
        promotion = promotions.champion(self._engine, problem) if problem else None
        self._asked = time.monotonic()
        if promotion is None or (self._model and self._model.promotion == promotion):
            return
        self._model = load(promotion.model, promotion)
        self._problem = (
            problem or ""
        )  # and stays: what is promoted of another problem is not for this server's clients
        log.info(
            "now serving %s at threshold %.4g (%s)",
            promotion.model,
            promotion.threshold,
            promotion.action,
        )


def table(rows: Sequence[Mapping[str, Any]], schema: Schema) -> tuple[pd.DataFrame, list[str]]:
    """(raw table that `Bundle.score` reads, notes on unknown columns) of rows of plain JSON values.

    A column that may be empty may be left out. Raises `Refused` naming every used column that is missing, and where.
    """
    missing, columns = [], {}
    for column in (c for c in schema.columns if c.used):
        lacking = [n for n, row in enumerate(rows) if column.name not in row]
        if lacking and not column.nullable:
            where = f" in rows {', '.join(map(str, lacking[:5]))}" if len(rows) > 1 else ""
            missing.append(
                Finding(
                    code="column-missing",
                    severity=ERROR,
                    subject=column.name,
                    found=f"no such field{where}",
                    expected=f"a {column.kind} value",
                    action="add it; null says that the value is unknown",
                )
            )
        columns[column.name] = _column([row.get(column.name) for row in rows], column)
    if missing:
        raise Refused("The request does not fit the model", missing)
    known = {c.name for c in schema.columns} | {schema.target}
    unknown = sorted({name for row in rows for name in row} - known)
    notes = [f"{name[:80]}: not a column of the model, ignored" for name in unknown[:MOST_NOTES]]
    if len(unknown) > MOST_NOTES:
        notes.append(f"and {len(unknown) - MOST_NOTES:,} more")
    return pd.DataFrame(columns, copy=False), notes


def refuse_bad_rows(found: Iterable[Doubt], several: bool) -> None:
    """Raise `Refused` naming each cell that could not be read (the first 100), of what `Bundle.assess` doubts."""
    wrong = [
        Finding(
            code="value-unreadable",
            severity=ERROR,
            subject=(f"rows[{n}]." if several else "") + column,
            found=text.removeprefix(f"{column}: "),
            expected="a value of the column's kind",
            action="correct the value, or null for unknown",
        )
        for n, cells in sorted(_of_rows(found, ERROR).items())
        for column, text in cells
    ]
    if wrong:
        raise Refused("The request does not fit the model", wrong[:100])


def answers(
    scores: pd.DataFrame, found: Iterable[Doubt], ids: Sequence[str]
) -> list[dict[str, Any]]:
    """[{id, probability, decision, warnings: [...]}] of the rows that `Bundle.assess` has scored and doubted."""
    told = _of_rows(found, WARNING)
    return [
        {
            "id": number,
            "probability": p,
            "decision": decision,
            "warnings": [text for _, text in told.get(n, ())],
        }
        for n, (number, p, decision) in enumerate(
            zip(ids, scores["probability"].tolist(), scores["decision"], strict=True)
        )
    ]


def rejects(
    model: ServedModel,
    rows: Sequence[Mapping[str, Any]],
    ids: Sequence[str],
    why: Refused,
    key: bytes,
) -> list[dict[str, Any]]:
    """Lines for the journal of rows that were refused together, as a table."""
    scope, kept, now = (
        model.bundle.metadata.scope,
        journal_rows.kept_columns(model.bundle),
        utc_now(),
    )
    hidden = scope.pseudonymised_columns  # findings quote values
    reason = "; ".join(
        f"{f.subject}: {'unreadable' if f.subject in hidden else f.found}" for f in why.findings
    )
    return [
        {
            "id": number,
            "at": now,
            "problem": scope.problem,
            "model": model.pathspec,
            "source": "api",
            "inputs": journal_rows.journaled(row, scope, kept, key)[0][: journal_rows.CUT],
            "reason": reason[: journal_rows.CUT],
        }
        for number, row in zip(ids, rows, strict=True)
    ]


def contract_schema(schema: Schema) -> dict[str, Any]:
    """The model's input contract as the JSON Schema of one row."""
    fields, required = {}, []
    for column in (c for c in schema.columns if c.used):
        kinds = _JSON_TYPES.get(column.kind, ["string"])
        field: dict[str, Any] = {"type": [*kinds, "null"], "description": _described(column)}
        if column.kind in ("categorical", "boolean") and column.levels:
            field["examples"] = list(column.levels[:10])
        elif column.typical is not None and column.kind == "numeric":
            field["examples"] = [column.typical]
        fields[column.name] = field
        if not column.nullable:
            required.append(column.name)
    return {
        "type": "object",
        "properties": fields,
        "required": required,
        "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
    }


def _of_rows(found: Iterable[Doubt], severity: str) -> dict[int, list[tuple[str, str]]]:
    """{row: [(column, text)]}; a value may hold whatever stands between joined texts."""
    told: dict[int, list[tuple[str, str]]] = {}
    for doubt in (d for d in found if d.severity == severity):
        texts = [doubt.texts] * len(doubt.rows) if isinstance(doubt.texts, str) else doubt.texts
        for n, text in zip(doubt.rows.tolist(), texts, strict=True):
            told.setdefault(n, []).append((doubt.column, text))
    return told


def _described(column: Column) -> str:
    told = column.kind
    if column.kind == "numeric" and column.low is not None:
        told += f", {column.low:g} to {column.high:g} in training"
    if column.kind == "date":
        told += f", written as {json.dumps(column.parse.get('format', 'ISO8601'))}"
    return told + ("" if column.nullable else "; training never saw it missing")


def _column(values: list[Any], column: Column) -> Any:
    """An array: of one row, making a `Series` of each column takes longer than scoring some models."""
    if column.kind == "numeric" and all(
        v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in values
    ):
        return np.array([np.nan if v is None else float(v) for v in values])
    return pd.array([_text(v, column) for v in values], dtype=_TEXTS)


def _text(value: Any, column: Column) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return next(
            (level for level in column.levels if level.lower() == str(value).lower()),
            str(value).lower(),
        )
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value)) if str(value) not in column.levels else str(value)
    if column.kind == "numeric":  # among texts, and read as they are: 1.234 is no 1,234
        return str(value).replace(".", column.parse.get("decimal", "."))
    return str(value)
