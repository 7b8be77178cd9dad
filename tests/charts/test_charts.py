"""Charts are valid Vega-Lite, hold the right points, and never interpret text from data."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from fivefold.charts import evaluation as evaluation_charts
from fivefold.charts import model, style, table
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_table
from fivefold.data.infer import infer_schema
from fivefold.profiling.summary import summarise

NASTY = "<script>alert('x')</script>"
EDA_CHARTS = ("association", "missing", "correlation", "trend", "outliers")


@pytest.fixture(scope="module")
def summary() -> dict:
    rng = np.random.default_rng(0)
    n = 400
    frame = pd.DataFrame(
        {
            NASTY: rng.normal(size=n),
            "a.b[0]": rng.exponential(size=n),
            "few": rng.integers(0, 4, n),
            "kind": rng.choice([NASTY, "b", "c"], n),
            "many": rng.choice([f"v{i:02d}" for i in range(40)], n),
            "flag": rng.choice(["no", "yes"], n),
            "hole": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n)),
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), "D"),
            "gone": [None] * n,
        }
    )
    scope = Scope(target="y", units={"few": "products"}, kinds={"gone": "categorical"})
    schema = infer_schema(frame, scope, ("no", "yes"))
    typed, _ = coerce_table(frame, schema, used_only=False)
    return summarise(typed, rng.integers(0, 2, n), schema, scope, [], {})


def board() -> list[dict]:
    def arm(name, rank, scores, **more):
        return {
            "algorithm": name,
            "status": "ok",
            "auc_mean": float(np.mean(scores)),
            "auc_std": 0.01,
            "fold_scores": scores,
            "seconds": 3.0,
            "params": {"depth": 3},
            "rounds": None,
            "max_rows": None,
            "rows_fit": 100,
            "error": "",
            "p_value": None,
            "indistinguishable": True,
            "rank": rank,
            "trials": [
                {
                    "number": i,
                    "auc": s,
                    "state": "pruned" if i == 1 else "complete",
                    "seconds": 1.0,
                    "params": {},
                    "fold_scores": [s],
                    "rounds": None,
                    "max_rows": None,
                }
                for i, s in enumerate(scores)
            ],
            **more,
        }

    return [
        arm("xgboost", 1, [0.81, 0.80, 0.83]),
        arm("lightgbm", 2, [0.80, 0.79, 0.82], p_value=0.4),
        arm("adaboost", 3, [0.70, 0.71, 0.72], p_value=0.001, indistinguishable=False),
        {
            "algorithm": NASTY,
            "status": "failed",
            "auc_mean": None,
            "auc_std": None,
            "fold_scores": [],
            "seconds": 0.0,
            "params": {},
            "trials": [],
            "error": NASTY,
            "p_value": None,
            "indistinguishable": False,
            "rank": None,
        },
    ]


def score_rows() -> list[model.ScoreRow]:
    rows = []
    for row in board():
        if row["status"] == "ok":
            figures = row["auc_mean"], row["auc_std"], row["fold_scores"]
            standing = row["rank"], row["indistinguishable"]
            rows.append(model.ScoreRow(row["algorithm"], *standing, *figures))
    return rows


def trial_scores() -> list[model.TrialScore]:
    fields = ("number", "auc", "state", "seconds")
    return [model.TrialScore(*(trial[name] for name in fields)) for trial in board()[0]["trials"]]


def evaluation() -> dict:
    grid = [0.0, 0.5, 1.0]
    return {
        "auc": {"value": 0.86, "low": 0.84, "high": 0.88, "method": "DeLong"},
        "curves": {
            "roc": {"fpr": grid, "tpr": [0.0, 0.8, 1.0]},
            "pr": {"recall": grid, "precision": [1.0, 0.7, 0.2]},
            "calibration": [
                {"predicted": 0.1, "observed": 0.12, "low": 0.1, "high": 0.15, "count": 50}
            ],
            "lift": {"share": [0.1, 0.5, 1.0], "gain": [0.4, 0.9, 1.0], "lift": [4.0, 1.8, 1.0]},
            "cost": {"threshold": grid, "cost": [0.8, 0.4, 1.0]},
        },
        "confusion": {"tp": 70, "fp": 40, "fn": 30, "tn": 360},
        "threshold": {"value": 0.3, "why": "cheapest"},
        "importance": [
            {"column": NASTY, "mean": 0.1, "sd": 0.01},
            {"column": "b", "mean": -0.01, "sd": 0.01},
        ],
        "baselines": [{"name": "base rate", "auc": 0.5, "low": 0.5, "high": 0.5}],
        "metrics": {
            "roc_auc": {"value": 0.86, "low": 0.84, "high": 0.88},
            "precision": {"value": None, "low": None, "high": None},
        },
        "segments": [
            {
                "column": "g",
                "level": NASTY,
                "rows": 10,
                "positive_rate": 0.2,
                "mean_probability": 0.2,
                "flagged": 0.1,
                "recall": None,
                "false_alarm_rate": 0.1,
                "auc": None,
                "auc_low": None,
                "auc_high": None,
                "note": "too few rows to evaluate",
            }
        ],
        "findings": [
            {
                "code": "success-roc-auc",
                "severity": "passed",
                "subject": "model",
                "found": NASTY,
                "expected": "",
                "action": "",
            }
        ],
    }


def points(chart) -> list[dict]:
    """All inline rows of a chart and its layers."""
    spec = chart.to_dict()
    layers = [spec, *spec.get("layer", [])]
    return [row for layer in layers for row in layer.get("data", {}).get("values", [])]


def expressions(spec) -> list[str]:
    """Every place in a specification that Vega would evaluate, follow or load, outside the data."""
    if isinstance(spec, dict):
        actual = [
            str(v)
            for k, v in spec.items()
            if k
            in ("expr", "calculate", "test", "filter", "labelExpr", "url", "href", "field", "title")
        ]
        return actual + [e for k, v in spec.items() if k != "values" for e in expressions(v)]
    return [e for v in spec for e in expressions(v)] if isinstance(spec, list) else []


def test_every_column_has_its_charts(summary):
    for column in summary["columns"].values():
        for compact in (False, True):
            for chart in (
                table.distribution(column, compact=compact),
                table.rate(column, 0.5, compact=compact),
            ):
                spec = chart.to_dict()
                assert ("width" in spec) == compact
                assert spec["config"]["background"] == "transparent"


@pytest.mark.parametrize("name", EDA_CHARTS)
def test_summary_charts_are_valid_json(summary, name):
    given = {
        "association": summary["association"]["ranking"],
        "correlation": summary["correlation"],
        "trend": summary["trend"],
    }.get(name, summary["columns"])
    json.dumps(getattr(table, name)(given).to_dict(), allow_nan=False)


def test_points_are_counted(summary):
    few = summary["columns"]["few"]
    assert len(points(table.distribution(few))) == 2 * 4  # bins by class
    assert sum(p["rows"] for p in points(table.distribution(few))) == 400
    rates = points(table.rate(few, 0.5))
    assert len([p for p in rates if "group" in p]) == 4
    assert {"at": 0.5} in rates  # the line of the whole table
    assert len(points(table.distribution(summary["columns"]["many"]))) == 2 * 21
    assert (
        len(points(table.distribution(summary["columns"]["many"], compact=True)))
        == 2 * style.CELL_LEVELS
    )
    assert len(points(table.association(summary["association"]["ranking"]))) == 9
    assert [p["column"] for p in points(table.missing(summary["columns"]))] == ["gone", "hole"]
    assert len(points(table.correlation(summary["correlation"]))) == 5 * 4 / 2
    assert len(points(table.trend(summary["trend"]))) == 10


def test_classes_keep_their_colours(summary):
    for name in ("few", "kind", "day"):
        scale = table.distribution(summary["columns"][name], ("will stay", "will leave")).to_dict()[
            "encoding"
        ]["color"]["scale"]
        assert scale == {
            "domain": ["will stay", "will leave"],
            "range": [style.NEGATIVE, style.POSITIVE],
        }


def test_bars_that_do_not_start_at_zero_are_clipped(summary):
    for layer in table.association(summary["association"]["ranking"]).to_dict()["layer"]:
        assert layer["mark"]["clip"] is True


def test_units_are_on_the_axis(summary):
    assert (
        "few (products)"
        in table.distribution(summary["columns"]["few"]).to_dict()["encoding"]["x"]["title"]
    )


def test_nothing_to_show_is_reported():
    nothing = {"columns": [], "matrix": [], "rows": 0}
    for chart in (
        table.association([]),
        table.missing({}),
        table.correlation(nothing),
        table.outliers({}),
        model.leaderboard([]),
        model.trials([]),
        evaluation_charts.importance([]),
    ):
        assert points(chart) == [{"text": style.NOTHING}]


@pytest.mark.parametrize(
    "draw",
    [
        evaluation_charts.roc,
        evaluation_charts.precision_recall,
        evaluation_charts.calibration,
        evaluation_charts.gain,
        evaluation_charts.cost,
        evaluation_charts.baselines,
        lambda e: evaluation_charts.confusion(e["confusion"]),
        lambda e: evaluation_charts.importance(e["importance"]),
        lambda e: model.leaderboard(score_rows()),
        lambda e: model.trials(trial_scores()),
    ],
)
def test_model_charts_are_valid_and_transparent(draw):
    spec = draw(evaluation()).to_dict()
    json.dumps(spec, allow_nan=False)
    assert spec["config"]["background"] == "transparent"
    assert "width" not in spec


def test_model_points():
    e = evaluation()
    assert [p["tpr"] for p in points(evaluation_charts.roc(e)) if "i" in p] == [0.0, 0.8, 1.0]
    assert {"fpr": 0.1, "tpr": 0.7} in points(
        evaluation_charts.roc(e)
    )  # the threshold: 40 of 400, 70 of 100
    assert len(points(model.leaderboard(score_rows()))) == 3 * 3 + 3
    assert [p["best"] for p in points(model.trials(trial_scores()))] == [0.81, 0.81, 0.83]
    assert {p["text"] for p in points(evaluation_charts.confusion(e["confusion"]))} == {
        "70 (70%)",
        "30 (30%)",
        "40 (10%)",
        "360 (90%)",
    }
    assert points(evaluation_charts.gain(e, 0.25))[-1] == {"at": 0.25}


def test_a_threshold_that_flags_nobody_has_no_cross():
    e = evaluation() | {"confusion": {"tp": 0, "fp": 0, "fn": 100, "tn": 400}}
    for draw in (evaluation_charts.roc, evaluation_charts.precision_recall):
        draw(e).to_dict()


def test_text_from_data_is_never_an_expression_field_or_address(summary):
    drawn = [
        table.association(summary["association"]["ranking"]),
        table.missing(summary["columns"]),
        table.correlation(summary["correlation"]),
        table.outliers(summary["columns"]),
        table.distribution(summary["columns"]["kind"]),
        table.rate(summary["columns"]["kind"]),
        evaluation_charts.importance(evaluation()["importance"]),
        model.leaderboard(score_rows()),
    ]
    for chart in drawn:
        spec = chart.to_dict()
        spec.pop("title", None)
        assert not [e for e in expressions(spec) if "<script" in e]
