"""Which rows are held out and in which fold: shares, groups, time, refusals."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fivefold.core.findings import Refused
from fivefold.data.splits import MOST_SCORED, Assignment, Split, default_folds, split_rows
from tests.support.tables import mixed


def labels_of(rows, share=0.3, seed=0):
    return (np.random.default_rng(seed).random(rows) < share).astype("int8")


def parted(fold_ids, groups):
    """The groups that stand on more than one side."""
    sides = pd.Series(fold_ids).groupby(groups).nunique()
    return sides[sides > 1].index.tolist()


# --- without groups or times ---------------------------------------------------------------------


def test_a_fifth_is_held_out_and_every_part_has_the_same_share_of_positives():
    y = np.repeat([1, 0], [300, 700]).astype("int8")
    fold_ids = split_rows(y, 5, seed=1)
    assert {p: int((fold_ids == p).sum()) for p in np.unique(fold_ids)} == {
        -1: 200,
        0: 160,
        1: 160,
        2: 160,
        3: 160,
        4: 160,
    }
    assert {p: int(y[fold_ids == p].sum()) for p in np.unique(fold_ids)} == {
        -1: 60,
        0: 48,
        1: 48,
        2: 48,
        3: 48,
        4: 48,
    }


@pytest.mark.parametrize(
    ("positives", "held"), [(500, 100), (100, 20), (80, 20), (60, 20), (30, 10), (15, 5), (14, 3)]
)
def test_of_few_positives_up_to_a_third_is_held_out(positives, held):
    y = np.repeat([1, 0], [positives, 900]).astype("int8")
    fold_ids = split_rows(y, 5, seed=1)
    assert y[fold_ids == Assignment.HOLDOUT].sum() == pytest.approx(held, abs=0.5)
    assert y[fold_ids >= 0].sum() == pytest.approx(positives - held, abs=0.5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([-1, 0, 1]), min_size=40, max_size=200),
    st.integers(2, 5),
    st.integers(0, 9),
)
def test_every_labelled_row_is_in_one_part_and_unlabelled_ones_in_none(y, folds, seed):
    y = np.array(y, dtype="int8")
    assume(min((y == 0).sum(), (y == 1).sum()) >= 10)
    fold_ids = split_rows(y, folds, seed)
    assert ((fold_ids == Assignment.UNLABELLED) == (y < 0)).all()
    valid = [rows for _, rows in Split(fold_ids).folds()]
    assert len(valid) == folds
    assert (
        sorted(np.concatenate([*valid, np.flatnonzero(fold_ids == Assignment.HOLDOUT)]).tolist())
        == np.flatnonzero(y >= 0).tolist()
    )
    for train, rows in Split(fold_ids).folds():
        assert sorted([*train, *rows]) == Split(fold_ids).training_rows.tolist()
        assert np.isin(fold_ids[train], range(folds)).all()  # neither held out nor unlabelled


def test_the_seed_alone_decides():
    y = labels_of(300)
    assert (split_rows(y, 4, 7) == split_rows(y, 4, 7)).all()
    assert (split_rows(y, 4, 7) != split_rows(y, 4, 8)).any()


# --- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 5, 6, 40])
def test_groups_never_part(size):
    y, groups = labels_of(1200), np.random.default_rng(3).permutation(np.arange(1200) // size)
    fold_ids = split_rows(y, 3, 0, groups)
    assert parted(fold_ids, groups) == []
    assert parted(split_rows(y, 3, 0), groups) != []  # the check can fail
    share = {p: (fold_ids == p).mean() for p in (Assignment.HOLDOUT, 0, 1, 2)}
    assert share[Assignment.HOLDOUT] == pytest.approx(0.2, abs=0.05)
    assert all(share[p] == pytest.approx(0.8 / 3, abs=0.05) for p in range(3))
    assert all(y[fold_ids == p].mean() == pytest.approx(y.mean(), abs=0.08) for p in share)


def test_groups_of_all_sizes_never_part_and_parts_stay_even():
    rng = np.random.default_rng(4)
    groups = np.repeat(
        np.arange(2000), rng.geometric(0.2, 2000)
    )  # more groups above 5 rows than are dealt singly
    groups = np.append(groups, np.full(400, 5000))
    y = labels_of(len(groups), seed=4)
    fold_ids = split_rows(y, 5, 0, groups)
    assert parted(fold_ids, groups) == []
    assert (fold_ids == Assignment.HOLDOUT).mean() == pytest.approx(0.2, abs=0.01)
    assert np.ptp(np.bincount(fold_ids[fold_ids >= 0])) < 0.02 * len(y)
    assert all(y[fold_ids == p].mean() == pytest.approx(y.mean(), abs=0.02) for p in range(-1, 5))


@pytest.mark.parametrize(("share", "held"), [(0.3, 0.175), (0.45, 0.1375), (0.6, 0.1)])
def test_a_group_larger_than_a_fifth_is_not_held_out_whatever_the_seed(share, held):
    alone = int(share * 2000)
    groups = np.r_[np.zeros(alone, dtype=int), 1 + np.arange(2000 - alone) // 8]
    drawn = set()
    for seed in range(8):
        y = labels_of(2000, seed=seed)
        fold_ids = split_rows(y, 5, seed, groups)
        assert parted(fold_ids, groups) == []
        assert fold_ids[0] != Assignment.HOLDOUT
        assert (fold_ids == Assignment.HOLDOUT).mean() == pytest.approx(held, abs=0.01)
        assert y[fold_ids == Assignment.HOLDOUT].mean() == pytest.approx(0.3, abs=0.06)
        drawn.add(tuple(np.unique(groups[fold_ids == Assignment.HOLDOUT]).tolist()))
    assert len(drawn) == 8  # the seed draws which of the other rows
    assert (split_rows(y, 5, 7, groups) == fold_ids).all()


def test_a_group_of_most_of_a_part_is_held_out_by_some_seeds_only():
    groups = np.r_[np.zeros(300, dtype=int), 1 + np.arange(1700) // 8]
    places = [split_rows(labels_of(2000, seed=seed), 5, seed, groups) for seed in range(20, 40)]
    assert 1 <= sum(fold_ids[0] == Assignment.HOLDOUT for fold_ids in places) <= 10
    assert all(0.15 < (fold_ids == Assignment.HOLDOUT).mean() < 0.25 for fold_ids in places)


def test_without_a_large_group_the_first_part_is_held_out_as_ever():
    from sklearn.model_selection import StratifiedGroupKFold

    y, groups = (
        labels_of(1200),
        np.arange(1200) // 60,
    )  # twenty groups: each a twentieth, nothing joined
    _, first = next(StratifiedGroupKFold(5, shuffle=True, random_state=3).split(y, y, groups))
    assert (
        np.flatnonzero(split_rows(y, 3, 3, groups) == Assignment.HOLDOUT).tolist() == first.tolist()
    )


def test_large_groups_leave_groups_for_every_fold():
    y, groups = labels_of(600, 0.5), np.repeat(np.arange(6), [300, 60, 60, 60, 60, 60])
    for seed in range(
        5
    ):  # a part of two small groups would be nearest to a fifth and leave four for five folds
        assert parted(split_rows(y, 5, seed, groups), groups) == []


def test_one_large_group_among_many_rows_is_no_slow_case(monkeypatch):
    import sklearn.model_selection

    dealt = []

    class Counting(sklearn.model_selection.StratifiedGroupKFold):
        def split(self, x, y=None, groups=None):
            dealt.append(len(np.unique(groups)))
            return super().split(x, y, groups)

    monkeypatch.setattr(sklearn.model_selection, "StratifiedGroupKFold", Counting)
    y, groups = labels_of(20_000), np.arange(20_000)
    groups[:50] = 0
    fold_ids = split_rows(y, 5, 0, groups)
    assert parted(fold_ids, groups) == []
    assert dealt
    assert max(dealt) <= 101  # one by one, 20,000 units would take 4 s and a million minutes


def test_duplicates_as_groups_are_on_one_side():
    frame = pd.concat([mixed(200), mixed(200).sample(80, random_state=1)], ignore_index=True)
    groups = frame.groupby(list(frame.columns), dropna=False).ngroup().to_numpy()
    y = (frame["left"] == "yes").to_numpy().astype("int8")
    assert parted(split_rows(y, 4, 0, groups), groups) == []


# --- time ----------------------------------------------------------------------------------------


def test_time_blocks_worked_by_hand():
    y = np.tile([0, 1], 20).astype("int8")
    times = np.arange(40.0)
    fold_ids = split_rows(
        y, 3, 0, times=times
    )  # the last 8 held out, the first 32 in four blocks of 8
    assert (
        fold_ids.tolist()
        == [Assignment.ALWAYS_TRAIN] * 8 + [0] * 8 + [1] * 8 + [2] * 8 + [Assignment.HOLDOUT] * 8
    )
    assert [(train.max(), rows.min(), len(train)) for train, rows in Split(fold_ids).folds()] == [
        (7, 8, 8),
        (15, 16, 16),
        (23, 24, 24),
    ]
    assert Split(fold_ids).training_rows.tolist() == list(range(32))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(12, 60), st.integers(2, 4))
def test_folds_in_time_learn_from_the_past_only_and_times_stay_together(seed, steps, folds):
    rng = np.random.default_rng(seed)
    times = rng.integers(0, steps, 400).astype(float)
    y = labels_of(400, 0.5, seed)
    y[rng.random(400) < 0.05] = -1
    fold_ids = split_rows(y, folds, seed, times=times)
    used = fold_ids != Assignment.UNLABELLED
    assert parted(fold_ids[used], times[used]) == []
    for train, rows in Split(fold_ids).folds():
        assert times[train].max() < times[rows].min()
        assert (y[train] >= 0).all()
    assert times[Split(fold_ids).training_rows].max() < times[fold_ids == Assignment.HOLDOUT].min()
    assert 0.05 < (fold_ids[used] == Assignment.HOLDOUT).mean() <= 0.2


def test_few_times_worked_by_hand():
    def parts(sizes, folds=5):
        times = np.repeat(np.arange(2000.0, 2000 + len(sizes)), sizes)
        fold_ids = split_rows(
            np.tile([0, 1], len(times))[: len(times)].astype("int8"), folds, 0, times=times
        )
        assert parted(fold_ids, times) == []
        return fold_ids[np.append(0, np.cumsum(sizes)[:-1])].tolist()

    assert parts([50] * 4) == [Assignment.ALWAYS_TRAIN, 0, 1, Assignment.HOLDOUT]
    assert parts([50] * 5) == [Assignment.ALWAYS_TRAIN, 0, 1, 2, Assignment.HOLDOUT]
    assert parts([50] * 6) == [Assignment.ALWAYS_TRAIN, 0, 1, 2, 3, Assignment.HOLDOUT]
    assert parts([50] * 6, folds=2) == [
        Assignment.ALWAYS_TRAIN,
        Assignment.ALWAYS_TRAIN,
        0,
        0,
        1,
        Assignment.HOLDOUT,
    ]  # enough for what is asked
    assert parts([50] * 7) == [Assignment.ALWAYS_TRAIN, 0, 1, 2, 3, 4, Assignment.HOLDOUT]
    assert parts([20, 20, 20, 20, 19, 1]) == [
        Assignment.ALWAYS_TRAIN,
        0,
        1,
        2,
        Assignment.HOLDOUT,
        Assignment.HOLDOUT,
    ]  # nearest to a fifth: 20, not 1
    assert parts([10, 10, 10, 70]) == [
        Assignment.ALWAYS_TRAIN,
        0,
        1,
        Assignment.HOLDOUT,
    ]  # at least the last


@pytest.mark.parametrize("years", [2, 3])
def test_of_two_or_three_times_the_last_is_held_out_and_the_folds_are_stratified(years):
    times = np.repeat(np.arange(float(years)), 50)
    y = np.tile([1, 0, 0, 0, 0], 10 * years).astype("int8")
    fold_ids = split_rows(y, 5, 0, times=times)
    assert ((fold_ids == Assignment.HOLDOUT) == (times == years - 1)).all()
    assert np.bincount(fold_ids[fold_ids >= 0]).tolist() == [10 * (years - 1)] * 5
    assert np.bincount(fold_ids[(fold_ids >= 0) & (y == 1)]).tolist() == [2 * (years - 1)] * 5
    groups = np.arange(len(y)) // 2
    together = split_rows(y, 5, 0, groups, times)
    assert parted(together[together >= 0], groups[together >= 0]) == []
    assert parted(fold_ids[fold_ids >= 0], groups[fold_ids >= 0]) != []  # the check can fail


def test_one_time_of_many_rows_among_many_times_takes_no_fold_away():
    times = np.sort(np.r_[np.arange(800.0), np.full(400, 300.0)])
    fold_ids = split_rows(np.tile([0, 1], 600).astype("int8"), 5, 0, times=times)
    assert parted(fold_ids, times) == []
    assert [
        int((fold_ids == p).sum())
        for p in (Assignment.ALWAYS_TRAIN, 0, 1, 2, 3, 4, Assignment.HOLDOUT)
    ] == [
        160,
        140,
        401,
        86,
        86,
        87,
        240,
    ]
    assert all(times[train].max() < times[valid].min() for train, valid in Split(fold_ids).folds())


def test_fewer_blocks_where_a_time_lacks_a_class():
    times = np.repeat(np.arange(6.0), 40)
    y = np.tile([0, 1], 120).astype("int8")
    y[40:80] = 0  # alone it would be a fold of one class
    assert split_rows(y, 5, 0, times=times)[::40].tolist() == [
        Assignment.ALWAYS_TRAIN,
        Assignment.ALWAYS_TRAIN,
        0,
        1,
        1,
        Assignment.HOLDOUT,
    ]


def test_rows_without_a_time_count_as_the_earliest():
    times = np.arange(60.0)
    times[[5, 30, 59]] = np.nan
    fold_ids = split_rows(np.tile([0, 1], 30).astype("int8"), 3, 0, times=times)
    assert (fold_ids[[5, 30, 59]] == Assignment.ALWAYS_TRAIN).all()


# --- refusals ------------------------------------------------------------------------------------


def test_too_few_rows_of_a_class_are_refused():
    y = np.repeat([1, 0], [4, 96]).astype("int8")
    with pytest.raises(
        Refused,
        match=r"split-too-few \[target\]: expected at least 5; found 4 rows of the rarer class",
    ):
        split_rows(y, 3, 0)


@pytest.mark.parametrize("size", [5, 20])
def test_too_few_groups_are_refused(size):
    y = np.tile([0, 1], 2 * size).astype("int8")
    with pytest.raises(Refused, match=r"split-too-few-groups .* at least 5; found 4 groups"):
        split_rows(y, 3, 0, np.repeat(np.arange(4), size))


def test_few_small_groups_are_dealt_all_the_same():
    y, groups = np.tile([0, 1, 0, 1, 1], 8).astype("int8"), np.repeat(np.arange(8), 5)
    y[::10] = 1  # 4 groups begin with a 1: fewer than the parts
    assert parted(split_rows(y, 3, 0, groups), groups) == []


def test_one_class_in_the_latest_rows_is_refused():
    y = np.r_[np.tile([0, 1], 40), np.zeros(20)].astype("int8")
    with pytest.raises(Refused, match=r"split-class-missing \[holdout\].*rows of one class only"):
        split_rows(y, 3, 0, times=np.arange(100.0))


def test_one_class_in_the_earliest_rows_is_refused():
    y = np.r_[np.zeros(30), np.tile([0, 1], 35)].astype("int8")  # fold 0 would learn from one class
    with pytest.raises(
        Refused, match=r"split-class-missing \[the earliest rows, which only train\]"
    ):
        split_rows(y, 3, 0, times=np.arange(100.0))


def test_a_fold_of_one_class_is_refused_by_its_number():
    y = np.tile([0, 1], 50).astype("int8")
    y[40:60] = 0  # fold 1 of blocks of 20
    with pytest.raises(Refused, match=r"split-class-missing \[fold 1\].*fewer folds"):
        split_rows(y, 3, 0, times=np.arange(100.0))


def test_one_row_of_a_class_in_the_holdout_is_refused_because_it_has_no_interval():
    y = np.r_[np.tile([0, 1], 40), 1, np.zeros(19)].astype("int8")
    with pytest.raises(
        Refused, match=r"split-class-missing \[holdout\].*found too few rows of a class"
    ):
        split_rows(y, 3, 0, times=np.arange(100.0))


@pytest.mark.parametrize(
    ("times", "found"),
    [
        (np.zeros(40), "1 distinct time;"),
        (np.r_[np.zeros(20), np.full(20, np.nan)], "1 distinct time;"),
        (np.full(40, np.nan), "0 distinct times;"),
    ],
)
def test_one_time_for_all_rows_is_refused(times, found):
    with pytest.raises(
        Refused, match=rf"split-too-few-times \[time\]: expected at least 2: .* found {found}"
    ):
        split_rows(np.tile([0, 1], 20).astype("int8"), 2, 0, times=times)


def test_all_faults_of_a_split_in_time_are_named_at_once():
    y = np.tile([0, 1], 50).astype("int8")
    y[:20], y[80:] = 1, 1
    with pytest.raises(Refused, match=r"\[holdout, the earliest rows, which only train\]"):
        split_rows(y, 3, 0, times=np.arange(100.0))


# --- large tables --------------------------------------------------------------------------------


def test_a_large_table_validates_on_a_part_and_trains_on_the_rest():
    rng = np.random.default_rng(0)
    y = (rng.random(200_000) < 0.2).astype("int8")
    groups = rng.integers(0, 120_000, 200_000)
    fold_ids = split_rows(y, 3, 0, groups)
    judged = fold_ids >= 0
    assert abs(judged.sum() - MOST_SCORED) < 1500
    assert (fold_ids == Assignment.HOLDOUT).sum() == pytest.approx(40_000, rel=0.02)
    assert len(Split(fold_ids).training_rows) == (fold_ids != Assignment.HOLDOUT).sum()
    where = {}
    for group, there in zip(groups.tolist(), fold_ids.tolist(), strict=True):
        assert where.setdefault(group, there) == there  # no group on two sides
    for train, valid in Split(fold_ids).folds():
        assert (fold_ids[valid] >= 0).all()
        assert (fold_ids == Assignment.TRAIN_ONLY).sum() == (
            fold_ids[train] == Assignment.TRAIN_ONLY
        ).sum()
        assert len(np.intersect1d(train, valid)) == 0
    assert y[judged].mean() == pytest.approx(0.2, abs=0.01)
    assert not (split_rows(y[:70_000], 3, 0) == Assignment.TRAIN_ONLY).any()


@pytest.mark.parametrize(("rows", "folds"), [(100, 5), (62_500, 5), (62_501, 3), (10**7, 3)])
def test_large_tables_get_fewer_folds(rows, folds):
    assert default_folds(rows) == folds


def test_a_search_looks_at_all_rows_of_a_small_table_and_at_a_part_of_a_large_one():
    small = np.array(
        [0, 1, Assignment.HOLDOUT, Assignment.TRAIN_ONLY, Assignment.UNLABELLED], dtype="int8"
    )
    assert Split(small).searched_rows(0).tolist() == [0, 1, 3]
    large = np.repeat(
        np.array([0, 1, Assignment.TRAIN_ONLY, Assignment.HOLDOUT], dtype="int8"),
        [30_000, 30_000, 500_000, 1000],
    )
    rows = Split(large).searched_rows(0)
    assert (np.diff(rows) > 0).all()
    assert [
        int((large[rows] == p).sum()) for p in (0, 1, Assignment.TRAIN_ONLY, Assignment.HOLDOUT)
    ] == [
        30_000,
        30_000,
        60_000,
        0,
    ]
    assert np.array_equal(rows, Split(large).searched_rows(0))
    by_time = np.repeat(
        np.array([Assignment.ALWAYS_TRAIN, 0, 1, Assignment.HOLDOUT], dtype="int8"), 100_000
    )  # all rows are in folds
    drawn = Split(by_time).searched_rows(0)
    assert len(drawn) == 120_000
    assert set(by_time[drawn].tolist()) == {Assignment.ALWAYS_TRAIN, 0, 1}
