"""Fit plan: the models, rows and seeds of the final fit, by the times of the searches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from fivefold.core.stored import Stored
from fivefold.training.candidate import Candidate, Trial
from fivefold.training.time_budget import TWO_FITS

MOST_FITTED = 2_000_000  # rows of one final fit: more move the ROC AUC by less than its interval
# Share of the training rows in a search fit, below which the final fit finds its own rounds.
EARLY_STOPPED = 0.5
MORE_ROUNDS = 1.15  # how much longer a boosted model takes for a row of many more rows (measured)
SECOND_THREAD = 0.7  # what each further thread adds to the speed of a boosted fit (measured)
ENCODING = 8e-6  # seconds to encode a row (measured)
SAFE = 0.8  # part of the time that is planned for
LEAST_SECONDS = 1.0  # that a boosted model gets, however little time is left
BRAKE = 1.5  # times the planned seconds after which an early-stopped fit is given up, at least
SMALL_FITS = 2.0  # seconds that the final fits may always take, however little time is left


@dataclass(frozen=True)
class FitPlan(Stored):
    """How the final models are fitted.

    Parameters
    ----------
    served : "blend" or "single"
    seeds : fits of each model, None for as many as the algorithm has
    early_stopped : whether boosted models find their own rounds, on rows that are kept apart
    seconds : time limit of each early-stopped fit by algorithm, None for no limit; what reaches it
        is not served (`finalize`)
    rows : most rows of each fit by algorithm, None for all
    refit : whether the served model is fitted again with the held-out rows
    """

    stored_as: ClassVar = {"seeds": "bag", "early_stopped": "grown"}

    served: str = "single"
    seeds: int | None = None
    early_stopped: bool = False
    seconds: dict[str, float] | None = None
    rows: dict[str, int | None] = field(default_factory=dict)
    refit: bool = False


DEFAULT_PLAN = FitPlan()


@dataclass(frozen=True)
class Resources:
    """What the final fits have: training rows, seconds (infinite: no limit), threads."""

    rows: int
    seconds: float = math.inf
    threads: int = 1


def plan_fits(
    candidates: Sequence[Candidate],
    weights: Mapping[str, float],
    resources: Resources,
    refit: str = "no",
) -> FitPlan:
    """Return how to fit the blend with these weights, or the winner alone where there are none.

    `candidates`: the winner first. `refit`: no, yes, or auto
    (`fivefold.training.time_budget.refit_choice`): where the time allows two fits, at least of the
    winner, and no boosted model gets fewer rows for it.
    """
    resources = replace(resources, seconds=max(resources.seconds, SMALL_FITS))
    once = _plan(candidates, weights, resources)
    if refit == "no":
        return once
    seconds = resources.seconds / TWO_FITS
    twice = _plan(candidates, weights, replace(resources, seconds=seconds))
    limited = [c for c in candidates if twice.rows.get(c.algorithm) is not None]
    fewer_rows = any(c.entry.boosted for c in limited)
    too_slow = seconds_of(candidates[0], resources, 1) > seconds
    if refit == "auto" and (twice.early_stopped or fewer_rows or too_slow):
        return once
    return replace(twice, refit=True)


def _plan(
    candidates: Sequence[Candidate], weights: Mapping[str, float], resources: Resources
) -> FitPlan:
    """Return the plan for one fit.

    Where a boosted model had less than `EARLY_STOPPED` of the rows in its search, the fits are
    early-stopped: one seed, own rounds, and as many rows as the time allows. The winner alone is
    used if it can have more than twice the rows of the blend. Where the time allows no more rows
    than in the search, its rounds are the right ones, and are used.
    """
    seconds, time_limits = resources.seconds, None
    seeds: int | None = 1
    single = candidates[:1]
    members = [c for c in candidates if c.algorithm in weights] or single
    most = _most_rows(members, resources)
    most_alone = _most_rows(single, resources)
    if _needs_own_rounds(members, resources) and 2 * most < most_alone:
        members, most = single, most_alone
    more_rows = any(c.entry.boosted and most > c.rows_fit for c in members)
    early_stopped = more_rows and _needs_own_rounds(members, resources)
    if early_stopped:
        limits: dict[str, int | None] = {
            c.algorithm: _rows(c, max(most, c.rows_fit)) for c in members
        }
        if seconds < math.inf:
            costs = {c.algorithm: _cost(c, most, resources) for c in members}
            rate = seconds / sum(costs.values())
            time_limits = {
                name: max(LEAST_SECONDS, BRAKE * cost, rate * cost) for name, cost in costs.items()
            }
    else:
        members, seeds = _affordable(members, single, resources)
        share = seconds / len(members)
        limits = {c.algorithm: rows_affordable(c, resources.rows, share) for c in members}
    served = "blend" if len(members) > 1 else "single"
    return FitPlan(served, seeds, early_stopped, time_limits, limits)


def seconds_of(candidate: Candidate, resources: Resources, seeds: int | None = None) -> float:
    """Return how long the final fit of a candidate will take, from the trials of its settings.

    A fit on all rows at the seconds for a row of the fits in the search, for each seed, with a
    fifth as much again for encoding and chance.
    """
    best = candidate.best_trial
    trials: dict[int | None, Trial] = {trial.number: trial for trial in candidate.trials}
    seeds = seeds or candidate.entry.seeds_of(resources.rows)
    rows = _rows(candidate, resources.rows)
    total = 0.0
    for setting in candidate.settings_in_turn(seeds):
        total += candidate.seconds_of_fit(trials.get(setting.number, best), rows)
    rounds_of_threads = -(-seeds // resources.threads)
    return 1.2 * rounds_of_threads * total / seeds


def _affordable(
    members: Sequence[Candidate], single: Sequence[Candidate], resources: Resources
) -> tuple[Sequence[Candidate], int | None]:
    """Return the members or the winner, as the time allows, and the number of seeds (None: all)."""
    for fitted in (members, single):
        for seeds in (None, 1):
            needed = sum(seconds_of(c, resources, seeds) for c in fitted)
            if needed <= resources.seconds:
                return fitted, seeds
    return single, 1


def rows_affordable(candidate: Candidate, rows: int, seconds: float) -> int | None:
    """Return the most rows of one final fit; None for all.

    They take half of the seconds, at the best trial's seconds for a row. They are never fewer than
    in the search, and never more than the algorithm's own bound.
    """
    searched, bound = candidate.max_rows, candidate.entry.max_rows
    if seconds == math.inf or searched is None or searched == bound:
        return searched
    per_row = candidate.seconds_of_fit(candidate.best_trial, 1)
    reach = max(searched, int(0.5 * seconds / per_row))
    if bound is not None:
        return min(reach, bound)
    return None if reach >= rows else reach


def _needs_own_rounds(members: Sequence[Candidate], resources: Resources) -> bool:
    """Whether the search of a boosted member had too few rows to choose its rounds."""
    boosted = [c for c in members if c.entry.boosted]
    return any(c.rows_fit < EARLY_STOPPED * resources.rows for c in boosted)


def _most_rows(members: Sequence[Candidate], resources: Resources) -> int:
    """Return the most rows of early-stopped fits that the time allows.

    They are reduced by quarters, but not below the rows that boosted models had in the search.
    """
    most = min(resources.rows, MOST_FITTED)
    boosted = [c for c in members if c.entry.boosted]
    least = max(c.rows_fit for c in boosted or members)
    while most > least:
        if sum(_cost(c, most, resources) for c in members) <= SAFE * resources.seconds:
            break
        most = max(least, most * 3 // 4)
    return most


def _rows(candidate: Candidate, most: int) -> int:
    return min(most, candidate.entry.max_rows or most)


def _cost(candidate: Candidate, most: int, resources: Resources) -> float:
    """Return the seconds of one early-stopped fit."""
    rows = _rows(candidate, most)
    fit = candidate.seconds_of_fit(candidate.best_trial, rows)
    if candidate.entry.boosted:
        fit *= MORE_ROUNDS / (1 + SECOND_THREAD * (resources.threads - 1))
    return fit + ENCODING * rows
