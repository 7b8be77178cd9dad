"""Simulation: the whole loop on one machine, by the commands and the server of a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Refused, refusal
from fivefold.core.schema import Column
from fivefold.core.scope import Scope
from fivefold.data.coerce import coerce_column
from fivefold.data.infer import infer_schema
from fivefold.data.reading.source import read
from fivefold.data.synthetic import shifted
from fivefold.data.synthetic.bank import draw
from fivefold.data.target import read_target
from fivefold.journal.database import open_journal
from fivefold.journal.promotions import newest_problem
from fivefold.lifecycle.monitor_steps import timeline
from fivefold.serving.local_server import local_api, request_json
from fivefold.training.intake import resolve_scope

MONTHS, DAYS, CHANGE_DAY, WINDOW = 6, 180, 90, 15
MONITOR = ("run", "--days", str(WINDOW))
LOT, STEP = 100, 2.5  # rows of a request; days that pass between two looks at the labels
STEPS = round(DAYS / STEP)
DELAY, KNOWN = 5, 0.7  # steps until a label is known, and the share that ever becomes known
FOLLOWS = 30.0  # seconds that the API has to follow a promotion
EPOCH = datetime(1970, 1, 1)
PAST = 6000  # rows of the bundled table that the first model learns from


@dataclass(frozen=True)
class _Machine:
    """A machine of its own: the project, a folder for everything, and the environment."""

    root: Path
    folder: Path
    env: dict[str, str]

    def set_clock(self, now: datetime) -> None:
        part = self.folder / "clock.part"
        part.write_text(now.isoformat(), encoding="utf-8")
        part.replace(self.folder / "clock")

    def run(self, script: str, *words: str, show: tuple[str, ...] = ()) -> str:
        """Run a command of the project; print its lines that begin with one of `show`."""
        done = subprocess.run(
            [sys.executable, str(self.root / "flows" / script), *words],
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output: str = done.stdout.strip()
        lines = output.splitlines()
        if done.returncode:
            raise refusal(
                "The simulation cannot go on",
                code="command-failed",
                subject=script,
                found=" / ".join(lines[-6:])[:1500],
                expected="success",
                action="run it by hand",
            )
        for line in lines:
            if line.startswith(show):
                print(f"              {line}", flush=True)
        return output


def run(root: Path, folder: Path, options: Any) -> int:
    """Play six months, print the timeline, and return the exit code.

    The monitor's last card shows the same with charts.
    """
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    end = datetime.now().replace(microsecond=0)
    start = end - timedelta(days=DAYS)
    scope, past, future, dates = _tables(root, folder, start, options)
    env = {
        **os.environ,
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
        "FIVEFOLD_CLOCK": str(folder / "clock"),
        "FIVEFOLD_ALERT_FILE": str(folder / "alerts.jsonl"),
        "FIVEFOLD_PSEUDONYM_KEY": "demo",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "FIVEFOLD_JOURNAL": "",
    }
    machine = _Machine(root, folder, env)
    machine.set_clock(start)
    trials = f"{options.trials} trials of each algorithm"
    _say(start, f"A first model is trained on {len(past):,} rows ({trials})")
    config = ("--config-value", "scope", json.dumps(scope.to_dict()))
    words = f"run --trials {options.trials} --folds 3 --seed {options.seed}".split()
    machine.run("train.py", *config, *words, show=("Held-out", "Promoted:", "Not promoted"))
    with local_api(root, folder, env) as address:
        served = _served(address)
        _say(start, f"The API serves {served}")
        _play(machine, address, start, future, dates, scope, options)
        last = _served(address)
    machine.set_clock(end)
    machine.run("monitor.py", *MONITOR, "--last", "0", show=("Retrain:",))
    _timeline(folder)
    print(f"\nThe API answered with {served} first and {last} at the end, without a restart.")
    seconds = time.monotonic() - began
    print(f"Simulated {MONTHS} months in {seconds:.0f} s. Everything is in {folder}.")
    setting = f"METAFLOW_DATASTORE_SYSROOT_LOCAL={folder}"
    print(f"The card: {setting} python flows/monitor.py card view judge")
    return int(last == served)


def _play(
    machine: _Machine,
    address: str,
    start: datetime,
    future: pd.DataFrame,
    dates: list[Column],
    scope: Scope,
    options: Any,
) -> None:
    """Send traffic through the API day by day, labels as they become known, and run the monitor.

    The dates of the cases move on with the days.
    """
    rng = np.random.default_rng(options.seed)
    labels_of_step: list[list[dict[str, str]]] = [[]] * DELAY  # none before the first step
    per_step = len(future) // STEPS
    for step in range(STEPS):
        now = start + timedelta(days=(step + 1) * STEP)
        machine.set_clock(now - timedelta(hours=1))
        if step * STEP == CHANGE_DAY:
            _say(now, "The data change (nobody is informed)")
        labels = []
        cases = future.iloc[step * per_step : (step + 1) * per_step]
        cases = moved(cases, dates, (now - start).days)
        for first in range(0, per_step, LOT):
            lot = cases.iloc[first : first + LOT]
            inputs = lot.drop(columns=scope.target).to_json(orient="records", date_format="iso")
            answer = request_json(f"{address}/predict", {"rows": json.loads(inputs)})
            truths = lot[scope.target].astype("str")
            for prediction, truth in zip(answer["predictions"], truths, strict=True):
                if rng.random() < KNOWN:
                    labels.append({"prediction_id": prediction["id"], "label": truth})
        labels_of_step.append(labels)
        if known := labels_of_step[step]:
            request_json(f"{address}/feedback", {"labels": known})
        if (step + 1) * STEP % WINDOW == 0:
            machine.set_clock(now)
            output = machine.run("monitor.py", *MONITOR, "--last", "3")
            _say(now, "Monitor: " + re.findall(r"\d{4}-\d\d-\d\d to .*", output)[-1])
            if "Retrain: yes" in output:
                _say(now, "The monitor asks for a new model; a challenger is trained")
                before = _served(address)
                outcome = machine.run("retrain.py", "run").splitlines()[-1]
                _say(now, f"Challenger {outcome}")
                if outcome.startswith("promoted"):
                    _followed(address, before)


def _served(address: str) -> str:
    """Return the model with which the API answers."""
    return str(request_json(f"{address}/model")["model"])


def _followed(address: str, before: str) -> None:
    """Wait until the API, which is not restarted, answers with another model than `before`."""
    deadline = time.monotonic() + FOLLOWS
    while _served(address) == before:
        if time.monotonic() > deadline:
            raise OSError(f"the API still answers with {before}, {FOLLOWS:g} s after a promotion")
        time.sleep(0.2)


def moved(frame: pd.DataFrame, dates: Sequence[Column], days: int) -> pd.DataFrame:
    """Return a raw table whose dates are later by so many days, in the spelling of their column."""
    columns = {}
    for column in dates:
        spelling = column.parse.get("format", "")
        later = pd.Series(coerce_column(frame[column.name], column)[0]) + timedelta(days=days)
        has_time = (later.dropna() != later.dropna().dt.normalize()).any()
        if "%" not in spelling:
            spelling = "%Y-%m-%dT%H:%M:%S" if has_time else "%Y-%m-%d"
        columns[column.name] = later.dt.strftime(spelling).array
    return frame.assign(**columns)


def _tables(
    root: Path, folder: Path, start: datetime, options: Any
) -> tuple[Scope, pd.DataFrame, pd.DataFrame, list[Column]]:
    """Return (scope, the past table, future cases in order, changed from `CHANGE_DAY` on, dates).

    The dates of all of them are moved so that the newest one of the past is the day of `start`.
    """
    scope = resolve_scope(
        {},
        root,
        data=options.data,
        target=options.target,
        positive=options.positive,
        id_columns=options.id_columns,
        drop_columns=options.drop,
    )
    total = round(options.rows * MONTHS / STEPS) * STEPS
    if options.data:
        seed = options.seed
        frame = read(options.data).frame.sample(frac=1, random_state=seed, ignore_index=True)
        first = int(0.6 * len(frame))
        past, pool = frame.iloc[:first], frame.iloc[first:]
        again = total > len(pool)
        future = pool.sample(total, replace=again, random_state=seed, ignore_index=True)
    else:
        past, future = draw(PAST), draw(total, start=PAST)
    target, findings = read_target(past, scope)
    if target is None:
        raise Refused("The table cannot be used", findings)
    labels = (target.negative, target.positive)
    left_out = (*scope.id_columns, *scope.drop_columns)
    shift = shifted.plan_shift(past, scope.target, labels, left_out)
    at = total * CHANGE_DAY // DAYS
    changed = shifted.shift_rows(future.iloc[at:], shift, options.share, options.seed)
    schema = infer_schema(past, scope, labels)
    dates = [column for column in schema.columns if column.kind == "date" and column.used]
    newest = max((column.high for column in dates if column.high is not None), default=0.0)
    days = (start - EPOCH).days - int(newest)
    past = moved(past, dates, days)
    past.to_csv(folder / "past.csv", index=False)
    data, title = str(folder / "past.csv"), f"Demo: {scope.title or scope.target}"
    scope = replace(scope, data=data, title=title, truth="", positive=target.positive)
    scope = replace(scope, horizon_days=DELAY * STEP)  # by then the labels that ever come are here
    future = pd.concat([future.iloc[:at].astype({scope.target: "str"}), changed])
    cases = f"from day {CHANGE_DAY} on, for {options.share:.0%} of the cases"
    print(f"The change, {cases}: {json.dumps(asdict(shift))}")
    return scope, past, moved(future, dates, days), dates


def _timeline(folder: Path) -> None:
    engine = open_journal(f"sqlite:///{folder}/journal.db")
    print("\nTimeline (simulated time, UTC)")
    for event in timeline(engine, newest_problem(engine) or ""):
        print(f"{event.minute}  {event.what:11} {event.text[:220]}")
    engine.dispose()


def _say(now: datetime, text: str) -> None:
    print(f"{now:%Y-%m-%d}    {text}", flush=True)
