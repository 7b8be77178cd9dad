"""Scale: one run of flows/train.py per size of the generated table (20 mixed columns).

    python -m tests.bench.scale --rows 10000,100000,1000000 --budget 180

Prints wall seconds of the whole process, the peak memory of its largest process, the table's size
in memory, bytes in the datastore, and the held-out ROC AUC beside the best achievable. With
--budget 0 (one trial of each algorithm) also the slope over the rows (log-log), which a budget
would hide. Every size runs in its own folder, which is deleted at the end. A script, not a test.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from fivefold.data.synthetic.bank import write
from tests.support.running import command, environment, open_run, run_id


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument(
        "--budget", type=int, default=180, help="seconds; 0: --trials 1 without a budget"
    )
    options = parser.parse_args()
    results = []
    for rows in map(int, options.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), rows, options.budget))
            print(json.dumps(results[-1]), flush=True)
    table = pd.DataFrame(results)
    print(table.to_string(index=False))
    if len(table) > 1 and not options.budget:
        for name in ("wall_s", "fit_s"):
            slope = np.polyfit(np.log(table["rows"]), np.log(table[name]), 1)[0]
            print(f"exponent of {name} over the rows: {slope:.2f}")


def measure(folder: Path, rows: int, budget: int) -> dict:
    """One run: {rows, table_mb (in memory), wall_s, ...}.

    fit_s: the quicker first trial of a boosted algorithm, all folds.
    """
    data = folder / "table.parquet"
    write(data, rows=rows, seed=5)
    in_memory = pd.read_parquet(data).memory_usage(deep=True).sum() / 2**20
    scope = folder / "scope.toml"
    scope.write_text(
        f'data = "{data}"\ntarget = "churned"\npositive = "yes"\nid_columns = ["customer_id"]\n'
        'truth = "synthetic"\n'
    )
    limit = ["--budget", budget] if budget else ["--trials", 1]
    words = command(
        "train.py",
        "--config",
        "scope",
        scope,
        "run",
        *limit,
        "--mlflow-uri",
        f"sqlite:///{folder}/m.db",
    )
    log = folder / "log"
    began = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, cwd=folder, env=environment(folder), stdout=out, stderr=out
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, largest(process.pid))
            time.sleep(0.2)
    wall = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(log.read_text()[-3000:])
    run = open_run(folder, run_id(log.read_text()))
    store = sum(f.stat().st_size for f in (folder / ".metaflow").rglob("*") if f.is_file()) / 2**20
    board, result = run.data.leaderboard, run.data.evaluation
    best = next((b["auc"] for b in result["baselines"] if "truth" in b["name"]), None)
    boosted = [a for a in board if a["trials"] and a["algorithm"] in ("lightgbm", "xgboost")]
    return {
        "rows": rows,
        "table_mb": round(in_memory),
        "wall_s": round(wall, 1),
        "fit_s": round(min(a["trials"][0]["seconds"] for a in boosted), 2),
        "search_rows": max(a["rows_fit"] for a in boosted),
        "peak_mb": peak,
        "store_mb": round(store),
        "served": run.data.blend["served"],
        "winner": run.data.winner,
        "auc": round(result["auc"]["value"], 4),
        "best_auc": round(best, 4) if best else None,
        "arms": sum(a["status"] == "ok" for a in board),
    }


def largest(root: int) -> int:
    """Megabytes of the largest process of this tree."""
    listed = subprocess.run(
        ["ps", "-eo", "pid,ppid,rss"], capture_output=True, text=True, check=False
    ).stdout.split("\n")[1:]
    known, biggest = {root}, 0
    for pid, parent, rss in (map(int, line.split()) for line in listed if line.strip()):
        if pid in known or parent in known:
            known.add(pid)
            biggest = max(biggest, rss // 1024)
    return biggest


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
