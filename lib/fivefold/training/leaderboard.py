"""Leaderboard: the algorithms by cross-validated ROC AUC, or by another chosen metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from fivefold.core.findings import refusal
from fivefold.core.roc_auc import holm, roc_auc, spread
from fivefold.core.stored import Stored, known_fields
from fivefold.data.splits import Assignment
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.candidate import Candidate, FailedSearch
from fivefold.training.metric import ROC_AUC, Metric

SIGNIFICANT = 0.05  # Holm-adjusted p value below which a candidate differs from the winner
# Scored rows of the rarer class that make a candidate comparable with those that have more: the
# standard error of a ROC AUC is then some .02, and that of a difference far below.
COMPARABLE = 200
PLAIN = "logistic_regression"  # no winner is significantly below it


@dataclass(frozen=True)
class LeaderboardRow(Stored):
    """One algorithm on the leaderboard.

    A failed search has no rank and no p value. The winner has no p value.

    `p_value`: the metric's paired test (of ROC AUC DeLong's) against the winner on the rows that
    both have scored, fold by fold, adjusted by Holm. `too_few_rows`: it has scored too few to be
    compared on equal terms and to be in the blend; its figures are those of its own folds.
    """

    result: Candidate | FailedSearch
    rank: int | None = None
    p_value: float | None = None
    indistinguishable: bool = False
    too_few_rows: bool = False

    @property
    def algorithm(self) -> str:
        return self.result.algorithm

    def to_dict(self) -> dict[str, Any]:
        stored = super().to_dict()
        return {**stored.pop("result"), **stored}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        kind = Candidate if stored["status"] == "ok" else FailedSearch
        return cls(kind.from_dict(stored), **known_fields(cls, stored))


@dataclass(frozen=True)
class Leaderboard:
    """The rows, best first, failed searches last."""

    rows: tuple[LeaderboardRow, ...]

    @property
    def candidates(self) -> list[Candidate]:
        """The searches with a result, best first."""
        return [row.result for row in self.rows if isinstance(row.result, Candidate)]

    @property
    def winner(self) -> Candidate:
        return self.candidates[0]

    @property
    def comparable(self) -> list[str]:
        """The algorithms whose figures are of the same folds: those that a blend may have."""
        return [
            row.algorithm
            for row in self.rows
            if isinstance(row.result, Candidate) and not row.too_few_rows
        ]

    @property
    def given_up(self) -> list[str]:
        """A sentence for each search that gave up folds or rows, or stays out of the blend."""
        lines = []
        for row in self.rows:
            if isinstance(row.result, Candidate) and row.result.given_up:
                lines.append(row.result.given_up)
            if row.too_few_rows:
                name = title(row.algorithm)
                lines.append(f"{name}: too few scored rows to be compared fully, not in the blend")
        return lines

    @property
    def lost(self) -> list[FailedSearch]:
        """The searches that failed; one that was left out on purpose is not among them."""
        results = [row.result for row in self.rows]
        return [one for one in results if isinstance(one, FailedSearch) and not one.skipped]

    def to_dicts(self) -> list[dict[str, Any]]:
        return [row.to_dict() for row in self.rows]

    @classmethod
    def from_dicts(cls, stored: Sequence[Mapping[str, Any]]) -> Leaderboard:
        return cls(tuple(LeaderboardRow.from_dict(row) for row in stored))


def rank(
    results: Sequence[Candidate | FailedSearch],
    oofs: Mapping[str, np.ndarray],
    y: np.ndarray,
    fold_ids: np.ndarray,
    metric: Metric = ROC_AUC,
    first: str = "",
) -> Leaderboard:
    """Return the leaderboard, by the mean of the metric over the folds.

    Equal ones are sorted by smaller spread, then by name. Under a budget some searches score fewer
    folds than others (`fivefold.training.search_size`). All figures are then those of the folds
    that they have in common, but for searches with too few scored rows (`COMPARABLE`): these keep
    the figures of their own folds. A winner that is significantly below the plain logistic
    regression (one-sided, on the rows that both have) changes places with it.

    Parameters
    ----------
    results : of all searches
    oofs : out-of-fold probabilities of each candidate, shape (rows,), NaN where it has none
    y, fold_ids : labels and fold assignment of the same rows
    first : the algorithm that a person wants to be served, whatever its figures

    Raises
    ------
    Refused : with every reason, when all searches failed
    """
    candidates = [result for result in results if isinstance(result, Candidate)]
    failures = [result for result in results if isinstance(result, FailedSearch)]
    failures.sort(key=lambda failure: failure.algorithm)
    if not candidates:
        reasons = "\n".join(f"  {failure.algorithm}: {failure.error}" for failure in failures)
        raise refusal(
            "There is no model",
            code="all-arms-failed",
            subject="tune",
            found=f"all {len(failures)} algorithms failed:\n{reasons}",
            expected="at least one result",
            action="fix the cause, then repeat the searches: python flows/train.py resume tune",
        )
    few = too_few_rows(oofs, y, fold_ids)
    compared = [c.algorithm for c in candidates if c.algorithm not in few]
    common = common_folds([oofs[name] for name in compared], fold_ids)
    candidates = [
        c if c.algorithm in few else _on_folds(c, oofs[c.algorithm], y, common, metric)
        for c in candidates
    ]
    candidates.sort(key=lambda c: (-c.score, c.auc_std, c.algorithm))
    for number, candidate in enumerate(candidates):
        if candidate.algorithm == PLAIN and number:
            best = oofs[candidates[0].algorithm]
            if significantly_below(best, oofs[PLAIN], y, fold_ids, metric):
                candidates.insert(0, candidates.pop(number))
    candidates.sort(key=lambda c: c.algorithm != first)
    winner, *others = candidates
    tests = []
    for other in others:
        both = common_folds([oofs[winner.algorithm], oofs[other.algorithm]], fold_ids)
        tests.append(_test(oofs[winner.algorithm], oofs[other.algorithm], y, both, metric))
    p_values = holm([test["p_value"] for test in tests])
    rows = [LeaderboardRow(winner, 1, None, True, winner.algorithm in few)]
    for candidate, p in zip(others, p_values, strict=True):
        standing = (len(rows) + 1, p, p >= SIGNIFICANT, candidate.algorithm in few)
        rows.append(LeaderboardRow(candidate, *standing))
    return Leaderboard((*rows, *map(LeaderboardRow, failures)))


def common_folds(oofs: Sequence[np.ndarray], fold_ids: np.ndarray) -> np.ndarray:
    """Return the fold assignment with the folds that all have scored, shape (rows,).

    Rows of other folds only train.

    >>> nan = np.nan
    >>> common_folds([np.array([0.5, 0.5, nan]), np.array([0.5, nan, nan])], np.array([0, 1, -1]))
    array([ 0, -4, -1])
    """
    scored = np.all([np.isfinite(oof) for oof in oofs], axis=0)
    return np.where((fold_ids >= 0) & ~scored, int(Assignment.TRAIN_ONLY), fold_ids)


def too_few_rows(
    oofs: Mapping[str, np.ndarray], y: np.ndarray, fold_ids: np.ndarray
) -> frozenset[str]:
    """Return the algorithms that have scored too few rows to be compared with the others.

    Fewer rows of the rarer class than `COMPARABLE`, where another algorithm has more; or fewer than
    every boosted algorithm, whose figures would then rest on the few folds of a weaker one.
    """
    rarer = {}
    for name, oof in oofs.items():
        scored = (fold_ids >= 0) & np.isfinite(oof)
        rarer[name] = int(np.bincount(y[scored], minlength=2).min())
    needed = min(COMPARABLE, max(rarer.values()))
    boosted = [name for name, entry in ALGORITHMS.items() if entry.boosted]
    needed = min((rarer[name] for name in boosted if rarer.get(name, 0) >= needed), default=needed)
    return frozenset(name for name, rows in rarer.items() if rows < needed)


def significantly_below(
    oof: np.ndarray,
    other: np.ndarray,
    y: np.ndarray,
    fold_ids: np.ndarray,
    metric: Metric = ROC_AUC,
) -> bool:
    """Whether the score of `oof` is below that of `other` by the metric's one-sided paired test.

    By fold, at 5%, on the rows that both have.
    """
    test = _test(oof, other, y, common_folds([oof, other], fold_ids), metric)
    return test["difference"] < 0 and test["p_value"] / 2 < SIGNIFICANT


def is_below(
    oof: np.ndarray, other: np.ndarray, y: np.ndarray, fold_ids: np.ndarray, metric: Metric
) -> bool:
    """Whether `oof` is below `other` by the metric, a mean over folds, proven or not."""
    return _test(oof, other, y, common_folds([oof, other], fold_ids), metric)["difference"] < 0


def _test(
    a: np.ndarray, b: np.ndarray, y: np.ndarray, fold_ids: np.ndarray, metric: Metric
) -> dict[str, float]:
    scored = fold_ids >= 0
    return metric.compare(y[scored], a[scored], b[scored], fold_ids[scored])


def _on_folds(
    candidate: Candidate, oof: np.ndarray, y: np.ndarray, fold_ids: np.ndarray, metric: Metric
) -> Candidate:
    """Return the candidate with the figures of these folds; as it is, if they are its own."""
    if np.array_equal(fold_ids >= 0, (fold_ids != Assignment.HOLDOUT) & np.isfinite(oof)):
        return candidate
    folds = np.unique(fold_ids[fold_ids >= 0])
    scores = [roc_auc(y[fold_ids == fold], oof[fold_ids == fold]) for fold in folds]
    first = fold_ids == folds[0]
    chosen = [metric.score(y[fold_ids == fold], oof[fold_ids == fold]) for fold in folds]
    return replace(
        candidate,
        scores=None if candidate.scores is None else chosen,
        fold_scores=scores,
        auc_mean=float(np.mean(scores)),
        auc_std=spread(scores, y[first], oof[first]),
    )


def title(name: str) -> str:
    """Return the algorithm's name for people."""
    if name == "blend":
        return "Blend"
    return ALGORITHMS[name].title if name in ALGORITHMS else name
