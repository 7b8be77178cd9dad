"""What a table's summary says, against hand-computed values, and what counts as a change."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest

from fivefold.charts.table import outliers
from fivefold.core.findings import Finding
from fivefold.core.scope import Scope
from fivefold.core.two_sample import psi_by_chance, smoothed_psi
from fivefold.data.coerce import LARGEST, coerce_table
from fivefold.data.infer import infer_schema
from fivefold.profiling.association import (
    _bin_codes,
    associate,
    binned_auc,
    cramers_v,
    draw_folds,
    mutual_information,
)
from fivefold.profiling.column_profile import (
    by_period,
    equal_starts,
    nice_edges,
    rates,
    shorten,
    tukey,
)
from fivefold.profiling.comparison import (
    ALPHA,
    align_histograms,
    align_levels,
    compare,
    two_proportions,
)
from fivefold.profiling.summary import summarise


def summary_of(
    frame: pd.DataFrame, y, scope: Scope | None = None, findings=(), source=None
) -> dict:
    scope = scope or Scope(target="y", positive_phrase="will leave", negative_phrase="will stay")
    schema = infer_schema(frame, scope, ("no", "yes"))
    typed, _ = coerce_table(frame, schema, used_only=False)
    return summarise(typed, np.asarray(y), schema, scope, list(findings), source or {})


def table(rows: int = 2000, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    frame = pd.DataFrame(
        {
            "x": x,
            "noise": rng.normal(size=rows),
            "count": rng.integers(0, 8, rows),
            "level": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
            "flag": rng.choice(["no", "yes"], rows),
            "day": (
                pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), "D")
            ).strftime("%Y-%m-%d"),
            "note": [
                f"said {a} and then {b} again {i}"
                for i, (a, b) in enumerate(rng.integers(0, 99, (rows, 2)))
            ],
        }
    )
    frame.loc[rng.choice(rows, rows // 20, replace=False), "noise"] = np.nan
    return frame, (rng.random(rows) < 1 / (1 + np.exp(1.5 - 1.5 * x))).astype("int8")


@pytest.fixture(scope="module")
def whole() -> dict:
    return summary_of(
        *table(),
        findings=[Finding(code="a-check", severity="warning", subject="x", found="odd")],
        source={"md5": "abc"},
    )


def test_summary_is_json_and_names_what_it_holds(whole):
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert set(whole) == {
        "format",
        "scope",
        "overview",
        "source",
        "findings",
        "columns",
        "association",
        "correlation",
        "trend",
        "notes",
    }
    assert {n: c["kind"] for n, c in whole["columns"].items()} == {
        "x": "numeric",
        "noise": "numeric",
        "count": "numeric",
        "level": "categorical",
        "flag": "boolean",
        "day": "numeric",  # its age
        "note": "text",
    }
    assert whole["source"] == {"md5": "abc"}
    assert whole["findings"][0]["code"] == "a-check"


def test_overview_counts():
    frame = pd.DataFrame({"a": [1.0, 1.0, 2.0, None, 3.0] * 4, "b": ["u", "u", "v", "v", None] * 4})
    o = summary_of(frame, [1, 0, -1, 0, 0] * 4)["overview"]
    assert (o["rows"], o["labelled"], o["columns"], o["positives"], o["positive_rate"]) == (
        20,
        16,
        2,
        4,
        0.25,
    )
    assert (o["duplicated_rows"], o["missing_cells"], o["missing_share"]) == (16, 8, 0.2)
    assert (o["positive_low"], o["positive_high"]) == pytest.approx(
        (0.1018, 0.4950), abs=1e-4
    )  # Wilson 4 of 16


def test_numbers_by_hand():
    values = [1.5, 2.5, 3.5, 4.5, 100.5, 0.0, 0.0, 2.5]
    column = summary_of(pd.DataFrame({"v": values}), [0, 1] * 4)["columns"]["v"]
    q = column["quantiles"]
    assert (q["min"], q["p25"], q["p50"], q["p75"], q["max"]) == (0, 1.125, 2.5, 3.75, 100.5)
    assert column["mean"] == pytest.approx(14.375)
    assert column["sd"] == pytest.approx(np.std(values, ddof=1), rel=1e-5)
    assert column["zeros"] == 0.25
    # fences: 1.125 - 1.5 * 2.625 = -2.8125 and 3.75 + 3.9375 = 7.6875
    assert column["outliers"] == {
        "low_fence": -2.8125,
        "high_fence": 7.6875,
        "low": 0,
        "high": 1,
        "share": 0.125,
    }
    h = column["histogram"]
    assert sum(h["rows"]) + h["below"] + h["above"] == 8


def test_tukey_counts_only_values_beyond_the_fences():
    assert (
        tukey(np.sort(np.array([-7.0, 0, 1, 2, 3, 4, 8.0])))["low"] == 1
    )  # fences 0.5 - 4.5 = -4 and 3.5 + 4.5 = 8
    assert tukey(np.array([5.0]))["share"] == 0


def test_rates_by_hand():
    actual = rates(np.array([0, 0, 1, 1, -1]), np.array([1, 0, 1, -1, 1]), 3)
    assert actual["rows"] == [2, 2, 0]
    assert (actual["negative"], actual["positive"]) == ([1, 0, 0], [1, 1, 0])
    assert actual["rate"] == [0.5, 1.0, None]
    assert actual["low"][0] == pytest.approx(0.0945, abs=1e-4)
    assert actual["low"][2] is None


def test_levels_top_and_other():
    cells = [f"k{i:02d}" for i in range(25) for _ in range(30 - i)]
    column = summary_of(pd.DataFrame({"k": cells}), np.arange(len(cells)) % 2)["columns"]["k"]
    assert column["distinct"] == 25
    assert column["levels"]["level"] == [f"k{i:02d}" for i in range(20)]
    assert column["levels"]["other"] == 5
    assert column["levels"]["rows"] == [30 - i for i in range(20)] + [10 + 9 + 8 + 7 + 6]


def test_missing_levels_are_not_other():
    cells = [f"k{i:02d}" for i in range(25)] * 4 + [None] * 10
    levels = summary_of(pd.DataFrame({"k": cells}), np.arange(110) % 2)["columns"]["k"]["levels"]
    assert levels["rows"][-1] == 20


def test_shortened_levels_stay_different():
    a, b = shorten("x" * 60 + "a"), shorten("x" * 60 + "b")
    assert len(a) <= 40
    assert a != b


@pytest.mark.parametrize(
    ("low", "high", "integer", "first", "step"),
    [
        (0.3, 4.7, False, 0.2, 0.2),
        (0, 10, True, -0.5, 1.0),
        (18, 92, True, 14.5, 5.0),
        (1e9, 1e9 + 1, False, 1e9, 0.05),
    ],
)
def test_edges_are_round_and_cover(low, high, integer, first, step):
    edges = nice_edges(low, high, integer)
    assert edges[0] == pytest.approx(first)
    assert np.diff(edges) == pytest.approx(step, abs=1e-6)
    assert edges[0] <= low
    assert edges[-1] > high
    assert len(edges) <= 31


@pytest.mark.parametrize(
    "values",
    [
        [-1.7e308, 1.7e308, 0.5],
        [5e-324, 1e-323, 0.0],
        [1.0, math.nextafter(1, 2), 1.5e300],
        [7.25, 7.25, 7.25],
        [1e16, 1e16 + 2, 3.0],
    ],
)
def test_extreme_numbers_do_not_break_it(values):
    scope = Scope(target="y", kinds={"v": "numeric"})
    result = summary_of(pd.DataFrame({"v": values * 10}), [0, 1, 0] * 10, scope)
    json.dumps(result, allow_nan=False)
    json.dumps(outliers(result["columns"]).to_dict(), allow_nan=False)
    h = result["columns"]["v"]["histogram"]
    assert sum(h["rows"]) + h["below"] + h["above"] == 10 * sum(
        abs(v) <= LARGEST for v in values
    )  # others are unreadable


def test_periods_by_hand():
    actual = by_period(
        pd.Series(pd.to_datetime(["2024-01-31", "2024-03-01", None, "2024-03-05"])),
        np.array([1, 0, 1, 1]),
    )
    assert (actual["unit"], actual["period"]) == (
        "month",
        ["2024-01-01", "2024-02-01", "2024-03-01"],
    )
    assert actual["rows"] == [1, 0, 2]
    assert actual["rate"] == [1.0, None, 0.5]


@pytest.mark.parametrize(
    ("first", "last", "unit", "count"),
    [
        ("2024-01-01", "2024-01-20", "day", 20),
        ("2024-01-01", "2024-12-31", "month", 12),
        ("2015-01-01", "2024-12-31", "quarter", 40),
        ("1990-01-01", "2024-12-31", "year", 35),
        ("1965-01-01", "2024-12-31", "year", 60),
    ],
)
def test_period_units(first, last, unit, count):
    dates = pd.Series(pd.to_datetime([first, last])).astype("datetime64[us]")
    actual = by_period(dates, np.array([0, 1]))
    assert (actual["unit"], len(actual["period"]), actual["omitted"]) == (unit, count, 0)


def test_placeholders_and_extremes_are_left_out_of_the_periods_and_counted():
    days = pd.date_range("2023-01-15", periods=24, freq="MS").astype("datetime64[us]").to_series()
    codes = pd.Series(
        np.array(["9999-12-31", "1900-01-01", "2202-05-01", "1822-05-01"], dtype="datetime64[us]")
    )
    for dates, omitted in (
        (days, 0),
        (pd.concat([days, codes[:1]]), 1),
        (pd.concat([codes, days, codes[1:]]), 7),
        (pd.concat([days, *[codes[:1]] * 99]), 99),
    ):  # most of them "never"
        actual = by_period(dates, np.ones(len(dates), dtype=int))
        assert (actual["unit"], actual["omitted"], actual["rows"]) == ("month", omitted, [1] * 24)
        assert (actual["period"][0], actual["period"][-1]) == ("2023-02-01", "2025-01-01")


def test_left_out_dates_are_noted():
    frame, y = table(300)
    assert summary_of(frame, y)["notes"] == []
    frame.loc[[3, 8], "day"] = "9999-12-31"
    assert summary_of(frame, y)["notes"] == [
        "2 dates of day, placeholders or far from the others, are not among its periods."
    ]


def test_a_placeholder_among_other_dates_is_a_date():
    real = by_period(
        pd.Series(pd.to_datetime(["1969-12-01", "1970-01-01", "1970-03-01"])), np.array([0, 1, 1])
    )
    assert (real["omitted"], real["rows"]) == (0, [1, 1, 0, 1])
    alone = by_period(pd.Series(pd.to_datetime(["1970-01-01"] * 3)), np.array([0, 1, 1]))
    assert (alone["omitted"], alone["rows"]) == (0, [3])


def test_of_a_longer_span_the_sixty_years_of_most_rows_are_shown():
    years = np.r_[np.arange(1901, 2025), np.repeat(1930, 5)]
    dates = pd.Series(np.array([f"{year}-06-01" for year in years], dtype="datetime64[us]"))
    even = by_period(dates[:124], np.ones(124, dtype=int))
    assert (even["period"][0], even["period"][-1], even["omitted"]) == (
        "1965-01-01",
        "2024-01-01",
        64,
    )
    early = by_period(dates, np.ones(129, dtype=int))
    assert (early["period"][0], early["period"][-1], early["omitted"]) == (
        "1930-01-01",
        "1989-01-01",
        64,
    )


def test_cramers_v_by_hand():
    # 2 x 2, n = 100, chi-squared = 36: phi2 = .36 - 1/99; both corrected sizes are 2 - 1/99
    table = np.array([[40, 10], [10, 40]])
    assert cramers_v(table) == pytest.approx(math.sqrt((0.36 - 1 / 99) / (1 - 1 / 99)))
    assert cramers_v(np.array([[25, 25], [25, 25]])) == 0
    assert cramers_v(np.array([[5, 5]])) is None


def test_mutual_information_by_hand():
    # H(Y) = 1 bit, H(Y|X) = H(0.2) = .7219 bits
    table = np.array([[40, 10], [10, 40]])
    assert mutual_information(table) == pytest.approx(
        1 - 0.721928 - 1 / (200 * math.log(2)), abs=1e-6
    )
    assert mutual_information(np.array([[5, 5], [5, 5]])) == 0


def test_auc_of_a_column_by_hand():
    actual = associate(
        "v",
        "numeric",
        pd.Series([0.1, 0.4, 0.35, 0.8, np.nan]),
        np.array([0, 0, 1, 1, 1]),
        np.arange(5),
    )
    assert actual["auc"]["value"] == 0.75
    assert actual["direction"] == "none"


def test_alone_is_half_for_many_meaningless_levels():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 4000)
    assert binned_auc(rng.integers(0, 2000, 4000), y, draw_folds(4000, 0)) == pytest.approx(
        0.5, abs=0.03
    )
    assert binned_auc(y.copy(), y, draw_folds(4000, 0)) == 1.0
    assert binned_auc(y, np.zeros(4000, dtype=int), draw_folds(4000, 0)) is None


def test_alone_sees_a_bend_that_the_order_misses():
    x = np.linspace(-1, 1, 3000)
    actual = associate(
        "x", "numeric", pd.Series(x), (np.abs(x) > 0.5).astype(int), draw_folds(3000, 0)
    )
    assert actual["auc"]["value"] == pytest.approx(0.5, abs=0.01)
    assert actual["alone"]["value"] > 0.95


def test_alone_sees_a_rare_flag_and_a_column_of_mostly_zeros_whichever_side_is_rare():
    y = np.repeat(
        [0, 1, 0, 1], [950, 10, 5, 35]
    )  # 4% are above zero, of which 35 of 40 are positive
    folds, above = draw_folds(1000, 0), np.repeat([0.0, 1.0], [960, 40])
    flag = associate("f", "boolean", pd.Series(above), y, folds)
    assert flag["auc"]["value"] == pytest.approx((35 * (950 + 5 / 2) + 10 * 950 / 2) / (45 * 955))
    assert flag["alone"]["value"] == pytest.approx(
        flag["auc"]["value"], abs=0.01
    )  # a rare flag loses nothing in bins
    # margins 45/955 and 40/960 of 1000: sum of p log2(p / expected), less 1 / (2 n ln 2)
    cells = [
        (0.950, 0.960 * 0.955),
        (0.010, 0.960 * 0.045),
        (0.005, 0.040 * 0.955),
        (0.035, 0.040 * 0.045),
    ]
    bits = sum(p * math.log2(p / expected) for p, expected in cells) - 1 / (2000 * math.log(2))
    assert flag["mutual_information"] == pytest.approx(bits)
    amounts = above * np.linspace(1, 2, 1000)  # 40 distinct amounts beside the zeros
    for values in (amounts, -amounts, 7 - amounts):
        assert (
            associate("v", "numeric", pd.Series(values), y, folds)["alone"]["value"]
            == flag["alone"]["value"]
        )


def test_bins_of_numbers_by_hand():
    few = _bin_codes(np.array([2.0, np.nan, 0.5, 2.0, -1.0]))
    assert few.tolist() == [3, 0, 2, 3, 1]  # at most 20 values: each a bin
    spread = np.arange(200.0)
    assert (
        np.bincount(_bin_codes(spread)).tolist() == [0] + [10] * 20
    )  # nothing heavy: 20 equal bins
    heavy = np.bincount(_bin_codes(np.r_[np.arange(-100.0, 0), np.zeros(800), np.arange(1.0, 101)]))
    assert heavy.tolist() == [0, 50, 50, 800, 50, 50]  # one in ten on either side: two bins each
    assert _bin_codes(np.full(3, np.nan)).tolist() == [0, 0, 0]


def test_groups_of_a_column_of_mostly_zeros_part_the_zeros_from_the_rest():
    values, y = np.r_[np.zeros(930), np.arange(1.0, 71)], np.repeat([0, 1], [930, 70])
    for result, ends in ((values, ([0, 1], [0, 70])), (-values, ([-70, 0], [-1, 0]))):
        groups = summary_of(pd.DataFrame({"v": result}), y)["columns"]["v"]["groups"]
        assert (groups["from"], groups["to"]) == ends
        assert sorted(zip(groups["rows"], groups["rate"], strict=True)) == [(70, 1.0), (930, 0.0)]
    assert equal_starts(np.arange(1000.0), 4).tolist() == [0, 249, 499, 749]  # nothing repeated
    late = trend_of(np.r_[np.zeros(970), np.arange(1.0, 71)])
    assert (late["period"][0], late["rows"][0]) == (0, 970)


def trend_of(times):
    frame = pd.DataFrame({"t": times})
    return summary_of(frame, np.arange(len(times)) % 2, Scope(target="y", time_column="t"))["trend"]


def test_ranking_puts_the_cause_first(whole):
    ranking = whole["association"]["ranking"]
    assert ranking[0]["column"] == "x"
    assert ranking[0]["direction"] == "up"
    flag = next(r for r in ranking if r["column"] == "flag")
    assert flag["auc"] is not None
    assert flag["cramers_v"] is not None
    level = next(r for r in ranking if r["column"] == "level")
    assert level["auc"] is None


def test_correlations_list_the_planted_pair():
    rng = np.random.default_rng(0)
    a = rng.normal(size=500)
    actual = summary_of(
        pd.DataFrame({"a": a, "b": np.exp(-a), "c": rng.normal(size=500)}), rng.integers(0, 2, 500)
    )["correlation"]
    assert actual["strongest"][0]["value"] == -1
    assert {actual["strongest"][0]["a"], actual["strongest"][0]["b"]} == {"a", "b"}


def test_trend_takes_the_scope_column_first():
    frame, y = table(300)
    assert summary_of(frame, y)["trend"]["column"] == "day"
    by_count = summary_of(frame, y, Scope(target="y", time_column="count"))["trend"]
    assert (by_count["column"], by_count["period"]) == ("count", [float(v) for v in range(8)])
    assert sum(by_count["rows"]) == 300


@pytest.mark.parametrize(
    ("frame", "y"),
    [
        (pd.DataFrame({"a": [np.nan] * 9, "b": [None] * 9}), [0, 1, 0] * 3),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), [1]),
        (pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": ["x", "y", None]}), [1, 1, 1]),
        (
            pd.DataFrame(
                {"a": [1.0, 2.0, 3.0], "d": pd.to_datetime(["2024-01-01", None, "2024-05-01"])}
            ),
            [-1, -1, -1],
        ),
        (pd.DataFrame({"a": pd.Series([], dtype="float64"), "b": pd.Series([], dtype="str")}), []),
        (pd.DataFrame(index=range(3)), [0, 1, 0]),
    ],
)
@pytest.mark.parametrize(
    "kinds", [{}, {"a": "numeric", "b": "categorical", "d": "date"}, {"b": "text"}]
)
def test_degenerate_tables(frame, y, kinds):
    result = summary_of(
        frame,
        np.array(y, dtype="int8"),
        Scope(target="y", kinds={k: v for k, v in kinds.items() if k in frame}),
    )
    json.dumps(result, allow_nan=False)
    assert result["overview"]["rows"] == len(frame)
    assert not [line for line in compare(result, result) if line["notable"]]


def test_size_is_bounded():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {f"n{i}": rng.normal(size=200) * 10.0**i for i in range(60)}
        | {f"k{i}": rng.choice([f"é{'ü' * 70}{j}" for j in range(40)], 200) for i in range(40)}
    )
    result = summary_of(frame, rng.integers(0, 2, 200))
    assert len(json.dumps(result, ensure_ascii=False).encode()) < 300_000


def test_sampling_is_reported(monkeypatch):
    monkeypatch.setattr("fivefold.profiling.summary.SAMPLE", 100)
    result = summary_of(*table(400))
    assert result["notes"] == ["Associations rest on 100 rows drawn from 400 labelled ones."]
    assert sum(result["columns"]["level"]["levels"]["rows"]) == 400


def test_same_input_same_summary(whole):
    assert (
        summary_of(
            *table(),
            findings=[Finding(code="a-check", severity="warning", subject="x", found="odd")],
            source={"md5": "abc"},
        )
        == whole
    )


def test_psi_by_hand():
    # shares (10.5, 30.5)/41 and (20.5, 20.5)/41 after half a row more in each bin
    p, q = np.array([10.5, 30.5]) / 41, np.array([0.5, 0.5])
    assert smoothed_psi([20, 20], [10, 30]) == pytest.approx(float(((p - q) * np.log(p / q)).sum()))
    assert smoothed_psi([5, 5], [50, 50]) == pytest.approx(0)
    assert math.isfinite(smoothed_psi([10, 0], [0, 10]))


def test_psi_by_chance_holds_its_rate():
    rng = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    shifts = [
        smoothed_psi(rng.multinomial(500, shares), rng.multinomial(800, shares))
        for _ in range(2000)
    ]
    assert np.mean(np.array(shifts) > psi_by_chance(10, 500, 800, ALPHA)) < 0.004


def test_two_proportions_by_hand():
    # pooled .55, difference .1, se = sqrt(.55 * .45 * .02) = .07036, z = 1.4213, p = .1552
    assert two_proportions(50, 100, 60, 100) == pytest.approx(0.1552, abs=1e-4)
    assert two_proportions(0, 0, 1, 2) == 1


def test_histograms_are_laid_over_shared_edges():
    fine = {"edges": [0, 1, 2, 3, 4, 5, 6], "rows": [1, 2, 3, 4, 5, 6], "below": 7, "above": 8}
    coarse = {"edges": [0, 2, 4, 6, 8], "rows": [3, 7, 11, 5], "below": 7, "above": 3}
    assert align_histograms(fine, fine) == ([7, 1, 2, 3, 4, 5, 6, 8],) * 2
    wide = {"edges": [0, 2, 4, 6, 8, 10], "rows": [3, 7, 11, 5, 2], "below": 7, "above": 1}
    narrow = {
        "edges": list(range(11)),
        "rows": [1, 2, 3, 4, 5, 6, 2, 3, 1, 1],
        "below": 7,
        "above": 1,
    }
    assert align_histograms(wide, narrow) == ([7, 3, 7, 11, 5, 2, 1],) * 2
    before, now = align_histograms(coarse, {**coarse, "edges": [1000, 2000, 3000, 4000, 5000]})
    assert (sum(before), sum(now)) == (36, 36)
    assert smoothed_psi(before, now) > 1


def test_levels_only_one_side_lists_go_to_the_rest():
    before = {"level": ["a", "b"], "rows": [5, 4, 9], "other": 3}
    now = {"level": ["a", "c"], "rows": [6, 5], "other": 0}
    assert align_levels(before, now) == (
        [5, 4, 9],
        [6, 0, 5],
    )  # c may be among the 3 earlier ones; b is truly gone


def test_nothing_changed_in_the_same_table(whole):
    lines = compare(whole, json.loads(json.dumps(whole)))
    assert [line["what"] for line in lines] == ["rows", "positive rate"]
    assert not any(line["notable"] for line in lines)


def test_fresh_draws_are_quiet(whole):
    notable = [
        line
        for seed in range(1, 7)
        for line in compare(summary_of(*table(1500, seed)), whole)
        if line["notable"]
    ]
    assert len(notable) <= 1


def test_planted_shifts_are_notable(whole):
    frame, y = table(2000, seed=5)
    frame = frame.drop(columns="note").assign(
        x=frame["x"] + 1,
        count=frame["count"] * 1000,
        level=frame["level"].replace("c", "d"),
        extra="v" + frame["flag"],
    )
    frame.loc[:400, "noise"] = np.nan
    result = {
        (line["subject"], line["what"])
        for line in compare(summary_of(frame, y | (np.arange(2000) % 5 == 0)), whole)
        if line["notable"]
    }
    assert result == {
        ("target", "positive rate"),
        ("x", "distribution"),
        ("count", "distribution"),
        ("level", "distribution"),
        ("level", "new levels"),
        ("noise", "missing"),
        ("note", "column"),
        ("extra", "column"),
    }


def test_a_change_of_kind_or_format_is_reported(whole):
    frame, y = table()
    lines = compare(
        summary_of(
            frame.assign(
                x=frame["x"].round().astype(int).map(dict(enumerate("abcdefghijklmnopqr", -9)))
            ),
            y,
        ),
        whole,
    )
    assert ("x", "kind", "numeric", "categorical") in {
        (t["subject"], t["what"], t["before"], t["now"]) for t in lines if t["notable"]
    }
    assert compare(whole, {**whole, "format": 0})[0]["now"] == "not comparable"
