"""Summary: one small plain dict about a table, which cards, app and MLflow show.

Everything here is a report on all rows. Nothing that a model learns may read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding, by_danger
from fivefold.core.intervals import wilson
from fivefold.core.schema import Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.ages import UNIT, reference_name, with_ages
from fivefold.data.row_groups import duplicate_groups
from fivefold.profiling.association import (
    MEASURE,
    MOST_CORRELATED,
    WHY,
    as_numbers,
    associate,
    correlations,
    draw_folds,
    draw_rows,
)
from fivefold.profiling.column_profile import (
    by_period,
    equal_starts,
    group_ids,
    number,
    profile,
    rates,
)

SAMPLE = 200_000  # rows that ranks (associations) look at
DETAILED = 120  # columns, most associated first, that keep their histograms and levels
MAX_FINDINGS = 500
RANKED = ("numeric", "categorical", "boolean", "date", "text")
_DETAILS = ("histogram", "groups", "levels", "periods")


def summarise(
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    scope: Scope,
    findings: list[Finding],
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the summary of a whole table, JSON-ready.

    It takes about 2 kB a column in UTF-8, below 300 kB for 100 columns. Counts, quantiles and
    histograms are of all rows; associations of at most `SAMPLE` labelled rows, correlations of
    fewer, drawn by a fixed seed: `notes` reports it. Shares are 0 to 1, intervals 95%.

    Parameters
    ----------
    typed
        All columns by `coerce_table(..., used_only=False)`.
    y
        Labels 1, 0, or -1 for a missing one, shape (rows,).

    Returns
    -------
    Dict with format, scope, overview, source, findings, columns (by name, as
    `fivefold.profiling.column_profile.profile` plus unit and help), association, correlation,
    trend, notes.
    """
    y = y.astype("int64")
    dated, calendar = typed, schema
    typed, schema = with_ages(dated, calendar)
    unit_of_ages = UNIT.format(reference_name(schema))
    known = [column for column in schema.columns if column.name in typed.columns]
    columns = {}
    for column in known:
        columns[column.name] = profile(typed[column.name], column, y) | {
            "unit": unit_of_ages
            if column.youngest is not None
            else str(scope.units.get(column.name, "")),
            "help": str(scope.help.get(column.name, ""))[:200],
        }
    ranking, notes = _ranking(typed, y, schema)
    if len(ranking) > DETAILED:
        notes.append(
            f"Histograms and levels are kept for the {DETAILED} columns that go most with the "
            f"target, of {len(ranking)}."
        )
        detailed = {line["column"] for line in ranking[:DETAILED]}
        for name in columns.keys() - detailed:
            for key in _DETAILS:
                columns[name].pop(key, None)
    numbers = [line["column"] for line in ranking if line["kind"] in ("numeric", "date")]
    correlated = {
        name: as_numbers(typed[name], schema[name].kind) for name in numbers[:MOST_CORRELATED]
    }
    correlation = correlations(correlated)
    if correlation["rows"] < len(typed):
        notes.append(
            f"Correlations rest on {correlation['rows']:,} rows drawn from {len(typed):,}."
        )
    over_time = trend(dated, y, calendar, scope)
    omitted = over_time["omitted"] if over_time else 0
    if over_time and omitted:
        notes.append(
            f"{omitted:,} dates of {over_time['column']}, placeholders or far from the others, "
            "are not among its periods."
        )
    return {
        "format": 1,
        "scope": {
            "title": scope.title,
            "question": scope.question,
            "target": schema.target,
            "negative": schema.negative,
            "positive": schema.positive,
            "negative_phrase": scope.negative_phrase,
            "positive_phrase": scope.positive_phrase,
            "time_column": scope.time_column,
        },
        "overview": _overview(typed, y, known, columns),
        "source": dict(source),
        "findings": [finding.to_dict() for finding in by_danger(findings)[:MAX_FINDINGS]],
        "columns": columns,
        "association": {"measure": MEASURE, "why": WHY, "ranking": ranking},
        "correlation": correlation,
        "trend": over_time,
        "notes": notes,
    }


def trend(
    typed: pd.DataFrame, y: np.ndarray, schema: Schema, scope: Scope
) -> dict[str, Any] | None:
    """Return {column, why, unit, omitted, period, ...`rates`} over time; None without a time.

    The time is the scope's time column, else the first used date column. A number is cut into its
    values, or into about 30 groups of equal size.
    """
    name, why = scope.time_column, "the scope's time column"
    if name not in typed.columns:
        dates = [n for n in schema.names("date") if n in typed.columns and typed[n].notna().any()]
        name, why = (dates[0] if dates else None), "the first date column"
    if name is None:
        return None
    column = {"column": name, "why": why}
    if schema[name].kind == "date":
        return column | by_period(typed[name], y)
    if schema[name].kind != "numeric" or not typed[name].notna().any():
        return None
    values = typed[name].to_numpy(dtype="float64")
    ordered = np.sort(values[np.isfinite(values)])
    starts = np.unique(ordered)
    if len(starts) > 60:
        starts = equal_starts(ordered, 30)
    return {
        **column,
        "unit": "number",
        "omitted": 0,
        "period": [number(float(start)) for start in starts],
        **rates(group_ids(values, starts), y, len(starts)),
    }


def _overview(
    typed: pd.DataFrame, y: np.ndarray, known: list[Column], columns: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    used = [column.name for column in known if column.used]
    labelled, positives = int((y >= 0).sum()), int((y == 1).sum())
    low, high = wilson(positives, labelled)
    cells = len(typed) * len(columns)
    missing = sum(column["missing"]["rows"] for column in columns.values())
    groups = pd.Series(duplicate_groups(typed[used]))
    kinds = Counter(column.kind for column in known)
    return {
        "rows": len(typed),
        "labelled": labelled,
        "columns": len(columns),
        "used": len(used),
        "kinds": dict(sorted(kinds.items())),
        "positives": positives,
        "positive_rate": number(positives / labelled) if labelled else None,
        "positive_low": number(low),
        "positive_high": number(high),
        "duplicated_rows": int(groups.duplicated().sum()),
        "missing_cells": missing,
        "missing_share": number(missing / cells) if cells else 0.0,
        "memory_bytes": int(typed.memory_usage(deep=True).sum()),
    }


def _ranking(
    typed: pd.DataFrame, y: np.ndarray, schema: Schema
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return (associations, strongest first; notes on the rows they rest on)."""
    rows, notes = np.flatnonzero(y >= 0), []
    if len(rows) > SAMPLE:
        notes.append(
            f"Associations rest on {SAMPLE:,} rows drawn from {len(rows):,} labelled ones."
        )
        rows = draw_rows(rows, SAMPLE, seed=0)
    labels, folds = y[rows], draw_folds(len(rows), seed=0)
    ranking = []
    for column in schema.columns:
        if column.name in typed.columns and column.kind in RANKED:
            values = typed[column.name].iloc[rows]
            line = associate(column.name, column.kind, values, labels, folds)
            ranking.append(_rounded(line) | {"used": column.used})
    if not ranking or not labels.any() or labels.all():
        notes.append("Associations with the target need rows of both classes.")
    ranking.sort(key=lambda line: -(line["alone"]["value"] if line["alone"] else 0.0))
    return ranking, notes


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return number(value, 5) if isinstance(value, float) else value
