"""Keys of cases that come again are found, and ordinary columns stay quiet."""

import numpy as np
import pandas as pd
import pytest

from fivefold.core.scope import Scope
from fivefold.profiling.repeated_cases import find_repeated_cases, group_findings, intraclass
from fivefold.training.intake import with_group

PATIENTS, VISITS = 300, 6


def visits(seed=0, rates=(0.0, 1.0)):
    """Noise of patients who come again; the label is drawn by the patient's rate."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(PATIENTS), VISITS))
    rate = rng.choice(rates, PATIENTS)[who]
    return pd.DataFrame(
        {
            "patient": who + 1000,
            "x1": rng.normal(size=len(who)),
            "x2": rng.normal(size=len(who)),
            "y": (rng.random(len(who)) < rate).astype(int),
        }
    )


def found(frame):
    return find_repeated_cases(frame, frame["y"].to_numpy("int8"), Scope(target="y"))


def test_the_correlation_within_groups_worked_by_hand():
    # 2 of 8 positive: 1 - (3 x 1/3 x 2/3 + 0 + 1 x ...) / ((8 - 3) x 1/4 x 3/4)
    value, error = intraclass(np.array([3, 3, 2]), np.array([1, 0, 1]))
    assert value == pytest.approx(1 - (2 / 3 + 1 / 2) / (5 * 3 / 16))
    assert error == pytest.approx(7**-0.5)
    assert intraclass(np.array([1, 1]), np.array([1, 0])) == (0.0, np.inf)


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: key,
        lambda key: "P-" + key.astype("str"),
        lambda key: key * 7919 % 100_003,
        lambda key: key.astype("float64").where(np.arange(len(key)) % 50 > 0),
    ],
)
def test_a_key_with_one_label_each_is_surely_a_key(spell):
    frame = visits()
    key = found(frame.assign(patient=spell(frame["patient"])))[0]
    assert (key.column, key.sure) == ("patient", True)
    assert key.alike == pytest.approx(1.0)


def test_a_label_that_varies_makes_a_key_only_with_other_columns():
    frame = visits(rates=(0.08, 0.92))
    assert [(key.column, key.sure) for key in found(frame)] == [("patient", False)]
    rng = np.random.default_rng(1)
    of_patient = {
        "sex": rng.integers(0, 2, PATIENTS)[frame["patient"] - 1000],
        "born": rng.integers(1930, 2000, PATIENTS)[frame["patient"] - 1000],
        "height": rng.normal(170, 9, PATIENTS)[frame["patient"] - 1000],
    }
    keys = found(frame.assign(**of_patient))
    assert (keys[0].column, keys[0].sure, set(keys[0].shared)) == (
        "patient",
        True,
        {"sex", "born", "height"},
    )
    assert found(visits(rates=(0.5, 0.5)).assign(**of_patient)) == []  # nothing to recognise


def clean(rows=5000, seed=0):
    """An ordinary table: places, codes, amounts, whole numbers, each with an effect."""
    rng = np.random.default_rng(seed)
    place, goods = rng.integers(0, 400, rows), rng.integers(0, 120, rows)
    frame = pd.DataFrame(
        {
            "zip": place * 37 + 10_000,
            "city": ("city " + pd.Series(place % 60).astype("str")),
            "latitude": place * 0.013,
            "country": rng.integers(0, 60, rows),
            "product_code": "A" + pd.Series(goods * 17).astype("str"),
            "age": rng.integers(18, 90, rows),
            "amount": rng.integers(1, 200, rows) * 10,
        }
    )
    effect = 1.5 * rng.normal(size=400)[place] + rng.normal(size=120)[goods] + frame["age"] / 20
    return frame.assign(y=(rng.random(rows) < 1 / (1 + np.exp(3 - effect))).astype(int))


@pytest.mark.parametrize("seed", range(5))
def test_ordinary_columns_stay_quiet(seed):
    frame = clean(seed=seed)
    assert found(frame) == []
    assert found(frame.assign(y=(frame["age"] > 50).astype(int))) == []
    assert found(frame.assign(y=frame["age"] // 9 % 2)) == []
    assert found(frame.head(50)) == []


def test_copies_of_rows_are_no_repeated_cases():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(400, 4))).rename(columns="x{}".format)
    frame["y"] = rng.integers(0, 2, 400)
    assert found(pd.concat([frame] * 3, ignore_index=True)) == []


def test_a_sure_key_becomes_the_group_and_the_scope_can_forbid_it():
    frame = visits()
    scope, findings = with_group(frame, Scope(target="y"))
    assert scope.group == "patient"
    assert [(f.code, f.subject, f.severity) for f in findings] == [
        ("repeated-cases", "patient", "warning")
    ]
    assert "300 values with 1,800 rows" in findings[0].found
    assert "stay on one side of the split" in findings[0].found
    assert "--group none" in findings[0].action
    for given in ("none", "x1"):
        stated = Scope(target="y", group_column=given)
        assert with_group(frame, stated) == (stated, [])
    assert Scope(target="y", group_column="none").group is None


def test_a_doubtful_key_is_only_a_warning_and_no_key_passes():
    frame = visits(rates=(0.08, 0.92))
    scope, findings = with_group(frame, Scope(target="y"))
    assert (scope.group, findings[0].severity) == (None, "warning")
    assert "(--group patient): the figures are too good otherwise" in findings[0].action
    assert [f.severity for f in group_findings([], None)] == ["passed"]
