"""Context: what every check of a table looks at, made once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fivefold.core.findings import NOT_APPLICABLE, Finding
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope

SAMPLE = 50_000  # rows that the costly checks look at; a finding says so


@dataclass(frozen=True)
class Context:
    """One table under inspection.

    raw: as read. typed: the schema's columns by `conform`, used or not. problems: its unreadable cells.
    y: 1, 0 or -1 (no label), shape (rows,).
    """

    raw: pd.DataFrame
    typed: pd.DataFrame
    problems: pd.DataFrame
    schema: Schema
    y: np.ndarray
    scope: Scope
    seed: int = 0

    @cached_property
    def sample(self) -> np.ndarray:
        """Sorted positions of the labelled rows, at most `SAMPLE` of them drawn by the seed."""
        rows = np.flatnonzero(self.y >= 0)
        if len(rows) <= SAMPLE:
            return rows
        return np.sort(np.random.default_rng(self.seed).choice(rows, SAMPLE, replace=False))

    @property
    def sampled(self) -> str:
        """What to add to a finding that rests on `sample`."""
        labelled = int((self.y >= 0).sum())
        return f" (in a sample of {SAMPLE:,} of {labelled:,} rows)" if labelled > SAMPLE else ""

    @cached_property
    def twins(self) -> np.ndarray:
        """`duplicate_groups` of the used columns."""
        return duplicate_groups(self.typed[[c.name for c in self.columns()]])

    def columns(self, *kinds: str, used_only: bool = True) -> list[Column]:
        """The schema's columns that the table has, of the given kinds (all kinds when none is given)."""
        names = set(self.schema.names(*kinds, used_only=used_only)) & set(self.typed.columns)
        return [c for c in self.schema.columns if c.name in names]


def duplicate_groups(frame: pd.DataFrame) -> np.ndarray:
    """One integer per row, the same for rows with equal cells (missing equals missing), by first appearance.

    Give it typed features only, without ids and target. Shape (rows,) int64. Rows are compared by a 64-bit hash:
    the chance of one false pair in a million rows is 3e-8. Without any column every row is its own group.

    >>> duplicate_groups(pd.DataFrame({"a": [1.0, 2.0, 1.0, None], "b": ["x", "x", "x", None]})).tolist()
    [0, 1, 0, 2]
    """
    if not len(frame.columns):
        return np.arange(len(frame), dtype="int64")
    codes, _ = pd.factorize(pd.util.hash_pandas_object(frame, index=False).to_numpy())
    return codes.astype("int64")


def not_judged(code: str, why: str, subject: str = "table") -> list[Finding]:
    """The outcome of a check that has nothing to judge, which is not the same as passing it."""
    return [Finding(code=code, severity=NOT_APPLICABLE, subject=subject, found=why)]


def shown(cell: object) -> str:
    """A cell as it stands in a message: quoted, in one line, at most 40 characters.

    >>> shown("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'"
    """
    text = " ".join(str(cell).split())
    return repr(text if len(text) <= 40 else text[:39] + "…")
