"""A table scored at once or in parts: ids, counts, the top rows, lift, downloads safe to open."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa

from fivefold.core.findings import Finding, Refused, errors, refuse_errors, warnings
from fivefold.core.stored import Stored
from fivefold.data.coerce import TELLING, coerce_column, coerce_table, compare_names, compare_types
from fivefold.data.reading.table_parts import TableParts, load_table, read_part, save_table
from fivefold.model.bundle import SCORE_COLUMNS, Assessment, Bundle
from fivefold.model.input_warnings import InputWarning, counts
from fivefold.serving.journal_rows import left_alone_of_table

ID = "prediction_id"
CONTROL = "control"  # whether a case is to be left alone; only if the scope has a control share
OUR_COLUMNS = [ID, *SCORE_COLUMNS]
REASONS = "reasons"  # a column more, where they were asked for
# any fixed one: our ids differ from others'
_NAMESPACE = uuid.UUID("5a1c3f0e-7b7d-5c1e-9d55-f1fef01dca5e")
# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), also in full-width form and
# behind white space or invisible characters. Both patterns are within what RE2 knows: pandas is
# slow otherwise.
_INVISIBLE = "[\\x00-\\x20\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2064\u3000\ufeff]"
_FORMULA = f"^{_INVISIBLE}*[-=+@\uff1d\uff0b\uff0d\uff20]|^[\\t\\r\\n]"
_NUMBER = r"[-+]?(?:(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?%?"
MAX_REASONS = 20  # most frequent reasons of refused rows that are kept for a whole table
MAX_PART_REASONS = 200  # and for a part
BINS = 20
_READABLE = "readable.arrow"


@dataclass(frozen=True, kw_only=True)
class Tally(Stored):
    """What came out of scored rows.

    decisions: rows by decision. warning_counts: {code: {column: cells}}, codes of
    `fivefold.model.input_warnings`. bins: [{from, to, rows}], rows by probability. reasons: refused
    rows by reason. spooled: rows that wait for the journal. explained: rows with reasons.
    """

    stored_as: ClassVar = {"warning_counts": "doubts"}

    rows: int
    scored: int
    refused: int
    with_warnings: int
    decisions: Mapping[str, int]
    mean_probability: float | None
    warning_counts: Mapping[str, Mapping[str, int]]
    bins: list[dict[str, float]]
    reasons: Mapping[str, int]
    spooled: int = 0
    explained: int = 0

    @staticmethod
    def of(scores: pd.DataFrame, warnings: Iterable[InputWarning]) -> Tally:
        """Count the rows that `fivefold.model.bundle.Bundle.assess` has scored."""
        is_scored = scores["error"] == ""
        decisions = Counter(scores.loc[is_scored, "decision"])
        reasons = Counter(scores.loc[~is_scored, "error"])
        return Tally(
            rows=len(scores),
            scored=int(is_scored.sum()),
            refused=int((~is_scored).sum()),
            with_warnings=int((scores["warnings"] != "").sum()),
            decisions=dict(decisions.most_common()),
            mean_probability=float(scores["probability"].mean()) if is_scored.any() else None,
            warning_counts=counts(warnings),
            bins=histogram(scores["probability"]),
            reasons=dict(reasons.most_common(MAX_PART_REASONS)),
        )

    @staticmethod
    def merge(parts: Iterable[Tally]) -> Tally:
        """Return the tally of a table from those of its parts, in the order of the table."""
        parts = list(parts)
        decisions = sum((Counter(part.decisions) for part in parts), Counter[str]())
        reasons = sum((Counter(part.reasons) for part in parts), Counter[str]())
        cells: dict[str, Counter[str]] = defaultdict(Counter)
        for part in parts:
            for code, by_column in part.warning_counts.items():
                cells[code].update(by_column)
        added = ("rows", "scored", "refused", "with_warnings", "spooled", "explained")
        sums = {name: sum(getattr(part, name) for part in parts) for name in added}
        total = sum(part.scored * (part.mean_probability or 0.0) for part in parts)
        bins = [
            {**same[0], "rows": sum(one["rows"] for one in same)}
            for same in zip(*(part.bins for part in parts), strict=True)
        ]
        return Tally(
            **sums,
            decisions=dict(decisions),
            mean_probability=total / sums["scored"] if sums["scored"] else None,
            warning_counts={code: dict(by_column) for code, by_column in cells.items()},
            bins=bins,
            reasons=dict(reasons.most_common(MAX_REASONS)),
        )


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

    rate: expected share of positives among them; lift: `rate` over that of all rows, None where
    that is 0.
    """

    count: int
    expected_positives: float
    rate: float
    lift: float | None


