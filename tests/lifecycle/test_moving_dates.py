"""A world in which all dates move and nothing else changes: no figure of a model may change."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.scope import read_scope
from fivefold.data.ages import with_ages
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.data.synthetic import bank
from fivefold.lifecycle.drift import drift_table
from fivefold.model.bundle import Bundle
from fivefold.model.metadata import Metadata, Outcomes
from fivefold.model.threshold import Threshold
from tests.support.running import ROOT
from tests.support.training import candidate, fit_final

DAYS = (0, 180, 730)


@pytest.fixture(scope="module")
def learnt():
    """A model of the bundled table, and the table."""
    scope, frame = read_scope(ROOT / "data" / "churn.toml"), bank.draw(2500)
    schema = infer_schema(frame, scope, ("no", "yes"))
    typed, _ = coerce_table(frame, schema)
    y = (frame[bank.TARGET] == "yes").to_numpy().astype("int8")
    pipeline = fit_final(candidate("lightgbm", rounds=40), typed, y, schema, seeds=1)
    metadata = Metadata(threshold=Threshold(0.2), outcomes=Outcomes("stays", "leaves"), scope=scope)
    return Bundle(pipeline, schema, metadata), typed


def moved(frame: pd.DataFrame, days: int) -> pd.DataFrame:
    later = {
        name: (pd.to_datetime(frame[name]) + pd.Timedelta(days=days)).dt.strftime("%Y-%m-%d")
        for name in bank.DATES
    }
    return frame.assign(**later)


def test_probabilities_stay_but_for_the_season(learnt):
    """Ages are the same; month and weekday of a date are others, and mean little here."""
    bundle, _ = learnt
    new = bank.draw(2000, start=2500)
    scores = [bundle.score(moved(new, days)) for days in DAYS]
    before = scores[0]["probability"]
    for later in scores[1:]:
        assert later["probability"].mean() == pytest.approx(before.mean(), abs=0.003)
        assert np.abs(later["probability"] - before).mean() < 0.01
        assert (later["warnings"] == scores[0]["warnings"]).all()


@pytest.mark.parametrize("days", DAYS)
def test_no_column_drifts(learnt, days):
    bundle, typed = learnt
    schema = bundle.schema
    now, _ = coerce_table(moved(bank.draw(2000, start=2500), days), schema)
    (before, contract), (after, _) = with_ages(typed, schema), with_ages(now, schema)
    names = [name for name in schema.names() if name != schema.reference]
    kinds = {name: contract[name].kind for name in names}
    assert kinds["last_contact"] == "numeric"
    assert not [line.column for line in drift_table(before, after, kinds) if line.drifted]


def test_contacts_that_became_rare_drift(learnt):
    bundle, typed = learnt
    schema, frame = bundle.schema, bank.draw(2000, start=2500)
    frame["last_contact"] = moved(frame, -120)["last_contact"]
    now, _ = coerce_table(frame, schema)
    before, after = with_ages(typed, schema)[0], with_ages(now, schema)[0]
    (line,) = drift_table(before, after, {"last_contact": "numeric"})
    assert line.drifted


def test_a_date_far_outside_warns(learnt):
    bundle, _ = learnt
    row = bank.draw(1, start=9000).assign(customer_since="1826-01-01")
    (warning,) = bundle.score(row)["warnings"]
    assert "customer_since: 1826-01-01 is much earlier or later than usual" in warning
