"""Names of columns: without white space, none empty, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fivefold.core.findings import errors
from fivefold.core.text import listed
from fivefold.data.reading.read_log import ReadLog


def tidy_names(cells: Sequence[str], log: ReadLog) -> list[str]:
    """Return the names, stripped; empty ones become unnamed_<position>, duplicates are errors."""
    stripped = [cell.strip().strip("\ufeff") for cell in cells]
    names = [name or f"unnamed_{n}" for n, name in enumerate(stripped, 1)]
    unnamed = [name for name, cell in zip(names, stripped, strict=True) if not cell]
    if unnamed:
        log.warning(
            "header-empty",
            "header",
            f"columns without a name; called {listed(unnamed)}",
            expected="a name for each column",
            action="if it is a written row number, drop the column",
        )
    _note_duplicates(names, log)
    changed = sum(a != b for a, b in zip(cells, stripped, strict=True))
    if changed and not errors(log.findings):
        log.passed("header-white-space", "header", f"white space around {changed} names; removed")
    return names


def _note_duplicates(names: Sequence[str], log: ReadLog) -> None:
    for name, count in Counter(names).items():
        if count == 1:
            continue
        positions = [str(n) for n, other in enumerate(names, 1) if other == name]
        log.error(
            "duplicate-columns",
            name,
            f"the name {name!r} in columns {', '.join(positions)}",
            expected="each name once",
            action="rename or delete all but one",
        )
