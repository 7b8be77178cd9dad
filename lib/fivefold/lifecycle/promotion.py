"""Promotion: which model is served.

The first model promotes itself, a later one must be proven better, and a person may decide.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, Refused, refusal, warnings
from fivefold.core.parquet import from_parquet
from fivefold.core.schema import Schema
from fivefold.data.splits import Assignment, Split
from fivefold.journal import promotions
from fivefold.journal.database import Engine
from fivefold.journal.promotions import Decision, Promotion
from fivefold.lifecycle.challenge import HELD_OUT, MARGIN, RECENT, Challenge, challenge
from fivefold.lifecycle.floor import (
    floor_findings,
    held_back_by,
    new_doubts,
    reasons,
    smoke_finding,
)
from fivefold.lifecycle.looks import Look, next_look
from fivefold.lifecycle.performance import latency_finding
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.model.evaluation import Evaluation
from fivefold.serving.local_server import smoke
from fivefold.tracking import client
from fivefold.training import labelled_rows


@dataclass(frozen=True)
class Candidate:
    """A run's model that may be promoted."""

    run: Any  # a `metaflow.Run`
    bundle: Bundle
    sha256: str

    @property
    def problem(self) -> str:
        """The name under which the journal keeps what belongs to the model."""
        return self.bundle.metadata.scope.problem

    @property
    def evaluation(self) -> Evaluation:
        """The evaluation of the model, empty before it was evaluated."""
        return self.bundle.metadata.evaluation or Evaluation()

    def decision(self, action: str, who: str, why: str, **more: Any) -> Decision:
        """Return a decision about this model."""
        return Decision(
            action=action,
            model=self.run.pathspec,
            sha256=self.sha256,
            threshold=self.bundle.metadata.threshold.value,
            who=who,
            why=why,
            **more,
        )


def promote(engine: Engine, run_id: str, who: str, why: str) -> Promotion:
    """Serve a run's model because a person says so.

    What would hold a first model back takes a reason in words, which goes on record with it.

    Raises
    ------
    Refused
        If the run has no model, or something holds it back and `why` is empty.
    """
    candidate = _candidate(run_id)
    findings = held_back_by(candidate.evaluation, candidate.bundle.metadata.scope)
    if findings and not why:
        command = f'python flows/promote.py promote {run_id} --why "..."'
        action = f"{command}, with why it should be served nevertheless"
        held = [replace(f, severity=ERROR, action=action) for f in findings]
        raise Refused("The model is not served without a reason", held)
    served = promotions.champion(engine, candidate.problem)
    decision = candidate.decision(
        promotions.PROMOTED,
        who,
        why or "promoted by hand",
        numbers={
            "roc_auc": candidate.bundle.metadata.auc,
            "in_spite_of": [finding.to_dict() for finding in findings],
        },
        replaces=served.seq if served else 0,
    )
    return promotions.append(engine, candidate.problem, decision)


def challenge_champion(
    engine: Engine,
    run_id: str,
    root: Path,
    *,
    who: str = promotions.SELF,
    margin: float = MARGIN,
    require_approval: bool = False,
) -> Promotion:
    """Compare a run's model with the champion and record the result.

    The recorded action is promoted, kept, waiting (for a person) or overtaken.

    Raises
    ------
    Refused
        If there is no champion, or the run has no model.
    """
    candidate = _candidate(run_id)
    problem = candidate.problem
    champion = promotions.champion(engine, problem)
    if champion is None:
        raise refusal(
            "There is nothing to compare with",
            code="nothing-promoted",
            subject=problem,
            found="no champion",
            expected="one to compare with",
            action=f"python flows/promote.py promote {run_id}",
        )
    if champion.sha256 == candidate.sha256:
        why = "this model is served already"
        return promotions.append(engine, problem, candidate.decision(promotions.KEPT, who, why))
    holdout = str((client.read(candidate.run, "source") or {}).get("md5", ""))
    history = promotions.history(engine, problem)
    look = next_look(history, holdout, candidate.run.pathspec, champion.model)
    result = _with_floor(compare(candidate, champion, margin, look), candidate, champion)
    if result.promote:
        result = _try_to_serve(result, candidate, root)
    numbers, replaces = result.to_dict(), None
    if not result.promote:
        action = promotions.KEPT
    elif require_approval:
        action, numbers["against"] = promotions.WAITING, champion.seq
    else:
        action, replaces = promotions.PROMOTED, champion.seq
    decision = candidate.decision(action, who, result.why, numbers=numbers, replaces=replaces)
    return promotions.append(engine, problem, decision)


