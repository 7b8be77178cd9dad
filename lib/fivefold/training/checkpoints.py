"""Checkpoints: each finished trial kept in the run's own datastore, so that a killed arm loses one trial at most.

`storage` is a Metaflow datastore (local folder, S3, ...): its writes are atomic, and equal trials give equal files,
so that two tasks that do the same work (an orphan of a killed run and its resumed twin) cannot hurt each other.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np

FOLDER = "checkpoints"


def key(*parts: Any) -> str:
    """A short digest of everything that a search depends on (JSON-ready values and arrays)."""
    digest = hashlib.sha256()
    for part in parts:
        raw = (
            part.tobytes()
            if isinstance(part, np.ndarray)
            else json.dumps(part, sort_keys=True, default=str).encode()
        )
        digest.update(raw + b"\0")
    return digest.hexdigest()[:16]


def save(storage: Any, path: str, trial: dict[str, Any], oof: np.ndarray | None) -> None:
    """Keep one finished trial under `path` (`run/arm/key`); `oof` (rows,) float32 where it is among the best."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        trial=np.array(json.dumps(trial)),
        oof=np.empty(0, "float32") if oof is None else oof,
    )
    buffer.seek(0)
    storage.save_bytes(
        [(f"{FOLDER}/{path}/{trial['number']:05d}.npz", (buffer, None))], overwrite=True
    )


def load(
    storage: Any, path: str, scores: bool = True
) -> list[tuple[dict[str, Any], np.ndarray | None]]:
    """The trials kept under `path`, by number, with their out-of-fold `scores` unless these are not wanted; a damaged
    trial ends the list.
    """
    names = sorted(
        entry.path
        for entry in storage.list_content([f"{FOLDER}/{path}"])
        if entry.path.endswith(".npz")
    )
    kept: list[tuple[dict[str, Any], np.ndarray | None]] = []
    if not names:
        return kept
    with storage.load_bytes(names) as files:
        for _, file, _ in sorted(files, key=lambda found: str(found[0])):
            try:
                with np.load(file, allow_pickle=False) as stored:
                    trial, oof = (
                        json.loads(str(stored["trial"])),
                        stored["oof"] if scores else np.empty(0),
                    )
            except (
                Exception
            ):  # a torn or damaged file: the search goes on from the trials before it
                break
            kept.append((trial, oof if len(oof) else None))
    return kept
