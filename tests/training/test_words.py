"""Free text: words and their parts for a linear model, in bounded memory, and what they do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fivefold.core.roc_auc import roc_auc
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.splits import split_rows
from fivefold.model import bundle as bundles
from fivefold.model import fast_predict
from fivefold.model.inputs import expand
from fivefold.model.metadata import Provenance
from fivefold.model.words import words_that_matter
from fivefold.training import search as searching
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.encode_folds import encode_training
from fivefold.training.encoding import (
    CHARACTER_BUCKETS,
    CROSSED,
    LINEAR,
    NATIVE,
    WORD_BUCKETS,
    WORDS,
    encodings,
)
from fivefold.training.finalize import Selection, finalize
from fivefold.training.fit_plan import FitPlan
from fivefold.training.training_data import FitOptions, TrainingData
from tests.support.tables import prepared as mixed_prepared
from tests.support.training import candidate, fit_final

SCOPE = Scope(target="left", positive="yes")
PROVENANCE = Provenance("TrainFlow/1", "abc", rows=900)


def table(rows=900, seed=0):
    """Texts of 400 words; the class shows in one word of ten and in the parts of another."""
    rng = np.random.default_rng(seed)
    left = rng.random(rows) < 0.4
    plain = [f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(400)]
    texts = []
    for positive in left:
        words = rng.choice(plain, 12).tolist()
        if positive and rng.random() < 0.5:
            words[3] = f"refund{rng.integers(10**6)}"  # never the same word twice
        if rng.random() < (0.5 if positive else 0.02):
            words[7] = "angry"
        if rng.random() < (0.05 if positive else 0.5):
            words[9] = "thanks"
        texts.append(" ".join(words))
    age = rng.normal(50, 10, rows).round(1)
    frame = pd.DataFrame({"note": pd.Series(texts, dtype="str"), "age": age})
    return frame.assign(left=np.where(left, "yes", "no"))


def prepared(frame=None):
    frame = table() if frame is None else frame
    y = (frame["left"] == "yes").to_numpy().astype("int8")
    schema = infer_schema(frame, SCOPE, ("no", "yes"))
    typed, _ = coerce_table(frame, schema)
    return typed, y, schema


def words_model(c=0.1):
    return candidate("logistic_regression", params={"encoding": WORDS, "C": c})


def test_words_and_their_parts_tell_more_than_topics():
    typed, y, schema = prepared()
    later, later_y, _ = prepared(table(seed=1))
    reached = {}
    for encoding in (LINEAR, WORDS):
        one = candidate("logistic_regression", params={"encoding": encoding, "C": 0.1})
        model = fit_final(one, typed, y, schema)
        reached[encoding] = roc_auc(later_y, model.predict_proba(expand(later, schema))[:, 1])
    assert reached[WORDS] > 0.85
    assert reached[WORDS] > reached[LINEAR] + 0.05


def test_no_vocabulary_is_kept_whatever_the_texts():
    typed, y, schema = prepared()
    longer = typed.assign(note=typed["note"] + " " + pd.Series(range(900)).astype("str") + " new")
    for rows in (typed, longer):
        encoded, _ = encode_training(WORDS, rows, y, schema, 0)
        words = WORD_BUCKETS + CHARACTER_BUCKETS
        assert words < encoded.x.shape[1] < words + 20  # and the column age
        assert encoded.x.nnz < 6 * int(rows["note"].str.len().sum())


def test_the_characters_of_one_fit_are_bounded(monkeypatch):
    typed, y, schema = prepared()
    data = TrainingData(typed, y, split_rows(y, 5, 0), schema)
    training = len(data.split.training_rows)
    assert searching.rows_of_texts(data) == training
    characters = int(typed["note"].iloc[data.split.training_rows].str.len().sum())
    monkeypatch.setattr(searching, "MOST_CHARACTERS", characters / 3)
    assert searching.rows_of_texts(data) == pytest.approx(training / 3, abs=1)
    entry = searching.adapted(ALGORITHMS["logistic_regression"], data)
    assert entry.max_rows == searching.rows_of_texts(data)
    assert [one["encoding"] for one in entry.defaults] == [WORDS, CROSSED, LINEAR]


def test_trees_keep_their_topics_and_tables_without_text_are_as_before():
    typed, _, schema = prepared()
    assert encodings(typed, schema)[0] == WORDS
    data = TrainingData(*prepared()[:2], split_rows(prepared()[1], 5, 0), schema)
    assert searching.adapted(ALGORITHMS["lightgbm"], data).defaults[0]["encoding"] == NATIVE
    typed, y, fold_ids, schema = mixed_prepared()
    plain = replace(schema, columns=tuple(c for c in schema.columns if c.kind != "text"))
    entry = searching.adapted(
        ALGORITHMS["logistic_regression"], TrainingData(typed, y, fold_ids, plain)
    )
    assert WORDS not in entry.space["encoding"]
    assert entry.max_rows == ALGORITHMS["logistic_regression"].max_rows


@pytest.mark.parametrize("frame", [table(), table().drop(columns="age")])
def test_a_served_model_of_words_is_read_and_scores_the_same(frame, monkeypatch):
    typed, y, schema = prepared(frame)
    fold_ids = split_rows(y, 5, 0)
    data = TrainingData(typed, y, fold_ids, schema)
    oof = np.where(fold_ids >= 0, 0.3 + 0.4 * y, np.nan)
    selection = Selection([words_model()], oof, {}, FitPlan())
    made, _ = finalize(selection, data, FitOptions(), SCOPE, PROVENANCE)
    content = made.to_bytes()
    assert len(content) < 5e6
    served = bundles.from_bytes(content, bundles.sha256(content))
    whole = served.probability(typed)
    np.testing.assert_array_equal(whole, made.probability(typed))
    monkeypatch.setattr(fast_predict, "ROWS_AT_A_TIME", 7)
    np.testing.assert_allclose(served.probability(typed), whole, atol=1e-12)
    by_word = {line.word: line for line in served.metadata.words}
    assert by_word["angry"].effect > 0.5
    assert by_word["thanks"].effect < -0.5


def test_words_that_the_model_does_not_read_have_no_effect():
    typed, y, schema = prepared()
    effects = words_that_matter(lambda rows: np.full(len(rows), 0.3), typed, y, schema, 0)
    assert {line.effect for line in effects} == {0.0}
    reads = words_that_matter(
        lambda rows: np.where(rows["note"].str.contains("angry"), 0.8, 0.2), typed, y, schema, 0
    )
    assert reads[0].word == "angry"
    assert reads[0].effect == pytest.approx(2 * np.log(4))
    assert not [line for line in reads[1:] if abs(line.effect) > 2 * np.log(4) / 2]


def test_a_table_without_text_has_no_words():
    typed, y, _, schema = mixed_prepared()
    plain = replace(schema, columns=tuple(c for c in schema.columns if c.kind != "text"))
    assert words_that_matter(lambda rows: np.full(len(rows), 0.5), typed, y, plain, 0) == []
