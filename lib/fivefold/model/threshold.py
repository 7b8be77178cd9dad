"""Threshold: the decision on a row, the choice of a threshold, and what it costs.

All figures rest on out-of-fold probabilities of the training rows, calibrated by the other folds.
The model's own threshold is chosen on the same rows. Held-out rows are not used, so that trying
several costs does not bias the evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fivefold.core.intervals import Estimate, share
from fivefold.core.scope import Scope
from fivefold.core.stored import Stored

CURVE_POINTS = 201


@dataclass(frozen=True)
class Threshold(Stored):
    """The probability from which a row is classified as positive.

    Parameters
    ----------
    value
        The smallest probability that is positive, in [0, 1].
    why
        How it was chosen, for people.
    cost
        Expected cost per row at this threshold, in the unit of the costs.
    flagged
        Share of rows that are positive at this threshold.
    theory
        The best threshold for perfectly calibrated probabilities without a capacity limit.
    """

    leaves_out_none: ClassVar[bool] = True
    value: float = 0.5
    cost: float | None = None
    flagged: float | None = None
    theory: float | None = None
    why: str = ""

    def is_positive(self, probability: np.ndarray) -> np.ndarray:
        """Decide: whether each probability reaches the threshold; NaN does not.

        >>> Threshold(0.5).is_positive(np.array([0.4, 0.5])).tolist()
        [False, True]
        """
        positive: np.ndarray = probability >= self.value
        return positive


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, in any one unit, and the largest share of rows that can be acted upon."""

    miss: float
    false_alarm: float
    capacity: float | None = None

    @classmethod
    def of(cls, scope: Scope) -> Costs:
        """Return the costs and the capacity that the scope states."""
        return cls(scope.cost_miss, scope.cost_false_alarm, scope.capacity)


@dataclass(frozen=True)
class ConfusionMatrix:
    """Numbers of true and false positives and negatives."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @property
    def positives(self) -> int:
        """Rows of the positive class."""
        return self.tp + self.fn

    @property
    def negatives(self) -> int:
        """Rows of the negative class."""
        return self.fp + self.tn

    @property
    def flagged(self) -> int:
        """Rows that are classified as positive."""
        return self.tp + self.fp

    @property
    def rows(self) -> int:
        """All rows."""
        return self.positives + self.negatives

    def per(self, rows: int) -> dict[str, float]:
        """Return {tp, fp, fn, tn} scaled to a number of rows."""
        scale = rows / self.rows
        return {name: count * scale for name, count in vars(self).items()}


def confusion(y: np.ndarray, flagged: np.ndarray) -> ConfusionMatrix:
    """Count the confusion matrix of labels 0/1 and decisions, both of shape (rows,)."""
    # Two bits of a number: whether a row is positive, and whether it is flagged.
    tn, fp, fn, tp = np.bincount(2 * (y == 1) + flagged, minlength=4).tolist()
    return ConfusionMatrix(tp, fp, fn, tn)


@dataclass(frozen=True)
class Consequences:
    """What acting at a threshold would have meant on some rows.

    Costs are per 1,000 rows in the unit of the costs, beside those of acting on nobody and on
    everybody. Precision, recall and flagged share have Wilson's 95% intervals.
    """

    confusion: ConfusionMatrix
    flagged: Estimate
    precision: Estimate
    recall: Estimate
    cost_per_1000: float
    nobody_per_1000: float
    everybody_per_1000: float


def consequences(
    y: np.ndarray, probability: np.ndarray, threshold: Threshold, costs: Costs
) -> Consequences:
    """Return what acting at `threshold` would have meant on these rows, arrays of shape (rows,)."""
    counts = confusion(y, threshold.is_positive(probability))
    scale = 1000 / len(y)
    return Consequences(
        confusion=counts,
        flagged=share(counts.flagged, len(y)),
        precision=share(counts.tp, counts.flagged),
        recall=share(counts.tp, counts.positives),
        cost_per_1000=scale * (costs.miss * counts.fn + costs.false_alarm * counts.fp),
        nobody_per_1000=scale * costs.miss * counts.positives,
        everybody_per_1000=scale * costs.false_alarm * counts.negatives,
    )


def cost_curve(y: np.ndarray, probability: np.ndarray, costs: Costs) -> list[dict[str, float]]:
    """Return cost per 1,000 rows and flagged share at `CURVE_POINTS` thresholds from 0 to 1.

    >>> cost_curve(np.array([1, 0]), np.array([0.8, 0.2]), Costs(5, 1))[100]
    {'threshold': 0.5, 'cost_per_1000': 0.0, 'flagged': 0.5}
    """
    cuts = np.linspace(0, 1, CURVE_POINTS)
    missed, false_alarms = mistakes_at(y, probability, cuts)
    flagged = (y == 1).sum() - missed + false_alarms
    cost = 1000 * (costs.miss * missed + costs.false_alarm * false_alarms) / len(y)
    points = zip(cuts.tolist(), cost.tolist(), (flagged / len(y)).tolist(), strict=True)
    return [{"threshold": t, "cost_per_1000": c, "flagged": f} for t, c, f in points]


def mistakes_at(
    y: np.ndarray, probability: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Count (misses, false alarms) at each threshold in `cuts`, both of its shape."""
    positive = np.sort(probability[y == 1])
    negative = np.sort(probability[y != 1])
    missed = np.searchsorted(positive, cuts)
    false_alarms = len(negative) - np.searchsorted(negative, cuts)
    return missed, false_alarms


def choose_threshold(y: np.ndarray, probability: np.ndarray, costs: Costs) -> Threshold:
    """Return the cheapest threshold on these rows, of equally cheap ones the highest.

    Parameters
    ----------
    y
        Labels 0/1, shape (rows,).
    probability
        Calibrated out-of-fold probabilities, shape (rows,).
    costs
        With a capacity at most that share of rows is flagged.

    References
    ----------
    `Threshold.theory` is false alarm / (false alarm + miss): Elkan 2001, "The foundations of
    cost-sensitive learning", IJCAI.
    """
    rows = len(y)
    # Above the first nobody is flagged; the last is only the lower neighbour of the lowest.
    levels = np.concatenate([[np.inf], np.unique(probability)[::-1], [0.0]])
    missed, false_alarms = mistakes_at(y, probability, levels[:-1])
    flagged = (y == 1).sum() - missed + false_alarms
    cost = (costs.miss * missed + costs.false_alarm * false_alarms) / rows
    # 0.29 x 100 is a little below 29 in floating point
    limit = rows if costs.capacity is None else costs.capacity * rows + 1e-9
    allowed = np.flatnonzero(flagged <= limit)
    best = int(allowed[np.argmin(cost[allowed])])
    level, next_lower = levels[best : best + 2].tolist()
    middle = (level + next_lower) / 2
    # Two neighbouring floats have no number between them.
    value = middle if middle > next_lower else level
    total = costs.miss + costs.false_alarm
    why = (
        f"cheapest on out-of-fold rows when a miss costs {costs.miss:g} "
        f"and a false alarm {costs.false_alarm:g}"
    )
    if costs.capacity is not None:
        why += f" and at most {costs.capacity:.0%} can be acted upon"
    return Threshold(
        value=min(value, 1.0),
        cost=float(cost[best]),
        flagged=float(flagged[best] / rows),
        theory=costs.false_alarm / total if total else 0.5,
        why=why,
    )
