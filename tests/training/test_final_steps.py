"""The step select: the plain regression as a contender, and what was given up."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fivefold.core.parquet import to_parquet
from fivefold.data.splits import Split
from fivefold.training import final_steps
from fivefold.training.candidate import Candidate
from fivefold.training.ensemble import Ensemble
from fivefold.training.leaderboard import Leaderboard
from tests.support.tables import prepared
from tests.support.training import candidate


@pytest.fixture
def run():
    typed, y, fold_ids, schema = prepared(600)
    return SimpleNamespace(
        labels={"y": y},
        problem={"target": "left"},
        place=fold_ids,
        searched=Split(fold_ids).training_rows,
        typed=to_parquet(typed),
        contract=schema.to_json(),
        seed=0,
        budget=60,
        synthetic_rows=0,
        serve="auto",
    )


def select(run, folds, noise, seconds):
    """Select after a search of LightGBM alone, which scored these folds."""
    y, fold_ids = run.labels["y"][run.searched], run.place[run.searched]
    raw = y + noise * np.random.default_rng(0).normal(size=len(y))
    oof = np.where(np.isin(fold_ids, folds), 1 / (1 + np.exp(-raw)), np.nan)
    found = replace(
        candidate("lightgbm", auc_mean=0.99, rows_fit=320),
        folds_scored=len(folds),
        folds=3,
        fold_rows=320,
    )
    task = SimpleNamespace(input="lightgbm", candidate=found.to_dict(), oof=oof.astype("float32"))
    return final_steps.select(run, [task], seconds, 1, "no")


def algorithms(selected):
    return [row.algorithm for row in Leaderboard.from_dicts(selected.leaderboard).rows]


def test_under_a_budget_a_model_below_the_plain_regression_is_not_served(run):
    selected = select(run, (0, 1), noise=50.0, seconds=60.0)
    board = Leaderboard.from_dicts(selected.leaderboard)
    assert selected.winner == board.winner.algorithm == "logistic_regression"
    assert (board.winner.folds_scored, len(board.winner.trials)) == (2, 1)
    scored = np.isin(run.place, (0, 1))
    assert (np.isfinite(selected.winner_oof) == scored).all()
    assert not np.isfinite(selected.served_oof[~scored]).any()
    assert Ensemble.from_dict(selected.blend).plan.rows.keys() >= {"logistic_regression"}


def test_a_better_model_stays_the_winner_and_what_it_gave_up_is_said(run, capsys):
    selected = select(run, (0,), noise=0.1, seconds=60.0)
    assert selected.winner == "lightgbm"
    assert algorithms(selected)[:2] == ["lightgbm", "logistic_regression"]
    output = capsys.readouterr().out
    assert "LightGBM: 1 of 3 folds, all 320 rows, 1 trial: the time allowed no more" in output
    assert "Logistic regression: 1 of 3 folds" in output


def test_without_a_budget_nothing_is_added(run):
    selected = select(run, (0, 1, 2), noise=50.0, seconds=math.inf)
    assert selected.winner == "lightgbm"
    assert isinstance(Leaderboard.from_dicts(selected.leaderboard).rows[0].result, Candidate)
    failed = Leaderboard.from_dicts(selected.leaderboard).rows[1:]
    assert {row.result.error for row in failed} == {final_steps.NO_TIME}