def score_batch(
    bundle: Bundle,
    frame: pd.DataFrame,
    key: str,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> ScoredTable:
    """Score a table.

    Parameters
    ----------
    key
        Names the table (its md5, see `table_key`): the same model, key and row give the same id, so
        that a repeated upload records nothing twice.
    progress
        Called with the rows done and the rows in all.

    Raises
    ------
    Refused
        As `fivefold.model.bundle.Bundle.score`.
    """
    frame = frame.rename(columns=str).reset_index(drop=True)
    assessment = bundle.assess(frame, progress)
    findings = warnings(compare_names(frame, bundle.schema, bundle.optional))
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
    the table may hold our earlier output. With a control share there is the column `CONTROL` too.
    """
    names = {}
    scope = bundle.metadata.scope
    has_controls = scope.control_share is not None
    for name in [*OUR_COLUMNS, *([CONTROL] if has_controls else [])]:
        free = name
        while free in frame.columns:
            free = f"input_{free}"
        names[name] = free
    scored = pd.concat([frame.rename(columns=names), assessment.scores], axis=1)
    source = f"{bundle.metadata.provenance.pathspec}/{key}"
    numbers = range(first_row, first_row + len(frame))
    ids = [str(uuid.uuid5(_NAMESPACE, f"{source}/{row}")) for row in numbers]
    scored.insert(0, ID, ids)
    if has_controls:
        scored[CONTROL] = left_alone_of_table(frame, ids, scope)
    return ScoredTable(scored, Tally.of(*assessment), findings, assessment)


def check_parts(parts: TableParts, bundle: Bundle) -> list[Finding]:
    """Check that a table fits the model; return how its columns differ without harm.

    Leaves a readable cell of each used column beside the parts, for `score_part`. Parts are read
    until each column has one, so usually one part. Raises `Refused` as
    `fivefold.model.bundle.Bundle.score` of the whole table would.
    """
    schema = bundle.schema
    by_name = compare_names(pd.DataFrame(columns=parts.columns), schema, bundle.optional)
    readable: dict[str, pd.Series] = {}
    unreadable: dict[str, list[pd.Series]] = {
        name: [] for name in sorted(schema.names()) if name in parts.columns
    }
    for number in range(len(parts.row_counts)):
        if not unreadable:
            break
        frame = read_part(parts, number, list(unreadable))
        for name in list(unreadable):
            values = frame[name]
            typed, _ = coerce_column(values, schema[name])
            good = values[pd.notna(typed)]
            if len(good):
                readable[name] = good.head(1).reset_index(drop=True)
                del unreadable[name]
            else:
                unreadable[name].append(values.dropna().head(TELLING))
    bad = pd.DataFrame()
    for name, cells in unreadable.items():
        examples = pd.concat(cells, ignore_index=True).head(TELLING)
        if len(examples) == TELLING:
            bad[name] = examples
    by_type = compare_types(bad, schema, coerce_table(bad, schema)[1])
    refuse_errors("The table does not fit the model", [*errors(by_name), *by_type])
    cells_table = pa.Table.from_pandas(pd.DataFrame(readable), preserve_index=False)
    save_table(cells_table, Path(parts.folder) / _READABLE)
    return warnings(by_name)


def groups(parts: int, most: int) -> list[list[int]]:
    """Divide the numbers of the parts, in order, into at most `most` groups of nearly equal size.

    >>> groups(5, 2)
    [[0, 1, 2], [3, 4]]
    """
    return [group.tolist() for group in np.array_split(np.arange(parts), min(parts, most))]


def score_part(bundle: Bundle, parts: TableParts, number: int, frame: pd.DataFrame) -> ScoredTable:
    """Score a part; return its rows as `score_batch` of the whole would.

    `frame` is the part as `fivefold.data.reading.table_parts.read_part` gives it.
    """
    try:
        assessment = bundle.assess(frame)
    except Refused:  # no cell of a column can be read: with a row of readable ones it is no misfit
        readable = load_table(Path(parts.folder) / _READABLE).to_pandas()
        extra = frame.iloc[[0]].copy()
        for name in readable:
            extra[name] = readable[name].array
        longer = bundle.assess(pd.concat([frame, extra], ignore_index=True))
        assessment = longer.part(0, len(frame))
    return with_scores(bundle, frame, assessment, parts.key, parts.first_row(number))


def table_key(md5: str, threshold: float, trained_threshold: float) -> str:
    """Return the key from which the ids of a table's rows are made.

    Another threshold than the trained one gives other ids: what is on record under an id is what
    was decided.

    >>> table_key("a1", 0.5, 0.5), table_key("a1", 0.7, 0.5)
    ('a1', 'a1 at 0.7')
    """
    return md5 if threshold == trained_threshold else f"{md5} at {threshold!r}"


def with_reasons(scored: ScoredTable, texts: Sequence[str]) -> ScoredTable:
    """Return a scored table with the reasons of each row, "" for one that has none."""
    free = REASONS
    while free in scored.rows.columns:
        free = f"input_{free}"
    rows = scored.rows.rename(columns={REASONS: free}).assign(**{REASONS: texts})
    explained = sum(map(bool, texts))
    return replace(scored, rows=rows, tally=replace(scored.tally, explained=explained))


def top(scored: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the `count` rows of the highest probabilities, equal ones in their order."""
    known = scored.dropna(subset=["probability"])
    return known.sort_values("probability", ascending=False, kind="stable").head(count)


def lift_at(probability: pd.Series, count: int) -> Lift:
    """Estimate what acting on the `count` highest probabilities brings, without any label.

    The figures are sums of calibrated probabilities, so they are as good as the calibration. Rows
    without a probability are left out; `count` is at most the number of the others.

    >>> lift_at(pd.Series([0.9, 0.1, 0.5, 0.5]), 1)
    Lift(count=1, expected_positives=0.9, rate=0.9, lift=1.8)
    """
    highest_first = np.sort(probability.dropna().to_numpy())[::-1]
    count = max(0, min(count, len(highest_first)))
    expected = float(highest_first[:count].sum())
    rate = expected / count if count else 0.0
    overall = float(highest_first.mean()) if len(highest_first) else 0.0
    return Lift(count, expected, rate, rate / overall if overall else None)


def neutralise(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the table with an apostrophe before every text that a spreadsheet would run.

    Plain numbers ("-5", "+3.2", "-1,234.5", "1e5") stay as they are. This is for downloads that
    people open; a program should get the table unchanged.
    """
    names = pd.Series(frame.columns.map(str), dtype="str")
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


def histogram(probability: pd.Series) -> list[dict[str, float]]:
    """Return [{from, to, rows}] over 0 to 1; rows without a probability are left out."""
    rows, edges = np.histogram(probability.dropna(), BINS, (0, 1))
    return [
        {"from": float(low), "to": float(high), "rows": int(count)}
        for low, high, count in zip(edges[:-1], edges[1:], rows, strict=True)
    ]
