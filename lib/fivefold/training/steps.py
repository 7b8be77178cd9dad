"""Steps of `flows/train.py` up to the search: the body of each, from artifacts to artifacts.

Artifacts are bytes, arrays and plain dicts. A step returns a type whose fields are the artifacts
that it makes; `run` is the flow, or anything with its artifacts and options as attributes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fivefold.core.findings import from_dicts, print_warnings
from fivefold.core.parquet import from_parquet, to_parquet
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.core.settings import journal_url, say
from fivefold.data.splits import Assignment, Split
from fivefold.training import checkpoints
from fivefold.training.algorithms import ALGORITHMS, usable_device
from fivefold.training.row_weights import row_weights
from fivefold.training.time_budget import (
    TimeBudget,
    importance_seconds,
    most_rows,
    refit_choice,
    slowness,
)
from fivefold.training.training_data import FitOptions, TrainingData, synthetic_sampler


@dataclass(frozen=True)
class TableArtifacts:
    """The table as Parquet, the problem, facts on the source, findings, and row origins."""

    problem: dict[str, Any]
    table: bytes
    source: dict[str, Any]
    findings: list[dict[str, str]]
    origin: np.ndarray


@dataclass(frozen=True)
class ValidationArtifacts:
    """All findings, labels {y, negative, positive}, and the schema of all rows as JSON.

    `validating` has the seconds of this work, which measure the machine.

    That schema is for reports and for the split; the model's own contract has its kinds, and
    levels and ranges from training rows (`split`).
    """

    findings: list[dict[str, str]]
    labels: dict[str, Any]
    whole: str
    validating: float


@dataclass(frozen=True)
class SplitArtifacts:
    """Fold assignment, input contract (JSON), and the typed table (Parquet).

    `weights` has the weight of each row, None where all are the same.

    `searched` has the positions of the rows that are searched, `search` these rows. `preparing`
    has the seconds of this work and the one before.
    """

    place: np.ndarray
    contract: str
    typed: bytes
    searched: np.ndarray
    search: bytes
    split_findings: list[dict[str, str]]
    preparing: float
    weights: np.ndarray | None


def collect(
    scope: Scope, root: Path, rev: str, budget: float, with_feedback: bool
) -> TableArtifacts:
    """Read the scope's data, with or without feedback, and find out which rows belong together.

    A budget in seconds bounds the number of rows.
    """
    from fivefold.training import intake, labelled_rows

    dataset, facts = intake.collect(scope, root, rev)
    scope = intake.with_categories(scope, dataset)
    size = f"{dataset.rows:,} rows x {dataset.frame.shape[1]} columns"
    print(f"Read {size} from {facts['source']} (md5 {dataset.md5})")
    frame, drawn = intake.draw(dataset.frame, most_rows(budget))
    scope, repeated = intake.with_group(frame, scope)
    findings = [*dataset.findings, *drawn, *repeated]
    origin = np.zeros(len(frame), dtype="int8")
    if with_feedback:
        feedback = labelled_rows.with_labelled(frame, scope, journal_url())
        frame, origin = feedback.frame, feedback.origin
        facts = {**facts, "feedback": feedback.facts}
        findings += feedback.findings
        count, kept = feedback.facts["rows"], feedback.facts["set_aside"]
        old = feedback.facts["set_aside_old"]
        print(
            f"Feedback: {count:,} labelled predictions, {kept:,} of them kept for evaluation"
            + (f" ({old:,} of these too old for a comparison of models)" if old else "")
        )
        print_warnings(feedback.findings)
    return TableArtifacts(
        problem=scope.to_dict(),
        table=to_parquet(frame),
        source=facts,
        findings=[finding.to_dict() for finding in findings],
        origin=origin,
    )


def validate(run: Any) -> ValidationArtifacts:
    """Check the table. Raises `Refused` with every error."""
    from fivefold.training import intake

    began = _ready()
    target, schema, findings = intake.validate(
        from_parquet(run.table), Scope.from_dict(run.problem), from_dicts(run.findings), run.seed
    )
    print_warnings(findings)
    labels = {"y": target.y, "negative": target.negative, "positive": target.positive}
    return ValidationArtifacts(
        findings=[finding.to_dict() for finding in findings],
        labels=labels,
        whole=schema.to_json(),
        validating=time.monotonic() - began,
    )


def _ready() -> float:
    """Return the time on a clock, once the libraries are imported that a step will use."""
    import sklearn.model_selection
    import sklearn.tree  # noqa: F401

    return time.monotonic()


def explore(
    run: Any, earlier: tuple[dict[str, Any], str] | None
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Return the EDA summary and what changed since an earlier run (its summary and time).

    A report on all rows; only cards and people read it. With synthetic rows, `fidelity`
    measures how similar they are to the real ones.
    """
    from fivefold.data.coerce import coerce_table
    from fivefold.profiling.comparison import compare
    from fivefold.profiling.summary import summarise

    scope, schema = Scope.from_dict(run.problem), Schema.from_json(run.whole)
    y = run.labels["y"]
    typed, _ = coerce_table(from_parquet(run.table), schema, used_only=False)
    summary = summarise(typed, y, schema, scope, from_dicts(run.findings), run.source)
    changes = None
    if earlier is not None:
        before, since = earlier
        if set(summary) == set(before) - {"fidelity"}:  # not the summary of another version
            changes = {"since": since, "changes": compare(summary, before)}
    if run.synthetic_rows > 0:
        from fivefold.data.synthetic.fidelity import assess

        kinds = {name: schema[name].kind for name in schema.names()}
        labelled = typed[list(kinds)].assign(**{schema.target: y})[y >= 0]
        known = labelled.reset_index(drop=True)
        summary["fidelity"] = assess(known, schema.target, kinds, run.seed)
    return summary, changes


