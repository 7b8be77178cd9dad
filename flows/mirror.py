"""Rebuild the MLflow mirror from Metaflow: `python flows/mirror.py [--run-id ID | --all]`."""

import argparse
import os
import sys

import bootstrap  # isort: skip  # sets Metaflow's settings; must come first


def main() -> int:
    """Mirror the chosen runs, oldest first; repeating it changes nothing. Return the exit code."""
    from fivefold.core.findings import Refused
    from fivefold.core.settings import MIRROR_LOCK
    from fivefold.tracking import client, mirror_outcome

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-id", help="training run; default: the latest finished one")
    parser.add_argument("--all", action="store_true", help="every finished training run")
    parser.add_argument(
        "--mlflow-uri", default="", help="default: MLFLOW_TRACKING_URI or the project's SQLite file"
    )
    options = parser.parse_args()
    in_background = MIRROR_LOCK in os.environ
    if not in_background:
        mirror_outcome.tell()
    try:
        if options.all:
            runs = list(client.finished_runs())[::-1]
        else:
            runs = [client.find_run(options.run_id)]
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    failed = False
    for run in runs:
        if not in_background:
            mirror_outcome.no_telling(run.id)
            _explain_waiting(mirror_outcome.read(run.id))
        failed |= mirror(run, options.mlflow_uri) == mirror_outcome.FAILED
    return int(failed)


def mirror(run, uri: str) -> str:
    """Mirror one run; return the status of the mirror."""
    from fivefold.lifecycle import publish

    print(run.pathspec, flush=True)
    return publish.mirror_finished(run, uri, bootstrap.ROOT).status


def _explain_waiting(result) -> None:
    from fivefold.tracking.mirror_outcome import RUNNING

    if result is not None and result.status == RUNNING:
        print(f"waiting for process {result.pid}, which mirrors this run since {result.started}")


if __name__ == "__main__":
    sys.exit(main())
