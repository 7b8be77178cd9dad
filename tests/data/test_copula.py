"""The copula: what it must carry over from the real table, and what happens at the edges."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr

from fivefold.core.two_sample import ks_test
from fivefold.data.synthetic import copula, fidelity, marginals
from fivefold.data.synthetic.copula import fit, nearest_correlation, sample

N = 4000
KINDS = {
    "key": "id",
    "x": "numeric",
    "y": "numeric",
    "zeros": "numeric",
    "count": "numeric",
    "flag": "boolean",
    "level": "categorical",
    "day": "date",
    "note": "text",
    "same": "constant",
}


@pytest.fixture(scope="module")
def real():
    """Planted: x and y correlate by .7 in both classes; everything else is tied to x or y."""
    rng = np.random.default_rng(1)
    z = rng.multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], N)
    label = np.where(rng.random(N) < 0.25, "yes", "no")
    x, y = z[:, 0] + 1.5 * (label == "yes"), np.exp(z[:, 1])
    gone = z[:, 0] + rng.normal(0, 0.5, N) > 1.2
    return pd.DataFrame(
        {
            "key": [f"K{i}" for i in range(N)],
            "x": x,
            "y": np.where(gone, np.nan, y),
            "zeros": np.where(z[:, 1] < -0.3, 0.0, np.round(50 + 10 * y, 2)),
            "count": np.floor(np.exp(z[:, 0] * 0.5)).astype("int64"),
            "flag": np.where(gone, np.nan, (z[:, 1] > 0.8).astype("float64")),
            "level": pd.Series(
                np.array(["low", "mid", "high"], object)[np.digitize(z[:, 0], [-0.5, 1])],
                dtype="str",
            ),
            "day": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.floor(20 * z[:, 1]), unit="D"),
            "note": [f"text {i % 7}" for i in range(N)],
            "same": 4.0,
            "label": label,
        }
    )


@pytest.fixture(scope="module")
def model(real):
    return fit(real, "label", KINDS)


@pytest.fixture(scope="module")
def made(model):
    return sample(model, 20_000, seed=2)


def test_columns_order_dtypes_and_class_shares_are_kept(real, made):
    assert list(made.columns) == list(real.columns)
    assert made.dtypes.to_dict() == real.dtypes.to_dict()
    assert (made.label == "yes").mean() == pytest.approx(
        (real.label == "yes").mean(), abs=1 / len(made)
    )
    assert made.label.head(50).nunique() == 2  # in random order, not class by class


def test_a_model_survives_json_and_the_seed_decides(real, model, made):
    again = sample(json.loads(json.dumps(model, allow_nan=False)), 20_000, seed=2)
    pd.testing.assert_frame_equal(again, made)
    assert not sample(model, 20_000, seed=3).equals(made)
    assert fit(real, "label", KINDS) == model


def test_fitting_does_not_depend_on_row_order_or_change_the_frame(real, model):
    before = real.copy(deep=True)
    shuffled = fit(real.sample(frac=1, random_state=0), "label", KINDS)
    pd.testing.assert_frame_equal(real, before)
    for one, other in zip(model["classes"], shuffled["classes"], strict=True):
        assert one["margins"]["x"] == other["margins"]["x"]
        assert np.abs(np.subtract(one["correlation"], other["correlation"])).max() < 1e-9


@pytest.mark.parametrize("name", ["x", "zeros", "count", "day"])
@pytest.mark.parametrize("label", ["yes", "no"])
def test_the_distribution_in_each_class_is_within_the_dkw_bound(real, made, name, label):
    a, b = (copula.codes_of(table.loc[table.label == label, name]) for table in (real, made))
    # Dvoretzky, Kiefer and Wolfowitz: exceeded once in 10,000; plus one step of the grid. The own
    # distribution function is that of the real rows, so only the drawn rows count as random.
    bound = np.sqrt(np.log(2 / 1e-4) / (2 * len(b))) + 1 / 512
    assert ks_test(a, b)[0] < bound


@pytest.mark.parametrize(("name", "label"), [("level", "yes"), ("level", "no"), ("note", "no")])
def test_levels_keep_their_shares(real, made, name, label):
    a, b = (table.loc[table.label == label, name] for table in (real, made))
    assert fidelity.level_distance(a, b) < 0.02
    assert set(b.dropna()) <= set(a.dropna())


def test_a_planted_correlation_is_recovered(model):
    rng = np.random.default_rng(5)
    z = rng.multivariate_normal([0, 0, 0], [[1, 0.8, -0.4], [0.8, 1, 0], [-0.4, 0, 1]], 20_000)
    frame = pd.DataFrame(
        {"a": np.exp(z[:, 0]), "b": z[:, 1] ** 3, "c": -1 / (1 + np.exp(z[:, 2])), "t": 0}
    )
    actual = np.array(
        fit(frame, "t", dict.fromkeys("abc", "numeric"))["classes"][0]["correlation"]
    )[:3, :3]
    assert actual == pytest.approx(np.array([[1, 0.8, -0.4], [0.8, 1, 0], [-0.4, 0, 1]]), abs=0.02)


def test_the_correlation_behind_coarse_columns_is_recovered_too():
    """Yes-no columns cut from normals of correlation .7 show .49; the hidden .7 must be found."""
    z = np.random.default_rng(6).multivariate_normal([0, 0], [[1, 0.7], [0.7, 1]], 40_000)
    frame = pd.DataFrame(
        {"a": (z[:, 0] > 0).astype(float), "b": (z[:, 1] > 0).astype(float), "t": 0}
    )
    assert frame.a.corr(frame.b) == pytest.approx(2 / np.pi * np.arcsin(0.7), abs=0.015)
    actual = fit(frame, "t", {"a": "boolean", "b": "boolean"})
    assert actual["classes"][0]["correlation"][0][1] == pytest.approx(0.7, abs=0.02)
    drawn = sample(actual, 40_000, 1)
    assert drawn.a.corr(drawn.b) == pytest.approx(frame.a.corr(frame.b), abs=0.02)


@pytest.mark.parametrize(
    ("a", "b"),
    [("x", "y"), ("x", "count"), ("y", "zeros"), ("x", "day"), ("y", "flag"), ("count", "flag")],
)
def test_rank_correlations_in_a_class_are_kept(real, made, a, b):
    wanted, actual = (
        pd.Series(copula.codes_of(t[a])[t.label == "no"]).corr(
            pd.Series(copula.codes_of(t[b])[t.label == "no"]), method="spearman"
        )
        for t in (real, made)
    )
    assert abs(wanted) > 0.3
    assert actual == pytest.approx(
        wanted, abs=0.06
    )  # low where flag and y are missing with x: see the module


def test_levels_are_ordered_by_what_they_go_with(real, made):
    assert next(c for c in fit(real, "label", KINDS)["columns"] if c["name"] == "level")[
        "levels"
    ] in (["low", "mid", "high"], ["high", "mid", "low"])
    means = made[made.label == "no"].groupby("level").x.mean()
    assert means["low"] < means["mid"] - 0.5 < means["high"] - 1


def test_the_difference_between_the_classes_is_kept(real, made):
    gaps = [t.groupby("label").x.mean().diff().iloc[-1] for t in (real, made)]
    assert gaps[1] == pytest.approx(gaps[0], abs=0.05)
    assert gaps[0] > 1.3


def test_atoms_are_kept_and_nothing_falls_into_the_gap(real, made):
    assert (made.zeros == 0).mean() == pytest.approx((real.zeros == 0).mean(), abs=0.02)
    assert not made.zeros.between(0, real.zeros[real.zeros > 0].min(), inclusive="neither").any()
    assert (made.zeros == made.zeros.round(2)).all()
    assert (made["count"] >= 0).all()
    assert (made.day == made.day.dt.normalize()).all()
    assert made.x.min() >= real.x.min()
    assert made.x.max() <= real.x.max()


def test_missing_cells_keep_their_share_and_go_together(real, made):
    for name in ("y", "flag"):
        assert made[name].isna().mean() == pytest.approx(real[name].isna().mean(), abs=0.02)
    both = [(t.y.isna() & t.flag.isna()).sum() / t.y.isna().sum() for t in (real, made)]
    assert both[0] == 1.0
    assert both[1] > 0.9
    gaps = [
        t.x[t.y.isna() & (t.label == "no")].mean() - t.x[t.y.notna() & (t.label == "no")].mean()
        for t in (real, made)
    ]
    assert gaps[1] == pytest.approx(gaps[0], abs=0.1)


@pytest.mark.parametrize("name", ["y", "flag"])
def test_what_is_present_keeps_its_distribution_where_missingness_goes_with_the_value(
    real, model, made, name
):
    """y is mostly missing where x (and y) is high: deleting after drawing would bias the rest."""
    one = model["classes"][0]
    place = list(one["margins"]).index(name)
    assert one["correlation"][place][place + len(one["margins"])] > 0.3
    a, b = (t.loc[t.label == "no", name].dropna().to_numpy() for t in (real, made))
    assert ks_test(a, b)[0] < np.sqrt(np.log(2 / 1e-4) / (2 * len(b))) + 1 / 512


def test_the_share_among_present_cells_is_that_of_a_simulation():
    z = np.random.default_rng(0).multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 200_000)
    kept = z[z[:, 1] < 0.5244, 0]  # 30% missing
    at = np.array([-1.5, -0.5, 0, 0.8, 2])
    simulated = np.searchsorted(np.sort(kept), at) / len(kept)
    assert marginals.present_share(at, 0.3, 0.6) == pytest.approx(simulated, abs=0.005)
    assert marginals.present_share(at, 0.3, 0.0) == pytest.approx(ndtr(at), abs=1e-12)


def test_identifiers_are_new(real, made):
    assert made.key.is_unique
    assert not set(made.key) & set(real.key)
    numbered = fit(pd.DataFrame({"n": [7, 3, 12], "t": [0, 1, 0]}), "t", {"n": "id"})
    assert sample(numbered, 4, 0).n.tolist() == [13, 14, 15, 16]


def test_pieces_of_a_hand_made_column():
    margin = marginals.fit(np.array([0, 0, 0, 0, 5, 6, 7, 9, 9, 9], dtype=float))
    assert margin == {
        "missing": 0.0,
        "pieces": [
            {"share": 0.4, "grid": [0.0]},
            {"share": 0.3, "grid": [5.0, 6.0, 7.0]},
            {"share": 0.3, "grid": [9.0]},
        ],
    }
    quantiles = marginals.values_at(
        margin, ndtr([-5, -0.3, -0.2533471, 0.1256613, 0.5244, 0.53, 5])
    )
    assert quantiles == pytest.approx([0, 0, 5, 6, 7, 9, 9], abs=1e-3)


def test_scores_and_coefficients_of_a_fair_coin():
    """E[Z | Z > 0] and sign(Z)'s first Hermite coefficient are sqrt(2/pi), the second is zero."""
    coin = np.array([0.0, 1.0] * 10)
    margin = marginals.fit(coin, are_levels=True)
    assert marginals.scores(margin, coin)[:2] == pytest.approx(
        np.sqrt(2 / np.pi) * np.array([-1, 1])
    )
    assert marginals.hermite(margin)[:3] == pytest.approx(
        [np.sqrt(2 / np.pi), 0, -np.sqrt(1 / (3 * np.pi))], abs=2e-3
    )
    smooth = marginals.hermite(marginals.fit(np.arange(100.0)))
    assert smooth[0] == pytest.approx(1, abs=1e-6)
    assert np.abs(smooth[1:10]).max() < 1e-6


