"""Ages: dates as days before the moment of their row; a world that moves changes nothing."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from fivefold.core.schema import NEWEST, NOW, Schema
from fivefold.core.scope import Scope
from fivefold.data.ages import ages, at_moment, known_at, with_ages, with_column
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.model.inputs import expand

SIGNED = ["2024-01-01", "2024-02-01", None, "2024-03-01"]
SEEN = ["2024-01-11", "2024-01-31", "2024-05-01", None]
AS_OF = ["2024-02-01"] * 4


def frame(**more):
    return pd.DataFrame({"signed": SIGNED, "seen": SEEN, "pay": [1.0, 2.0, 3.0, 4.0], **more})


def typed_of(table, scope=None):
    schema = infer_schema(table, scope or Scope())
    return coerce_table(table, schema)[0], schema


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """Sets the clock of the process to a day."""
    path = tmp_path / "clock"
    monkeypatch.setenv("FIVEFOLD_CLOCK", str(path))

    def set_to(day):
        path.write_text(datetime.fromisoformat(day).isoformat())

    set_to("2024-06-30")
    return set_to


# --- the reference -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "scope", "reference"),
    [
        (["signed", "seen"], Scope(), NEWEST),
        (["signed"], Scope(), NOW),
        ([], Scope(), ""),
        (["signed", "seen"], Scope(time_column="seen"), "seen"),
        (["signed", "seen"], Scope(time_column="seen", reference_column="signed"), "signed"),
        (["signed", "seen"], Scope(reference_column="now"), NOW),
    ],
)
def test_the_reference_is_stated_or_inferred(columns, scope, reference):
    table = frame()[[*columns, "pay"]]
    assert infer_schema(table, scope).reference == reference


def test_a_snapshot_day_that_never_changes_is_a_reference():
    typed, schema = typed_of(frame(as_of=AS_OF), Scope(reference_column="as_of"))
    assert schema["as_of"].kind == "date"
    assert schema["as_of"].used
    np.testing.assert_array_equal(ages(typed, schema)["signed"], [31, 0, np.nan, -29])


# --- ages ----------------------------------------------------------------------------------------


def test_ages_to_the_newest_date_of_the_row():
    typed, schema = typed_of(frame())
    assert ages(typed, schema).keys() == {"signed", "seen"}
    np.testing.assert_array_equal(ages(typed, schema)["signed"], [10, 0, np.nan, 0])
    np.testing.assert_array_equal(ages(typed, schema)["seen"], [0, 1, 0, np.nan])
    assert (schema["signed"].youngest, schema["signed"].oldest) == (0, 10)


def test_never_is_no_newest_date():
    table = pd.DataFrame({"a": ["2024-01-01"] * 3, "until": ["2024-01-05", "9999-12-31", None]})
    table.loc[2, "a"] = "2023-12-31"
    typed, schema = typed_of(table)
    np.testing.assert_array_equal(ages(typed, schema)["a"], [4, 0, 0])
    assert ages(typed, schema)["until"][1] < -2_900_000


def test_ages_to_the_day_of_scoring(clock):
    typed, schema = typed_of(frame()[["signed", "pay"]])
    np.testing.assert_array_equal(ages(typed, schema)["signed"], [181, 150, np.nan, 121])
    clock("2024-07-01")  # what was read on a day keeps that day
    np.testing.assert_array_equal(ages(typed, schema)["signed"], [181, 150, np.nan, 121])
    later = coerce_table(frame(), schema)[0]
    np.testing.assert_array_equal(ages(later, schema)["signed"], [182, 151, np.nan, 122])
    without = typed[["signed", "pay"]]
    np.testing.assert_array_equal(ages(without, schema)["signed"], [182, 151, np.nan, 122])


def test_rows_with_a_day_of_scoring_of_their_own_keep_it():
    days = pd.to_datetime(["2024-02-01", "2024-02-01", "2024-02-01", "2024-03-31"])
    table = frame()[["signed", "pay"]].assign(**{NOW: days})
    typed, schema = typed_of(table)
    assert [column.name for column in schema.columns] == ["signed", "pay"]
    np.testing.assert_array_equal(ages(typed, schema)["signed"], [31, 0, np.nan, 30])


def test_a_model_without_a_reference_has_days_since_1970():
    typed, schema = typed_of(frame())
    old = Schema(schema.columns, "left", "no", "yes")
    assert known_at(typed, old) is None
    assert ages(typed, old) == {}
    assert expand(typed, old)["signed"].iloc[0] == 19_723
    assert expand(typed, schema)["signed"].iloc[0] == 10


def test_reports_see_ages_as_numbers():
    typed, schema = typed_of(frame(as_of=AS_OF), Scope(reference_column="as_of"))
    aged, numbers = with_ages(typed, schema)
    assert [column.kind for column in numbers.columns] == ["numeric", "numeric", "numeric", "date"]
    assert (numbers["signed"].low, numbers["signed"].high) == (-29, 31)
    np.testing.assert_array_equal(aged["signed"], [31, 0, np.nan, -29])
    assert (aged["as_of"] == pd.Timestamp("2024-02-01")).all()


# --- moving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["as_of", None, "now"])
def test_a_world_that_moves_changes_no_age(reference, clock):
    """All dates, and the clock, 180 days later: the numbers of the model stay the same."""
    scope = Scope(reference_column=reference)
    typed, schema = typed_of(frame(as_of=AS_OF), scope)
    before = expand(typed, schema)
    later = frame(as_of=AS_OF)
    for name in ("signed", "seen", "as_of"):
        moved = pd.to_datetime(later[name]) + pd.Timedelta(days=180)
        later[name] = moved.dt.strftime("%Y-%m-%d")
    clock("2024-12-27")
    after = expand(coerce_table(later, schema)[0], schema)
    numbers = [name for name in before if not name.endswith(("(month)", "(weekday)", "(hour)"))]
    assert "signed" in numbers
    pd.testing.assert_frame_equal(before[numbers], after[numbers])


@pytest.mark.parametrize("reference", ["as_of", None, "now"])
def test_rows_at_another_moment_keep_their_ages(reference, clock):
    typed, schema = typed_of(frame(as_of=AS_OF), Scope(reference_column=reference))
    moment = np.array([20_000.0, 20_001.0, 20_002.5, np.nan])
    moved = at_moment(typed, schema, moment)
    np.testing.assert_array_equal(known_at(moved, schema)[:3], moment[:3])
    assert known_at(moved, schema)[3] == known_at(typed, schema)[3]
    for name, days in ages(typed, schema).items():
        np.testing.assert_array_equal(ages(moved, schema)[name], days)


def test_a_shuffled_date_takes_the_age_of_the_other_row():
    table = pd.DataFrame(
        {
            "as_of": ["2020-01-11", "2024-01-11"],
            "signed": ["2020-01-01", "2024-01-10"],
            "seen": ["2020-01-05", "2024-01-05"],
            "pay": [1.0, 2.0],
        }
    )
    typed, schema = typed_of(table, Scope(reference_column="as_of"))
    swapped = with_column(typed, schema, "signed", np.array([1, 0]))
    assert ages(swapped, schema)["signed"].tolist() == [1, 10]
    assert ages(swapped, schema)["seen"].tolist() == [6, 6]
    assert (swapped["as_of"] == typed["as_of"]).all()
    moved = with_column(typed, schema, "as_of", np.array([1, 0]))
    assert moved["as_of"].tolist() == typed["as_of"].tolist()[::-1]
    assert ages(moved, schema)["signed"].tolist() == [10, 1]
    assert with_column(typed, schema, "pay", np.array([1, 0]))["pay"].tolist() == [2.0, 1.0]
