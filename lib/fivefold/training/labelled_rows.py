"""Labelled rows: labelled predictions of the journal as rows of a training table.

Of ten cases about three are set aside for ever, by a hash of what they are about (`case_key`):
nothing is learnt from them, so that champion and challenger can always be compared on recent rows
that are new to both. A case that comes back is always on the same side. After `RECENT_DAYS` they
speak of an older world and are no longer compared on; they stay among the held-out rows of the
run's own evaluation. All other labelled predictions are learnt from, however old they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import (
    is_bool_dtype,
    is_datetime64_any_dtype,
    is_integer_dtype,
    is_numeric_dtype,
    is_string_dtype,
)

from fivefold.core.clock import today, utc_now
from fivefold.core.findings import WARNING, Finding, problem
from fivefold.core.schema import NOW, Column, Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_column, coerce_table
from fivefold.data.infer import infer_column
from fivefold.data.missing_markers import is_missing
from fivefold.data.parsing import EXACT, NUMBER_RULES, parse_dates, parse_numbers, to_numbers
from fivefold.data.row_groups import duplicate_groups, hash_rows, twin_groups
from fivefold.data.splits import FROM, Assignment, Split, learnt_from
from fivefold.data.target import read_target
from fivefold.journal.database import open_journal, read_predictions
from fivefold.journal.labels import match_unknown, only_events
from fivefold.model.label_sample import Maturity, choose

SET_ASIDE = 0.3
# Origin of a row: the table itself, feedback to learn from, or feedback to evaluate on (recent, or
# older than that).
BASE, LEARNT, ASIDE, ASIDE_OLD = 0, 1, 2, 3
RECENT_DAYS = 90  # before the newest labelled prediction
FEW_LABELS = 50  # too few to tell whether they were chosen, and to do harm
STANDS_FOR = "stands_for"
MONTH = 30  # days of one model whose labels are chosen together
COLUMNS = ("id", "at", "model", "inputs", "probability", "threshold", "control")


@dataclass(frozen=True)
class FeedbackTable:
    """A table with labelled predictions below its own rows.

    `origin` has the origin of each row, shape (rows,) int8. `facts`: rows and set_aside (numbers of
    labelled predictions), newest (time of the newest one in training, ISO) and md5.
    """

    frame: pd.DataFrame
    origin: np.ndarray
    facts: dict[str, Any]
    findings: list[Finding]


def share_of(key: str) -> float:
    """Return a number in [0, 1) that is always the same for a text.

    >>> share_of("a") == share_of("a"), 0 <= share_of("b") < 1
    (True, True)
    """
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def case_key(inputs: Mapping[str, Any], scope: Scope) -> str:
    """Return the text that stands for the case that a prediction is about.

    Its group; else its id columns; else the whole row without them. The same number has one text,
    however it was written.

    >>> case_key({"who": 7.0, "x": 1}, Scope(id_columns=("who",)))
    '["7"]'
    """

    def text(value: Any) -> str:
        is_whole = isinstance(value, float) and value.is_integer()
        return str(int(value) if is_whole else value)

    for names in ((scope.group,), scope.id_columns):
        values = [inputs.get(name) for name in names if name]
        if values and None not in values:
            return json.dumps([text(value) for value in values])
    cells = {name: inputs[name] for name in sorted(inputs.keys() - {*scope.id_columns})}
    return json.dumps({name: text(value) for name, value in cells.items() if value is not None})


def case_codes(frame: pd.DataFrame, scope: Scope) -> np.ndarray:
    """Return codes of the rows of one group, else of equal ids, -1 where neither is known."""
    names = [scope.group] if scope.group else list(scope.id_columns)
    if not names:
        return np.full(len(frame), -1)
    keys = frame[names]
    codes = duplicate_groups(keys)
    return np.where(keys.isna().any(axis=1), -1, codes)


def with_labelled(base: pd.DataFrame, scope: Scope, journal_url: str) -> FeedbackTable:
    """Return the table `base` with the problem's labelled predictions below it."""
    engine, name = open_journal(journal_url), scope.problem
    now = utc_now()
    match_unknown(engine, name, now)
    read = read_predictions(engine, name, columns=COLUMNS)
    predictions, findings = usable(read, scope, now, only_events(engine, name, now))
    target, _ = read_target(base, scope)
    if target is None or not len(predictions):
        found = f"no labelled predictions of {name!r}"
        expected = "labels (flows/feedback.py, the API or the app)"
        action = "nothing: the table alone is used"
        finding = problem("feedback-none", "feedback", found, expected, action, WARNING)
        facts = {"rows": 0, "set_aside": 0, "set_aside_old": 0, "newest": None, "md5": ""}
        return FeedbackTable(base, np.zeros(len(base), dtype="int8"), facts, [*findings, finding])
    cases = predictions["inputs"].map(lambda text: case_key(json.loads(text), scope))
    stays = representative(predictions, origins(0, cases, predictions["at"]))
    predictions = predictions[stays].reset_index(drop=True)
    cases = cases[stays].reset_index(drop=True)
    inputs = [json.loads(text) for text in predictions["inputs"]]
    cells = pd.DataFrame(inputs).reindex(columns=base.columns)
    cells[scope.target] = np.where(predictions["label"] == 1, target.positive, target.negative)
    origin = origins(len(base), cases, predictions["at"])
    if scope.weight_column in base.columns:
        cells[scope.weight_column] = usual_weight(base[scope.weight_column])
    learnt = predictions["at"][origin[len(base) :] == LEARNT]
    keys = "".join(predictions["id"] + predictions["label"].astype("str"))
    facts = {
        "rows": len(predictions),
        "set_aside": int((origin >= ASIDE).sum()),
        "set_aside_old": int((origin == ASIDE_OLD).sum()),
        "newest": learnt.max().isoformat(timespec="seconds") if len(learnt) else None,
        "md5": hashlib.md5(keys.encode(), usedforsecurity=False).hexdigest(),
    }
    frame = join(base, as_typed(cells, base, scope))
    scored_on = predictions["at"].dt.normalize()
    frame[NOW] = pd.concat([pd.Series([pd.Timestamp(today())] * len(base)), scored_on]).to_numpy()
    return FeedbackTable(frame, origin, facts, findings)


