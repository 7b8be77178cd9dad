"""Promotion: who is served. The first model promotes itself, a later one has to prove itself, a person may decide."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, NOT_APPLICABLE, PASSED, WARNING, Finding, Refused
from fivefold.core.parquet import from_parquet
from fivefold.core.schema import Schema
from fivefold.core.scope import problem_name
from fivefold.data.splits import Assignment, Split
from fivefold.journal import promotions
from fivefold.lifecycle.challenge import HELD_OUT, MARGIN, RECENT, challenge
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.serving.smoke_test import smoke
from fivefold.tracking import client
from fivefold.training import labelled_rows

SELF = "fivefold"  # who, where no person decided


def first(
    engine: Any,
    problem: dict[str, Any],
    pathspec: str,
    sha256: str,
    evaluation: dict[str, Any],
    who: str = SELF,
) -> dict[str, Any] | None:
    """Promote a problem's first model where it meets the scope; the line that was recorded, None beside another.

    Without a wanted ROC AUC in the scope any first model is promoted. One that is below it, or of which it cannot be
    told, is recorded as kept back, with the reason.
    """
    name = problem_name(problem)
    if held := promotions.champion(engine, name):
        return (
            held if held["sha256"] == sha256 and held["action"] == promotions.PROMOTED else None
        )  # a resumed run
    success = next(f for f in evaluation["findings"] if f["code"] == "success-roc-auc")
    wanted = problem.get("min_roc_auc")
    facts: dict[str, Any] = {
        "model": pathspec,
        "sha256": sha256,
        "threshold": evaluation["threshold"]["value"],
        "who": who,
        "numbers": {"roc_auc": evaluation["auc"]},
    }
    if wanted is None or success["severity"] == PASSED:
        aim = f"wanted {wanted:g}" if wanted else "nothing wanted in the scope"
        why = f"first model; {success['found']}, {aim}"
        return promotions.record(engine, name, promotions.PROMOTED, why=why, replaces=0, **facts)
    why = f"first model, kept back: {success['found']}, wanted {success['expected']}"
    return promotions.record(engine, name, promotions.KEPT, why=why, **facts)


def promote(engine: Any, run_id: str, who: str, why: str) -> dict[str, Any]:
    """Serve a run's model because a person says so. Raises `Refused` where the run has no model."""
    _, bundle, facts = _candidate(run_id)
    name = bundle.metadata.scope.problem
    held = promotions.champion(engine, name)
    return promotions.record(
        engine,
        name,
        promotions.PROMOTED,
        who=who,
        why=why,
        numbers={"roc_auc": bundle.metadata.auc},
        replaces=held["seq"] if held else 0,
        **facts,
    )


def judge(
    engine: Any,
    run_id: str,
    root: Path,
    *,
    who: str = SELF,
    margin: float = MARGIN,
    require_approval: bool = False,
) -> dict[str, Any]:
    """Let a run's model prove itself against the champion; the recorded line (promoted, kept, waiting, overtaken).

    Raises `Refused` where there is no champion or the run has no model.
    """
    run, bundle, facts = _candidate(run_id)
    facts["who"], name = who, bundle.metadata.scope.problem
    held = promotions.champion(engine, name)
    if held is None:
        raise Refused(
            "Nothing can be judged",
            [
                Finding(
                    code="nothing-promoted",
                    severity=ERROR,
                    subject=name,
                    found="no champion",
                    expected="one to compare with",
                    action=f"python flows/promote.py promote {run_id}",
                )
            ],
        )
    if held["sha256"] == facts["sha256"]:
        return promotions.record(
            engine, name, promotions.KEPT, why="this model is served already", **facts
        )
    told = compare(run, bundle, held, margin)
    if told["promote"]:
        told = _served(told, run, bundle, root)
    if not told["promote"]:
        return promotions.record(
            engine, name, promotions.KEPT, why=told["why"], numbers=told, **facts
        )
    if require_approval:
        return promotions.record(
            engine,
            name,
            promotions.WAITING,
            why=told["why"],
            numbers={**told, "against": held["seq"]},
            **facts,
        )
    return promotions.record(
        engine,
        name,
        promotions.PROMOTED,
        why=told["why"],
        numbers=told,
        replaces=held["seq"],
        **facts,
    )


