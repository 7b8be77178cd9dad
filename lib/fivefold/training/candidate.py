"""Results of a search: its trials, and the candidate with the best settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from fivefold.core.scope import ROC_AUC
from fivefold.core.stored import Stored
from fivefold.core.text import plural
from fivefold.training.algorithms import ALGORITHMS, Algorithm

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
class Trial(Stored):
    """One setting, scored on the folds.

    `state` is "complete" or "pruned"; a pruned trial has the scores of the folds that it finished.
    `auc` is their mean. `scores` has the chosen metric of each fold, higher is better, where that
    is not ROC AUC. `seconds` is the time of all its fits, `max_rows` the bound on the training
    rows of each. Under a budget the folds of a complete trial may be fewer than those of the split.
    """

    number: int
    state: str
    auc: float
    fold_scores: list[float]
    params: dict[str, Any]
    rounds: int | None
    seconds: float
    max_rows: int | None
    scores: list[float] | None = None

    @property
    def metric_scores(self) -> list[float]:
        """The chosen metric of each fold, higher is better."""
        return self.fold_scores if self.scores is None else self.scores

    @property
    def score(self) -> float:
        """The mean by which trials are compared, higher is better."""
        return self.auc if self.scores is None else float(np.mean(self.scores))

    @property
    def complete(self) -> bool:
        return self.state == COMPLETE

    @property
    def setting(self) -> Setting:
        return Setting(self.number, self.params, self.rounds)


@dataclass(frozen=True)
class ScoredTrial:
    """A trial and its out-of-fold probabilities, shape (rows,); None where they are not kept."""

    trial: Trial
    oof: np.ndarray | None


@dataclass(frozen=True)
class Member(Stored):
    """One of the settings that a served model averages, with its weight.

    `rows_fitted` is the number of rows that it was fitted on.
    """

    algorithm: str
    weight: float
    params: dict[str, Any]
    rounds: int | None
    rows_fitted: int


@dataclass(frozen=True)
class Candidate(Stored):
    """The result of one algorithm's search.

    `params` and `rounds` are those of the best trial. `settings` has the best trials, best first;
    the fold scores are those of the mean of their out-of-fold probabilities; their spread over a
    single fold is its standard error. `rows_fit`: most rows of a fit in the search.

    `folds_scored` of the `folds` of the split, and the training rows of its largest fold, tell what
    a search gave up for its time; 0 in older runs.
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
    folds_scored: int = 0
    folds: int = 0
    fold_rows: int = 0
    metric: str = ROC_AUC
    scores: list[float] | None = None
    bound: int | None = None

    @property
    def score(self) -> float:
        """The mean over the folds of the chosen metric, higher is better."""
        return self.auc_mean if self.scores is None else float(np.mean(self.scores))

    @property
    def given_up(self) -> str:
        """What the search gave up because of its time; "" for nothing."""
        if not self.folds:
            return ""
        most = min(self.fold_rows, self.bound or self.entry.max_rows or self.fold_rows)
        if self.folds_scored >= self.folds and self.rows_fit >= most:
            return ""
        rows = f"all {self.rows_fit:,} rows"
        if self.rows_fit < self.fold_rows:
            rows = f"{self.rows_fit:,} of {self.fold_rows:,} rows"
        folds = f"{self.folds_scored} of {self.folds} folds"
        trials = plural(len(self.trials), "trial")
        return f"{self.entry.title}: {folds}, {rows}, {trials}: the time allowed no more"

    def seconds_of_fit(self, trial: Trial, rows: int) -> float:
        """Return the seconds of one fit on `rows` rows, at the speed of a trial's own fits."""
        fit = trial.seconds / max(1, len(trial.fold_scores))
        return fit * rows / self.rows_fit

    @property
    def entry(self) -> Algorithm:
        return ALGORITHMS[self.algorithm]

    @property
    def best_trial(self) -> Trial:
        complete = [trial for trial in self.trials if trial.complete]
        return max(complete, key=lambda trial: trial.score)

    def settings_in_turn(self, count: int) -> list[Setting]:
        """Return the setting of each of `count` fits: all settings in turn, best first."""
        return [self.settings[number % len(self.settings)] for number in range(count)]

    def members(self, weight: float, rows: int, seeds: int) -> list[Member]:
        """Return each distinct setting of `seeds` final fits on at most `rows` rows.

        The weights of the members add up to `weight`.
        """
        rows = min(rows, self.max_rows or rows)
        settings = self.settings_in_turn(seeds)
        distinct = []
        for number, setting in enumerate(settings):
            if setting not in settings[:number]:
                share = weight * settings.count(setting) / seeds
                member = Member(self.algorithm, share, setting.params, setting.rounds, rows)
                distinct.append(member)
        return distinct

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "status": "ok", "error": ""}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        settings = stored.get("settings")
        if not settings:  # candidates of older runs have one setting
            settings = [{"number": None, "params": stored["params"], "rounds": stored["rounds"]}]
        return super().from_dict({**stored, "settings": settings})


@dataclass(frozen=True)
class FailedSearch(Stored):
    """A search that raised an error, was killed, timed out or was not started.

    `skipped`: it was left out on purpose, by the budget or the scope.
    """

    algorithm: str
    error: str
    seconds: float = 0.0
    skipped: bool = False

    def to_dict(self) -> dict[str, Any]:
        empty = dict.fromkeys(("rounds", "auc_mean", "auc_std", "max_rows", "rows_fit"))
        stored = {**super().to_dict(), **empty, "status": "failed", "params": {}}
        return {**stored, "fold_scores": [], "trials": []}
