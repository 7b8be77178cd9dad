"""Features: from a typed table to the numbers that an estimator sees, in stock scikit-learn parts only.

Two stages. `expand` is stateless (date parts, missing categories as a level of their own). `encoder` is a
ColumnTransformer that is fitted on training rows; every choice in it comes from `plan`, a plain dict made from the
same training rows. No class of ours is ever inside a fitted pipeline, so old models outlive our refactorings.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.roc_auc import ranks
from fivefold.core.schema import Schema

LINEAR, CROSSED = "linear", "crossed"  # what the search of a logistic regression may choose from
TREES = "trees"
NATIVE, ONE_HOT, MEANS, ORDERED = (
    "native",
    "one-hot",
    "means",
    "ordered",
)  # and that of a boosted model
ONE_HOT_LEVELS = (
    12  # above it one-hot columns cost more than they tell; cross-fitted target means take over
)
NATIVE_LEVELS = 64  # above it splits on categories overfit (LightGBM docs, "Advanced Topics")
TEXT_BUCKETS, TEXT_TOPICS = 2**14, 16
ORDERED_PRIOR = 1.0  # rows that the overall mean weighs in an ordered target mean, as in CatBoost
ALMOST_CONSTANT = 0.9995  # share of training rows with the same value
REDUNDANT = 0.99995  # |Pearson correlation| of two columns without missing differences


def plan(expanded: pd.DataFrame, schema: Schema) -> dict[str, Any]:
    """How each expanded column is encoded, from training rows only; JSON-ready.

    Keys: numbers, low (one-hot), high (target means), text: lists of names; derived: names that `expand` added;
    dropped: [{column, why}] for columns of the schema that are not used, almost constant, or copies of another.
    """
    dropped = [{"column": c.name, "why": c.why} for c in schema.columns if not c.used]
    kinds = {
        name: schema[name].kind if name in schema.names() else "numeric"
        for name in expanded.columns
    }
    numbers = [n for n in expanded.columns if kinds[n] in ("numeric", "boolean", "date")]
    categories = [n for n in expanded.columns if kinds[n] == "categorical"]
    for name in numbers + categories:
        share = (
            expanded[name].value_counts(dropna=False, normalize=True).iloc[0]
            if len(expanded)
            else 1.0
        )
        if share >= ALMOST_CONSTANT:
            dropped.append(
                {
                    "column": name,
                    "why": f"almost constant: {share:.2%} of the training rows are alike",
                }
            )
    gone = {d["column"] for d in dropped}
    copies = _copies(
        expanded, [n for n in numbers if n not in gone], [n for n in categories if n not in gone]
    )
    dropped += [
        {"column": name, "why": f"tells the same as {other}"} for name, other in copies.items()
    ]
    gone |= set(copies)
    kept = [n for n in categories if n not in gone]
    levels = {n: expanded[n].nunique() for n in kept}
    return {
        "numbers": [n for n in numbers if n not in gone],
        "low": [n for n in kept if levels[n] <= ONE_HOT_LEVELS],
        "high": [n for n in kept if levels[n] > ONE_HOT_LEVELS],
        "native": [n for n in kept if levels[n] <= NATIVE_LEVELS],
        "text": [n for n in expanded.columns if kinds[n] == "text"],
        "derived": [n for n in expanded.columns if n not in schema.names()],
        "dropped": dropped,
    }


def encodings(typed: pd.DataFrame, schema: Schema) -> tuple[str, ...]:
    """The styles that a search may choose from which differ from each other on these typed training rows.

    LINEAR and CROSSED always do. Of the others: without a category of three levels or more they are all the same; up to
    `ONE_HOT_LEVELS` levels a mean says little more than the level itself.
    """
    levels = max((typed[n].nunique(dropna=False) for n in schema.names("categorical")), default=0)
    if levels <= 2:
        return (LINEAR, CROSSED, NATIVE)
    many = levels > ONE_HOT_LEVELS
    return (
        (LINEAR, CROSSED, NATIVE, ONE_HOT, MEANS, ORDERED)
        if many
        else (LINEAR, CROSSED, NATIVE, ONE_HOT)
    )


def encoder(recipe: dict[str, Any], style: str, seed: int) -> Any:
    """An unfitted ColumnTransformer for `plan`'s recipe in one of six styles.

    linear: missing indicators, rank-scaled cubic splines, one-hot, scaled target means; `fivefold.training.encode_folds.encode_training`
    makes crossed of it by adding products (`fivefold.training.interactions`). trees: median imputation
    with indicators, one-hot, target means. native: numbers as they are with NaN, integer codes of categories first
    (columns 0 to len(recipe["native"]) - 1, unseen ones NaN), target means above `NATIVE_LEVELS`. one-hot: numbers
    as they are, one-hot, target means above `ONE_HOT_LEVELS`. means and ordered: numbers as they are, target means.
    Target means are cross-fitted (Micci-Barreca 2001; sklearn.preprocessing.TargetEncoder); in the style ordered
    `fivefold.training.search.encode_training` puts `ordered_means` in their place for the training rows.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
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

    def means(smooth: float | str = "auto") -> Any:
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        return TargetEncoder(target_type="binary", smooth=smooth, cv=folds)

    one_hot = OneHotEncoder(
        handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False
    )
    numbers, low, high = recipe["numbers"], recipe["low"], recipe["high"]
    if style == LINEAR:
        curve = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            QuantileTransformer(n_quantiles=200, subsample=200_000, random_state=seed),
            SplineTransformer(n_knots=6, degree=3, include_bias=False),
            StandardScaler(),
        )
        parts = [
            ("numbers", curve, numbers),
            ("missing", MissingIndicator(features="missing-only", error_on_new=False), numbers),
            ("one_hot", one_hot, low),
            ("means", make_pipeline(means(), StandardScaler()), high),
        ]
    elif style == TREES:
        fill = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        parts = [("numbers", fill, numbers), ("one_hot", one_hot, low), ("means", means(), high)]
    elif style == NATIVE:
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=np.nan, min_frequency=5
        )
        rest = [n for n in low + high if n not in recipe["native"]]
        parts = [
            ("codes", codes, recipe["native"]),
            ("numbers", "passthrough", numbers),
            ("means", means(), rest),
        ]
    elif style == ONE_HOT:
        parts = [
            ("numbers", "passthrough", numbers),
            ("one_hot", one_hot, low),
            ("means", means(), high),
        ]
    elif style in (MEANS, ORDERED):
        smooth = ORDERED_PRIOR if style == ORDERED else "auto"
        parts = [("numbers", "passthrough", numbers), ("means", means(smooth), low + high)]
    else:
        raise ValueError(
            f"style: expected one of {LINEAR}, {TREES}, {NATIVE}, {ONE_HOT}, {MEANS}, {ORDERED}, "
            f"found {style!r}"
        )
    for number, name in enumerate(recipe["text"], 1):
        words = make_pipeline(
            HashingVectorizer(n_features=TEXT_BUCKETS, ngram_range=(1, 2), alternate_sign=False),
            TfidfTransformer(sublinear_tf=True),
            TruncatedSVD(TEXT_TOPICS, random_state=seed),
        )
        parts.append(
            (f"text {number}", words, name)
        )  # scikit-learn forbids some names, such as a__b
    return ColumnTransformer(
        [p for p in parts if len(p[2])], sparse_threshold=0, verbose_feature_names_out=False
    )


