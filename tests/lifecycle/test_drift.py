"""Drift: exact values by hand, planted drift that is found, the stated rate of false alarms."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from fivefold.core.findings import NOT_APPLICABLE, PASSED, WARNING
from fivefold.core.two_sample import psi
from fivefold.lifecycle.drift import (
    ALPHA,
    MIN_ROWS,
    DriftLine,
    drift_findings,
    drift_table,
    score_drift,
)

KINDS = {
    "amount": "numeric",
    "visits": "numeric",
    "region": "categorical",
    "code": "categorical",
    "member": "boolean",
    "since": "date",
}
counts = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8).filter(
    lambda pairs: sum(p[0] for p in pairs) and sum(p[1] for p in pairs)
)


def words(values):
    """A text column as `fivefold.data.coerce` makes it: `str` with NaN."""
    return pd.Series(values, dtype="str")


def sample(rng, rows):
    """Six columns of all kinds, with ties, rare levels, missing cells and a common cause."""
    cause = rng.normal(size=rows)
    amount = np.exp(cause + rng.normal(size=rows))
    amount[rng.random(rows) < 0.05] = np.nan
    region = rng.choice(["north", "south", "west", "isle"], rows, p=[0.6, 0.3, 0.08, 0.02]).astype(
        object
    )
    region[rng.random(rows) < 0.03] = np.nan
    return pd.DataFrame(
        {
            "amount": amount,
            "visits": rng.poisson(np.exp(cause / 2)).astype(float),
            "region": words(region),
            "code": words([f"k{i}" for i in rng.zipf(1.6, rows) % 60]),
            "member": (cause + rng.normal(size=rows) > 1.5).astype(float),
            "since": np.datetime64("2024-01-01", "us")
            + rng.integers(0, 365, rows).astype("timedelta64[D]"),
        }
    )


def one(old, new, kind, **more):
    """The line of a table of a single column."""
    (line,) = drift_table(pd.DataFrame({"x": old}), pd.DataFrame({"x": new}), {"x": kind}, **more)
    return line


def shown(line):
    return {b.label: (b.reference, b.current) for b in line.bins}


def test_psi_worked_by_hand():
    assert psi([60, 40], [30, 70]) == pytest.approx(-0.3 * math.log(0.5) + 0.3 * math.log(1.75))
    assert psi([10, 30], [100, 300]) == 0.0  # equal shares of unequal tables
    assert psi([100, 0], [90, 10]) == pytest.approx(
        -0.1 * math.log(0.9) + 0.095 * math.log(0.1 / 0.005)
    )  # half a case
    assert psi([100, 0], [90, 10], floor=1) == pytest.approx(
        -0.1 * math.log(0.9) + 0.09 * math.log(10)
    )
    assert psi([5, 0, 5], [50, 0, 50]) == 0.0  # an empty bin says nothing


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ([1, 2], [1]),
        ([0, 0], [1, 2]),
        ([1, 2], [0, 0]),
        ([3, -1], [1, 1]),
        ([], []),
        ([[1, 2]], [[1, 2]]),
        ([1, math.nan], [1, 1]),
    ],
)
def test_counts_that_make_no_index_are_refused(old, new):
    with pytest.raises(ValueError, match="expected two equally long lists of counts, not all 0"):
        psi(old, new)


@given(counts)
def test_psi_is_never_negative_and_does_not_mind_which_side_is_new(pairs):
    old, new = zip(*pairs, strict=True)
    assert psi(old, new) == pytest.approx(psi(new, old), abs=1e-12)
    assert psi(old, new) >= 0
    assert psi(old, old) == 0


def test_a_numeric_column_worked_by_hand():
    old, new = np.arange(1.0, 1001), np.append(np.arange(1.0, 401), np.full(100, np.nan))
    line = one(old, new, "numeric", importance={"x": 0.3, "other": 0.1, "noise": -0.2})
    assert line.statistic == pytest.approx(0.6)  # all of the window is in the lower 40%
    assert line.p_test == pytest.approx(ks_2samp(old, new[:400]).pvalue, rel=1e-6, abs=0)
    assert line.p_missing == pytest.approx(
        fisher_exact([[0, 100], [1000, 400]]).pvalue, rel=1e-6, abs=0
    )
    assert line.p_value == 2 * min(line.p_test, line.p_missing) > 0  # two tests were made
    assert (line.missing_reference, line.missing_current, line.rows) == (0.0, 0.2, 400)
    assert list(shown(line).values()) == [*[(0.1, 0.2)] * 4, *[(0.1, 0.0)] * 6, (0.0, 0.2)]
    assert [b.label for b in line.bins][:2] + [b.label for b in line.bins][-2:] == [
        "up to 100",
        "100 to 200",
        "above 900",
        "(missing)",
    ]
    assert line.psi == pytest.approx(
        4 * 0.1 * math.log(2) + 6 * 0.099 * math.log(100) + 0.1995 * math.log(400)
    )
    assert (line.weight, line.distance) == pytest.approx((0.75, 0.6))
    assert line.stake == pytest.approx(0.45)
    assert (line.test, line.enough_rows, line.drifted) == ("KS", True, True)


def test_a_categorical_column_worked_by_hand():
    old = words(["a"] * 500 + ["b"] * 480 + ["c"] * 5 + ["d"] * 5 + [np.nan] * 10)
    new = words(["a"] * 200 + ["b"] * 150 + ["c"] * 3 + ["e"] * 40 + [np.nan] * 7)
    line = one(old, new, "categorical")
    assert shown(line) == {
        "a": (0.5, 0.5),
        "b": (0.48, 0.375),
        "(rare)": (0.01, 0.0075),
        "(unseen)": (0.0, 0.1),
        "(missing)": (0.01, 0.0175),
    }
    assert line.distance == pytest.approx((0.105 + 0.0025 + 0.1 + 0.0075) / 2)
    table = [
        [500, 480, 0, 10],
        [200, 150, 40, 3],
    ]  # c and d: 13 cells, of which 13 x 393 / 1383 = 3.7 < 5, join e
    cells = [[500, 480, 10], [200, 150, 43]]
    assert line.statistic == pytest.approx(chi2_contingency(cells, correction=False).statistic)
    assert line.statistic != pytest.approx(chi2_contingency(table, correction=False).statistic)
    assert line.p_test == pytest.approx(chi2_contingency(cells, correction=False).pvalue)
    assert line.psi == pytest.approx(psi([500, 480, 10, 0, 10], [200, 150, 3, 40, 7]))
    assert (line.test, line.weight, line.stake) == ("chi-square", None, None)


def test_a_boolean_column_is_tested_by_chi_square_or_where_that_is_too_coarse_exactly():
    old, new = np.repeat([0.0, 1.0], [700, 300]), np.repeat([0.0, 1.0], [150, 150])
    line = one(old, new, "boolean")
    assert shown(line) == {"no": (0.7, 0.5), "yes": (0.3, 0.5), "(missing)": (0.0, 0.0)}
    assert (
        line.p_value
        == line.p_test
        == pytest.approx(chi2_contingency([[700, 300], [150, 150]], correction=False).pvalue)
    )  # nothing missing: one test, no factor
    rare = one(
        np.repeat([0.0, 1.0], [998, 2]), np.repeat([0.0, 1.0], [290, 10]), "boolean"
    )  # 12 x 300/1300 = 2.8 < 5
    assert (rare.test, rare.statistic) == ("Fisher", None)
    assert rare.p_test == pytest.approx(fisher_exact([[998, 2], [290, 10]]).pvalue)


def test_a_value_that_is_several_deciles_has_a_bin_of_its_own():
    old = np.concatenate([np.zeros(600), np.arange(1.0, 401)])
    new = np.concatenate([np.zeros(300), np.arange(1.0, 701), [-5.0] * 10])
    line = one(old, new, "numeric")
    assert shown(line)["0"] == (0.6, pytest.approx(300 / 1010))
    assert shown(line)["below 0"] == (0.0, pytest.approx(10 / 1010))
    assert shown(line)["0 to 100"] == (0.1, pytest.approx(100 / 1010))
    assert shown(line)["above 300"] == (0.1, pytest.approx(400 / 1010))
    ends = one(
        np.repeat([1.0, 5.0], [400, 600]), np.repeat([1.0, 3.0, 5.0], [400, 200, 400]), "numeric"
    )
    assert "0" in shown(one(old * -0.0, new, "numeric"))  # not -0
    assert shown(ends) == {
        "1": (0.4, 0.4),
        "1 to below 5": (0.0, 0.2),
        "5": (0.6, 0.4),
        "(missing)": (0.0, 0.0),
    }


def test_labels_tell_near_numbers_and_dates_of_one_day_apart():
    numbers = one(
        1_000_000 + np.arange(1000.0) / 100, 1_000_000 + np.arange(1000.0) / 100, "numeric"
    )
    assert len(shown(numbers)) == 11
    assert "up to 1000001" in shown(numbers)
    minutes = pd.Series(
        np.datetime64("2024-05-01T00:00", "us") + np.arange(1000).astype("timedelta64[m]")
    )
    assert len(shown(one(minutes, minutes, "date"))) == 11
    assert "up to 2024-05-01T01:39" in shown(one(minutes, minutes, "date"))
    days = pd.Series(np.datetime64("2024-05-01", "us") + np.arange(1000).astype("timedelta64[D]"))
    assert "up to 2024-08-08" in shown(one(days, days, "date"))


def test_levels_that_are_called_as_the_pools_keep_their_own_bins():
    old = words(["(missing)"] * 150 + ["(rare)"] * 150)
    line = one(old, old, "categorical")
    assert shown(line) == {
        "'(missing)'": (0.5, 0.5),
        "'(rare)'": (0.5, 0.5),
        "(missing)": (0.0, 0.0),
    }


def test_a_once_rare_level_that_became_common_is_reported():
    old, new = (
        words([f"v{i % 1000}" for i in range(20_000)]),
        words([f"v{i % 1000}" for i in range(300)] + ["v7"] * 200),
    )
    line = one(old, new, "categorical")
    assert line.drifted
    assert shown(line)["v7"] == (0.001, pytest.approx(201 / 500))


def plant(frame, column):
    """The frame with one drift."""
    changed = frame.copy()
    if column == "amount":
        changed["amount"] *= 2
    elif column == "visits":  # every third cell is lost
        changed.loc[changed.index % 3 == 0, "visits"] = np.nan
    elif column == "region":  # a new category takes a fifth
        changed.loc[changed.index % 5 == 0, "region"] = "abroad"
    elif column == "code":
        changed["code"] = np.nan
        changed["code"] = changed["code"].astype("str")
    elif column == "member":
        changed.loc[changed.index % 2 == 0, "member"] = 1.0
    else:
        changed["since"] += pd.Timedelta(days=120)
    return changed


@pytest.mark.parametrize("column", KINDS)
def test_planted_drift_is_found_in_its_column_and_in_no_other(column):
    rng = np.random.default_rng(1)
    table = drift_table(
        sample(rng, 2000), plant(sample(rng, 1000), column), KINDS, {column: 2.0, "other": 2.0}
    )
    assert [line.column for line in table if line.drifted] == [column]
    line = next(line for line in table if line.drifted)
    assert line.q_value < ALPHA
    assert line.distance > 0.15
    assert line.stake == pytest.approx(line.distance / 2)
    warning, score = drift_findings(table, None)
    assert (warning.code, warning.severity, warning.subject) == ("input-drift", WARNING, column)
    assert f"distance {line.distance:.2f} of 1" in warning.found
    assert (
        f"at stake {line.stake:.2f} of 1, as the column has 50% of the importance" in warning.found
    )
    assert ("missing in" in warning.found) == (column in ("visits", "code"))
    assert "retrain" in warning.action
    assert (score.severity, score.found) == (NOT_APPLICABLE, "no scores")


def test_at_most_alpha_of_undrifted_windows_show_any_drifted_column():
    alarms, windows, p_values = 0, 300, []
    for seed in range(windows):
        rng = np.random.default_rng(seed)
        table = drift_table(sample(rng, 600), sample(rng, 300), KINDS)
        alarms += any(line.drifted for line in table)
        p_values += [line.p_value for line in table]
    assert alarms <= windows * ALPHA + 3 * math.sqrt(
        windows * ALPHA * (1 - ALPHA)
    )  # 3 + 3 standard errors (1.7)
    assert 0.02 < np.mean(np.array(p_values) < 0.05) < 0.06  # the tests are neither blind nor rash


def test_at_most_alpha_of_undrifted_scores_are_called_drifted():
    rng, windows = np.random.default_rng(3), 500
    actual = [score_drift(rng.beta(1, 6, 1000), rng.beta(1, 6, 250)) for _ in range(windows)]
    assert sum(f.drifted for f in actual) <= windows * ALPHA + 3 * math.sqrt(
        windows * ALPHA * (1 - ALPHA)
    )
    assert 0.02 < np.mean([f.p_value < 0.05 for f in actual]) < 0.08


def test_q_values_are_benjamini_and_hochbergs():
    rng = np.random.default_rng(9)
    table = drift_table(sample(rng, 600), sample(rng, 300), KINDS)
    p = np.sort([line.p_value for line in table])
    by_hand = np.minimum.accumulate((p * 6 / np.arange(1, 7))[::-1])[::-1]
    assert sorted(line.q_value for line in table) == pytest.approx(np.minimum(by_hand, 1))


def test_a_significant_but_small_difference_is_no_drift():
    rng = np.random.default_rng(4)
    line = one(rng.normal(size=20_000), rng.normal(0.1, 1, 20_000), "numeric")
    assert line.q_value < 1e-6
    assert line.psi < 0.1
    assert not line.drifted


def test_few_rows_are_described_but_not_tested():
    rng = np.random.default_rng(5)
    for old, new in ((MIN_ROWS - 1, 500), (500, MIN_ROWS - 1)):
        table = drift_table(sample(rng, old), plant(sample(rng, new), "amount"), KINDS)
        assert not any(line.enough_rows or line.drifted for line in table)
        assert {
            getattr(line, key)
            for line in table
            for key in ("p_value", "q_value", "p_test", "p_missing")
        } == {None}
        assert table[0].psi > 0.1
        finding = drift_findings(table, None)[0]
        assert (finding.code, finding.severity, finding.found) == (
            "input-drift",
            NOT_APPLICABLE,
            "too few rows",
        )
    assert all(
        line.enough_rows
        for line in drift_table(sample(rng, MIN_ROWS), sample(rng, MIN_ROWS), KINDS)
    )


def test_other_kinds_and_columns_of_one_table_only_are_left_out():
    rng = np.random.default_rng(6)
    kinds = {
        "amount": "text",
        "visits": "id",
        "region": "categorical",
        "code": "categorical",
        "gone": "numeric",
    }
    table = drift_table(sample(rng, 300), sample(rng, 300).drop(columns="code"), kinds)
    assert [line.column for line in table] == ["region"]
    assert [f.found for f in drift_findings([], None)] == [
        "no column that can be compared",
        "no scores",
    ]


def test_an_empty_window_says_nothing_and_breaks_nothing():
    reference = sample(np.random.default_rng(7), 500)
    for old, new in (
        (reference, reference.iloc[:0]),
        (reference.iloc[:0], reference),
        (reference.iloc[:0],) * 2,
    ):
        for line in drift_table(old, new, KINDS, {"amount": 1.0}):
            assert not line.enough_rows
            assert not line.drifted
            assert line.bins == []
            assert [
                getattr(line, key)
                for key in ("psi", "distance", "stake", "missing_reference", "missing_current")
            ] == [None] * 5
    empty = score_drift(np.linspace(0, 1, 300), np.empty(0))
    assert (empty.rows, empty.psi, empty.distance, empty.p_value, empty.bins) == (
        0,
        None,
        None,
        None,
        [],
    )
    assert drift_findings([], empty)[1].found == "too few scores"


def test_importance_of_some_columns_claims_no_more_than_their_part():
    old, new = (np.random.default_rng(n).normal(n, 1, 500) for n in (0, 1))
    whole, part = (
        one(old, new, "numeric", importance={"x": 0.3, "other": 0.1}, known_share=asked)
        for asked in (1.0, 0.1)
    )
    assert (whole.weight, part.weight) == (pytest.approx(0.75), pytest.approx(0.075))
    assert part.stake == pytest.approx(whole.stake / 10)


def test_an_importance_without_anything_positive_puts_no_stake_on_any_column():
    rng = np.random.default_rng(8)
    a, b = sample(rng, 300), sample(rng, 300)
    for importance in (None, {}, {"amount": -0.1, "region": 0.0}):
        assert {(line.weight, line.stake) for line in drift_table(a, b, KINDS, importance)} == {
            (None, None)
        }
    some = drift_table(a, b, KINDS, {"amount": 0.2, "region": -0.1})
    assert [line.weight for line in some] == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]


def test_the_highest_stake_is_reported_first():
    rng = np.random.default_rng(10)
    window = plant(plant(sample(rng, 1000), "amount"), "since")
    for first, second in (("amount", "since"), ("since", "amount")):
        actual = drift_findings(
            drift_table(sample(rng, 1000), window, KINDS, {first: 0.9, second: 0.1}), None
        )
        assert [f.subject for f in actual if f.severity == WARNING] == [first, second]


def test_scores_worked_by_hand():
    old, new = (
        (np.arange(1000) + 0.5) / 1000,
        (np.arange(500, 1000) + 0.5) / 1000,
    )  # off the edges of the bins
    result = score_drift(old, new)
    assert (result.rows, result.statistic, result.distance) == (
        500,
        pytest.approx(0.5),
        pytest.approx(0.5),
    )
    assert [(b.reference, b.current) for b in result.bins[:20]] == [(0.05, 0.0)] * 10 + [
        (0.05, 0.1)
    ] * 10
    assert (result.bins[0].label, result.bins[19].label, len(result.bins)) == (
        "0.00 to 0.05",
        "0.95 to 1.00",
        20,
    )
    assert result.drifted
    quiet, moved = drift_findings([], score_drift(old, old))[1], drift_findings([], result)[1]
    assert (quiet.code, quiet.severity, moved.severity) == ("score-drift", PASSED, WARNING)
    assert moved.found.startswith("distance 0.50 of 1, PSI ")
    assert not score_drift(old, old[: MIN_ROWS - 1]).enough_rows


def test_scores_of_a_rare_class_that_move_inside_one_drawn_bin_are_reported():
    rng = np.random.default_rng(12)
    result = score_drift(rng.uniform(0, 0.02, 1000), rng.uniform(0.01, 0.03, 1000))
    assert result.drifted
    assert [(b.reference, b.current) for b in result.bins] == [(1.0, 1.0)] + [(0.0, 0.0)] * 19


@pytest.mark.parametrize("bad", [-0.1, 1.1, math.nan])
def test_scores_that_are_no_probabilities_are_refused(bad):
    with pytest.raises(ValueError, match="expected a list of probabilities from 0 to 1"):
        score_drift(np.array([0.5, 0.5]), np.array([0.5, bad]))


cells = {
    "numeric": st.sampled_from([np.nan, -1.5, 0.0, 0.0, 1e-9, 7.0, 3e38]),
    "boolean": st.sampled_from([np.nan, 0.0, 1.0]),
    "categorical": st.sampled_from([np.nan, "", "a", "b", "é", "(unseen)"]),
    "date": st.sampled_from(
        [pd.NaT, pd.Timestamp("1912-04-14"), pd.Timestamp("2024-02-29 12:00:00.000001")]
    ),
}
dtypes = {
    "numeric": "float64",
    "boolean": "float64",
    "categorical": "str",
    "date": "datetime64[us]",
}


@st.composite
def columns(draw):
    """(kind, reference, current): few distinct values, all missing, constant; few rows too."""
    kind = draw(st.sampled_from(sorted(cells)))
    sides = [
        draw(st.lists(cells[kind], min_size=0, max_size=6)) * draw(st.sampled_from([1, 40, 250]))
        for _ in range(2)
    ]
    return kind, *(pd.Series(side, dtype=dtypes[kind]) for side in sides)


@settings(max_examples=200, deadline=None)
@given(columns())
def test_any_column_gives_a_line_of_plain_finite_values(column):
    kind, old, new = column
    line = one(old, new, kind, importance={"x": 1.0})
    stored = json.loads(json.dumps(line.to_dict(), allow_nan=False))
    assert DriftLine.from_dict(stored) == line
    assert line.enough_rows == (min(len(old), len(new)) >= MIN_ROWS)
    assert line.rows == new.notna().sum()
    if len(old) and len(new):
        labels = [b.label for b in line.bins]
        assert len(set(labels)) == len(labels)
        assert labels[-1] == "(missing)"
        for side in ("reference", "current"):
            assert sum(getattr(b, side) for b in line.bins) == pytest.approx(1)
            assert getattr(line.bins[-1], side) == pytest.approx(getattr(line, f"missing_{side}"))
        assert 0 <= line.distance <= 1
        assert line.stake == line.distance
        assert line.psi >= 0
    for key in ("p_test", "p_missing", "p_value", "q_value"):
        assert getattr(line, key) is None or 0 <= getattr(line, key) <= 1
    assert [f.code for f in drift_findings([line], None)] == ["input-drift", "score-drift"]


@settings(max_examples=100, deadline=None)
@given(columns())
def test_a_table_does_not_drift_from_itself(column):
    kind, old, _ = column
    line = one(old, old, kind)
    if len(old):
        assert (line.psi, line.distance) == (0.0, 0.0)
    assert line.p_value == (pytest.approx(1) if len(old) >= MIN_ROWS else None)
    assert not line.drifted


def test_a_column_that_is_missing_or_constant_on_one_side_only_is_reported():
    gone, there = pd.Series(np.full(300, np.nan)), pd.Series(np.arange(300.0))
    for old, new in ((there, gone), (gone, there)):
        line = one(old, new, "numeric")
        assert (line.statistic, line.distance, line.drifted) == (None, 1.0, True)
    stuck = one(there, there * 0 + 7, "numeric")
    assert (stuck.distance, stuck.drifted) == (pytest.approx(292 / 300), True)
    same = words(["a"] * 300), words(["a"] * 280 + [np.nan] * 20)
    for line in (
        one(*same, "categorical"),
        one(there * 0, (there * 0).where(there >= 20), "numeric"),
    ):
        assert (
            line.p_value == line.p_missing == fisher_exact([[0, 20], [300, 280]]).pvalue
        )  # the only test there is
    assert one(gone, gone, "numeric").p_value == one(there * 0, there * 0, "numeric").p_value == 1.0
