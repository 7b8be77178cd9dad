"""Simulation: the whole loop on one machine, by the commands and the server of a user."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fivefold.core.findings import Refused, refusal
from fivefold.core.scope import Scope
from fivefold.data.reading.source import read
from fivefold.data.synthetic import shifted
from fivefold.data.synthetic.bank import draw
from fivefold.data.target import read_target
from fivefold.journal.database import open_journal
from fivefold.journal.promotions import newest_problem
from fivefold.lifecycle.timeline import timeline
from fivefold.serving.local_server import local_api, request_json
from fivefold.training.intake import resolve_scope

MONTHS, DAYS, CHANGE_DAY, WINDOW = 6, 180, 90, 15
LOT, STEP = 100, 2.5  # rows of a request; days that pass between two looks at the labels
STEPS = round(DAYS / STEP)
DELAY, KNOWN = 12, 0.7  # days until a label is known, and the share that ever becomes known
FOLLOWS = 30.0  # seconds that the API has to follow a promotion
PAST = 6000  # rows of the bundled table that the first model learns from


def run(root: Path, folder: Path, options: Any) -> int:
    """Play six months, print the timeline, and return the exit code.

    The monitor's last card shows the same with charts.
    """
    began = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    scope, past, future = _tables(root, folder, options)
    clock, end = folder / "clock", datetime.now().replace(microsecond=0)
    start = end - timedelta(days=DAYS)
    env = {
        **os.environ,
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(folder),
        "FIVEFOLD_CLOCK": str(clock),
        "FIVEFOLD_ALERT_FILE": str(folder / "alerts.jsonl"),
        "FIVEFOLD_PSEUDONYM_KEY": "demo",
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "FIVEFOLD_JOURNAL": "",
    }
    command = partial(_command, root, env)
    _set(clock, start)
    trials = f"{options.trials} trials of each algorithm"
    _say(start, f"A first model is trained on {len(past):,} rows ({trials})")
    config = ("--config-value", "scope", json.dumps(scope.to_dict()))
    words = f"run --trials {options.trials} --folds 3 --seed {options.seed}".split()
    command("train.py", *config, *words, show=("Held-out", "Promoted:", "Not promoted"))
    with local_api(root, folder, env) as address:
        served = request_json(f"{address}/model")["model"]
        _say(start, f"The API serves {served}")
        _play(command, address, clock, start, future, scope, options)
        after = request_json(f"{address}/model")
    _set(clock, end)
    out = command("monitor.py", "run", "--last", "0", "--days", str(WINDOW), show=("Retrain:",))
    _timeline(env)
    last = after["model"]
    print(f"\nThe API answered with {served} first and {last} at the end, without a restart.")
    seconds = time.monotonic() - began
    print(f"Simulated {MONTHS} months in {seconds:.0f} s. Everything is in {folder}.")
    setting = f"METAFLOW_DATASTORE_SYSROOT_LOCAL={folder}"
    print(f"The card: {setting} python flows/monitor.py card view judge")
    return 0 if out.returncode == 0 and after["model"] != served else 1


def _play(
    command: Callable[..., subprocess.CompletedProcess[str]],
    address: str,
    clock: Path,
    start: datetime,
    future: pd.DataFrame,
    scope: Scope,
    options: Any,
) -> None:
    """Send traffic through the API day by day, labels as they become known, and run the monitor."""
    rng = np.random.default_rng(options.seed)
    inputs = future.drop(columns=scope.target)
    answered: list[tuple[datetime, str, str]] = []  # when, prediction id, truth
    per_step = round(options.rows * MONTHS / STEPS)
    for step in range(STEPS):
        now = start + timedelta(days=(step + 1) * STEP)
        _set(clock, now - timedelta(hours=1))
        if step * STEP == CHANGE_DAY:
            _say(now, "The data change (nobody is informed)")
        for first in range(step * per_step, (step + 1) * per_step, LOT):
            lot = slice(first, min(first + LOT, (step + 1) * per_step))
            rows = json.loads(inputs.iloc[lot].to_json(orient="records", date_format="iso"))
            predictions = request_json(f"{address}/predict", {"rows": rows})["predictions"]
            truths = future[scope.target].iloc[lot].astype("str")
            for prediction, truth in zip(predictions, truths, strict=True):
                if rng.random() < KNOWN:
                    answered.append((now, prediction["id"], truth))
        known = [a for a in answered if now - a[0] >= timedelta(days=DELAY)]
        answered = [a for a in answered if now - a[0] < timedelta(days=DELAY)]
        labels = [{"prediction_id": number, "label": truth} for _, number, truth in known]
        if labels:
            request_json(f"{address}/feedback", {"labels": labels})
        if (step + 1) * STEP % WINDOW == 0:
            _set(clock, now)
            output = command("monitor.py", "run", "--last", "3", "--days", str(WINDOW)).stdout
            _say(now, "Monitor: " + re.findall(r"\d{4}-\d\d-\d\d to .*", output)[-1])
            if "Retrain: yes" in output:
                _say(now, "The monitor asks for a new model; a challenger is trained")
                before = request_json(f"{address}/model")["model"]
                outcome = command("retrain.py", "run").stdout.strip().splitlines()[-1]
                _say(now, f"Challenger {outcome}")
                if outcome.startswith("promoted"):
                    _followed(address, before)


def _command(
    root: Path, env: dict[str, str], script: str, *words: str, show: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run one of the project's commands; print its lines that begin with one of `show`."""
    done = subprocess.run(
        [sys.executable, str(root / "flows" / script), *words],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    for text in done.stdout.splitlines():
        if show and text.startswith(show):
            print(f"              {text}", flush=True)
    if done.returncode:
        last = done.stdout.strip().splitlines()[-6:]
        raise refusal(
            "The simulation cannot go on",
            code="command-failed",
            subject=script,
            found=" / ".join(last)[:1500],
            expected="success",
            action="run it by hand",
        )
    return done


def _followed(address: str, before: str) -> None:
    """Wait until the API, which is not restarted, answers with another model than `before`."""
    deadline = time.monotonic() + FOLLOWS
    while request_json(f"{address}/model")["model"] == before:
        if time.monotonic() > deadline:
            raise OSError(f"the API still answers with {before}, {FOLLOWS:g} s after a promotion")
        time.sleep(0.2)


def _tables(root: Path, folder: Path, options: Any) -> tuple[Scope, pd.DataFrame, pd.DataFrame]:
    """Return (scope, the past table, future cases in order, changed from `CHANGE_DAY` on)."""
    scope = resolve_scope(
        {},
        root,
        data=options.data or None,
        target=options.target or None,
        positive=options.positive or None,
        id_columns=options.id_columns,
        drop_columns=options.drop,
    )
    total = round(options.rows * MONTHS / STEPS) * STEPS
    if options.data:
        frame = read(options.data).frame
        frame = frame.sample(frac=1, random_state=options.seed).reset_index(drop=True)
        first = int(0.6 * len(frame))
        past, pool = frame.iloc[:first], frame.iloc[first:]
        future = pool.sample(
            total, replace=total > len(pool), random_state=options.seed
        ).reset_index(drop=True)
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
    past.to_csv(folder / "past.csv", index=False)
    scope = scope.override(
        data=str(folder / "past.csv"), title=f"Demo: {scope.title or scope.target}"
    )
    before = future.iloc[:at]
    future = pd.concat(
        [before.assign(**{scope.target: before[scope.target].astype("str")}), changed],
        ignore_index=True,
    )
    cases = f"from day {CHANGE_DAY} on, for {options.share:.0%} of the cases"
    print(f"The change, {cases}: {json.dumps(asdict(shift))}")
    return replace(scope, truth="", positive=target.positive), past, future


def _timeline(env: dict[str, str]) -> None:
    engine = open_journal(f"sqlite:///{env['METAFLOW_DATASTORE_SYSROOT_LOCAL']}/journal.db")
    print("\nTimeline (simulated time, UTC)")
    for event in timeline(engine, newest_problem(engine) or ""):
        print(f"{event.minute}  {event.what:11} {event.text[:220]}")
    engine.dispose()


def _set(clock: Path, now: datetime) -> None:
    part = clock.with_suffix(".part")
    part.write_text(now.isoformat(), encoding="utf-8")
    part.replace(clock)


def _say(now: datetime, text: str) -> None:
    print(f"{now:%Y-%m-%d}    {text}", flush=True)
