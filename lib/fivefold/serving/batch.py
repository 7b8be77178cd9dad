"""Batch: a whole file scored for a person: every row back with an id, and what acting on the best brings."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding, warnings
from fivefold.data.coerce import compare_names
from fivefold.model.bundle import SCORE_COLUMNS, Bundle
from fivefold.model.input_warnings import counts
from fivefold.serving.result_files import free_names, tally

ID = "prediction_id"
OUR_COLUMNS = [ID, *SCORE_COLUMNS]
_NAMESPACE = uuid.UUID(
    "5a1c3f0e-7b7d-5c1e-9d55-f1fef01dca5e"
)  # any fixed one: it makes our ids ours
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), also in full-width form and behind white space or
# characters that show nothing. Both patterns are within what RE2 knows, else pandas takes its slow way.
_UNSEEN = "[\\x00-\\x20\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
_FORMULA = f"^{_UNSEEN}*[-=+@\uff1d\uff0b\uff0d\uff20]|^[\\t\\r\\n]"
_NUMBER = r"[-+]?(?:(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?%?"


def score_batch(
    bundle: Bundle,
    frame: pd.DataFrame,
    key: str,
    *,
    rows: int = 10_000,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[pd.DataFrame, dict[str, Any], list[Finding]]:
    """(prediction_id, the input's columns and `SCORE_COLUMNS`; tally; what differs from the contract without hurting).

    `key` names the table (its md5): the same model, key and row give the same id, so that a repeated upload doubles
    nothing. The tally is `fivefold.serving.result_files.tally` and doubts {code: {column: cells}}. Raises `Refused` as `Bundle.score`.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    scores, found = bundle.assess(frame, rows, progress)
    scored = pd.concat([free_names(frame, OUR_COLUMNS), scores], axis=1)
    scored.insert(0, ID, ids(bundle, key, 0, len(frame)))
    return (
        scored,
        tally(scores) | {"doubts": counts(found)},
        warnings(compare_names(frame, bundle.schema)),
    )


def ids(bundle: Bundle, key: str, start: int, rows: int) -> list[str]:
    """The ids of rows `start` to `start + rows` of the table that `key` names, whichever part of it is scored alone."""
    source = f"{bundle.metadata.provenance.pathspec}/{key}"
    return [str(uuid.uuid5(_NAMESPACE, f"{source}/{row}")) for row in range(start, start + rows)]


def table_key(md5: str, threshold: float, trained: float) -> str:
    """What the ids of a table's rows are made of, besides model and row. Another threshold than the trained one gives
    others: what is on record under an id is what was decided.

    >>> table_key("a1", 0.5, 0.5), table_key("a1", 0.7, 0.5)
    ('a1', 'a1 at 0.7')
    """
    return md5 if threshold == trained else f"{md5} at {threshold!r}"


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text and name that a spreadsheet would run as a formula.

    Plain numbers ("-5", "+3.2", "-1,234.5", "1e5") stay as they are. For people who open a download; a program should
    get the table as it is.
    """
    safe = frame.set_axis(_defused(pd.Series([str(n) for n in frame.columns], dtype="str")), axis=1)
    for place, dtype in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_datetime64_any_dtype(
            dtype
        ):
            values = frame.iloc[:, place]
            safe.isetitem(place, _defused(values.astype("str")).array)
    return safe


def lift_at(probability: pd.Series, count: int) -> dict[str, Any]:
    """{count, expected_positives, rate, overall_rate, lift} of the `count` highest probabilities.

    Sums of calibrated probabilities, so it holds as far as the calibration does: no label is known. Rows without a
    probability are left out; `count` is cut at the rows there are; lift is None where the overall rate is 0.

    >>> lift_at(pd.Series([0.9, 0.1, 0.5, 0.5]), 1)
    {'count': 1, 'expected_positives': 0.9, 'rate': 0.9, 'overall_rate': 0.5, 'lift': 1.8}
    """
    known = np.sort(probability.dropna().to_numpy())[::-1]
    count = max(0, min(count, len(known)))
    expected = float(known[:count].sum())
    rate = expected / count if count else 0.0
    overall = float(known.mean()) if len(known) else 0.0
    return {
        "count": count,
        "expected_positives": expected,
        "rate": rate,
        "overall_rate": overall,
        "lift": rate / overall if overall else None,
    }


def histogram(probability: pd.Series, bins: int = 20) -> list[dict[str, float]]:
    """[{from, to, rows}] over 0 to 1; rows without a probability are left out."""
    rows, edges = np.histogram(probability.dropna(), bins=bins, range=(0, 1))
    return [
        {"from": float(a), "to": float(b), "rows": int(n)}
        for a, b, n in zip(edges, edges[1:], rows, strict=False)
    ]


def top(scored: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` rows of the highest probabilities, equal ones in their order; rows without one are left out."""
    return (
        scored.dropna(subset=["probability"])
        .sort_values("probability", ascending=False, kind="stable")
        .head(count)
    )


def _defused(texts: pd.Series) -> pd.Series:
    """Texts of dtype `str`, the formulas among them with an apostrophe."""
    risky = texts.str.contains(_FORMULA, na=False)
    if not risky.any():  # the usual case
        return texts
    risky &= ~texts.str.fullmatch(_NUMBER, na=False)
    return texts.where(~risky, "'" + texts)
