"""Stages: the body of each step of `flows/train.py`, from artifacts (bytes, arrays, plain dicts) to artifacts."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lib.findings import Finding, from_dicts, warnings
from lib.schema import Schema, from_json
from lib.scope import Scope, from_mapping
from lib.settings import journal_place, say
from lib.tables import from_parquet, to_parquet

NO_TIME = "not started: the budget has no time for it"


def now() -> str:
    """The present in ISO 8601, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def tell_warnings(findings: Iterable[Finding]) -> None:
    """Print a line for each warning."""
    for finding in warnings(findings):
        print(f"warning: {finding.message}")


def collect(scope: Scope, root: Path, rev: str) -> tuple[dict, bytes, dict, list[dict]]:
    """(problem, table as Parquet, source facts, findings) of the scope's data."""
    from lib import intake

    dataset, facts = intake.collect(scope, root, rev or None)
    print(f"Read {dataset.rows:,} rows x {dataset.frame.shape[1]} columns from {facts['source']} (md5 {dataset.md5})")
    return scope.to_dict(), to_parquet(dataset.frame), facts, [f.to_dict() for f in dataset.findings]


def take_feedback(table: bytes, problem: dict, facts: dict, found: list[dict],
                  wanted: bool) -> tuple[bytes, dict, list[dict], np.ndarray]:
    """(table, source facts, findings, origin of each row): where `wanted`, with the labelled predictions under it."""
    from lib import harvest

    frame = from_parquet(table)
    if not wanted:
        return table, facts, found, np.zeros(len(frame), dtype="int8")
    joined, told, findings, origin = harvest.with_labelled(frame, from_mapping(problem), journal_place())
    print(f"Feedback: {told['rows']:,} labelled predictions, {told['set_aside']:,} of them set aside to judge on")
    tell_warnings(findings)
    return to_parquet(joined), {**facts, "feedback": told}, [*found, *(f.to_dict() for f in findings)], origin


def validate(table: bytes, problem: dict, found: list[dict], seed: int) -> tuple[list[dict], dict[str, Any]]:
    """(findings, labels {y, negative, positive}). Raises `Refused` naming every error."""
    from lib import intake

    target, _, findings = intake.validate(from_parquet(table), from_mapping(problem), from_dicts(found), seed)
    tell_warnings(findings)
    return [f.to_dict() for f in findings], {"y": target.y, "negative": target.negative, "positive": target.positive}


def explore(table: bytes, problem: dict, labels: dict, found: list[dict], source: dict,
            earlier: tuple[dict, str] | None, seed: int, synthetic_rows: int = 0) -> tuple[dict, dict | None]:
    """(EDA summary, what changed since the earlier run). A report on all rows; nothing reads it but cards and people.

    When synthetic rows are asked for, the summary's `fidelity` says how like the real ones they are.
    """
    from lib.conform import conform
    from lib.kinds import infer_schema
    from lib.summary import compare, summarise

    frame, scope = from_parquet(table), from_mapping(problem)
    schema = infer_schema(frame, scope, (labels["negative"], labels["positive"]))
    typed, _ = conform(frame, schema, used_only=False)
    summary = summarise(typed, labels["y"], schema, scope, from_dicts(found), source)
    same_form = earlier and set(summary) == set(earlier[0]) - {"fidelity"}  # another version's summary says nothing
    changes = {"since": earlier[1], "changes": compare(summary, earlier[0])} if earlier and same_form else None
    if synthetic_rows > 0:
        from lib.fidelity import assess

        rows = labels["y"] >= 0
        kinds = {name: schema[name].kind for name in schema.names()}
        known = typed.loc[rows, list(kinds)].assign(**{schema.target: labels["y"][rows]})
        summary["fidelity"] = assess(known.reset_index(drop=True), schema.target, kinds, seed)
    return summary, changes


