"""Counts of scored rows, of one part or of a whole table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from fivefold.core.stored import Stored
from fivefold.model.input_warnings import InputWarning, counts

MAX_REASONS = 20  # most frequent reasons of refused rows that are kept for a whole table
MAX_PART_REASONS = 200  # and for a part
BINS = 20


@dataclass(frozen=True, kw_only=True)
class Tally(Stored):
    """What came out of scored rows.

    decisions: rows by decision. warning_counts: {code: {column: cells}}, codes of
    `fivefold.model.input_warnings`. bins: [{from, to, rows}], rows by probability. reasons: refused
    rows by reason. spooled: rows that wait for the journal.
    """

    stored_as: ClassVar = {"warning_counts": "doubts"}

    rows: int
    scored: int
    refused: int
    with_warnings: int
    decisions: Mapping[str, int]
    mean_probability: float | None
    warning_counts: Mapping[str, Mapping[str, int]]
    bins: list[dict[str, float]]
    reasons: Mapping[str, int]
    spooled: int = 0

    @staticmethod
    def of(scores: pd.DataFrame, warnings: Iterable[InputWarning]) -> Tally:
        """Count the rows that `fivefold.model.bundle.Bundle.assess` has scored."""
        is_scored = scores["error"] == ""
        decisions = scores.loc[is_scored, "decision"].value_counts()
        reasons = Counter(scores.loc[~is_scored, "error"])
        return Tally(
            rows=len(scores),
            scored=int(is_scored.sum()),
            refused=int((~is_scored).sum()),
            with_warnings=int((scores["warnings"] != "").sum()),
            decisions={str(decision): int(rows) for decision, rows in decisions.items()},
            mean_probability=float(scores["probability"].mean()) if is_scored.any() else None,
            warning_counts=counts(warnings),
            bins=histogram(scores["probability"]),
            reasons=dict(reasons.most_common(MAX_PART_REASONS)),
        )

    @staticmethod
    def merge(parts: Iterable[Tally]) -> Tally:
        """Return the tally of a table from those of its parts, in the order of the table."""
        parts = list(parts)
        decisions = sum((Counter(part.decisions) for part in parts), Counter[str]())
        reasons = sum((Counter(part.reasons) for part in parts), Counter[str]())
        cells: dict[str, Counter[str]] = defaultdict(Counter)
        for part in parts:
            for code, by_column in part.warning_counts.items():
                cells[code].update(by_column)
        scored = sum(part.scored for part in parts)
        total = sum(part.scored * (part.mean_probability or 0.0) for part in parts)
        bins = [
            {**same[0], "rows": sum(one["rows"] for one in same)}
            for same in zip(*(part.bins for part in parts), strict=True)
        ]
        return Tally(
            rows=sum(part.rows for part in parts),
            scored=scored,
            refused=sum(part.refused for part in parts),
            with_warnings=sum(part.with_warnings for part in parts),
            decisions=dict(decisions),
            mean_probability=total / scored if scored else None,
            warning_counts={code: dict(by_column) for code, by_column in cells.items()},
            bins=bins,
            reasons=dict(reasons.most_common(MAX_REASONS)),
            spooled=sum(part.spooled for part in parts),
        )


def histogram(probability: pd.Series, bins: int = BINS) -> list[dict[str, float]]:
    """Return [{from, to, rows}] over 0 to 1; rows without a probability are left out."""
    rows, edges = np.histogram(probability.dropna(), bins=bins, range=(0, 1))
    return [
        {"from": float(low), "to": float(high), "rows": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], rows, strict=True)
    ]
