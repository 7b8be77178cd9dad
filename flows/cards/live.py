"""The card of a running search, and its lines in the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from metaflow.cards import Markdown, ProgressBar, ValueBox

from cards import parts as part
from cards.train import search_components
from fivefold.core.settings import say

if TYPE_CHECKING:
    from fivefold.training.candidate import Candidate
    from fivefold.training.search import Progress

REDRAW = 10.0  # seconds before each drawing, which costs a process of up to a second
ENDLESS = 10_000  # trials of a search that ends by the clock


class Live:
    """A progress bar, a status and the best so far, refreshed after each fold.

    A card never stops a search: after the first drawing error it is no longer refreshed.
    """

    def __init__(self, card: Any, algorithm: str):
        from fivefold.training.leaderboard import title

        self._name, self._title = algorithm, title(algorithm)
        self._card = card
        self._trials: list[tuple[int, float, str, float]] = []  # fields of `TrialScore`
        self._broken = False
        self._began = self._drawn = time.monotonic()
        label = part.line_of(self._title)
        self._bar = ProgressBar(max=100, label=label, unit="%", metadata="preparing the folds")
        self._status = ValueBox("Best so far", "–", "no trial has ended yet")
        self._chart: Any = None  # drawn late: a short search never pays for the import of Altair
        components = [Markdown("# Search"), self._bar, self._status]
        self._safely(lambda: card.extend(components))

    def report(self, progress: Progress) -> None:
        """Show a finished fold; after the last fold of a trial, also print a line."""
        if progress.fold == progress.folds:
            best = max(progress.auc, progress.best or 0.0)
            of = "" if progress.of >= ENDLESS else f"/{progress.of}"
            trial = f"trial {progress.trial + 1}{of}"
            say(f"{self._name}: {trial} ROC AUC {progress.auc:.4f} best {best:.4f}")
        self._safely(lambda: self._show(progress))

    def finish(self, candidate: Candidate) -> None:
        """Replace the running search by the finished one."""
        trials = f"{len(candidate.trials)} trials in {candidate.seconds:.0f} s"
        say(f"{self._name}: best {candidate.auc_mean:.4f} of {trials}")
        if candidate.given_up:
            say(candidate.given_up)

        def show() -> None:
            self._bar.update(100, metadata="finished")
            self._card.clear()
            self._card.extend([Markdown("# Search"), *search_components(candidate)])

        self._safely(show)

    def _show(self, progress: Progress) -> None:
        now = time.monotonic()
        complete = progress.fold == progress.folds
        self._keep(progress, complete, now - self._began)
        if now - self._drawn < REDRAW:
            return
        self._drawn = now
        self._update_bar(progress, now - self._began)
        reached = [progress.best, progress.auc if complete else None]
        known = [auc for auc in reached if auc is not None]
        if known:
            folds = f"mean ROC AUC over {progress.folds} folds"
            subtitle = f"{folds}; this trial {progress.auc:.4f}"
            self._status.update(value=f"{max(known):.4f}", subtitle=subtitle)
        trials = self._trials if complete else self._trials[:-1]
        drawing = self._drawing(trials)
        if self._chart is None:
            self._chart = part.chart_part(drawing)
            self._card.append(self._chart)
        else:
            self._chart.update(drawing.to_dict())
        self._card.refresh()

    def _keep(self, progress: Progress, complete: bool, seconds: float) -> None:
        """Keep the newest state of each trial, for the chart."""
        if self._trials and self._trials[-1][0] == progress.trial:
            self._trials.pop()
        state = "complete" if complete else "pruned"
        self._trials.append((progress.trial, progress.auc, state, seconds))

    def _update_bar(self, progress: Progress, seconds: float) -> None:
        share, of = progress.fold / progress.folds, ""
        if progress.of < ENDLESS:
            share = (progress.trial + share) / max(1, progress.of)
            of = f" of {progress.of}"
        fold = f"fold {progress.fold} of {progress.folds}"
        metadata = f"trial {progress.trial + 1}{of}, {fold}, {seconds:.0f} s"
        self._bar.update(round(100 * min(1.0, share)), metadata=metadata)

    def _drawing(self, trials: list[tuple[int, float, str, float]]) -> Any:
        from fivefold.charts import model

        return model.trials([model.TrialScore(*trial) for trial in trials], self._title)

    def _safely(self, draw: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            draw()
        except Exception as error:  # a report must not cost a search
            self._broken = True
            say(f"The live card stopped: {type(error).__name__}: {error}")
