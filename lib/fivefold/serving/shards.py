"""Score the parts of a cut table, each as if the whole table were scored at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from fivefold.core.findings import Finding, Refused, errors, refuse_errors, warnings
from fivefold.core.schema import Schema
from fivefold.data.coerce import TELLING, coerce_column, coerce_table, compare_names, compare_types
from fivefold.data.reading.table_parts import TableParts, load_table, read_part, save_table
from fivefold.model.bundle import Assessment, Bundle
from fivefold.serving.batch import ScoredTable, with_scores

_READABLE = "readable.arrow"


def check(parts: TableParts, schema: Schema) -> list[Finding]:
    """Check that a table fits the model; return how its columns differ without harm.

    Leaves a readable cell of each used column beside the parts, for `score_part`. Parts are read
    until each column has one, so usually one part. Raises `Refused` as
    `fivefold.model.bundle.Bundle.score` of the whole table would.
    """
    by_name = compare_names(pd.DataFrame(columns=parts.columns), schema)
    readable: dict[str, pd.Series] = {}
    unreadable: dict[str, list[pd.Series]] = {
        name: [] for name in sorted(schema.names()) if name in parts.columns
    }
    for number in range(len(parts.row_counts)):
        if not unreadable:
            break
        frame = read_part(parts, number, list(unreadable))
        for name in list(unreadable):
            values = frame[name]
            is_bad = np.zeros(len(values), dtype=bool)
            for problem in coerce_column(values, schema[name])[1]:
                is_bad[problem["row"].to_numpy(dtype=int)] = True
            good = values[values.notna() & ~is_bad]
            if len(good):
                readable[name] = good.head(1).reset_index(drop=True)
                del unreadable[name]
            else:
                unreadable[name].append(values[is_bad].head(TELLING))
    bad = pd.DataFrame()
    for name, cells in unreadable.items():
        examples = pd.concat(cells, ignore_index=True).head(TELLING)
        if len(examples) == TELLING:
            bad[name] = examples
    by_type = compare_types(bad, schema, coerce_table(bad, schema)[1])
    refuse_errors("The table does not fit the model", [*errors(by_name), *by_type])
    cells_table = pa.Table.from_pandas(pd.DataFrame(readable), preserve_index=False)
    save_table(cells_table, Path(parts.folder) / _READABLE)
    return warnings(by_name)


def groups(parts: int, most: int) -> list[list[int]]:
    """Divide the numbers of the parts, in order, into at most `most` groups of nearly equal size.

    >>> groups(5, 2)
    [[0, 1, 2], [3, 4]]
    """
    return [group.tolist() for group in np.array_split(np.arange(parts), min(parts, most))]


def score_part(bundle: Bundle, parts: TableParts, number: int, frame: pd.DataFrame) -> ScoredTable:
    """Score a part; return its rows as `fivefold.serving.batch.score_batch` of the whole would.

    `frame` is the part as `fivefold.data.reading.table_parts.read_part` gives it.
    """
    assessment = _assess(bundle, frame, Path(parts.folder))
    return with_scores(bundle, frame, assessment, parts.key, parts.first_row(number))


def _assess(bundle: Bundle, frame: pd.DataFrame, folder: Path) -> Assessment:
    """Do as `Bundle.assess`, also for a part in which no cell of a column can be read.

    `Bundle.assess` refuses such a table; a row of readable cells is added for it and then taken
    away.
    """
    try:
        return bundle.assess(frame)
    except Refused:
        extra, readable = frame.iloc[[0]].copy(), load_table(folder / _READABLE).to_pandas()
        for name in readable:
            extra[name] = readable[name].array
        longer = bundle.assess(pd.concat([frame, extra], ignore_index=True))
        return longer.part(0, len(frame))
