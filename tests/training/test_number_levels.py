"""Whole numbers that are names are found by evidence; amounts, counts and noise are left alone."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema, with_levels
from fivefold.training.number_levels import Readings, compare, find_levels, level_findings

ROWS = 4000
SCOPE = Scope(target="y")


def levels_found(numbers, logit, scope=SCOPE, rows=ROWS):
    rng = np.random.default_rng(1)
    y = (rng.random(rows) < 1 / (1 + np.exp(-logit))).astype("int8")
    frame = pd.DataFrame({"x": numbers, "other": rng.normal(size=rows).round(2), "y": y})
    schema = infer_schema(frame, scope)
    typed, _ = coerce_table(frame, schema)
    found = find_levels(typed, y, np.arange(rows) % 5, schema, scope)
    return found, frame, schema


def zip_codes():
    rng = np.random.default_rng(0)
    codes = np.sort(rng.choice(90_000, 150, replace=False) + 10_000)
    effects = rng.normal(0, 1.5, 150)
    drawn = rng.integers(0, 150, ROWS)
    return codes[drawn], effects[drawn]


def test_zip_codes_are_found_and_said():
    numbers, logit = zip_codes()
    found, frame, schema = levels_found(numbers, logit)
    assert list(found) == ["x"]
    [finding] = level_findings(found)
    assert finding.severity == "warning"
    assert '[columns.kinds] x = "numeric"' in finding.action
    contract = with_levels(schema, frame, found, Scope(target="y"), np.arange(3000))
    assert (contract["x"].kind, contract["other"]) == ("categorical", schema["other"])
    assert set(contract["x"].levels) == set(frame["x"][:3000].astype(str))


def test_the_scope_keeps_them_numbers():
    numbers, logit = zip_codes()
    assert levels_found(numbers, logit, Scope(target="y", kinds={"x": "numeric"}))[0] == {}


@pytest.mark.parametrize("name", ["age", "steep", "bend", "hour", "noise", "amount"])
def test_numbers_stay_numbers(name):
    rng = np.random.default_rng(2)
    numbers = {
        "age": rng.integers(18, 90, ROWS),
        "steep": rng.integers(18, 90, ROWS),
        "bend": rng.integers(0, 60, ROWS),
        "hour": rng.integers(0, 24, ROWS),
        "noise": zip_codes()[0],
        "amount": rng.integers(0, 200, ROWS) * 50,
    }[name]
    logit = {
        "age": (numbers - 50) / 20,
        "steep": np.where(numbers > 55, 3.0, -3.0),
        "bend": 2 * np.sin(numbers / 8),
        "hour": 2.0 * ((numbers < 6) | (numbers > 20)),
        "noise": np.zeros(ROWS),
        "amount": np.log1p(numbers) - 7,
    }[name]
    assert levels_found(numbers, logit)[0] == {}


def test_a_smooth_curve_stays_a_number_with_many_rows():
    rng = np.random.default_rng(3)
    numbers = rng.integers(18, 90, 40_000)
    assert levels_found(numbers, (numbers - 50) / 10, rows=40_000)[0] == {}


def test_readings_by_hand():
    """One level a fold and label: unknown levels get the overall rate, as without the column."""
    numbers, y = np.array([1.0, 2, 3, 4]), np.array([1, 0, 1, 0])
    readings = compare(numbers, y, np.array([0, 0, 1, 1]))
    assert readings.nothing == readings.levels == pytest.approx(np.log(2))
    assert not readings.are_levels
    assert compare(numbers, y, np.array([0, 1, 0, 1])) is None  # one class outside a fold
    assert Readings(0.69, 0.68, 0.60, 3.1).are_levels
    assert not Readings(0.69, 0.61, 0.60, 3.1).are_levels
    assert not Readings(0.69, 0.68, 0.60, 2.9).are_levels
