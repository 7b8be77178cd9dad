"""Worlds: a future for a table, month by month, with a planted change. For `make demo` and for trying a monitor.

The change, from a given time on, in a share of the rows (the affected ones):
1. a categorical column (the one of most levels, at most 60) takes a value that was never seen: "new";
2. the two numeric columns that go most with the target move up by `SHIFT` standard deviations;
3. the target follows the first of these two the other way round, at the base rate times `RATE`.
So inputs drift, warnings rise, and what the model has learnt is wrong for the affected rows. Nothing else is touched.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

SHIFT, RATE, SLOPE = 1.2, 1.4, 2.5
NEW = "new"
MOST_LEVELS = 60


def recipe(base: pd.DataFrame, target: str, positive: str, leave_out: tuple[str, ...] = ()) -> dict:
    """What `change` does to rows of this table: {level_column, numbers [{name, mean, sd, sign, whole}], rate}.

    Raises ValueError without a numeric column of more than ten values.
    """
    y = (base[target].astype("str") == str(positive)).to_numpy(dtype=float)
    columns = [name for name in base.columns if name != target and name not in leave_out]
    numbers = [
        name
        for name in columns
        if pd.api.types.is_numeric_dtype(base[name].dtype)
        and not pd.api.types.is_bool_dtype(base[name].dtype)
        and base[name].nunique() > 10
    ]
    if not numbers:
        raise ValueError(
            "expected a numeric column with more than ten values, found none: choose another table"
        )
    strength = {
        name: np.corrcoef(base[name].rank(pct=True).fillna(0.5), y)[0, 1] for name in numbers
    }
    chosen = sorted(numbers, key=lambda name: -abs(strength[name]))[:2]
    levels = {
        name: base[name].nunique()
        for name in columns
        if pd.api.types.is_string_dtype(base[name].dtype)
        and 2 < base[name].nunique() <= MOST_LEVELS
    }
    return {
        "level_column": max(levels, key=lambda name: levels[name]) if levels else None,
        "rate": float(y.mean()),
        "numbers": [
            {
                "name": name,
                "mean": float(base[name].mean()),
                "sd": float(base[name].std()),
                "sign": float(np.sign(strength[name]) or 1),
                "whole": bool(pd.api.types.is_integer_dtype(base[name].dtype)),
            }
            for name in chosen
        ],
    }


def change(
    rows: pd.DataFrame, how: dict, share: float, target: str, labels: tuple[str, str], seed: int
) -> pd.DataFrame:
    """The rows with the planted change in a random `share` of them; `labels`: (negative, positive)."""
    rng, changed = np.random.default_rng(seed), rows.copy()
    here = rng.random(len(rows)) < share
    if how["level_column"]:
        changed.loc[here, how["level_column"]] = NEW
    for number in how["numbers"]:
        moved = (
            changed[number["name"]].fillna(number["mean"]).astype("float64") + SHIFT * number["sd"]
        )
        values = (
            changed[number["name"]]
            .astype("float64")
            .where(~here, moved.round(0 if number["whole"] else 2))
        )
        changed[number["name"]] = values
    first = how["numbers"][0]
    z = (changed[first["name"]].fillna(first["mean"]) - first["mean"]) / (
        first["sd"] or 1.0
    ) - SHIFT
    rate = min(0.9, how["rate"] * RATE)
    p = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) - SLOPE * first["sign"] * z)))
    drawn = np.where(rng.random(len(rows)) < p, labels[1], labels[0])
    changed[target] = np.where(here, drawn, rows[target].astype("str"))
    return changed
