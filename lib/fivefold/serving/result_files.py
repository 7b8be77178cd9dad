"""Scoring: a table in, the same table with probability, decision, warnings and error out."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as parquet

from fivefold.core.findings import ERROR, Finding, Refused, warnings
from fivefold.data.coerce import compare_names
from fivefold.model.bundle import SCORE_COLUMNS, Bundle

WRITERS = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
}


def score_table(bundle: Bundle, frame: pd.DataFrame) -> tuple[pd.DataFrame, list[Finding]]:
    """(the input's columns and `SCORE_COLUMNS`, what differs from the contract without hurting).

    An input column of one of our names is kept as `input_<name>` (`input_input_<name>` where that is taken). Raises
    `Refused` as `Bundle.score`.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    scores = bundle.score(frame)
    findings = warnings(compare_names(frame, bundle.schema))
    return pd.concat([free_names(frame, SCORE_COLUMNS), scores], axis=1), findings


def free_names(frame: pd.DataFrame, ours: Sequence[str]) -> pd.DataFrame:
    """The table with each column of one of our names called `input_<name>`, once more where that is taken."""
    taken: dict[str, str] = {}
    for name in (
        n for n in frame.columns if n in ours
    ):  # the table may hold our earlier output twice over
        free = f"input_{name}"
        while free in frame.columns:
            free = f"input_{free}"
        taken[name] = free
    return frame.rename(columns=taken)


def tally(scored: pd.DataFrame) -> dict[str, Any]:
    """{rows, scored, refused, with_warnings, decisions {phrase: rows}, mean_probability}; JSON-ready."""
    good = scored["error"] == ""
    return {
        "rows": len(scored),
        "scored": int(good.sum()),
        "refused": int((~good).sum()),
        "with_warnings": int((scored["warnings"] != "").sum()),
        "decisions": {
            str(k): int(v) for k, v in scored.loc[good, "decision"].value_counts().items()
        },
        "mean_probability": float(scored["probability"].mean()) if good.any() else None,
    }


def merge(tallies: Sequence[dict[str, Any]], reasons: int = 20) -> dict[str, Any]:
    """The tally of a table from those of its parts (`fivefold.serving.shards.score_part`); the `reasons` most frequent stay."""
    told: dict[str, Any] = {
        key: sum(t.get(key, 0) for t in tallies)
        for key in ("rows", "scored", "refused", "with_warnings", "spooled")
    }
    decisions: Counter[str] = Counter()
    why: Counter[str] = Counter()
    doubts: dict[str, dict[str, int]] = {}
    for one in tallies:
        decisions.update(one["decisions"])
        why.update(one["reasons"])
        for code, cells in one["doubts"].items():
            doubts[code] = dict(Counter(doubts.get(code, {})) + Counter(cells))
    total = sum(t["scored"] * (t["mean_probability"] or 0.0) for t in tallies)
    bins = [
        {**same[0], "rows": sum(b["rows"] for b in same)}
        for same in zip(*(t["bins"] for t in tallies), strict=True)
    ]
    return told | {
        "decisions": dict(decisions),
        "mean_probability": total / told["scored"] if told["scored"] else None,
        "doubts": doubts,
        "bins": bins,
        "reasons": dict(why.most_common(reasons)),
    }


def check_out(path: str) -> Path:
    """The path to write to. Raises `Refused` for an unknown ending or a folder that is not there."""
    out, problems = Path(path).expanduser(), []
    if out.suffix not in WRITERS:
        problems.append(
            Finding(
                code="out-format",
                severity=ERROR,
                subject=path,
                found=f"the ending {out.suffix!r}",
                expected=" or ".join(WRITERS),
                action="name the output so",
            )
        )
    if not out.resolve().parent.is_dir():
        problems.append(
            Finding(
                code="out-folder",
                severity=ERROR,
                subject=path,
                found="no such folder",
                expected="an existing folder",
                action="make it first",
            )
        )
    elif not os.access(out.resolve().parent, os.W_OK):
        problems.append(
            Finding(
                code="out-folder",
                severity=ERROR,
                subject=path,
                found="a folder that cannot be written to",
                expected="a writable folder",
                action="choose another folder",
            )
        )
    if out.is_dir():
        problems.append(
            Finding(
                code="out-folder",
                severity=ERROR,
                subject=path,
                found="a folder of that name",
                expected="a file",
                action="choose another name",
            )
        )
    if problems:
        raise Refused("The result cannot be written", problems)
    return out


def write(scored: pd.DataFrame, out: Path) -> None:
    """Write CSV or Parquet, whole or not at all."""
    part = _beside(out)
    try:
        WRITERS[out.suffix](scored, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def join(parts: Sequence[Path], out: Path) -> None:
    """Write the rows of files that `write` has written, in this order, into one of the same kind; whole or not at all.

    All have the same columns. Only one of them is held in memory.
    """
    part = _beside(out)
    try:
        if out.suffix == ".parquet":
            _join_parquet(parts, part)
        else:
            _join_csv(parts, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)


def _join_csv(parts: Sequence[Path], out: Path) -> None:
    with parts[0].open(encoding="utf-8", newline="") as first:
        header = csv.reader(first)
        next(header)  # of several lines where a name holds a line break
    with parts[0].open("rb") as lines:
        head = sum(len(lines.readline()) for _ in range(header.line_num))
    with out.open("wb") as file:
        for number, path in enumerate(parts):
            with path.open("rb") as rows:
                rows.seek(head if number else 0)
                shutil.copyfileobj(rows, file, 1 << 20)


def _join_parquet(parts: Sequence[Path], out: Path) -> None:
    with parquet.ParquetWriter(out, parquet.read_schema(parts[0])) as file:
        for path in parts:
            file.write_table(parquet.read_table(path))


def _beside(out: Path) -> Path:
    return out.with_name(f".{out.name}.part{os.getpid()}")
