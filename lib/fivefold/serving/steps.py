"""The bodies of the steps of `flows/score.py`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core import settings
from fivefold.core.clock import utc_now
from fivefold.core.findings import print_warnings, refusal
from fivefold.data.missing_markers import rules_for
from fivefold.data.reading.table_parts import TableParts, cut_table, read_part, remove_parts
from fivefold.journal import database, promotions, writer
from fivefold.journal.promotions import Promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.model.explain import require_background
from fivefold.serving import batch, reasons, result_files, served_model
from fivefold.serving.batch import ScoredTable, Tally
from fivefold.serving.journal_rows import Recorder
from fivefold.serving.served_model import ServedModel
from fivefold.tracking import client

TRANSACTION_ROWS = 5_000  # others may write to the journal between two transactions
MAX_SHARDS = 100  # Metaflow's own limit of a foreach


@dataclass(frozen=True)
class ChosenModel:
    """The model that scores a table.

    bundle: its bytes.
    sha256: their digest.
    why: how the model was chosen.
    promotion: {threshold, why} of the promotion in force; None if the model was chosen otherwise.
    """

    pathspec: str
    bundle: bytes
    sha256: str
    why: str
    promotion: dict[str, Any] | None


def choose_model(train_run: str, record: bool, problem: str = "") -> ChosenModel:
    """Choose the training run that was asked for, else the promoted model, else the latest run.

    Parameters
    ----------
    train_run
        Id of a training run, or "".
    record
        Whether rows will go into the journal, which must answer then.
    problem
        Whose promoted model to take; by default that of the problem whose model changed last.

    Raises
    ------
    Refused
        There is no model, the promoted one was changed, or the journal does not answer.
    """
    promotion = None
    if record or (not train_run and _journal_exists()):
        promotion = _promotion(record, problem)
    if train_run:
        promotion = None
    elif problem and promotion is None:
        raise served_model.no_model(problem)
    run = client.find_run(promotion.model if promotion else train_run)
    blob, digest = client.bundle_bytes(run)
    why, kept = "as asked" if train_run else "the latest finished run", None
    if promotion:
        if digest != promotion.sha256:
            served_model.load(run.pathspec, promotion)  # raises, and says what is wrong
        why = f"promoted {promotion.at:%Y-%m-%d %H:%M} UTC"
        kept = {"threshold": promotion.threshold, "why": promotion.why}
    return ChosenModel(run.pathspec, blob, digest, why, kept)


def prepare(
    source: str,
    query: str,
    out: Path,
    run_id: str,
    rows: int,
    bundle: Bundle,
    origin: str | None = None,
    explain: bool = False,
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Cut the source into parts beside the output, and check that it fits the bundle's contract.

    `origin` is the run that this one resumes: it stopped while it cut, so its parts are removed.
    Returns `TableParts` and the findings as plain dicts.
    """
    if rows < 1:
        raise refusal(
            "The table cannot be cut",
            code="shard-rows",
            subject="--shard-rows",
            found=f"{rows}",
            expected="1 or more",
            action="leave it out",
        )
    if explain:
        require_background(bundle)
    folder = out.with_name(f"{out.name}.parts")
    if origin:
        remove_parts(folder / origin)
    rules = rules_for(bundle.schema, bundle.metadata.scope)
    parts, findings = cut_table(source, query or None, folder / run_id, rows, rules)
    try:
        differences = batch.check_parts(parts, bundle)
    except BaseException:
        remove_parts(Path(parts.folder))
        raise
    print_warnings(differences)
    return parts.to_dict(), [finding.to_dict() for finding in (*findings, *differences)]


def score(
    stored_parts: Mapping[str, Any],
    numbers: Sequence[int],
    blob: bytes,
    digest: str,
    promotion: Mapping[str, Any] | None,
    out: str,
    record: bool,
    explain: bool = False,
) -> list[dict[str, Any]]:
    """Score some parts at the promoted threshold, record them and write them beside their source.

    `explain`: with reasons, for the highest probabilities first (`fivefold.serving.reasons.TABLE`).

    A part whose result is there already, from a task that was killed, is not scored again. Returns
    the tallies of the parts as plain dicts.
    """
    trained = from_bytes(blob, digest)
    bundle = trained
    if promotion:
        bundle = served_model.at_threshold(trained, promotion["threshold"], promotion["why"])
    parts = TableParts.from_dict(stored_parts)
    metadata = bundle.metadata
    key = batch.table_key(parts.key, metadata.threshold.value, trained.metadata.threshold.value)
    parts = replace(parts, key=key)
    model = ServedModel(bundle, digest, metadata.provenance.pathspec)
    engine = recorder = None
    if record:
        engine = database.open_journal(settings.journal_url())
        recorder = Recorder(model, "batch", settings.pseudonym_key())
    tallies = []
    for number in numbers:
        result = _result_path(parts, number, out)
        if not result.exists():
            _score_part(parts, number, model, result, (engine, recorder), explain)
        tallies.append(json.loads(result.with_suffix(".json").read_text(encoding="utf-8")))
    return tallies


