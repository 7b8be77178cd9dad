"""Retraining: train the champion's problem again with the new labels, and compare."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fivefold.core.findings import refusal
from fivefold.core.settings import journal_url
from fivefold.journal import database, promotions
from fivefold.lifecycle import monitor_steps, promotion, promotion_mirror
from fivefold.serving.served_model import no_model
from fivefold.tracking import client
from fivefold.tracking.runner import run_flow

# Options that a challenger takes over
SAME = ("seed", "folds", "serve", "refit", "device", "threads", "synthetic_rows")


def retrain(
    root: Path,
    problem: str,
    *,
    force: bool,
    now: str,
    margin: float,
    require_approval: bool,
    options: str,
) -> str:
    """Train a challenger if the monitor asks for one, compare it with the champion; say the result.

    The split of the table stays the champion's: the same table, seed and folds give the same
    held-out rows.

    Parameters
    ----------
    options
        Further options of flows/train.py, in one text.

    Raises
    ------
    Refused
        If nothing is served, or the training fails.
    """
    engine = database.open_journal(journal_url())
    champion = promotions.champion(engine, problem)
    if champion is None:
        raise no_model(problem)
    name = champion.problem
    decision = monitor_steps.decide(engine, name, monitor_steps.present(now))
    if not decision.retrain and not force:
        return f"Nothing to do: {decision.why}."
    print(f"Retraining {name}: {decision.why}", flush=True)
    run_id = train(root, champion.model, shlex.split(options))
    if run_id is None:
        raise refusal(
            "There is no challenger",
            code="training-failed",
            subject=name,
            found="a training run that failed (see above)",
            expected="one that ends",
            action="python flows/train.py resume, then python flows/promote.py challenge RUN; "
            "the champion stays",
        )
    result = promotion.challenge_champion(
        engine, run_id, root, margin=margin, require_approval=require_approval
    )
    for warning in promotion_mirror.mirror(engine, result, root):
        print(f"warning: {warning}")
    return f"{result.action}: {result.model}. {result.why}"


def train(root: Path, champion: str, options: Sequence[str]) -> str | None:
    """Train on the champion's problem with feedback, and return the run's id; None if it failed."""
    run = client.find_run(champion)
    scope, before = client.read(run, "problem"), client.read(run, "options")
    if scope is None or before is None:
        raise refusal(
            "The champion cannot be trained again",
            code="run-damaged",
            subject=champion,
            found="no readable scope or options",
            expected="a readable training run",
            action="train by hand: python flows/train.py --config scope FILE run --with-feedback",
        )
    parameters = {name: before[name] for name in SAME if name in before}
    effort = "budget" if before.get("budget") else "trials"
    given = parse_options(options, before)
    if "budget" not in given and "trials" not in given:
        parameters[effort] = before[effort]
    parameters |= {"with_feedback": True, **given}
    return run_flow(root / "flows" / "train.py", {"scope": scope}, parameters)


def parse_options(words: Sequence[str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a command line as {name: value}; an option without a value means true.

    What is a text in the options of the run `before` stays one: the label "1" is no number.

    >>> before = {"budget": 0, "positive": "yes", "target": ""}
    >>> parse_options(["--budget", "120", "--with-feedback"], before)
    {'budget': 120, 'with_feedback': True}
    >>> parse_options(["--positive", "1", "--target=2024"], before)
    {'positive': '1', 'target': '2024'}
    """
    options: dict[str, Any] = {}
    name = ""
    for word in words:
        if word.startswith("--"):
            option, has_value, value = word.removeprefix("--").partition("=")
            name = option.replace("-", "_")
            options[name] = _typed(value, before.get(name)) if has_value else True
        else:
            options[name] = _typed(word, before.get(name))
    return options


def _typed(text: str, before: Any) -> Any:
    if isinstance(before, str):
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
