"""The step select: the plain regression as a contender, and what was given up."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fivefold.core.findings import verdict
from fivefold.core.parquet import to_parquet
from fivefold.data.splits import Split
from fivefold.model.evaluation import Evaluation, check_decides
from fivefold.model.inputs import expand
from fivefold.model.threshold import ConfusionMatrix, Threshold
from fivefold.training import final_steps
from fivefold.training.candidate import Candidate
from fivefold.training.ensemble import Ensemble
from fivefold.training.finalize import baselines
from fivefold.training.leaderboard import Leaderboard, LeaderboardRow
from fivefold.training.search import BASELINE
from tests.support.tables import prepared
from tests.support.training import candidate, fit_final


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
    selected = select(run, (0, 1, 2), noise=0.1, seconds=math.inf)
    assert selected.winner == "lightgbm"
    assert isinstance(Leaderboard.from_dicts(selected.leaderboard).rows[0].result, Candidate)
    failed = Leaderboard.from_dicts(selected.leaderboard).rows[1:]
    assert {row.result.error for row in failed} == {final_steps.NO_TIME}


def test_the_plain_baseline_is_served_where_nothing_beats_it(run):
    selected = select(run, (0, 1, 2), noise=50.0, seconds=math.inf)
    winner = Leaderboard.from_dicts(selected.leaderboard).winner
    assert (selected.winner, winner.params) == ("logistic_regression", BASELINE)
    assert Ensemble.from_dict(selected.blend).served == "single"
    np.testing.assert_array_equal(selected.served_oof, selected.winner_oof)


def test_the_plain_baseline_is_served_where_a_person_asks_for_it(run):
    run.serve = "plain"
    selected = select(run, (0, 1, 2), noise=0.1, seconds=math.inf)
    winner = Leaderboard.from_dicts(selected.leaderboard).winner
    assert (selected.winner, winner.params) == ("logistic_regression", BASELINE)
    blended = Ensemble.from_dict(selected.blend)
    assert (blended.served, blended.why) == ("single", "--serve plain")


def test_the_baseline_that_may_be_served_is_that_of_the_evaluation():
    """The same columns, scaled; only the solver differs."""
    typed, y, fold_ids, schema = prepared(400)
    train, held = fold_ids >= 0, fold_ids < 0
    expected = baselines(typed[train], y[train], typed[held], schema, 0)
    made = candidate("logistic_regression", params=BASELINE)
    model = fit_final(made, typed[train].reset_index(drop=True), y[train], schema, seeds=1)
    served = model.predict_proba(expand(typed[held], schema))[:, 1]
    np.testing.assert_allclose(served, expected["plain logistic regression"], atol=0.01)


def test_the_closing_words_show_the_held_out_figure_first_and_name_the_optimism():
    auc = {"value": 0.557, "low": 0.45, "high": 0.66, "se": 0.05, "method": "DeLong"}
    leak = verdict(True, "leak", "paid", found="alone AUC 0.98", action="drop it")
    evaluation = Evaluation(
        rows=100,
        positives=30,
        auc=auc,
        threshold=Threshold(0.5, why="given"),
        confusion=ConfusionMatrix(fn=30, tn=70),
        findings=[leak, check_decides(ConfusionMatrix(fn=30, tn=70), Threshold(0.5))],
    )
    winner = replace(candidate("lightgbm", auc_mean=0.6123), folds_scored=5, folds=5)
    board = Leaderboard((LeaderboardRow(winner, 1),))
    blended = Ensemble({"lightgbm": 1.0}, 0.6, 0.01, [], 0.0, 0.0, 0.0, "single", "alone")
    made = SimpleNamespace(
        evaluation=evaluation.to_dict(),
        blend=blended.to_dict(),
        leaderboard=board.to_dicts(),
        winner="lightgbm",
        problem={},
    )
    lines = final_steps.result_lines(made)
    assert lines[0].startswith("Held-out ROC AUC: 0.5570, 95% interval 0.4500 to 0.6600 (100 rows,")
    assert lines[1] == "CAUTION: paid: alone AUC 0.98. To do: drop it"
    assert lines[2].startswith("CAUTION: threshold: 0.5 flags nobody among 100 held-out rows. To")
    assert lines[3].startswith(
        "Cross-validated ROC AUC of the winner: 0.6123, too high as the best"
    )
    assert lines[3].endswith("+0.0553 against held out")
    assert "Threshold: 0.5 (given); it flags 0.0% of the held-out rows" in lines
