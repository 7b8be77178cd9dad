"""Encoding: from a typed table to the matrix of an estimator, with scikit-learn parts only.

Two stages. `fivefold.model.inputs.expand` is stateless (date parts, missing categories as a level
of their own). `encoder` is a ColumnTransformer that is fitted on training rows; every choice in it
comes from `plan`, made from the same training rows. No class of ours is ever inside a fitted
pipeline, so that old models outlive changes of this code.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.roc_auc import ranks
from fivefold.core.schema import Column, Schema
from fivefold.data.infer import CODE_COLUMNS

LINEAR, CROSSED = "linear", "crossed"  # of a logistic regression
PLAIN = "plain"  # of the logistic regression that every model has to reach
WORDS = "linear and words"  # of a logistic regression on a table with free text
TREES = "trees"  # of forests and AdaBoost
NATIVE, ONE_HOT, MEANS, ORDERED = "native", "one-hot", "means", "ordered"  # of boosted models
# With statistics of codes (`fivefold.training.code_pairs`): of boosted models, of a logistic
# regression and of forests
PAIRS, LINEAR_PAIRS, TREES_COUNTS = "pairs", "linear and pairs", "trees and counts"
WITHOUT_CODES = {PAIRS: ONE_HOT, LINEAR_PAIRS: LINEAR, TREES_COUNTS: TREES}
DIRECTED = "directed"  # part of a linear encoding: columns with a direction
MOST_CODES = 10  # columns whose pairs have statistics
ONE_HOT_LEVELS = 12  # above it one-hot columns cost more than they bring: target means instead
NATIVE_LEVELS = 64  # above it splits on categories overfit (LightGBM docs, "Advanced Topics")
TEXT_BUCKETS, TEXT_TOPICS = 2**14, 16
# Hashed, so that no vocabulary is kept; of words and pairs of them, and of parts of words.
WORD_BUCKETS, CHARACTER_BUCKETS = 2**16, 2**17
PARTS_OF_WORDS = (2, 4)  # characters
WORD_SCALE = 10.0  # weight of the words beside columns of unit variance
MOST_CHARACTERS = 4_000_000  # of the texts of one fit: its matrix then takes up to 120 MB
ORDERED_PRIOR = 1.0  # rows that the overall mean weighs in an ordered target mean, as in CatBoost
ALMOST_CONSTANT = 0.9995  # share of training rows with the same value
REDUNDANT = 0.99995  # |Pearson correlation| of two columns without missing differences
MOST_COPY_ROWS = 100_000  # rows that columns are compared on


@dataclass(frozen=True)
class EncodingPlan:
    """How each expanded column is encoded: lists of names.

    Parameters
    ----------
    numbers : numeric, yes/no and date columns
    few_levels, many_levels : categories below and above `ONE_HOT_LEVELS`
    native : categories of at most `NATIVE_LEVELS` levels, for models that take category codes
    text : columns of free text
    derived : names that `expand` added
    directions : {numeric or yes/no column: 1 or -1}, which the probability has to follow
    dropped : {column, why} of columns that are not used, almost constant, or copies of another
    """

    numbers: list[str]
    few_levels: list[str]
    many_levels: list[str]
    native: list[str]
    text: list[str]
    derived: list[str]
    dropped: list[dict[str, str]]
    directions: dict[str, int] = field(default_factory=dict)

    @property
    def categories(self) -> list[str]:
        return self.few_levels + self.many_levels

    @property
    def codes(self) -> list[str]:
        """Return the columns whose codes and pairs have statistics, many-level ones first."""
        return (self.many_levels + self.few_levels)[:MOST_CODES]

    @property
    def without_codes(self) -> EncodingPlan:
        """Return the plan of the columns beside those statistics: few levels stay one-hot."""
        rest = [name for name in self.many_levels if name not in self.codes]
        return replace(self, many_levels=rest)

    def to_dict(self) -> dict[str, Any]:
        """Return the stored form: the description of the features in a bundle."""
        return {
            "numbers": self.numbers,
            "low": self.few_levels,
            "high": self.many_levels,
            "text": self.text,
            "derived": self.derived,
            "dropped": self.dropped,
        }


def plan(expanded: pd.DataFrame, schema: Schema) -> EncodingPlan:
    """Return how to encode expanded training rows."""
    categories, text = schema.names("categorical"), schema.names("text")
    others = {*categories, *text}
    numbers = [n for n in expanded.columns if n not in others]
    dropped = {column.name: column.why for column in schema.columns if not column.used}
    for name in numbers + categories:
        codes, _ = pd.factorize(expanded[name], use_na_sentinel=False)
        share = np.bincount(codes).max() / len(codes)
        if share >= ALMOST_CONSTANT:
            dropped[name] = f"almost constant: {share:.2%} of the training rows are equal"
    numbers = [n for n in numbers if n not in dropped]
    categories = [n for n in categories if n not in dropped]
    directions = schema.directions
    first = sorted(numbers, key=lambda name: name not in directions)  # their copies are dropped
    copies = _copies(expanded, first, categories)
    dropped |= {name: f"same content as {original}" for name, original in copies.items()}
    levels = {n: expanded[n].nunique() for n in categories if n not in copies}
    known = set(schema.names())
    return EncodingPlan(
        numbers=[n for n in numbers if n not in copies],
        few_levels=[n for n, count in levels.items() if count <= ONE_HOT_LEVELS],
        many_levels=[n for n, count in levels.items() if count > ONE_HOT_LEVELS],
        native=[n for n, count in levels.items() if count <= NATIVE_LEVELS],
        text=text,
        derived=[n for n in expanded.columns if n not in known],
        dropped=[{"column": name, "why": why} for name, why in dropped.items()],
        directions={name: way for name, way in directions.items() if name in numbers},
    )


def encodings(typed: pd.DataFrame, schema: Schema) -> tuple[str, ...]:
    """Return the encodings that differ on these typed training rows, for a search to try.

    WORDS does with free text. LINEAR and CROSSED always do; products of columns cannot follow a
    direction. Of the others: without a category of three levels or more they are all the same; up
    to `ONE_HOT_LEVELS` levels a mean adds little to the level itself.
    """
    if schema.names("text"):
        return (WORDS, *encodings(typed, replace(schema, columns=_without_text(schema))))
    levels = [typed[name].nunique(dropna=False) for name in schema.names("categorical")]
    most = max(levels, default=0)
    linear = (LINEAR,) if schema.directions else (LINEAR, CROSSED)
    known = (*linear, NATIVE, ONE_HOT, MEANS, ORDERED)
    if most <= 2:
        return known[:-3]
    if most <= ONE_HOT_LEVELS:
        return known[:-2]
    many = sum(count > ONE_HOT_LEVELS for count in levels)
    is_table_of_codes = many >= CODE_COLUMNS and 2 * many >= len(schema.names())
    return (*known, TREES, *WITHOUT_CODES) if is_table_of_codes else known


def _without_text(schema: Schema) -> tuple[Column, ...]:
    return tuple(column for column in schema.columns if column.kind != "text")


def words_encoder(recipe: EncodingPlan) -> Any:
    """Return an unfitted ColumnTransformer of texts: TF-IDF of words and of their parts, sparse.

    References
    ----------
    Wang and Manning 2012, "Baselines and bigrams", for pairs of words in a linear model. Cavnar and
    Trenkle 1994, "N-gram-based text categorization", for parts of words. Weinberger et al. 2009,
    "Feature hashing for large scale multitask learning".
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.pipeline import make_pipeline

    parts = []
    for number, name in enumerate(recipe.text, 1):
        words = HashingVectorizer(n_features=WORD_BUCKETS, ngram_range=(1, 2), alternate_sign=False)
        characters = HashingVectorizer(
            n_features=CHARACTER_BUCKETS,
            analyzer="char_wb",
            ngram_range=PARTS_OF_WORDS,
            alternate_sign=False,
        )
        for kind, vectorizer in (("words", words), ("characters", characters)):
            weighed = make_pipeline(vectorizer, TfidfTransformer(sublinear_tf=True))
            parts.append((f"{kind} {number}", weighed, name))
    weights = {kind: WORD_SCALE for kind, _, _ in parts}
    return ColumnTransformer(
        parts, sparse_threshold=1, transformer_weights=weights, verbose_feature_names_out=False
    )


