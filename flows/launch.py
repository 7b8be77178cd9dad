"""Launch: how a flow is started, and how its errors reach a person."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from metaflow import current, user_step_decorator
from metaflow.exception import MetaflowException
from metaflow.plugins.cards import card_datastore

from fivefold.core.findings import Refused


def keep_cards_beside_runs() -> None:
    """Put local cards into the datastore's folder, where Metaflow's card client looks for them.

    Metaflow 2.19.39 writes them to the nearest .metaflow upward from the working directory instead, and its setting
    METAFLOW_CARD_LOCALROOT makes `CardDatastore.get_storage_root` return nothing. That function joins this name to a
    folder, and an absolute name wins such a join.
    """
    if store := os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL"):
        card_datastore.DATASTORE_LOCAL_DIR = str(Path(store).resolve() / ".metaflow")
    # `card view` copies the card into the working directory, which may be read-only or somebody's project
    card_datastore.TEMP_DIR_NAME = str(Path(tempfile.gettempdir()) / "metaflow_card_cache")


keep_cards_beside_runs()


class Stopped(MetaflowException):
    """An error that Metaflow prints without a traceback."""

    headline = "This run cannot go on"


@user_step_decorator
def plainly(step_name, flow, inputs, attributes):
    """Step decorator: input that was refused is told as it is, without a traceback."""
    try:
        yield
    except Refused as refused:
        raise Stopped(str(refused)) from None


def launch(flow: Callable[[], object], flags: tuple[str, ...] = ()) -> None:
    """Run the flow's command line; after a run, say what came out, or how to go on from where it stopped.

    `flags`: options that may stand without a value, which Metaflow does not know; they mean true.
    """
    sys.argv = [f"{word}=true" if word in flags else word for word in sys.argv]
    if {"run", "resume"} & set(
        sys.argv
    ):  # a terminated scheduler ends its tasks and says how to go on, as by Ctrl-C
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        flow()
    except SystemExit as end:
        run_id = getattr(current, "run_id", None)
        if run_id and {"run", "resume"} & set(sys.argv):
            print(
                _how_to_go_on(run_id) if end.code else _closing(f"{current.flow_name}/{run_id}"),
                flush=True,
            )
        raise


def _how_to_go_on(run_id: str) -> str:
    return (
        "\nNothing finished is lost. After a kill or a mended fault, go on with\n"
        f"    python {_shown(sys.argv[0])} resume --origin-run-id {run_id}\n"
        "Resuming keeps options and scope as they were; to change those, start with `run` again."
    )


def _closing(pathspec: str) -> str:
    """The run's own last words, its artifact `closing`."""
    import metaflow

    metaflow.namespace(None)
    return "\n" + metaflow.Run(pathspec).data.closing


def _shown(script: str) -> str:
    try:
        return str(Path(script).resolve().relative_to(Path.cwd()))
    except ValueError:
        return script
