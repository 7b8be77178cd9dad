"""Launch: starts a flow from the command line, and shows its errors to a person."""

import contextlib
import os
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import faults
import warm
from metaflow import FlowSpec, current, user_step_decorator
from metaflow.exception import MetaflowException
from metaflow.parameters import flow_context
from metaflow.plugins.cards import card_datastore
from metaflow.util import get_latest_run_id

from fivefold.core.findings import Refused
from fivefold.core.settings import MIRRORED_AFTER, REFUSED_IN


def runs_folder() -> Path:
    """Return the folder of the local datastore."""
    return Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")).resolve() / ".metaflow"


def name_faults(cli: Any) -> None:
    """Have Metaflow's command line print one line for a fault of the machine, not a traceback."""
    unknown = cli.print_unknown_exception

    def explained(error: Exception) -> None:
        if line := faults.explain(error, runs_folder()):
            print(f"\n{line}", file=sys.stderr, flush=True)
        else:
            unknown(error)

    def unraisable(info: Any) -> None:  # a file that is closed late, after the line above
        if not faults.explain(info.exc_value, runs_folder()):
            sys.__unraisablehook__(info)

    cli.print_unknown_exception, sys.unraisablehook = explained, unraisable


def keep_cards_beside_runs() -> None:
    """Put local cards into the datastore's folder, where Metaflow's card client looks for them.

    Metaflow 2.19.39 writes them to the nearest .metaflow upward from the working directory instead,
    and its setting METAFLOW_CARD_LOCALROOT makes `CardDatastore.get_storage_root` return nothing.
    That function joins this name to a folder, and an absolute name wins such a join.
    """
    if store := os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL"):
        card_datastore.DATASTORE_LOCAL_DIR = str(Path(store).resolve() / ".metaflow")
    # `card view` copies the card into the working directory, which may be read-only
    card_datastore.TEMP_DIR_NAME = str(Path(tempfile.gettempdir()) / "metaflow_card_cache")


keep_cards_beside_runs()
# Refusals in these steps are of the input, which a resumed run would not read again.
INPUT_STEPS = ("start", "validate", "split", "eda", "score", "judge")


class Stopped(MetaflowException):
    """An error that Metaflow prints without a traceback."""

    headline = "This run cannot go on"


@user_step_decorator
def plainly(step_name, flow, inputs, attributes):
    """Step decorator: show a refusal of the input without a traceback."""
    yield from refusals_shown(step_name)


def refusals_shown(step_name: str) -> Iterator[None]:
    """Yield to the body of a step; note its name for the launcher if it refuses its input."""
    try:
        yield
    except Refused as refused:
        if path := os.environ.get(REFUSED_IN):
            Path(path).write_text(step_name)
        raise Stopped(str(refused)) from None


def set_artifacts(flow: FlowSpec, artifacts: Any) -> None:
    """Set each field of a step's result as an artifact of the flow."""
    for field in fields(artifacts):
        setattr(flow, field.name, getattr(artifacts, field.name))


def is_mirrored_after(flow: FlowSpec) -> bool:
    """Return whether the launcher mirrors the run to MLflow after its end.

    It does so where it runs on this machine and keeps the runs here. On Argo there is no launcher,
    and a launcher in a container may end with it: there a step does it.
    """
    is_local = flow._datastore._storage_impl.TYPE == "local"
    return is_local and MIRRORED_AFTER in os.environ