def compare(candidate: Candidate, champion: Promotion, margin: float, look: Look) -> Challenge:
    """Return the challenge of the champion on held-out rows from which neither model has learnt.

    If the served model was fitted on all rows, the evaluated model stands for it
    (`fivefold.tracking.client.evaluated_bundle`). A case often occurs twice, because somebody asked
    again: rows are left out if a row like them is among the training rows of either model.
    """
    run, other = candidate.run, client.find_run(champion.model)
    champion_model = client.evaluated_bundle(other, from_bytes(*client.bundle_bytes(other)))
    challenger_model = client.evaluated_bundle(run, candidate.bundle)

    fold_ids = client.require(run, "place")
    table = from_parquet(client.require(run, "table"))
    origin = client.read(run, "origin")
    if origin is None:
        origin = np.zeros(len(fold_ids), dtype="int8")
    held_out = np.flatnonzero(
        (fold_ids == Assignment.HOLDOUT) & (origin != labelled_rows.ASIDE_OLD)
    )
    rows = table.iloc[held_out]
    other_table = from_parquet(client.require(other, "table"))
    learnt_by_champion = other_table.iloc[Split(client.require(other, "place")).training_rows]
    learnt_by_challenger = table.iloc[Split(fold_ids).training_rows]
    schema = Schema.from_json(client.require(run, "contract"))
    unseen = labelled_rows.unseen(rows, learnt_by_champion, schema)
    unseen &= labelled_rows.unseen(rows, learnt_by_challenger, schema)
    rows = rows[unseen].reset_index(drop=True)

    old = champion_model.score(rows)["probability"].to_numpy()
    new = challenger_model.score(rows)["probability"].to_numpy()
    scored = np.isfinite(old) & np.isfinite(new)
    protected = candidate.bundle.metadata.scope.protected_columns
    columns = [name for name in protected if name in rows.columns]
    compared = held_out[unseen][scored]
    result = challenge(
        client.require(run, "labels")["y"][compared],
        old[scored],
        new[scored],
        np.where(origin[compared] == labelled_rows.BASE, HELD_OUT, RECENT),
        rows.loc[scored, columns],
        margin,
        look,
    )
    return replace(
        result,
        champion=champion.model,
        challenger=run.pathspec,
        left_out=int((~unseen).sum()),
    )


def _candidate(run_id: str) -> Candidate:
    run = client.find_run(run_id)
    blob, digest = client.bundle_bytes(run)
    return Candidate(run, from_bytes(blob, digest), digest)


def _with_floor(result: Challenge, candidate: Candidate, champion: Promotion) -> Challenge:
    """Return the challenge with the findings that no gain outweighs (`fivefold.lifecycle.floor`).

    A doubt that the champion was promoted in spite of is none about its challenger.
    """
    content = client.bundle_bytes(client.find_run(champion.model))
    known = from_bytes(*content, with_model=False).metadata.evaluation
    accepted = known.findings if known else ()
    findings = floor_findings(candidate.evaluation)
    findings += new_doubts(candidate.evaluation, accepted)
    why, failed = result.why, warnings(findings)
    if failed and result.promote:
        why = f"Not promoted: {reasons(failed)} ({result.why})"
    return replace(
        result,
        promote=result.promote and not failed,
        why=why,
        findings=(*result.findings, *findings),
    )


def _try_to_serve(result: Challenge, candidate: Candidate, root: Path) -> Challenge:
    """Return the challenge after a smoke test in the real server, with the latency measured."""
    example = client.require(candidate.run, "example")
    expected = candidate.bundle.score(pd.DataFrame(example))["probability"].tolist()
    began = time.monotonic()
    answer = smoke(candidate.run.pathspec, example, expected, root)
    limit_ms = candidate.bundle.metadata.scope.max_latency_ms
    latency = latency_finding("challenge-latency", "latency", answer.latency_ms, limit_ms)
    findings = [smoke_finding(answer), latency]
    failed, why = warnings(findings), result.why
    if failed:
        why = f"Not promoted: {'; '.join(f.found for f in failed)} ({result.why})"
    return replace(
        result,
        promote=not failed,
        why=why,
        latency_ms=answer.latency_ms,
        smoke_seconds=round(time.monotonic() - began, 1),
        findings=(*result.findings, *findings),
    )
