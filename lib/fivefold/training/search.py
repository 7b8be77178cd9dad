"""Search: the best settings of one algorithm, by cross-validation on common folds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fivefold.core.roc_auc import roc_auc
from fivefold.data.splits import MANY_ROWS
from fivefold.training.algorithms import ALGORITHMS, Algorithm
from fivefold.training.candidate import COMPLETE, PRUNED, Candidate, ScoredTrial, Trial
from fivefold.training.encode_folds import Fold, encode_fold
from fivefold.training.encoding import encodings
from fivefold.training.training_data import FitOptions, TrainingData

# Share of the seconds that the first trial may take; the rows are reduced for that. An algorithm
# that is not boosted may take all of them: its first settings are almost its best.
FIRST_TRIAL, FIRST_TRIAL_NOT_BOOSTED = 0.3, 1.0
SMALL_CELLS = 400_000  # of a fold up to which a table of few rows is searched whole, unmeasured
FEW_ROWS = 200  # training rows of a fold below which nothing is measured
PROBE_ROWS = 2000  # training rows of the fit that is measured
UNPRUNED_TRIALS = 4  # trials before pruning starts
CELLS_KEPT_ENCODED = 4_000_000  # of a table up to which folds are kept in each encoding


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
    rival_auc : under a budget, the best mean ROC AUC that other searches have reached, below all
        where unknown
    """

    save: Callable[[ScoredTrial], None]
    report: Callable[[Progress], None]
    rival_auc: Callable[[], float]


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
    """Search the best settings of an algorithm by the mean ROC AUC over the folds.

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
        ends. The search stops early after `enough_trials` of the algorithm, or when its defaults
        show that it cannot reach `hooks.rival_auc()`.
    saved : trials of the same search that were finished before
    hooks : functions to call during the search

    Returns
    -------
    The candidate, and out-of-fold probabilities of shape (rows,), NaN outside the folds: the mean
    of those of its settings. These are the `top_k` best trials, fewer on large tables
    (`Algorithm.seeds_of`).

    References
    ----------
    Bergstra et al. 2011, "Algorithms for hyper-parameter optimization".
    """
    entry = adapted(ALGORITHMS[name], data)
    limit = trials if seconds == np.inf else entry.enough_trials
    end = time.monotonic() + seconds
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
    if "encoding" not in entry.space:
        return entry
    known = [encoding for encoding in entry.space["encoding"] if encoding in differ]
    defaults = tuple(
        params if params["encoding"] in known else {**params, "encoding": known[0]}
        for params in entry.defaults
    )
    return replace(entry, defaults=defaults, space={**entry.space, "encoding": known})


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

    `limit` is the number of trials. No trial but the first goes on after `end`.
    """

    entry: Algorithm
    data: TrainingData
    options: FitOptions
    hooks: SearchHooks
    limit: int
    end: float
    max_rows: int | None = None
    history: list[Trial] = field(default_factory=list)
    best: list[ScoredTrial] = field(default_factory=list)
    encoded: dict[str, list[Fold]] = field(default_factory=dict)

    def run(self, saved: Iterable[ScoredTrial], seconds: float) -> None:
        """Start from the saved trials, up to the first gap in their numbers."""
        for scored in saved:
            if scored.trial.number != len(self.history):
                break
            self._add(scored)
        if self.history:
            self.max_rows = self.history[0].max_rows
        elif seconds == np.inf:
            self.max_rows = self.entry.max_rows
        else:
            self.max_rows = affordable_rows(self.entry, self.data, self.options, seconds)
        while len(self.history) < self.limit:
            if seconds < np.inf and self.history and (self._time_is_up() or self._cannot_win()):
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
            ranked = sorted([*self.best, scored], key=lambda one: -one.trial.auc)
            rows = len(self.data.split.training_rows)
            self.best = ranked[: min(self.entry.top_k, self.entry.seeds_of(rows))]
        kept = any(one is scored for one in self.best)
        return scored if kept else replace(scored, oof=None)

    def result(self, name: str) -> tuple[Candidate, np.ndarray]:
        best, y = self.best[0].trial, self.data.y
        oof = np.mean([scored.oof for scored in self.best if scored.oof is not None], axis=0)
        folds = list(self.data.split.folds())
        scores = [roc_auc(y[valid], oof[valid]) for _, valid in folds]
        most_rows = max(len(train) for train, _ in folds)
        candidate = Candidate(
            algorithm=name,
            params=best.params,
            rounds=best.rounds,
            auc_mean=float(np.mean(scores)),
            auc_std=float(np.std(scores, ddof=1)),
            fold_scores=scores,
            settings=[scored.trial.setting for scored in self.best],
            seconds=sum(trial.seconds for trial in self.history),
            max_rows=self.max_rows,
            trials=self.history,
            rows_fit=min(most_rows, self.max_rows or len(y)),
        )
        return candidate, oof

    def _time_is_up(self) -> bool:
        """Whether another trial of average length would end too late."""
        usual = float(np.median([trial.seconds for trial in self.history]))
        return time.monotonic() + 0.7 * usual > self.end

    def _cannot_win(self) -> bool:
        """Whether this search cannot reach the rival.

        After all defaults, its best is more than two standard errors of the folds below the rival.
        """
        if not self.best or len(self.history) < len(self.entry.defaults):
            return False
        best = self.best[0].trial
        scores = best.fold_scores
        error = float(np.std(scores, ddof=1)) / len(scores) ** 0.5
        return bool(best.auc + 2 * error < self.hooks.rival_auc())

    def _folds(self, encoding: str) -> list[Fold]:
        if encoding not in self.encoded:
            if self.data.typed.size > CELLS_KEPT_ENCODED:  # memory: one encoding at a time
                self.encoded.clear()
            self.encoded[encoding] = [
                encode_fold(self.data, number, encoding, self.options, self.max_rows)
                for number in range(self.data.split.fold_count)
            ]
        return self.encoded[encoding]

    def _run_trial(self) -> ScoredTrial | None:
        """Run the next trial; None when the time is up between two folds."""
        entry, number = self.entry, len(self.history)
        asked = ask(entry, self.history, self.options.seed)
        params = dict(asked.params)
        folds = self._folds(entry.encoding_of(params))
        began = time.monotonic()
        models: list[Any] = []
        rounds: list[int] = []
        scores: list[float] = []
        state = COMPLETE
        for fold in folds:
            if scores:
                self._report(scores)
                if number and time.monotonic() > self.end:
                    return None
                if number >= UNPRUNED_TRIALS and asked.should_prune():
                    state = PRUNED
                    break
            model, best_round = fit_fold(entry, params, fold, self.options)
            models.append(model)
            if best_round is not None:
                rounds.append(best_round)
            answers = entry.predict(model, fold.valid.x, best_round)
            scores.append(roc_auc(fold.valid.y, answers))
            asked.report(float(np.mean(scores)), len(scores) - 1)
        common = round(float(np.median(rounds))) if rounds else None
        oof = None
        if state == COMPLETE:
            oof = np.full(len(self.data.y), np.nan, dtype="float32")
            for fold, model in zip(folds, models, strict=True):
                oof[fold.rows] = entry.predict(model, fold.valid.x, common)
            scores = [roc_auc(fold.valid.y, oof[fold.rows]) for fold in folds]
            self._report(scores)
        trial = Trial(
            number=number,
            state=state,
            auc=float(np.mean(scores)),
            fold_scores=scores,
            params=params,
            rounds=common,
            seconds=round(time.monotonic() - began, 3),
            max_rows=self.max_rows,
        )
        return ScoredTrial(trial, oof)

    def _report(self, scores: list[float]) -> None:
        best = self.best[0].trial.auc if self.best else None
        mean, folds = float(np.mean(scores)), self.data.split.fold_count
        self.hooks.report(Progress(len(self.history), self.limit, len(scores), folds, mean, best))


def fit_fold(
    entry: Algorithm, params: dict[str, Any], fold: Fold, options: FitOptions
) -> tuple[Any, int | None]:
    """Return the model fitted on the training part of a fold, and its best round of boosting."""
    train = fold.train
    model = entry.build(params, options.seed, options.threads, train.types, options.device)
    if entry.boosted is None:
        return entry.fit(model, train), None
    return model, entry.boosted.fit_rounds(model, train, fold.valid)


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
        means = np.cumsum(past.fold_scores) / np.arange(1, len(past.fold_scores) + 1)
        known = optuna.trial.create_trial(
            state=optuna.trial.TrialState[past.state.upper()],
            params=past.params,
            distributions=space,
            value=past.auc,
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


def affordable_rows(
    entry: Algorithm, data: TrainingData, options: FitOptions, seconds: float
) -> int | None:
    """Return the most training rows of a fit; None for all.

    With that number the first trial takes at most its share of the time.

    The first default is fitted on 2,000 and 10,000 training rows of the largest fold, after a small
    fit that loads the libraries. The time is assumed to be linear in the rows. Small tables are not
    measured, unless they are wide.
    """
    training_rows = [train for train, _ in data.split.folds()]
    number = int(np.argmax([len(train) for train in training_rows]))
    train = training_rows[number]
    rows = len(train)
    if options.sampler is not None:  # a fit may have as many synthetic rows as real ones
        _, drawn = options.sampler(*data.rows(train), number)
        rows = max(rows, (rows + len(drawn)) // 2)
    small = rows < FEW_ROWS or rows * data.typed.shape[1] <= SMALL_CELLS
    if rows <= 2 * PROBE_ROWS and small:
        return entry.max_rows
    probe = min(PROBE_ROWS, rows // 2)
    params = entry.defaults[0]

    def measure(most: int) -> float:
        began = time.monotonic()
        fold = encode_fold(data, number, entry.encoding_of(params), options, most)
        fit_fold(entry, params, fold, options)
        return time.monotonic() - began

    measure(max(FEW_ROWS // 4, probe // 10))
    first = measure(probe)
    fixed, per_row = 0.0, first / probe
    if rows > 10 * probe and first < 0.06 * seconds:
        longer = measure(5 * probe)
        per_row = max(longer - first, 0.1 * longer) / (4 * probe)
        fixed = max(0.0, longer - per_row * 5 * probe)
    share = FIRST_TRIAL if entry.boosted else FIRST_TRIAL_NOT_BOOSTED
    affordable = max(probe, int((share * seconds / len(training_rows) - fixed) / per_row))
    return entry.max_rows if affordable >= min(rows, entry.max_rows or rows) else affordable
