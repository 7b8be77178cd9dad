"""Scoring: a table in, the same table with probability, decision, warnings and error out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lib.bundle import SCORE_COLUMNS, Bundle
from lib.conform import compare_names
from lib.findings import ERROR, Finding, Refused, warnings

WRITERS = {".csv": lambda frame, path: frame.to_csv(path, index=False),
           ".parquet": lambda frame, path: frame.to_parquet(path, index=False)}


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
    for name in (n for n in frame.columns if n in ours):  # the table may hold our earlier output twice over
        free = f"input_{name}"
        while free in frame.columns:
            free = f"input_{free}"
        taken[name] = free
    return frame.rename(columns=taken)


def tally(scored: pd.DataFrame) -> dict[str, Any]:
    """{rows, scored, refused, with_warnings, decisions {phrase: rows}, mean_probability}; JSON-ready."""
    good = scored["error"] == ""
    return {"rows": len(scored), "scored": int(good.sum()), "refused": int((~good).sum()),
            "with_warnings": int((scored["warnings"] != "").sum()),
            "decisions": {str(k): int(v) for k, v in scored.loc[good, "decision"].value_counts().items()},
            "mean_probability": float(scored["probability"].mean()) if good.any() else None}


def check_out(path: str) -> Path:
    """The path to write to. Raises `Refused` for an unknown ending or a folder that is not there."""
    out, problems = Path(path).expanduser(), []
    if out.suffix not in WRITERS:
        problems.append(Finding("out-format", ERROR, path, f"the ending {out.suffix!r}", " or ".join(WRITERS),
                                "name the output so"))
    if not out.resolve().parent.is_dir():
        problems.append(Finding("out-folder", ERROR, path, "no such folder", "an existing folder", "make it first"))
    elif not os.access(out.resolve().parent, os.W_OK):
        problems.append(Finding("out-folder", ERROR, path, "a folder that cannot be written to", "a writable folder",
                                "choose another folder"))
    if out.is_dir():
        problems.append(Finding("out-folder", ERROR, path, "a folder of that name", "a file", "choose another name"))
    if problems:
        raise Refused("The result cannot be written", problems)
    return out


def write(scored: pd.DataFrame, out: Path) -> None:
    """Write CSV or Parquet, whole or not at all."""
    part = out.with_name(f".{out.name}.part{os.getpid()}")
    try:
        WRITERS[out.suffix](scored, part)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
