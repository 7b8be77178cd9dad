"""One peer on one table: `python tests/support/peers.py SYSTEM FOLDER BUDGET SEED`.

The peer's own Python runs it, so nothing of Fivefold is imported. FOLDER holds train.csv, test.csv
(without the target) and about.json; predictions.csv and times.json are written there.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path

import pandas as pd


def flaml(train: pd.DataFrame, target: str, budget: float, seed: int, folder: Path):
    from flaml import AutoML

    model = AutoML()
    model.fit(
        X_train=train.drop(columns=target),
        y_train=train[target],
        task="classification",
        metric="roc_auc",
        time_budget=budget,
        n_jobs=2,
        seed=seed,
        verbose=0,
    )
    return lambda rows: model.predict_proba(rows)[:, 1]


def autogluon(preset: str):
    def fit(train: pd.DataFrame, target: str, budget: float, seed: int, folder: Path):
        from autogluon.tabular import TabularPredictor

        model = TabularPredictor(
            label=target,
            eval_metric="roc_auc",
            path=str(folder / "autogluon"),
            verbosity=0,
            problem_type="binary",
            learner_kwargs={"random_state": seed},
        )
        model.fit(train, time_limit=budget, presets=preset, num_cpus=2, num_gpus=0)
        return lambda rows: model.predict_proba(rows)[1].to_numpy()

    return fit


SYSTEMS = {
    "flaml": flaml,
    "autogluon-best": autogluon("best_quality"),
    "autogluon-medium": autogluon("medium_quality"),
}


def main(system: str, path: str, budget: str, seed: str) -> None:
    """Fit the peer, write its predictions and its times."""
    folder = Path(path)
    about = json.loads((folder / "about.json").read_text())
    train, test = pd.read_csv(folder / "train.csv"), pd.read_csv(folder / "test.csv")
    train[about["target"]] = (train[about["target"]].astype(str) == about["positive"]).astype(int)
    began = time.perf_counter()
    predict = SYSTEMS[system](train, about["target"], float(budget), int(seed), folder)
    fitted = time.perf_counter() - began
    pd.DataFrame({"probability": predict(test)}).to_csv(folder / "predictions.csv", index=False)
    (folder / "times.json").write_text(json.dumps({"fit_s": fitted, **latency(predict, test)}))


def latency(predict, test: pd.DataFrame) -> dict[str, float]:
    """Return {row_ms, rows_10k_ms}: medians of one row and of 10,000 (test rows repeated)."""
    many = pd.concat([test] * -(-10_000 // len(test)), ignore_index=True).head(10_000)
    medians = {}
    for name, rows, repeats in (("row_ms", test.head(1), 15), ("rows_10k_ms", many, 3)):
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            predict(rows)
            times.append(1000 * (time.perf_counter() - began))
        medians[name] = statistics.median(times)
    return medians


if __name__ == "__main__":
    main(*sys.argv[1:])
