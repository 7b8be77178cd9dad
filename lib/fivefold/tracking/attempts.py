"""Attempts: the runs of a flow that go on from each other, and the one to resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fivefold.core.findings import Refused, refusal
from fivefold.core.text import plural

MOST_RUNS = 40  # the newest ones, in which the run to resume is looked for


@dataclass(frozen=True)
class Attempt:
    """One run of a flow.

    Parameters
    ----------
    run_id : of Metaflow
    chain : id of the first run of its chain: the one that it goes on from, and so on
    tasks : how many of its tasks are done
    successful : whether the run has ended well
    begun : whether its options are kept; a run without them cannot be resumed
    """

    run_id: str
    chain: str
    tasks: int
    successful: bool
    begun: bool = True


def attempts(flow: str) -> list[Attempt]:
    """Return the newest runs of a flow, the newest first; none where it never ran."""
    import metaflow
    from metaflow.exception import MetaflowNotFound

    client: Any = metaflow
    client.namespace(None)
    try:
        runs = list(client.Flow(flow))
    except MetaflowNotFound:
        return []
    runs = sorted(runs, key=lambda run: _number(run.id), reverse=True)[:MOST_RUNS]
    origins = {run.id: _origin(run) for run in runs}
    return [_attempt(run, _first(run.id, origins)) for run in runs]


def _named(flow: str, run_id: str) -> Attempt | None:
    """Return a run that is not among the newest; None where there is no such run."""
    import metaflow
    from metaflow.exception import MetaflowInvalidPathspec, MetaflowNotFound

    client: Any = metaflow
    try:
        return _attempt(client.Run(f"{flow}/{run_id}"), run_id)
    except (MetaflowNotFound, MetaflowInvalidPathspec):
        return None


def _number(run_id: str) -> tuple[int, str]:
    """Return what sorts run ids by their start: Metaflow counts microseconds in local ones."""
    return (int(run_id) if run_id.isdigit() else 0), run_id


def _origin(run: Any) -> str | None:
    """Return the id of the run that a run was resumed from; None for a fresh one."""
    try:
        pathspec = run.origin_pathspec
    except Exception:  # a run that died at its very start has no task to ask
        return None
    return pathspec.split("/")[1] if pathspec else None


def _first(run_id: str, origins: dict[str, str | None]) -> str:
    seen = {run_id}
    while (origin := origins.get(run_id)) and origin not in seen:
        run_id = origin
        seen.add(origin)
    return run_id


def _attempt(run: Any, chain: str) -> Attempt:
    done = 0
    for step in run:
        done += sum(_is_done(task) for task in step)
    return Attempt(run.id, chain, done, bool(run.successful), _has_begun(run))


def _has_begun(run: Any) -> bool:
    try:
        return bool(run["_parameters"].task.successful)
    except Exception:  # it died before that step
        return False


def _is_done(task: Any) -> bool:
    try:
        return bool(task.successful)
    except Exception:  # what a damaged task raises depends on where it is damaged
        return False


def furthest(known: Sequence[Attempt]) -> Attempt | None:
    """Return the run to resume: of the newest chain that can be resumed, the furthest.

    Of two that are equally far the newer one; a run that died at its start is passed over.

    >>> first, second = Attempt("1", "1", 8, False), Attempt("2", "1", 3, False)
    >>> dead = Attempt("3", "3", 0, False, begun=False)
    >>> furthest([second, first]).run_id, furthest([dead, first]).run_id
    ('1', '1')
    """
    begun = [attempt for attempt in known if attempt.begun]
    if not begun:
        return None
    chain = [attempt for attempt in begun if attempt.chain == begun[0].chain]
    return max(chain, key=lambda attempt: (attempt.successful, attempt.tasks))


def unfinished(known: Sequence[Attempt]) -> list[Attempt]:
    """Return the furthest run of each chain that has not ended well, the newest chain first."""
    chains = dict.fromkeys(attempt.chain for attempt in known)
    ends = [furthest([one for one in known if one.chain == chain]) for chain in chains]
    return [end for end in ends if end is not None and not end.successful]


def choose_origin(flow: str, script: str, asked: str | None) -> tuple[str, list[str]]:
    """Return the id of the run to resume, and what to say about the choice.

    Parameters
    ----------
    flow, script : name of the flow, and its file as a person types it
    asked : the id that a person has named, None for the furthest run of the newest chain

    Raises
    ------
    Refused : where there is no such run, or nothing in it to go on from
    """
    known = attempts(flow)
    others = unfinished(known)
    if asked is not None:
        named = next((attempt for attempt in known if attempt.run_id == asked), None)
        named = named or _named(flow, asked)
        if named is None or not named.begun:
            found = "no such run" if named is None else "a run that died at its very start"
            raise _nothing(asked, found, script, others)
        return asked, []
    origin = furthest(known)
    if origin is None:
        found = "no run" if not known else "only runs that died at their very start"
        raise _nothing(flow, found, script, others)
    lines = [f"Resuming run {origin.run_id}: {plural(origin.tasks, 'task')} done"]
    if origin.successful:
        lines = [f"Run {origin.run_id} has ended well: only what you name is done again"]
    rest = [attempt for attempt in others if attempt.chain != origin.chain]
    if rest:
        lines.append("Other runs that have not ended (--origin-run-id): " + _listed(rest))
    return origin.run_id, lines


def workers_of(flow: str, run_id: str) -> int | None:
    """Return how many tasks of a run ran at a time; None where it does not say."""
    import metaflow

    client: Any = metaflow
    try:
        return int(client.Run(f"{flow}/{run_id}")["start"].task["workers"].data)
    except Exception:  # an older run, another flow, or a damaged one
        return None


def _nothing(subject: str, found: str, script: str, others: Sequence[Attempt]) -> Refused:
    action = f"python {script} run"
    if others:
        action = f"resume one of these (--origin-run-id): {_listed(others)}; or start: {action}"
    return refusal(
        "There is nothing to resume", "resume-origin", subject, found, "a run to go on from", action
    )


def _listed(runs: Sequence[Attempt]) -> str:
    return ", ".join(f"{run.run_id} ({plural(run.tasks, 'task')} done)" for run in runs[:5])