def split(table: bytes, problem: dict, labels: dict, folds: int, seed: int,
          origin: np.ndarray) -> tuple[np.ndarray, str, bytes, list[dict]]:
    """(place of each row, input contract as JSON, typed table as Parquet, findings).

    The rows of the table itself (`origin`, `lib.harvest`) get the places that they would get without feedback.

    The contract is inferred from training rows alone; held-out rows are then read by it, as served rows will be.
    """
    from lib import harvest, intake
    from lib.conform import conform
    from lib.kinds import infer_schema
    from lib.splits import TRAIN_ONLY, training_rows

    frame, scope = from_parquet(table), from_mapping(problem)
    names = (labels["negative"], labels["positive"])
    base = frame[origin == harvest.BASE]
    place, found = intake.split(base, scope, infer_schema(base, scope, names), labels["y"][:len(base)], folds, seed)
    if len(base) < len(frame):
        groups = pd.factorize(frame[scope.group_column])[0] if scope.group_column else None
        place = harvest.place_feedback(place, origin, groups)
    schema = infer_schema(frame.iloc[training_rows(place)].reset_index(drop=True), scope, names)
    typed, _ = conform(frame, schema)
    intake.refuse_unlearnable(typed.iloc[training_rows(place)], schema)
    tell_warnings(found)
    only = f"{(place == TRAIN_ONLY).sum():,} that only train, " if (place == TRAIN_ONLY).any() else ""
    print(f"{(place >= 0).sum():,} rows in {place.max() + 1} folds, {only}{(place == -1).sum():,} rows held out until "
          "the end")
    return place, schema.to_json(), to_parquet(typed), [f.to_dict() for f in found]


def seconds_gone(started_variable: str, started: str) -> float:
    """Seconds since the scheduler started, where an environment variable tells that, else since `started` (ISO)."""
    return time.time() - float(os.environ.get(started_variable, datetime.fromisoformat(started).timestamp()))


def tune(run: Any, storage: Any, report: Callable[[dict], None], seconds: float | None) -> tuple[dict, np.ndarray]:
    """(candidate, out-of-fold probabilities) of the arm `run.input`; trials kept in `storage` are not redone."""
    from lib import checkpoints, tuning
    from lib.algorithms import ALGORITHMS
    from lib.device import usable

    name = run.input
    device, told = usable(run.device, name)
    if told:
        say(f"warning: {told}")

    def place_of(arm: str) -> str:
        entry = ALGORITHMS[arm]
        depends = checkpoints.key(run.source["md5"], run.source.get("feedback", {}).get("md5"), run.problem, run.place,
                                  run.seed, run.synthetic_rows,
                                  [list(entry.defaults), dict(entry.space), entry.max_rows, entry.large])
        return f"{run.first_run_id}/{arm}/{depends}"

    def rival() -> float | None:  # asked under a budget only: what others have reached depends on the clock
        reached = [trial["auc"] for other in ALGORITHMS if other != name
                   for trial, oof in checkpoints.load(storage, place_of(other)) if oof is not None]
        return max(reached, default=None)

    path = place_of(name)
    saved = checkpoints.load(storage, path)
    if saved:
        say(f"{name}: {len(saved)} finished trials taken over")
    schema = from_json(run.contract)
    return tuning.tune(
        name, from_parquet(run.typed), run.labels["y"], run.place, schema, trials=run.trials, seconds=seconds,
        seed=run.seed, threads=run.threads, extra=drawer(run.synthetic_rows, schema, run.seed), rival=rival,
        saved=saved, device=device, report=report, save=lambda trial, oof: checkpoints.save(storage, path, trial, oof))


def drawer(rows: int, schema: Schema, seed: int) -> Callable | None:
    """What `lib.tuning` calls for synthetic rows: a copula fitted to a training part alone; None for no rows."""
    if rows <= 0:
        return None

    def draw(typed: pd.DataFrame, y: np.ndarray, fold: int) -> tuple[pd.DataFrame, np.ndarray]:
        from lib import copula

        kinds = {name: schema[name].kind for name in typed.columns}
        model = copula.fit(typed.assign(**{schema.target: y}), schema.target, kinds, seed)
        drawn = copula.sample(model, rows, seed + 1 + fold)
        return drawn[list(typed.columns)], drawn[schema.target].to_numpy().astype(y.dtype)

    return draw


