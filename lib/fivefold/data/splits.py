"""Splits: which rows are held out, and the folds that all algorithms share."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fivefold.core.findings import ERROR, Finding, Refused

HOLDOUT, UNLABELLED, ALWAYS_TRAIN, TRAIN_ONLY = -1, -2, -3, -4
HOLDOUT_SHARE, PARTS = 0.2, 5  # one part of so many is held out
MOST_JUDGED = (
    60_000  # rows in the folds: an ROC AUC of 20% positives has then a standard error of about .002
)
MOST_LEARNT = 60_000  # rows beside those that a search learns from; the final fit learns from all
MANY_ROWS, FOLDS, FEW_FOLDS = (
    50_000,
    5,
    3,
)  # folds by default, above so many training rows and below
FEWEST = 5  # rows of each class that a random part keeps, however rare it is
SMALL_GROUP = 5
SINGLE_GROUPS = (
    1000  # the largest groups are dealt one by one (110 µs each), all others in handfuls
)


def split_rows(
    y: np.ndarray,
    folds: int,
    seed: int,
    groups: np.ndarray | None = None,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """The place of every row, shape (rows,) int8: 0 to folds-1, `HOLDOUT`, `UNLABELLED`, `ALWAYS_TRAIN` or
    `TRAIN_ONLY`.

    `y` is 1, 0 or -1 (no label). Without `times` the split is stratified by label, and rows of one group never part.
    With `times` (float, NaN unknown) the latest 20% are held out and the rest is cut into folds + 1 blocks, of which
    the first only trains; rows of one time stay together, and few times make fewer folds (`_by_few_times`). Where no
    order rules the folds, at most about `MOST_JUDGED` rows are dealt to them, whole groups at a time; the others train
    in every fold and are never judged. Raises `Refused` where a part would lack a class.
    """
    place = np.full(len(y), UNLABELLED, dtype="int8")
    labelled = np.flatnonzero(y >= 0)
    units = None if groups is None else pd.factorize(groups[labelled])[0]
    place[labelled] = (
        _by_time(times[labelled], y[labelled], units, folds, seed)
        if times is not None
        else _stratified(y[labelled], units, folds, seed)
    )
    ordered = bool((place == ALWAYS_TRAIN).any())
    if not ordered:
        place[labelled] = _spare(place[labelled], units, seed)
    names = {
        HOLDOUT: "holdout",
        **({ALWAYS_TRAIN: "the earliest rows, which only train"} if ordered else {}),
        **{p: f"fold {p}" for p in range(folds if times is None else int(place.max()) + 1)},
    }
    fewest = {
        p: min(int((y[place == p] == 1).sum()), int((y[place == p] == 0).sum())) for p in names
    }
    lacking = [
        p for p in names if fewest[p] < (2 if p == HOLDOUT else 1)
    ]  # one row of a class has no interval
    if lacking:
        raise Refused(
            "The table cannot be split",
            [
                Finding(
                    code="split-class-missing",
                    severity=ERROR,
                    subject=", ".join(names[p] for p in lacking),
                    found="too few rows of a class"
                    if fewest[lacking[0]]
                    else "rows of one class only",
                    expected="both classes in every part, twice in the holdout",
                    action="give more rows of the rarer class, fewer folds (--folds), or other groups or times in the scope",
                )
            ],
        )
    return place


def fold_rows(place: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(training rows, validation rows) of each fold, as positions. Time-ordered folds train on the past only."""
    ordered = bool((place == ALWAYS_TRAIN).any())
    training = (place >= 0) | (place == ALWAYS_TRAIN) | (place == TRAIN_ONLY)
    for fold in range(int(place.max()) + 1):
        earlier = (place < fold) if ordered else (place != fold)
        yield np.flatnonzero(training & earlier), np.flatnonzero(place == fold)


def training_rows(place: np.ndarray) -> np.ndarray:
    """Positions of all rows that a final model may learn from."""
    return np.flatnonzero((place >= 0) | (place == ALWAYS_TRAIN) | (place == TRAIN_ONLY))


