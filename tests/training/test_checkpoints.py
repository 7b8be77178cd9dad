"""Trials kept in a Metaflow datastore: there and back, damage, twins."""

import json
from pathlib import Path

import numpy as np
import pytest
from metaflow.plugins.datastores.local_storage import LocalStorage

from fivefold.training.candidate import ScoredTrial, Trial
from fivefold.training.checkpoints import FOLDER, key, load, save

PATH = "7/lightgbm/abc"


@pytest.fixture
def storage(tmp_path):
    return LocalStorage(str(tmp_path))


def trial(number, auc=0.7):
    params = {"C": 1e-12, "kind": "a"}
    return Trial(number, "complete", auc, [0.1 + 0.2, auc], params, None, 0.5, None)


def oof(number):
    return np.array([0.25, np.nan, number], dtype="float32")


def files(tmp_path):
    return sorted((tmp_path / FOLDER / PATH).glob("*.npz"))


def test_trials_and_their_scores_come_back_exactly_and_in_order(storage, tmp_path):
    for number in (10, 2, 0, 1):
        save(storage, PATH, ScoredTrial(trial(number), oof(number) if number != 1 else None))
    result = load(storage, PATH)
    assert [scored.trial for scored in result] == [trial(n) for n in (0, 1, 2, 10)]
    assert result[1].oof is None
    for number, scored in zip((0, 1, 2, 10), result, strict=True):
        if number != 1:
            assert scored.oof.dtype == np.float32
            np.testing.assert_array_equal(scored.oof, oof(number))
    assert [f.name for f in files(tmp_path)] == ["00000.npz", "00001.npz", "00002.npz", "00010.npz"]


def test_trials_are_read_without_their_scores_where_these_are_not_wanted(storage):
    save(storage, PATH, ScoredTrial(trial(0), oof(0)))
    assert load(storage, PATH, scores=False) == [ScoredTrial(trial(0), None)]


def test_nothing_kept_is_an_empty_list(storage):
    assert load(storage, PATH) == []


def test_other_paths_are_not_read(storage):
    save(storage, PATH, ScoredTrial(trial(0), None))
    save(storage, "7/lightgbm/other", ScoredTrial(trial(1), None))
    save(storage, "8/lightgbm/abc", ScoredTrial(trial(2), None))
    assert [scored.trial.number for scored in load(storage, PATH)] == [0]


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: b"",
        lambda raw: b"no zip",
        lambda raw: raw.replace(b"PK", b"XX"),
    ],
)
def test_a_damaged_file_ends_the_list(storage, tmp_path, damage):
    for number in range(4):
        save(storage, PATH, ScoredTrial(trial(number), oof(number)))
    torn = files(tmp_path)[2]
    torn.write_bytes(damage(torn.read_bytes()))
    assert [scored.trial.number for scored in load(storage, PATH)] == [0, 1]
    save(storage, PATH, ScoredTrial(trial(2), oof(2)))  # run again: the file is replaced
    assert [scored.trial.number for scored in load(storage, PATH)] == [0, 1, 2, 3]


def test_a_pickle_instead_of_a_trial_is_never_loaded(storage, tmp_path):
    fired = tmp_path / "fired"

    class Attack:
        def __reduce__(self):
            return (Path.touch, (fired,))

    save(storage, PATH, ScoredTrial(trial(0), None))
    np.savez(
        files(tmp_path)[0],
        trial=np.array(json.dumps(trial(0).to_dict())),
        oof=np.array([Attack()], dtype=object),
    )
    assert load(storage, PATH) == []
    assert not fired.exists()


def test_equal_trials_give_equal_bytes(storage, tmp_path):
    save(storage, PATH, ScoredTrial(trial(0), oof(0)))
    first = files(tmp_path)[0].read_bytes()
    save(storage, PATH, ScoredTrial(trial(0), oof(0)))
    assert files(tmp_path)[0].read_bytes() == first


def test_a_worse_trial_leaves_the_best_scores_where_they_are(storage):
    save(storage, PATH, ScoredTrial(trial(0, 0.8), oof(0)))
    save(storage, PATH, ScoredTrial(trial(1, 0.6), None))
    best = [scored.oof for scored in load(storage, PATH) if scored.oof is not None]
    assert len(best) == 1
    np.testing.assert_array_equal(best[0], oof(0))


def test_the_key_changes_with_anything_that_a_search_depends_on():
    fold_ids = np.array([0, 1, -1], dtype="int8")
    parts = ("md5", {"target": "y", "id": ["a"]}, fold_ids, 0, [1, 2])
    assert key(*parts) == key(
        "md5", {"id": ["a"], "target": "y"}, fold_ids.copy(), 0, [1, 2]
    )  # the order of keys is none
    others = [
        ("md6", *parts[1:]),
        ("md5", {"target": "z", "id": ["a"]}, *parts[2:]),
        (*parts[:2], np.array([0, 0, -1], "int8"), *parts[3:]),
        (*parts[:3], 1, [1, 2]),
        (*parts[:4], [1, 2, 3]),
    ]
    assert len({key(*p) for p in (parts, *others)}) == 6
    assert key(np.array([1, 2], "int8"), np.array([3], "int8")) != key(
        np.array([1], "int8"), np.array([2, 3], "int8")
    )
    assert len(key("x")) == 16
