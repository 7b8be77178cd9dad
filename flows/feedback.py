"""Labels from a table into the journal: `python flows/feedback.py labels.csv`.

Columns: prediction_id or the scope's id columns; label (or the target's name); perhaps observed_at.
"""

import argparse
import getpass
import sys

import bootstrap  # noqa: F401  # isort: skip  # sets the import path and Metaflow's settings; must come first


def main() -> int:
    """Record the labels; exit code 1 with all reasons where they cannot be used."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "data", help="file, folder of Parquet files, http(s) address or database URL"
    )
    parser.add_argument(
        "--query", default="", help="SELECT or table name of a database, sheet of a workbook"
    )
    parser.add_argument(
        "--problem", default="", help="name of the problem; default: the one promoted last"
    )
    parser.add_argument(
        "--who", default=getpass.getuser(), help="who gives them; default: the user of this machine"
    )
    options = parser.parse_args()
    from fivefold.core.findings import Refused
    from fivefold.serving import labels

    try:
        print(labels.record_file(options.data, options.query, options.problem, options.who))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