def launch(
    flow: type[FlowSpec],
    flags: tuple[str, ...] = (),
    modules: tuple[str, ...] = (),
    after: Callable[[Any], str] | None = None,
    before_resume: Callable[[str], str] | None = None,
) -> None:
    """Run the flow's command line; after a run, print its result, or how to go on.

    Parameters
    ----------
    flow : the flow's class
    flags : options that may be given without a value, meaning true; Metaflow has no such options
    modules : what the tasks of a run import, in the order of need (`warm`)
    after : mirrors a run that has succeeded (a `metaflow.Run`) and returns what to say about it
    before_resume : returns what a resumed run takes over from the run of an id
    """
    for index, word in enumerate(sys.argv):
        # Metaflow's Runner gives the value
        has_value = sys.argv[index + 1 : index + 2] in (["True"], ["False"])
        if word in flags and not has_value:
            sys.argv[index] = f"{word}=true"
    is_run, words = bool({"run", "resume"} & set(sys.argv)), None
    if is_run:  # a terminated scheduler ends its tasks and prints how to resume, as by Ctrl-C
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        words = warm.entrypoint(sys.argv[0], modules) if modules else None
        from fivefold.tracking import mirror_outcome

        _prepare(flow)
        mirror_outcome.tell()
        if after:
            os.environ[MIRRORED_AFTER] = "1"
        refused_in = Path(tempfile.mkdtemp(prefix="fivefold-")) / "step"
        os.environ[REFUSED_IN] = str(refused_in)
        if before_resume and "resume" in sys.argv:
            _tell_changes(flow.__name__, before_resume)
    try:
        with flow_context(flow):  # as FlowSpec does by itself, with its own words
            from metaflow import cli

            name_faults(cli)
            cli.main(flow(use_cli=False), entrypoint=words)
    except SystemExit as end:
        run_id = getattr(current, "run_id", None)
        if run_id and is_run:
            if end.code:
                step = refused_in.read_text() if refused_in.exists() else ""
                advice = how_to_start_again() if step in INPUT_STEPS else _how_to_resume(run_id)
                print(advice, flush=True)
            else:
                _close(f"{current.flow_name}/{run_id}", after)
        raise
    finally:
        if is_run:
            shutil.rmtree(refused_in.parent, ignore_errors=True)


def how_to_start_again() -> str:
    """Return what to do after a refusal of the input: a resumed run would not read it again."""
    from fivefold.core.urls import mask  # not before each task

    options = [mask(word) for word in sys.argv[1:]]
    same = "run, with the options of that run" if "resume" in options else shlex.join(options)
    return (
        "\nCorrect what is named above, then start again:\n"
        f"    python {_relative(sys.argv[0])} {same}\n"
        "`resume` would go on with the table, options and scope that this run has read."
    )


def _tell_changes(flow: str, before_resume: Callable[[str], str]) -> None:
    """Print what a resumed run takes over; an unknown run is left to Metaflow's own words."""
    origin = [b for a, b in pairwise(sys.argv) if a == "--origin-run-id"]
    run_id = origin[0] if origin else get_latest_run_id(print, flow)
    if run_id:
        with contextlib.suppress(Refused):
            print(before_resume(run_id), flush=True)


def _prepare(flow: type[FlowSpec]) -> None:
    """Try the store, and choose what to resume; end with one line where that cannot be done."""
    from metaflow.metaflow_config import DEFAULT_DATASTORE

    is_local = (option("--datastore") or DEFAULT_DATASTORE) == "local"
    if is_local and (why := faults.unwritable(runs_folder())):
        sys.exit(why)
    if "resume" not in sys.argv or "--help" in sys.argv:
        return
    from fivefold.core.settings import keep_workers
    from fivefold.tracking import attempts

    try:
        script = _relative(sys.argv[0])
        origin, lines = attempts.choose_origin(flow.__name__, script, option("--origin-run-id"))
    except Refused as refused:
        sys.exit(str(refused))
    for line in lines:
        print(line, flush=True)
    if option("--origin-run-id") is None:
        place = sys.argv.index("resume") + 1
        sys.argv[place:place] = ["--origin-run-id", origin]
    keep_workers(attempts.workers_of(flow.__name__, origin))


def option(name: str) -> str | None:
    """Return the value of an option of the command line; None where it is not given."""
    for word, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _how_to_resume(run_id: str) -> str:
    return (
        "\nNothing finished is lost. After a kill, or once the fault is fixed, resume with\n"
        f"    python {_relative(sys.argv[0])} resume --origin-run-id {run_id}\n"
        "A resumed run keeps its options and scope; to change those, use `run`."
    )


def _close(pathspec: str, after: Callable[[Any], str] | None) -> None:
    """Print the closing text of a run, its artifact `closing`, and start what comes after it."""
    import metaflow

    metaflow.namespace(None)
    run = metaflow.Run(pathspec)
    print(f"\n{run.data.closing}", flush=True)
    if after and (text := after(run)):
        print(text, flush=True)


def _relative(script: str) -> str:
    try:
        return str(Path(script).resolve().relative_to(Path.cwd()))
    except ValueError:
        return script
