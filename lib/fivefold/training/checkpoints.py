"""Checkpoints: every finished trial is stored in the run's own datastore.

A killed search loses one trial at most. They belong to the first run of a chain of resumed ones: a
fresh run measures the code and the libraries of today.

The `storage` is a Metaflow datastore (local folder, S3, ...). Its writes are atomic, and equal
trials give equal files: two tasks that do the same work, such as a task of a killed run and its
resumed twin, do not harm each other.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np

from fivefold.training.candidate import ScoredTrial, Trial

FOLDER = "checkpoints"


def key(*parts: Any) -> str:
    """Return a short digest of the values (JSON-ready ones and arrays) that a search depends on."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            raw = part.tobytes()
        else:
            raw = json.dumps(part, sort_keys=True, default=str).encode()
        digest.update(raw + b"\0")
    return digest.hexdigest()[:16]


def save(storage: Any, path: str, scored: ScoredTrial) -> None:
    """Write one finished trial under `path` (run/algorithm/key)."""
    oof = np.empty(0, "float32") if scored.oof is None else scored.oof
    buffer = io.BytesIO()
    np.savez_compressed(buffer, trial=np.array(json.dumps(scored.trial.to_dict())), oof=oof)
    buffer.seek(0)
    name = f"{FOLDER}/{path}/{scored.trial.number:05d}.npz"
    storage.save_bytes([(name, (buffer, None))], overwrite=True)


def load(storage: Any, path: str, scores: bool = True) -> list[ScoredTrial]:
    """Read the trials under `path`, by number, with their out-of-fold `scores` if wanted.

    Reading stops at a damaged trial.
    """
    entries = storage.list_content([f"{FOLDER}/{path}"])
    names = [entry.path for entry in entries if entry.path.endswith(".npz")]
    trials: list[ScoredTrial] = []
    if not names:
        return trials
    with storage.load_bytes(names) as files:
        for _, file, _ in sorted(files, key=lambda entry: str(entry[0])):
            try:
                with np.load(file, allow_pickle=False) as stored:
                    trial = Trial.from_dict(json.loads(str(stored["trial"])))
                    oof = stored["oof"] if scores else np.empty(0)
            except Exception:  # what a damaged file raises depends on where it is damaged
                break
            trials.append(ScoredTrial(trial, oof if len(oof) else None))
    return trials
