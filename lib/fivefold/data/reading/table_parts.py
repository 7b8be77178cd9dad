"""Table parts: a source cut into parts on disk; each reads as it does in the whole table."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather

from fivefold.core.findings import Finding, refusal
from fivefold.core.stored import Stored
from fivefold.data.missing_markers import NO_RULES, CellRules
from fivefold.data.reading.column_evidence import ColumnEvidence
from fivefold.data.reading.normalize import normalize_table
from fivefold.data.reading.read_log import ReadLog
from fivefold.data.reading.source import open_stream

ROWS_PER_PART = 100_000
_EVIDENCE = "evidence.arrow"


@dataclass(frozen=True)
class TableParts(Stored):
    """A table in parts: Arrow files in a folder of their own.

    `source` and `md5` are those of `reading.source.Dataset`; `key` is an md5 of the rows in
    their order, which a database may change. `untyped` says that the cells are text that may turn
    out to be numbers (CSV), `text_columns` names the columns of such a table that are text for
    certain. `row_counts` holds the number of rows of each part, `rules` how cells are read.
    """

    stored_as: ClassVar = {"row_counts": "parts", "text_columns": "words", "untyped": "texts"}

    folder: str
    source: str
    md5: str
    key: str
    columns: list[str]
    untyped: bool
    text_columns: list[str]
    row_counts: list[int]
    rules: CellRules = NO_RULES

    @property
    def rows(self) -> int:
        """Rows of the whole table."""
        return sum(self.row_counts)

    def first_row(self, number: int) -> int:
        """Return the position in the table of the first row of a part."""
        return sum(self.row_counts[:number])

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form, with the number of rows."""
        return super().to_dict() | {"rows": self.rows}


def cut_table(
    source: str,
    query: str | None,
    folder: Path,
    rows: int = ROWS_PER_PART,
    rules: CellRules = NO_RULES,
) -> tuple[TableParts, list[Finding]]:
    """Cut a source into parts of `rows` rows.

    Parameters
    ----------
    source, query
        As in `fivefold.data.reading.source.read`.
    folder
        Folder of the parts. It must not exist, and it is removed again if the source is refused.
    rows
        Rows of a part; the last one may have fewer.
    rules
        How cells are read.

    Returns
    -------
    The parts, and the findings of the reading.

    Raises
    ------
    Refused
        As `fivefold.data.reading.source.read`.
    """
    stream = open_stream(source, query, rules)
    evidence = ColumnEvidence(stream.untyped, rules)
    row_counts: list[int] = []
    folder.mkdir(parents=True)
    try:
        for number, table in enumerate(_lots(stream.tables, rows)):
            evidence.add(table)
            save_table(table, _part_path(folder, number))
            row_counts.append(table.num_rows)
        first_rows = evidence.table()
        save_table(first_rows, folder / _EVIDENCE)
    except BaseException:
        remove_parts(folder)
        raise
    parts = TableParts(
        folder=str(folder),
        source=stream.source,
        md5=stream.md5,
        key=stream.key,
        columns=first_rows.column_names,
        untyped=stream.untyped,
        text_columns=evidence.text_columns(),
        row_counts=row_counts,
        rules=rules,
    )
    return parts, stream.log.findings


def read_part(parts: TableParts, number: int, columns: list[str] | None = None) -> pd.DataFrame:
    """Return the rows of a part, or some of its columns, as they read within the whole table.

    Raises `Refused` if the part is gone.
    """
    folder = Path(parts.folder)
    evidence = load_table(folder / _EVIDENCE, columns)
    table = pa.concat_tables([evidence, load_table(_part_path(folder, number), columns)])
    frame = normalize_table(
        table,
        ReadLog(),
        untyped=parts.untyped,
        text_columns=parts.text_columns,
        rules=parts.rules,
    )
    return frame.iloc[len(evidence) :].reset_index(drop=True)


def remove_parts(folder: Path) -> None:
    """Remove the folder of a cut table, and the folder around it if that is empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # another run has its parts there
        folder.parent.rmdir()


def save_table(table: pa.Table, path: Path) -> None:
    """Write an Arrow table, lightly compressed."""
    feather.write_feather(table, path, compression="zstd", compression_level=1)


def load_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read what `save_table` wrote. Raises `Refused` if the file is gone."""
    try:
        return feather.read_table(path, columns=columns, memory_map=False)
    except FileNotFoundError:
        raise refusal(
            "The run cannot go on",
            code="parts-gone",
            subject=str(path),
            found="no such file",
            expected="the parts that the run has cut",
            action="start again: python flows/score.py run",
        ) from None


def _part_path(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.arrow"


def _lots(tables: Iterator[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of `rows` rows; the last one may be shorter."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        while count + table.num_rows >= rows:
            yield pa.concat_tables([*waiting, table.slice(0, rows - count)])
            table = table.slice(rows - count)
            waiting, count = [], 0
        if table.num_rows:
            waiting.append(table)
            count += table.num_rows
    if count:
        yield pa.concat_tables(waiting)
