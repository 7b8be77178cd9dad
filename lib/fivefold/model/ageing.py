"""Ageing: what a model loses with the time since it learnt, told by cuts in the past."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from fivefold.core.roc_auc import paired_test
from fivefold.core.stored import Stored

WORTH = 0.005  # loss of ROC AUC for which a model is replaced, if it is proven
FEWEST_BLOCKS = 3


@dataclass(frozen=True)
class AgePoint(Stored):
    """The loss of ROC AUC at one age against a model without age, with its interval.

    `age` is the mean time from the last row learnt to the rows scored, `rows` their number.
    """

    age: float
    loss: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Ageing(Stored):
    """The ageing curve: its points by age, and the unit of the ages (days, or a column's name)."""

    points: Sequence[AgePoint] = field(default_factory=list)
    unit: str = "days"

    @property
    def aged(self) -> int | None:
        """The place of the first point with a proven loss of `WORTH`; None where there is none."""
        proven = (point.low > 0 and point.loss >= WORTH for point in self.points)
        return next((place for place, is_proven in enumerate(proven) if is_proven), None)

    @property
    def lasts(self) -> float | None:
        """The oldest age before a loss of `WORTH` is proven; None where none is."""
        if self.aged is None:
            return None
        return self.points[self.aged - 1].age if self.aged else 0.0

    @property
    def advice(self) -> str:
        """How often to train again, in a sentence; "" without points."""
        if not self.points:
            return ""
        if self.aged is None or self.lasts is None:
            oldest = self.points[-1]
            return (
                f"No loss of {WORTH:g} in ROC AUC or more is proven up to an age of "
                f"{oldest.age:,.0f} {self.unit} (then {oldest.loss:+.4f}, {oldest.low:+.4f} to "
                f"{oldest.high:+.4f})"
            )
        aged = self.points[self.aged]
        often = "at every new batch of rows"
        if self.lasts > 0:
            often = f"every {self.lasts:,.0f} {self.unit}"
        return (
            f"A model of an age of {aged.age:,.0f} {self.unit} has lost {aged.loss:.4f} "
            f"({aged.low:.4f} to {aged.high:.4f}) in ROC AUC: train again {often}"
        )


def ageing_curve(
    y: np.ndarray,
    blocks: np.ndarray,
    times: np.ndarray,
    scores_of: Callable[[int], np.ndarray],
    unit: str = "days",
) -> Ageing:
    """Return what models lose with their age, from blocks of rows in the order of time.

    The model of a cut has learnt from all rows before a block. It scores that block and all later
    ones. On each later block it is compared with the model of the cut just before that block, which
    is what training again would have given: the loss is of both age and fewer rows. Losses of the
    same number of blocks are averaged; the blocks are disjoint, so that their variances add up
    (DeLong's, of paired scores). The 95% intervals hold for all ages together (Bonferroni).

    Parameters
    ----------
    y : labels of all rows, shape (rows,)
    blocks : number of the block of each row, from 0; below 0 for rows that are only learnt from or
        have no part in it
    times : time of each row, shape (rows,)
    scores_of : the scores of all rows by the model of the cut before block number `i`

    References
    ----------
    Vela et al. 2022, "Temporal quality degradation in AI models", Scientific Reports 12; DeLong et
    al. 1988.
    """
    numbers = [int(number) for number in np.unique(blocks[blocks >= 0])]
    if len(numbers) < FEWEST_BLOCKS:
        return Ageing(unit=unit)
    scores = {number: scores_of(number) for number in numbers}
    width = -float(ndtri(0.025 / (len(numbers) - 1)))
    points = []
    for lag in range(1, len(numbers)):
        pairs = list(zip(numbers, numbers[lag:], strict=False))
        rows = np.isin(blocks, [block for _, block in pairs])
        fresh, aged, ages = np.zeros(len(y)), np.zeros(len(y)), []
        for cut, block in pairs:
            here = blocks == block
            fresh[here], aged[here] = scores[block][here], scores[cut][here]
            ages.append(float(times[here].mean() - times[blocks == cut].min()))
        test = paired_test(y[rows], fresh[rows], aged[rows], blocks[rows])
        loss, margin = test["difference"], width * test["se"]
        if margin > 0:
            age = float(np.mean(ages))
            points.append(AgePoint(age, loss, loss - margin, loss + margin, int(rows.sum())))
    return Ageing(points, unit)
