"""Monitoring: one window of the journal against what the model was chosen on; JSON-ready reports."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING, Finding, Refused
from fivefold.core.intervals import wilson
from fivefold.core.parquet import from_parquet
from fivefold.core.scope import Scope
from fivefold.data.coerce import as_spelled, coerce_table
from fivefold.data.splits import Assignment, Split
from fivefold.journal.promotions import Promotion
from fivefold.lifecycle.drift import drift_findings, drift_table, score_drift
from fivefold.lifecycle.performance import estimate, performance_findings, realised
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.serving.json_rows import table_of
from fivefold.tracking import client

MOST_REFERENCE = (
    20_000  # training rows that are compared with a window; more sharpen nothing that matters
)
WARNED, REJECTED = (
    0.05,
    0.02,
)  # shares of rows with warnings, of refused rows, that are proven exceeded to be told
STALE_DAYS = 365  # age of a model's data
HEAVY = (
    0.1  # sum of weight x distance over drifted columns from which drift alone asks for retraining
)
ASK_FOR_RETRAINING = ("performance-realised", "performance-estimated", "calibration-realised")


def windows(
    first: datetime, days: float, now: datetime, known: datetime | None = None
) -> list[tuple[datetime, datetime]]:
    """Half-open windows of `days` from the midnight before the first prediction to `now`, where the last one, which may
    still be running, ends: also those to which nothing came, so that a silence is seen. With the start of a `known`
    window they begin a whole number of windows before or after it: the first prediction may be forgotten by and by.

    >>> from datetime import datetime as t
    >>> [(a.day, b.day) for a, b in windows(t(2026, 1, 1, 5), 7, t(2026, 1, 17))]
    [(1, 8), (8, 15), (15, 17)]
    """
    start, found = datetime(first.year, first.month, first.day), []
    if known is not None:
        start = known + (start - known) // timedelta(days=days) * timedelta(days=days)
    while start < now:
        found.append((start, min(start + timedelta(days=days), now)))
        start += timedelta(days=days)
    return found


def reference_of(pathspec: str) -> dict[str, Any]:
    """What a window is compared with, of the run that trained its model: bundle, training rows, and scores of held-out
    rows by a model that never saw them (`fivefold.tracking.client.evaluated_bundle`).
    """
    run = client.find_run(pathspec)
    bundle = from_bytes(*client.bundle_bytes(run))
    typed, fold_ids = from_parquet(client.require(run, "typed")), client.require(run, "place")
    train = Split(fold_ids).training_rows
    if len(train) > MOST_REFERENCE:
        train = np.sort(np.random.default_rng(0).choice(train, MOST_REFERENCE, replace=False))
    held = typed.iloc[np.flatnonzero(fold_ids == Assignment.HOLDOUT)]
    scores = client.evaluated_bundle(run, bundle).probability(held)
    return {
        "bundle": bundle,
        "typed": typed.iloc[train].reset_index(drop=True),
        "scores": scores,
        "expected": estimate(scores, bundle.metadata.threshold.value, 1.0, 1.0, seed=0)["auc"],
        "trained": bundle.metadata.provenance.started,
        "newest": (client.require(run, "source").get("feedback") or {}).get("newest"),
    }


def scope_of(pathspec: str) -> dict[str, Any]:
    """The problem of the run that trained a model; {} where it cannot be read."""
    return dict(client.read(client.find_run(pathspec), "problem") or {})


def judge_window(
    frame: pd.DataFrame,
    rejects: int,
    start: datetime,
    end: datetime,
    now: datetime,
    reference_for: Any = reference_of,
    seed: int = 0,
    silent: bool = False,
    served: Promotion | None = None,
) -> dict[str, Any]:
    """The report on the predictions of one window (`fivefold.journal.database.read_predictions`); JSON-ready.

    Judged are the rows of the model `served` at the end of the window (a line of `fivefold.journal.promotions`), at its
    threshold, else of the one that answered most; how many others there were is said. Keys: start, end, model,
    rows, others, rejects, drift, score, estimated, realised, coverage (share of rows with a label), delay_days
    (median), warned, latency_ms, findings, bad (whether it asks for a new model), reasons. `silent`: nothing came in
    the window before either, so that an empty one is a silence to tell of and not one that has just begun.
    """
    told: dict[str, Any] = {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "model": None,
        "rows": 0,
        "others": 0,
        "rejects": rejects,
        "drift": [],
        "score": None,
        "estimated": None,
        "realised": None,
        "coverage": None,
        "delay_days": None,
        "warned": None,
        "latency_ms": None,
        "bad": False,
        "reasons": [],
        "findings": [],
    }
    if not len(frame):
        told_of = "no predictions" + (", nor in the window before" if silent else "")
        nothing = Finding(
            code="no-traffic",
            severity=WARNING if rejects or silent else NOT_APPLICABLE,
            subject="journal",
            found=told_of + (f", {rejects:,} refused rows" if rejects else ""),
            expected="predictions",
            action="see that the callers reach the API"
            if not rejects
            else "look at the refused rows",
        )
        return {**told, "findings": [nothing.to_dict()]}
    model = (
        served.model if served and (frame["model"] == served.model).any() else _most(frame["model"])
    )
    mine = frame[frame["model"] == model]
    try:
        reference = reference_for(model)
    except Refused as refused:
        lost = Finding(
            code="model-unreadable",
            severity=WARNING,
            subject="model",
            found=f"{model}: {refused.findings[0].found}",
            expected="the training run of the model that answered",
            action="keep the runs of models that are served",
        )
        return {
            **told,
            "model": model,
            "rows": len(mine),
            "others": len(frame) - len(mine),
            "findings": [lost.to_dict()],
        }
    bundle: Bundle = reference["bundle"]
    scope, importance = bundle.metadata.scope, bundle.metadata.importance
    typed = typed_inputs(mine["inputs"], bundle)
    q = mine["probability"].to_numpy()
    threshold = float(
        served.threshold if served and served.model == model else _most(mine["threshold"])
    )
    kinds = {
        c.name: c.kind
        for c in bundle.schema.columns
        if c.used and c.name not in scope.pseudonymised_columns
    }
    asked = len(importance) / max(1, len(bundle.schema.names()))
    drift = drift_table(reference["typed"], typed, kinds, importance, min(1.0, asked))
    score = score_drift(reference["scores"], q)
    costs = (scope.cost_miss, scope.cost_false_alarm)
    known = mine["label"].notna().to_numpy()
    estimated = estimate(q, threshold, *costs, seed=seed)
    real = realised(mine["label"].to_numpy()[known].astype(int), q[known], threshold, *costs)
    delay = (mine["labelled_at"] - mine["at"])[known]
    warned = int((mine["warnings"] != "").sum())
    latency = mine["latency_ms"].dropna()
    findings = [
        *drift_findings(drift, score),
        *performance_findings(estimated, real, bundle.metadata.auc, reference.get("expected")),
        *operation_findings(
            len(mine),
            warned,
            len(frame),
            rejects,
            float(latency.median()) if len(latency) else None,
            scope,
        ),
        _coverage(len(mine), int(known.sum())),
        *age_findings(reference["trained"], reference.get("newest"), now),
    ]
    reasons = reasons_to_retrain(findings, drift)
    return {
        **told,
        "model": model,
        "rows": len(mine),
        "others": len(frame) - len(mine),
        "drift": drift,
        "score": score,
        "estimated": estimated,
        "realised": real,
        "coverage": float(known.mean()),
        "delay_days": float(delay.dt.total_seconds().median() / 86_400) if known.any() else None,
        "warned": warned / len(mine),
        "latency_ms": float(latency.median()) if len(latency) else None,
        "bad": bool(reasons),
        "reasons": reasons,
        "findings": [f.to_dict() for f in findings],
    }


def reasons_to_retrain(findings: list[Finding], drift: list[dict[str, Any]]) -> list[str]:
    """Why a window asks for a new model: a proven fall of performance, or drift in what the model leans on.

    Drift is a reason only while labels cannot tell: where they say that the model is as good as ever, it is none.
    """
    reasons = [
        f"{f.code}: {f.found}"
        for f in findings
        if f.severity == WARNING and f.code in ASK_FOR_RETRAINING
    ]
    stake = sum(line["stake"] or 0.0 for line in drift if line.get("drifted"))
    as_good = any(f.code == "performance-realised" and f.severity == PASSED for f in findings)
    if stake >= HEAVY and not as_good:
        names = sorted(
            (line for line in drift if line.get("drifted")),
            key=lambda line: -(line["stake"] or 0.0),
        )
        reasons.append(
            f"input-drift: {', '.join(line['column'] for line in names[:5])} "
            f"(weight x distance {stake:.2f}, at least {HEAVY:g})"
        )
    return reasons


def operation_findings(
    rows: int,
    warned: int,
    answered: int,
    rejects: int,
    latency_ms: float | None,
    scope: Scope,
) -> list[Finding]:
    """warnings-share, rejects-share (Wilson's lower bound against a fixed share) and latency (the scope's limit).

    `rows`: of the model that is judged, `warned` of them with warnings. `answered`: of all models, as `rejects` are.
    """
    found = []
    for code, hits, of, limit, what in (
        ("warnings-share", warned, rows, WARNED, "rows with warnings"),
        ("rejects-share", rejects, answered + rejects, REJECTED, "refused rows"),
    ):
        low = wilson(hits, of)[0]
        text = f"{hits / of:.1%} {what} ({hits:,} of {of:,})"
        found.append(
            Finding(
                code=code,
                severity=WARNING if low > limit else PASSED,
                subject="journal",
                found=text,
                expected=f"at most {limit:.0%}",
                action="look at what callers send: page Monitoring, table of warnings"
                if low > limit
                else "",
            )
        )
    limit_ms = scope.max_latency_ms
    if latency_ms is None or limit_ms is None:
        why = (
            "no latency on record"
            if latency_ms is None
            else f"{latency_ms:.1f} ms; the scope has no limit"
        )
        found.append(
            Finding(
                code="latency",
                severity=NOT_APPLICABLE,
                subject="journal",
                found=why,
                expected="a limit in the scope ([success] latency_ms)",
            )
        )
    else:
        slow = latency_ms > limit_ms
        found.append(
            Finding(
                code="latency",
                severity=WARNING if slow else PASSED,
                subject="journal",
                found=f"median {latency_ms:.1f} ms a row",
                expected=f"at most {limit_ms:g} ms",
                action="see what else runs on the machine" if slow else "",
            )
        )
    return found


def _most(values: pd.Series) -> Any:
    """The most frequent value, of equally frequent ones that which came last."""
    counts = values.value_counts()
    return values[values.isin(counts.index[counts == counts.max()])].iloc[-1]


def typed_inputs(inputs: pd.Series, bundle: Bundle) -> pd.DataFrame:
    """The journal's inputs as the typed table of the model's contract, read as they were when they were answered."""
    unknown = dict.fromkeys(bundle.schema.names())
    raw = table_of([unknown | json.loads(text) for text in inputs], bundle.schema)[0]
    spelled = {
        name: as_spelled(raw[name], bundle.schema[name].parse)
        for name in bundle.schema.names("date")
    }
    return coerce_table(raw.assign(**spelled), bundle.schema)[0]


def age_findings(trained: str | None, newest: str | None, now: datetime) -> list[Finding]:
    """stale-model and stale-data: days since the model was trained, and since the newest case it could learn from."""
    found = []
    for code, subject, what, since in (
        ("stale-model", "model", "trained", trained),
        ("stale-data", "data", "newest labelled prediction that was learnt from", newest),
    ):
        if not since:
            why = (
                "no time on record"
                if code == "stale-model"
                else "the table alone was learnt from; it tells no time"
            )
            found.append(Finding(code=code, severity=NOT_APPLICABLE, subject=subject, found=why))
            continue
        age = max(
            0.0, (now - datetime.fromisoformat(since).replace(tzinfo=None)).total_seconds() / 86_400
        )
        old = age > STALE_DAYS
        found.append(
            Finding(
                code=code,
                severity=WARNING if old else PASSED,
                subject=subject,
                found=f"{what} {age:.0f} days ago",
                expected=f"at most {STALE_DAYS} days",
                action="retrain on newer data" if old else "",
            )
        )
    return found


def _coverage(rows: int, labelled: int) -> Finding:
    found = f"labels for {labelled / rows:.0%} of the predictions ({labelled:,} of {rows:,})"
    if labelled:
        return Finding(code="label-coverage", severity=PASSED, subject="journal", found=found)
    return Finding(
        code="label-coverage",
        severity=NOT_APPLICABLE,
        subject="journal",
        found=found,
        expected="labels",
        action="give them: flows/feedback.py, the API or the app; until then performance is an estimate only",
    )
