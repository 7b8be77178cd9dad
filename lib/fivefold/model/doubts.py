"""Doubts: figures that are too good to be believed before a person says why they are right.

Two kinds. A column that looks like a leak of the target is found before training
(`fivefold.profiling.leakage`). A held-out ROC AUC that is nearly perfect is a doubtful triumph,
found after it, with the columns that make it. Both stand beside every figure, and hold a first
promotion back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
import pandas as pd

from fivefold.core.findings import PASSED, WARNING, Finding, verdict
from fivefold.core.roc_auc import roc_auc
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.ages import with_column
from fivefold.data.splits import subsample

TRIUMPH = 0.99  # held-out ROC AUC; honest tables rarely reach it, leaks mostly do
# The same of the out-of-fold scores: a few held-out rows may be ranked perfectly by chance.
TRIUMPH_OUT_OF_FOLD = 0.97
BEHIND = 0.97  # ROC AUC that some columns reach alone if they make the triumph
MOST_SINGLE, MOST_PAIRED = 12, 8  # the most important columns are tried alone, and in pairs
MOST_ROWS = 500
CODE = "doubtful-triumph"
LEAKS = ("leak", "leak-missing", "target-copy")


@dataclass(frozen=True)
class Scored:
    """Held-out rows: how they are predicted, typed table, labels 0/1, and the input contract."""

    predict: Callable[[pd.DataFrame], np.ndarray]
    typed: pd.DataFrame
    y: np.ndarray
    schema: Schema


def doubts(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that have to stand beside every figure."""
    return [f for f in findings if f.code in (CODE, *LEAKS) and f.severity == WARNING]


def check_triumph(
    auc: float,
    out_of_fold: float,
    scored: Scored,
    important: Sequence[str],
    scope: Scope,
    seed: int,
) -> Finding:
    """Return the finding on a ROC AUC that is nearly perfect, with the columns that make it.

    Parameters
    ----------
    auc, out_of_fold
        ROC AUC on held-out rows, and out of fold.
    important
        The columns, most important first.
    scope
        Says why it is right ([success] near_perfect), or that the columns are known ([columns]
        known).
    """
    is_triumph = auc >= TRIUMPH and out_of_fold >= TRIUMPH_OUT_OF_FOLD
    found = f"held-out ROC AUC {auc:.4f}"
    if not is_triumph:
        return Finding(code=CODE, severity=PASSED, subject="model", found=found)
    names, by_gaps = columns_behind(scored, important, seed)
    subject = ", ".join(names) or "model"
    found += ", nearly perfect"
    if names:
        makes = "makes" if len(names) == 1 else "together make"
        found += f"; {subject} {makes} it" + (", by which cells are missing" if by_gaps else "")
    else:
        found += "; no column and no pair of columns makes it alone"
    accepted = bool(names) and set(names) <= set(scope.known_columns)
    if accepted:
        found += "; the scope lists it as known at prediction time"
    elif scope.near_perfect:
        found, accepted = f"{found}; the scope says why: {scope.near_perfect}", True
    cure = "see whether cases stand in the table more than once ([columns] group), or"
    if names:
        dropped = ",".join(names)
        cure = (
            f"see whether it is known when the prediction is made: drop it (--drop {dropped}) "
            "or name it in [columns] known, or"
        )
    return verdict(
        not accepted,
        CODE,
        subject,
        found=found,
        expected=f"a ROC AUC below {TRIUMPH:g}, or the reason why so much can be known",
        action=f'{cure} say why it is right: [success] near_perfect = "..."',
    )


def columns_behind(
    scored: Scored, important: Sequence[str], seed: int
) -> tuple[tuple[str, ...], bool]:
    """Return the fewest columns, one or two, that reach `BEHIND` alone; none if there are none.

    Alone means that the model sees every other column shuffled. The second value is whether it is
    enough to know which of their cells are missing.
    """
    rng = np.random.default_rng(seed)
    rows = subsample(np.arange(len(scored.y)), scored.y, MOST_ROWS, seed)
    y, schema = scored.y[rows], scored.schema
    typed = scored.typed.iloc[rows].reset_index(drop=True)
    noise = typed
    for name in schema.names():
        noise = with_column(noise, schema, name, rng.permutation(len(y)))

    def reached(values: pd.DataFrame, names: Sequence[str]) -> float:
        kept = noise.assign(**{name: values[name].array for name in names})
        return roc_auc(y, scored.predict(kept))

    singles = combinations(important[:MOST_SINGLE], 1)
    pairs = combinations(important[:MOST_PAIRED], 2)
    for names in chain[tuple[str, ...]](singles, pairs):
        if reached(typed, names) >= BEHIND:
            return names, reached(_only_gaps(typed, names, rng), names) >= BEHIND
    return (), False


def _only_gaps(typed: pd.DataFrame, names: Sequence[str], rng: np.random.Generator) -> pd.DataFrame:
    """Return the table with the present cells of these columns shuffled among themselves."""
    shuffled = {}
    for name in names:
        present = np.flatnonzero(typed[name].notna())
        order = np.arange(len(typed))
        order[present] = rng.permutation(present)
        shuffled[name] = typed[name].array[order]
    return typed.assign(**shuffled)
