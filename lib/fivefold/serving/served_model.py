"""The model that answers, at its promoted threshold, until another is promoted."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import Any

from fivefold.core.findings import Refused, refusal
from fivefold.journal import promotions
from fivefold.journal.promotions import Promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.tracking import client

log = logging.getLogger("fivefold")
FOLLOW_SECONDS = 1.0  # how often a server asks whether another model was promoted


@dataclass(frozen=True)
class ServedModel:
    """A loaded model.

    bundle: decides at the threshold in force. sha256: digest of the stored bundle. pathspec: the
    training run. promotion: the row of the promotions that put it in force, None where it was
    chosen otherwise.
    """

    bundle: Bundle
    sha256: str
    pathspec: str
    promotion: Promotion | None = None


def load(pathspec: str, promotion: Promotion | None = None) -> ServedModel:
    """Load the model of a training run, with a promotion at its threshold. Raises `Refused`."""
    blob, digest = client.bundle_bytes(client.find_run(pathspec))
    if promotion and promotion.sha256 != digest:
        raise refusal(
            "The model cannot be served",
            code="bundle-digest",
            subject=pathspec,
            found=f"sha256 {digest[:12]}…",
            expected=f"sha256 {promotion.sha256[:12]}… as promoted",
            action="promote the run again: python flows/promote.py promote RUN",
        )
    bundle = from_bytes(blob, digest)
    if promotion:
        bundle = at_threshold(bundle, promotion.threshold, promotion.why)
    return ServedModel(bundle, digest, pathspec, promotion)


def at_threshold(bundle: Bundle, threshold: float, why: str) -> Bundle:
    """Return the bundle with a promoted threshold."""
    if threshold == bundle.metadata.threshold.value:
        return bundle
    return bundle.with_threshold(threshold, why)


def no_model(problem: str) -> Refused:
    """Return the error to raise where nothing is promoted."""
    return refusal(
        "There is no model to serve",
        code="nothing-promoted",
        subject=problem or "journal",
        found="no promoted model",
        expected="one",
        action="train one (a first model that meets its scope is promoted), "
        "or python flows/promote.py promote RUN",
    )


class Follower:
    """The promoted model of a problem, kept loaded and replaced when another is promoted.

    A new model is loaded beside the old one, which answers until then. With `pinned` (a training
    run) it is that model and no other. Where the journal does not answer, the loaded model stays.
    """

    def __init__(self, engine: Any, problem: str = "", pinned: str = ""):
        self._engine, self._problem, self._pinned = engine, problem, pinned
        self._model: ServedModel | None = load(pinned) if pinned else None
        self._checked_at = float("-inf")
        self._lock = threading.Lock()

    def current(self) -> ServedModel:
        """Return the model in force. Raises `Refused` where none is promoted."""
        if not self._pinned and time.monotonic() - self._checked_at >= FOLLOW_SECONDS:
            self._check()
        if self._model is None:
            raise no_model(self._problem)
        return self._model

    def _check(self) -> None:
        if self._model is None:
            with self._lock:
                self._follow()
        elif self._lock.acquire(blocking=False):  # one thread checks, the others go on meanwhile
            self._checked_at = time.monotonic()
            threading.Thread(target=self._follow_then_release, daemon=True).start()

    def _follow_then_release(self) -> None:
        try:
            self._follow()
        except Exception as error:
            log.warning("the promoted model cannot be loaded (%s); the present one stays", error)
        finally:
            self._lock.release()

    def _follow(self) -> None:
        promotion = promotions.champion(self._engine, self._problem)
        self._checked_at = time.monotonic()
        if promotion is None or (self._model and self._model.promotion == promotion):
            return
        self._model = load(promotion.model, promotion)
        self._problem = promotion.problem  # stays: clients expect answers to this problem
        what = promotion.model, promotion.threshold, promotion.action
        log.info("now serving %s at threshold %.4g (%s)", *what)
