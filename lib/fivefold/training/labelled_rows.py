"""Harvest: labelled predictions from the journal as rows of a training table.

Of every ten labelled predictions about three are set aside for ever, by a hash of their id: they are never learnt from,
only judged on, so that champion and challenger can always be compared on recent rows that neither has seen.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import WARNING, Finding
from fivefold.core.schema import Schema
from fivefold.core.scope import Scope
from fivefold.data.coerce import as_spelled, coerce_column, coerce_table
from fivefold.data.infer import infer_column
from fivefold.data.parsing import NUMBER_RULES, parse_dates, parse_numbers
from fivefold.data.splits import Assignment, Split
from fivefold.data.target import read_target
from fivefold.journal.database import read_predictions

SET_ASIDE = 0.3
# Origin of a row: the table itself, feedback to learn from, feedback to judge on (recent, and older than that).
BASE, LEARNT, ASIDE, ASIDE_OLD = 0, 1, 2, 3
RECENT_DAYS = 90  # before the newest labelled prediction


def share_of(prediction_id: str) -> float:
    """A number in [0, 1) that an id always has.

    >>> share_of("a") == share_of("a"), 0 <= share_of("b") < 1
    (True, True)
    """
    return int.from_bytes(hashlib.sha256(prediction_id.encode()).digest()[:8], "big") / 2**64


def labelled(engine: Any, problem: str) -> pd.DataFrame:
    """Labelled predictions of a problem, oldest first: id, at, inputs (JSON), label (1.0 or 0.0), labelled_at."""
    found = read_predictions(engine, problem, columns=("id", "at", "inputs"))
    return found[found["label"].notna()].reset_index(drop=True)


def with_labelled(
    base: pd.DataFrame, scope: Scope, journal_url: str
) -> tuple[pd.DataFrame, dict[str, Any], list[Finding], np.ndarray]:
    """(table with the problem's labelled predictions under it, {rows, set_aside, newest (that is learnt from), md5},
    findings, origins).
    """
    from fivefold.journal.database import open_journal
    from fivefold.journal.labels import settle

    engine, name = open_journal(journal_url), scope.problem
    settle(engine, name)
    found, target = labelled(engine, name), read_target(base, scope)[0]
    if target is None or not len(found):
        told = {"rows": 0, "set_aside": 0, "newest": None, "md5": ""}
        return (
            base,
            told,
            [
                Finding(
                    code="feedback-none",
                    severity=WARNING,
                    subject="feedback",
                    found=f"no labelled predictions of {name!r}",
                    expected="labels (flows/feedback.py, the API or the app)",
                    action="nothing: the table alone is used",
                )
            ],
            np.zeros(len(base), dtype="int8"),
        )
    more = rows_of(found, base, scope.target, target.negative, target.positive)
    origin = origins(len(base), found)
    learnt = found["at"][origin[len(base) :] == LEARNT]
    digest = hashlib.md5(
        "".join(found["id"] + found["label"].astype("str")).encode(), usedforsecurity=False
    )
    told = {
        "rows": len(found),
        "set_aside": int((origin >= ASIDE).sum()),
        "newest": learnt.max().isoformat(timespec="seconds") if len(learnt) else None,
        "md5": digest.hexdigest(),
    }
    return join(base, more), told, [], origin


def rows_of(
    found: pd.DataFrame, like: pd.DataFrame, target: str, negative: str, positive: str
) -> pd.DataFrame:
    """The inputs as a table with the columns and types of `like`, and the target's labels as texts."""
    cells = pd.DataFrame([json.loads(text) for text in found["inputs"]]).reindex(
        columns=like.columns
    )
    cells[target] = np.where(found["label"] == 1, positive, negative)
    return as_typed(cells, like)


