"""A small table for tests: every kind of column, gaps, a target that depends on some columns."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import scipy.linalg  # noqa: F401  loads its BLAS, for the limit below
from threadpoolctl import threadpool_limits

from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import split_rows

threadpool_limits(1)  # two BLAS threads make these small decompositions ten times slower
WORDS = (
    "late",
    "kind",
    "slow",
    "fast",
    "broken",
    "fine",
    "again",
    "never",
    "order",
    "phone",
    "paid",
    "refund",
)
SCOPE = Scope(
    target="left",
    positive="yes",
    cost_miss=5.0,
    cost_false_alarm=1.0,
    protected_columns=("region",),
)


def mixed(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return a table of all kinds of columns and the target `left`.

    Numbers (amount, age, noise), levels (region: 4, shop: 30), yes/no (member), a date (since) and
    a text (note). amount and region have gaps. The target depends on amount, region, shop and
    member.
    """
    rng = np.random.default_rng(seed)
    amount, age = rng.gamma(2.0, 50.0, rows), rng.integers(18, 80, rows)
    region, shop = rng.integers(0, 4, rows), rng.integers(0, 30, rows)
    member, noise = rng.random(rows) < 0.5, rng.normal(size=rows)
    score = 0.02 * (amount - 100) + 1.2 * (region == 1) - 1.0 * member + 0.08 * (shop - 15) - 0.5
    left = rng.random(rows) < 1 / (1 + np.exp(-score))
    days = rng.integers(0, 2000, rows)
    frame = pd.DataFrame(
        {
            "amount": np.where(rng.random(rows) < 0.1, np.nan, amount.round(2)),
            "age": age,
            "region": pd.Series(
                [("north", "south", "east", "west")[i] for i in region], dtype="str"
            ),
            "shop": pd.Series([f"shop {i:02d}" for i in shop], dtype="str"),
            "member": pd.Series(np.where(member, "yes", "no"), dtype="str"),
            "since": pd.Timestamp("2019-01-01") + pd.to_timedelta(days, unit="D"),
            "note": pd.Series([" ".join(rng.choice(WORDS, 6)) for _ in range(rows)], dtype="str"),
            "noise": noise.round(3),
            "left": pd.Series(np.where(left, "yes", "no"), dtype="str"),
        }
    )
    frame.loc[rng.random(rows) < 0.05, "region"] = None
    return frame


def labels(frame: pd.DataFrame) -> np.ndarray:
    """Return the target: 1 for yes, 0 for no."""
    return (frame["left"] == "yes").to_numpy().astype("int8")


@cache
def prepared(
    rows: int = 400, seed: int = 0, folds: int = 3
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, Schema]:
    """Return (typed table, y, fold ids, schema) of `mixed`; do not change them in place."""
    frame = mixed(rows, seed)
    y = labels(frame)
    fold_ids = split_rows(y, folds, seed)
    schema = infer_schema(frame[fold_ids >= 0].reset_index(drop=True), SCOPE, ("no", "yes"))
    return coerce_table(frame, schema)[0], y, fold_ids, schema
