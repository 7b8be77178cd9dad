"""Held-out ROC AUC for the same seconds: Fivefold and its peers on many tables.

    python -m tests.bench.quality --tables FOLDER --budget 60,180 --half choose

The tables are those of `tests.bench.public_tables`, and those of FOLDER: CSV files with an
index.json: [{name, target, positive, drop}]. A table belongs to the half "choose" or "report"
(`tests.support.halves`). Every (budget, seed, table, system) runs once, one after the other, as a
whole process. Results are kept in --out, and a second call continues where the first was stopped.

The machine should be quiet. A run beside which others used more than 10% of its processors' time is
marked, does not count, and is repeated by the next call. The budget is in wall seconds of the whole
process: of Fivefold until its run has ended, of a peer until its predictions are written. A peer
gets the budget as its own time limit; its imports, last steps and predictions come on top.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from tests.bench import public_tables
from tests.bench.quality_report import OURS, read_results, report
from tests.support.environments import package_environment
from tests.support.halves import HALVES, half
from tests.support.machine_load import adopt_orphans, load_between, reap_orphans, snapshot
from tests.support.running import ROOT, command, environment, open_run, run_id, wait_for_mirror

AUTOGLUON = (
    "autogluon",
    ["torch==2.13.0", "autogluon.tabular[lightgbm,xgboost,catboost,fastai]==1.6.3"],
)
PEERS = {  # system -> (environment, what is installed in it)
    "flaml": ("flaml", ["flaml[automl]==2.7.0"]),
    "autogluon-best": AUTOGLUON,
    "autogluon-medium": AUTOGLUON,
}
HEAVY = ("autogluon", "store", "train.csv", "test.csv")  # deleted after a run


@dataclass(frozen=True)
class Table:
    """A table of the benchmark: its file, and the column and value of its outcome."""

    name: str
    path: Path
    target: str
    positive: str
    drop: tuple[str, ...]

    def about(self) -> dict[str, str]:
        return {"target": self.target, "positive": self.positive}


def main() -> None:
    options = arguments()
    tables_folder = options.out / "tables"
    if not options.report:
        environments = options.out / "environments"
        public_tables.write(tables_folder, environments)
        pythons = {
            system: package_environment(environments, *PEERS[system])
            for system in options.systems
            if system != OURS
        }
        folders = [folder for folder in (tables_folder, options.tables) if folder]
        chosen = [table for table in tables(folders) if half(table.name) in options.half]
        run_all(chosen, options, pythons)
    for budget in options.budget:
        results = read_results(options.out / f"{budget}s", options.systems)
        print(report(results, budget, options.half), flush=True)


def arguments() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=Path, help="folder of further tables, with index.json")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "quality")
    parser.add_argument("--budget", default="60", help="wall seconds, such as 60,180")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--systems", default=",".join([OURS, *PEERS]))
    parser.add_argument("--half", choices=[*HALVES, "all"], default="all")
    parser.add_argument("--report", action="store_true", help="run nothing: only print the report")
    options = parser.parse_args()
    options.systems = options.systems.split(",")
    if unknown := set(options.systems) - {OURS, *PEERS}:
        parser.error(f"--systems: expected some of {[OURS, *PEERS]}, found {sorted(unknown)}")
    options.budget = [int(seconds) for seconds in options.budget.split(",")]
    options.half = list(HALVES) if options.half == "all" else [options.half]
    options.out = options.out.resolve()
    return options


def tables(folders: list[Path]) -> list[Table]:
    """Return the tables of the folders' indexes; the first of two with the same name."""
    found: dict[str, Table] = {}
    for folder in folders:
        for entry in json.loads((folder / "index.json").read_text()):
            name = entry["name"]
            path = folder / f"{name}.csv"
            drop = tuple(entry.get("drop", []))
            table = Table(name, path, entry["target"], str(entry["positive"]), drop)
            found.setdefault(name, table)
    return list(found.values())


def run_all(chosen: list[Table], options: argparse.Namespace, pythons: dict[str, Path]) -> None:
    """Run every system on every table that has no result yet which counts."""
    adopt_orphans()
    for budget, seed, table in product(options.budget, range(options.seeds), chosen):
        folder = options.out / f"{budget}s" / table.name / str(seed)
        missing = [name for name in options.systems if not has_result(folder / name)]
        if not missing:
            continue
        frame = read_table(table)
        for system in missing:
            result = run_once(table, frame, budget, seed, folder / system, pythons.get(system))
            print(f"{budget} s, {table.name}, seed {seed}, {system}: {result}", flush=True)


def has_result(run_folder: Path) -> bool:
    """Whether the run is done, and was not beside other work."""
    path = run_folder / "result.json"
    return path.exists() and not json.loads(path.read_text()).get("busy", False)


def read_table(table: Table) -> pd.DataFrame:
    """Return the table as text, without the columns to drop; "" drops the one without a name."""
    with table.path.open(encoding="utf-8-sig") as lines:
        header = next(lines)
    delimiter = max(",;\t", key=header.count)
    frame = pd.read_csv(table.path, dtype="str", sep=delimiter, encoding="utf-8-sig")
    dropped = ["Unnamed: 0" if column == "" else column for column in table.drop]
    return frame.drop(columns=dropped)


