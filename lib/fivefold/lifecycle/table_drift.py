"""Table drift: how far one table is from another, without a model or a journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import refusal
from fivefold.core.schema import NOW, Schema
from fivefold.core.scope import Scope
from fivefold.core.stored import Stored
from fivefold.core.text import listed
from fivefold.data.ages import with_ages
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.lifecycle.drift import ALPHA, KINDS, MIN_ROWS, DriftLine, drift_table


@dataclass(frozen=True)
class TableDrift(Stored):
    """What `compare_tables` found.

    Parameters
    ----------
    rows : of the reference and of the other table
    lines : one for each compared column, the largest distance first
    only_reference, only_current : columns that the other table lacks
    not_compared : columns without an order or levels to compare, as ids and free texts
    unreadable : share of the other table's cells by column that are not of the reference's kind
    """

    rows: tuple[int, int]
    lines: tuple[DriftLine, ...]
    only_reference: tuple[str, ...]
    only_current: tuple[str, ...]
    not_compared: tuple[str, ...]
    unreadable: dict[str, float]

    @property
    def drifted(self) -> list[str]:
        """The columns that have drifted."""
        return [line.column for line in self.lines if line.drifted]


def compare_tables(reference: pd.DataFrame, current: pd.DataFrame, scope: Scope) -> TableDrift:
    """Compare each column that both tables have, as the reference reads it.

    The tests, bounds and false-alarm rate are those of the monitor (`fivefold.lifecycle.drift`).
    The target, if the scope names one, is compared like any column of levels. Dates count as ages
    before the reference moment of their row; without one they are not compared, because time itself
    is no drift.

    Raises
    ------
    Refused : where the tables have no column in common
    """
    common = [name for name in reference.columns if name in current.columns]
    if not common:
        raise refusal(
            "The tables cannot be compared",
            "drift-no-column",
            "tables",
            f"no column in common: {listed([*map(str, reference.columns)])} and "
            f"{listed([*map(str, current.columns)])}",
            "the same column names",
            "rename the columns of one of them",
        )
    schema = infer_schema(reference[common], scope)
    old, new, contract, unreadable = _typed(reference, current, schema)
    kinds = {column.name: column.kind for column in contract.columns if column.used}
    for name in [*schema.names("date"), schema.reference]:
        if schema.reference in (NOW, name):  # time itself
            kinds.pop(name, None)
    if scope.target in common:
        kinds[scope.target] = "categorical"
        old = old.assign(**{scope.target: reference[scope.target].astype("str").array})
        new = new.assign(**{scope.target: current[scope.target].astype("str").array})
    lines = drift_table(old, new, kinds)
    by_size = sorted(lines, key=lambda line: (not line.drifted, -(line.distance or 0.0)))
    compared = {line.column for line in lines}
    return TableDrift(
        rows=(len(reference), len(current)),
        lines=tuple(by_size),
        only_reference=tuple(str(n) for n in reference.columns if n not in current.columns),
        only_current=tuple(str(n) for n in current.columns if n not in reference.columns),
        not_compared=tuple(str(name) for name in common if name not in compared),
        unreadable=unreadable,
    )


def _typed(
    reference: pd.DataFrame, current: pd.DataFrame, schema: Schema
) -> tuple[pd.DataFrame, pd.DataFrame, Schema, dict[str, float]]:
    """Return both tables with ages, the schema with ages, and the shares of unreadable cells."""
    old, contract = with_ages(coerce_table(reference, schema)[0], schema)
    read, problems = coerce_table(current, schema)
    new, _ = with_ages(read, schema)
    shares = problems["column"].value_counts() / max(1, len(current))
    return old, new, contract, {str(name): float(share) for name, share in shares.items()}


def report_lines(drift: TableDrift) -> list[str]:
    """Return what a person should read of it, line by line."""
    old, new = drift.rows
    lines = [f"{old:,} rows before, {new:,} rows now; {len(drift.lines)} columns compared"]
    if min(old, new) < MIN_ROWS:
        lines.append(
            f"Too few rows to tell a drift from chance: {MIN_ROWS} on both sides are needed"
        )
    width = max((len(line.column) for line in drift.lines), default=6)
    head = f"{'column':{width}}  {'kind':11}  {'distance':>8}  {'PSI':>6}  {'q':>8}  missing"
    lines.append(head)
    lines += [_row(line, width) for line in drift.lines]
    for names, what in (
        (drift.only_reference, "only in the first table"),
        (drift.only_current, "only in the second table"),
        (
            drift.not_compared,
            "not compared (ids, free texts, constants, dates without a reference)",
        ),
    ):
        if names:
            lines.append(f"{what}: {listed(names)}")
    for name, share in drift.unreadable.items():
        lines.append(f"{name}: {share:.1%} of the cells now cannot be read as before")
    verdict = f"Drifted: {listed(drift.drifted)}" if drift.drifted else "No column has drifted"
    rate = f"q below {ALPHA:g} and PSI at least 0.1; kinds: {', '.join(KINDS)}"
    return [*lines, f"{verdict} ({rate})"]


def _row(line: DriftLine, width: int) -> str:
    def text(value: float | None, form: str) -> str:
        return "–" if value is None or np.isnan(value) else format(value, form)

    missing = f"{text(line.missing_reference, '.1%')} -> {text(line.missing_current, '.1%')}"
    mark = "  drifted" if line.drifted else ""
    return (
        f"{line.column:{width}}  {line.kind:11}  {text(line.distance, '8.3f'):>8}  "
        f"{text(line.psi, '6.3f'):>6}  {text(line.q_value, '8.2g'):>8}  {missing}{mark}"
    )


def as_sequence(names: str) -> Sequence[str]:
    """Return comma-separated names.

    >>> as_sequence("a, b,")
    ('a', 'b')
    """
    return tuple(name.strip() for name in names.split(",") if name.strip())
