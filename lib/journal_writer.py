"""Journal writer: many requests, one transaction; and where lines go while the database is locked or away.

Policy. A line is acknowledged only when it is safe: committed in the journal, or, where the journal has not taken it
within its patience (locked, absent, disk full), appended to a spool file and flushed to disk. Where even that fails the
caller is told, and must not answer. Spooled lines are moved into the journal as soon as it takes lines again, and by
every later start; ids make that safe to repeat.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any

from lib.journal import as_json, write

log = logging.getLogger("fivefold")
RETRY_SECONDS = 5.0  # between attempts to empty the spool
Lines = tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]  # predictions, rejects


class NotKept(RuntimeError):
    """Neither the journal nor the spool has taken the lines."""


class Writer:
    """A thread that commits whatever is waiting in one transaction. `submit` gives a future: "journal" or "spool"."""

    def __init__(self, engine: Any, spool: Path):
        self._engine, self._spool = engine, spool
        self._waiting: queue.Queue[tuple[Lines, Future] | None] = queue.Queue()
        self._tried = -RETRY_SECONDS
        self._thread = threading.Thread(target=self._work, daemon=True, name="journal")
        self._thread.start()

    def submit(self, predictions: Sequence[Mapping[str, Any]], rejects: Sequence[Mapping[str, Any]] = ()) -> Future:
        future: Future = Future()
        self._waiting.put(((predictions, rejects), future))
        return future

    def close(self) -> None:
        """Write what waits, then end."""
        self._waiting.put(None)
        self._thread.join(30)

    def _work(self) -> None:
        going = True
        while going:
            lot = [self._waiting.get()]
            with contextlib.suppress(queue.Empty):
                while len(lot) < 1000:
                    lot.append(self._waiting.get_nowait())
            going = None not in lot
            jobs = [job for job in lot if job is not None]
            lines = ([x for (good, _), _ in jobs for x in good], [x for (_, bad), _ in jobs for x in bad])
            try:
                where: str | Exception = keep(self._engine, self._spool, *lines)
            except Exception as broken:  # a thread that dies would leave callers waiting for ever
                where = broken
            for _, future in jobs:
                if isinstance(where, Exception):
                    future.set_exception(where)
                else:
                    future.set_result(where)
            if where == "journal" and time.monotonic() - self._tried > RETRY_SECONDS:
                self._tried = time.monotonic()
                empty(self._engine, self._spool)


def keep(engine: Any, spool: Path, predictions: Sequence[Mapping[str, Any]],
         rejects: Sequence[Mapping[str, Any]] = ()) -> str:
    """Write lines into the journal, else into the spool: "journal" or "spool". Raises `NotKept` where both fail."""
    if not predictions and not rejects:
        return "journal"
    try:
        write(engine, predictions, rejects)
        return "journal"
    except Exception as broken:  # drivers raise many kinds
        reason = str(getattr(broken, "orig", None) or broken).splitlines()[0][:200]
        log.warning("the journal took no lines (%s); they go to %s", reason, spool)
    try:
        spool.mkdir(parents=True, exist_ok=True)
        part = spool / f".{uuid.uuid4().hex}"
        with part.open("w", encoding="utf-8") as file:
            for kind, lines in (("predictions", predictions), ("rejects", rejects)):
                file.writelines(as_json([kind, {**x, "at": x["at"].isoformat()}]) + "\n" for x in lines)
            file.flush()
            os.fsync(file.fileno())
        part.rename(spool / f"{time.time_ns()}-{part.name[1:9]}.jsonl")  # whole files only
        return "spool"
    except OSError as broken:
        raise NotKept(f"neither the journal ({reason}) nor the spool ({broken.strerror}) takes lines") from None


def empty(engine: Any, spool: Path) -> int:
    """Move spooled lines into the journal; how many files. Stops quietly where the journal takes none."""
    moved = 0
    for path in sorted(spool.glob("*.jsonl")) if spool.is_dir() else ():
        try:
            held: dict[str, list[dict[str, Any]]] = {"predictions": [], "rejects": []}
            for text in path.read_text(encoding="utf-8").splitlines():
                kind, line = json.loads(text)
                held[kind].append({**line, "at": datetime.fromisoformat(line["at"])})
            write(engine, held["predictions"], held["rejects"])
            path.unlink()
            moved += 1
        except FileNotFoundError:  # another process was faster
            continue
        except Exception:
            log.warning("the spool %s could not be moved into the journal yet", path)
            break
    return moved
