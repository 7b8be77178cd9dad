"""The training flow, run as a user runs it; its results are read through the Metaflow Client."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fivefold.core.parquet import from_parquet
from fivefold.data.splits import Assignment
from fivefold.lifecycle import window
from fivefold.model.bundle import from_bytes, sha256
from fivefold.tracking import client, metaflow_cards
from fivefold.training.algorithms import ALGORITHMS
from fivefold.training.final_steps import NO_TIME
from tests.support.running import (
    NO_MLFLOW,
    ROOT,
    SHORTEST,
    mlflow_file,
    run_flow,
    run_id,
    table_options,
    train,
)

pytestmark = pytest.mark.slow
NAMES = {"adaboost", "logistic_regression", "xgboost", "lightgbm", "random_forest"}
SAME_BUT_TIME = re.compile(r'"(seconds|started|finished)": [^,}]*')


def without_time(value) -> str:
    return SAME_BUT_TIME.sub("", json.dumps(value, sort_keys=True))


def test_the_steps_are_the_interface(tiny):
    assert {step.id for step in tiny[0]} == {
        "start",
        "validate",
        "eda",
        "split",
        "tune",
        "select",
        "evaluate",
        "record",
        "end",
    }


def test_the_last_lines_give_the_result_and_the_next_commands(tiny):
    for words in (
        r"Winner: \w+",
        r"Held-out ROC AUC: 0\.\d{4}, 95% interval 0\.\d{4} to [01]\.\d{4}",
        "Cards:",
        "card view",
        "resume",
        "score.py run --data",
    ):
        assert re.search(words, tiny[1]), words


def test_the_artifacts_say_what_was_trained_on(tiny, small_csv):
    source = tiny[0]["start"].task["source"].data
    assert source["md5"] == hashlib.md5(small_csv.read_bytes(), usedforsecurity=False).hexdigest()
    assert (source["source"], source["rows"]) == (str(small_csv), 600)


def test_all_algorithms_are_on_the_leaderboard_with_their_trials(tiny):
    board = tiny[0].data.leaderboard
    assert {row["algorithm"] for row in board} == set(ALGORITHMS) >= NAMES
    assert [row["rank"] for row in board] == list(range(1, len(ALGORITHMS) + 1))
    means = [row["auc_mean"] for row in board]
    assert means == sorted(means, reverse=True)
    trials = {row["algorithm"]: len(row["trials"]) for row in board}
    assert trials == {name: entry.trials_of(3) for name, entry in ALGORITHMS.items()}
    assert all(len(row["fold_scores"]) == 3 for row in board)
    assert tiny[0].data.winner == board[0]["algorithm"]


def test_the_holdout_figure_can_be_recomputed_from_the_bundle(tiny):
    data = tiny[0].data
    frame, held = from_parquet(data.table), data.place == -1
    bundle = from_bytes(data.bundle, data.bundle_sha256)
    scored = bundle.score(frame[held])
    auc = roc_auc_score(data.labels["y"][held], scored["probability"])
    assert auc == pytest.approx(data.evaluation["auc"]["value"], abs=1e-12)
    assert data.evaluation["rows"] == held.sum() == 120


def test_the_leaderboard_scores_are_those_of_the_out_of_fold_predictions(tiny):
    data = tiny[0].data
    y, fold_ids = data.labels["y"], data.place
    folds = [roc_auc_score(y[fold_ids == k], data.winner_oof[fold_ids == k]) for k in range(3)]
    assert np.mean(folds) == pytest.approx(data.leaderboard[0]["auc_mean"], abs=1e-9)
    assert np.isnan(data.winner_oof[fold_ids == -1]).all()


def test_the_blend_is_that_of_the_algorithms_and_the_decided_model_is_served(tiny):
    data = tiny[0].data
    assert sum(data.blend["weights"].values()) == pytest.approx(1)
    assert set(data.blend["weights"]) <= set(ALGORITHMS)
    y, fold_ids = data.labels["y"], data.place
    served = data.served_oof
    folds = [roc_auc_score(y[fold_ids == k], served[fold_ids == k]) for k in range(3)]
    decided = data.blend if data.blend["served"] == "blend" else data.leaderboard[0]
    assert np.mean(folds) == pytest.approx(decided["auc_mean"], abs=1e-6)
    about = from_bytes(data.bundle, data.bundle_sha256).metadata
    assert about.algorithm == ("blend" if data.blend["served"] == "blend" else data.winner)


def test_three_report_cards_and_a_live_card_of_each_algorithm_are_kept(tiny):
    html = metaflow_cards.report_cards(tiny[0])
    assert set(html) == {"eda", "leaderboard", "evaluation"}
    assert all(len(text) > 10_000 for text in html.values())
    from metaflow.cards import get_cards

    live = [get_cards(task, id="arm") for task in tiny[0]["tune"]]
    assert [len(of_task) for of_task in live] == [1] * len(ALGORITHMS)


def test_no_artifact_is_a_class_of_ours(tiny):
    for step in tiny[0]:
        for task in step:
            for artifact in task:
                assert not type(artifact.data).__module__.startswith(("fivefold", "flows")), (
                    artifact.pathspec
                )


def without(package: str, folder: Path) -> dict[str, str]:
    """Return settings under which `package` cannot be imported."""
    (folder / package).mkdir()
    (folder / package / "__init__.py").write_text("raise RuntimeError('planted fault')")
    return {"PYTHONPATH": str(folder)}


def test_an_algorithm_that_fails_is_reported_and_the_others_go_on(store, small_csv, tmp_path):
    options = [*table_options(small_csv), *NO_MLFLOW, *SHORTEST]
    run, _ = train(store, "run", *options, env=without("lightgbm", tmp_path))
    board = run.data.leaderboard
    assert [row["status"] for row in board] == ["ok"] * 4 + ["failed"]
    assert board[-1]["algorithm"] == "lightgbm"
    assert "planted fault" in board[-1]["error"]


@pytest.fixture(scope="module")
def recovered(tiny, store, small_csv, tmp_path_factory):
    """(process, run): with synthetic rows, all algorithms failed; the run was resumed."""
    synthetic = ["--synthetic-rows", 300, "--serve", "blend"]
    options = [*table_options(small_csv), *NO_MLFLOW, *SHORTEST, *synthetic]
    broken = without("optuna", tmp_path_factory.mktemp("broken"))
    failed = run_flow(store, "train.py", "run", *options, env=broken)
    run, _ = train(store, "resume", "tune", "--origin-run-id", run_id(failed.stdout))
    return failed, run


def test_when_all_algorithms_fail_the_message_says_how_to_resume(recovered):
    failed, resumed = recovered
    assert failed.returncode != 0
    assert f"all {len(ALGORITHMS)} algorithms failed" in failed.stdout
    assert "planted fault" in failed.stdout
    assert "resume tune" in failed.stdout
    assert {row["status"] for row in resumed.data.leaderboard} == {"ok"}


def test_bad_input_is_one_message_without_a_traceback(store, tmp_path):
    pd.DataFrame({"x": range(40), "y": ["a", "b"] * 20}).to_csv(tmp_path / "bad.csv", index=False)
    done = run_flow(store, "train.py", "run", "--data", tmp_path / "bad.csv", "--target", "y")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
    assert "positive-ambiguous" in done.stdout
    assert "--positive 'a'" in done.stdout
    assert "`resume` would go on with the table, options and scope" in done.stdout  # so: run again


def test_a_budget_is_kept(store, small_csv):
    budget = 60
    began = time.monotonic()
    options = [*table_options(small_csv), *mlflow_file(store), "--budget", budget, "--refit", "yes"]
    run, _ = train(store, "run", *options)
    took = time.monotonic() - began
    assert took < budget * 1.25  # the claim is 1.05 on a quiet machine, see the benchmark
    board = run.data.leaderboard
    assert {row["algorithm"] for row in board} == set(ALGORITHMS)
    assert all(row["trials"] or row["error"] == NO_TIME for row in board)
    assert all(row["trials"] for row in board if row["algorithm"] in ("lightgbm", "xgboost"))
    check_the_served_model_has_seen_all_rows(run)


def check_the_served_model_has_seen_all_rows(run):
    """The figures, the challenge and the monitor rest on the model that has not seen them."""
    data, held = run.data, run.data.place == Assignment.HOLDOUT
    served = from_bytes(data.bundle, data.bundle_sha256)
    judged = client.evaluated_bundle(run, served)
    again = served.metadata.refit
    assert (again.rows, again.judged_sha256) == (
        int((data.labels["y"] >= 0).sum()),
        sha256(data.judged),
    )
    assert judged.metadata.refit is None
    rows, y = from_parquet(data.typed)[held], data.labels["y"][held]
    assert data.evaluation["auc"]["value"] == pytest.approx(
        roc_auc_score(y, judged.probability(rows))
    )
    assert roc_auc_score(y, served.probability(rows)) > data.evaluation["auc"]["value"]
    assert "fitted again with the held-out rows" in data.closing
    reference = window.reference_of(run.pathspec)
    np.testing.assert_allclose(reference.scores, judged.probability(rows))
    assert reference.bundle.metadata.refit


def test_a_budget_that_is_too_small_still_ends_with_a_model(second):
    data = second[0].data
    assert {row["algorithm"] for row in data.leaderboard if row["status"] == "ok"} == {
        "lightgbm",
        "xgboost",
        "logistic_regression",  # the plain one, which nothing that is served may be below
    }
    assert {row["error"] for row in data.leaderboard if row["status"] != "ok"} == {NO_TIME}
    assert data.evaluation["auc"]["value"] > 0.6


def test_synthetic_rows_change_training_only(tiny, recovered):
    """The same rows are validated and held out, no label changes, and the models do differ."""
    more, plain = recovered[1].data, tiny[0].data
    assert (more.place == plain.place).all()
    assert (more.labels["y"] == plain.labels["y"]).all()
    assert (more.typed, more.table) == (plain.typed, plain.table)
    assert more.winner_oof.shape == plain.winner_oof.shape
    assert more.evaluation["rows"] == plain.evaluation["rows"] == 120
    first = {row["algorithm"]: row["trials"][0]["auc"] for row in plain.leaderboard}
    assert all(row["trials"][0]["auc"] != first[row["algorithm"]] for row in more.leaderboard)
    members = from_bytes(more.bundle, more.bundle_sha256).metadata.members
    wanted = more.blend["weights"] if len(more.blend["weights"]) > 1 else {more.winner: 1.0}
    assert {m["algorithm"]: m["weight"] for m in members} == wanted
    assert {"columns", "correlation_error", "utility"} <= set(more.summary["fidelity"])


def score(store: Path, folder: Path, number: str) -> subprocess.CompletedProcess[str]:
    """Score new.csv of `folder` with a run; the result is scored.csv."""
    files = ["--data", folder / "new.csv", "--out", folder / "scored.csv"]
    return run_flow(store, "score.py", "run", *files, "--run-id", number)


def test_scoring_uses_the_latest_finished_run_and_returns_every_row(
    tiny, store, small_csv, tmp_path
):
    frame = pd.read_csv(small_csv, dtype=str, keep_default_na=False).head(6)
    frame.loc[1, "age"] = "old"
    frame.loc[2, "country"] = "Atlantis"
    frame.to_csv(tmp_path / "new.csv", index=False)
    done = score(store, tmp_path, tiny[0].id)
    assert done.returncode == 0, done.stdout
    scored = pd.read_csv(tmp_path / "scored.csv", keep_default_na=False)
    assert len(scored) == 6
    assert "not a number" in scored["error"][1]
    assert scored["probability"][1] == ""
    assert "'Atlantis' was not seen in training" in scored["warnings"][2]
    assert (scored["error"].drop(1) == "").all()


def test_a_missing_column_is_shown_as_a_diff(tiny, store, small_csv, tmp_path):
    pd.read_csv(small_csv).drop(columns=["age"]).to_csv(tmp_path / "new.csv", index=False)
    done = score(store, tmp_path, tiny[0].id)
    assert done.returncode != 0
    assert "- age (numeric)" in done.stdout
    assert not (tmp_path / "scored.csv").exists()


def test_the_commands_work_from_any_directory(store, tmp_path):
    for arguments in (["show"], ["--help"], ["run", "--help"]):
        assert run_flow(tmp_path, "train.py", *arguments).returncode == 0
    assert (ROOT / "metaflow_config" / "config.json").exists()