def usable(
    predictions: pd.DataFrame, scope: Scope, now: datetime, events_alone: bool
) -> tuple[pd.DataFrame, list[Finding]]:
    """Return the labelled predictions from which may be learnt, with a finding on the others.

    They are those on which the monitor would judge, by the same rule
    (`fivefold.model.label_sample`), a month of one model at a time: old enough, not acted upon, and
    of a month whose labels are no chosen part of its cases. Who gets a label by score or inputs
    alone does not change what an input means, so such months are learnt from as they are. The
    column `STANDS_FOR` has how many cases each row stands for, as a share of the most.
    """
    has_label = predictions["label"].notna()
    if scope.control_share is not None:  # what was flagged was acted upon, said or not
        flagged = predictions["probability"] >= predictions["threshold"]
        acted = predictions["acted"] | (flagged & ~predictions["control"])
        predictions = predictions.assign(acted=acted)
    known = predictions[has_label & ~predictions["acted"]]
    maturity = Maturity(scope.horizon_days, events_alone)
    kept: list[pd.DataFrame] = []
    left_out: dict[str, int] = {}
    month = predictions["at"].dt.normalize().rsub(pd.Timestamp(now)).dt.days // MONTH
    for _, cases in predictions.groupby(["model", month], sort=True):
        if not events_alone and cases["label"].isna().all():
            continue
        cells = pd.DataFrame([json.loads(text) for text in cases["inputs"]], index=cases.index)
        inputs = cells.drop(columns=[n for n in scope.id_columns if n in cells])
        threshold = float(cases["threshold"].iloc[-1])
        chosen = choose(cases, inputs, threshold, maturity, known, now)
        if not chosen.sample.judged and len(known) >= FEW_LABELS:
            why, count = chosen.sample.why, int((cases["label"].notna() & ~cases["acted"]).sum())
            if count:
                left_out[why] = left_out.get(why, 0) + count
            continue
        rows = cases[chosen.rows].assign(label=chosen.y)
        weights = np.ones(len(rows)) if chosen.weights is None else chosen.weights
        rows[STANDS_FOR] = weights / weights.max(initial=0.0)
        kept.append(rows)
    rows = pd.concat(kept) if kept else predictions.iloc[:0].assign(**{STANDS_FOR: 1.0})
    rows = rows.sort_values(["at", "id"]).reset_index(drop=True)
    acted_upon = int((has_label & predictions["acted"]).sum())
    if acted_upon:
        left_out["somebody acted upon the case"] = acted_upon
    return rows, [_left_out_finding(left_out)] if left_out else []


