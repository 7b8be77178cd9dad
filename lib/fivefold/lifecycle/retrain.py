"""Retraining: the champion's problem trained again with what was learnt since, and judged."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.core.settings import SCOPE_FOLDER, STARTED, journal_url
from fivefold.journal import database, promotions
from fivefold.journal import reports as journal_reports
from fivefold.lifecycle import promotion, promotion_mirror, retrain_rule, steps
from fivefold.serving.served_model import no_model
from fivefold.tracking import client

# Options that a challenger takes over
SAME = ("seed", "folds", "serve", "refit", "device", "threads", "synthetic_rows")


def retrain(
    root: Path,
    problem: str = "",
    *,
    force: bool = False,
    now: str = "",
    margin: float = 0.0,
    require_approval: bool = False,
    options: str = "",
) -> dict[str, Any]:
    """{action, why, run}: "not-due", or what `fivefold.lifecycle.promotion.challenge_champion` recorded.

    `options` are further ones of flows/train.py, in one text. The split of the table itself stays the champion's: same
    table, seed and folds give the same held-out rows. Raises `Refused`, also where the training fails.
    """
    engine = database.open_journal(journal_url())
    name = problem or promotions.newest_problem(engine)
    held = promotions.champion(engine, name) if name else None
    if held is None or not name:
        raise no_model(name)
    time = steps.present(now)
    reports = [r for r in journal_reports.reports(engine, name) if r["end"] <= time.isoformat()]
    decided = retrain_rule.due(reports, time, steps.last_challenge(engine, name, time))
    if not decided["retrain"] and not force:
        return {"action": "not-due", "why": f"Nothing to do: {decided['why']}.", "run": None}
    print(f"Retraining {name}: {decided['why']}", flush=True)
    run_id = train(root, held.model, shlex.split(options))
    if run_id is None:
        raise Refused(
            "There is no challenger",
            [
                Finding(
                    code="training-failed",
                    severity=ERROR,
                    subject=name,
                    found="a training run that failed (see above)",
                    expected="one that ends",
                    action="python flows/train.py resume, then python flows/promote.py challenge RUN; the champion stays",
                )
            ],
        )
    line = promotion.challenge_champion(
        engine, run_id, root, margin=margin, require_approval=require_approval
    )
    for warning in promotion_mirror.mirror(engine, line, root):
        print(f"warning: {warning}")
    return {
        "action": line.action,
        "why": f"{line.action}: {line.model}. {line.why}",
        "run": run_id,
    }


def train(root: Path, champion: str, options: Sequence[str]) -> str | None:
    """Run flows/train.py on the champion's problem with feedback; the run's id, None where it failed."""
    run = client.find_run(champion)
    problem, before = (
        client.read(run, "problem"),
        client.read(run, "options"),
    )
    if problem is None or before is None:
        raise Refused(
            "The champion cannot be trained again",
            [
                Finding(
                    code="run-damaged",
                    severity=ERROR,
                    subject=champion,
                    found="no readable scope or options",
                    expected="a readable training run",
                    action="train by hand: python flows/train.py --config scope FILE run --with-feedback",
                )
            ],
        )
    same = [f"--{name.replace('_', '-')}={before[name]}" for name in SAME if name in before]
    effort = (
        ["--budget", str(before["budget"])]
        if before.get("budget")
        else ["--trials", str(before["trials"])]
    )
    given = {word.partition("=")[0] for word in options}
    effort = [] if given & {"--budget", "--trials"} else effort
    command = [
        sys.executable,
        str(root / "flows" / "train.py"),
        "--config-value",
        "scope",
        json.dumps(problem),
        "run",
        "--with-feedback",
        *[word for word in same if word.partition("=")[0] not in given],
        *effort,
        *options,
    ]
    found = None
    kept = {k: v for k, v in os.environ.items() if k not in (STARTED, SCOPE_FOLDER)}  # of this run
    with subprocess.Popen(
        command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            print(text, end="", flush=True)
            found = found or re.search(r"\(run-id (\d+)\)", text)
    return found[1] if found and process.returncode == 0 else None
