"""Batch scoring of a large table: `python -m tests.bench.batch [--rows 1000000] [--store FOLDER]`.

Draws a CSV, trains a small model (once for a --store) and scores the CSV through flows/score.py
with and without the journal. Compared with:

- "bare": predict_proba of the stock pipeline on 10,000 typed rows at a time, one thread;
- "scoring alone": what a shard does between reading and journal (types, input warnings,
  probability, decision, ids);
- "whole": the table is read, scored and written in one process.

Peaks of memory are those of the largest process. CPU seconds are those of all processes together:
on a shared machine they say more than wall seconds.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fivefold.data.synthetic.bank import write
from tests.support.running import ROOT, command, environment, open_run, run_flow, run_id

SAMPLE = 100_000  # rows of the first two figures
GOAL = 0.8  # times bare
RATES = """
import json, sys, time
from pathlib import Path
import pandas as pd
from fivefold.data.reading.table_parts import cut_table, read_part, remove_parts
from fivefold.serving import batch
from fivefold.tracking import client as runs
from fivefold.model.bundle import from_bytes
from fivefold.data.coerce import coerce_table
from fivefold.model.inputs import expand
source, folder, rows = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
bundle = from_bytes(*runs.bundle_bytes(runs.find_run()))
parts, _ = cut_table(source, None, folder, rows)
batch.check_parts(parts, bundle)
frame = read_part(parts, 0)
expanded = expand(coerce_table(frame, bundle.schema)[0], bundle.schema)
def bare():
    for start in range(0, len(frame), 10_000):
        bundle.pipeline.predict_proba(expanded.iloc[start:start + 10_000])
seconds_of = {"bare": [], "alone": []}
for _ in range(3):
    works = {"bare": bare, "alone": lambda: batch.score_part(bundle, parts, 0, frame)}
    for name, work in works.items():
        began = time.process_time()
        work()
        seconds_of[name].append(time.process_time() - began)
remove_parts(folder)
print(json.dumps({name: len(frame) / min(seconds) for name, seconds in seconds_of.items()}))
"""
WHOLE = """
import sys
from pathlib import Path
from fivefold.data.reading import source as sources
from fivefold.serving import result_files as scoring
from fivefold.tracking import client as runs
from fivefold.serving.batch import score_batch
from fivefold.model.bundle import from_bytes
bundle = from_bytes(*runs.bundle_bytes(runs.find_run()))
read = sources.read(sys.argv[1])
scoring.write(score_batch(bundle, read.frame, read.md5).rows, Path(sys.argv[2]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument(
        "--store", type=Path, help="a folder to keep the model in; default: a temporary one"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        measure(options.rows, (options.store or Path(temporary)).resolve(), Path(temporary))


def measure(rows: int, store: Path, folder: Path) -> None:
    """Print one table."""
    train(store, folder)
    source = folder / "new.csv"
    write(source, rows, 11)
    rates = json.loads(script(store, RATES, source, folder / "rates", min(rows, SAMPLE))[0])
    print(f"{rows:,} rows, a CSV of {source.stat().st_size / 1e6:,.0f} MB")
    print(
        f"{'':36}{'wall s':>9}{'rows/s':>9}{'CPU s':>9}"
        f"{'rows/CPU s':>12}{'x bare':>8}{'peak MB':>9}"
    )
    show("bare", rates["bare"])
    show("scoring alone", rates["bare"], per_cpu=rates["alone"])
    for name, record in (("flow", "True"), ("flow, --record False", "False")):
        output, *used = script(
            store,
            None,
            "score.py",
            "run",
            "--data",
            source,
            "--out",
            folder / "out.csv",
            "--record",
            record,
        )
        show(name, rates["bare"], rows, *used)
        run = open_run(store, run_id(output), "ScoreFlow")
        for number, task in sorted((task.index, task) for task in run["score"]):
            tallies = task.data.tallies
            spent = {
                what: sum(t["seconds"][what] for t in tallies)
                for what in ("read", "score", "journal")
            }
            of = sum(t["rows"] for t in tallies)
            print(
                f"  shard {number + 1}, {of:,} rows: read {spent['read']:.1f} s, "
                f"scored {spent['score']:.1f} s "
                f"({of / spent['score']:,.0f} rows/s), journal {spent['journal']:.1f} s",
                flush=True,
            )
    _, *used = script(store, WHOLE, source, folder / "whole.csv")
    show("whole, one process", rates["bare"], rows, *used)
    same = (folder / "whole.csv").read_bytes() == (folder / "out.csv").read_bytes()
    print(
        f"The file of the flow is that of the whole, to the byte: {same}. "
        f"Goal: scoring alone {GOAL} x bare."
    )


def show(
    name: str,
    bare: float,
    rows: int = 0,
    wall: float = 0.0,
    cpu: float = 0.0,
    peak: float = 0.0,
    per_cpu: float = 0.0,
) -> None:
    per_cpu = per_cpu or (rows / cpu if cpu else bare)
    measured = f"{wall:9.1f}{rows / wall:9,.0f}{cpu:9.1f}" if rows else " " * 27
    print(
        f"{name:36}{measured}{per_cpu:12,.0f}{per_cpu / bare:8.2f}",
        f"{peak:9,.0f}" if rows else "",
        sep="",
        flush=True,
    )


def train(store: Path, folder: Path) -> None:
    store.mkdir(parents=True, exist_ok=True)
    if not (store / ".metaflow" / "TrainFlow").exists():
        write(folder / "train.csv", 3_000, 3)
        done = run_flow(
            store,
            "train.py",
            "run",
            "--data",
            folder / "train.csv",
            "--target",
            "churned",
            "--id-columns",
            "customer_id",
            "--trials",
            2,
            "--folds",
            3,
            "--mlflow-uri",
            f"sqlite:///{store}/mlflow.db",
        )
        assert done.returncode == 0, done.stdout


def script(store: Path, code: str | None, *arguments: object) -> tuple[str, float, float, float]:
    """(output, wall and CPU seconds, peak MB of the largest process); `code` None: of a flow."""
    given = (
        command(*map(str, arguments))
        if code is None
        else [sys.executable, "-c", code, *map(str, arguments)]
    )
    settings, began = (
        environment(store) | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        time.perf_counter(),
    )
    done = subprocess.run(
        ["/usr/bin/time", "-f", "used %U %S %M", *given],
        cwd=store,
        env=settings,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    user, system, peak = map(float, re.search(r"used (\S+) (\S+) (\S+)\s*$", done.stderr).groups())
    return done.stdout, time.perf_counter() - began, user + system, peak / 1024


if __name__ == "__main__":
    main()
