"""Decision: what a threshold costs and catches, and which one given costs ask for.

Everything here rests on out-of-fold scores of the training rows, calibrated by the other folds: the rows on which the
model's own threshold was chosen. Held-out rows stay out of it, so that trying costs does not wear them out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fivefold.core.intervals import share
from fivefold.model.bundle import Bundle
from fivefold.model.calibration import choose_threshold
from fivefold.model.evaluation import confusion

POINTS = 201  # thresholds of a cost curve


def consequences(
    y: np.ndarray, q: np.ndarray, threshold: float, cost_miss: float, cost_false_alarm: float
) -> dict[str, Any]:
    """What acting at `threshold` or above would have meant on these rows; JSON-ready.

    Keys: confusion {tp, fp, fn, tn} in rows; flagged, precision, recall: {value, low, high}, Wilson's 95% intervals,
    value None where nothing was counted; cost_per_1000 in the unit of the costs, beside nobody_per_1000 and
    everybody_per_1000 (acting on none and on all); per_1000: the confusion scaled to 1,000 rows.
    """
    found = confusion(y, q >= threshold)
    rows, positives = len(y), found["tp"] + found["fn"]
    acted = found["tp"] + found["fp"]
    scale = 1000 / rows
    return {
        "confusion": found,
        "per_1000": {k: v * scale for k, v in found.items()},
        "flagged": share(acted, rows),
        "precision": share(found["tp"], acted),
        "recall": share(found["tp"], positives),
        "cost_per_1000": scale * (cost_miss * found["fn"] + cost_false_alarm * found["fp"]),
        "nobody_per_1000": scale * cost_miss * positives,
        "everybody_per_1000": scale * cost_false_alarm * (rows - positives),
    }


def cost_curve(
    y: np.ndarray, q: np.ndarray, cost_miss: float, cost_false_alarm: float
) -> list[dict[str, float]]:
    """[{threshold, cost_per_1000, flagged}] at `POINTS` thresholds from 0 to 1.

    >>> cost_curve(np.array([1, 0]), np.array([0.8, 0.2]), 5, 1)[100]
    {'threshold': 0.5, 'cost_per_1000': 0.0, 'flagged': 0.5}
    """
    cuts = np.linspace(0, 1, POINTS)
    positive, negative = np.sort(q[y == 1]), np.sort(q[y != 1])
    missed = np.searchsorted(positive, cuts, side="left")
    alarms = len(negative) - np.searchsorted(negative, cuts, side="left")
    cost = 1000 * (cost_miss * missed + cost_false_alarm * alarms) / len(y)
    flagged = (len(positive) - missed + alarms) / len(y)
    return [
        {"threshold": float(t), "cost_per_1000": float(c), "flagged": float(f)}
        for t, c, f in zip(cuts, cost, flagged, strict=True)
    ]


def decide(
    y: np.ndarray, q: np.ndarray, cost_miss: float, cost_false_alarm: float, capacity: float | None
) -> dict[str, Any]:
    """{threshold of `choose_threshold`, consequences, curve} for these costs; capacity as a share of rows or None."""
    chosen = choose_threshold(y, q, cost_miss, cost_false_alarm, capacity)
    return {
        "threshold": chosen,
        "consequences": consequences(y, q, chosen["value"], cost_miss, cost_false_alarm),
        "curve": cost_curve(y, q, cost_miss, cost_false_alarm),
    }


def with_threshold(bundle: Bundle, threshold: dict[str, Any]) -> Bundle:
    """The same model with another threshold ({value, why}); the given bundle stays as it is."""
    return replace(
        bundle, about={**bundle.about, "threshold": {**bundle.about["threshold"], **threshold}}
    )
