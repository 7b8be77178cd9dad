"""A whole table scored at once: ids, the top rows, lift, downloads that are safe to open."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fivefold.core.findings import Finding, warnings
from fivefold.data.coerce import compare_names
from fivefold.model.bundle import SCORE_COLUMNS, Assessment, Bundle
from fivefold.serving.tally import Tally

ID = "prediction_id"
OUR_COLUMNS = [ID, *SCORE_COLUMNS]
# any fixed one: our ids differ from others'
_NAMESPACE = uuid.UUID("5a1c3f0e-7b7d-5c1e-9d55-f1fef01dca5e")
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), also in full-width form and
# behind white space or invisible characters. Both patterns are within what RE2 knows: pandas is
# slow otherwise.
_INVISIBLE = "[\\x00-\\x20\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
_FORMULA = f"^{_INVISIBLE}*[-=+@\uff1d\uff0b\uff0d\uff20]|^[\\t\\r\\n]"
_NUMBER = r"[-+]?(?:(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?%?"


@dataclass(frozen=True)
class ScoredTable:
    """Each row of a table with its id and scores.

    rows: prediction_id, the columns of the table and `SCORE_COLUMNS`. findings: how the columns
    differ from the model's without harm. assessment: the scores and warnings alone.
    """

    rows: pd.DataFrame
    tally: Tally
    findings: Sequence[Finding]
    assessment: Assessment

    @property
    def ids(self) -> list[str]:
        """The id of each row."""
        return list(self.rows[ID])


@dataclass(frozen=True)
class Lift:
    """What acting on the `count` highest probabilities brings.

    rate: expected share of positives among them; lift: `rate` over `overall_rate`, None where that
    is 0.
    """

    count: int
    expected_positives: float
    rate: float
    overall_rate: float
    lift: float | None


def score_batch(
    bundle: Bundle,
    frame: pd.DataFrame,
    key: str,
    *,
    rows: int = 10_000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScoredTable:
    """Score a table.

    Parameters
    ----------
    key
        Names the table (its md5, see `table_key`): the same model, key and row give the same id, so
        that a repeated upload records nothing twice.
    rows
        Rows that the model sees at a time.
    progress
        Called with the rows done and the rows in all.

    Raises
    ------
    Refused
        As `fivefold.model.bundle.Bundle.score`.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1).reset_index(drop=True)
    assessment = bundle.assess(frame, rows, progress)
    findings = warnings(compare_names(frame, bundle.schema))
    return with_scores(bundle, frame, assessment, key, findings=findings)


def with_scores(
    bundle: Bundle,
    frame: pd.DataFrame,
    assessment: Assessment,
    key: str,
    first_row: int = 0,
    findings: Sequence[Finding] = (),
) -> ScoredTable:
    """Return a table, or the part of it that begins at `first_row`, with the scores of its rows.

    A column of one of our names becomes `input_<name>`, with more of `input_` where that is taken:
    the table may hold our earlier output.
    """
    names: dict[str, str] = {}
    for name in frame.columns:
        if name in OUR_COLUMNS:
            free = f"input_{name}"
            while free in frame.columns:
                free = f"input_{free}"
            names[name] = free
    scored = pd.concat([frame.rename(columns=names), assessment.scores], axis=1)
    source = f"{bundle.metadata.provenance.pathspec}/{key}"
    numbers = range(first_row, first_row + len(frame))
    scored.insert(0, ID, [str(uuid.uuid5(_NAMESPACE, f"{source}/{row}")) for row in numbers])
    return ScoredTable(scored, Tally.of(*assessment), findings, assessment)


def table_key(md5: str, threshold: float, trained_threshold: float) -> str:
    """Return the key from which the ids of a table's rows are made.

    Another threshold than the trained one gives other ids: what is on record under an id is what
    was decided.

    >>> table_key("a1", 0.5, 0.5), table_key("a1", 0.7, 0.5)
    ('a1', 'a1 at 0.7')
    """
    return md5 if threshold == trained_threshold else f"{md5} at {threshold!r}"


def top(scored: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the `count` rows of the highest probabilities, equal ones in their order."""
    known = scored.dropna(subset=["probability"])
    return known.sort_values("probability", ascending=False, kind="stable").head(count)


def lift_at(probability: pd.Series, count: int) -> Lift:
    """Estimate what acting on the `count` highest probabilities brings, without any label.

    The figures are sums of calibrated probabilities, so they are as good as the calibration. Rows
    without a probability are left out; `count` is at most the number of the others.

    >>> lift_at(pd.Series([0.9, 0.1, 0.5, 0.5]), 1)
    Lift(count=1, expected_positives=0.9, rate=0.9, overall_rate=0.5, lift=1.8)
    """
    highest_first = np.sort(probability.dropna().to_numpy())[::-1]
    count = max(0, min(count, len(highest_first)))
    expected = float(highest_first[:count].sum())
    rate = expected / count if count else 0.0
    overall = float(highest_first.mean()) if len(highest_first) else 0.0
    return Lift(count, expected, rate, overall, rate / overall if overall else None)


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before every text that a spreadsheet would run.

    Plain numbers ("-5", "+3.2", "-1,234.5", "1e5") stay as they are. This is for downloads that
    people open; a program should get the table unchanged.
    """
    names = pd.Series([str(name) for name in frame.columns], dtype="str")
    safe = frame.set_axis(_neutralised(names), axis=1)
    for position, dtype in enumerate(frame.dtypes):
        is_number = pd.api.types.is_numeric_dtype(dtype)
        if not is_number and not pd.api.types.is_datetime64_any_dtype(dtype):
            texts = frame.iloc[:, position].astype("str")
            safe.isetitem(position, _neutralised(texts).array)
    return safe


def _neutralised(texts: pd.Series) -> pd.Series:
    risky = texts.str.contains(_FORMULA, na=False)
    if not risky.any():  # the usual case
        return texts
    risky &= ~texts.str.fullmatch(_NUMBER, na=False)
    return texts.where(~risky, "'" + texts)
