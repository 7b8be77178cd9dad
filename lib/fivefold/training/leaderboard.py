"""Leaderboard: the algorithms by cross-validated ROC AUC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fivefold.core.findings import refusal
from fivefold.core.roc_auc import holm, paired_test
from fivefold.core.stored import Stored, known_fields
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.candidate import Candidate, FailedSearch

SIGNIFICANT = 0.05  # Holm-adjusted p value below which a candidate differs from the winner


@dataclass(frozen=True)
class LeaderboardRow(Stored):
    """One algorithm on the leaderboard.

    A failed search has no rank and no p value. The winner has no p value.

    `p_value`: DeLong's paired test against the winner on the same rows, fold by fold, adjusted by
    Holm.
    """

    result: Candidate | FailedSearch
    rank: int | None = None
    p_value: float | None = None
    indistinguishable: bool = False

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
) -> Leaderboard:
    """Return the leaderboard, by mean ROC AUC over the folds.

    Equal ones are sorted by smaller spread, then by name.

    Parameters
    ----------
    results : of all searches
    oofs : out-of-fold probabilities of each candidate, shape (rows,)
    y, fold_ids : labels and fold assignment of the same rows

    Raises
    ------
    Refused : with every reason, when all searches failed
    """
    candidates = [result for result in results if isinstance(result, Candidate)]
    failures = [result for result in results if isinstance(result, FailedSearch)]
    candidates.sort(key=lambda c: (-c.auc_mean, c.auc_std, c.algorithm))
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
    scored = fold_ids >= 0
    best, *others = [oofs[candidate.algorithm][scored] for candidate in candidates]
    tests = [paired_test(y[scored], best, other, fold_ids[scored]) for other in others]
    p_values = holm([test["p_value"] for test in tests])
    rows = [LeaderboardRow(candidates[0], 1, None, True)]
    for candidate, p in zip(candidates[1:], p_values, strict=True):
        rows.append(LeaderboardRow(candidate, len(rows) + 1, p, p >= SIGNIFICANT))
    return Leaderboard((*rows, *map(LeaderboardRow, failures)))


def title(name: str) -> str:
    """Return the algorithm's name for people."""
    if name == "blend":
        return "Blend"
    return ALGORITHMS[name].title if name in ALGORITHMS else name