def encoder(recipe: EncodingPlan, encoding: str, seed: int) -> Any:
    """Return an unfitted ColumnTransformer for a plan, in one of seven encodings.

    linear : missing indicators, rank-scaled cubic splines (the ranks themselves of columns with a
        direction, which a coefficient of one sign follows), one-hot, scaled target means; with
        products of its columns (`fivefold.training.encode_folds`) it becomes the seventh, crossed
    trees : median imputation with indicators, one-hot, target means
    plain : the same, scaled
    native : numbers as they are with NaN, integer codes of categories first (unseen ones NaN),
        target means above `NATIVE_LEVELS`
    one-hot : numbers as they are, one-hot, target means above `ONE_HOT_LEVELS`
    means, ordered : numbers as they are, target means; for the training rows of ordered,
        `fivefold.training.encode_folds.encode_training` puts `ordered_means` in their place

    Target means are cross-fitted.

    References
    ----------
    Micci-Barreca 2001, "A preprocessing scheme for high-cardinality categorical attributes";
    sklearn's TargetEncoder.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = _column_parts(recipe, encoding, seed)
    for number, name in enumerate(recipe.text, 1):
        words = make_pipeline(
            HashingVectorizer(n_features=TEXT_BUCKETS, ngram_range=(1, 2), alternate_sign=False),
            TfidfTransformer(sublinear_tf=True),
            TruncatedSVD(TEXT_TOPICS, random_state=seed),
            *([StandardScaler()] if encoding == PLAIN else []),
        )
        parts.append((f"text {number}", words, name))  # scikit-learn forbids some names: a__b
    used = [part for part in parts if len(part[2])]
    return ColumnTransformer(used, sparse_threshold=0, verbose_feature_names_out=False)


Part = tuple[str, Any, list[str] | str]  # name, transformer, columns


def _column_parts(recipe: EncodingPlan, encoding: str, seed: int) -> list[Part]:
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        OneHotEncoder,
        OrdinalEncoder,
        QuantileTransformer,
        SplineTransformer,
        StandardScaler,
        TargetEncoder,
    )

    numbers, few, many = recipe.numbers, recipe.few_levels, recipe.many_levels
    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    smooth = ORDERED_PRIOR if encoding == ORDERED else "auto"
    means = TargetEncoder(target_type="binary", smooth=smooth, cv=folds)
    if encoding == LINEAR:
        curves = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            QuantileTransformer(n_quantiles=200, subsample=200_000, random_state=seed),
            SplineTransformer(n_knots=6, degree=3, include_bias=False),
            StandardScaler(),
        )
        missing = MissingIndicator(features="missing-only", error_on_new=False)
        directed = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            QuantileTransformer(n_quantiles=200, subsample=200_000, random_state=seed),
            StandardScaler(),
        )
        return [
            ("numbers", curves, [name for name in numbers if name not in recipe.directions]),
            (DIRECTED, directed, [name for name in numbers if name in recipe.directions]),
            ("missing", missing, numbers),
            ("one_hot", one_hot, few),
            ("means", make_pipeline(means, StandardScaler()), many),
        ]
    if encoding in (TREES, PLAIN):
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        parts: list[Part] = [
            ("numbers", fill, numbers),
            ("one_hot", one_hot, few),
            ("means", means, many),
        ]
        if encoding == TREES:
            return parts
        return [(name, make_pipeline(part, StandardScaler()), used) for name, part, used in parts]
    plain = ("numbers", "passthrough", numbers)
    if encoding == NATIVE:
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=5
        )
        others = [n for n in recipe.categories if n not in recipe.native]
        return [("codes", codes, recipe.native), plain, ("means", means, others)]
    if encoding == ONE_HOT:
        return [plain, ("one_hot", one_hot, few), ("means", means, many)]
    if encoding in (MEANS, ORDERED):
        return [plain, ("means", means, recipe.categories)]
    expected = ", ".join((LINEAR, TREES, PLAIN, NATIVE, ONE_HOT, MEANS, ORDERED))
    raise ValueError(f"encoding: expected one of {expected}, found {encoding!r}")


def ordered_means(levels: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Return each row's target mean over earlier rows of its level, shape (rows,).

    The rows come in a random order.

    (sum before + prior * overall mean) / (rows before + prior). A row's own label has no part in
    its value.

    Parameters
    ----------
    levels : codes of shape (rows,)
    y : labels of shape (rows,), 0 or 1
    seed : of the random order

    References
    ----------
    Prokhorenkova et al. 2018, "CatBoost: unbiased boosting with categorical features", section 3.2.

    >>> ordered_means(np.array([0, 0, 1]), np.array([1, 1, 0]), 0).round(3).tolist()
    [0.667, 0.833, 0.667]
    """
    order = np.random.default_rng(seed).permutation(len(y))
    labels = pd.Series(y[order].astype("float64"))
    by_level = labels.groupby(levels[order])
    before, total = by_level.cumcount(), by_level.cumsum() - labels
    values = np.empty(len(y))
    values[order] = (total + ORDERED_PRIOR * y.mean()) / (before + ORDERED_PRIOR)
    return values


