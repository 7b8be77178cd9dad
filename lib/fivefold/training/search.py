"""Search: the best settings of one algorithm, by cross-validation on common folds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fivefold.core.roc_auc import roc_auc, spread
from fivefold.data.splits import MANY_ROWS
from fivefold.training.algorithms import ALGORITHMS, Algorithm
from fivefold.training.boosting import OutOfTime
from fivefold.training.candidate import COMPLETE, PRUNED, Candidate, ScoredTrial, Trial
from fivefold.training.encode_folds import Fold, encode_fold, fit_fold
from fivefold.training.encoding import CROSSED, MOST_CHARACTERS, PLAIN, WORDS, encodings
from fivefold.training.metric import METRICS, ROC_AUC, Metric
from fivefold.training.search_size import (
    SearchSize,
    choose_folds,
    fold_choices,
    fold_order,
    plan_size,
)
from fivefold.training.training_data import FitOptions, TrainingData

WORTH_FOLDS = 3  # of an optional algorithm, below which the others get its time
UNPRUNED_TRIALS = 4  # trials before pruning starts
MORE_ROWS = 1.5  # times as many rows for which the first trial begins again
TIME_FOR_MORE_ROWS = 0.7  # part of the time left that its first fold may then take
EVERYTHING = SearchSize((), None)
BASELINE: dict[str, Any] = {"encoding": PLAIN, "C": 1.0}  # parameters of the plain baseline
CELLS_KEPT_ENCODED = 4_000_000  # of a table up to which folds are kept in each encoding


class NoTime(Exception):
    """The time is too short for this search to be worth anything."""


@dataclass(frozen=True)
class Progress:
    """The progress of a search after a fold.

    `trial` counts from 0, `of` is the number of trials, `fold` counts from 1. `auc` is the mean of
    the trial's folds so far, `best` that of the best trial before it.
    """

    trial: int
    of: int
    fold: int
    folds: int
    auc: float
    best: float | None


@dataclass(frozen=True)
class SearchHooks:
    """What a search calls while it runs.

    Parameters
    ----------
    save : after each trial; with its out-of-fold probabilities if it is among the best
    report : after each fold
    rival_score : under a budget, the best mean score that other searches have reached, below all
        where unknown
    """

    save: Callable[[ScoredTrial], None]
    report: Callable[[Progress], None]
    rival_score: Callable[[], float]


def search(
    name: str,
    data: TrainingData,
    options: FitOptions,
    *,
    trials: int,
    seconds: float,
    saved: Iterable[ScoredTrial],
    hooks: SearchHooks,
) -> tuple[Candidate, np.ndarray]:
    """Search the best settings of an algorithm by the mean over the folds.

    It is that of ROC AUC, or of `options.metric`.

    The defaults come first, then Optuna's TPE. A trial whose mean so far is below the median of
    earlier ones is pruned between folds. Every trial is a pure function of the seed, its number and
    the trials before it: a resumed search gives the same result as an uninterrupted one.

    Parameters
    ----------
    name : of the algorithm
    data : all rows; only those in a fold are read
    options : seed, threads, device, and a sampler whose rows are added to training parts only
    trials : how many
    seconds : bounds the search instead of `trials`, unless it is infinite. The first trial always
        ends, with as many folds and rows as the time allows (`search_size`); the others have the
        same. The search stops early after `enough_trials` of the algorithm, or when its defaults
        show that it cannot reach `hooks.rival_score()`.
    saved : trials of the same search that were finished before
    hooks : functions to call during the search

    Raises
    ------
    NoTime
        An algorithm of which little is expected would have to score fewer than `WORTH_FOLDS` folds.

    Returns
    -------
    The candidate, and out-of-fold probabilities of shape (rows,), NaN outside the scored folds: the
    mean of those of its settings. These are the `top_k` best trials, fewer on large tables
    (`Algorithm.seeds_of`).

    References
    ----------
    Bergstra et al. 2011, "Algorithms for hyper-parameter optimization".
    """
    entry = adapted(ALGORITHMS[name], data)
    limit, end = entry.trials_of(trials), time.monotonic() + seconds
    if seconds < np.inf:
        entry, limit = cheap_first(entry), entry.enough_trials
    running = _Search(entry, data, options, hooks, limit, end)
    running.run(saved, seconds)
    if not running.best:
        raise RuntimeError(f"{name}: none of {len(running.history)} trials was completed")
    return running.result(name)


def adapted(entry: Algorithm, data: TrainingData) -> Algorithm:
    """Return the entry, adapted to this table.

    The number of rows chooses defaults and space. Only encodings that differ on the table stay.
    """
    rows = data.split.training_rows
    if entry.large_defaults and len(rows) > MANY_ROWS:
        space = {**entry.space, **entry.large_space}
        entry = replace(entry, defaults=entry.large_defaults, space=space)
    categories = data.typed[data.schema.names("categorical")].iloc[rows]
    differ = encodings(categories, data.schema)
    if entry.code_defaults and entry.code_defaults[0]["encoding"] in differ:
        entry = _for_codes(entry)
    if WORDS in differ and entry.text_defaults:
        most = rows_of_texts(data)
        bound = min(most, entry.max_rows or most)
        entry = replace(entry, defaults=entry.text_defaults, max_rows=bound)
    if "encoding" not in entry.space:
        return entry
    known = [encoding for encoding in entry.space["encoding"] if encoding in differ]
    defaults = tuple(
        params if params["encoding"] in known else {**params, "encoding": known[0]}
        for params in entry.defaults
    )
    return replace(entry, defaults=defaults, space={**entry.space, "encoding": known})


def rows_of_texts(data: TrainingData) -> int:
    """Return how many training rows have `MOST_CHARACTERS` in their texts, about: for one fit."""
    texts = data.typed[data.schema.names("text")].iloc[data.split.training_rows]
    characters = sum(int(texts[name].str.len().sum()) for name in texts)
    return max(1, int(len(texts) * min(1.0, MOST_CHARACTERS / max(1, characters))))


def cheap_first(entry: Algorithm) -> Algorithm:
    """Return the entry with the first default without products or words before the others.

    So a search under a budget soon has a model.
    """
    first = min(entry.defaults, key=lambda params: entry.encoding_of(params) in (CROSSED, WORDS))
    others = [params for params in entry.defaults if params is not first]
    return replace(entry, defaults=(first, *others))


def plain_regression(
    data: TrainingData, options: FitOptions, size: SearchSize
) -> tuple[Candidate, np.ndarray]:
    """Return the plain logistic regression as a candidate, scored on these folds.

    Nothing is searched: it is the first default under a budget, and the least that a served model
    has to reach.
    """
    name = "logistic_regression"
    hooks = SearchHooks(lambda scored: None, lambda progress: None, lambda: -np.inf)
    entry = cheap_first(adapted(ALGORITHMS[name], data))
    running = _Search(entry, data, options, hooks, 1, np.inf, size)
    running.complete_trials()
    return running.result(name)


def baseline_regression(
    data: TrainingData, options: FitOptions, size: SearchSize
) -> tuple[Candidate, np.ndarray]:
    """Return the baseline of the evaluation as a candidate, scored on these folds.

    A logistic regression of scaled columns: no curves, no products, no search. It is served where
    nothing beats it (`fivefold.training.final_steps.select`).
    """
    name = "logistic_regression"
    hooks = SearchHooks(lambda scored: None, lambda progress: None, lambda: -np.inf)
    only = {parameter: [value] for parameter, value in BASELINE.items()}
    entry = replace(ALGORITHMS[name], defaults=(BASELINE,), code_defaults=(), space=only)
    running = _Search(entry, data, options, hooks, 1, np.inf, size)
    running.complete_trials()
    return running.result(name)


def _for_codes(entry: Algorithm) -> Algorithm:
    """Return the entry for a table of codes: other defaults, and their encoding to choose."""
    pairs = zip(entry.defaults, entry.code_defaults, strict=False)
    defaults = tuple({**params, **codes} for params, codes in pairs)
    others = entry.space.get("encoding", [entry.encoding])
    space = {**entry.space, "encoding": [*others, entry.code_defaults[0]["encoding"]]}
    return replace(entry, defaults=defaults, space=space)


@dataclass
class _Search:
    """A search under way: its trials so far and the best of them.

    `limit` is the number of trials. No trial but the first goes on after `end`. `fold_seconds` has
    the seconds of each fold of the first trial, `encoding_seconds` those of them for encoding.
    """

    entry: Algorithm
    data: TrainingData
    options: FitOptions
    hooks: SearchHooks
    limit: int
    end: float
    size: SearchSize = EVERYTHING
    seconds: float = np.inf
    history: list[Trial] = field(default_factory=list)
    best: list[ScoredTrial] = field(default_factory=list)
    encoded: dict[str, dict[int, Fold]] = field(default_factory=dict)
    fold_seconds: list[float] = field(default_factory=list)
    encoding_seconds: float = 0.0

    def run(self, saved: Iterable[ScoredTrial], seconds: float) -> None:
        """Start from the saved trials, up to the first gap in their numbers."""
        for scored in saved:
            if scored.trial.number != len(self.history):
                break
            self._add(scored)
        self.seconds = seconds
        self.size = self._size()
        if seconds < np.inf and not self._is_worth_it():
            raise NoTime
        self.complete_trials()

    def _is_worth_it(self) -> bool:
        """Whether it scores enough folds, if the others could do without it."""
        enough = min(WORTH_FOLDS, self.data.split.fold_count)
        return not self.entry.optional or len(self.size.folds) >= enough

    def _size(self) -> SearchSize:
        """Return the folds and rows of every trial: those of the saved ones, if there are any."""
        under_budget = self.seconds < np.inf
        split = self.data.split
        folds = fold_order(split) if under_budget else list(range(split.fold_count))
        if self.history:
            first = self.history[0]
            return SearchSize(tuple(folds[: len(first.fold_scores)]), first.max_rows)
        if under_budget:
            return plan_size(self.entry, self.data, self.options, self.seconds)
        return SearchSize(tuple(folds), self.entry.max_rows)

    def complete_trials(self) -> None:
        """Run trials up to the limit or the end of the time."""
        while len(self.history) < self.limit:
            if (
                self.seconds < np.inf
                and self.history
                and (self._time_is_up() or self._cannot_win())
            ):
                break
            trial = self._run_trial()
            if trial is None:
                break
            self.hooks.save(self._add(trial))

    def _add(self, scored: ScoredTrial) -> ScoredTrial:
        """Add a trial; return it, without its probabilities if it is not among the best.

        The best are sorted best first; of two equal ones the earlier is first.
        """
        self.history.append(scored.trial)
        if scored.oof is not None:
            ranked = sorted([*self.best, scored], key=lambda one: -one.trial.score)
            rows = len(self.data.split.training_rows)
            self.best = ranked[: min(self.entry.top_k, self.entry.seeds_of(rows))]
        kept = any(one is scored for one in self.best)
        return scored if kept else replace(scored, oof=None)

    def result(self, name: str) -> tuple[Candidate, np.ndarray]:
        best, y = self.best[0].trial, self.data.y
        oof = np.mean([scored.oof for scored in self.best if scored.oof is not None], axis=0)
        folds = list(self.data.split.folds())
        scored_folds = [folds[number][1] for number in sorted(self.size.folds)]
        scores = [roc_auc(y[valid], oof[valid]) for valid in scored_folds]
        most_rows = max(len(train) for train, _ in folds)
        metric = self.metric
        chosen = [metric.score(y[valid], oof[valid]) for valid in scored_folds]
        candidate = Candidate(
            algorithm=name,
            params=best.params,
            rounds=best.rounds,
            auc_mean=float(np.mean(scores)),
            auc_std=spread(scores, y[scored_folds[0]], oof[scored_folds[0]]),
            fold_scores=scores,
            settings=[scored.trial.setting for scored in self.best],
            seconds=sum(trial.seconds for trial in self.history),
            max_rows=self.size.max_rows,
            trials=self.history,
            rows_fit=min(most_rows, self.size.max_rows or len(y)),
            folds_scored=len(scores),
            folds=len(folds),
            fold_rows=most_rows,
            metric=metric.name,
            bound=self.entry.max_rows,
            scores=None if metric is ROC_AUC else chosen,
        )
        return candidate, oof

    def _time_is_up(self) -> bool:
        """Whether another trial of average length would end too late.

        Where folds were given up a trial is a large part of the time, and has to fit whole.
        """
        usual = float(np.median([trial.seconds for trial in self.history]))
        if len(self.size.folds) == self.data.split.fold_count:
            usual *= 0.7
        number = len(self.history)
        if number < len(self.entry.defaults):
            encoding = self.entry.encoding_of(self.entry.defaults[number])
            if encoding not in self.encoded:
                usual += self.encoding_seconds
        return time.monotonic() + usual > self.end

    def _cannot_win(self) -> bool:
        """Whether this search cannot reach the rival.

        After all defaults, its best is more than two standard errors of the folds below the rival.
        """
        if not self.best or len(self.history) < len(self.entry.defaults):
            return False
        best, oof = self.best[0].trial, self.best[0].oof
        assert oof is not None
        scored = self.data.fold_ids == self.size.folds[0]
        scores = best.metric_scores
        if len(scores) == 1 and self.metric is not ROC_AUC:
            return False  # the error of one fold is known of ROC AUC only
        error = spread(scores, self.data.y[scored], oof[scored])
        error /= len(scores) ** 0.5
        return bool(best.score + 2 * error < self.hooks.rival_score())

    @property
    def metric(self) -> Metric:
        return METRICS[self.options.metric]

    def _fold(self, encoding: str, number: int) -> Fold:
        if encoding not in self.encoded:
            if self.data.typed.size > CELLS_KEPT_ENCODED:  # memory: one encoding at a time
                self.encoded.clear()
            self.encoded[encoding] = {}
        folds = self.encoded[encoding]
        if number not in folds:
            folds[number] = encode_fold(
                self.data, number, encoding, self.options, self.size.max_rows
            )
        return folds[number]

    def _run_trial(self) -> ScoredTrial | None:
        """Run the next trial; None when the time is up before its last fold."""
        entry, number = self.entry, len(self.history)
        asked = ask(entry, self.history, self.options.seed)
        params = dict(asked.params)
        encoding = entry.encoding_of(params)
        began, seconds = time.monotonic(), 0.0
        folds: list[Fold] = []
        models: list[Any] = []
        rounds: list[int] = []
        scores: list[float] = []
        chosen: list[float] = []
        state = COMPLETE
        while len(scores) < len(self.size.folds):
            if scores:
                self._report(scores)
                if number and time.monotonic() > self.end:
                    return None
                if number >= UNPRUNED_TRIALS and asked.should_prune():
                    state = PRUNED
                    break
            fold = self._fold(encoding, self.size.folds[len(scores)])
            fold_began = time.monotonic()
            if number == 0:
                self.encoding_seconds = fold_began - began - seconds
            left = self.end - fold_began if number else np.inf
            try:
                model, best_round = fit_fold(entry, params, fold, self.options, left)
            except OutOfTime:
                return None
            folds.append(fold)
            models.append(model)
            if best_round is not None:
                rounds.append(best_round)
            answers = entry.predict(model, fold.valid.x, best_round)
            scores.append(roc_auc(fold.valid.y, answers))
            chosen.append(self.metric.score(fold.valid.y, answers))
            asked.report(float(np.mean(chosen)), len(chosen) - 1)
            seconds += time.monotonic() - fold_began
            if number == 0:
                gone = time.monotonic() - began
                if len(scores) == 1 and self._takes_more_rows(gone):
                    return self._run_trial()
                self._give_up_folds(len(scores), gone)
        common = round(float(np.median(rounds))) if rounds else None
        oof = None
        if state == COMPLETE:
            predicting = time.monotonic()
            oof = np.full(len(self.data.y), np.nan, dtype="float32")
            for fold, model in zip(folds, models, strict=True):
                oof[fold.rows] = entry.predict(model, fold.valid.x, common)
            scores = [roc_auc(fold.valid.y, oof[fold.rows]) for fold in folds]
            chosen = [self.metric.score(fold.valid.y, oof[fold.rows]) for fold in folds]
            seconds += time.monotonic() - predicting
            self._report(scores)
        trial = Trial(
            number=number,
            state=state,
            auc=float(np.mean(scores)),
            fold_scores=scores,
            params=params,
            rounds=common,
            seconds=round(seconds, 3),
            max_rows=self.size.max_rows,
            scores=None if self.metric is ROC_AUC else chosen,
        )
        return ScoredTrial(trial, oof)

    def _takes_more_rows(self, gone: float) -> bool:
        """Whether the first fold, in `gone` seconds, was quicker than rows were given up for.

        The first trial then begins again with the rows that most of the time left allows.
        """
        rows, bound = self.size.max_rows, self.entry.max_rows
        if self.seconds == np.inf or rows is None or rows == bound:
            return False
        most = max(len(train) for train, _ in self.data.split.folds())
        most = min(most, bound or most)
        reach = int(TIME_FOR_MORE_ROWS * (self.end - time.monotonic()) * rows / max(gone, 1e-9))
        if min(reach, most) < MORE_ROWS * rows:
            return False
        self.size = replace(self.size, max_rows=bound if reach >= most else reach)
        self.encoded.clear()
        return True

    def _give_up_folds(self, done: int, gone: float) -> None:
        """Score fewer folds if the first ones of the first trial took too long.

        `done` folds took `gone` seconds. After the first fold the number is planned again by what
        it took. Later it is only reduced, where the time would be exceeded: the machine has become
        busy.
        """
        if self.seconds == np.inf:
            return
        self.fold_seconds.append(gone - sum(self.fold_seconds))
        if done == 1:
            count = choose_folds(fold_choices(self.data), gone, self.seconds)
            self.size = replace(self.size, folds=tuple(fold_order(self.data.split)[:count]))
        expected = max(self.fold_seconds[-1], gone / done)
        if time.monotonic() + expected > self.end:
            least = max(done, min(fold_choices(self.data)))
            self.size = replace(self.size, folds=self.size.folds[:least])

    def _report(self, scores: list[float]) -> None:
        best = self.best[0].trial.auc if self.best else None
        mean, folds = float(np.mean(scores)), len(self.size.folds)
        self.hooks.report(Progress(len(self.history), self.limit, len(scores), folds, mean, best))


def ask(entry: Algorithm, history: list[Trial], seed: int) -> Any:
    """Return an Optuna trial that follows the history.

    Its sampler is seeded by the number of the trial alone.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = len(history)
    space = {name: _distribution(span) for name, span in entry.space.items()}
    sampler_seed = (seed * 100_003 + number) % 2**32
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED_TRIALS),
        sampler=optuna.samplers.TPESampler(seed=sampler_seed, n_startup_trials=6),
    )
    for past in history:
        scores = past.metric_scores
        means = np.cumsum(scores) / np.arange(1, len(scores) + 1)
        known = optuna.trial.create_trial(
            state=optuna.trial.TrialState[past.state.upper()],
            params=past.params,
            distributions=space,
            value=past.score,
            intermediate_values=dict(enumerate(means.tolist())),
        )
        study.add_trial(known)
    if number < len(entry.defaults):
        study.enqueue_trial(entry.defaults[number])
    return study.ask(space)


def _distribution(span: tuple[Any, ...] | list[Any]) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(span, list):
        return CategoricalDistribution(span)
    kind = IntDistribution if isinstance(span[0], int) else FloatDistribution
    return kind(span[0], span[1], log=len(span) > 2)