def as_typed(cells: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """`cells` as the table `like` writes them: its types, its two words for yes and no, its decimal sign.

    A column with a cell that cannot be read so becomes texts; what is neither yes nor no is missing, as in serving.
    """
    return pd.DataFrame({name: _like(cells[name], like[name]) for name in like.columns})


def join(base: pd.DataFrame, more: pd.DataFrame) -> pd.DataFrame:
    """Both tables under each other; a column that is text in one of them is text in both."""
    parts = []
    for frame in (base, more):
        changed = {
            name: _texts(frame[name])
            for name in base.columns
            if pd.api.types.is_string_dtype(more[name].dtype)
            != pd.api.types.is_string_dtype(base[name].dtype)
        }
        parts.append(frame.assign(**changed))
    return pd.concat(parts, ignore_index=True)[list(base.columns)]


def origins(base_rows: int, found: pd.DataFrame) -> np.ndarray:
    """The origin of each row of the joined table, shape (rows,) int8."""
    recent = found["at"] >= found["at"].max() - pd.Timedelta(days=RECENT_DAYS)
    more = [
        LEARNT if share_of(number) >= SET_ASIDE else ASIDE if fresh else ASIDE_OLD
        for number, fresh in zip(found["id"], recent, strict=True)
    ]
    return np.array([*[BASE] * base_rows, *more], dtype="int8")


def place_feedback(
    fold_ids: np.ndarray, origin: np.ndarray, groups: np.ndarray | None = None
) -> np.ndarray:
    """The fold assignments (`fivefold.data.splits`) of all rows, from those of the base rows, which keep theirs.

    Rows set aside are held out. The others are dealt to the folds one after the other; where the folds follow time they
    all come to the last one. A row whose group (codes, shape (rows,); below 0: none) has a fold assignment already follows it.
    """
    base = int((origin == BASE).sum())
    folds = int(fold_ids.max()) + 1
    ordered = bool((fold_ids == Assignment.ALWAYS_TRAIN).any())
    all_places = np.concatenate(
        [fold_ids, np.full(len(origin) - base, Assignment.UNLABELLED, dtype="int8")]
    )
    codes = np.full(len(origin), -1) if groups is None else groups
    at = {
        int(code): int(p)
        for code, p in zip(codes, fold_ids, strict=False)
        if code >= 0 and p != Assignment.UNLABELLED
    }
    for n, row in enumerate(np.flatnonzero(origin != BASE)):
        dealt = folds - 1 if ordered else n % folds
        all_places[row] = (
            Assignment.HOLDOUT if origin[row] >= ASIDE else at.get(int(codes[row]), dealt)
        )
        if codes[row] >= 0:
            at.setdefault(int(codes[row]), int(all_places[row]))
    return all_places


def apart(fold_ids: np.ndarray, origin: np.ndarray, twins: np.ndarray) -> np.ndarray:
    """The fold assignments of all rows, with `UNLABELLED` for feedback that has a twin on the other side of the holdout.

    `twins` (codes, shape (rows,)): the same for rows of equal inputs. Somebody who scores the table itself would else
    teach the model the rows that it is judged on. What equals a held-out row of the table is not learnt from; of what
    was set aside that is not judged on which equals a row that is learnt from.
    """
    base_held = (fold_ids == Assignment.HOLDOUT) & (origin == BASE)
    found = np.where(
        (origin == LEARNT) & np.isin(twins, twins[base_held]), Assignment.UNLABELLED, fold_ids
    )
    judged = (origin != BASE) & (found == Assignment.HOLDOUT)
    return np.where(
        judged & np.isin(twins, twins[Split(found).training_rows]), Assignment.UNLABELLED, found
    ).astype("int8")


def twins_told(before: np.ndarray, fold_ids: np.ndarray) -> list[Finding]:
    """The finding on feedback that `apart` left out; none where there is none."""
    gone = (fold_ids == Assignment.UNLABELLED) & (before != Assignment.UNLABELLED)
    learnt, judged = (
        int((gone & (before != Assignment.HOLDOUT)).sum()),
        int((gone & (before == Assignment.HOLDOUT)).sum()),
    )
    told = [
        f"{count:,} repeat {what}"
        for count, what in (
            (learnt, "held-out rows of the table and are not learnt from"),
            (judged, "rows that are learnt from and are not judged on"),
        )
        if count
    ]
    return (
        [
            Finding(
                code="feedback-twins",
                severity=WARNING,
                subject="feedback",
                found="of the labelled predictions " + "; ".join(told),
                expected="cases that are new",
                action="nothing: they are left out",
            )
        ]
        if told
        else []
    )


def unseen(rows: pd.DataFrame, learnt: pd.DataFrame, schema: Schema) -> np.ndarray:
    """Which of `rows` are not among the rows `learnt`, by the values of the contract's columns; shape (rows,) bool."""
    names = [
        c.name
        for c in schema.columns
        if c.used and c.name in rows.columns and c.name in learnt.columns
    ]
    mine, theirs = (
        pd.util.hash_pandas_object(coerce_table(frame, schema)[0][names], index=False).to_numpy()
        for frame in (rows, learnt)
    )
    return ~np.isin(mine, theirs)


def _like(values: pd.Series, like: pd.Series) -> pd.Series:
    column, dtype = infer_column(like, str(like.name)), like.dtype
    is_bool, is_number = pd.api.types.is_bool_dtype(dtype), pd.api.types.is_numeric_dtype(dtype)
    if is_bool or column.kind == "boolean":
        flags = pd.Series(
            coerce_column(values, replace(column, kind="boolean"))[0], index=values.index
        )
        if is_bool:
            return flags.astype("boolean")
        return (
            _whole(flags, dtype)
            if is_number
            else flags.map(dict(enumerate(column.levels))).astype("str")
        )
    if is_number:
        numbers = parse_numbers(_texts(values), NUMBER_RULES[0])
        return _whole(numbers, dtype) if (numbers.notna() | values.isna()).all() else _texts(values)
    if pd.api.types.is_datetime64_any_dtype(dtype):
        times = parse_dates(_texts(values), {"format": "ISO8601"})
        if isinstance(dtype, pd.DatetimeTZDtype):
            times = times.dt.tz_localize("UTC").dt.tz_convert(dtype.tz)
        return times if (times.notna() | values.isna()).all() else _texts(values)
    if column.kind == "date":
        return as_spelled(_texts(values), column.parse)
    if (sign := column.parse.get("decimal", ".")) != ".":
        values = values.map(
            lambda v: str(v).replace(".", sign) if isinstance(v, float) and v == v else v
        )
    return _texts(values)


def _whole(numbers: pd.Series, dtype: Any) -> pd.Series:
    """Whole numbers where the other table has such, and they fit."""
    fit = pd.api.types.is_integer_dtype(dtype) and bool(
        (numbers % 1 == 0).all() and (numbers.abs() < 2**53).all()
    )
    return numbers.astype("int64") if fit else numbers


def _texts(values: pd.Series) -> pd.Series:
    def text(value: Any) -> Any:
        if pd.isna(value):
            return None
        return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)

    plain = pd.api.types.is_string_dtype(values.dtype) and values.dtype != object
    return values if plain else values.map(text).astype("str")
