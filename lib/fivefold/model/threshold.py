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
BEYOND_CHANCE = 3.0  # standard errors; the cheapest of many thresholds is one or two below by luck


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
    cheapest
        The threshold that was cheapest on the same rows, as a check; it follows their noise.
    """

    leaves_out_none: ClassVar[bool] = True
    value: float = 0.5
    cost: float | None = None
    flagged: float | None = None
    theory: float | None = None
    why: str = ""
    cheapest: float | None = None

    def is_positive(self, probability: np.ndarray) -> np.ndarray:
        """Decide: whether each probability reaches the threshold; NaN does not.

        >>> Threshold(0.5).is_positive(np.array([0.4, 0.5])).tolist()
        [False, True]
        """
        positive: np.ndarray = probability >= self.value
        return positive


@dataclass(frozen=True)
class Costs:
    """What mistakes cost, in any one unit, and the largest share of rows that can be acted upon.

    `aim` is what is wanted where the costs are unknown: an aim of `fivefold.core.scope.AIM`.
    """

    miss: float
    false_alarm: float
    capacity: float | None = None
    aim: str = ""

    @classmethod
    def of(cls, scope: Scope) -> Costs:
        """Return the costs and the capacity that the scope states."""
        return cls(scope.cost_miss, scope.cost_false_alarm, scope.capacity, scope.aim)


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
    """Return the threshold that is best if the probabilities are calibrated.

    The cheapest one on the rows themselves follows their noise: on few rows it costs more on new
    ones. It is found too, as a check of the calibration, and `Threshold.why` says how far it is.

    Parameters
    ----------
    y
        Labels 0/1, shape (rows,).
    probability
        Calibrated out-of-fold probabilities, shape (rows,).
    costs
        With a capacity at most that share of rows is flagged.
    """
    value, why = best_if_calibrated(probability, costs)
    theory = value
    flagged = probability >= value
    if costs.capacity is not None and flagged.sum() > _most_flagged(len(y), costs.capacity):
        value = _at_capacity(probability, costs.capacity)
        flagged = probability >= value
        why += f", but at most {costs.capacity:.0%} can be acted upon"
    cheapest = _cheapest(y, probability, costs)
    cost = _row_costs(y, flagged, costs)
    check = _check(cost, _row_costs(y, probability >= cheapest, costs), cheapest)
    return Threshold(
        value=value,
        cost=float(cost.mean()),
        flagged=float(flagged.mean()),
        theory=theory,
        cheapest=cheapest,
        why=why if costs.aim else f"{why}; {check}",
    )


def best_if_calibrated(probability: np.ndarray, costs: Costs) -> tuple[float, str]:
    """Return the best threshold for calibrated probabilities without a capacity, and why.

    By costs: false alarm / (false alarm + miss) (Elkan 2001, "The foundations of cost-sensitive
    learning", IJCAI). By F1: half of the largest F1 (Lipton, Elkan and Naryanaswamy 2014, "Optimal
    thresholding of classifiers to maximize F1 measure", ECML). By balanced accuracy: the share of
    positives, where a case is as likely as one drawn blindly. By recall: the highest threshold that
    catches so many of the expected positives.

    >>> best_if_calibrated(np.array([0.9, 0.5, 0.1]), Costs(3, 1))[0]
    0.25
    >>> q = np.array([0.8, 0.6, 0.4, 0.2])
    >>> for aim in ("f1", "balanced accuracy", "recall 0.7"):
    ...     print(aim, round(best_if_calibrated(q, Costs(1, 1, aim=aim))[0], 3))
    f1 0.36
    balanced accuracy 0.5
    recall 0.7 0.6
    """
    aim, _, least = costs.aim.partition(" ")
    ordered = np.sort(probability)[::-1].astype("float64")
    caught = np.cumsum(ordered)
    if aim == "f1":
        best = float(np.max(2 * caught / (np.arange(1, len(ordered) + 1) + caught[-1])))
        return best / 2, f"half of the best F1 to expect ({best:.3f})"
    if aim == "balanced":
        return float(ordered.mean()), "the share of positives, best for balanced accuracy"
    if aim == "recall":
        enough = np.searchsorted(caught, float(least) * caught[-1] - 1e-9)
        return float(ordered[enough]), f"catches {float(least):.0%} of the positives to expect"
    total = costs.miss + costs.false_alarm
    value = costs.false_alarm / total if total else 0.5
    return value, (
        f"best for calibrated probabilities when a miss costs {costs.miss:g} "
        f"and a false alarm {costs.false_alarm:g}"
    )


def _at_capacity(probability: np.ndarray, capacity: float) -> float:
    """Return the lowest threshold that flags at most this share of the rows.

    It lies between two probabilities, so that a little noise moves no row across it.
    """
    levels, counts = np.unique(probability, return_counts=True)
    flagged = np.cumsum(counts[::-1])[::-1]  # at each level
    first = int(np.searchsorted(-flagged, -_most_flagged(len(probability), capacity)))
    return _between(levels, first)


def _cheapest(y: np.ndarray, probability: np.ndarray, costs: Costs) -> float:
    """Return the cheapest threshold on these rows, of equally cheap ones the highest."""
    levels = np.unique(probability)
    missed, false_alarms = mistakes_at(y, probability, np.append(levels, np.inf))
    flagged = (y == 1).sum() - missed + false_alarms
    cost = costs.miss * missed + costs.false_alarm * false_alarms
    most = len(y) if costs.capacity is None else _most_flagged(len(y), costs.capacity)
    allowed = np.flatnonzero(flagged <= most)[::-1]
    return _between(levels, int(allowed[np.argmin(cost[allowed])]))


def _most_flagged(rows: int, capacity: float) -> float:
    # 0.29 x 100 is a little below 29 in floating point
    return capacity * rows + 1e-9


def _between(levels: np.ndarray, first: int) -> float:
    """Return a threshold that flags the sorted `levels` from position `first` on, at most 1."""
    if first == len(levels):
        return 1.0
    level = float(levels[first])
    next_lower = float(levels[first - 1]) if first else 0.0
    middle = (level + next_lower) / 2
    # Two neighbouring floats have no number between them.
    return min(middle if middle > next_lower else level, 1.0)


def _row_costs(y: np.ndarray, flagged: np.ndarray, costs: Costs) -> np.ndarray:
    positive = y == 1
    missed, false_alarms = positive & ~flagged, ~positive & flagged
    cost: np.ndarray = costs.miss * missed + costs.false_alarm * false_alarms
    return cost


def _check(cost: np.ndarray, least: np.ndarray, cheapest: float) -> str:
    """Return in words how far the costs of rows are from the least, which noise makes too small."""
    saved = cost - least
    error = float(saved.std(ddof=1)) / len(saved) ** 0.5 if len(saved) > 1 else 0.0
    chance = saved.mean() <= BEYOND_CHANCE * error
    share_saved = saved.mean() / cost.mean() if cost.mean() else 0.0
    words = "as chance has it" if chance else "beyond chance: look at the calibration curve"
    return f"on out-of-fold rows {cheapest:.3f} would cost {share_saved:.1%} less, {words}"
