"""Words: which words of free texts move a model's probability, and which way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit

from fivefold.core.schema import Schema
from fivefold.core.stored import Stored
from fivefold.data.splits import subsample

MOST_READ = 3000  # training rows whose words are counted
LEAST_TEXTS = 5  # with a word, below which it is not tried
TRIED, TEXTS, SHOWN = 40, 25, 20  # words that are tried, texts of each, words that are kept
LONGEST = 40  # characters of a word
_WORD = re.compile(r"\w\w+")
_EDGE = 1e-6


@dataclass(frozen=True)
class WordEffect(Stored):
    """What the model makes of one word.

    `effect`: mean change of the log-odds by the word, over `texts` texts with it; above 0 it speaks
    for the positive class. `with_word` is the number of counted texts that have it.
    """

    column: str
    word: str
    effect: float
    texts: int
    with_word: int


def words_that_matter(
    predict: Callable[[pd.DataFrame], np.ndarray],
    typed: pd.DataFrame,
    y: np.ndarray,
    schema: Schema,
    seed: int,
) -> list[WordEffect]:
    """Return the words that move the probability most, the largest effect first.

    Of each text column the words are tried that tell the classes apart best in training rows, by
    the z score of their log-odds. Each is taken out of texts that have it, and the model is asked
    before and after: this works for any model, with topics or with words.

    Parameters
    ----------
    predict
        Returns probabilities of shape (rows,) for a typed table.
    typed, y
        Training rows and their labels 0/1.

    References
    ----------
    Monroe, Colaresi and Quinn 2008, "Fightin' words", for the z score. Zeiler and Fergus 2014,
    "Visualizing and understanding convolutional networks", for leaving out a part of the input.
    """
    effects = []
    rows = subsample(np.arange(len(y)), y, MOST_READ, seed)
    for name in schema.names("text"):
        texts = typed[name].iloc[rows].astype("str").fillna("").tolist()
        found = [set(_WORD.findall(text.lower())) for text in texts]
        for word in _telling(found, y[rows]):
            having = [row for row, words in zip(rows, found, strict=True) if word in words]
            some = having[:: max(1, len(having) // TEXTS)][:TEXTS]
            effect = _effect(predict, typed.iloc[some], name, word)
            effects.append(WordEffect(name, word, effect, len(some), len(having)))
    return sorted(effects, key=lambda one: -abs(one.effect))[:SHOWN]


def _telling(found: list[set[str]], y: np.ndarray) -> list[str]:
    """Return the words whose presence tells the classes apart best, the best first."""
    counts = [Counter[str](), Counter[str]()]
    for words, label in zip(found, y.tolist(), strict=True):
        counts[int(label)].update(words)
    texts = np.bincount(y, minlength=2)
    scores = {}
    for word in {*counts[0], *counts[1]}:
        with_word = counts[1][word], counts[0][word]
        if sum(with_word) >= LEAST_TEXTS and len(word) <= LONGEST:
            scores[word] = abs(_z_score(with_word, (int(texts[1]), int(texts[0]))))
    return sorted(scores, key=lambda word: (-scores[word], word))[:TRIED]


def _z_score(having: tuple[int, int], of: tuple[int, int]) -> float:
    """Return the log odds ratio of two shares over its standard error, half a case added to each.

    >>> round(_z_score((10, 10), (20, 20)), 3), round(_z_score((15, 5), (20, 20)), 3)
    (0.0, 2.952)
    """
    cells = [
        count + 0.5
        for pair in zip(having, of, strict=True)
        for count in (pair[0], pair[1] - pair[0])
    ]
    ratio = np.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    return float(ratio / np.sqrt(sum(1 / cell for cell in cells)))


def _effect(
    predict: Callable[[pd.DataFrame], np.ndarray], rows: pd.DataFrame, name: str, word: str
) -> float:
    alone = re.compile(rf"\b{re.escape(word)}\b", re.IGNORECASE)
    without = [alone.sub(" ", str(text)) for text in rows[name]]
    changed = rows.assign(**{name: pd.array(without, dtype="str")})
    both = predict(pd.concat([rows, changed], ignore_index=True))
    odds = logit(np.clip(both, _EDGE, 1 - _EDGE))
    return float((odds[: len(rows)] - odds[len(rows) :]).mean())
