"""Results of a search: its trials, and the candidate with the best settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fivefold.core.stored import known_fields

COMPLETE, PRUNED = "complete", "pruned"


@dataclass(frozen=True)
class Setting:
    """Parameters of one model.

    `number` is that of its trial. `rounds` of boosting is None if the algorithm has none.
    """

    number: int | None
    params: dict[str, Any]
    rounds: int | None


@dataclass(frozen=True)
class Trial:
    """One setting, scored on the folds.

    `state` is "complete" or "pruned"; a pruned trial has the scores of the folds that it finished.
    `auc` is their mean. `seconds` is the time of all its fits, `max_rows` the bound on the training
    rows of each.
    """

    number: int
    state: str
    auc: float
    fold_scores: list[float]
    params: dict[str, Any]
    rounds: int | None
    seconds: float
    max_rows: int | None

    @property
    def complete(self) -> bool:
        return self.state == COMPLETE

    @property
    def setting(self) -> Setting:
        return Setting(self.number, self.params, self.rounds)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Trial:
        return cls(**stored)


@dataclass(frozen=True)
class ScoredTrial:
    """A trial and its out-of-fold probabilities, shape (rows,); None where they are not kept."""

    trial: Trial
    oof: np.ndarray | None


@dataclass(frozen=True)
class Candidate:
    """The result of one algorithm's search.

    `params` and `rounds` are those of the best trial. `settings` has the best trials, best first;
    the fold scores are those of the mean of their out-of-fold probabilities. `rows_fit`: most rows
    of a fit in the search.
    """

    algorithm: str
    params: dict[str, Any]
    rounds: int | None
    auc_mean: float
    auc_std: float
    fold_scores: list[float]
    settings: list[Setting]
    seconds: float
    max_rows: int | None
    trials: list[Trial]
    rows_fit: int

    @property
    def best_trial(self) -> Trial:
        complete = [trial for trial in self.trials if trial.complete]
        return max(complete, key=lambda trial: trial.auc)

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "status": "ok", "error": ""}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Candidate:
        first = Setting(None, stored["params"], stored["rounds"])
        settings = [Setting(**setting) for setting in stored.get("settings") or []]
        values = known_fields(cls, stored)
        values["settings"] = settings or [first]  # candidates of older runs have one setting
        values["trials"] = [Trial.from_dict(trial) for trial in stored["trials"]]
        return cls(**values)


@dataclass(frozen=True)
class FailedSearch:
    """A search that raised an error, was killed, timed out or was not started."""

    algorithm: str
    error: str
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        empty = dict.fromkeys(("rounds", "auc_mean", "auc_std", "max_rows", "rows_fit"))
        return {
            **asdict(self),
            **empty,
            "status": "failed",
            "params": {},
            "fold_scores": [],
            "trials": [],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> FailedSearch:
        return cls(stored["algorithm"], stored["error"], stored["seconds"])
