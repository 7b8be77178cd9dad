"""The model that a server follows: in the background, loaded once, whatever the journal does."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from fivefold.core.findings import Refused, refusal
from fivefold.journal.promotions import Promotion
from fivefold.serving import served_model
from fivefold.serving.served_model import Follower, ServedModel
from tests.support.models import bundle_of

FRAME = pd.DataFrame({"age": [20.0, 30, 40, 50] * 5, "fee": [1.0, 2, 3, 4, 5] * 4})
PATIENCE = 10


class Journal:
    """What the journal says, and the models that were loaded."""

    def __init__(self) -> None:
        self.promotion: Promotion | None = None
        self.loaded: list[str] = []
        self.broken = False
        self.bundle = bundle_of(FRAME, lambda x: x["age"] / 100)

    def promote(self, model: str, threshold: float = 0.5, sha256: str = "sha") -> None:
        seq = (self.promotion.seq if self.promotion else 0) + 1
        self.promotion = Promotion(
            seq=seq,
            at=datetime(2026, 1, seq),
            problem="p",
            action="promoted",
            model=model,
            sha256=sha256,
            threshold=threshold,
            who="tests",
            why="a test",
        )

    def champion(self, *_: Any) -> Promotion | None:
        if self.broken:
            raise OSError("no journal")
        return self.promotion

    def load(self, pathspec: str, promotion: Promotion, at_its_threshold: bool) -> ServedModel:
        assert not at_its_threshold
        self.loaded.append(pathspec)
        if promotion.sha256 != "sha":
            raise refusal("The model cannot be served", "bundle-digest", pathspec, "x", "y", "z")
        return ServedModel(self.bundle, "sha", pathspec)


@pytest.fixture
def journal(monkeypatch) -> Journal:
    actual = Journal()
    monkeypatch.setattr(served_model.promotions, "champion", actual.champion)
    monkeypatch.setattr(served_model, "load", actual.load)
    monkeypatch.setattr(served_model, "FOLLOW_SECONDS", 0.01)
    return actual


def threshold(follower: Follower) -> float:
    return follower.current().bundle.metadata.threshold.value


def test_a_promotion_is_followed_while_nobody_asks(journal):
    journal.promote("TrainFlow/1")
    follower = Follower(None)
    follower.start()
    assert follower.current().pathspec == "TrainFlow/1"
    journal.promote("TrainFlow/2", 0.9)
    ends = time.monotonic() + PATIENCE
    while len(journal.loaded) < 2 and time.monotonic() < ends:
        time.sleep(0.01)  # no request comes
    time.sleep(0.05)
    assert (follower.current().pathspec, threshold(follower)) == ("TrainFlow/2", 0.9)
    follower.close()


def test_another_threshold_loads_nothing_and_returns_to_that_of_training(journal):
    follower = Follower(None)
    for value in (0.5, 0.9, 0.2, 0.5):
        journal.promote("TrainFlow/1", value)
        follower.follow()
        assert threshold(follower) == value
        assert follower.current().promotion == journal.promotion
    assert journal.loaded == ["TrainFlow/1"]
    assert follower.current().bundle is journal.bundle
    journal.promote("TrainFlow/2")
    follower.follow()
    assert journal.loaded == ["TrainFlow/1", "TrainFlow/2"]


def test_a_model_that_cannot_be_loaded_is_told_and_not_tried_all_the_time(journal):
    follower = Follower(None)
    with pytest.raises(Refused, match="nothing-promoted"):
        follower.current()
    journal.promote("TrainFlow/1", sha256="another")
    for _ in range(3):
        follower.follow()
    assert journal.loaded == ["TrainFlow/1"]
    with pytest.raises(Refused, match="bundle-digest"):
        follower.current()
    journal.promote("TrainFlow/2")  # another one is tried at once
    follower.follow()
    assert follower.current().pathspec == "TrainFlow/2"
    journal.promote("TrainFlow/3", sha256="another")
    follower.follow()
    assert follower.current().pathspec == "TrainFlow/2"


def test_a_journal_that_does_not_answer_leaves_the_model_and_is_told(journal):
    journal.promote("TrainFlow/1")
    follower = Follower(None)
    follower.follow()
    assert follower.silence == 0
    journal.broken = True
    follower.follow()
    time.sleep(0.01)
    follower.follow()
    assert follower.silence >= 0.01  # since the first time
    assert follower.current().pathspec == "TrainFlow/1"
    journal.broken = False
    follower.follow()
    assert follower.silence == 0
