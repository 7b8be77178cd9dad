"""Shards: a source of any size cut into parts of some 100,000 rows, each scored as if the whole were scored at once.

The parts are Arrow files in a folder of their own, with the evidence (`fivefold.data.column_evidence`) that makes each of them read as
it would within the whole table.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from fivefold.core.findings import ERROR, Finding, Refused, errors, refuse_errors, warnings
from fivefold.core.schema import Schema
from fivefold.data.coerce import TELLING, compare_names, compare_types, conform, conform_column
from fivefold.data.column_evidence import Evidence
from fivefold.data.csv_files import refused
from fivefold.data.files import decoded
from fivefold.data.normalize import TEXT, Log, long_integers, settle
from fivefold.data.stream import open_stream
from fivefold.model.bundle import Bundle
from fivefold.model.input_warnings import Doubt, counts
from fivefold.serving import batch, journal_rows
from fivefold.serving.batch import ID, OUR_COLUMNS
from fivefold.serving.result_files import free_names, tally

ROWS = 100_000  # of a part
REASONS = 200  # most frequent reasons of refused rows that a part tells
_EVIDENCE, _READABLE = "evidence.arrow", "readable.arrow"


def cut(
    source: str, query: str | None, folder: Path, rows: int = ROWS
) -> tuple[dict[str, Any], list[Finding]]:
    """(what was cut, findings of the reading); `folder` is made, and removed again where the source is refused.

    What was cut is JSON-ready: folder, source and md5 (as `fivefold.data.source.Dataset`), key (of the rows in their order: a
    database may give the same ones in another), rows, columns, texts (whether it is a CSV), words (those of its columns
    that are no numbers), parts [rows of each]. Raises `Refused` as `fivefold.data.source.read`.
    """
    stream = open_stream(source, query)
    evidence, parts, columns, long = (
        Evidence(stream.texts),
        list[int](),
        list[str](),
        dict[str, pa.ChunkedArray](),
    )
    folder.mkdir(parents=True)
    try:
        for number, table in enumerate(_lots(map(decoded, stream.tables), rows)):
            evidence.look(table)
            long = _long_decimals(table) | long
            _save(table, folder / _name(number))
            parts.append(table.num_rows)
            columns = table.column_names
        if not columns:
            raise refused("no-rows", stream.source, "no rows", "rows", "write or select rows")
        kept = evidence.table()
        row = (
            {name: long.get(name, kept.column(name).slice(0, 1)) for name in columns}
            if long
            else {}
        )
        _save(pa.concat_tables([kept, pa.table(row)]) if long else kept, folder / _EVIDENCE)
    except BaseException:
        discard(folder)
        raise
    return {
        "folder": str(folder),
        "source": stream.source,
        "md5": stream.md5,
        "key": stream.key,
        "rows": sum(parts),
        "columns": columns,
        "texts": stream.texts,
        "words": evidence.words() if stream.texts else [],
        "parts": parts,
    }, stream.findings


def read_part(
    told: Mapping[str, Any], number: int, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """The rows of a part of what was cut, as `fivefold.data.source.read` gives them within the whole table; some columns only.

    Raises `Refused` where the part is gone.
    """
    folder = Path(told["folder"])
    evidence = _load(folder / _EVIDENCE, columns)
    table = pa.concat_tables([evidence, _load(folder / _name(number), columns)])
    words = [name for name in table.column_names if name in set(told["words"])]
    others = [name for name in table.column_names if name not in set(words)]
    frames = [
        settle(table.select(names), Log(), numbers=numbers)
        for names, numbers in ((words, False), (others, told["texts"]))
        if names
    ]
    frame = pd.concat(frames, axis=1)[table.column_names] if len(frames) > 1 else frames[0]
    return frame.iloc[len(evidence) :].reset_index(drop=True)


def check(told: Mapping[str, Any], schema: Schema) -> list[Finding]:
    """What differs from the contract without hurting; leaves a readable cell of each used column beside the parts.

    Raises `Refused` as `fivefold.model.bundle.Bundle.score` of the whole table would. Parts are read until a readable cell of
    each column is found, so usually one.
    """
    by_name = compare_names(pd.DataFrame(columns=told["columns"]), schema)
    open_, readable, bad = (
        {n for n in schema.names() if n in told["columns"]},
        {},
        dict[str, list[pd.Series]](),
    )
    for number in range(len(told["parts"]) if open_ else 0):
        frame = read_part(told, number, sorted(open_))
        for name in sorted(open_):
            values = frame[name]
            _, problems = conform_column(values, schema[name])
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
    by_type = compare_types(unread, schema, conform(unread, schema)[1])
    refuse_errors("The table does not fit the model", [*errors(by_name), *by_type])
    _save(
        pa.Table.from_pandas(pd.DataFrame(readable), preserve_index=False),
        Path(told["folder"]) / _READABLE,
    )
    return warnings(by_name)


def groups(parts: int, most: int) -> list[list[int]]:
    """The numbers of the parts, in order, in at most `most` groups of nearly equal size.

    >>> groups(5, 2)
    [[0, 1, 2], [3, 4]]
    """
    return [group.tolist() for group in np.array_split(np.arange(parts), min(parts, most))]


def discard(folder: Path) -> None:
    """Remove the folder of a cut, and the one around it where nothing else is left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run works there
        folder.parent.rmdir()


