"""Score stages: the bodies of the steps of `flows/score.py`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.findings import ERROR, Finding, Refused, print_warnings
from fivefold.core.schema import Schema
from fivefold.data.table_parts import TableParts, cut_table, read_part, remove_parts
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.serving import result_files, shards
from fivefold.serving.batch import table_key
from fivefold.tracking import client

if TYPE_CHECKING:
    from fivefold.journal.promotions import Promotion

LOT = 5_000  # rows of one transaction of the journal: others may write between two of them
MOST = 100  # shards; Metaflow's own limit of a foreach


def choose(train_run: str, record: bool, problem: str = "") -> dict[str, Any]:
    """{model, bundle (bytes), sha256, line, why}: the run asked for, else the promoted model, else the latest run.

    Promoted for `problem`, by default for the one whose served model or threshold changed last.

    `line` is what the record of promotions says of the model, None where it was not taken from there. Raises `Refused`
    where there is no model, the promoted one was changed, or the journal is wanted and does not answer.
    """
    promoted = (
        _promoted(record, problem) if record or (not train_run and _journal_exists()) else None
    )
    line = None if train_run else promoted
    if problem and not train_run and line is None:
        from fivefold.serving.served_model import no_model

        raise no_model(problem)
    run = client.find_run(line.model if line else train_run or None)
    blob, digest = client.bundle_bytes(run)
    why = "as asked" if train_run else "the latest finished run"
    if line:
        from fivefold.serving.served_model import load

        why = f"promoted {line.at:%Y-%m-%d %H:%M} UTC"
        if digest != line.sha256:
            load(run.pathspec, line)  # says what is wrong
    return {
        "model": run.pathspec,
        "bundle": blob,
        "sha256": digest,
        "why": why,
        "line": {"threshold": line.threshold, "why": line.why} if line else None,
    }


def prepare(
    source: str,
    query: str,
    out: Path,
    run_id: str,
    rows: int,
    schema: Schema,
    origin: str | None = None,
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """(what `fivefold.data.table_parts.cut_table` cut, findings): the source in parts beside the output, known to fit the contract.

    `origin`: the run that this one resumes, whose parts are removed: it stopped while it cut them.
    """
    if rows < 1:
        raise Refused(
            "The table cannot be cut",
            [
                Finding(
                    code="shard-rows",
                    severity=ERROR,
                    subject="--shard-rows",
                    found=f"{rows}",
                    expected="1 or more",
                    action="leave it out",
                )
            ],
        )
    around = out.with_name(f"{out.name}.parts")
    if origin:
        remove_parts(around / origin)
    parts, found = cut_table(source, query or None, around / run_id, rows)
    try:
        differs = shards.check(parts, schema)
    except BaseException:
        remove_parts(Path(parts.folder))
        raise
    print_warnings(differs)
    return parts.to_dict(), [f.to_dict() for f in (*found, *differs)]


def score(
    told: Mapping[str, Any],
    numbers: Sequence[int],
    blob: bytes,
    digest: str,
    line: Mapping[str, Any] | None,
    out: str,
    record: bool,
) -> list[dict[str, Any]]:
    """Score some parts, at the threshold of `line`; keep them in the journal and beside their source; their tallies.

    A part whose result is there already, from a task that was killed, is not scored again.
    """
    from fivefold.serving.served_model import at_threshold

    trained = from_bytes(blob, digest)
    bundle = at_threshold(trained, line["threshold"], line["why"]) if line else trained
    engine, tallies = _journal() if record else None, []
    value = bundle.metadata.threshold.value
    parts = TableParts.from_dict(told)
    key = table_key(parts.key, value, trained.metadata.threshold.value)
    parts = replace(parts, key=key)
    for number in numbers:
        done = _result(parts, number, out)
        if not done.exists():
            _score_one(parts, number, bundle, digest, done, engine)
        tallies.append(json.loads(done.with_suffix(".json").read_text(encoding="utf-8")))
    return tallies


def gather(told: Mapping[str, Any], tallies: Sequence[dict[str, Any]], out: str) -> dict[str, Any]:
    """Write the result from those of the parts; the tally of the whole."""
    parts = TableParts.from_dict(told)
    result_files.join(
        [_result(parts, number, out) for number in range(len(parts.row_counts))], Path(out)
    )
    return result_files.merge(sorted(tallies, key=lambda tally: tally["number"]))


def closing(tally: Mapping[str, Any], model: str, why: str, out: str) -> str:
    """The last words."""
    lines = [
        f"{tally['scored']:,} of {tally['rows']:,} rows scored by {model} ({why}) into {out}: "
        f"{tally['decisions']}",
        f"{tally['with_warnings']:,} rows with warnings, {tally['refused']:,} rows that could not be scored",
    ]
    if tally["spooled"]:
        lines.append(f"{tally['spooled']:,} rows wait for the journal in {settings.spool_folder()}")
    return "\n".join(lines)


def _result(parts: TableParts, number: int, out: str) -> Path:
    """Where the scored rows of a part are."""
    return Path(parts.folder) / f"scored-{number:05d}{Path(out).suffix}"


def _score_one(
    parts: TableParts, number: int, bundle: Bundle, digest: str, done: Path, engine: Any
) -> None:
    began = time.perf_counter()
    frame = read_part(parts, number)
    read = time.perf_counter()
    scored, tally = shards.score_part(bundle, parts, number, frame)
    known = time.perf_counter()
    spooled = _keep(engine, bundle, digest, frame, scored) if engine is not None else 0
    tally |= {
        "number": number,
        "spooled": spooled,
        "seconds": {
            "read": read - began,
            "score": known - read,
            "journal": time.perf_counter() - known,
        },
    }
    part = done.with_suffix(
        f".json.part{os.getpid()}"
    )  # an orphan of a killed run may be at the same
    part.write_text(json.dumps(tally, ensure_ascii=False), encoding="utf-8")
    part.replace(done.with_suffix(".json"))
    result_files.write(scored, done)  # the last: where it is, all is done
    start = parts.first_row(number)
    settings.say(
        f"rows {start + 1:,} to {start + len(frame):,}: {tally['scored']:,} scored, {tally['refused']:,} "
        f"refused, {len(frame) / (known - read):,.0f} rows/s"
    )


def _keep(engine: Any, bundle: Bundle, digest: str, frame: Any, scored: Any) -> int:
    """Write the lines of a part into the journal; how many of its rows went to the spool instead."""
    from fivefold.journal.writer import keep

    at, key, spool, spooled = utc_now(), settings.pseudonym_key(), settings.spool_folder(), 0
    for start in range(0, len(frame), LOT):
        lot = slice(start, start + LOT)
        lines = shards.lines(bundle, digest, frame.iloc[lot], scored.iloc[lot], at=at, key=key)
        spooled += sum(map(len, lines)) if keep(engine, spool, *lines) == "spool" else 0
    return spooled


def _journal() -> Any:
    from fivefold.journal.database import open_journal

    return open_journal(settings.journal_url())


def _journal_exists() -> bool:
    """Whether there may be promotions; a journal that nobody has written to is not made for the question."""
    place = settings.journal_url()
    return not place.startswith("sqlite:///") or Path(place.removeprefix("sqlite:///")).exists()


def _promoted(record: bool, problem: str = "") -> Promotion | None:
    """The line in force of the problem, or of the one whose served model changed last; None where there is none.

    `record`: lines will be written, so the key of pseudonyms is made, and lines that wait in the spool are moved.
    """
    from fivefold.journal.promotions import champion, newest_problem
    from fivefold.journal.writer import empty

    engine = _journal()
    try:
        if record:
            settings.pseudonym_key()
            empty(engine, settings.spool_folder())
        name = problem or newest_problem(engine)
        return champion(engine, name) if name else None
    finally:
        engine.dispose()
