"""Splits: which rows are held out, and the folds that all algorithms share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import refusal
from fivefold.core.roc_auc import JUDGED
from fivefold.core.text import plural


class Assignment(IntEnum):
    """What a row is used for when it is in none of the folds 0, 1, ..."""

    HOLDOUT = -1
    UNLABELLED = -2
    ALWAYS_TRAIN = -3  # the earliest rows of a split by time
    TRAIN_ONLY = -4  # learnt from in every fold, never scored
    LEFT_OUT = -5  # the rest of a group that a split by time has on the other side


# A row of a group that a split by time scores in another block is `FROM` - (block + 1) * `STRIDE` -
# (fold of the group): learnt from in later folds than its block, but not in that fold.
FROM, STRIDE = -100, 32


HOLDOUT_SHARE = 0.2
LEAST_HELD = 0.1  # share of the rows in use that a split by time and group holds out
PARTS = 5  # one of these parts is held out
# Rows of the rarer class in the holdout, for which up to a third of a table is held out: the
# interval of a ROC AUC of .8 is then .2 wide.
ENOUGH_HELD, FEWEST_PARTS = 20, 3
# Rows in the folds: an ROC AUC of 20% positives then has a standard error of about .002.
MOST_SCORED = 60_000
MOST_LEARNT = 60_000  # rows beside those that a search learns from; the final fit learns from all
MANY_ROWS = 50_000  # training rows above which a table gets 3 folds by default
FEWEST = 5  # rows of each class that a random part keeps, however rare it is
SMALL_GROUP = 5
SINGLE_GROUPS = 1000  # the largest groups are dealt one by one (110 µs each), others in batches
_CANNOT_SPLIT = "The table cannot be split"


@dataclass(frozen=True)
class Split:
    """The fold assignment of each row.

    fold_ids: shape (rows,) int16 (int8 in older runs); the fold 0, 1, ... in which a row is scored,
    else an `Assignment` or a number of `FROM` or less.
    """

    fold_ids: np.ndarray

    @property
    def fold_count(self) -> int:
        return int(self.fold_ids.max()) + 1

    @property
    def is_ordered(self) -> bool:
        """Whether folds follow time, so that each is scored by a model of earlier rows."""
        is_first = self.fold_ids == Assignment.ALWAYS_TRAIN
        return bool((is_first | (self.fold_ids <= FROM)).any())

    @property
    def scored_rows(self) -> np.ndarray:
        """Positions of the rows in folds."""
        return np.flatnonzero(self.fold_ids >= 0)

    @property
    def holdout_rows(self) -> np.ndarray:
        """Positions of the held-out rows."""
        return np.flatnonzero(self.fold_ids == Assignment.HOLDOUT)

    @property
    def training_rows(self) -> np.ndarray:
        """Positions of all rows that a final model may learn from."""
        outside = (Assignment.HOLDOUT, Assignment.UNLABELLED, Assignment.LEFT_OUT)
        return np.flatnonzero(~np.isin(self.fold_ids, outside))

    def folds(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (training rows, validation rows) of each fold, as positions.

        Folds in time order train on the past only, and on no group that they score.
        """
        rows = self.training_rows
        fold_ids = self.fold_ids[rows]
        block, own = _block_and_own(fold_ids)
        for fold in range(self.fold_count):
            is_learnt = fold_ids != fold
            if self.is_ordered:
                is_learnt = (block < fold) & (own != fold)
            yield rows[is_learnt], rows[fold_ids == fold]

    def searched_rows(self, seed: int) -> np.ndarray:
        """Return sorted positions of the training rows that a search looks at.

        All of them up to `MOST_SCORED` + `MOST_LEARNT`; of more, the rows in folds and a random
        part of the others. The setting that is best on so many rows is taken for the best on all
        (Petrak 2000, "Fast subsampling performance estimates for classification algorithm
        selection"). What more rows still bring: docs/scale.md.
        """
        most = MOST_SCORED + MOST_LEARNT
        rows = self.training_rows
        if len(rows) <= most:
            return rows
        rng = np.random.default_rng(seed + 3)
        is_other = self.fold_ids[rows] == Assignment.TRAIN_ONLY
        scored, others = rows[~is_other], rows[is_other]
        if len(scored) > most:  # a split by time deals all rows to the folds
            scored = rng.choice(scored, most, replace=False)
        if len(others) > MOST_LEARNT:
            others = rng.choice(others, MOST_LEARNT, replace=False)
        return np.sort(np.concatenate([scored, others]))


