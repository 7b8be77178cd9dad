"""Six months in minutes: `make demo`.

A model is trained and served by the real API. Traffic comes; labels come late and not for all
cases. In month four the data change: the monitor finds it and sends alerts, a challenger is
trained, compared, promoted if it is better, and served without a restart. Everything runs on this
machine, in a folder of its own (build/demo).

On a table of your own:

python flows/demo.py --data telco.csv --target Churn --positive Yes --id-columns customerID
"""

import argparse
import sys
from pathlib import Path

import bootstrap  # isort: skip  # sets the import path and Metaflow's settings; must come first


def main() -> int:
    """Run the simulation and print its timeline; exit code 1 where a part of it failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", default="", help="a table to split into past and future; default: the bundled one"
    )
    parser.add_argument("--target", default="")
    parser.add_argument("--positive", default="")
    parser.add_argument("--id-columns", default="")
    parser.add_argument("--drop", default="")
    parser.add_argument(
        "--folder", default=str(bootstrap.ROOT / "build" / "demo"), help="emptied first"
    )
    parser.add_argument("--rows", type=int, default=3000, help="cases a month")
    parser.add_argument(
        "--share",
        type=float,
        default=0.5,
        help="of the cases that the change of month four affects",
    )
    parser.add_argument("--trials", type=int, default=3, help="trials of each algorithm")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from fivefold.core.findings import Refused
    from fivefold.lifecycle import simulation

    try:
        return simulation.run(bootstrap.ROOT, Path(options.folder), options)
    except (Refused, OSError) as refused:
        print(refused, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
