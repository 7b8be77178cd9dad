"""The generated tables of the benchmark: their shape, and the best ROC AUC that is possible."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fivefold.core.roc_auc import roc_auc
from fivefold.data.synthetic.bank import expected_roc_auc
from tests.bench.public_tables import GENERATED
from tests.support import generated_tables

BY_NAME = {table.name: table for table in GENERATED}
SHAPES = {  # rows, columns, rate, best ROC AUC
    "access_small": (8_000, 9, (0.05, 0.08), 0.92),
    "access_large": (30_000, 9, (0.05, 0.08), 0.92),
    "mixed_25k": (25_000, 20, (0.18, 0.22), 0.84),
    "weak_1k": (1_000, 20, (0.3, 0.4), 0.70),
    "large_100k": (100_000, 12, (0.09, 0.11), 0.87),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shape_rate_and_best_score(name):
    table = BY_NAME[name]
    rows, columns, (low, high), best = SHAPES[name]
    frame, probability = table.make(table.rows, table.seed)
    y = (frame["target"] == "yes").to_numpy().astype(int)
    assert frame.shape == (rows, columns + 1)
    assert low < y.mean() < high
    assert expected_roc_auc(probability) == pytest.approx(best, abs=0.01)
    assert roc_auc(y, probability) == pytest.approx(best, abs=0.03)


def test_probability_is_calibrated():
    frame, probability = generated_tables.large(100_000, 9)
    y = (frame["target"] == "yes").to_numpy()
    tenths = pd.qcut(probability, 10, labels=False)
    for tenth in range(10):
        there = tenths == tenth
        expected = probability[there].mean()
        error = np.sqrt(expected * (1 - expected) / there.sum())
        assert abs(y[there].mean() - expected) < 4 * error


@pytest.mark.parametrize("table", GENERATED, ids=lambda table: table.name)
def test_seed_decides_the_table(table):
    first, first_p = table.make(500, 3)
    again, again_p = table.make(500, 3)
    other, _ = table.make(500, 4)
    pd.testing.assert_frame_equal(first, again)
    assert np.array_equal(first_p, again_p)
    assert not first.equals(other)


def test_codes_have_few_to_thousands_of_levels():
    frame, _ = generated_tables.access_requests(30_000, 1)
    levels = frame.drop(columns="target").nunique()
    assert levels.min() == 5
    assert levels.max() > 2_000
    assert frame["resource"].value_counts(normalize=True).iloc[0] < 0.2


def test_pairs_of_codes_matter_beside_single_levels():
    """Ranking by the best score of single levels alone loses a good part of what is possible."""
    frame, probability = generated_tables.access_requests(30_000, 1)
    score = np.log(probability / (1 - probability))
    dummies = [frame[name].astype("category").cat.codes.to_numpy() for name in frame.columns[:-1]]
    fitted = np.zeros(len(frame))
    for _ in range(5):  # an additive model of the score by backfitting
        for codes in dummies:
            rest = pd.Series(score - fitted)
            fitted = fitted + rest.groupby(codes).transform("mean").to_numpy()
    explained = 1 - np.var(score - fitted) / np.var(score)
    assert 0.5 < explained < 0.85


def test_missing_cells_do_not_tell():
    """A missing cell counts like 0, and both columns with them are used."""
    frame, _ = generated_tables.mixed(5_000, 1)
    missing = frame.isna().mean()
    assert set(missing[missing > 0].index) == {"number_2", "number_6"}