def _candidate(run_id: str) -> tuple[Any, Bundle, dict[str, Any]]:
    """(run, bundle, {model, sha256, threshold} for the record) of a run. Raises `Refused` where it has no model."""
    run = client.find_run(run_id)
    blob, digest = client.bundle_bytes(run)
    bundle = from_bytes(blob, digest)
    return (
        run,
        bundle,
        {"model": run.pathspec, "sha256": digest, "threshold": bundle.metadata.threshold.value},
    )


def compare(run: Any, bundle: Bundle, held: dict[str, Any], margin: float) -> dict[str, Any]:
    """`challenge` of the run's model and the champion `held` on held-out rows the like of which neither learnt from.

    A served model that learnt from them too is stood for by the one that was judged on them (`fivefold.tracking.client.evaluated_bundle`).
    Rows often come twice, a case that is asked about again: then one may be held out and its twin learnt from.
    """
    other = client.find_run(held["model"])
    champion, challenger = (
        client.evaluated_bundle(other, from_bytes(*client.bundle_bytes(other))),
        client.evaluated_bundle(run, bundle),
    )
    fold_ids, table = client.require(run, "place"), from_parquet(client.require(run, "table"))
    origin = client.read(run, "origin")
    origin = np.zeros(len(fold_ids), dtype="int8") if origin is None else origin
    held_out = np.flatnonzero(
        (fold_ids == Assignment.HOLDOUT) & (origin != labelled_rows.ASIDE_OLD)
    )
    rows, y = (
        table.iloc[held_out].reset_index(drop=True),
        client.require(run, "labels")["y"][held_out],
    )
    theirs = from_parquet(client.require(other, "table"))
    learnt = theirs.iloc[Split(client.require(other, "place")).training_rows]
    contract, recent = (
        Schema.from_json(client.require(run, "contract")),
        origin[held_out] != labelled_rows.BASE,
    )
    fresh = labelled_rows.unseen(rows, learnt, contract) & labelled_rows.unseen(
        rows, table.iloc[Split(fold_ids).training_rows], contract
    )
    rows, y = rows[fresh].reset_index(drop=True), y[fresh]
    names = np.where(recent, RECENT, HELD_OUT)[fresh]
    scored = {
        who: model.score(rows)["probability"].to_numpy()
        for who, model in (("old", champion), ("new", challenger))
    }
    good = np.isfinite(scored["old"]) & np.isfinite(scored["new"])
    watched = [n for n in bundle.metadata.scope.protected_columns if n in rows.columns]
    told = challenge(
        y[good],
        scored["old"][good],
        scored["new"][good],
        names[good],
        rows.loc[good, watched].reset_index(drop=True) if watched else None,
        margin,
    )
    return {
        **told,
        "champion": held["model"],
        "challenger": run.pathspec,
        "left_out": int((~fresh).sum()),
    }


def _served(told: dict[str, Any], run: Any, bundle: Bundle, root: Path) -> dict[str, Any]:
    """`told` after a smoke test in the real server and a look at the time that it takes."""
    example = client.require(run, "example")
    expected = bundle.score(pd.DataFrame(example))["probability"].tolist()
    began, answer = time.monotonic(), smoke(run.pathspec, example, expected, root)
    limit = bundle.metadata.scope.max_latency_ms
    findings = [
        Finding(
            code="challenge-smoke",
            severity=PASSED if answer["ok"] else WARNING,
            subject="server",
            found=answer["why"],
            expected="the model's own answers from the real server",
            action="" if answer["ok"] else "keep the champion",
        )
    ]
    took = answer["latency_ms"]
    if took is None or limit is None:
        findings.append(
            Finding(
                code="challenge-latency",
                severity=NOT_APPLICABLE,
                subject="latency",
                found="not judged: no limit in the scope" if took is not None else "not measured",
            )
        )
    else:
        findings.append(
            Finding(
                code="challenge-latency",
                severity=PASSED if took <= limit else WARNING,
                subject="latency",
                found=f"{took:.1f} ms a row",
                expected=f"at most {limit:g} ms",
            )
        )
    bad = [f for f in findings if f.severity == WARNING]
    why = f"Not promoted: {'; '.join(f.found for f in bad)} ({told['why']})" if bad else told["why"]
    return {
        **told,
        "promote": not bad,
        "why": why,
        "latency_ms": took,
        "smoke_seconds": round(time.monotonic() - began, 1),
        "findings": [*told["findings"], *(f.to_dict() for f in findings)],
    }