def select(arms: list[tuple[str, dict | None, np.ndarray | None, Any]], labels: dict, place: np.ndarray, serve: str,
           seconds: float | None, threads: int) -> tuple[list[dict], str, np.ndarray, dict, np.ndarray]:
    """(leaderboard, winner, its out-of-fold probabilities, blend, those of what will be served).

    An arm without a candidate is listed as failed. `serve`: auto, single or blend; `seconds` that are left for the
    final fits, None for no limit. The blend says under `served` and `why` what was decided, and under `bag` how many
    seeds of each model can be afforded (None: all).
    """
    from lib import blend, refit
    from lib.algorithms import ALGORITHMS
    from lib.selection import failed_candidate, rank, title
    from lib.splits import training_rows

    candidates = [candidate if candidate and oof is not None else failed_candidate(name, _reason(failure))
                  for name, candidate, oof, failure in arms]  # a task killed at its very end may lack one of them
    oofs = {name: oof for name, candidate, oof, _ in arms if candidate and oof is not None}
    candidates += [failed_candidate(name, NO_TIME) for name in ALGORITHMS if name not in {arm[0] for arm in arms}]
    leaderboard = rank(candidates, oofs, labels["y"], place)
    for arm in leaderboard:
        ok = arm["status"] == "ok"
        told = f"{arm['auc_mean']:.4f} ± {arm['auc_std']:.4f}" if ok else f"no result: {arm['error']}"
        print(f"{arm['rank'] or '-':>2}  {title(arm['algorithm']):20} {told}")
    winner = leaderboard[0]["algorithm"]
    found, nested = blend.blend(oofs, labels["y"], place, winner)
    served, why = blend.serve(serve, found)
    weights = found["weights"] if served == "blend" else {winner: 1.0}
    rows, bag = len(training_rows(place)), None
    if seconds is not None:
        possible, bag = refit.affordable(leaderboard, weights, rows, seconds, threads)
        if served == "blend" and possible == "single":
            served, why = possible, f"{why}, but the budget leaves no time to fit it"
    members = blend.shares(found["weights"])
    print(f"   {title('blend'):20} {found['auc_mean']:.4f} ± {found['auc_std']:.4f} (nested; {members})")
    print(f"Served: {served} ({why})")
    found |= {"served": served, "why": why, "bag": bag, "max_rows": leaderboard[0]["max_rows"]}
    if seconds is not None and served == "single":
        found["max_rows"] = refit.rows_affordable(leaderboard[0], rows, seconds)
    return leaderboard, winner, oofs[winner], found, nested if served == "blend" else oofs[winner]


def evaluate(run: Any, run_id: str, threads: int) -> tuple[bytes, str, dict[str, Any], list[dict]]:
    """(bundle, its sha256, what it says of itself, example input rows)."""
    from lib import bundle, runs
    from lib.finalist import finish

    schema, scope, frame = from_json(run.contract), from_mapping(run.problem), from_parquet(run.table)
    provenance = {"pathspec": f"{runs.FLOW}/{run_id}", "md5": run.source["md5"], "source": run.source["source"],
                  "rows": len(frame), "revision": run.source["revision"], "started": run.started, "seed": run.seed,
                  "versions": runs.package_versions()}
    truth = None
    if scope.truth == "synthetic" and not run.origin.any():  # of feedback the truth is not known
        from lib.synthetic import true_probability

        truth = true_probability(frame)
    best = {**run.leaderboard[0], "max_rows": run.blend["max_rows"]}
    finished = finish(best, run.served_oof, from_parquet(run.typed), run.labels["y"], run.place, schema, scope,
                      provenance, seed=run.seed, threads=threads, truth=truth,
                      extra=drawer(run.synthetic_rows, schema, run.seed), others=run.leaderboard[1:],
                      weights=run.blend["weights"] if run.blend["served"] == "blend" else None, bag=run.blend["bag"],
                      device=run.device)
    blob = finished.to_bytes()
    example = frame[schema.names()].head(5).astype("object").where(lambda cells: cells.notna(), None)
    rows = [{key: getattr(v, "isoformat", lambda v=v: v)() for key, v in row.items()}
            for row in example.to_dict("records")]
    return blob, bundle.sha256(blob), finished.about, rows


def _reason(failure: Any) -> str:
    """One line of why an arm failed, without paths."""
    if failure is None:
        return "killed"
    told = f"{getattr(failure, 'type', '') or ''} {failure.exception or ''}".strip().splitlines()
    return told[0][:300] if told else "failed"
