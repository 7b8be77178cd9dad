"""The live card of one arm, and its lines in the log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from metaflow.cards import Markdown, ProgressBar, ValueBox

from cards import parts as part
from cards.train import arm_components
from fivefold.core.settings import say

REDRAW = 5.0  # seconds between two drawings; each costs a process of a third of a second (measured)
ENDLESS = 10_000  # trials: a search by the clock


class Live:
    """The card of a running search: a bar, a line of status and the best so far, refreshed after each fold.

    A card never stops a search: whatever goes wrong in drawing is swallowed after the first word about it.
    """

    def __init__(self, card: Any, algorithm: str):
        from fivefold.charts import model
        from fivefold.training.leaderboard import title

        self._name = algorithm
        self._card, self._title, self._trials, self._broken = card, title(algorithm), [], False
        self._draw, self._began, self._drawn = model.trials, time.monotonic(), -REDRAW
        self._bar = ProgressBar(
            max=100, label=part.line_of(self._title), unit="%", metadata="preparing the folds"
        )
        self._status = ValueBox("Best so far", "–", "no trial has ended yet")
        self._chart = part.chart_part(self._draw([], self._title))
        self._safely(
            lambda: card.extend([Markdown("# Search"), self._bar, self._status, self._chart])
        )

    def report(self, state: Mapping[str, Any]) -> None:
        """After each fold: {trial (from 0), of, fold, folds, auc (mean so far), best (earlier trials or None)}.

        A trial that reaches its last fold also prints a line; a pruned one does not.
        """
        if state["fold"] == state["folds"]:
            best = max(state["auc"], state["best"] or 0.0)
            of = "" if state["of"] >= ENDLESS else f"/{state['of']}"
            say(
                f"{self._name}: trial {state['trial'] + 1}{of} ROC AUC {state['auc']:.4f} best {best:.4f}"
            )
        self._safely(lambda: self._show(state))

    def finish(self, candidate: Mapping[str, Any]) -> None:
        """The finished search in place of the running one."""
        say(
            f"{self._name}: best {candidate['auc_mean']:.4f} of {len(candidate['trials'])} trials "
            f"in {candidate['seconds']:.0f} s"
        )

        def last() -> None:
            self._bar.update(100, metadata="finished")
            self._card.clear()
            self._card.extend([Markdown("# Search"), *arm_components(candidate)])

        self._safely(last)

    def _show(self, state: Mapping[str, Any]) -> None:
        number, fold, folds, now = state["trial"], state["fold"], state["folds"], time.monotonic()
        if self._trials and self._trials[-1]["number"] == number:
            self._trials.pop()
        self._trials.append(
            {
                "number": number,
                "auc": state["auc"],
                "state": "complete" if fold == folds else "pruned",
                "seconds": now - self._began,
            }
        )
        if now - self._drawn < REDRAW:
            return
        self._drawn = now
        endless = state["of"] >= ENDLESS  # a search by the clock
        share = fold / folds if endless else (number + fold / folds) / max(1, state["of"])
        of = "" if endless else f" of {state['of']}"
        self._bar.update(
            round(100 * min(1.0, share)),
            metadata=(f"trial {number + 1}{of}, fold {fold} of {folds}, {now - self._began:.0f} s"),
        )
        best = max(
            (v for v in (state["best"], state["auc"] if fold == folds else None) if v is not None),
            default=None,
        )
        if best is not None:
            self._status.update(
                value=f"{best:.4f}",
                subtitle=f"mean ROC AUC over {folds} folds; this trial {state['auc']:.4f}",
            )
        self._chart.update(
            part.spec_of(
                self._draw(self._trials if fold == folds else self._trials[:-1], self._title)
            )
        )
        self._card.refresh()

    def _safely(self, draw: Any) -> None:
        if self._broken:
            return
        try:
            draw()
        except Exception as error:  # a report must not cost a search
            self._broken = True
            say(f"The live card stopped: {type(error).__name__}: {error}")
