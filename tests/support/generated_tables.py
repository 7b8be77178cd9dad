"""Generated tables for the quality benchmark, whose true probabilities are known.

Each generator returns (frame, probability): the table with a `target` of yes and no, and P(target =
yes | row), shape (rows,). The probability is a function of the finished row alone, so no ranking
has a higher expected ROC AUC than that of `probability` (`expected_roc_auc`). The same rows and
seed give the same table.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

Generated = tuple[pd.DataFrame, np.ndarray]

ZIPF_EXPONENT = 1.05
ZIPF_SHIFT = 2.0  # without it the first level alone would hold a fifth of the rows


def access_requests(rows: int, seed: int) -> Generated:
    """Codes alone, as in requests for access: nine columns of 5 to 3,000 levels, 6% rare events.

    Department, unit and family mostly follow from manager and title, as in an organisation. Half of
    the variance of the score comes from main effects of levels, half from effects of pairs and
    triples of codes. Every level and combination has its own normal effect: many are too rare to be
    learned, and the best ROC AUC is out of reach for everybody.
    """
    rng = np.random.default_rng(seed)
    manager = zipf_levels(rng, rows, 2_000)
    title = zipf_levels(rng, rows, 300)
    department = follow(rng, manager, 200, share=0.85)
    codes = {
        "resource": zipf_levels(rng, rows, 3_000),
        "manager": manager,
        "department": department,
        "unit": follow(rng, department, 60, share=0.95),
        "title": title,
        "family": follow(rng, title, 50, share=0.95),
        "role": zipf_levels(rng, rows, 120),
        "region": zipf_levels(rng, rows, 20),
        "site": zipf_levels(rng, rows, 5),
    }
    alone = ("resource", "manager", "department", "title", "role")
    together = (
        ("unit", "family"),
        ("role", "region"),
        ("department", "site"),
        ("resource", "unit"),
        ("unit", "family", "site"),
    )
    main = sum(level_effects(rng, codes[name]) for name in alone)
    combined = sum(level_effects(rng, cells(*(codes[n] for n in names))) for names in together)
    score = 2.4 * (standardized(main) + standardized(combined)) / 2**0.5
    frame = pd.DataFrame({name: code_numbers(rng, code) for name, code in codes.items()})
    return finish(rng, frame, score, rate=0.06)


def mixed(rows: int, seed: int) -> Generated:
    """20 mixed columns, two with missing cells: steps, waves, products, slopes by category; 20%.

    Four numbers and two categories have no effect. A missing cell counts like 0, whatever it hides.
    """
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 12)).round(4)
    numbers[:, 10] = np.exp(numbers[:, 10]).round(4)  # a skewed one
    numbers[:, 4] = (0.7 * numbers[:, 0] + 0.7 * numbers[:, 4]).round(4)  # two that go together
    for column, share in ((2, 0.1), (6, 0.25)):
        numbers[rng.random(rows) < share, column] = np.nan
    levels = (2, 3, 4, 6, 8, 12, 20, 30)
    categories = [zipf_levels(rng, rows, count) for count in levels]
    x = np.nan_to_num(numbers).T
    slopes = rng.normal(size=6)[categories[3]]
    score = (
        1.2 * x[0] * x[1]
        + 0.9 * np.where((x[2] > 0.5) & (x[3] < 0), 2.0, 0.0)
        + np.sin(2 * x[4])
        + slopes * x[5]
        + 0.6 * np.abs(x[6])
        - 0.5 * x[7] * (categories[0] == 1)
        + 0.5 * level_effects(rng, categories[5])
        + 0.7 * level_effects(rng, categories[7])
        + 0.8 * level_effects(rng, cells(categories[1], categories[4]))
    )
    frame = mixed_frame(numbers, categories)
    return finish(rng, frame, 1.7 * standardized(score), rate=0.2)


def mixed_frame(numbers: np.ndarray, categories: list[np.ndarray]) -> pd.DataFrame:
    """Return the columns number_0, number_1, ... and category_0, category_1, ..."""
    frame = pd.DataFrame(numbers, columns=[f"number_{k}" for k in range(numbers.shape[1])])
    for k, code in enumerate(categories):
        frame[f"category_{k}"] = [f"c{level}" for level in code]
    return frame


def weak_signal(rows: int, seed: int) -> Generated:
    """Little to learn: 16 numbers and 4 categories, six of which have small effects; 35%."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 16)).round(3)
    categories = [zipf_levels(rng, rows, count) for count in (2, 3, 5, 8)]
    x = numbers.T
    score = (
        x[0]
        + 0.8 * x[1]
        - 0.6 * x[2]
        + 0.6 * (x[3] ** 2 - 1)
        + 0.6 * x[4] * x[5]
        + 0.7 * level_effects(rng, categories[2])
    )
    frame = mixed_frame(numbers, categories)
    return finish(rng, frame, 0.8 * standardized(score), rate=0.35)


