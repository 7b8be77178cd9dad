"""Blend: a weighted mean of the arms' probabilities, chosen and judged on out-of-fold rows only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fivefold.core.roc_auc import paired_test
from fivefold.data.splits import subsample
from fivefold.profiling.leakage import auc
from fivefold.training.leaderboard import title

ROUNDS = (
    12  # steps of the greedy choice: no arm that is worth less than a twelfth is fitted and served
)
MOST_ROWS = 20_000  # out-of-fold rows that the choice looks at; more move no weight by much
EVEN = 500  # rows that equal weights count for: with few others they are the safer guess
LEAST = 1 / 24  # part of an arm below which it is not taken in for that


def blend(
    oofs: Mapping[str, np.ndarray], y: np.ndarray, fold_ids: np.ndarray, winner: str, seed: int = 0
) -> tuple[dict[str, Any], np.ndarray]:
    """(what the blend of these arms is and is worth, its out-of-fold probabilities of shape (rows,)).

    Weights: Caruana et al. 2004, "Ensemble selection from libraries of models": arms are added one by one, with
    replacement, each time the one that raises the mean ROC AUC over the folds most. Judged nested: the weights that
    score a fold were chosen on the other folds, so that the choice has no part in the figure. Out-of-fold
    probabilities, too, are these nested ones. Of few rows weights are drawn to equal ones (`evenly`). Keys: weights
    {arm: share > 0}, auc_mean, auc_std, fold_scores, gain (mean over the folds, against the winner), gain_low and
    gain_high (95% by `fivefold.core.roc_auc.paired_test`).
    """
    names = [
        winner,
        *(n for n in sorted(oofs) if n != winner),
    ]  # of equal ones the earlier is added
    rows = np.flatnonzero(fold_ids >= 0)
    folds = np.unique(fold_ids[rows])
    parts = {
        f: subsample(rows[fold_ids[rows] == f], y, MOST_ROWS // len(folds), seed) for f in folds
    }
    even = evenly(len(rows), len(names))
    weights = _choose(names, oofs, y, list(parts.values()), even)
    nested = np.full(len(y), np.nan, dtype="float32")
    scores = []
    for fold in folds:
        chosen = _choose(names, oofs, y, [part for f, part in parts.items() if f != fold], even)
        here = rows[fold_ids[rows] == fold]
        nested[here] = mixed({n: oofs[n][here] for n in chosen}, chosen)
        scores.append(auc(nested[here], y[here]))
    gain = paired_test(y[rows], nested[rows], oofs[winner][rows], fold_ids[rows])
    return {
        "weights": weights,
        "auc_mean": float(np.mean(scores)),
        "auc_std": float(np.std(scores, ddof=1)),
        "fold_scores": scores,
        "gain": gain["difference"],
        "gain_low": gain["difference"] - 1.96 * gain["se"],
        "gain_high": gain["difference"] + 1.96 * gain["se"],
    }, nested


def mixed(parts: Mapping[str, np.ndarray], weights: Mapping[str, float]) -> np.ndarray:
    """The weighted mean of probabilities by arm, shape (rows,)."""
    return np.average([parts[n] for n in weights], axis=0, weights=list(weights.values()))


def shares(weights: Mapping[str, float]) -> str:
    """The members for people.

    >>> shares({"lightgbm": 0.75, "xgboost": 0.25})
    'LightGBM 75%, XGBoost 25%'
    """
    return ", ".join(f"{title(name)} {share:.0%}" for name, share in weights.items())


def gain_text(found: Mapping[str, Any]) -> str:
    """The gain over the winner with its 95% interval.

    >>> gain_text({"gain": 0.0012, "gain_low": -0.0003, "gain_high": 0.0027})
    '+0.0012 (-0.0003 to +0.0027)'
    """
    return f"{found['gain']:+.4f} ({found['gain_low']:+.4f} to {found['gain_high']:+.4f})"


def serve(asked: str, found: Mapping[str, Any]) -> tuple[str, str]:
    """("single" or "blend", why), from the option --serve and what `blend` found.

    `auto`: the blend unless its nested gain is below 0 beyond chance. The winner's own figure is the best of many
    trials, and so too high, while the blend's is judged on folds that had no part in its choice: a small loss proves
    nothing.

    >>> found = {"weights": {"lightgbm": 0.6, "xgboost": 0.4}, "gain": -0.002, "gain_low": -0.005, "gain_high": 0.001}
    >>> serve("auto", found)
    ('blend', 'nested gain -0.0020 (-0.0050 to +0.0010) in ROC AUC')
    """
    if len(found["weights"]) < 2:
        return "single", "the greedy choice took the winner alone"
    if asked != "auto":
        return asked, f"--serve {asked}"
    told = f"nested gain {gain_text(found)} in ROC AUC"
    return (
        ("blend", told)
        if found["gain_high"] >= 0
        else ("single", f"{told}: worse than the winner beyond chance")
    )


def evenly(rows: int, arms: int) -> float:
    """How far the weights of a blend are drawn to equal ones, 0 to 1: as if those had been seen to be best on `EVEN`
    other rows (Diebold and Pauly 1990, "The use of prior information in forecast combination"). Weights that few rows
    chose are mostly noise; what this is worth: docs/tuning.md. 0 where an arm's part of it would be below `LEAST`.

    >>> evenly(500, 5), round(evenly(1500, 5), 2), evenly(2000, 5)
    (0.5, 0.25, 0.0)
    """
    even = EVEN / (EVEN + rows)
    return even if even / arms >= LEAST else 0.0


def _choose(
    names: list[str],
    oofs: Mapping[str, np.ndarray],
    y: np.ndarray,
    parts: list[np.ndarray],
    even: float = 0.0,
) -> dict[str, float]:
    """{arm: weight > 0}, the best prefix of `ROUNDS` greedy steps, drawn to equal ones by the share `even`."""
    total = [np.zeros(len(rows)) for rows in parts]
    order: list[str] = []
    reached: list[float] = []
    for _ in range(ROUNDS):
        tried = {
            n: float(
                np.mean(
                    [auc(t + oofs[n][rows], y[rows]) for rows, t in zip(parts, total, strict=True)]
                )
            )
            for n in names
        }
        best = max(names, key=lambda n: tried[n])
        total = [t + oofs[best][rows] for rows, t in zip(parts, total, strict=True)]
        order.append(best)
        reached.append(tried[best])
    taken = order[: int(np.argmax(np.array(reached) >= max(reached) - 1e-12)) + 1]
    weights = {n: taken.count(n) / len(taken) for n in names if n in taken}
    drawn = {n: (1 - even) * weights.get(n, 0.0) + even / len(names) for n in names}
    return {n: weight for n, weight in drawn.items() if weight > 0}
