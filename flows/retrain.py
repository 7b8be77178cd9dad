"""A new model when the monitor asks for one: `python flows/retrain.py`. Trains on the old table and the labels that
came in, then lets the new model prove itself (`flows/promote.py judge`). Does nothing where nothing is due."""

import argparse
import sys

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first


def main() -> int:
    """Exit code 0: not due, promoted or kept; 1: refused or the training failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problem", default="", help="name of the problem; default: the one promoted last")
    parser.add_argument("--force", action="store_true", help="retrain also where the monitor does not ask for it")
    parser.add_argument("--require-approval", action="store_true", help="a model that has proven itself waits")
    parser.add_argument("--margin", type=float, default=0.0, help="ROC AUC that the gain's lower bound must exceed")
    parser.add_argument("--now", default="", help="decide as if it were this time (ISO 8601, UTC)")
    parser.add_argument("options", nargs="*", help="options of train.py after --, such as -- --budget 120")
    options = parser.parse_args()
    from lib import retraining
    from lib.findings import Refused

    try:
        told = retraining.retrain(bootstrap.ROOT, options.problem, force=options.force, now=options.now,
                                  margin=options.margin, require_approval=options.require_approval,
                                  options=options.options)
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    print(told["why"])
    return int(told["action"] == "failed")


if __name__ == "__main__":
    sys.exit(main())
