"""Launch: how a flow is started, and how its errors reach a person."""

import sys
from collections.abc import Callable
from pathlib import Path

from metaflow import current, user_step_decorator
from metaflow.exception import MetaflowException

from lib.findings import Refused


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


def launch(flow: Callable[[], object]) -> None:
    """Run the flow's command line; after a run, say what came out, or how to go on from where it stopped."""
    try:
        flow()
    except SystemExit as end:
        run_id = getattr(current, "run_id", None)
        if run_id and {"run", "resume"} & set(sys.argv):
            print(_how_to_go_on(run_id) if end.code else _closing(f"{current.flow_name}/{run_id}"), flush=True)
        raise


def _how_to_go_on(run_id: str) -> str:
    return ("\nNothing finished is lost. After a kill or a mended fault, go on with\n"
            f"    python {_shown(sys.argv[0])} resume --origin-run-id {run_id}\n"
            "Resuming keeps options and scope as they were; to change those, start with `run` again.")


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
