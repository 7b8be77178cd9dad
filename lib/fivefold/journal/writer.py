"""Journal writer: many requests in one transaction, and a spool if the database is away.

A row is acknowledged only when it is safe: committed in the journal or, if the journal does not
take it in time (locked, absent, disk full), appended to a spool file and flushed to disk. If even
that fails, the caller gets an error and must not answer. Spooled rows are moved into the journal as
soon as it takes rows again, and by every later start; ids make it safe to repeat that.
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
from typing import Any, NamedTuple

import sqlalchemy as sa

from fivefold.core.text import error_line
from fivefold.journal import database
from fivefold.journal.database import within, write
from fivefold.journal.tables import as_json

log = logging.getLogger("fivefold")
RETRY_SECONDS = 5.0  # between attempts to empty the spool
AWAY_SECONDS = 0.25  # that rows wait for a journal that did not take the last ones
ROWS_A_SECOND = 1000  # of a slow journal
KINDS = ("predictions", "rejects")
LOT = 50  # spooled files that are moved before requests are looked at again
_OF_LINES = (  # errors for which the lines are at fault, not the journal
    sa.exc.DataError,
    sa.exc.IntegrityError,
    sa.exc.CompileError,
    ArithmeticError,
    TypeError,
    ValueError,
)
Rows = Sequence[Mapping[str, Any]]


class _Job(NamedTuple):
    predictions: Rows
    rejects: Rows
    future: Future[str]  # of where they are kept


class NotKept(RuntimeError):
    """Neither the journal nor the spool has taken the lines."""


class Writer:
    """A thread that commits all waiting rows in one transaction, and one that empties the spool.

    `submit` returns a future: "journal" or "spool". Rows whose future was cancelled in time are not
    written: nobody waits for them, so nobody was answered. `away`: the journal did not take the
    last rows in time. Rows that come while it is away wait for it `AWAY_SECONDS` only.
    """

    def __init__(self, engine: Any, spool: Path):
        self.away = False
        self._engine, self._spool = engine, spool
        self._waiting: queue.Queue[_Job | None] = queue.Queue()
        self._lock, self._closed = threading.Lock(), False
        self._look, self._ended = threading.Event(), threading.Event()
        self._look.set()  # the spool may hold rows of before
        self._thread = threading.Thread(target=self._work, daemon=True, name="journal")
        self._mover = threading.Thread(target=self._move, daemon=True, name="spool")
        self._thread.start()
        self._mover.start()

    def submit(self, predictions: Rows, rejects: Rows = ()) -> Future[str]:
        future: Future[str] = Future()
        with self._lock:
            if self._closed:
                future.set_exception(NotKept("the writer is closed"))
            else:
                self._waiting.put(_Job(predictions, rejects, future))
        return future

    def close(self) -> None:
        """Write what waits, then end."""
        with self._lock:
            self._closed = True
            self._waiting.put(None)
        self._thread.join(30)
        self._ended.set()
        self._look.set()
        self._mover.join(1)  # it may wait for a journal that is away

    def _work(self) -> None:
        going = True
        while going:
            lot = self._lot()
            going = None not in lot
            jobs = [job for job in lot if job and job.future.set_running_or_notify_cancel()]
            predictions = [row for job in jobs for row in job.predictions]
            rejects = [row for job in jobs for row in job.rejects]
            try:
                seconds = AWAY_SECONDS if self.away else None
                where = keep(self._engine, self._spool, predictions, rejects, seconds)
                self.away = where == "spool"
                for job in jobs:
                    job.future.set_result(where)
            except Exception as broken:  # a thread that dies would leave callers waiting for ever
                self.away = True
                for job in jobs:
                    job.future.set_exception(broken)
            if self.away:
                self._look.set()

    def _lot(self) -> list[_Job | None]:
        """Return what waits, at least one."""
        lot = [self._waiting.get()]
        with contextlib.suppress(queue.Empty):
            while len(lot) < 1000:
                lot.append(self._waiting.get_nowait())
        return lot

    def _move(self) -> None:
        """Move the spool into the journal, whenever it may hold rows and the journal takes some."""
        while self._look.wait() and not self._ended.is_set():
            self._look.clear()
            moved = empty(self._engine, self._spool, LOT)
            wait = bool(_files(self._spool))
            if moved or not wait:
                self.away = False  # the next rows tell
            if wait:
                self._look.set()
                self._ended.wait(0 if moved else RETRY_SECONDS)


def keep(
    engine: Any,
    spool: Path,
    predictions: Rows,
    rejects: Rows = (),
    seconds: float | None = None,
) -> str:
    """Write rows into the journal, else into the spool, and return "journal" or "spool".

    `seconds`: how long the journal may take; by default a little longer than it waits for a lock.
    Raises `NotKept` if both fail.
    """
    if not predictions and not rejects:
        return "journal"
    rows = len(predictions) + len(rejects)
    deadline = database.BUSY_SECONDS + 1 + rows / ROWS_A_SECOND if seconds is None else seconds
    try:
        within(engine, deadline, write, engine, predictions, rejects)
        return "journal"
    except Exception as broken:  # drivers raise many kinds
        reason = error_line(broken)
        log.warning("the journal took no lines (%s); they go to %s", reason, spool)
    try:
        texts = [
            as_json([kind, {**x, "at": x["at"].isoformat()}]).encode("utf-8", "replace")
            for kind, lines in zip(KINDS, (predictions, rejects), strict=True)
            for x in lines
        ]
        spool.mkdir(parents=True, exist_ok=True)
        _put(spool / f"{time.time_ns()}-{uuid.uuid4().hex[:8]}.jsonl", texts)
        return "spool"
    except Exception as broken:
        raise NotKept(
            f"neither the journal ({reason}) nor the spool ({error_line(broken)}) takes lines"
        ) from None


def empty(engine: Any, spool: Path, most: int | None = None) -> int:
    """Move the oldest `most` spooled files into the journal, and return how many were moved.

    Stops without an error when the journal takes no lines. Lines that are unreadable or invalid
    go to a file that ends in .damaged; the others are still moved.
    """
    moved = 0
    for path in _files(spool)[:most]:
        try:
            _move(engine, path)
            moved += 1
        except FileNotFoundError:  # another process was faster
            continue
        except Exception as broken:
            log.warning(
                "the spool %s could not be moved into the journal yet (%s)",
                path,
                error_line(broken),
            )
            if not isinstance(broken, OSError):
                break
    return moved


def _move(engine: Any, path: Path) -> None:
    good: list[tuple[bytes, str, dict[str, Any]]] = []
    damaged: list[bytes] = []
    for text in path.read_bytes().split(b"\n"):  # str.splitlines would also split at U+2028
        if not text:
            continue
        try:
            kind, line = json.loads(text)
            if kind not in KINDS:
                raise ValueError(kind)
            good.append((text, kind, {**line, "at": datetime.fromisoformat(line["at"])}))
        except (ValueError, TypeError, KeyError):
            damaged.append(text)
    damaged += _refused(engine, good)
    if damaged:
        aside = path.with_suffix(".damaged")
        _put(aside, damaged)
        log.error(
            "%d spooled lines cannot go into the journal; they are in %s", len(damaged), aside
        )
    path.unlink()


def _refused(engine: Any, lines: Sequence[tuple[bytes, str, dict[str, Any]]]) -> list[bytes]:
    """Write lines into the journal; the texts of those that no journal would take."""
    try:
        write(engine, *([line for _, of, line in lines if of == kind] for kind in KINDS))
        return []
    except Exception as broken:
        lines_at_fault = isinstance(broken, _OF_LINES) or type(broken) is sa.exc.StatementError
        if not lines_at_fault:
            raise
    half = len(lines) // 2
    if not half:
        return [text for text, *_ in lines]
    return [*_refused(engine, lines[:half]), *_refused(engine, lines[half:])]


def _files(spool: Path) -> list[Path]:
    try:
        return sorted(spool.glob("*.jsonl"))
    except OSError:
        return []


def _put(path: Path, texts: Sequence[bytes]) -> None:
    """Write a whole file or none, and flush it and its folder to disk."""
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(b"".join(text + b"\n" for text in texts))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