def gather(
    stored_parts: Mapping[str, Any], tallies: Sequence[Mapping[str, Any]], out: str
) -> Tally:
    """Join the results of the parts into one file; return the tally of the table."""
    parts = TableParts.from_dict(stored_parts)
    numbers = range(len(parts.row_counts))
    result_files.join([_result_path(parts, number, out) for number in numbers], Path(out))
    in_order = sorted(tallies, key=lambda tally: tally["number"])
    return Tally.merge(map(Tally.from_dict, in_order))


def closing(tally: Tally, model: str, why: str, out: str, explain: bool = False) -> str:
    """Return the last words of a run."""
    lines = [
        f"{tally.scored:,} of {tally.rows:,} rows scored by {model} ({why}) into {out}: "
        f"{tally.decisions}",
        f"{tally.with_warnings:,} rows with warnings, "
        f"{tally.refused:,} rows that could not be scored",
    ]
    if explain:
        told = reasons.limits_text(tally.explained, tally.scored, reasons.TABLE)
        lines.append(f"{told}, the highest probabilities of each part first")
    if tally.spooled:
        lines.append(f"{tally.spooled:,} rows wait for the journal in {settings.spool_folder()}")
    return "\n".join(lines)


def _result_path(parts: TableParts, number: int, out: str) -> Path:
    """Return where the scored rows of a part are written, and beside them their tally."""
    return Path(parts.folder) / f"scored-{number:05d}{Path(out).suffix}"


def _score_part(
    parts: TableParts,
    number: int,
    model: ServedModel,
    result: Path,
    journal: tuple[Any, Recorder | None],
    explain: bool,
) -> None:
    engine, recorder = journal
    began = time.perf_counter()
    frame = read_part(parts, number)
    read = time.perf_counter()
    scored = batch.score_part(model.bundle, parts, number, frame)
    if explain:
        limits = reasons.TABLE.share(len(frame), sum(parts.row_counts))
        probability = scored.assessment.scores["probability"].to_numpy()
        order = np.argsort(-probability, kind="stable")[: scored.tally.scored].tolist()
        explained = reasons.explain_rows(model.bundle, frame, order, limits)
        scored = batch.with_reasons(scored, reasons.texts(explained, len(frame)))
    tally = scored.tally
    done = time.perf_counter()
    spooled = _record(engine, recorder, frame, scored) if recorder else 0
    seconds = {
        "read": read - began,
        "score": done - read,
        "journal": time.perf_counter() - done,
    }
    stored = replace(tally, spooled=spooled).to_dict() | {"number": number, "seconds": seconds}
    # a task that was killed may still be writing the same file
    draft = result.with_suffix(f".json.part{os.getpid()}")
    draft.write_text(json.dumps(stored, ensure_ascii=False), encoding="utf-8")
    draft.replace(result.with_suffix(".json"))
    result_files.write(scored.rows, result)  # last: where it is, everything of the part is done
    start = parts.first_row(number)
    settings.say(
        f"rows {start + 1:,} to {start + len(frame):,}: {tally.scored:,} scored, {tally.refused:,} "
        f"refused, {len(frame) / (done - read):,.0f} rows/s"
    )


def _record(engine: Any, recorder: Recorder, frame: pd.DataFrame, scored: ScoredTable) -> int:
    """Write the journal rows of a part; return how many of them went to the spool instead."""
    at = utc_now()
    spool = settings.spool_folder()
    ids = scored.ids
    spooled = 0
    for start in range(0, len(frame), TRANSACTION_ROWS):
        stop = min(start + TRANSACTION_ROWS, len(frame))
        assessment = scored.assessment.part(start, stop)
        rows = recorder.table(frame.iloc[start:stop], assessment, ids[start:stop], at)
        if writer.keep(engine, spool, *rows) == "spool":
            spooled += stop - start
    return spooled


def _journal_exists() -> bool:
    """Whether there may be promotions; a journal is not created just to look."""
    url = settings.journal_url()
    return not url.startswith("sqlite:///") or Path(url.removeprefix("sqlite:///")).exists()


def _promotion(record: bool, problem: str) -> Promotion | None:
    """Return the promotion in force.

    `record`: rows will be written, so the key of the pseudonyms is made, and rows that wait in the
    spool are moved into the journal.
    """
    engine = database.open_journal(settings.journal_url())
    try:
        if record:
            settings.pseudonym_key()
            writer.empty(engine, settings.spool_folder())
        return promotions.champion(engine, problem)
    finally:
        engine.dispose()