def score_part(
    bundle: Bundle,
    told: Mapping[str, Any],
    number: int,
    frame: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """(prediction_id, the columns of the part and `SCORE_COLUMNS`, as `fivefold.serving.batch.score_batch` of the whole; a tally).

    `frame` is the part as `read_part` gives it. The tally is JSON-ready: `fivefold.serving.result_files.tally`, doubts {code: {column:
    cells}}, bins (rows by probability, `fivefold.serving.batch.histogram`), reasons {error: rows}.
    """
    scores, found = _assess(bundle, frame, Path(told["folder"]))
    scored = pd.concat([free_names(frame, OUR_COLUMNS), scores], axis=1)
    start = sum(told["parts"][:number])
    scored.insert(0, ID, batch.ids(bundle, told["key"], start, len(frame)))
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

    scope = bundle.about["scope"]
    if scope.get("pseudonymised_columns"):
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
        scope.get("id_columns", ()),
        [frame[n].tolist() for n in scope.get("id_columns", ()) if n in frame],
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
        journal_rows.journaled({column: cell}, {}, [column], b"")[0][1:-1] for cell in different
    ]
    return np.array([*written, f"{name}:null"], dtype=object)[codes].tolist()


def _assess(bundle: Bundle, frame: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, list[Doubt]]:
    """As `Bundle.assess`, which refuses a table with a column of which no cell can be read: a part may have one."""
    try:
        return bundle.assess(frame)
    except Refused:
        more, readable = frame.iloc[[0]].copy(), _load(folder / _READABLE).to_pandas()
        for name in readable:
            more[name] = readable[name].array
        scores, found = bundle.assess(pd.concat([frame, more], ignore_index=True))
    kept = []
    for doubt in found:
        rows = doubt.rows[doubt.rows < len(frame)]
        kept += [doubt._replace(rows=rows)] if len(rows) else []
    return scores.iloc[: len(frame)], kept


def _lots(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows` rows; the last one may be shorter."""
    held, count = list[pa.Table](), 0
    for table in tables:
        while count + table.num_rows >= rows:
            yield pa.concat_tables([*held, table.slice(0, rows - count)])
            table, held, count = table.slice(rows - count), [], 0
        if table.num_rows:
            held, count = [*held, table], count + table.num_rows
    if count:
        yield pa.concat_tables(held)


def _long_decimals(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    """By column of whole decimals a cell that float64 rounds: the whole column is text then (`fivefold.data.normalize`)."""
    found = dict[str, pa.ChunkedArray]()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pa.types.is_decimal(column.type) and column.type.scale == 0:
            written = column.cast(TEXT)
            place = pc.index(long_integers(written, written.cast(pa.float64())), True).as_py()
            found |= {name: column.take([place])} if place >= 0 else {}
    return found


def _name(number: int) -> str:
    return f"part-{number:05d}.arrow"


def _save(table: pa.Table, path: Path) -> None:
    feather.write_feather(table, path, compression="zstd", compression_level=1)


def _load(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        return feather.read_table(
            path, columns=None if columns is None else list(columns), memory_map=False
        )
    except FileNotFoundError:
        raise Refused(
            "The run cannot go on",
            [
                Finding(
                    code="parts-gone",
                    severity=ERROR,
                    subject=str(path),
                    found="no such file",
                    expected="the parts that the run has cut",
                    action="start again: python flows/score.py run",
                )
            ],
        ) from None
