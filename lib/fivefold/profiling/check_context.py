"""Check context: the input of all checks of a table, computed once, and the form of a result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fivefold.core.findings import WARNING
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import NO_PROBLEMS, coerce_table
from fivefold.data.row_groups import duplicate_groups, twin_groups
from fivefold.data.target import Target
from fivefold.profiling.association import draw_rows

SAMPLE = 50_000  # rows that the costly checks look at; reported by a finding


@dataclass(frozen=True)
class CheckContext:
    """One table under inspection.

    raw: as read. typed: the schema's columns by `coerce_table`, used or not. problems: the
    unreadable cells. y: 1, 0 or -1 (no label), shape (rows,).
    """

    raw: pd.DataFrame
    typed: pd.DataFrame
    problems: pd.DataFrame
    schema: Schema
    y: np.ndarray
    scope: Scope
    seed: int = 0

    @classmethod
    def of(
        cls, frame: pd.DataFrame, scope: Scope, schema: Schema, target: Target, seed: int = 0
    ) -> CheckContext:
        """Return the context of a table as read; where names repeat, no column is typed.

        Raises ValueError where target and frame differ in length.
        """
        if len(target.y) != len(frame):
            raise ValueError(
                f"expected a label per row, found {len(target.y)} labels and {len(frame)} rows"
            )
        raw = frame.rename(columns=str).reset_index(drop=True)
        typed, problems = raw[[]], NO_PROBLEMS
        if not raw.columns.has_duplicates:
            typed, problems = coerce_table(raw, schema, used_only=False)
        return cls(raw, typed, problems, schema, target.y, scope, seed)

    @cached_property
    def sample(self) -> np.ndarray:
        """Sorted positions of the labelled rows, at most `SAMPLE` of them drawn by the seed."""
        return draw_rows(np.flatnonzero(self.y >= 0), SAMPLE, self.seed)

    @property
    def sampled(self) -> str:
        """What to add to a finding that rests on `sample`."""
        labelled = int((self.y >= 0).sum())
        return f" (in a sample of {SAMPLE:,} of {labelled:,} rows)" if labelled > SAMPLE else ""

    def sample_of(self, name: str) -> pd.Series:
        """Return the typed cells of a column in the rows of `sample`."""
        return self.typed[name].iloc[self.sample]

    @cached_property
    def row_groups(self) -> np.ndarray:
        """`duplicate_groups` of the used columns."""
        return duplicate_groups(self.typed[[c.name for c in self.columns()]])

    @cached_property
    def keeps_twins(self) -> bool:
        """Whether the split takes equal rows for copies and keeps them together."""
        inputs = self.typed[[c.name for c in self.columns()]]
        return twin_groups(inputs, np.flatnonzero(self.y >= 0)) is not None

    def columns(self, *kinds: str, used_only: bool = True) -> list[Column]:
        """Return the schema's columns that the table has, of the given kinds (default: all)."""
        names = set(self.schema.names(*kinds, used_only=used_only)) & set(self.typed.columns)
        return [c for c in self.schema.columns if c.name in names]

    def columns_of(self, kind: str) -> list[Column]:
        """Return the used columns of one kind, at least one: else raise `NotApplicable`."""
        columns = self.columns(kind)
        if not columns:
            raise NotApplicable(f"no {kind} columns")
        return columns


@dataclass(frozen=True)
class Result:
    """One result of a check: a `Finding` but for its code, which the check adds."""

    subject: str
    found: str
    expected: str = ""
    action: str = ""
    severity: str = WARNING


class NotApplicable(Exception):
    """Raised by a check that has nothing to look at, which is not the same as a pass."""


def quote_cell(cell: object) -> str:
    """Return a cell as it stands in a message: quoted, in one line, at most 40 characters.

    >>> quote_cell("a" * 50)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…'"
    """
    text = " ".join(str(cell).split())
    return repr(text if len(text) <= 40 else text[:39] + "…")
