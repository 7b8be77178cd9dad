"""Held-out ROC AUC for the same seconds: Fivefold and its peers on a folder of tables.

    python -m tests.bench.quality --tables FOLDER --budget 60 --seeds 3

FOLDER holds CSV files and an index.json: [{name, target, positive, drop}]. Without one,
scikit-learn's bundled table and the generated one are used. Every (table, seed, system) runs once,
one after the other, as a whole process; the machine should be quiet. Results are kept in --out, and
a second call continues where the first was stopped.

The budget is in wall seconds of the whole process: of Fivefold until its run has ended, of a peer
until its predictions are written. A peer gets the budget as its own time limit; its imports, last
steps and predictions come on top. AUC intervals: paired t over (table, seed).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.support.running import ROOT, command, environment, open_run, run_id

AUTOGLUON = (
    "autogluon",
    ["torch==2.13.0", "autogluon.tabular[lightgbm,xgboost,catboost,fastai]==1.6.3"],
)
PEERS = {  # system -> (environment, what is installed in it)
    "flaml": ("flaml", ["flaml[automl]==2.7.0"]),
    "autogluon-best": AUTOGLUON,
    "autogluon-medium": AUTOGLUON,
}
OURS = "fivefold"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="folder with index.json")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "quality")
    parser.add_argument("--budget", type=int, default=60, help="wall seconds")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--systems", default=",".join([OURS, *PEERS]))
    options = parser.parse_args()
    systems = options.systems.split(",")
    if unknown := set(systems) - {OURS, *PEERS}:
        parser.error(f"--systems: expected some of {[OURS, *PEERS]}, found {sorted(unknown)}")
    options.out.mkdir(parents=True, exist_ok=True)
    pythons = {
        system: _environment(options.out / "environments", *PEERS[system])
        for system in systems
        if system != OURS
    }
    for name, frame, about in tables(options.tables):
        for seed in range(options.seeds):
            for system in systems:
                run_folder = options.out / f"{options.budget}s" / name / str(seed) / system
                if (run_folder / "result.json").exists():
                    continue
                shutil.rmtree(run_folder, ignore_errors=True)
                run_folder.mkdir(parents=True)
                test = divide(frame, about, seed, run_folder)
                result = measure(run_folder, about, options.budget, seed, pythons.get(system))
                result |= score(run_folder, test)
                (run_folder / "result.json").write_text(json.dumps(result))
                for heavy in ("autogluon", "store"):  # models; the predictions stay
                    shutil.rmtree(run_folder / heavy, ignore_errors=True)
                print(f"{name} seed {seed} {system}: {result}", flush=True)
    report(options.out / f"{options.budget}s", systems)


def tables(folder: Path | None) -> Iterable[tuple[str, pd.DataFrame, dict]]:
    """(name, table, {target, positive}) of each table."""
    if folder is None:
        from sklearn.datasets import load_breast_cancer

        from fivefold.data.synthetic.bank import write

        whole = load_breast_cancer(as_frame=True).frame.assign(
            target=lambda f: f["target"].map({0: "yes", 1: "no"})
        )
        yield "breast_cancer", whole, {"target": "target", "positive": "yes"}
        made = ROOT / "build" / "generated.csv"
        made.parent.mkdir(exist_ok=True)
        write(made, rows=10_000, seed=5)
        yield (
            "generated",
            pd.read_csv(made, dtype="str").drop(columns="customer_id"),
            {"target": "churned", "positive": "yes"},
        )
        return
    for entry in json.loads((folder / "index.json").read_text()):
        frame = pd.read_csv(folder / f"{entry['name']}.csv", dtype="str").drop(
            columns=entry.get("drop", [])
        )
        yield entry["name"], frame, {"target": entry["target"], "positive": str(entry["positive"])}


def divide(frame: pd.DataFrame, about: dict, seed: int, run_folder: Path) -> np.ndarray:
    """Write train.csv, test.csv and about.json of a stratified 75/25 split; return test labels."""
    from sklearn.model_selection import train_test_split

    train, test = train_test_split(
        frame, test_size=0.25, random_state=seed, stratify=frame[about["target"]]
    )
    train.to_csv(run_folder / "train.csv", index=False)
    test.drop(columns=about["target"]).to_csv(run_folder / "test.csv", index=False)
    (run_folder / "about.json").write_text(json.dumps(about))
    return (test[about["target"]] == about["positive"]).to_numpy().astype(int)


def measure(run_folder: Path, about: dict, budget: int, seed: int, python: Path | None) -> dict:
    """Run one system as a process; return {wall_s, peak_mb (of its largest process), failed}."""
    if python is None:
        (run_folder / "store").mkdir()
        words = command(
            "train.py",
            "run",
            "--data",
            run_folder / "train.csv",
            "--target",
            about["target"],
            "--positive",
            about["positive"],
            "--budget",
            budget,
            "--seed",
            seed,
            "--mlflow-uri",
            f"sqlite:///{run_folder}/store/m.db",
        )
        env, cwd = environment(run_folder / "store"), run_folder / "store"
    else:
        words = [
            str(python),
            str(ROOT / "tests" / "support" / "peers.py"),
            run_folder.name,
            str(run_folder),
            str(budget),
            str(seed),
        ]
        env, cwd = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "2"}, run_folder
    with (run_folder / "log").open("wb") as log:
        began = time.time()
        process = subprocess.Popen(words, cwd=cwd, env=env, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
        ended = time.time()
    if (
        python is not None and (run_folder / "predictions.csv").exists()
    ):  # after that it measures how quickly it answers
        ended = (run_folder / "predictions.csv").stat().st_mtime
    if status == 0 and python is None:
        answer_with_bundle(run_folder)
    times = (
        json.loads((run_folder / "times.json").read_text())
        if (run_folder / "times.json").exists()
        else {}
    )
    return {
        "wall_s": round(ended - began, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "failed": status != 0,
        **times,
    }


def answer_with_bundle(run_folder: Path) -> None:
    """Write predictions and latencies of the run in this folder, from its bundle alone."""
    from fivefold.data.reading import source
    from fivefold.model.bundle import from_bytes
    from fivefold.tracking import client
    from tests.support.peers import latency

    bundle = from_bytes(
        *client.bundle_bytes(
            open_run(run_folder / "store", run_id((run_folder / "log").read_text()))
        )
    )
    test = source.read(str(run_folder / "test.csv")).frame

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return bundle.score(rows)["probability"].to_numpy()

    pd.DataFrame({"probability": predict(test)}).to_csv(run_folder / "predictions.csv", index=False)
    (run_folder / "times.json").write_text(
        json.dumps({"winner": bundle.metadata.algorithm, **latency(predict, test)})
    )


def score(run_folder: Path, labels: np.ndarray) -> dict:
    """{auc, log_loss} of the predictions; None where there are none."""
    from sklearn.metrics import log_loss, roc_auc_score

    if not (run_folder / "predictions.csv").exists():
        return {"auc": None, "log_loss": None}
    p = pd.read_csv(run_folder / "predictions.csv")["probability"]
    return {"auc": float(roc_auc_score(labels, p)), "log_loss": float(log_loss(labels, p))}


def report(folder: Path, systems: list[str]) -> None:
    """Print the figures by system, by table, and ours against each peer with a 95% interval."""
    from scipy.stats import t

    rows = [
        {
            "table": f.parts[-4],
            "seed": f.parts[-3],
            "system": f.parts[-2],
            **json.loads(f.read_text()),
        }
        for f in sorted(folder.glob("*/*/*/result.json"))
        if f.parts[-2] in systems
    ]
    results = pd.DataFrame(rows)
    by = results.pivot_table(index=["table", "seed"], columns="system", values="auc")
    summary = results.groupby("system")[
        ["auc", "log_loss", "wall_s", "peak_mb", "row_ms", "rows_10k_ms"]
    ].mean()
    summary["rank"] = by.rank(axis=1, ascending=False).mean()
    summary["failed"] = results.groupby("system")["failed"].sum()
    print(summary.sort_values("rank").round(4).to_string())
    print(by.groupby("table").mean().round(4).to_string())
    for peer in (s for s in systems if s in by and s != OURS and OURS in by):
        gain = (by[OURS] - by[peer]).dropna()
        if len(gain) > 1:
            half = t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5
            print(
                f"{OURS} - {peer}: {gain.mean():+.4f} "
                f"({gain.mean() - half:+.4f} to {gain.mean() + half:+.4f}), "
                f"{len(gain)} pairs"
            )


def _environment(folder: Path, name: str, packages: list[str]) -> Path:
    """The Python of a peer's own environment, made where it is not there yet."""
    run_folder = folder / name
    python = run_folder / "bin" / "python"
    if not (run_folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", run_folder], check=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
            check=True,
        )
        (run_folder / "ready").touch()
    return python


if __name__ == "__main__":
    main()
