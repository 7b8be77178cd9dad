"""Final stages: the bodies of the steps select and evaluate of `flows/train.py`, from artifacts to artifacts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fivefold.core.parquet import from_parquet
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.training.steps import drawer

if TYPE_CHECKING:
    from fivefold.model.metadata import Metadata

NO_TIME = "not started: the budget has no time for it"


def select(
    arms: list[tuple[str, dict | None, np.ndarray | None, Any]],
    labels: dict,
    fold_ids: np.ndarray,
    searched: np.ndarray,
    serve: str,
    seconds: float | None,
    threads: int,
    refit: str = "no",
) -> tuple[list[dict], str, np.ndarray, dict, np.ndarray]:
    """(leaderboard, winner, its out-of-fold probabilities, blend, those of what will be served), both of shape (rows,).

    An arm without a candidate is listed as failed. `serve`: auto, single or blend; `seconds` that are left for the
    final fits, None for no limit; `refit`: no, auto or yes (`fivefold.training.time_budget.refit`). The blend says under `served` and
    `why` what was decided, and under `fits` how (`fivefold.training.fit_plan`).
    """
    from fivefold.data.splits import Split
    from fivefold.training import ensemble, fit_plan
    from fivefold.training.algorithms import ALGORITHMS
    from fivefold.training.leaderboard import failed_candidate, rank, title

    candidates = [
        candidate if candidate and oof is not None else failed_candidate(name, _reason(failure))
        for name, candidate, oof, failure in arms
    ]  # a task killed at its very end may lack one of them
    oofs = {name: oof for name, candidate, oof, _ in arms if candidate and oof is not None}
    candidates += [
        failed_candidate(name, NO_TIME)
        for name in ALGORITHMS
        if name not in {arm[0] for arm in arms}
    ]
    y, folds = labels["y"][searched], fold_ids[searched]
    leaderboard = rank(candidates, oofs, y, folds)
    for arm in leaderboard:
        ok = arm["status"] == "ok"
        told = (
            f"{arm['auc_mean']:.4f} ± {arm['auc_std']:.4f}" if ok else f"no result: {arm['error']}"
        )
        print(f"{arm['rank'] or '-':>2}  {title(arm['algorithm']):20} {told}")
    winner = leaderboard[0]["algorithm"]
    found, nested = ensemble.blend(oofs, y, folds, winner)
    served, why = ensemble.serve(serve, found)
    fits = fit_plan.plan_fits(
        leaderboard,
        found["weights"] if served == "blend" else None,
        len(Split(fold_ids).training_rows),
        seconds,
        threads,
        refit,
    )
    if served == "blend" and fits["served"] == "single":
        served, why = "single", f"{why}, but the budget leaves no time to fit it"
    members = ensemble.shares(found["weights"])
    print(
        f"   {title('blend'):20} {found['auc_mean']:.4f} ± {found['auc_std']:.4f} (nested; {members})"
    )
    print(f"Served: {served} ({why})")
    found |= {"served": served, "why": why, "fits": fits}
    best = _at(searched, oofs[winner], len(fold_ids))
    return (
        leaderboard,
        winner,
        best,
        found,
        _at(searched, nested, len(fold_ids)) if served == "blend" else best,
    )


def evaluate(
    run: Any, run_id: str, threads: int
) -> tuple[bytes, str, Metadata, list[dict], np.ndarray, bytes | None]:
    """(bundle that is served, its sha256, what it says of itself, example input rows, out-of-fold probabilities behind
    its threshold, bundle that was judged where that is another one).
    """
    from fivefold.model import bundle
    from fivefold.model.metadata import Provenance
    from fivefold.tracking import client
    from fivefold.training.finalize import finish, refit

    schema, scope = Schema.from_json(run.contract), Scope.from_dict(run.problem)
    provenance = Provenance(
        pathspec=f"{client.FLOW}/{run_id}",
        md5=run.source["md5"],
        source=run.source["source"],
        rows=len(run.place),
        revision=run.source["revision"],
        started=run.started,
        seed=run.seed,
        versions=client.package_versions(),
    )
    truth = None
    if scope.truth == "synthetic" and not run.origin.any():  # of feedback the truth is not known
        from fivefold.data.synthetic.bank import true_probability

        truth = true_probability(from_parquet(run.table))
    typed, fits = from_parquet(run.typed), run.blend["fits"]
    options: dict[str, Any] = {
        "seed": run.seed,
        "threads": threads,
        "device": run.device,
        "fits": fits,
        "extra": drawer(run.synthetic_rows, schema, run.seed),
        "weights": run.blend["weights"] if run.blend["served"] == "blend" else None,
    }
    finished, oof = finish(
        run.leaderboard[0],
        run.served_oof,
        typed,
        run.labels["y"],
        run.place,
        schema,
        scope,
        provenance,
        truth=truth,
        others=run.leaderboard[1:],
        **options,
    )
    judged = None
    if fits.get("refit"):
        judged = finished.to_bytes()
        finished = refit(
            finished,
            bundle.sha256(judged),
            run.leaderboard,
            run.served_oof,
            typed,
            run.labels["y"],
            run.place,
            **options,
        )
        count = finished.metadata.rows_served
        print(f"Fitted once more, with the held-out rows, on {count:,} rows, to be served")
    blob = finished.to_bytes()
    example = (
        from_parquet(run.table, 5)[schema.names()]
        .astype("object")
        .where(lambda cells: cells.notna(), None)
    )
    rows = [
        {key: getattr(v, "isoformat", lambda v=v: v)() for key, v in row.items()}
        for row in example.to_dict("records")
    ]
    return blob, bundle.sha256(blob), finished.metadata, rows, oof, judged


def _at(rows: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """The scores at their positions among `count` rows, NaN at the others."""
    found = np.full(count, np.nan, dtype="float32")
    found[rows] = scores
    return found


def _reason(failure: Any) -> str:
    """One line of why an arm failed, without paths."""
    if failure is None:
        return "killed"
    told = f"{getattr(failure, 'type', '') or ''} {failure.exception or ''}".strip().splitlines()
    return told[0][:300] if told else "failed"