def test_an_impossible_matrix_is_corrected_and_a_possible_one_left_alone():
    possible = np.array([[1, 0.5], [0.5, 1]])
    assert nearest_correlation(possible) is possible
    mended = nearest_correlation(np.array([[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]))
    assert np.linalg.eigvalsh(mended)[0] > 0
    assert np.diag(mended) == pytest.approx(np.ones(3))
    assert mended[0, 1] == pytest.approx(-mended[0, 2]) == pytest.approx(0.5, abs=1e-3)


def test_a_class_of_few_rows_borrows_the_correlations_of_all():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1000)
    frame = pd.DataFrame(
        {"a": a, "b": a + 0.2 * rng.normal(size=1000), "t": np.r_[np.ones(4), np.zeros(996)]}
    )
    large, small = fit(frame, "t", {"a": "numeric", "b": "numeric"})["classes"]
    assert small["rows"] == 4
    assert (
        small["correlation"][0][1]
        == pytest.approx(large["correlation"][0][1], abs=0.01)
        == pytest.approx(0.98, abs=0.01)
    )


def test_a_class_of_some_rows_is_drawn_towards_all_rows():
    """12 rows against 4 hidden variables: 12/16 of their correlation (-1, held at -.995)."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=1000)
    frame = pd.DataFrame(
        {"a": a, "b": np.r_[-a[:12], a[12:]], "t": np.r_[np.ones(12), np.zeros(988)]}
    )
    large, small = fit(frame, "t", {"a": "numeric", "b": "numeric"})["classes"]
    pooled = 0.995 * (988 - 12) / 1000
    assert small["correlation"][0][1] == pytest.approx(0.75 * -0.995 + 0.25 * pooled, abs=1e-3)
    assert large["correlation"][0][1] == pytest.approx((988 * 0.995 + 4 * pooled) / 992, abs=1e-3)


@pytest.mark.parametrize(
    ("columns", "kinds"),
    [
        ({"a": [3.5]}, {"a": "numeric"}),
        ({"a": [np.nan] * 4}, {"a": "numeric"}),
        ({"a": pd.Series([None] * 4, dtype="str")}, {"a": "categorical"}),
        ({"a": pd.to_datetime(["2026-01-01"] * 4)}, {"a": "constant"}),
        ({"a": ["only"] * 4}, {"a": "constant"}),
        ({"a": [True, False, True, True]}, {"a": "boolean"}),
        ({"a": pd.Series([None, "long text", None, "other"], dtype="str")}, {"a": "text"}),
        ({"a": [1.0, np.inf, -np.inf, 2.0]}, {"a": "numeric"}),
        (
            {"a": pd.to_datetime(["2026-01-01 10:30", None, "2026-01-02 11:45", None])},
            {"a": "date"},
        ),
        (
            {"a": ["x", "y", "x", "z"], "b": [1, 2, 3, 4], "c": [0.0, 1.0, np.nan, 0.0]},
            {"a": "id", "b": "id", "c": "boolean"},
        ),
        ({}, {}),
    ],
)
def test_degenerate_tables_can_be_fitted_and_drawn(columns, kinds):
    frame = pd.DataFrame(columns)
    frame["t"] = (
        ["no", "yes", "no", "yes"][: len(frame)] if len(frame) else ["no", "yes", "no", "yes"]
    )
    made = sample(json.loads(json.dumps(fit(frame, "t", kinds), allow_nan=False)), 30, seed=0)
    assert made.shape == (30, len(frame.columns))
    assert made.dtypes.to_dict() == frame.dtypes.to_dict()
    for name in set(columns) - {n for n, kind in kinds.items() if kind == "id"}:
        present = frame[name].replace([np.inf, -np.inf], np.nan).dropna()
        drawn = made[name].dropna()
        assert (len(drawn) == 0) == (len(present) == 0)
        assert not len(drawn) or (present.min() <= drawn.min() <= drawn.max() <= present.max())


def test_a_single_row_can_be_drawn(model):
    assert sample(model, 1, seed=0).shape == (1, 11)


def test_what_cannot_be_done_is_reported():
    frame = pd.DataFrame({"a": [1.0], "t": [None]})
    with pytest.raises(ValueError, match="expected the target 'z'"):
        fit(frame, "z", {"a": "numeric"})
    with pytest.raises(ValueError, match=r"expected a kind for \['a'\]"):
        fit(frame, "t", {})
    with pytest.raises(ValueError, match="expected labelled rows, found none"):
        fit(frame, "t", {"a": "numeric"})
    with pytest.raises(ValueError, match="expected at least 1, found 0"):
        sample({}, 0, 0)


def lost(actual: dict) -> float:
    """ROC AUC that is lost by training on the drawn rows."""
    return actual["utility"]["train_real"] - actual["utility"]["train_synthetic"]


def test_equal_tables_have_no_distance(real):
    actual = fidelity.fidelity(real[:3000], real[3000:], real[:3000], "label", KINDS)
    by = {c["column"]: c for c in actual["columns"]}
    assert {name for name, c in by.items() if c["value"] == 0} == set(real.columns) - {
        "key",
        "note",
    }
    assert by["key"]["reason"] == "identifiers are new"
    assert actual["correlation_error"] == {"mean": 0.0, "max": 0.0, "reason": ""}
    assert lost(actual) == 0
    assert actual["utility"]["train_real"] > 0.8
    json.dumps(actual, allow_nan=False)


def test_a_shifted_a_shuffled_and_a_mislabelled_table_are_seen(real):
    bad = real[:3000].assign(
        x=lambda t: t.x + 1,
        level="low",
        y=lambda t: t.y.sample(frac=1, random_state=0).to_numpy(),
        label=lambda t: t.label.sample(frac=1, random_state=0).to_numpy(),
    )
    actual = fidelity.fidelity(real[:3000], real[3000:], bad, "label", KINDS)
    by = {c["column"]: c for c in actual["columns"]}
    assert by["x"]["value"] > 0.25 > by["x"]["noise"]
    assert by["level"]["value"] == pytest.approx((real.level[:3000] != "low").mean())
    assert by["y"]["value"] == 0
    assert actual["correlation_error"]["max"] > 0.5
    assert lost(actual) > 0.25


def test_noise_is_the_level_that_equal_distributions_exceed_once_in_twenty_times():
    rng = np.random.default_rng(3)
    runs = [
        fidelity._compare_column(
            "a", "numeric", pd.Series(rng.normal(size=300)), pd.Series(rng.normal(size=400))
        )
        for _ in range(400)
    ]
    share = np.mean([run["value"] > run["noise"] for run in runs])
    assert 0.015 < share < 0.075


def test_what_cannot_be_assessed_is_not_assessed():
    frame = pd.DataFrame({"a": np.arange(30.0), "b": [1.0] * 5 + [np.nan] * 25, "t": [0, 1] * 15})
    actual = fidelity.fidelity(frame, frame[:8], frame, "t", {"a": "numeric", "b": "numeric"})
    assert actual["columns"][1]["value"] is None
    assert actual["columns"][1]["reason"] == "fewer than 20 values"
    assert actual["correlation_error"]["mean"] is None
    assert actual["utility"]["train_real"] is None
    assert actual["utility"]["reason"] == "fewer than two classes of 10 rows on every side"


def test_assess_uses_rows_that_the_copula_has_not_seen(real, monkeypatch):
    seen = {}
    fit_really = copula.fit

    def watched(frame, *arguments):
        seen["keys"] = set(frame.key)
        return fit_really(frame, *arguments)

    judged = fidelity.fidelity

    def watching(train, held, synthetic, *arguments):
        seen["train"], seen["held"] = set(train.key), set(held.key)
        seen["shares"] = [(t.label == "yes").mean() for t in (train, held)]
        seen["drawn"] = len(synthetic)
        return judged(train, held, synthetic, *arguments)

    monkeypatch.setattr(copula, "fit", watched)
    monkeypatch.setattr(fidelity, "fidelity", watching)
    actual = fidelity.assess(real, "label", KINDS)
    assert seen["keys"] == seen["train"]
    assert not seen["keys"] & seen["held"]
    assert seen["keys"] | seen["held"] == set(real.key)
    assert seen["shares"][0] == pytest.approx(seen["shares"][1], abs=0.002)
    assert seen["drawn"] == len(seen["train"])
    assert abs(lost(actual)) < 0.05
    assert actual["correlation_error"]["mean"] < 0.05