def run_once(
    table: Table,
    frame: pd.DataFrame,
    budget: int,
    seed: int,
    run_folder: Path,
    python: Path | None,
) -> dict:
    """Run one system on one split, write its result.json and return what is in it."""
    shutil.rmtree(run_folder, ignore_errors=True)
    run_folder.mkdir(parents=True)
    labels, probability = divide(table, frame, seed, run_folder)
    result = measure(run_folder, table.about(), budget, seed, python)
    try:
        if python is None and not result["failed"]:
            answer_with_bundle(run_folder)
        result |= score(run_folder, labels)
    except Exception as fault:  # whatever it is, the other runs go on
        result |= {"failed": True, "error": repr(fault)[:500]}
    times = run_folder / "times.json"
    if times.exists():
        result |= json.loads(times.read_text())
    if probability is not None:
        result["best_auc"] = roc_auc(labels, probability)
    if python is None:
        result["code"] = commit()
    (run_folder / "result.json").write_text(json.dumps(result))
    for name in HEAVY:
        path = run_folder / name
        path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
    return result


def divide(
    table: Table, frame: pd.DataFrame, seed: int, run_folder: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Write train.csv, test.csv and about.json of a stratified 75/25 split.

    Returns the labels of the test rows and, for a generated table, their true probabilities. The
    split is random also where the table has a time or a group: it is the same for all systems.
    """
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(frame))
    train, test = train_test_split(
        rows, test_size=0.25, random_state=seed, stratify=frame[table.target]
    )
    frame.iloc[train].to_csv(run_folder / "train.csv", index=False)
    held_out = frame.iloc[test]
    held_out.drop(columns=table.target).to_csv(run_folder / "test.csv", index=False)
    (run_folder / "about.json").write_text(json.dumps(table.about()))
    labels = (held_out[table.target] == table.positive).to_numpy().astype(int)
    truth = table.path.with_suffix(".probability.csv")
    if not truth.exists():
        return labels, None
    return labels, pd.read_csv(truth)["probability"].to_numpy()[test]


def measure(run_folder: Path, about: dict, budget: int, seed: int, python: Path | None) -> dict:
    """Run one system as a process.

    Returns {wall_s, peak_mb (of its largest process), failed} and what else the machine did. A
    process that takes more than ten times its budget, and ten minutes, is ended.
    """
    if python is None:
        (run_folder / "store").mkdir()
        words = our_command(run_folder, about, budget, seed)
        env, cwd = environment(run_folder / "store"), run_folder / "store"
    else:
        script = ROOT / "tests" / "support" / "peers.py"
        words = list(map(str, (python, script, run_folder.name, run_folder, budget, seed)))
        env, cwd = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "2"}, run_folder
    before = snapshot()
    with (run_folder / "log").open("wb") as log:
        began = time.time()
        process = subprocess.Popen(
            words, cwd=cwd, env=env, stdout=log, stderr=log, start_new_session=True
        )
        alarm = threading.Timer(10 * budget + 600, end_group, [process.pid])
        alarm.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            ended = time.time()
        finally:
            alarm.cancel()
            end_group(process.pid)
    reap_orphans()
    load = load_between(before, snapshot())
    predictions = run_folder / "predictions.csv"
    if python is not None and predictions.exists():  # then it measures how quickly it answers
        ended = predictions.stat().st_mtime
    return {
        "wall_s": round(ended - began, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "failed": status != 0,
        **load,
    }


def our_command(run_folder: Path, about: dict, budget: int, seed: int) -> list[str]:
    """Return the command line of Fivefold's training run."""
    values = {
        "--data": run_folder / "train.csv",
        "--target": about["target"],
        "--positive": about["positive"],
        "--budget": budget,
        "--seed": seed,
        "--mlflow-uri": f"sqlite:///{run_folder}/store/m.db",
    }
    words = [word for option in values.items() for word in option]
    return command("train.py", "run", *words)


def end_group(group: int) -> None:
    """End what is left of a process group."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def commit() -> str:
    """Return the commit of this code, with + where files differ from it; "" without Git."""
    words = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=9", "--dirty=+"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def answer_with_bundle(run_folder: Path) -> None:
    """Write predictions and latencies of the run in this folder, from its bundle alone."""
    from fivefold.data.reading import source
    from fivefold.model.bundle import from_bytes
    from fivefold.tracking import client
    from tests.support.peers import latency

    store, number = run_folder / "store", run_id((run_folder / "log").read_text())
    wait_for_mirror(store, number)  # or it would work beside the next system
    bundle = from_bytes(*client.bundle_bytes(open_run(store, number)))
    test = source.read(str(run_folder / "test.csv")).frame

    def predict(rows: pd.DataFrame) -> np.ndarray:
        return bundle.score(rows)["probability"].to_numpy()

    pd.DataFrame({"probability": predict(test)}).to_csv(run_folder / "predictions.csv", index=False)
    (run_folder / "times.json").write_text(
        json.dumps({"winner": bundle.metadata.algorithm, **latency(predict, test)})
    )


def score(run_folder: Path, labels: np.ndarray) -> dict:
    """Return {auc, log_loss} of the predictions; None where there are none."""
    from sklearn.metrics import log_loss

    path = run_folder / "predictions.csv"
    if not path.exists():
        return {"auc": None, "log_loss": None}
    p = pd.read_csv(path)["probability"].to_numpy()
    return {"auc": roc_auc(labels, p), "log_loss": float(log_loss(labels, p))}


def roc_auc(labels: np.ndarray, p: np.ndarray) -> float:
    """Return scikit-learn's ROC AUC, so that no system is measured with its own."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, p))


if __name__ == "__main__":
    main()
