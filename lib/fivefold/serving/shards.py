"""Score the parts of a cut table, each as if the whole table were scored at once."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fivefold.core.findings import Finding, Refused, errors, refuse_errors, warnings
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import TELLING, coerce_column, coerce_table, compare_names, compare_types
from fivefold.data.table_parts import TableParts, load_table, read_part, save_table
from fivefold.model.bundle import Bundle
from fivefold.model.input_warnings import Doubt, counts
from fivefold.serving import batch, journal_rows
from fivefold.serving.batch import ID, OUR_COLUMNS
from fivefold.serving.result_files import free_names, tally

REASONS = 200  # most frequent reasons of refused rows that a part tells
_READABLE = "readable.arrow"


def check(parts: TableParts, schema: Schema) -> list[Finding]:
    """What differs from the contract without hurting; leaves a readable cell of each used column beside the parts.

    Raises `Refused` as `fivefold.model.bundle.Bundle.score` of the whole table would. Parts are read until a readable cell of
    each column is found, so usually one.
    """
    by_name = compare_names(pd.DataFrame(columns=parts.columns), schema)
    open_, readable, bad = (
        {n for n in schema.names() if n in parts.columns},
        {},
        dict[str, list[pd.Series]](),
    )
    for number in range(len(parts.row_counts) if open_ else 0):
        frame = read_part(parts, number, sorted(open_))
        for name in sorted(open_):
            values = frame[name]
            _, problems = coerce_column(values, schema[name])
            wrong = values.index.isin(
                np.concatenate([np.zeros(0, dtype=int), *(p["row"] for p in problems)])
            )
            good = np.flatnonzero(values.notna() & ~wrong)
            if len(good):
                readable[name] = values.iloc[good[:1]].reset_index(drop=True)
                open_.discard(name)
            else:
                bad.setdefault(name, []).append(values[wrong].head(TELLING))
        if not open_:
            break
    examples = {name: pd.concat(bad[name], ignore_index=True).head(TELLING) for name in open_}
    unread = pd.DataFrame(
        {name: cells for name, cells in examples.items() if len(cells) == TELLING}
    )
    by_type = compare_types(unread, schema, coerce_table(unread, schema)[1])
    refuse_errors("The table does not fit the model", [*errors(by_name), *by_type])
    save_table(
        pa.Table.from_pandas(pd.DataFrame(readable), preserve_index=False),
        Path(parts.folder) / _READABLE,
    )
    return warnings(by_name)


def groups(parts: int, most: int) -> list[list[int]]:
    """The numbers of the parts, in order, in at most `most` groups of nearly equal size.

    >>> groups(5, 2)
    [[0, 1, 2], [3, 4]]
    """
    return [group.tolist() for group in np.array_split(np.arange(parts), min(parts, most))]


def score_part(
    bundle: Bundle,
    parts: TableParts,
    number: int,
    frame: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(prediction_id, the columns of the part and `SCORE_COLUMNS`, as `fivefold.serving.batch.score_batch` of the whole; a tally).

    `frame` is the part as `read_part` gives it. The tally is JSON-ready: `fivefold.serving.result_files.tally`, doubts {code: {column:
    cells}}, bins (rows by probability, `fivefold.serving.batch.histogram`), reasons {error: rows}.
    """
    scores, found = _assess(bundle, frame, Path(parts.folder))
    scored = pd.concat([free_names(frame, OUR_COLUMNS), scores], axis=1)
    start = parts.first_row(number)
    scored.insert(0, ID, batch.ids(bundle, parts.key, start, len(frame)))
    reasons = Counter(scores.loc[scores["error"] != "", "error"]).most_common(REASONS)
    return scored, tally(scored) | {
        "doubts": counts(found),
        "bins": batch.histogram(scores["probability"]),
        "reasons": dict(reasons),
    }


def lines(
    bundle: Bundle,
    sha256: str,
    frame: pd.DataFrame,
    scored: pd.DataFrame,
    *,
    at: datetime,
    key: bytes,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(predictions, rejects) as `fivefold.serving.journal_rows.records` makes them of the rows of a part, column by column.

    `frame` as it was read, `scored` as `score_part` gives it.
    """

    def stock(part: slice | list[int]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        rows: Any = frame.iloc[part].to_dict("records")
        return journal_rows.records(
            bundle,
            sha256,
            rows,
            scored.iloc[part],
            scored[ID].iloc[part].tolist(),
            source="batch",
            at=at,
            key=key,
        )

    scope = bundle.metadata.scope
    if scope.pseudonymised_columns:
        return stock(slice(None))
    wrong = (scored["error"] != "").to_numpy()
    columns = [
        _json(frame[name]) for name in journal_rows.kept_columns(bundle) if name in frame.columns
    ]
    inputs = (
        ["{" + ",".join(cells) + "}" for cells in zip(*columns, strict=True)]
        if columns
        else ["{}"] * len(frame)
    )
    named, known = (
        scope.id_columns,
        [frame[n].tolist() for n in scope.id_columns if n in frame],
    )
    entities: Iterable[str | None] = (
        [None] * len(frame)
        if len(known) < len(named) or not named
        else (
            journal_rows.entity_of(dict(zip(named, row, strict=True)), scope, key)
            for row in zip(*known, strict=True)
        )
    )
    good, bad = (
        stock(np.flatnonzero(~wrong)[:1].tolist())[0],
        stock(np.flatnonzero(wrong)[:1].tolist())[1],
    )
    predictions, rejects = [], []
    for number, text, entity, p, decision, told, error in zip(
        scored[ID],
        inputs,
        entities,
        scored["probability"].tolist(),
        scored["decision"],
        scored["warnings"],
        scored["error"],
        strict=True,
    ):
        if error:
            rejects.append(
                {**bad[0], "id": number, "inputs": text[: journal_rows.CUT], "reason": error}
            )
        else:
            predictions.append(
                {
                    **good[0],
                    "id": number,
                    "inputs": text,
                    "entity": entity,
                    "probability": p,
                    "decision": decision,
                    "warnings": told,
                }
            )
    return predictions, rejects


def _json(values: pd.Series) -> list[str]:
    """The cells of a column as members of a JSON object; of texts and times each different one is written once."""
    column = str(values.name)
    name = json.dumps(column, ensure_ascii=False)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return [
            f"{name}:{cell!r}" if math.isfinite(cell) else f"{name}:null"
            for cell in values.tolist()
        ]
    codes, different = pd.factorize(values)
    written = [
        journal_rows.journaled({column: cell}, Scope(), [column], b"")[0][1:-1]
        for cell in different
    ]
    return np.array([*written, f"{name}:null"], dtype=object)[codes].tolist()


def _assess(bundle: Bundle, frame: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[Doubt]]:
    """As `Bundle.assess`, which refuses a table with a column of which no cell can be read: a part may have one."""
    try:
        return bundle.assess(frame)
    except Refused:
        more, readable = frame.iloc[[0]].copy(), load_table(folder / _READABLE).to_pandas()
        for name in readable:
            more[name] = readable[name].array
        scores, found = bundle.assess(pd.concat([frame, more], ignore_index=True))
    kept = []
    for doubt in found:
        rows = doubt.rows[doubt.rows < len(frame)]
        kept += [doubt._replace(rows=rows)] if len(rows) else []
    return scores.iloc[: len(frame)], kept
