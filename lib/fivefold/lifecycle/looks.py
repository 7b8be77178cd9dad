"""Looks: how often held-out rows have been used to choose a model, and what is left to prove by.

Each challenge on the same held-out rows is one more chance for an equal model to look better. All
challenges together may promote an equal one with probability `SIDE`: the k-th look has the share
6 / (pi k)^2 of it, and the shares of all looks add up to 1. So nobody needs to say beforehand how
many there will be.

References
----------
Foster and Stine 2008, "Alpha-investing: a procedure for sequential control of expected false
discoveries", Journal of the Royal Statistical Society B 70, 429-444 (alpha spending, section 2);
Lan and DeMets 1983, "Discrete sequential boundaries for clinical trials", Biometrika 70, 659-663.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from fivefold.core.stored import Stored
from fivefold.journal.promotions import Decision

SIDE = 0.025  # one-sided error of all looks at the same held-out rows


@dataclass(frozen=True)
class Look(Stored):
    """One look at held-out rows: which ones, and the how many-th it is.

    `holdout` is the md5 of the table that they are from. Another seed draws other rows of the same
    table, many of them the same: it is no new holdout.
    """

    holdout: str
    number: int = 1

    @property
    def side(self) -> float:
        """The one-sided error that this look may make.

        >>> [round(Look("md5", number).side, 5) for number in (1, 2, 12)]
        [0.0152, 0.0038, 0.00011]
        """
        return SIDE * 6 / (math.pi * self.number) ** 2


def next_look(
    history: Iterable[Decision], holdout: str, challenger: str = "", champion: str = ""
) -> Look:
    """Return the look that a challenge on this holdout takes.

    A challenge that is repeated, with the same two models, is the same look.
    """
    numbers = [0]
    for decision in history:
        stored = decision.numbers.get("look")
        if not stored or stored["holdout"] != holdout:
            continue
        look = Look.from_dict(stored)
        pair = decision.numbers.get("challenger"), decision.numbers.get("champion")
        if challenger and pair == (challenger, champion):
            return look
        numbers.append(look.number)
    return Look(holdout, 1 + max(numbers))


def ledger(history: Iterable[Decision]) -> list[str]:
    """Return a line for each holdout that was looked at: how often, and what the next one needs."""
    decisions = list(history)
    stored = [decision.numbers.get("look") for decision in decisions]
    holdouts = dict.fromkeys(look["holdout"] for look in stored if look)
    lines = []
    for holdout in holdouts:
        look = next_look(decisions, holdout)
        lines.append(
            f"Looks at the held-out rows of the table with md5 {holdout[:12]}: {look.number - 1}; "
            f"the next challenge is proven better at p < {look.side:.2g} (one-sided; "
            f"{SIDE:g} over all looks). A new table gives new held-out rows."
        )
    return lines