def split(run: Any) -> SplitArtifacts:
    """Assign rows to folds and holdout, and infer the input contract from training rows alone.

    Only the kinds of the columns are those of all rows, which the findings speak of.
    The rows of the table itself (`run.origin`, `fivefold.training.labelled_rows`) are split as they
    would be without feedback. Held-out rows are read by the contract, as served rows will be.
    """
    from fivefold.data.coerce import coerce_again, coerce_table
    from fivefold.data.infer import infer_schema, with_levels
    from fivefold.training import intake, labelled_rows, number_levels

    began = _ready()
    frame, scope = from_parquet(run.table), Scope.from_dict(run.problem)
    names = (run.labels["negative"], run.labels["positive"])
    base = np.flatnonzero(run.origin == labelled_rows.BASE)
    with_feedback = len(base) < len(frame)
    schema = Schema.from_json(run.whole)
    rows: Any = slice(None)
    if with_feedback:
        schema, rows = infer_schema(frame, scope, names, base), base
    typed, _ = coerce_table(frame, schema)
    y = run.labels["y"][rows]
    inputs = typed[schema.names()]
    fold_ids, findings = intake.split(
        frame.iloc[rows], inputs.iloc[rows], scope, y, run.folds, run.seed
    )
    if with_feedback:
        groups = labelled_rows.case_codes(frame, scope)
        fold_ids, duplicates = labelled_rows.split_feedback(
            fold_ids, run.origin, groups, inputs, run.labels["y"]
        )
        findings += duplicates
    training_rows = Split(fold_ids).training_rows
    contract = infer_schema(frame, scope, names, training_rows, schema)
    levels = number_levels.find_levels(typed, run.labels["y"], fold_ids, schema, scope)
    levels = {name: found for name, found in levels.items() if contract[name].kind == "numeric"}
    contract = with_levels(contract, frame, levels, scope, training_rows)
    findings += number_levels.level_findings(levels)
    findings += intake.reference_findings(contract, scope)
    typed = coerce_again(frame, typed, schema, contract)
    weights = row_weights(frame, scope, contract, run.labels["y"], fold_ids)
    del frame
    searched = Split(fold_ids).searched_rows(run.seed)
    search = typed.iloc[searched]
    intake.refuse_unlearnable(search, contract)
    print_warnings(findings)
    print(_split_line(fold_ids))
    kept, kept_search = to_parquet(typed), to_parquet(search)
    return SplitArtifacts(
        place=fold_ids,
        contract=contract.to_json(),
        typed=kept,
        searched=searched,
        search=kept_search,
        split_findings=[finding.to_dict() for finding in findings],
        preparing=run.validating + time.monotonic() - began,
        weights=weights,
    )


