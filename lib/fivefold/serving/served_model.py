"""The model that answers, at its promoted threshold, until another is promoted."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from fivefold.core.findings import Refused, refusal
from fivefold.journal import promotions
from fivefold.journal.database import within
from fivefold.journal.promotions import Promotion
from fivefold.model.bundle import Bundle, from_bytes
from fivefold.tracking import client

log = logging.getLogger("fivefold")
FOLLOW_SECONDS = 1.0  # how often a server asks whether another model was promoted
FIRST_SECONDS = 60.0  # that the first model may take
AGAIN_SECONDS = 10.0  # after which a model that could not be loaded is tried again


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


def load(
    pathspec: str, promotion: Promotion | None = None, at_its_threshold: bool = True
) -> ServedModel:
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
    if promotion and at_its_threshold:
        bundle = at_threshold(bundle, promotion.threshold, promotion.why)
    return ServedModel(bundle, digest, pathspec, promotion)


def check(pathspec: str) -> None:
    """Raise `Refused` where a training run has no model that can be read; loads none."""
    from_bytes(*client.bundle_bytes(client.find_run(pathspec)), with_model=False)


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

    From `start` on a thread asks the journal every `FOLLOW_SECONDS`, whether requests come or not.
    A new model is loaded beside the old one, which answers until then; a new threshold alone loads
    nothing. With `pinned` (a training run) it is that model and no other. Where the journal does
    not answer, the loaded model stays.
    """

    def __init__(self, engine: Any, problem: str = "", pinned: str = ""):
        self._engine, self._problem, self._pinned = engine, problem, pinned
        self._model: ServedModel | None = load(pinned) if pinned else None
        self._trained: ServedModel | None = None  # as loaded, at the threshold of its training
        self._refused: Refused | None = None  # why the promoted model cannot be loaded
        self._failed: tuple[Promotion, float] | None = None  # which, and when
        self._silent_since: float | None = None  # since when the journal does not answer
        self._ended = threading.Event()

    @property
    def silence(self) -> float:
        """Seconds since which the journal does not say what is promoted."""
        since = self._silent_since
        return 0.0 if since is None else time.monotonic() - since

    def current(self) -> ServedModel:
        """Return the model in force. Raises `Refused` where none is promoted."""
        if self._model is None:
            raise self._refused or no_model(self._problem)
        return self._model

    def start(self) -> None:
        """Load the model in force, then follow what is promoted until `close`."""
        if self._pinned:
            return
        try:
            within(self._engine, FIRST_SECONDS, self.follow)
        except TimeoutError as hung:
            log.warning("the journal does not say what is promoted (%s)", hung)
        threading.Thread(target=self._work, daemon=True, name="follower").start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()

    def follow(self) -> None:
        """Ask once what is promoted, and load it. What fails is told, and tried again later."""
        try:
            self._silent_since = self._silent_since or time.monotonic()
            promotion = promotions.champion(self._engine, self._problem)
            self._silent_since = None
            if promotion is not None and not self._is_loaded(promotion):
                self._load(promotion)
        except Exception as error:
            log.warning("the promoted model cannot be loaded (%s); the present one stays", error)

    def _work(self) -> None:
        while not self._ended.wait(FOLLOW_SECONDS):
            self.follow()

    def _is_loaded(self, promotion: Promotion) -> bool:
        """Whether it is served, or could not be loaded a moment ago."""
        if self._model and self._model.promotion == promotion:
            return True
        if self._failed is None or self._failed[0] != promotion:
            return False
        return time.monotonic() - self._failed[1] < AGAIN_SECONDS

    def _load(self, promotion: Promotion) -> None:
        trained = self._trained
        loaded = (trained.pathspec, trained.sha256) if trained else ("", "")
        try:
            if trained is None or loaded != (promotion.model, promotion.sha256):
                trained = load(promotion.model, promotion, at_its_threshold=False)
        except Exception as error:
            self._failed = promotion, time.monotonic()
            self._refused = error if isinstance(error, Refused) else None
            raise
        bundle = at_threshold(trained.bundle, promotion.threshold, promotion.why)
        self._trained, self._model = trained, replace(trained, bundle=bundle, promotion=promotion)
        self._problem = promotion.problem  # stays: clients expect answers to this problem
        what = promotion.model, promotion.threshold, promotion.action
        log.info("now serving %s at threshold %.4g (%s)", *what)