def large(rows: int, seed: int) -> Generated:
    """12 columns for many rows: 9 numbers, categories of 4, 25 and 200 levels; 10%."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 9)).round(4)
    numbers[:, 8] = np.floor(np.exp(numbers[:, 8] + 2))  # counts
    categories = [zipf_levels(rng, rows, count) for count in (4, 25, 200)]
    x = numbers.T
    score = (
        x[0]
        + np.maximum(x[1], 0) * x[2]
        + np.where(x[3] > 1, 1.5, 0.0)
        + 0.7 * np.cos(3 * x[4])
        + 0.5 * np.log1p(x[8]) * (categories[0] == 0)
        + 0.8 * level_effects(rng, categories[1])
        + 0.6 * level_effects(rng, categories[2])
        + 0.6 * level_effects(rng, cells(categories[0], categories[1]))
    )
    frame = mixed_frame(numbers, categories)
    return finish(rng, frame, 1.8 * standardized(score), rate=0.1)


def zipf_levels(rng: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """Return level numbers below `count`, shape (rows,), with frequencies like Zipf's law."""
    weights = (np.arange(count) + ZIPF_SHIFT) ** -ZIPF_EXPONENT
    return rng.choice(count, size=rows, p=weights / weights.sum())


def follow(rng: np.random.Generator, parent: np.ndarray, count: int, share: float) -> np.ndarray:
    """Return level numbers below `count` that follow from those of `parent` in `share` of the rows.

    The others are drawn as if they did not depend on it.
    """
    of_parent = zipf_levels(rng, int(parent.max()) + 1, count)
    alone = zipf_levels(rng, len(parent), count)
    return np.where(rng.random(len(parent)) < share, of_parent[parent], alone)


def cells(*codes: np.ndarray) -> np.ndarray:
    """Return the number of each row's combination of codes, shape (rows,)."""
    _, number = np.unique(np.column_stack(codes), axis=0, return_inverse=True)
    return number.ravel()


def level_effects(rng: np.random.Generator, code: np.ndarray) -> np.ndarray:
    """Return a normal effect for each row's level, shape (rows,), mean 0 and deviation 1."""
    return standardized(rng.normal(size=int(code.max()) + 1)[code])


def standardized(values: np.ndarray) -> np.ndarray:
    """Return the values with mean 0 and standard deviation 1 over the rows."""
    return (values - values.mean()) / values.std()


def code_numbers(rng: np.random.Generator, code: np.ndarray) -> np.ndarray:
    """Return the levels as numbers without order, as an organisation's systems hand them out."""
    count = int(code.max()) + 1
    return rng.choice(100_000, size=count, replace=False)[code]


def finish(
    rng: np.random.Generator, frame: pd.DataFrame, score: np.ndarray, rate: float
) -> Generated:
    """Draw the target with the log-odds `score`, moved so that the mean probability is `rate`."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        if expit(score + middle).mean() < rate:
            low = middle
        else:
            high = middle
    probability = expit(score + low)
    happens = rng.random(len(frame)) < probability
    return frame.assign(target=np.where(happens, "yes", "no")), probability


def expit(values: np.ndarray) -> np.ndarray:
    """Return the logistic function of the values."""
    return 1 / (1 + np.exp(-values))
