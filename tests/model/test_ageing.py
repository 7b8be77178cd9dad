"""Ageing: losses by hand, a drifting world in which models age, and a calm one in which none do."""

import numpy as np
import pytest

from fivefold.core.roc_auc import roc_auc
from fivefold.model.ageing import Ageing, AgePoint, ageing_curve


def world(turn: float, rows: int = 4000, seed: int = 0):
    """Five blocks after a first one; the direction that matters turns by `turn` in each block."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 600, rows))
    blocks = (times // 100).astype(int) - 1
    x = rng.normal(size=(rows, 2))
    angle = turn * (blocks + 1)
    signal = x[:, 0] * np.cos(angle) + x[:, 1] * np.sin(angle)
    y = (rng.random(rows) < 1 / (1 + np.exp(-2 * signal))).astype(int)

    def scores_of(number: int) -> np.ndarray:
        """What the block just before the cut has taught."""
        last = turn * number
        return x[:, 0] * np.cos(last) + x[:, 1] * np.sin(last)

    return y, blocks, times, scores_of


def test_a_curve_by_hand():
    y = np.array([0, 0, 1, 1] * 3)
    blocks = np.repeat([0, 1, 2], 4)
    times = np.repeat([10.0, 20.0, 40.0], 4)
    good, bad = np.array([1, 2, 3, 4] * 3), np.array([1, 3, 2, 4] * 3)
    curve = ageing_curve(y, blocks, times, lambda cut: good if cut == 2 else bad, "weeks")
    assert roc_auc(y[:4], bad[:4]) == 0.75
    one, two = curve.points
    # block 1: both models alike; block 2: 1.0 against .75
    assert (one.age, one.loss, one.rows) == (15.0, 0.125, 8)
    assert (two.age, two.loss, two.rows) == (30.0, 0.25, 4)
    assert one.low < 0.125 < one.high
    assert curve.unit == "weeks"


def test_models_age_in_a_world_that_turns():
    curve = ageing_curve(*world(turn=0.35))
    losses = [point.loss for point in curve.points]
    assert losses == sorted(losses)
    assert losses[-1] > 0.1
    assert curve.points[0].low > 0
    assert curve.lasts == 0.0
    assert curve.advice.endswith("train again at every new batch of rows")


def test_models_that_age_late_last_until_then():
    points = [AgePoint(100, 0.001, -0.002, 0.004, 9), AgePoint(200, 0.03, 0.01, 0.05, 9)]
    assert Ageing(points).lasts == 100
    assert Ageing(points).advice == (
        "A model of an age of 200 days has lost 0.0300 (0.0100 to 0.0500) in ROC AUC: "
        "train again every 100 days"
    )


def test_no_model_ages_in_a_calm_world():
    curve = ageing_curve(*world(turn=0.0))
    assert all(point.loss == 0 for point in curve.points)
    noisy = [ageing_curve(*with_noise(seed)).lasts for seed in range(20)]
    assert noisy.count(None) >= 19


def with_noise(seed):
    y, blocks, times, scores_of = world(0.0, seed=seed)
    noise = np.random.default_rng(100 + seed).normal(scale=0.2, size=(6, len(y)))
    return y, blocks, times, lambda cut: scores_of(cut) + noise[cut]


@pytest.mark.parametrize("blocks", [[0, 0, 1, 1], [-1, -1, -1, -1]])
def test_few_blocks_have_no_curve(blocks):
    curve = ageing_curve(np.array([0, 1, 0, 1]), np.array(blocks), np.arange(4.0), lambda cut: None)
    assert curve.points == []
    assert curve.advice == ""
    assert Ageing.from_dict(curve.to_dict()) == curve
