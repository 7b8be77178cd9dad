"""Window: the predictions of a time window against the rows on which their model was chosen."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, Finding, Refused, verdict, warnings
from fivefold.core.intervals import wilson
from fivefold.core.parquet import from_parquet
from fivefold.core.schema import NOW
from fivefold.core.scope import Scope
from fivefold.core.text import listed
from fivefold.data.ages import with_ages
from fivefold.data.coerce import coerce_table
from fivefold.data.row_groups import hash_rows
from fivefold.data.splits import Assignment, Split
from fivefold.journal.promotions import Promotion
from fivefold.lifecycle.challenge import RECENT
from fivefold.lifecycle.drift import (
    DriftLine,
    by_stake,
    drift_findings,
    drift_table,
    is_answered,
    score_drift,
)
from fivefold.lifecycle.performance import (
    MIN_CLASS,
    MIN_ROWS,
    Auc,
    estimate,
    latency_finding,
    performance_findings,
    realised,
)
from fivefold.lifecycle.report import WindowReport
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.model.label_sample import Chosen, LabelSample, Maturity, choose
from fivefold.model.threshold import Costs, Threshold
from fivefold.serving.json_rows import table_of
from fivefold.tracking import client

MOST_REFERENCE = 20_000  # training rows that are compared with a window
MOST_WARNED = 0.05  # share of rows with warnings; more is a finding, if proven
MOST_REJECTED = 0.02  # share of refused rows; more is a finding, if proven
STALE_DAYS = 365  # age of a model's data
HEAVY = 0.1  # sum of weight x distance of drifted columns from which drift asks for retraining
NEWEST_LABEL = "newest labelled prediction that was learnt from"
ON_LABELS = ("performance-realised", "calibration-realised")
ASK_FOR_RETRAINING = (*ON_LABELS, "performance-estimated")
LOOKS = 10  # at a window that runs: one a day, and some
FOLLOW_DAYS, FOLLOW_ROWS = 14, 500  # before a challenge was won: the rows that drift is seen from
CONTROL_DAYS = 90  # before the end of a window from which control cases are taken if it has few


@dataclass(frozen=True)
class Reference:
    """What a window is compared with: a model, the rows it learnt from, and held-out scores.

    The scores come from a model that never saw those rows
    (`fivefold.tracking.client.evaluated_bundle`); `expected_auc` is the estimate for them.
    `newest_label` is the time of the newest labelled prediction that the model learnt from, ISO
    8601. `baseline`: the ROC AUC to compare with; None: that of the held-out rows.

    It follows what is served: of a model that won a challenge, the rows are those that came just
    before, and `baseline` is its ROC AUC on the recent rows of that challenge (`followed`). What
    had changed by then is answered; drift is what changes from there.
    """

    bundle: Bundle
    typed: pd.DataFrame
    scores: np.ndarray
    expected_auc: Auc | None = None
    newest_label: str | None = None
    baseline: Auc | None = None


def _nothing() -> pd.DataFrame:
    names = ("at", "model", "probability", "label", "labelled_at", "acted", "control")
    return pd.DataFrame({name: [] for name in names})


@dataclass(frozen=True)
class Past:
    """What was known before a window, or beside it.

    silent: nothing came in the window before. predictions: those of the last `CONTROL_DAYS` and of
    the window, without their inputs. only_events: no negative was ever reported. answered: the
    report that was there when its drift was acknowledged by a person or answered by a challenge.
    running: the window has not ended yet.
    """

    silent: bool = False
    predictions: pd.DataFrame = field(default_factory=_nothing)
    only_events: bool = False
    answered: WindowReport | None = None
    running: bool = False


def cut_windows(
    first: datetime, days: float, now: datetime, known_start: datetime | None = None
) -> list[tuple[datetime, datetime]]:
    """Return half-open windows from the midnight before the first prediction to `now`.

    The last one, which may still be running, ends at `now`. Windows without predictions are among
    them, so that a silence is seen. With the start of a known window they begin a whole number of
    windows before or after it: retention may remove the first prediction in time.

    >>> from datetime import datetime as t
    >>> [(a.day, b.day) for a, b in cut_windows(t(2026, 1, 1, 5), 7, t(2026, 1, 17))]
    [(1, 8), (8, 15), (15, 17)]
    """
    length = timedelta(days=days)
    start, windows = datetime(first.year, first.month, first.day), []
    if known_start is not None:
        start = known_start + (start - known_start) // length * length
    while start < now:
        windows.append((start, min(start + length, now)))
        start += length
    return windows


def reference_of(
    pathspec: str, won: Promotion | None = None, recent: pd.DataFrame | None = None
) -> Reference:
    """Return the reference of the run that trained a model. Raises `Refused`.

    `won`: the promotion after the challenge that it won, if it did; `recent`: the predictions (at,
    inputs) of the `FOLLOW_DAYS` before.
    """
    run = client.find_run(pathspec)
    bundle = from_bytes(*client.bundle_bytes(run))
    typed, fold_ids = from_parquet(client.require(run, "typed")), client.require(run, "place")
    rows = Split(fold_ids).training_rows
    if len(rows) > MOST_REFERENCE:
        rows = np.sort(np.random.default_rng(0).choice(rows, MOST_REFERENCE, replace=False))
    held_out = typed.iloc[np.flatnonzero(fold_ids == Assignment.HOLDOUT)]
    evaluated = client.evaluated_bundle(run, bundle)
    scores = evaluated.probability(held_out)
    expected = estimate(scores, bundle.metadata.threshold, Costs(1.0, 1.0), seed=0)
    feedback = client.require(run, "source").get("feedback") or {}
    reference = Reference(
        bundle=bundle,
        typed=typed.iloc[rows].reset_index(drop=True),
        scores=scores,
        expected_auc=expected.auc,
        newest_label=feedback.get("newest"),
    )
    if won is None or recent is None:
        return reference
    learnt = typed.iloc[Split(fold_ids).training_rows]
    now_typed = typed_inputs(recent["inputs"], bundle, recent["at"])
    return followed(reference, now_typed, learnt, evaluated, won.numbers)


def followed(
    reference: Reference,
    recent: pd.DataFrame,
    learnt: pd.DataFrame,
    evaluated: Bundle,
    numbers: Mapping[str, Any],
) -> Reference:
    """Return the reference of a model that won a challenge.

    Parameters
    ----------
    recent, learnt
        Typed rows: those that came just before, and those that the model learnt from, which give
        no scores. With fewer than `FOLLOW_ROWS` of the former the rows stay the old ones.
    evaluated
        The model that never saw its held-out rows.
    numbers
        The challenge, as the journal keeps it.
    """
    strata = {stratum["name"]: stratum for stratum in numbers.get("strata") or ()}
    baseline = strata.get(RECENT, {}).get("challenger")
    reference = replace(reference, baseline=baseline)
    if len(recent) < FOLLOW_ROWS:
        return reference
    if len(recent) > MOST_REFERENCE:
        recent = recent.sample(MOST_REFERENCE, random_state=0)
    common = [name for name in reference.bundle.schema.names() if name in learnt]
    new = ~np.isin(hash_rows(recent[common]), hash_rows(learnt[common]))
    scores = evaluated.probability(recent[new])
    expected = estimate(scores, evaluated.metadata.threshold, Costs(1.0, 1.0), seed=0)
    typed = recent.reset_index(drop=True)
    if len(scores) < MIN_ROWS:
        return replace(reference, typed=typed)
    return replace(reference, typed=typed, scores=scores, expected_auc=expected.auc)


def evaluate_window(
    report: WindowReport,
    frame: pd.DataFrame,
    served: Promotion | None,
    past: Past,
    now: datetime,
    reference_for: Callable[[str], Reference],
) -> WindowReport:
    """Compare the predictions of a window with the reference of their model.

    The rows of the served model count, at its threshold. If it answered none, those of the model
    that answered most count, at its most frequent threshold.

    Parameters
    ----------
    report
        The window's start, end and number of refused rows, to be completed.
    frame
        Its rows of `fivefold.journal.database.read_predictions`.
    served
        What was served at the end of the window.
    past
        What was known before.
    """
    if frame.empty:
        return replace(report, findings=[_no_traffic(report.rejects, past.silent)])
    if served and (frame["model"] == served.model).any():
        model, threshold = served.model, served.threshold
    else:
        model = str(_most_frequent(frame["model"]))
        threshold = _most_frequent(frame.loc[frame["model"] == model, "threshold"])
    rows = frame[frame["model"] == model]
    report = replace(report, model=model, rows=len(rows), other_rows=len(frame) - len(rows))
    try:
        reference = reference_for(model)
    except Refused as refused:
        unreadable = verdict(
            True,
            "model-unreadable",
            "model",
            found=f"{model}: {refused.findings[0].found}",
            expected="the training run of the model that answered",
            action="keep the runs of models that are served",
        )
        return replace(report, findings=[unreadable])
    return _compare(report, rows, reference, Threshold(float(threshold)), past, now)


def _compare(
    report: WindowReport,
    rows: pd.DataFrame,
    reference: Reference,
    threshold: Threshold,
    past: Past,
    now: datetime,
) -> WindowReport:
    bundle = reference.bundle
    scope, importance = bundle.metadata.scope, bundle.metadata.importance
    kinds = {}
    for column in bundle.schema.columns:
        compared = column.used and column.name not in scope.pseudonymised_columns
        if compared and column.name != bundle.schema.reference:  # time itself is no drift
            kinds[column.name] = column.kind
    known_share = min(1.0, len(importance) / len(bundle.schema.names()))
    before, contract = with_ages(reference.typed, bundle.schema)
    now_typed, _ = with_ages(typed_inputs(rows["inputs"], bundle, rows["at"]), bundle.schema)
    kinds = {name: contract[name].kind for name in kinds}
    drift = drift_table(before, now_typed, kinds, importance, known_share)
    q = rows["probability"].to_numpy()
    score = score_drift(reference.scores, q)
    then = past.answered
    if then is not None and then.model == report.model:
        lines = {line.column: line for line in then.drift}
        drift = [
            replace(line, answered=is_answered(line, lines.get(line.column))) for line in drift
        ]
        score = replace(score, answered=is_answered(score, then.score))

    labelled = rows["label"].notna().to_numpy()
    estimated = estimate(q, threshold, Costs.of(scope), seed=0)
    names = [line.column for line in by_stake(drift)]
    chosen, judged_q = _labels_of(report, rows, now_typed[names], threshold, past, scope, now)
    sample = chosen.sample
    y, weights = chosen.y, chosen.weights
    if not sample.judged:
        y, judged_q = np.empty(0), np.empty(0)
    real = realised(y, judged_q, threshold, Costs.of(scope), weights)
    delays = (rows["labelled_at"] - rows["at"])[labelled]
    delay_days = float(delays.dt.total_seconds().median() / 86_400) if labelled.any() else None
    latencies = rows["latency_ms"].dropna()
    latency_ms = float(latencies.median()) if len(latencies) else None
    warned = int((rows["warnings"] != "").sum())
    arrived = report.rows + report.other_rows + report.rejects
    findings = [
        *drift_findings(drift, score),
        *performance_findings(
            estimated,
            real,
            reference.baseline or bundle.metadata.auc,
            reference.expected_auc,
            sample,
            LOOKS if past.running else 1,
        ),
        _share_finding("warnings-share", "rows with warnings", warned, len(rows), MOST_WARNED),
        _share_finding("rejects-share", "refused rows", report.rejects, arrived, MOST_REJECTED),
        latency_finding("latency", "journal", latency_ms, scope.max_latency_ms),
        _coverage_finding(int(labelled.sum()), len(rows), sample),
        age_finding("stale-model", "trained", bundle.metadata.provenance.started, now),
        age_finding("stale-data", NEWEST_LABEL, reference.newest_label, now),
    ]
    return replace(
        report,
        drift=drift,
        score=score,
        estimated=estimated,
        realised=real,
        labels=sample,
        label_coverage=float(labelled.mean()),
        label_delay_days=delay_days,
        warned=warned / len(rows),
        latency_ms=latency_ms,
        reasons=reasons_to_retrain(findings, drift),
        label_reasons=_reasons_of(findings, ON_LABELS),
        findings=findings,
    )


def reasons_to_retrain(findings: Sequence[Finding], drift: Sequence[DriftLine]) -> list[str]:
    """Return why a window asks for a new model.

    A reason is a proven fall of performance, or drift of the columns that matter to the model.
    Drift is no reason if it was answered, or if labels say that the model is as good as before.
    """
    reasons = _reasons_of(findings, ASK_FOR_RETRAINING)
    drifted = by_stake([line for line in drift if line.drifted and not line.answered])
    stake = sum(line.stake or 0.0 for line in drifted)
    as_good = any(f.code == "performance-realised" and f.severity == PASSED for f in findings)
    if stake >= HEAVY and not as_good:
        names = listed([line.column for line in drifted])
        reasons.append(f"input-drift: {names} (weight x distance {stake:.2f}, at least {HEAVY:g})")
    return reasons


def _reasons_of(findings: Sequence[Finding], codes: Sequence[str]) -> list[str]:
    return [f"{f.code}: {f.found}" for f in warnings(findings) if f.code in codes]


def _labels_of(
    report: WindowReport,
    rows: pd.DataFrame,
    inputs: pd.DataFrame,
    threshold: Threshold,
    past: Past,
    scope: Scope,
    now: datetime,
) -> tuple[Chosen, np.ndarray]:
    """Return the labelled cases on which the model is judged, and their probabilities.

    With a control share these are the control cases of the window; of as many days before it as
    are needed if it has few.
    """
    known = past.predictions[past.predictions["label"].notna() & ~past.predictions["acted"]]
    controls = scope.control_share is not None
    maturity = Maturity(scope.horizon_days, past.only_events, controls)
    cases = rows
    if controls:
        cases, inputs = rows[rows["control"]], pd.DataFrame(index=rows.index[rows["control"]])
    chosen = choose(cases, inputs, threshold.value, maturity, known, now)
    days = (report.end - report.start) / timedelta(days=1)
    while controls and days < CONTROL_DAYS and _few(chosen):
        days = min(2 * days, CONTROL_DAYS)
        earlier = past.predictions
        since = earlier["at"] >= report.end - timedelta(days=days)
        own = (earlier["model"] == report.model) & earlier["control"]
        cases = earlier[since & own & (earlier["at"] < report.end)]
        none = pd.DataFrame(index=cases.index)
        chosen = choose(cases, none, threshold.value, maturity, known, now)
    return chosen, cases["probability"].to_numpy()[chosen.rows]


def _few(chosen: Chosen) -> bool:
    positives = int(chosen.y.sum())
    return min(positives, len(chosen.y) - positives) < MIN_CLASS


def typed_inputs(inputs: pd.Series, bundle: Bundle, at: pd.Series | None = None) -> pd.DataFrame:
    """Return the journal's inputs as a typed table, read as they were when they were answered.

    `at`: when that was; without it, now.
    """
    unknown = dict.fromkeys(bundle.schema.names())
    raw = table_of([unknown | json.loads(text) for text in inputs], bundle.schema)[0]
    if at is not None:
        raw[NOW] = at.dt.normalize().to_numpy()
    return coerce_table(raw, bundle.schema)[0]


def age_finding(code: str, what: str, since: str | None, now: datetime) -> Finding:
    """Compare the days since a time in ISO 8601 with the limit."""
    stale, found = None, f"{what}: not on record"
    if since:
        age = now - datetime.fromisoformat(since).replace(tzinfo=None)
        days = max(0.0, age / timedelta(days=1))
        stale, found = days > STALE_DAYS, f"{what} {days:.0f} days ago"
    return verdict(
        stale,
        code,
        code.removeprefix("stale-"),
        found=found,
        expected=f"at most {STALE_DAYS} days",
        action="retrain on newer data",
    )


def _no_traffic(rejects: int, silent_before: bool) -> Finding:
    found = "no predictions"
    if silent_before:
        found += ", nor in the window before"
    action = "check that the callers reach the API"
    if rejects:
        found += f", {rejects:,} refused rows"
        action = "look at the refused rows"
    is_problem = rejects > 0 or silent_before
    return verdict(
        is_problem or None,
        "no-traffic",
        "journal",
        found=found,
        expected="predictions",
        action=action,
    )


def _share_finding(code: str, what: str, hits: int, of: int, limit: float) -> Finding:
    """Compare the lower end of Wilson's interval with a limit."""
    return verdict(
        wilson(hits, of)[0] > limit,
        code,
        "journal",
        found=f"{hits / of:.1%} {what} ({hits:,} of {of:,})",
        expected=f"at most {limit:.0%}",
        action="look at what callers send: page Monitoring, table of warnings",
    )


def _coverage_finding(labelled: int, rows: int, sample: LabelSample) -> Finding:
    found = f"labels for {labelled / rows:.0%} of the predictions ({labelled:,} of {rows:,})"
    if labelled:
        found += f"; {sample}"
    return verdict(
        False if labelled else None,
        "label-coverage",
        "journal",
        found=found,
        expected="labels",
        action="send them with flows/feedback.py, the API or the app; "
        "until then performance is only an estimate",
    )


def _most_frequent(values: pd.Series) -> Any:
    """Return the most frequent value; of equally frequent ones the one that came last."""
    return values[values.isin(values.mode())].iloc[-1]