def subsample(rows: np.ndarray, y: np.ndarray, most: int | None, seed: int) -> np.ndarray:
    """At most `most` of the positions `rows`, in order, with the same share of positives; of a class so rare that its
    share would be fewer than `FEWEST` rows, that many, or all there are. `y` is of all positions.

    >>> rare = np.r_[np.ones(6, dtype=int), np.zeros(994, dtype=int)]
    >>> [int(rare[subsample(np.arange(1000), rare, most, 0)].sum()) for most in (100, 900, 6)]
    [5, 5, 3]
    """
    if most is None or len(rows) <= most:
        return rows
    from sklearn.model_selection import train_test_split

    labels = y[rows]
    rare = labels == (1 if 2 * labels.sum() <= len(labels) else 0)
    rng = np.random.default_rng(seed)
    if len(rows) - most == 1:  # a remainder of one row cannot be stratified
        return np.delete(rows, rng.choice(np.flatnonzero(~rare)))
    if most * rare.sum() >= FEWEST * len(rows):
        return np.sort(
            train_test_split(rows, train_size=most, stratify=labels, random_state=seed)[0]
        )
    few = rng.choice(rows[rare], min(int(rare.sum()), FEWEST, most // 2), replace=False)
    return np.sort(np.concatenate([few, rng.choice(rows[~rare], most - len(few), replace=False)]))


def searched_rows(place: np.ndarray, seed: int) -> np.ndarray:
    """Sorted positions of the training rows that a search looks at: all of them up to `MOST_JUDGED` + `MOST_LEARNT`.

    Of more the rows in folds, at most `MOST_JUDGED` of them, and a random part of the others. The setting that is best
    on so many rows is taken for the best on all (Petrak 2000, "Fast subsampling performance estimates for
    classification algorithm selection"); what more rows still bring: docs/scale.md.
    """
    rng = np.random.default_rng(seed + 3)
    judged = np.flatnonzero((place >= 0) | (place == ALWAYS_TRAIN))
    others = np.flatnonzero(place == TRAIN_ONLY)
    if len(judged) + len(others) <= MOST_JUDGED + MOST_LEARNT:
        return training_rows(place)
    if len(judged) > MOST_JUDGED + MOST_LEARNT:  # a split by time deals all rows to the folds
        judged = rng.choice(judged, MOST_JUDGED + MOST_LEARNT, replace=False)
    if len(others) > MOST_LEARNT:
        others = rng.choice(others, MOST_LEARNT, replace=False)
    return np.sort(np.concatenate([judged, others]))


def default_folds(rows: int) -> int:
    """How many folds a table of so many labelled rows gets where the user names none."""
    return FOLDS if rows * (1 - HOLDOUT_SHARE) <= MANY_ROWS else FEW_FOLDS


def join_groups(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Groups in which rows are together when `a` or `b` (codes >= 0) puts them together, chains included.

    >>> join_groups(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2])).tolist()
    [0, 0, 0, 1]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    wide = int(a.max()) + 1
    graph = coo_matrix((np.ones(len(a)), (a, b + wide)), shape=(wide + int(b.max()) + 1,) * 2)
    return connected_components(graph, directed=False)[1][a]


def _spare(place: np.ndarray, units: np.ndarray | None, seed: int) -> np.ndarray:
    """The places with `TRAIN_ONLY` for a random part of the units in folds, so that about `MOST_JUDGED` rows stay."""
    judged = int((place >= 0).sum())
    if judged <= MOST_JUDGED:
        return place
    codes = np.arange(len(place)) if units is None else units
    kept = np.random.default_rng(seed + 2).random(int(codes.max()) + 1) < MOST_JUDGED / judged
    return np.where((place >= 0) & ~kept[codes], TRAIN_ONLY, place).astype("int8")


def _stratified(y: np.ndarray, units: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """Holdout as one part of five, then the folds of the rest."""
    part = _parts(y, units, PARTS, seed)
    held = part == (0 if units is None else _held_part(part, y, units, folds, seed))
    place = np.full(len(y), HOLDOUT, dtype="int8")
    place[~held] = _parts(y[~held], None if units is None else units[~held], folds, seed + 1)
    return place


def _held_part(part: np.ndarray, y: np.ndarray, units: np.ndarray, folds: int, seed: int) -> int:
    """The part to hold out: the first, which is as good as any, unless a group fills more than half of a part.

    The largest group is dealt to the first part whatever the seed, and may be most of the table. Then it is the part
    nearest to a fifth of the rows, in steps of 5 points and drawn by the seed among equals; parts that lack a class, or
    leave fewer groups than folds, come last.
    """
    largest = int(np.bincount(units).max())
    if largest <= max(SMALL_GROUP, len(y) // (2 * PARTS)):
        return 0
    rows, positives = (
        np.bincount(part, minlength=PARTS),
        np.bincount(part, weights=y, minlength=PARTS),
    )
    left = np.array([len(np.unique(units[part != p])) for p in range(PARTS)])
    unfit = (np.minimum(positives, rows - positives) < 2) | (left < folds)
    steps = np.floor(np.abs(rows / len(y) - HOLDOUT_SHARE) / 0.05)
    return int(np.lexsort((np.random.default_rng(seed + 4).random(PARTS), steps, unfit))[0])


def _parts(y: np.ndarray, units: np.ndarray | None, parts: int, seed: int) -> np.ndarray:
    """The part (0 to parts-1) of each row. Small groups are dealt as units by their first label."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    few = int(min(np.bincount(y.astype(int), minlength=2)))
    if few < parts:
        raise Refused(
            "The table cannot be split",
            [
                Finding(
                    code="split-too-few",
                    severity=ERROR,
                    subject="target",
                    found=f"{few} rows of the rarer class",
                    expected=f"at least {parts}",
                    action="give more rows of that class or fewer folds (--folds)",
                )
            ],
        )
    if units is not None and len(np.unique(units)) < parts:
        raise Refused(
            "The table cannot be split",
            [
                Finding(
                    code="split-too-few-groups",
                    severity=ERROR,
                    subject="groups",
                    found=f"{len(np.unique(units))} groups to share out among {parts} parts",
                    expected=f"at least {parts}",
                    action="give more groups, fewer folds (--folds), or another group column in the scope",
                )
            ],
        )
    part = np.empty(len(y), dtype="int8")
    codes, first = (np.arange(len(y)), np.arange(len(y))) if units is None else _codes(units)
    few_to_deal = np.bincount(y[first], minlength=2).min() < parts
    if units is not None and (np.bincount(codes).max() > SMALL_GROUP or few_to_deal):
        units = _handfuls(units, y, 20 * parts, seed)
        cut = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(y, y, units)
        for number, (_, rows) in enumerate(cut):
            part[rows] = number
        return part
    of_unit = np.empty(len(first), dtype="int8")
    dealt = StratifiedKFold(parts, shuffle=True, random_state=seed).split(first, y[first])
    for number, (_, rows) in enumerate(dealt):
        of_unit[rows] = number
    return of_unit[codes]


def _handfuls(units: np.ndarray, y: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Coarser units: the largest stay by themselves, the others are joined to at most `most` with alike labels."""
    codes, first = _codes(units)
    sizes = np.bincount(codes)
    order = np.lexsort(
        (np.random.default_rng(seed).random(len(first)), y[first], np.minimum(-sizes, -SMALL_GROUP))
    )
    rest = order[min(SINGLE_GROUPS, int((sizes > SMALL_GROUP).sum())) :]
    coarse = np.arange(len(first))
    coarse[rest] = rest[np.arange(len(rest)) % most]
    return coarse[codes]


def _codes(units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _, first, codes = np.unique(units, return_index=True, return_inverse=True)
    return codes, first


def _by_time(
    times: np.ndarray, y: np.ndarray, units: np.ndarray | None, folds: int, seed: int
) -> np.ndarray:
    """Blocks of whole times: the last 20% of the rows held out, the rest in folds + 1 blocks, the first only trains."""
    known = np.where(np.isnan(times), -np.inf, times)
    earlier = np.searchsorted(
        np.sort(known), known, side="left"
    )  # rows before; the same for rows of one time
    block = (
        earlier * PARTS * (folds + 1) // ((PARTS - 1) * len(known))
    )  # whole numbers: no row lost to rounding
    block = np.minimum(block, folds + 1)
    if len(np.unique(block)) < folds + 2:
        return _by_few_times(known, y, units, folds, seed)
    return np.where(block == 0, ALWAYS_TRAIN, np.where(block > folds, HOLDOUT, block - 1)).astype(
        "int8"
    )


def _by_few_times(
    known: np.ndarray, y: np.ndarray, units: np.ndarray | None, folds: int, seed: int
) -> np.ndarray:
    """Where blocks of equal size would leave some empty: the latest times held out, cut nearest to 20% of the rows, and
    as many blocks of the earlier ones, up to folds + 1, as give each a time and both classes. Where the earlier times
    are too few for two folds in time, the folds are drawn from them as if there was no order.
    """
    values, codes, rows = np.unique(known, return_inverse=True, return_counts=True)
    if (distinct := int(np.isfinite(values).sum())) < 2:
        raise Refused(
            "The table cannot be split",
            [
                Finding(
                    code="split-too-few-times",
                    severity=ERROR,
                    subject="time",
                    found=f"{distinct} distinct time{'s' * (distinct != 1)}",
                    expected="at least 2: the latest is held out",
                    action="give finer times, or take [columns] time out of the scope",
                )
            ],
        )
    held = len(known) - np.cumsum(rows)[:-1]  # rows later than each time
    cut = 1 + int(np.argmin(np.abs(PARTS * held - len(known))))
    train = codes < cut
    place = np.full(len(known), HOLDOUT, dtype="int8")
    if cut < 3:
        place[train] = _parts(y[train], None if units is None else units[train], folds, seed + 1)
        return place
    for made in range(min(folds, cut - 1), 1, -1):
        block = _even_blocks(rows[:cut], made + 1)[codes[train]]
        place[train] = np.where(block == 0, ALWAYS_TRAIN, block - 1)
        if (
            np.array([np.bincount(y[train][block == b], minlength=2) for b in range(made + 1)]) > 0
        ).all():
            break
    return place


def _even_blocks(rows: np.ndarray, blocks: int) -> np.ndarray:
    """The block of each time, given its rows: none is empty, and sizes are as even as a walk from the first can make
    them, with at least half of an even share where that can be.

    >>> _even_blocks(np.array([3, 1, 6, 2]), 3).tolist()
    [0, 0, 1, 2]
    """
    ends, cuts = np.append(0, np.cumsum(rows)), [0]
    for left in range(blocks, 1, -1):
        share = (ends[-1] - ends[cuts[-1]]) / left
        options = np.arange(cuts[-1] + 1, len(rows) - left + 2)
        size = ends[options] - ends[cuts[-1]]
        cuts.append(int(options[np.argmin(np.abs(size - share) + ends[-1] * (size < share / 2))]))
    return np.searchsorted(cuts, np.arange(len(rows)), side="right") - 1
