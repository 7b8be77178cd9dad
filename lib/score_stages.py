"""Score stages: the bodies of the steps of `flows/score.py`."""

from __future__ import annotations

import io
import json
import resource
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lib import runs, scoring, settings, shards
from lib.bundle import Bundle, from_bytes, sha256
from lib.findings import ERROR, Finding, Refused
from lib.schema import Schema, from_json
from lib.stages import tell_warnings

LOT = 5_000   # rows of one transaction of the journal: others may write between two of them
MOST = 100    # shards; Metaflow's own limit of a foreach


def choose(train_run: str, record: bool) -> dict[str, Any]:
    """{model, bundle (bytes), sha256, line, why}: the run asked for, else the promoted model, else the latest run.

    `line` is what the record of promotions says of the model, None where it was not taken from there. Raises `Refused`
    where there is no model, the promoted one was changed, or the journal is wanted and does not answer.
    """
    if record:
        _journal_opens()
    line = None if train_run else _promoted()
    run = runs.find_run(line["model"].rpartition("/")[2] if line else train_run or None)
    blob, digest = runs.bundle_of(run)
    why = "as asked" if train_run else "the latest finished run"
    if line:
        why = f"promoted {line['at']:%Y-%m-%d %H:%M} UTC"
        digest = line["sha256"]  # else `contract` refuses it
    return {"model": run.pathspec, "bundle": blob, "sha256": digest, "why": why,
            "line": {"threshold": line["threshold"], "why": line["why"]} if line else None}


def contract(blob: bytes, digest: str) -> Schema:
    """The input contract in a bundle, without loading its model. Raises `Refused` as `lib.bundle.from_bytes`."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            schema = from_json(json.dumps(json.loads(archive.read("bundle.json"))["schema"]))
        if sha256(blob) == digest:
            return schema
    except Exception:
        return from_bytes(blob, digest).schema  # says what is wrong
    return from_bytes(blob, digest).schema


def prepare(source: str, query: str, out: Path, run_id: str, rows: int, schema: Schema,
            origin: str | None = None) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """(what `lib.shards.cut` cut, findings): the source in parts beside the output, known to fit the contract.

    `origin`: the run that this one resumes, whose parts are removed: it stopped while it cut them.
    """
    if rows < 1:
        raise Refused("The table cannot be cut", [Finding("shard-rows", ERROR, "--shard-rows", f"{rows}", "1 or more",
                                                          "leave it out")])
    around = out.with_name(f"{out.name}.parts")
    if origin:
        shards.discard(around / origin)
    told, found = shards.cut(source, query or None, around / run_id, rows)
    try:
        differs = shards.check(told, schema)
    except BaseException:
        shards.discard(Path(told["folder"]))
        raise
    tell_warnings(differs)
    return told, [f.to_dict() for f in (*found, *differs)]


def score(told: Mapping[str, Any], numbers: Sequence[int], bundle: Bundle, digest: str, suffix: str,
          record: bool) -> list[dict[str, Any]]:
    """Score some parts, keep them in the journal and beside their source; the tally of each.

    A part whose result is there already, from a task that was killed, is not scored again.
    """
    engine = _journal() if record else None
    tallies = []
    for number in numbers:
        done = result(told, number, suffix)
        if not done.exists():
            _score_one(told, number, bundle, digest, done, engine)
        tallies.append(json.loads(done.with_suffix(".json").read_text(encoding="utf-8")))
    return tallies


def result(told: Mapping[str, Any], number: int, suffix: str) -> Path:
    """Where the scored rows of a part are."""
    return Path(told["folder"]) / f"scored-{number:05d}{suffix}"


def _score_one(told: Mapping[str, Any], number: int, bundle: Bundle, digest: str, done: Path, engine: Any) -> None:
    clock = [time.perf_counter()]
    frame = shards.read_part(told, number)
    clock.append(time.perf_counter())
    scored, tally = shards.score_part(bundle, told, number, frame)
    clock.append(time.perf_counter())
    spooled = _keep(engine, bundle, digest, frame, scored) if engine is not None else 0
    clock.append(time.perf_counter())
    start = sum(told["parts"][:number])
    tally |= {"number": number, "spooled": spooled, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}
    tally["seconds"] = dict(zip(("read", "score", "journal"), (b - a for a, b in zip(clock, clock[1:], strict=False)),
                                strict=True))
    part = done.with_suffix(".json.part")
    part.write_text(json.dumps(tally, ensure_ascii=False), encoding="utf-8")
    part.replace(done.with_suffix(".json"))
    scoring.write(scored, done)  # the last: where it is, all is done
    settings.say(f"rows {start + 1:,} to {start + len(frame):,}: {tally['scored']:,} scored, {tally['refused']:,} "
                 f"refused, {len(frame) / (clock[2] - clock[1]):,.0f} rows/s")


def _keep(engine: Any, bundle: Bundle, digest: str, frame: Any, scored: Any) -> int:
    """Write the lines of a part into the journal; how many lines went to the spool instead."""
    from lib.journal import utc_now
    from lib.journal_writer import keep

    predictions, rejects = shards.lines(bundle, digest, frame, scored, at=utc_now(), key=settings.pseudonym_key())
    spool, spooled = settings.spool_place(), 0
    for lots in (predictions, rejects):
        for start in range(0, len(lots), LOT):
            lot = lots[start:start + LOT]
            where = keep(engine, spool, lot) if lots is predictions else keep(engine, spool, [], lot)
            spooled += len(lot) if where == "spool" else 0
    return spooled


def _journal() -> Any:
    from lib.journal import open_journal

    return open_journal(settings.journal_place())


def _journal_opens() -> None:
    """Make the journal and the key of its pseudonyms, and move lines that wait into it, before any work."""
    from lib.journal_writer import empty

    engine = _journal()
    settings.pseudonym_key()
    empty(engine, settings.spool_place())
    engine.dispose()


def _promoted() -> dict[str, Any] | None:
    """The line in force of the problem whose served model changed last; None where nothing was ever promoted."""
    from lib.journal_promotions import champion, newest_problem

    place = settings.journal_place()
    if place.startswith("sqlite:///") and not Path(place.removeprefix("sqlite:///")).exists():
        return None
    engine = _journal()
    try:
        problem = newest_problem(engine)
        return champion(engine, problem) if problem else None
    finally:
        engine.dispose()
