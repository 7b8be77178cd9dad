"""Times of imports, flows and orchestration: `python -m tests.bench.flow` prints one table.

A script, not a test: figures depend on the machine and its load.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace

from fivefold.core.clock import timestamp
from fivefold.core.settings import TRIALS
from tests.support.running import ROOT, command, environment

GOALS = {
    "orchestration ratio": 1.15,
    "default run, s": 90.0,
    "run --budget 60, s": 63.0,
    "import fivefold, s": 1.0,
    "train.py --help, s": 3.0,
}


def main() -> None:
    """Measure and print; `--repeats` runs of the short ones (median), one of the long ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=TRIALS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        rows = {
            "import fivefold, s": median(
                options.repeats,
                store,
                [sys.executable, "-c", "import fivefold"],
                PYTHONPATH=str(ROOT),
            ),
            "train.py --help, s": median(options.repeats, store, command("train.py", "--help")),
        }
        rows["empty graph, s"] = median(
            3,
            store,
            [sys.executable, str(ROOT / "tests" / "support" / "empty_flow.py"), "run"],
            METAFLOW_USER="bench",
            METAFLOW_PYLINT="0",
            METAFLOW_RUN_MAX_WORKERS="2",
            METAFLOW_HOME=str(ROOT / "metaflow_config"),
        )
        rows["compute on two cores, s"] = timed(
            store,
            [sys.executable, "-m", "tests.bench.flow", "--trials", str(options.trials)],
            BENCH_COMPUTE="1",
            PYTHONPATH=str(ROOT),
            OMP_NUM_THREADS="1",
        )
        rows["default run, s"] = timed(
            store,
            command(
                "train.py",
                "run",
                "--trials",
                options.trials,
                "--mlflow-uri",
                f"sqlite:///{store}/mlflow.db",
            ),
        )
        rows["run --budget 60, s"] = timed(
            store,
            command(
                "train.py", "run", "--budget", 60, "--mlflow-uri", f"sqlite:///{store}/mlflow.db"
            ),
        )
        rows["orchestration ratio"] = rows["default run, s"] / (
            rows["empty graph, s"] + rows["compute on two cores, s"]
        )
    print(f"{'figure':28}{'measured':>10}{'goal':>8}")
    for name, value in rows.items():
        print(f"{name:28}{value:10.2f}{GOALS.get(name, float('nan')):8.2f}".replace("nan", "   "))


def median(repeats: int, store: Path, words: list[str], **env: str) -> float:
    """Median wall seconds of a command, after one run that is not counted."""
    return statistics.median([timed(store, words, **env) for _ in range(repeats + 1)][1:])


def timed(store: Path, words: list[str], **env: str) -> float:
    """Wall seconds of one whole process."""
    began = time.perf_counter()
    done = subprocess.run(
        words,
        cwd=store,
        env={**environment(store), **env},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def compute(trials: int) -> None:
    """Run the default job without Metaflow: the same steps, two searches at a time."""
    from fivefold.tracking import client, mlflow_mirror
    from fivefold.training import final_steps, intake, steps
    from fivefold.training.algorithms import ALGORITHMS

    run = SimpleNamespace(
        first_run_id="bench",
        trials=trials,
        seed=0,
        threads=1,
        device="cpu",
        folds=0,
        serve="auto",
        synthetic_rows=0,
        started=timestamp(),
    )
    scope = intake.resolve_scope({}, ROOT)
    keep(run, steps.collect(scope, ROOT, "", 0, False))
    keep(run, steps.validate(run))
    steps.explore(run, None)
    keep(run, steps.split(run))
    with ProcessPoolExecutor(2) as pool:
        searches = list(
            pool.map(search, [SimpleNamespace(**vars(run), input=name) for name in ALGORITHMS])
        )
    tasks = [
        SimpleNamespace(input=name, candidate=candidate, oof=oof)
        for name, (candidate, oof) in zip(ALGORITHMS, searches, strict=True)
    ]
    keep(run, final_steps.select(run, tasks, math.inf, 2, "no"))
    keep(run, final_steps.evaluate(run, "bench", 2)[0])
    run.finished = timestamp()
    run.user, run.options = "bench", {}
    mlflow_mirror.mirror(
        client.run_record("TrainFlow/bench", run),
        run.bundle,
        {},
        f"sqlite:///{Path.cwd()}/bench.db",
    )


def keep(run: SimpleNamespace, artifacts: object) -> None:
    """Set the artifacts of a step, as a flow does."""
    vars(run).update(vars(artifacts))


def search(run: SimpleNamespace) -> tuple:
    from metaflow.plugins.datastores.local_storage import LocalStorage

    from fivefold.training import steps

    return steps.tune(
        run, LocalStorage(str(Path.cwd() / "checkpoints")), lambda state: None, math.inf
    )


if __name__ == "__main__":
    if os.environ.get("BENCH_COMPUTE"):
        compute(int(sys.argv[-1]))
    else:
        main()