def ordered_means(levels: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Each row's mean of `y` over the rows of its level that come before it in a random order, shape (rows,).

    (sum before + prior * overall mean) / (rows before + prior): the ordered target statistics of CatBoost
    (Prokhorenkova et al. 2018, section 3.2). A row's own label has no part in its value.

    >>> ordered_means(np.array([0, 0, 1]), np.array([1, 1, 0]), 0).round(3).tolist()
    [0.667, 0.833, 0.667]
    """
    order = np.random.default_rng(seed).permutation(len(y))
    order = order[
        np.argsort(levels[order], kind="stable")
    ]  # level by level, each in the random order
    grouped, labels = levels[order], y[order].astype("float64")
    starts = np.flatnonzero(np.r_[True, grouped[1:] != grouped[:-1]])
    sizes = np.diff(np.append(starts, len(y)))
    before = np.arange(len(y)) - np.repeat(starts, sizes)
    total = np.cumsum(labels) - labels
    total -= np.repeat(total[starts], sizes)
    values = np.empty(len(y))
    values[order] = (total + ORDERED_PRIOR * y.mean()) / (before + ORDERED_PRIOR)
    return values


def _copies(expanded: pd.DataFrame, numbers: list[str], categories: list[str]) -> dict[str, str]:
    """{column: earlier column that tells the same}: numbers by correlation, categories by one-to-one levels.

    The ranks must agree too: one outlier that two columns share makes them correlate whatever the other rows say.
    """
    copies: dict[str, str] = {}
    sample = (
        expanded if len(expanded) <= 100_000 else expanded.iloc[:: len(expanded) // 100_000 + 1]
    )
    if len(numbers) > 1:
        matrix = sample[numbers].to_numpy()
        gaps = np.isnan(matrix)
        with np.errstate(all="ignore"):
            filled = np.where(gaps, np.nanmean(matrix, axis=0), matrix)
            related = np.abs(np.corrcoef(filled, rowvar=False))
        for j, name in enumerate(numbers):
            for i, earlier in enumerate(numbers[:j]):
                if (
                    earlier not in copies
                    and related[i, j] >= REDUNDANT
                    and (gaps[:, i] == gaps[:, j]).all()
                ):
                    known = ~gaps[:, i]
                    agreed = np.corrcoef(ranks(matrix[known, i]), ranks(matrix[known, j]))
                    if abs(agreed[0, 1]) >= REDUNDANT:
                        copies[name] = earlier
                        break
    codes = {n: pd.factorize(sample[n])[0] for n in categories}
    for j, name in enumerate(categories):
        same = [
            e for e in categories[:j] if e not in copies and np.array_equal(codes[e], codes[name])
        ]
        copies |= {name: same[0]} if same else {}
    return copies