def _split_line(fold_ids: np.ndarray) -> str:
    split_of = Split(fold_ids)
    train_only = int((fold_ids == Assignment.TRAIN_ONLY).sum())
    more = f"{train_only:,} only for training, " if train_only else ""
    in_folds = f"{len(split_of.scored_rows):,} rows in {split_of.fold_count} folds"
    return f"{in_folds}, {more}{len(split_of.holdout_rows):,} rows held out until the end"


def seconds_gone(started_variable: str, started: str) -> float:
    """Return the seconds since the scheduler started.

    The environment variable has its time of start; without it `started` (ISO) is used.
    """
    since = os.environ.get(started_variable, datetime.fromisoformat(started).timestamp())
    return time.time() - float(since)


def time_budget(run: Any, workers: int) -> TimeBudget:
    """Return the time budget of a run, `workers` searches at a time."""
    rows = len(run.place)
    refit = refit_choice(run.refit, run.budget, rows)
    slower = slowness(run.preparing, rows)
    return TimeBudget(run.budget or np.inf, run.before_arms, rows, workers, refit, slower)


def tune(
    run: Any, storage: Any, report: Callable[[Any], None], seconds: float
) -> tuple[dict[str, Any], np.ndarray] | None:
    """Search the algorithm `run.input`.

    Returns the candidate, and out-of-fold probabilities of the searched rows; None if the budget
    has no time for it.

    Trials that are kept in `storage` are not repeated. `report` gets a
    `fivefold.training.search.Progress`.
    """
    from fivefold.training.search import NoTime, SearchHooks, search

    name = run.input
    device, reason = usable_device(run.device, name)
    if reason:
        say(f"warning: {reason}")

    def rival_score() -> float:
        """Return the best mean score of the other searches.

        Read under a budget only, because it depends on the clock.
        """
        reached = []
        for other in ALGORITHMS:
            if other != name:
                kept = checkpoints.load(storage, _checkpoint_path(run, other), scores=False)
                reached += [scored.trial.score for scored in kept if scored.trial.complete]
        return max(reached, default=-np.inf)

    path = _checkpoint_path(run, name)
    saved = checkpoints.load(storage, path)
    if saved:
        say(f"{name}: {len(saved)} finished trials loaded")
    schema, rows = Schema.from_json(run.contract), run.searched
    hooks = SearchHooks(
        save=lambda scored: checkpoints.save(storage, path, scored),
        report=report,
        rival_score=rival_score,
    )
    try:
        candidate, oof = search(
            name,
            TrainingData(
                from_parquet(run.search),
                run.labels["y"][rows],
                run.place[rows],
                schema,
                weights_of(run, rows),
            ),
            fit_options(run, schema, run.threads, device),
            trials=run.trials,
            seconds=seconds,
            saved=saved,
            hooks=hooks,
        )
    except NoTime:
        say(f"{name}: the budget has no time for it; the others get its time")
        return None
    return candidate.to_dict(), oof


def weights_of(run: Any, rows: Any = slice(None)) -> np.ndarray | None:
    """Return the weights of these rows; None for all the same, as in runs before there were any."""
    weights = getattr(run, "weights", None)
    return None if weights is None else weights[rows]


def algorithms(run: Any, workers: int) -> list[str]:
    """Return the algorithms to start: those that the budget has time for and the scope allows."""
    schema = Schema.from_json(run.contract)
    names = time_budget(run, workers).algorithms(len(schema.names()))
    return [name for name in names if ALGORITHMS[name].keeps_monotone or not schema.directions]


def fit_options(run: Any, schema: Schema, threads: int, device: str) -> FitOptions:
    """Return how the models of a run are fitted."""
    sampler = synthetic_sampler(run.synthetic_rows, schema, run.seed)
    importance = importance_seconds(run.budget or np.inf)
    metric = Scope.from_dict(run.problem).metric
    return FitOptions(run.seed, threads, device, sampler, importance, metric)


def _checkpoint_path(run: Any, name: str) -> str:
    """Return where the trials of an algorithm are kept, by everything that they depend on."""
    entry, source = ALGORITHMS[name], run.source
    key = checkpoints.key(
        source["md5"],
        source.get("feedback", {}).get("md5"),
        run.problem,
        run.place,
        run.seed,
        run.synthetic_rows,
        [
            entry.defaults,
            entry.space,
            entry.max_rows,
            entry.large_defaults,
            entry.large_space,
            entry.code_defaults,
            entry.text_defaults,
            entry.top_k,
        ],
    )
    return f"{run.first_run_id}/{name}/{key}"
