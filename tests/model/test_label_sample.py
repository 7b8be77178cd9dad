"""Labels as a sample of all cases: weights, delays and holes, by hand and on planted samples."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fivefold.core.roc_auc import auc_interval
from fivefold.lifecycle.performance import realised, weighted_auc_interval
from fivefold.model.label_sample import (
    COMPLETE,
    RANDOM,
    UNJUDGED,
    WEIGHTED,
    Maturity,
    choose,
    effective_size,
    known_earlier,
)
from fivefold.model.threshold import Costs, Threshold

NOW = datetime(2026, 6, 1)


def cases_of(rows: int, seed: int = 0) -> pd.DataFrame:
    """Calibrated cases of the last 30 days, each with a label after two days."""
    rng = np.random.default_rng(seed)
    q = rng.beta(1, 3, rows)
    at = pd.Series(NOW - timedelta(days=30) + pd.to_timedelta(rng.uniform(0, 28, rows), unit="D"))
    return pd.DataFrame(
        {
            "at": at,
            "probability": q,
            "label": (rng.random(rows) < q) * 1.0,
            "labelled_at": at + timedelta(days=2),
            "acted": False,
            "control": False,
        }
    )


def chosen(cases: pd.DataFrame, inputs: pd.DataFrame | None = None, **maturity):
    known = cases[cases["label"].notna()]
    inputs = pd.DataFrame(index=cases.index) if inputs is None else inputs
    return choose(cases, inputs, 0.4, Maturity(**maturity), known, NOW)


def test_positives_known_first_by_hand():
    day = datetime(2026, 1, 1)
    hours = [1, 2, 3, 4]
    known = pd.DataFrame(
        {
            "at": pd.to_datetime([day] * 4),
            "labelled_at": pd.to_datetime([day + timedelta(hours=h) for h in hours]),
            "label": [1.0, 0.0, 1.0, 0.0],
        }
    )
    # of the pairs (1, 2), (1, 4), (3, 2), (3, 4) the positive is first in three
    assert known_earlier(known)[0] == 0.75
    assert known_earlier(known.assign(label=[0.0, 0.0, 0.0, 0.0])) == (0.5, 1.0)
    same = known.assign(labelled_at=day + timedelta(days=30))
    assert known_earlier(same) == (0.5, 1.0)


def test_a_base_rate_that_moves_between_files_of_labels_is_no_difference():
    cases = cases_of(4000)
    age = (cases["at"] - cases["at"].min()).dt.total_seconds()
    rng = np.random.default_rng(1)
    rising = cases.assign(label=(rng.random(4000) < age / age.max()) * 1.0, labelled_at=NOW)
    assert abs(known_earlier(rising)[0] - 0.5) < 0.1


def test_effective_size_and_equal_weights_change_nothing():
    assert effective_size(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    cases = cases_of(500)
    y, q = cases["label"].to_numpy(), cases["probability"].to_numpy()
    plain = realised(y, q, Threshold(0.4), Costs(5, 1))
    weighted = realised(y, q, Threshold(0.4), Costs(5, 1), np.full(500, 3.0))
    assert weighted.recall == pytest.approx(plain.recall)
    assert weighted.cost_per_1000 == pytest.approx(plain.cost_per_1000)
    assert weighted.calibration_z == pytest.approx(plain.calibration_z)
    for name in ("value", "low", "high", "se"):
        assert weighted.auc[name] == pytest.approx(auc_interval(y, q)[name])


def test_whole_weights_are_repeated_rows():
    y, q = np.array([1, 1, 0, 0, 0.0]), np.array([0.9, 0.3, 0.3, 0.2, 0.6])
    w = np.array([1, 2, 1, 3, 1])
    repeated = auc_interval(np.repeat(y, w), np.repeat(q, w))["value"]
    assert weighted_auc_interval(y, q, w.astype(float))["value"] == pytest.approx(repeated)


def test_a_complete_and_a_random_sample_are_taken_as_they_are():
    cases = cases_of(2000)
    assert chosen(cases).sample.verdict == COMPLETE
    half = cases.assign(label=cases["label"].where(np.arange(2000) % 2 == 0))
    result = chosen(half)
    assert (result.sample.verdict, result.weights) == (RANDOM, None)
    assert result.sample.labelled == 1000


def test_weights_undo_a_choice_by_an_input():
    cases = cases_of(4000)
    rng = np.random.default_rng(2)
    region = np.where(rng.random(4000) < 0.5, "north", "south")
    cases["label"] = np.where(region == "north", cases["label"], (rng.random(4000) < 0.6) * 1.0)
    share = np.where(region == "north", 0.8, 0.2)
    labelled = cases.assign(label=cases["label"].where(rng.random(4000) < share))
    result = chosen(labelled, pd.DataFrame({"region": region}))
    assert result.sample.verdict == WEIGHTED
    assert result.sample.differ == ["region"]
    weights = result.weights
    north = region[result.rows] == "north"
    assert weights[north].mean() == pytest.approx(0.5 / 0.8, abs=0.05)  # stabilised: .5 / share
    assert weights[~north].mean() == pytest.approx(0.5 / 0.2, abs=0.3)
    everyone = cases["label"].mean()
    naive = result.y.mean()
    assert abs(naive - everyone) > 0.08
    assert np.average(result.y, weights=weights) == pytest.approx(everyone, abs=0.03)
    assert result.sample.effective == pytest.approx(effective_size(weights))


def test_a_region_without_any_label_is_not_judged():
    cases = cases_of(2000)
    region = np.where(np.arange(2000) % 4 == 0, "north", "south")
    result = chosen(
        cases.assign(label=cases["label"].where(region == "south")),
        pd.DataFrame({"region": region}),
    )
    assert result.sample.verdict == UNJUDGED
    assert "of a kind that hardly gets a label; labelled ones differ by region" in result.sample.why


def test_young_and_acted_cases_are_left_out():
    cases = cases_of(2000)
    cases.loc[:9, "acted"] = True
    result = chosen(cases, horizon_days=10)
    young = (cases["at"] > NOW - timedelta(days=10)).sum()
    assert result.sample.young == young
    assert result.sample.labelled == len(result.y) == result.rows.sum()
    assert not result.rows[:10].any()
    assert not result.rows[(cases["at"] > NOW - timedelta(days=10)).to_numpy()].any()


def test_silence_past_the_horizon_is_a_negative_where_only_events_are_reported():
    cases = cases_of(2000)
    events = cases.assign(label=cases["label"].where(cases["label"] == 1))
    result = chosen(events, horizon_days=10, only_events=True)
    assert result.sample.verdict == COMPLETE
    mature = (cases["at"] <= NOW - timedelta(days=10)).to_numpy()
    assert result.y.tolist() == cases["label"][mature].tolist()
