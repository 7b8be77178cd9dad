"""Looks at held-out rows: what each may still prove, and that equal challengers stay out."""

import numpy as np
import pandas as pd
import pytest

from fivefold.journal.promotions import Decision
from fivefold.lifecycle.challenge import challenge
from fivefold.lifecycle.looks import SIDE, Look, ledger, next_look


def taken(number: int, challenger: str, holdout: str = "md5") -> Decision:
    """A challenge as the journal keeps it."""
    look = Look(holdout, number).to_dict()
    numbers = {"look": look, "challenger": challenger, "champion": "TrainFlow/1"}
    return Decision(
        action="kept", model=challenger, sha256="", threshold=0.5, who="", why="", numbers=numbers
    )


def test_all_looks_together_spend_the_error_of_one():
    spent = sum(Look("md5", number).side for number in range(1, 10_000))
    assert SIDE * 0.9999 < spent < SIDE
    assert Look("md5", 1).side == pytest.approx(0.025 * 6 / np.pi**2)
    assert Look("md5", 3).side == pytest.approx(Look("md5", 1).side / 9)


def test_a_look_is_counted_by_holdout_and_a_repeated_challenge_is_none():
    first = Decision(action="promoted", model="m", sha256="", threshold=0.5, who="", why="")
    history = [taken(2, "TrainFlow/3"), taken(1, "TrainFlow/2"), taken(1, "TrainFlow/2"), first]
    assert next_look([first], "md5") == Look("md5", 1)
    assert next_look(history, "md5", "TrainFlow/4", "TrainFlow/1") == Look("md5", 3)
    assert next_look(history, "md5", "TrainFlow/2", "TrainFlow/1") == Look("md5", 1)
    assert next_look(history, "md5", "TrainFlow/2", "TrainFlow/3") == Look("md5", 3)
    assert next_look(history, "other", "TrainFlow/4", "TrainFlow/1") == Look("other", 1)


def test_the_ledger_has_a_line_for_each_holdout():
    history = [taken(2, "TrainFlow/3"), taken(1, "TrainFlow/2"), taken(1, "TrainFlow/5", "new")]
    lines = ledger(history)
    assert len(lines) == 2
    assert "md5 md5: 2; the next challenge is proven better at p < 0.0017" in lines[0]
    assert "md5 new: 1;" in lines[1]
    assert ledger([]) == []


def test_twelve_equal_challengers_on_one_holdout_promote_hardly_one():
    """All as good as the champion: without a ledger one in nine worlds promotes one."""
    rng, rows = np.random.default_rng(4), 240
    none = pd.DataFrame(index=range(rows))
    origin = np.full(rows, "held-out")
    counted = uncounted = 0
    for _ in range(80):
        y = (rng.random(rows) < 0.4).astype(int)
        known = rng.normal(size=rows) + y

        def model():
            return 1 / (1 + np.exp(-(known + rng.normal(size=rows)) / 2))  # noqa: B023

        champion = model()
        results = []
        for number in range(1, 13):
            new = model()
            gains = [
                challenge(y, champion, new, origin, none, look=look).gain
                for look in (Look("md5", number), None)
            ]
            results.append([gain.proven for gain in gains])
        with_ledger, without = np.any(results, axis=0)
        counted, uncounted = counted + with_ledger, uncounted + without
    assert counted <= 5  # 2.5% of 80 are 2, and two standard errors
    assert uncounted >= 9


def test_a_gain_is_told_with_the_level_of_its_look():
    rng = np.random.default_rng(5)
    y = (rng.random(600) < 0.4).astype(int)
    noise = rng.random(600)
    better = np.clip(0.5 * y + 0.5 * rng.random(600), 0.01, 0.99)
    origin, none = np.full(600, "held-out"), pd.DataFrame(index=range(600))
    result = challenge(y, noise, better, origin, none, look=Look("md5", 2))
    assert result.gain.level == pytest.approx(1 - 2 * 0.025 * 6 / (2 * np.pi) ** 2)
    assert "99.24% interval" in result.why
    assert "look 2 at these rows" in result.why
    assert type(result).from_dict(result.to_dict()) == result
