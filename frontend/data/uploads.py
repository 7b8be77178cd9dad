"""A file from a visitor as a table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from fivefold.data import source

TYPES = ["csv", "tsv", "txt", "gz", "parquet", "feather"]


def table(name: str, blob: Any) -> source.Dataset:
    """Return the table in an uploaded file, whatever its name. Raises `Refused` with the reasons."""
    with tempfile.TemporaryDirectory() as folder:
        endings = [s for s in Path(name).suffixes[-2:] if s.lower().lstrip(".") in TYPES]
        path = Path(folder) / f"upload{''.join(endings)}"
        path.write_bytes(blob)
        return source.read(str(path))