def representative(predictions: pd.DataFrame, origin: np.ndarray) -> np.ndarray:
    """Return which rows stay: all that are learnt from, and of those set aside a random sample.

    Of the latter each stays with the chance `STANDS_FOR`, so that the others are like all cases and
    two models can be compared on them (rejection sampling: Zadrozny, Langford & Abe 2003, ICDM).
    """
    drawn = np.array([share_of(f"stays {row_id}") for row_id in predictions["id"]])
    stays: np.ndarray = (origin == LEARNT) | (drawn < predictions[STANDS_FOR].to_numpy())
    return stays


def _left_out_finding(left_out: Mapping[str, int]) -> Finding:
    reasons = "; ".join(f"{rows:,}: {why}" for why, rows in list(left_out.items())[:4])
    return problem(
        "feedback-chosen",
        "feedback",
        f"labels that are not learnt from, nor compared on ({reasons})",
        "labels that may stand for all cases",
        "see docs/concepts.md, Label sample",
        WARNING,
    )


def usual_weight(weights: pd.Series) -> Any:
    """Return the cell that is nearest to the mean of a column: a labelled prediction has no weight.

    >>> usual_weight(pd.Series(["1,5", "2,5", "9,0"])), float(usual_weight(pd.Series([1, 2, 6])))
    ('2,5', 2.0)
    """
    column = infer_column(weights, str(weights.name))
    numbers = to_numbers(weights, "numeric", dict(column.parse))
    nearest = np.abs(numbers - np.nanmean(numbers))
    return weights.iloc[int(np.nanargmin(nearest))]


def as_typed(
    cells: pd.DataFrame, template: pd.DataFrame, scope: Scope | None = None
) -> pd.DataFrame:
    """Return the cells in the types and spelling of the table `template`.

    That includes its words for yes and no and its decimal sign. A column becomes text if one of its
    cells cannot be converted. In a yes/no column any other value is missing, as in serving, and so
    is what means missing by the scope and the kind of the column.
    """
    columns = {}
    for name in template.columns:
        column = infer_column(template[name], str(name), scope)
        columns[name] = _typed_as(_without_missing(cells[name], column), template[name], column)
    return pd.DataFrame(columns)


