"""Steps of `flows/train.py` after the search: select and evaluate, and the result as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fivefold.core.parquet import first_rows, from_parquet
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.splits import Split
from fivefold.model.ageing import Ageing
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.candidate import Candidate, FailedSearch
from fivefold.training.ensemble import Ensemble, blend, choose_served
from fivefold.training.fit_plan import Resources, plan_fits
from fivefold.training.leaderboard import (
    PLAIN,
    Leaderboard,
    rank,
    significantly_below,
    title,
)
from fivefold.training.steps import fit_options
from fivefold.training.training_data import FitOptions, TrainingData

if TYPE_CHECKING:
    from fivefold.model.metadata import Metadata

MOST_PLAIN = 20_000  # rows of a fit of the plain logistic regression that no search has fitted
MOST_AGEING = 0.05  # share of a budget that the fits of the ageing curve may take
NO_TIME = "the budget has no time for it"


@dataclass(frozen=True)
class SelectArtifacts:
    """Leaderboard, winner, blend, and the out-of-fold probabilities, shape (rows,)."""

    leaderboard: list[dict[str, Any]]
    winner: str
    winner_oof: np.ndarray
    blend: dict[str, Any]
    served_oof: np.ndarray


@dataclass(frozen=True)
class EvaluateArtifacts:
    """The served bundle and its evaluation.

    With it come its sha256, example rows, out-of-fold probabilities and package versions.

    `judged`: the bundle that was evaluated, where another one is served.
    """

    bundle: bytes
    bundle_sha256: str
    example: list[dict[str, Any]]
    served_oof: np.ndarray
    judged: bytes | None
    evaluation: dict[str, Any]
    versions: dict[str, str]


def select(
    run: Any, tasks: Iterable[Any], seconds: float, threads: int, refit: str
) -> SelectArtifacts:
    """Rank the algorithms, choose what is served and plan its fits.

    Parameters
    ----------
    run : the flow: labels, place, searched, serve
    tasks : of all searches that were started, with the artifacts `candidate` (empty if the budget
        had no time for it) and `oof`, or the `failure` that Metaflow caught; a task that was killed
        at its very end may lack some
    seconds : left for the final fits
    threads : of the final fits
    refit : no, auto or yes (`fivefold.training.time_budget.refit_choice`)
    """
    results: dict[str, Candidate | FailedSearch] = {}
    oofs = {}
    for task in tasks:
        candidate, oof = getattr(task, "candidate", None), getattr(task, "oof", None)
        if candidate and oof is not None:
            results[task.input], oofs[task.input] = Candidate.from_dict(candidate), oof
        else:
            without_time = candidate == {}
            reason = NO_TIME if without_time else _reason(getattr(task, "failure", None))
            results[task.input] = FailedSearch(task.input, reason)
    for name in ALGORITHMS:
        results.setdefault(name, FailedSearch(name, NO_TIME))
    y, fold_ids = run.labels["y"][run.searched], run.place[run.searched]
    if seconds < np.inf and PLAIN not in oofs and oofs:
        began = time.monotonic()
        results[PLAIN], oofs[PLAIN] = _plain(run, oofs, threads)
        seconds = max(0.0, seconds - (time.monotonic() - began))
    leaderboard = rank(list(results.values()), oofs, y, fold_ids)
    winner = leaderboard.winner.algorithm
    comparable = leaderboard.comparable if winner in leaderboard.comparable else [winner]
    blended, nested = blend({name: oofs[name] for name in comparable}, y, fold_ids, winner)
    served, why = choose_served(run.serve, blended)
    under_budget = seconds < np.inf and PLAIN in oofs
    if under_budget and significantly_below(nested, oofs[PLAIN], y, fold_ids):
        served, why = "single", f"{why}; the blend is worse than the plain logistic regression"
    weights = blended.weights if served == "blend" else {}
    resources = Resources(len(Split(run.place).training_rows), seconds, threads)
    plan = plan_fits(leaderboard.candidates, weights, resources, refit)
    if served == "blend" and plan.served == "single":
        served, why = "single", f"{why}, but the budget leaves no time to fit it"
    blended = replace(blended, served=served, why=why, plan=plan)
    _print_result(leaderboard, blended)
    winner_oof = np.full(len(run.place), np.nan, dtype="float32")
    winner_oof[run.searched] = oofs[winner]
    served_oof = winner_oof.copy()
    if served == "blend":
        served_oof[run.searched] = nested
    return SelectArtifacts(
        leaderboard=leaderboard.to_dicts(),
        winner=winner,
        winner_oof=winner_oof,
        blend=blended.to_dict(),
        served_oof=served_oof,
    )


def _plain(run: Any, oofs: Mapping[str, np.ndarray], threads: int) -> tuple[Candidate, np.ndarray]:
    """Return the plain logistic regression, scored on every fold that another one has scored.

    What is served has to be as good; a budget may have had no time to start its search.
    """
    from fivefold.training.search import plain_regression
    from fivefold.training.search_size import SearchSize

    schema, rows = Schema.from_json(run.contract), run.searched
    typed = from_parquet(run.typed).iloc[rows]
    data = TrainingData(typed, run.labels["y"][rows], run.place[rows], schema)
    scored = np.any([np.isfinite(oof) for oof in oofs.values()], axis=0)
    folds = tuple(np.unique(data.fold_ids[scored & (data.fold_ids >= 0)]).tolist())
    options = fit_options(run, schema, threads, "cpu")
    return plain_regression(data, options, SearchSize(folds, MOST_PLAIN))


def _print_result(leaderboard: Leaderboard, blended: Ensemble) -> None:
    for row in leaderboard.rows:
        result = row.result
        if isinstance(result, Candidate):
            text = f"{result.auc_mean:.4f} ± {result.auc_std:.4f}"
        else:
            text = f"no result: {result.error}"
        print(f"{row.rank or '-':>2}  {title(row.algorithm):20} {text}")
    auc = f"{blended.auc_mean:.4f} ± {blended.auc_std:.4f}"
    print(f"   {title('blend'):20} {auc} (nested; {blended.shares})")
    print(f"Served: {blended.served} ({blended.why})")
    for line in leaderboard.given_up:
        print(line)


def evaluate(run: Any, run_id: str, threads: int) -> tuple[EvaluateArtifacts, Metadata]:
    """Fit and evaluate the selected model; refit it on all rows if the plan has a refit.

    Returns the artifacts and the metadata of the served bundle.
    """
    from fivefold.model import bundle
    from fivefold.model.evaluation import Evaluation
    from fivefold.model.metadata import Provenance
    from fivefold.tracking import client
    from fivefold.training.boosting import OutOfTime
    from fivefold.training.finalize import Selection, finalize, refit_on_all_rows

    schema, scope = Schema.from_json(run.contract), Scope.from_dict(run.problem)
    blended = Ensemble.from_dict(run.blend)
    plan = blended.plan
    selection = Selection(
        candidates=Leaderboard.from_dicts(run.leaderboard).candidates,
        oof=run.served_oof,
        weights=blended.weights if blended.served == "blend" else {},
        plan=plan,
    )
    data = TrainingData(from_parquet(run.typed), run.labels["y"], run.place, schema)
    options = fit_options(run, schema, threads, run.device)
    versions = client.package_versions()
    provenance = Provenance(
        pathspec=f"{client.FLOW}/{run_id}",
        md5=run.source["md5"],
        source=run.source["source"],
        rows=len(run.place),
        revision=run.source["revision"],
        started=run.started,
        seed=run.seed,
        versions=versions,
    )
    truth = None
    if scope.truth == "synthetic" and not run.origin.any():  # the truth of feedback is unknown
        from fivefold.data.synthetic.bank import true_probability

        truth = true_probability(from_parquet(run.table))
    served, oof = finalize(selection, data, options, scope, provenance, truth)
    for line in served.metadata.given_up:
        print(line)
    ageing = _ageing(run, selection.candidates[0], data, options)
    known = served.metadata.evaluation or Evaluation()
    served = replace(
        served, metadata=replace(served.metadata, evaluation=replace(known, ageing=ageing))
    )
    evaluated = None
    if plan.refit:
        try:
            content = served.to_bytes()
            refitted = refit_on_all_rows(served, bundle.sha256(content), selection, data, options)
        except OutOfTime:
            print("Not fitted again with the held-out rows: the time was up")
        else:
            evaluated, served = content, refitted
            refit = served.metadata.refit
            assert refit is not None
            print(f"Fitted again on {refit.rows:,} rows, the held-out ones among them, to serve")
    content = served.to_bytes()
    artifacts = EvaluateArtifacts(
        bundle=content,
        bundle_sha256=bundle.sha256(content),
        example=_example_rows(run.table, schema.names()),
        served_oof=oof,
        judged=evaluated,
        evaluation=served.metadata.to_dict()["evaluation"],
        versions=versions,
    )
    return artifacts, served.metadata


def _ageing(run: Any, winner: Candidate, data: TrainingData, options: FitOptions) -> Ageing:
    """Return the ageing curve of the winner's settings, where rows have a time.

    Under a budget only where it takes a small share of it.
    """
    from fivefold.training.finalize import ageing
    from fivefold.training.intake import times_of

    scope = Scope.from_dict(run.problem)
    too_long = run.budget and winner.best_trial.seconds > MOST_AGEING * run.budget
    if not data.split.is_ordered or not scope.time_column or too_long:
        return Ageing()
    times, unit = times_of(from_parquet(run.table, [scope.time_column]), scope)
    curve = ageing(winner, data, times, unit, options)
    if curve.advice:
        print(curve.advice)
    return curve


def _example_rows(table: bytes, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first rows of the table, JSON-ready."""
    cells = first_rows(table, 5)[list(names)].astype("object")
    written = cells.map(
        lambda cell: cell.isoformat() if hasattr(cell, "isoformat") else cell, na_action="ignore"
    )
    rows: Any = written.astype("object").where(cells.notna(), None).to_dict("records")
    return list(rows)


