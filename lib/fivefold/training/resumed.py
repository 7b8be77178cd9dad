"""Resumed: what a resumed run takes over from the run before, and what has changed since then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fivefold.data.reading.files import file_md5, path_md5
from fivefold.data.revision import code_md5
from fivefold.tracking.client import find_run, read

_KEPT = "this run goes on with the one that it has read"


def resume_text(run_id: str, root: Path) -> str:
    """Return what a resumed run reuses, and each of table, scope and code that has changed.

    Parameters
    ----------
    run_id : of the run to go on from
    root : folder of the project

    Raises
    ------
    Refused : there is no such run
    """
    run = find_run(run_id)
    steps = _finished_steps(run)
    if "start" not in steps:
        return f"Run {run_id} has finished no step: table and code are read as they are now"
    source = read(run, "source") or {}
    lines = [f"Reused from run {run_id}, as they are: {', '.join(steps)}"]
    lines += [f"changed: {change}" for change in changes(source, root)]
    return "\n".join(lines)


def changes(source: Mapping[str, Any], root: Path) -> list[str]:
    """Return a line for each of table, scope and code that is not as a run has noted it.

    `source` are the facts of the run's source. Runs of older versions noted the table only.
    """
    lines = []
    new_run = "to use the new one, start again with `run`"
    table = Path(source.get("source", ""))
    asked_for = (source.get("revision") or {}).get("requested")
    if table.is_absolute() and not asked_for:
        if not table.exists():
            lines.append(f"the table {table} is gone; {_KEPT}")
        elif path_md5(table) != source.get("md5"):
            lines.append(f"the table {table} has other content; {_KEPT}; {new_run}")
    scope = source.get("scope") or {}
    if scope and scope_facts(scope["file"]).get("md5") != scope["md5"]:
        lines.append(f"the scope {scope['file']}; {_KEPT}; {new_run}")
    noted = source.get("code_md5")
    if noted and noted != code_md5(root):
        lines.append(
            "the code; finished steps are not done again, the others run with the new code; "
            "to do all with the new one, start again with `run`"
        )
    return lines


def scope_facts(file: str) -> dict[str, str]:
    """Return the path and the md5 of a scope file, as a run notes them; nothing without one."""
    if not file or not Path(file).is_file():
        return {}
    return {"file": file, "md5": file_md5(Path(file))}


def _finished_steps(run: Any) -> list[str]:
    """Return the steps whose tasks have all succeeded, in the order of their work."""
    steps = [step for step in run if all(task.successful for task in step)]
    return [step.id for step in reversed(steps)]
