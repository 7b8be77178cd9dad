"""Rebuild the MLflow mirror from Metaflow alone: `python flows/mirror.py [--run-id ID | --all] [--mlflow-uri URI]`."""

import argparse
import sys

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first


def main() -> int:
    """Mirror the chosen finished runs, oldest first; repeating it changes nothing. Exit code 1 if one failed."""
    from fivefold.core.findings import Refused
    from fivefold.lifecycle import record_steps
    from fivefold.tracking import client

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-id", help="training run; default: the latest finished one")
    parser.add_argument("--all", action="store_true", help="every finished training run")
    parser.add_argument(
        "--mlflow-uri", default="", help="default: MLFLOW_TRACKING_URI or the project's SQLite file"
    )
    options = parser.parse_args()
    try:
        chosen = (
            reversed(list(client.finished_runs()))
            if options.all
            else [client.find_run(options.run_id)]
        )
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    failed = 0
    for run in chosen:
        print(run.pathspec, flush=True)
        found = run["record"].task.data
        told = record_steps.mirror(
            found,
            run.pathspec,
            options.mlflow_uri,
            bootstrap.ROOT,
            record_steps.roles(found.problem, found.bundle_sha256),
        )
        failed += told["status"] == "failed"
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
