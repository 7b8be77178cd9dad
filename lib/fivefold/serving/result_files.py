"""Files of scored rows: checked in advance, written whole or not at all, joined from parts."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.parquet as parquet

from fivefold.core.findings import problem, refuse_errors
from fivefold.serving.batch import neutralise


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a table as CSV that a spreadsheet opens without running any cell (`neutralise`)."""
    return neutralise(frame).to_csv(index=False).encode()


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    ".csv": lambda frame, path: path.write_bytes(csv_bytes(frame)),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


def check_out(path: str) -> Path:
    """Return the path to write to.

    Raises `Refused` for an unknown ending or a folder that cannot be used.
    """
    out = Path(path).expanduser()
    folder = out.resolve().parent
    problems = []
    if out.suffix not in WRITERS:
        endings = " or ".join(WRITERS)
        found, action = f"the ending {out.suffix!r}", "change the file name"
        problems.append(problem("out-format", path, found, endings, action))
    code = "out-folder"
    if not folder.is_dir():
        expected, action = "an existing folder", "create the folder first"
        problems.append(problem(code, path, "no such folder", expected, action))
    elif not os.access(folder, os.W_OK):
        found, action = "a folder that cannot be written to", "choose another folder"
        problems.append(problem(code, path, found, "a writable folder", action))
    if out.is_dir():
        action = "choose another name"
        problems.append(problem(code, path, "a folder of that name", "a file", action))
    refuse_errors("The result cannot be written", problems)
    return out


def write(scored: pd.DataFrame, out: Path) -> None:
    """Write CSV or Parquet, whole or not at all."""
    with _replacing(out) as draft:
        WRITERS[out.suffix](scored, draft)


def join(parts: Sequence[Path], out: Path) -> None:
    """Join files that `write` has written into one of the same kind, whole or not at all.

    All have the same columns. Only one of them is held in memory.
    """
    with _replacing(out) as draft:
        if out.suffix == ".parquet":
            _join_parquet(parts, draft)
        else:
            _join_csv(parts, draft)


@contextmanager
def _replacing(out: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `out` if the block succeeds."""
    draft = out.with_name(f".{out.name}.part{os.getpid()}")
    try:
        yield draft
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)


def _join_csv(parts: Sequence[Path], out: Path) -> None:
    with parts[0].open(encoding="utf-8", newline="") as first:
        header = csv.reader(first)
        next(header)  # of several lines where a name holds a line break
    with parts[0].open("rb") as lines:
        header_bytes = sum(len(lines.readline()) for _ in range(header.line_num))
    with out.open("wb") as file:
        for number, path in enumerate(parts):
            with path.open("rb") as rows:
                rows.seek(header_bytes if number else 0)
                shutil.copyfileobj(rows, file, 1 << 20)


def _join_parquet(parts: Sequence[Path], out: Path) -> None:
    with parquet.ParquetWriter(out, parquet.read_schema(parts[0])) as file:
        for path in parts:
            file.write_table(parquet.read_table(path))
