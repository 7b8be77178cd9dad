"""Fit plan: which models the final fit makes, on how many rows and seeds, by what the search has measured."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.final_fit import bag_size, settings
from fivefold.training.time_budget import TWICE

MOST_FITTED = (
    2_000_000  # rows of one final fit: memory; more move the ROC AUC by less than its interval
)
GROWN = 0.5  # share of the training rows in a search fit, below which the final fit finds its own rounds
MORE_ROUNDS = (
    1.15  # how much longer a boosted model takes for a row when it has many more rows (measured)
)
SECOND_THREAD = 0.7  # what each further thread adds to the speed of a boosted fit (measured)
ENCODING = 8e-6  # seconds to encode a row (measured)
SAFE = 0.8  # part of the time that is planned for
LEAST = 1.0  # seconds that a boosted model gets, however little is left


def plan_fits(
    board: list[dict[str, Any]],
    weights: dict[str, float] | None,
    rows: int,
    seconds: float | None,
    threads: int = 1,
    refit: str = "no",
) -> dict[str, Any]:
    """As `_plan`, and under `refit` whether the model is fitted once more, held-out rows included, to be served.

    `refit`: no, yes, or auto (`fivefold.training.time_budget.refit`): where the time allows both fits, at least of the winner, and none of
    its boosted models has to do with fewer rows.
    """
    if refit == "no":
        return {**_plan(board, weights, rows, seconds, threads), "refit": False}
    half = None if seconds is None else seconds / TWICE
    both = _plan(board, weights, rows, half, threads)
    bounded = any(
        most is not None for name, most in both["rows"].items() if ALGORITHMS[name].boosted
    )
    late = half is not None and seconds_of(board[0], rows, 1, threads) > half
    if refit == "auto" and (both["grown"] or bounded or late):
        return {**_plan(board, weights, rows, seconds, threads), "refit": False}
    return {**both, "refit": True}


def _plan(
    board: list[dict[str, Any]],
    weights: dict[str, float] | None,
    rows: int,
    seconds: float | None,
    threads: int,
) -> dict[str, Any]:
    """{served: blend or single, bag, grown, rows {algorithm: most rows or None}, seconds {algorithm: limit} or None}.

    `board`: the leaderboard, its winner first. `weights` {algorithm: share} of the blend, None to fit the winner
    alone. `rows`: training rows. `seconds` for all final fits, None for no limit. `bag`: seeds of each model, None for
    all. Where one of the models is boosted and its search fits had less than `GROWN` of the rows, the fits are
    `grown` (`fivefold.training.final_fit.fit_final`, `stop`): one seed, own rounds, and as many rows as the time allows; the blend is
    given up where the winner alone can have more than twice its rows.
    """
    single, members = (
        board[:1],
        [c for c in board if c["algorithm"] in (weights or {})] or board[:1],
    )
    most, alone = (_most_rows(some, rows, seconds, threads) for some in (members, single))
    if _grows(members, rows) and 2 * most < alone:
        members, most = single, alone
    served, bag = "blend" if len(members) > 1 else "single", None
    if _grows(members, rows):
        costs = {c["algorithm"]: _cost(c, most, threads) for c in members}
        each = None if seconds is None else seconds / sum(costs.values())
        shares = (
            None
            if each is None
            else {name: max(LEAST, each * cost) for name, cost in costs.items()}
        )
        return {
            "served": served,
            "bag": 1,
            "grown": True,
            "seconds": shares,
            "rows": {c["algorithm"]: _rows(c, most) for c in members},
        }
    if seconds is not None:
        told, bag = affordable(board, [c["algorithm"] for c in members], rows, seconds, threads)
        served = told if len(members) > 1 else "single"
    chosen = members if served == "blend" else single
    found = {
        c["algorithm"]: c["max_rows"]
        if seconds is None
        else rows_affordable(c, rows, seconds / len(chosen))
        for c in chosen
    }
    return {"served": served, "bag": bag, "grown": False, "seconds": None, "rows": found}


def seconds_of(
    candidate: dict[str, Any], rows: int, bag: int | None = None, threads: int = 1
) -> float:
    """How long `fivefold.training.final_fit.fit_final` of a candidate will take, from the trials of its settings: a fit on all rows for
    one on all folds but one, `bag` times, with a fifth as much again for encoding and bad luck.
    """
    entry = ALGORITHMS[candidate["algorithm"]]
    best, seconds = _best(candidate), {t["number"]: t["seconds"] for t in candidate["trials"]}
    chosen = settings(candidate, bag or bag_size(entry, rows))
    mean = sum(seconds.get(c.get("number"), best["seconds"]) for c in chosen) / len(chosen)
    return 1.2 * -(-len(chosen) // threads) * mean / max(1, len(best["fold_scores"]) - 1)


def affordable(
    candidates: list[dict[str, Any]],
    names: Collection[str],
    rows: int,
    seconds: float,
    threads: int = 1,
) -> tuple[str, int | None]:
    """("blend" or "single", seeds per model or None for all): the most of the blend of the candidates of these `names`
    that can be fitted in `seconds`.
    """
    chosen = [c for c in candidates if c["algorithm"] in names]
    for what, some in (("blend", chosen), ("single", candidates[:1])):
        for bag in (None, 1):
            if sum(seconds_of(c, rows, bag, threads) for c in some) <= seconds:
                return what, bag
    return "single", 1


def rows_affordable(candidate: dict[str, Any], rows: int, seconds: float) -> int | None:
    """How many rows one final fit may have (None: all), where the search's fits had to do with fewer.

    Half of the seconds, at the best trial's seconds for a row; never fewer rows than in the search, and never more
    than the algorithm's own bound.
    """
    searched, bound = candidate["max_rows"], ALGORITHMS[candidate["algorithm"]].max_rows
    if searched is None or searched == bound:
        return searched
    best = _best(candidate)
    per_row = best["seconds"] / (len(best["fold_scores"]) * searched)
    reach = max(searched, int(0.5 * seconds / per_row))
    return (
        None if reach >= min(rows, bound or rows) and bound is None else min(reach, bound or reach)
    )


def _grows(members: list[dict[str, Any]], rows: int) -> bool:
    return any(ALGORITHMS[c["algorithm"]].boosted and c["rows_fit"] < GROWN * rows for c in members)


def _most_rows(
    members: list[dict[str, Any]], rows: int, seconds: float | None, threads: int
) -> int:
    """The most rows of grown fits of these members: by quarters less until the time allows it, not below the search."""
    most, least = min(rows, MOST_FITTED), max(c["rows_fit"] for c in members)
    while (
        seconds is not None
        and most > least
        and sum(_cost(c, most, threads) for c in members) > SAFE * seconds
    ):
        most = max(least, most * 3 // 4)
    return most


def _rows(candidate: dict[str, Any], most: int) -> int:
    return min(most, ALGORITHMS[candidate["algorithm"]].max_rows or most)


def _cost(candidate: dict[str, Any], most: int, threads: int) -> float:
    """Seconds of one grown fit."""
    best, count = _best(candidate), _rows(candidate, most)
    fit = count * best["seconds"] / (len(best["fold_scores"]) * candidate["rows_fit"])
    if ALGORITHMS[candidate["algorithm"]].boosted:
        fit *= MORE_ROUNDS / (1 + SECOND_THREAD * (threads - 1))
    return fit + ENCODING * count


def _best(candidate: dict[str, Any]) -> dict[str, Any]:
    return max((t for t in candidate["trials"] if t["state"] == "complete"), key=lambda t: t["auc"])
