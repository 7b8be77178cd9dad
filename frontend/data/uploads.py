"""A file from a visitor as a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fivefold.data.missing_markers import NO_RULES, CellRules
from fivefold.data.reading import formats, source


def label() -> str:
    """Return the formats that the app accepts, in words."""
    return f"{formats.titles()}, also compressed by gzip"


def endings() -> list[str]:
    """Return the endings of file names that the app accepts, without the dot."""
    return formats.upload_endings()


def table(name: str, content: Any, rules: CellRules = NO_RULES) -> source.Dataset:
    """Return the table in an uploaded file, whatever its name. Raises `Refused` with reasons.

    `rules`: how its cells are read.
    """
    accepted = endings()
    with tempfile.TemporaryDirectory() as folder:
        kept = [s for s in Path(name).suffixes[-2:] if s.lower().lstrip(".") in accepted]
        path = Path(folder) / f"upload{''.join(kept)}"
        path.write_bytes(content)
        return source.read(path, rules=rules)