def _copies(expanded: pd.DataFrame, numbers: list[str], categories: list[str]) -> dict[str, str]:
    """Return {column: earlier column with the same content}, for numbers and for categories."""
    step = len(expanded) // MOST_COPY_ROWS + 1 if len(expanded) > MOST_COPY_ROWS else 1
    sample = expanded.iloc[::step]
    copies = _copied_numbers(sample, numbers)
    first: dict[bytes, str] = {}
    for name in categories:
        codes, _ = pd.factorize(sample[name])
        original = first.setdefault(codes.tobytes(), name)
        if original != name:
            copies[name] = original
    return copies


def _copied_numbers(sample: pd.DataFrame, numbers: list[str]) -> dict[str, str]:
    """Return the copies among numbers: by correlation, with gaps in the same rows.

    The ranks must agree too: one outlier that two columns share makes them correlate whatever the
    other rows say.
    """
    copies: dict[str, str] = {}
    if len(numbers) < 2:
        return copies
    matrix = sample[numbers].to_numpy()
    gaps = np.isnan(matrix)
    with np.errstate(all="ignore"):
        filled = np.where(gaps, np.nanmean(matrix, axis=0), matrix)
        correlation = np.abs(np.corrcoef(filled, rowvar=False))
    for j, name in enumerate(numbers):
        for i, earlier in enumerate(numbers[:j]):
            if earlier in copies or not correlation[i, j] >= REDUNDANT:
                continue
            if (gaps[:, i] != gaps[:, j]).any():
                continue
            present = ~gaps[:, i]
            ranked = np.corrcoef(ranks(matrix[present, i]), ranks(matrix[present, j]))
            if abs(ranked[0, 1]) >= REDUNDANT:
                copies[name] = earlier
                break
    return copies