def _reason(failure: Any) -> str:
    """Return one line of why a search failed, without paths."""
    if failure is None:
        return "killed"
    text = f"{getattr(failure, 'type', '') or ''} {failure.exception or ''}".strip()
    lines = text.splitlines()
    return lines[0][:300] if lines else "failed"


def result_lines(run: Any) -> list[str]:
    """Return what came out of a run that was evaluated, line by line."""
    evaluation, blend = run.evaluation, Ensemble.from_dict(run.blend)
    auc = evaluation["auc"]
    served = "the blend" if blend.served == "blend" else "the winner"
    refit = ", fitted again with the held-out rows" if blend.plan.refit else ""
    interval = f"95% interval {auc['low']:.4f} to {auc['high']:.4f}"
    lines = [
        f"Winner: {title(run.winner)}",
        f"Served: {served} ({blend.why}){refit}",
        f"Held-out ROC AUC: {auc['value']:.4f}, {interval} "
        f"({evaluation['rows']:,} rows, {auc['method']})",
    ]
    lines += Leaderboard.from_dicts(run.leaderboard).given_up
    advice = Ageing.from_dict(evaluation.get("ageing", {})).advice
    lines += [advice] if advice else []
    known = [b["auc"] for b in evaluation["baselines"] if "truth" in b["name"]]
    return lines + [f"Best achievable on the same rows (known truth): {a:.4f}" for a in known]