def split_rows(
    y: np.ndarray,
    folds: int,
    seed: int,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Return the fold assignment of every row.

    Without `times` the split is stratified by label, and rows of one group stay together; with
    few rows of a class up to a third is held out (`holdout_parts`). With `times` the latest 20%
    are held out, and the rest is cut into folds + 1 blocks, of which the first only trains;
    rows of one time stay together, and few times make fewer folds. With both, every model is
    scored on later rows of groups that it has not seen (`_keep_groups_apart`). Where folds do
    not follow time, at most about `MOST_SCORED` rows are dealt to them, whole groups at a time;
    the others train in every fold and are never scored.

    Parameters
    ----------
    y
        Labels, shape (rows,): 1, 0, or -1 for a missing one.
    groups
        Codes of the rows that belong together, shape (rows,).
    times
        The time of each row, shape (rows,), in any unit; NaN where unknown.

    Returns
    -------
    `Split.fold_ids`, shape (rows,) int16.

    Raises
    ------
    Refused
        Where a part would lack a class, or groups or times are too few.
    """
    fold_ids = np.full(len(y), Assignment.UNLABELLED, dtype="int16")
    labelled = np.flatnonzero(y >= 0)
    # Without groups, each row is a unit.
    units = np.arange(len(labelled)) if groups is None else pd.factorize(groups[labelled])[0]
    if times is None:
        fold_ids[labelled] = _stratified(y[labelled], units, folds, seed)
    else:
        by_time = _by_time(times[labelled], y[labelled], units, folds, seed)
        fold_ids[labelled] = _keep_groups_apart(by_time, y[labelled], units, seed)
        folds = Split(fold_ids).fold_count
    if not Split(fold_ids).is_ordered:
        fold_ids[labelled] = _limit_scored(fold_ids[labelled], units, seed)
    _refuse_missing_class(fold_ids, y, folds)
    return fold_ids


def subsample(rows: np.ndarray, y: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """Return at most `most` of the positions `rows`, in order, with the same share of positives.

    Of a class so rare that its share would be fewer than `FEWEST` rows, that many are kept, or all
    there are. `y` is of all positions.

    >>> rare = np.r_[np.ones(6, dtype=int), np.zeros(994, dtype=int)]
    >>> [int(rare[subsample(np.arange(1000), rare, most, 0)].sum()) for most in (100, 900, 6)]
    [5, 5, 3]
    """
    if most is None or len(rows) <= most:
        return rows
    from sklearn.model_selection import train_test_split

    labels = y[rows]
    is_rare = labels == (1 if 2 * labels.sum() <= len(labels) else 0)
    rng = np.random.default_rng(seed)
    if len(rows) - most == 1:  # a remainder of one row cannot be stratified
        return np.delete(rows, rng.choice(np.flatnonzero(~is_rare)))
    if most * is_rare.sum() >= FEWEST * len(rows):
        kept, _ = train_test_split(rows, train_size=most, stratify=labels, random_state=seed)
        return np.sort(kept)
    rare_count = min(int(is_rare.sum()), FEWEST, most // 2)
    rare = rng.choice(rows[is_rare], rare_count, replace=False)
    common = rng.choice(rows[~is_rare], most - rare_count, replace=False)
    return np.sort(np.concatenate([rare, common]))


def default_folds(rows: int) -> int:
    """Return the default number of folds for a number of labelled rows."""
    return 5 if rows * (1 - HOLDOUT_SHARE) <= MANY_ROWS else 3


def _refuse_missing_class(fold_ids: np.ndarray, y: np.ndarray, folds: int) -> None:
    """Raise `Refused` where a part has too few rows of a class."""
    split = Split(fold_ids)
    parts = {"holdout": split.holdout_rows}
    if split.is_ordered and split.fold_count:
        parts["the earliest rows, which only train"] = next(split.folds())[0]
    parts |= {f"fold {fold}": np.flatnonzero(fold_ids == fold) for fold in range(folds)}
    fewest: dict[str, int] = {}
    for name, positions in parts.items():
        rows = int(np.bincount(y[positions], minlength=2).min())
        needed = 2 if name == "holdout" else 1  # one row of a class has no interval
        if rows < needed:
            fewest[name] = rows
    if fewest:
        some = next(iter(fewest.values()))
        raise refusal(
            _CANNOT_SPLIT,
            code="split-class-missing",
            subject=", ".join(fewest),
            found="too few rows of a class" if some else "rows of one class only",
            expected="both classes in every part, twice in the holdout",
            action="give more rows of the rarer class, fewer folds (--folds), or other groups or "
            "times in the scope",
        )


def _limit_scored(fold_ids: np.ndarray, units: np.ndarray, seed: int) -> np.ndarray:
    """Set a random part of the units to `TRAIN_ONLY`: about `MOST_SCORED` rows stay in folds."""
    in_folds = fold_ids >= 0
    scored = int(in_folds.sum())
    if scored <= MOST_SCORED:
        return fold_ids
    draws = np.random.default_rng(seed + 2).random(int(units.max()) + 1)
    is_kept = draws[units] < MOST_SCORED / scored
    return np.where(in_folds & ~is_kept, Assignment.TRAIN_ONLY, fold_ids)


def _stratified(y: np.ndarray, units: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Return the holdout as one part of `holdout_parts`, then the folds of the rest."""
    parts = holdout_parts(y) if units.max() >= PARTS else PARTS  # too few groups are refused
    part = _deal(y, units, parts, seed)
    held = part == _held_part(part, y, units, folds, seed)
    fold_ids = np.full(len(y), Assignment.HOLDOUT, dtype="int8")
    fold_ids[~held] = _deal(y[~held], units[~held], folds, seed + 1)
    return fold_ids


def holdout_parts(y: np.ndarray) -> int:
    """Return of how many parts of a table one is held out: five, or fewer to hold enough out.

    >>> [holdout_parts(np.repeat([1, 0], [positives, 500])) for positives in (100, 99, 60, 10)]
    [5, 4, 3, 5]
    """
    rarer = int(min(np.bincount(y.astype(int), minlength=2)))
    if rarer < FEWEST_PARTS * JUDGED:  # nothing can be judged, and the folds need every row
        return PARTS
    return min(PARTS, max(FEWEST_PARTS, rarer // ENOUGH_HELD))


def _held_part(part: np.ndarray, y: np.ndarray, units: np.ndarray, folds: int, seed: int) -> int:
    """Return the part to hold out: the first, unless a group fills more than half of a part.

    The largest group is dealt to the first part whatever the seed, and may be most of the table.
    Then it is the part nearest to an equal share of the rows, in steps of 5 points and drawn by the
    seed among equals; parts that lack a class, or leave fewer groups than folds, come last.
    """
    largest, parts = int(np.bincount(units).max()), int(part.max()) + 1
    if largest <= max(SMALL_GROUP, len(y) // (2 * parts)):
        return 0
    rows = np.bincount(part, minlength=parts)
    positives = np.bincount(part, weights=y, minlength=parts)
    groups_left = np.array([len(np.unique(units[part != number])) for number in range(parts)])
    unfit = (np.minimum(positives, rows - positives) < 2) | (groups_left < folds)
    steps = np.floor(np.abs(rows / len(y) - 1 / parts) / 0.05)
    ties = np.random.default_rng(seed + 4).random(parts)
    return int(np.lexsort((ties, steps, unfit))[0])


def _deal(y: np.ndarray, units: np.ndarray, parts: int, seed: int) -> np.ndarray:
    """Return the part (0 to parts-1) of each row. Small groups are dealt by their first label."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    rarer = int(min(np.bincount(y.astype(int), minlength=2)))
    if rarer < parts:
        raise refusal(
            _CANNOT_SPLIT,
            code="split-too-few",
            subject="target",
            found=f"{rarer} rows of the rarer class",
            expected=f"at least {parts}",
            action="give more rows of that class or fewer folds (--folds)",
        )
    _, first, codes = np.unique(units, return_index=True, return_inverse=True)
    if len(first) < parts:
        raise refusal(
            _CANNOT_SPLIT,
            code="split-too-few-groups",
            subject="groups",
            found=f"{len(first)} groups for {parts} parts",
            expected=f"at least {parts}",
            action="give more groups, fewer folds (--folds), or another group column in the scope",
        )
    sizes = np.bincount(codes)
    labels = y[first]
    options = {"shuffle": True, "random_state": seed}
    if sizes.max() > SMALL_GROUP or np.bincount(labels, minlength=2).min() < parts:
        batches = _batches(sizes, labels, 20 * parts, seed)[codes]
        cuts = StratifiedGroupKFold(parts, **options).split(y, y, batches)
        codes = np.arange(len(y))
    else:
        cuts = StratifiedKFold(parts, **options).split(first, labels)
    part = np.empty(len(y), dtype="int8")
    for number, (_, tested) in enumerate(cuts):
        part[tested] = number
    return part[codes]


def _batches(sizes: np.ndarray, labels: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return a coarser unit for each unit.

    The largest stay alone, the others are joined to at most `most` by label.
    """
    ties = np.random.default_rng(seed).random(len(sizes))
    order = np.lexsort((ties, labels, np.minimum(-sizes, -SMALL_GROUP)))
    large = int((sizes > SMALL_GROUP).sum())
    rest = order[min(SINGLE_GROUPS, large) :]
    batches = np.arange(len(sizes))
    batches[rest] = rest[np.arange(len(rest)) % most]
    return batches


def _by_time(
    times: np.ndarray, y: np.ndarray, units: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Return the last 20% of the rows held out, the rest in blocks of whole times."""
    known = np.where(np.isnan(times), -np.inf, times)
    rows_before = np.searchsorted(np.sort(known), known, side="left")  # the same within one time
    # Whole numbers: no row is lost to rounding.
    block = rows_before * PARTS * (folds + 1) // ((PARTS - 1) * len(known))
    block = np.minimum(block, folds + 1)
    if len(np.unique(block)) < folds + 2:
        return _by_few_times(known, y, units, folds, seed)
    fold_ids = (block - 1).astype("int8")
    fold_ids[block == 0] = Assignment.ALWAYS_TRAIN
    fold_ids[block > folds] = Assignment.HOLDOUT
    return fold_ids


def _keep_groups_apart(
    fold_ids: np.ndarray, y: np.ndarray, units: np.ndarray, seed: int
) -> np.ndarray:
    """Return a split by time in which no model is scored on a group that it has learnt from.

    A group with rows before and after the holdout begins is drawn to one side; its rows on the
    other side are left out. Groups that begin within the holdout are all held out; of the others
    are held out as few, in random order, as bring `LEAST_HELD` of the rows in use and `FEWEST` of
    each class. In the folds every group is scored in one block only, that of a row drawn from it,
    and the model of that fold does not learn from it. This is purging (López de Prado 2018,
    "Advances in financial machine learning", chapter 7), by group.
    """
    is_late = fold_ids == Assignment.HOLDOUT
    is_held = _held_groups(is_late, y, units, seed)[units]
    kept = np.where(is_late == is_held, fold_ids, int(Assignment.LEFT_OUT)).astype("int16")
    if not Split(fold_ids).is_ordered:
        return kept
    scored = np.random.default_rng(seed + 6).permutation(np.flatnonzero(kept >= 0))
    own = np.full(int(units.max()) + 1, -1)
    own[units[scored]] = kept[scored]
    own_fold = own[units]
    block = np.where(kept == Assignment.ALWAYS_TRAIN, -1, kept)
    is_other = (block >= -1) & (own_fold >= 0) & (own_fold != block)
    return np.where(is_other, learnt_from(block, own_fold), kept).astype("int16")


def learnt_from(block: Any, own: Any) -> Any:
    """Return the assignment of rows that are learnt from after their block, but not in fold `own`.

    >>> _block_and_own(np.array([learnt_from(-1, 4), learnt_from(2, 0), 3])).__str__()
    '(array([-1,  2,  3]), array([ 4,  0, -1]))'
    """
    return FROM - (block + 1) * STRIDE - own


def _block_and_own(fold_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (the block of each row in time, the fold that must not learn from it or -1)."""
    is_other = fold_ids <= FROM
    block, own = np.divmod(FROM - fold_ids.astype("int64"), STRIDE)
    return np.where(is_other, block - 1, fold_ids), np.where(is_other, own, -1)


def _held_groups(is_late: np.ndarray, y: np.ndarray, units: np.ndarray, seed: int) -> np.ndarray:
    """Return which groups are held out, shape (groups,) bool."""
    late, early = np.bincount(units, is_late), np.bincount(units, ~is_late)
    is_held: np.ndarray = (late > 0) & (early == 0)
    order = np.random.default_rng(seed + 5).permutation(np.flatnonzero((late > 0) & (early > 0)))
    if not len(order):
        return is_held
    positives = np.bincount(units, is_late & (y == 1))
    counts = np.stack([late - positives, positives])  # held-out rows of each class, by group
    held = counts[:, is_held].sum(axis=1)[:, None] + np.c_[[0, 0], counts[:, order].cumsum(axis=1)]
    learnt = early.sum() - np.append(0, early[order].cumsum())
    is_enough = held.sum(axis=0) >= LEAST_HELD * (held.sum(axis=0) + learnt)
    is_enough &= (held >= np.minimum(FEWEST, held[:, -1:])).all(axis=0)
    is_held[order[: int(np.argmax(is_enough))]] = True
    return is_held


def _by_few_times(
    known: np.ndarray, y: np.ndarray, units: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Split where blocks of equal size would leave some empty.

    The latest times are held out, cut nearest to 20% of the rows. The earlier ones make as many
    blocks, up to folds + 1, as give each a time and both classes. Where they are too few for two
    folds in time, the folds are drawn from them as if there was no order.
    """
    values, codes, rows = np.unique(known, return_inverse=True, return_counts=True)
    distinct = int(np.isfinite(values).sum())
    if distinct < 2:
        raise refusal(
            _CANNOT_SPLIT,
            code="split-too-few-times",
            subject="time",
            found=plural(distinct, "distinct time"),
            expected="at least 2: the latest is held out",
            action="give finer times, or take [columns] time out of the scope",
        )
    rows_later = len(known) - np.cumsum(rows)[:-1]
    cut = 1 + int(np.argmin(np.abs(PARTS * rows_later - len(known))))
    train = codes < cut
    y_train = y[train]
    fold_ids = np.full(len(known), Assignment.HOLDOUT, dtype="int8")
    if cut < 3:
        fold_ids[train] = _deal(y_train, units[train], folds, seed + 1)
        return fold_ids
    for count in range(min(folds, cut - 1), 1, -1):
        block = _even_blocks(rows[:cut], count + 1)[codes[train]]
        fold_ids[train] = np.where(block == 0, int(Assignment.ALWAYS_TRAIN), block - 1)
        classes = [np.bincount(y_train[block == b], minlength=2) for b in range(count + 1)]
        if np.all(np.array(classes) > 0):
            break
    return fold_ids


def _even_blocks(rows: np.ndarray, blocks: int) -> np.ndarray:
    """Return the block of each time, given its rows; none is empty.

    Sizes are as even as a walk from the first time can make them, with at least half of an even
    share where that can be.

    >>> _even_blocks(np.array([3, 1, 6, 2]), 3).tolist()
    [0, 0, 1, 2]
    """
    ends = np.append(0, np.cumsum(rows))
    total = ends[-1]
    cuts = [0]
    for left in range(blocks, 1, -1):
        start = ends[cuts[-1]]
        share = (total - start) / left
        options = np.arange(cuts[-1] + 1, len(rows) - left + 2)
        size = ends[options] - start
        penalty = total * (size < share / 2)
        cuts.append(int(options[np.argmin(np.abs(size - share) + penalty)]))
    return np.searchsorted(cuts, np.arange(len(rows)), side="right") - 1
