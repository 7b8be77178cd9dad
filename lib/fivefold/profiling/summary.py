"""Summary: what a table looks like, as one small plain dict that cards, app and MLflow all show.

Everything here is a report on all rows. Nothing that a model learns may read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding
from fivefold.core.intervals import wilson
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.row_groups import duplicate_groups
from fivefold.profiling.association import (
    MEASURE,
    MOST_CORRELATED,
    WHY,
    as_numbers,
    associate,
    correlations,
    draw_folds,
)
from fivefold.profiling.column_profile import by_period, equal_starts, number, profile, rates
from fivefold.profiling.comparison import compare

__all__ = ["compare", "summarise"]

SAMPLE = 200_000  # rows that ranks (associations) look at
DETAILED = 120  # columns, most associated first, that keep their histograms and levels
MAX_FINDINGS = 500
JUDGED = ("numeric", "categorical", "boolean", "date", "text")
_DETAILS = ("histogram", "groups", "levels", "periods")


def summarise(
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    scope: Scope,
    findings: list[Finding],
    source: Mapping[str, Any],
    seed: int = 0,
) -> dict[str, Any]:
    """The summary of a whole table, JSON-ready; about 2 kB a column in UTF-8, below 300 kB for 100 columns.

    `typed`: all columns by `coerce_table(..., used_only=False)`; `y` 1, 0 or -1 (no label), shape (rows,). Keys: format,
    scope, overview, source, findings, columns (by name, as `fivefold.profiling.column_profile.profile` plus unit and help), association,
    correlation, trend, notes. Shares are 0 to 1, intervals 95%. Counts, quantiles and histograms are of all rows;
    associations of at most `SAMPLE` labelled rows and correlations of fewer, drawn by `seed`: `notes` says so.
    """
    y = np.asarray(y).astype("int64")
    known = [c for c in schema.columns if c.name in typed.columns]
    columns = [
        {
            **profile(typed[c.name], c, y),
            "unit": str(scope.units.get(c.name, "")),
            "help": str(scope.help.get(c.name, ""))[:200],
        }
        for c in known
    ]
    ranking, notes = _ranking(typed, y, schema, seed)
    detailed = {line["column"] for line in ranking[:DETAILED]}
    if len(ranking) > DETAILED:
        notes.append(
            f"Histograms and levels are kept for the {DETAILED} columns that go most with the target, "
            f"of {len(ranking)}."
        )
        columns = [
            c if c["name"] in detailed else {k: v for k, v in c.items() if k not in _DETAILS}
            for c in columns
        ]
    numbers = [line["column"] for line in ranking if line["kind"] in ("numeric", "date")][
        :MOST_CORRELATED
    ]
    correlation = correlations({n: as_numbers(typed[n], schema[n].kind) for n in numbers}, seed)
    if correlation["rows"] < len(typed):
        notes.append(
            f"Correlations rest on {correlation['rows']:,} rows drawn from {len(typed):,}."
        )
    notes += [
        f"{omitted:,} dates of {c['name']}, placeholders or far from the others, are not among its periods."
        for c in columns
        if (omitted := c.get("periods", {}).get("omitted"))
    ]
    used = [c.name for c in known if c.used]
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
        "overview": _overview(typed, y, columns, used),
        "source": dict(source),
        "findings": [f.to_dict() for f in findings[:MAX_FINDINGS]],
        "columns": {c["name"]: c for c in columns},
        "association": {"measure": MEASURE, "why": WHY, "ranking": ranking},
        "correlation": correlation,
        "trend": trend(typed, y, schema, scope),
        "notes": notes,
    }


def trend(
    typed: pd.DataFrame, y: np.ndarray, schema: Schema, scope: Scope
) -> dict[str, Any] | None:
    """{column, why, unit, omitted, period, ...`rates`} over the scope's time column, else the first used date column.

    A number as time column is cut into its values, or into about 30 groups of equal size. None without such a column.
    """
    dates = [n for n in schema.names("date") if n in typed.columns and typed[n].notna().any()]
    named = scope.time_column if scope.time_column in typed.columns else None
    name = named or (dates[0] if dates else None)
    if name is None:
        return None
    told = {"column": name, "why": "the scope's time column" if named else "the first date column"}
    if schema[name].kind == "date":
        return told | by_period(typed[name], y)
    if schema[name].kind != "numeric" or not typed[name].notna().any():
        return None
    values = typed[name].to_numpy(dtype="float64")
    present = values[np.isfinite(values)]
    starts = np.unique(present)
    if len(starts) > 60:
        starts = equal_starts(np.sort(present), 30)
    groups = np.where(np.isfinite(values), np.searchsorted(starts, values, side="right") - 1, -1)
    return told | {
        "unit": "number",
        "omitted": 0,
        "period": [number(float(s)) for s in starts],
        **rates(groups, y, len(starts)),
    }


def _overview(
    typed: pd.DataFrame, y: np.ndarray, columns: list[dict[str, Any]], used: list[str]
) -> dict[str, Any]:
    labelled, positives = int((y >= 0).sum()), int((y == 1).sum())
    low, high = wilson(positives, labelled)
    cells = len(typed) * len(columns)
    groups = duplicate_groups(typed[used])
    return {
        "rows": len(typed),
        "labelled": labelled,
        "columns": len(columns),
        "used": len(used),
        "kinds": dict(sorted(Counter(c["kind"] for c in columns).items())),
        "positives": positives,
        "positive_rate": number(positives / labelled) if labelled else None,
        "positive_low": number(low),
        "positive_high": number(high),
        "duplicated_rows": len(groups) - (int(groups.max()) + 1 if len(groups) else 0),
        "missing_cells": sum(c["missing"]["rows"] for c in columns),
        "missing_share": number(sum(c["missing"]["rows"] for c in columns) / cells)
        if cells
        else 0.0,
        "memory_bytes": int(typed.memory_usage(deep=True).sum()),
    }


def _ranking(
    typed: pd.DataFrame, y: np.ndarray, schema: Schema, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """(associations, strongest first; what to note about the rows they rest on)."""
    rows, notes = np.flatnonzero(y >= 0), []
    if len(rows) > SAMPLE:
        notes.append(
            f"Associations rest on {SAMPLE:,} rows drawn from {len(rows):,} labelled ones."
        )
        rows = np.sort(np.random.default_rng(seed).choice(rows, SAMPLE, replace=False))
    labels, folds = y[rows], draw_folds(len(rows), seed)
    lines = []
    for column in schema.columns:
        if column.name in typed.columns and column.kind in JUDGED:
            found = associate(
                column.name, column.kind, typed[column.name].iloc[rows], labels, folds
            )
            lines.append(_rounded(found) | {"used": column.used})
    if not lines or not labels.any() or labels.all():
        notes.append("Without rows of both classes no association with the target can be judged.")
    return sorted(
        lines, key=lambda line: -(line["alone"]["value"] if line["alone"] else 0.0)
    ), notes


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return number(value, 5) if isinstance(value, float) else value
