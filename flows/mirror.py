"""Rebuild the MLflow mirror from Metaflow: `python flows/mirror.py [--run-id ID | --all]`."""

import argparse
import sys

import bootstrap  # isort: skip  # sets Metaflow's settings; must come first


def main() -> int:
    """Mirror the chosen runs, oldest first; repeating it changes nothing. Return the exit code."""
    from fivefold.core.findings import Refused
    from fivefold.tracking import client

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-id", help="training run; default: the latest finished one")
    parser.add_argument("--all", action="store_true", help="every finished training run")
    parser.add_argument(
        "--mlflow-uri", default="", help="default: MLFLOW_TRACKING_URI or the project's SQLite file"
    )
    options = parser.parse_args()
    try:
        if options.all:
            runs = list(client.finished_runs())[::-1]
        else:
            runs = [client.find_run(options.run_id)]
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    results = [mirror(run, options.mlflow_uri) for run in runs]
    return int("failed" in results)


def mirror(run, uri: str) -> str:
    """Mirror one run; return the status of the mirror."""
    from fivefold.lifecycle import publish

    print(run.pathspec, flush=True)
    artifacts = run["record"].task.data
    aliases = publish.roles(artifacts.problem, artifacts.bundle_sha256)
    return publish.mirror(artifacts, run.pathspec, uri, bootstrap.ROOT, aliases).status


if __name__ == "__main__":
    sys.exit(main())