def join(base: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of both tables; a column that is text in one of them is text in both."""
    differ = [
        n for n in base.columns if is_string_dtype(more[n].dtype) != is_string_dtype(base[n].dtype)
    ]
    parts = [
        frame.assign(**{name: _texts(frame[name]) for name in differ}) for frame in (base, more)
    ]
    return pd.concat(parts, ignore_index=True)[list(base.columns)]


def origins(base_rows: int, cases: pd.Series, at: pd.Series) -> np.ndarray:
    """Return the origin of each row of the joined table, shape (rows,) int8.

    `cases` has the `case_key` of each prediction, `at` its time.
    """
    is_learnt = cases.map(share_of) >= SET_ASIDE
    is_recent = at >= at.max() - pd.Timedelta(days=RECENT_DAYS)
    origin = np.select([is_learnt, is_recent], [LEARNT, ASIDE], ASIDE_OLD)
    return np.append(np.full(base_rows, BASE), origin).astype("int8")


def split_feedback(
    fold_ids: np.ndarray,
    origin: np.ndarray,
    groups: np.ndarray,
    typed: pd.DataFrame,
    y: np.ndarray,
) -> tuple[np.ndarray, list[Finding]]:
    """Return the fold assignment of all rows, from that of the base rows, and findings.

    Parameters
    ----------
    fold_ids : of the base rows, as `fivefold.data.splits` assigns them
    origin, typed, y : of all rows, the base rows first: origin, typed columns and label
    groups : `case_codes` of all rows, below 0 for no group
    """
    assigned = assign_feedback(fold_ids, origin, groups)
    findings = _known_case_findings(assigned, origin)
    twins = twin_groups(typed, np.flatnonzero((origin == BASE) & (y >= 0)))
    if twins is None:
        return assigned, findings
    apart = keep_apart(assigned, origin, twins)
    return apart, [*findings, *duplicate_findings(assigned, apart)]


def assign_feedback(fold_ids: np.ndarray, origin: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the fold assignment of all rows, from that of the base rows, which they keep.

    Rows set aside are held out, unless their group is learnt from in the table: then they are left
    out. The others are dealt to the folds one after the other; where the folds follow time they all
    come to the last one. A row whose group is already assigned follows it. The parameters are those
    of `split_feedback`.
    """
    folds, ordered = Split(fold_ids).fold_count, Split(fold_ids).is_ordered
    assigned = np.full(len(origin), Assignment.UNLABELLED, dtype="int16")
    assigned[: len(fold_ids)] = fold_ids
    of_group: dict[int, int] = {}
    for code, fold in zip(groups, fold_ids, strict=False):
        if code >= 0 and fold not in (Assignment.UNLABELLED, Assignment.LEFT_OUT):
            of_group[int(code)] = max(int(fold), FROM)  # in which fold it is scored has no part
    last = folds - 1
    for number, row in enumerate(np.flatnonzero(origin != BASE)):
        code = int(groups[row])
        known = of_group.get(code)
        if origin[row] >= ASIDE:
            is_free = known in (None, Assignment.HOLDOUT)
            assigned[row] = Assignment.HOLDOUT if is_free else Assignment.UNLABELLED
        elif known == Assignment.HOLDOUT or (known is not None and not ordered):
            assigned[row] = known
        elif ordered:  # the last model may have learnt from the group: it does not score it
            assigned[row] = last if known in (None, last) else learnt_from(last, last)
        else:
            assigned[row] = number % folds
        if code >= 0 and assigned[row] != Assignment.UNLABELLED:
            of_group.setdefault(code, int(assigned[row]))
    return assigned


def _known_case_findings(assigned: np.ndarray, origin: np.ndarray) -> list[Finding]:
    """Return the finding on rows set aside whose case is learnt from, if any."""
    rows = int(((origin >= ASIDE) & (assigned == Assignment.UNLABELLED)).sum())
    if not rows:
        return []
    found = (
        f"{rows:,} of the labelled predictions set aside are about cases that the table's training "
        "rows hold, and are not evaluated"
    )
    action = "nothing: figures are of cases that no model has learnt from"
    return [problem("feedback-known", "feedback", found, "cases that are new", action, WARNING)]


def keep_apart(fold_ids: np.ndarray, origin: np.ndarray, duplicates: np.ndarray) -> np.ndarray:
    """Return the fold assignment without feedback that repeats rows across the holdout border.

    Such rows get `UNLABELLED`.

    Somebody who scores the table itself would else teach the model the rows that it is evaluated
    on. What equals a held-out row of the table is not learnt from; what was set aside and equals a
    learnt row is not evaluated.

    Parameters
    ----------
    fold_ids, origin : of all rows
    duplicates : codes of all rows, the same for rows of equal inputs
    """
    held_base = (fold_ids == Assignment.HOLDOUT) & (origin == BASE)
    like_held = (origin == LEARNT) & np.isin(duplicates, duplicates[held_base])
    apart = np.where(like_held, Assignment.UNLABELLED, fold_ids)
    held_feedback = (origin != BASE) & (apart == Assignment.HOLDOUT)
    like_learnt = held_feedback & np.isin(duplicates, duplicates[Split(apart).training_rows])
    return np.where(like_learnt, Assignment.UNLABELLED, apart).astype("int16")


def duplicate_findings(before: np.ndarray, after: np.ndarray) -> list[Finding]:
    """Return the finding on feedback that `keep_apart` left out, if any."""
    left_out = before[after != before]
    held = int((left_out == Assignment.HOLDOUT).sum())
    learnt = len(left_out) - held
    parts = []
    if learnt:
        parts.append(f"{learnt:,} repeat held-out rows of the table and are not learnt from")
    if held:
        parts.append(f"{held:,} repeat rows that are learnt from and are not evaluated")
    if not parts:
        return []
    found = "of the labelled predictions " + "; ".join(parts)
    action = "nothing: they are left out"
    return [problem("feedback-twins", "feedback", found, "cases that are new", action, WARNING)]


def unseen(rows: pd.DataFrame, learnt: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Return which rows are not among the rows `learnt`, shape (rows,) bool.

    The contract's columns are compared.
    """
    typed, typed_learnt = coerce_table(rows, schema)[0], coerce_table(learnt, schema)[0]
    common = [name for name in schema.names() if name in typed and name in typed_learnt]
    return ~np.isin(hash_rows(typed[common]), hash_rows(typed_learnt[common]))


def _without_missing(values: pd.Series, column: Column) -> pd.Series:
    gone = np.array([isinstance(cell, str) and is_missing(cell, column) for cell in values])
    return values.mask(gone) if gone.any() else values


def _typed_as(values: pd.Series, template: pd.Series, column: Column) -> pd.Series:
    """Return the values in the type and spelling of the column `template`.

    They are texts if one of them cannot be read in that type.
    """
    dtype = template.dtype
    if is_bool_dtype(dtype) or column.kind == "boolean":
        return _flags_as(values, dtype, column)
    if is_numeric_dtype(dtype):
        converted = _whole_as(parse_numbers(_texts(values), NUMBER_RULES[0]), dtype)
    elif is_datetime64_any_dtype(dtype):
        converted = parse_dates(_texts(values), {"format": "ISO8601"})
        if isinstance(dtype, pd.DatetimeTZDtype):
            converted = converted.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
    elif column.kind == "date":
        return _texts(values)
    else:
        return _texts(values, column.parse.get("decimal", "."))
    readable = (converted.notna() | values.isna()).all()
    return converted if readable else _texts(values)


def _flags_as(values: pd.Series, dtype: Any, column: Column) -> pd.Series:
    flags = coerce_column(values, replace(column, kind="boolean"))[0]
    series = pd.Series(flags, index=values.index)
    if is_bool_dtype(dtype):
        return series.astype("boolean")
    if is_numeric_dtype(dtype):
        return _whole_as(series, dtype)
    return series.map(dict(enumerate(column.levels))).astype("str")


def _whole_as(numbers: pd.Series, dtype: Any) -> pd.Series:
    """Return whole numbers where the other column has such, and they fit."""
    if not is_integer_dtype(dtype):
        return numbers
    fit = (numbers % 1 == 0).all() and (numbers.abs() < EXACT).all()
    return numbers.astype("int64") if fit else numbers


def _texts(values: pd.Series, decimal: str = ".") -> pd.Series:
    def text(value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        if decimal == "." and value.is_integer():
            return f"{value:.0f}"
        return str(value).replace(".", decimal)

    if is_string_dtype(values.dtype) and values.dtype != object:
        return values
    return values.map(text, na_action="ignore").astype("str")
