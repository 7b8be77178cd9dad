"""Stages: the body of each step of `flows/train.py`, from artifacts (bytes, arrays, plain dicts) to artifacts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import from_dicts, print_warnings
from fivefold.core.parquet import from_parquet, to_parquet
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.core.settings import journal_url, say


def collect(
    scope: Scope, root: Path, rev: str, budget: float = 0
) -> tuple[dict, bytes, dict, list[dict]]:
    """(problem, table as Parquet, source facts, findings) of the scope's data, or of as many of its rows as the
    `budget` in seconds allows.
    """
    from fivefold.training import intake
    from fivefold.training.time_budget import most_rows

    dataset, facts = intake.collect(scope, root, rev or None)
    print(
        f"Read {dataset.rows:,} rows x {dataset.frame.shape[1]} columns from {facts['source']} (md5 {dataset.md5})"
    )
    frame, found = intake.draw(dataset.frame, most_rows(budget))
    return (
        scope.to_dict(),
        to_parquet(frame),
        facts,
        [f.to_dict() for f in (*dataset.findings, *found)],
    )


def take_feedback(
    table: bytes, problem: dict, facts: dict, found: list[dict], wanted: bool
) -> tuple[bytes, dict, list[dict], np.ndarray]:
    """(table, source facts, findings, origin of each row): where `wanted`, with the labelled predictions under it."""
    from fivefold.training import labelled_rows

    frame = from_parquet(table)
    if not wanted:
        return table, facts, found, np.zeros(len(frame), dtype="int8")
    joined, told, findings, origin = labelled_rows.with_labelled(
        frame, Scope.from_dict(problem), journal_url()
    )
    print(
        f"Feedback: {told['rows']:,} labelled predictions, {told['set_aside']:,} of them set aside to judge on"
    )
    print_warnings(findings)
    return (
        to_parquet(joined),
        {**facts, "feedback": told},
        [*found, *(f.to_dict() for f in findings)],
        origin,
    )


def validate(
    table: bytes, problem: dict, found: list[dict], seed: int
) -> tuple[list[dict], dict[str, Any], str]:
    """(findings, labels {y, negative, positive}, schema of all rows as JSON). Raises `Refused` naming every error.

    That schema is for reports and for the cuts; the model's contract is made of training rows (`split`).
    """
    from fivefold.training import intake

    target, schema, findings = intake.validate(
        from_parquet(table), Scope.from_dict(problem), from_dicts(found), seed
    )
    print_warnings(findings)
    labels = {"y": target.y, "negative": target.negative, "positive": target.positive}
    return [f.to_dict() for f in findings], labels, schema.to_json()


def explore(
    table: bytes,
    problem: dict,
    labels: dict,
    whole: str,
    found: list[dict],
    source: dict,
    earlier: tuple[dict, str] | None,
    seed: int,
    synthetic_rows: int = 0,
) -> tuple[dict, dict | None]:
    """(EDA summary, what changed since the earlier run). A report on all rows; nothing reads it but cards and people.

    When synthetic rows are asked for, the summary's `fidelity` says how like the real ones they are.
    """
    from fivefold.data.coerce import coerce_table
    from fivefold.profiling.comparison import compare
    from fivefold.profiling.summary import summarise

    scope, schema = Scope.from_dict(problem), Schema.from_json(whole)
    typed, _ = coerce_table(from_parquet(table), schema, used_only=False)
    summary = summarise(typed, labels["y"], schema, scope, from_dicts(found), source)
    same_form = earlier and set(summary) == set(earlier[0]) - {
        "fidelity"
    }  # another version's summary says nothing
    changes = (
        {"since": earlier[1], "changes": compare(summary, earlier[0])}
        if earlier and same_form
        else None
    )
    if synthetic_rows > 0:
        from fivefold.data.synthetic.fidelity import assess

        rows = labels["y"] >= 0
        kinds = {name: schema[name].kind for name in schema.names()}
        known = typed.loc[rows, list(kinds)].assign(**{schema.target: labels["y"][rows]})
        summary["fidelity"] = assess(known.reset_index(drop=True), schema.target, kinds, seed)
    return summary, changes


def split(
    table: bytes, problem: dict, labels: dict, whole: str, folds: int, seed: int, origin: np.ndarray
) -> tuple[np.ndarray, str, bytes, np.ndarray, bytes, list[dict]]:
    """(fold assignment of each row, input contract as JSON, typed table as Parquet, positions of the rows that the search looks
    at, these rows as Parquet, findings).

    The rows of the table itself (`origin`, `fivefold.training.labelled_rows`) get the places that they would get without feedback.

    The contract is inferred from training rows alone; held-out rows are then read by it, as served rows will be.
    """
    from fivefold.data.coerce import coerce_again, coerce_table
    from fivefold.data.infer import infer_schema
    from fivefold.data.row_groups import twin_groups
    from fivefold.data.splits import Assignment, Split
    from fivefold.training import intake, labelled_rows

    frame, scope = from_parquet(table), Scope.from_dict(problem)
    names = (labels["negative"], labels["positive"])
    base = np.flatnonzero(origin == labelled_rows.BASE)
    alone = len(base) == len(frame)
    schema = Schema.from_json(whole) if alone else infer_schema(frame, scope, names, base)
    typed, _ = coerce_table(frame, schema)
    base_frame, base_typed = (frame, typed) if alone else (frame.iloc[base], typed.iloc[base])
    y = labels["y"][: len(base)]
    fold_ids, found = intake.split(base_frame, base_typed, scope, y, folds, seed)
    if not alone:
        groups = pd.factorize(frame[scope.group_column])[0] if scope.group_column else None
        fold_ids = labelled_rows.place_feedback(fold_ids, origin, groups)
        same = twin_groups(typed, base[labels["y"][base] >= 0])
        if same is not None:
            before, fold_ids = fold_ids, labelled_rows.apart(fold_ids, origin, same)
            found = [*found, *labelled_rows.twins_told(before, fold_ids)]
    contract = infer_schema(frame, scope, names, Split(fold_ids).training_rows)
    typed = coerce_again(frame, typed, schema, contract)
    del frame, base_frame, base_typed
    searched = Split(fold_ids).searched_rows(seed)
    search = typed.iloc[searched]
    intake.refuse_unlearnable(search, contract)
    print_warnings(found)
    only = (
        f"{(fold_ids == Assignment.TRAIN_ONLY).sum():,} that only train, "
        if (fold_ids == Assignment.TRAIN_ONLY).any()
        else ""
    )
    print(
        f"{(fold_ids >= 0).sum():,} rows in {fold_ids.max() + 1} folds, {only}{(fold_ids == -1).sum():,} rows held out until "
        "the end"
    )
    return (
        fold_ids,
        contract.to_json(),
        to_parquet(typed),
        searched,
        to_parquet(search),
        [f.to_dict() for f in found],
    )


def seconds_gone(started_variable: str, started: str) -> float:
    """Seconds since the scheduler started, where an environment variable tells that, else since `started` (ISO)."""
    return time.time() - float(
        os.environ.get(started_variable, datetime.fromisoformat(started).timestamp())
    )


def tune(
    run: Any, storage: Any, report: Callable[[dict], None], seconds: float | None
) -> tuple[dict, np.ndarray]:
    """(candidate, out-of-fold probabilities of the searched rows) of the arm `run.input`; trials kept in `storage` are
    not redone.
    """
    from fivefold.training import checkpoints
    from fivefold.training import search as tuning
    from fivefold.training.algorithms import ALGORITHMS
    from fivefold.training.device import usable

    name = run.input
    device, told = usable(run.device, name)
    if told:
        say(f"warning: {told}")

    def place_of(arm: str) -> str:
        entry = ALGORITHMS[arm]
        depends = checkpoints.key(
            run.source["md5"],
            run.source.get("feedback", {}).get("md5"),
            run.problem,
            run.place,
            run.seed,
            run.synthetic_rows,
            [
                list(entry.defaults),
                dict(entry.space),
                entry.max_rows,
                list(entry.large),
                dict(entry.large_space),
                entry.team,
            ],
        )
        return f"{run.first_run_id}/{arm}/{depends}"

    def rival() -> (
        float | None
    ):  # asked under a budget only: what others have reached depends on the clock
        reached = [
            trial["auc"]
            for other in ALGORITHMS
            if other != name
            for trial, _ in checkpoints.load(storage, place_of(other), scores=False)
            if trial["state"] == "complete"
        ]
        return max(reached, default=None)

    path = place_of(name)
    saved = checkpoints.load(storage, path)
    if saved:
        say(f"{name}: {len(saved)} finished trials taken over")
    schema = Schema.from_json(run.contract)
    return tuning.tune(
        name,
        from_parquet(run.search),
        run.labels["y"][run.searched],
        run.place[run.searched],
        schema,
        trials=run.trials,
        seconds=seconds,
        seed=run.seed,
        threads=run.threads,
        extra=drawer(run.synthetic_rows, schema, run.seed),
        rival=rival,
        saved=saved,
        device=device,
        report=report,
        save=lambda trial, oof: checkpoints.save(storage, path, trial, oof),
    )


def drawer(rows: int, schema: Schema, seed: int) -> Callable | None:
    """What `fivefold.training.search` calls for synthetic rows: a copula fitted to a training part alone; None for no rows."""
    if rows <= 0:
        return None

    def draw(typed: pd.DataFrame, y: np.ndarray, fold: int) -> tuple[pd.DataFrame, np.ndarray]:
        from fivefold.data.synthetic import copula

        kinds = {name: schema[name].kind for name in typed.columns}
        model = copula.fit(typed.assign(**{schema.target: y}), schema.target, kinds, seed)
        drawn = copula.sample(model, rows, seed + 1 + fold)
        return drawn[list(typed.columns)], drawn[schema.target].to_numpy().astype(y.dtype)

    return draw
