"""Compare any two tables, column by column: no model, no journal.

`python flows/drift.py before.csv now.csv [--target y] [--drop a,b] [--reference seen_on]`

Each table is a file, a folder of Parquet files, an http(s) address or a database URL. Exit code 0:
no column has drifted; 1: at least one has; 2: the tables cannot be compared.
"""

import argparse
import json
import sys
from pathlib import Path


def main() -> int:
    """Print the comparison; return the exit code."""
    from dataclasses import replace

    from fivefold.core.findings import Refused
    from fivefold.core.scope import Scope, read_scope
    from fivefold.data.reading.source import read
    from fivefold.lifecycle.table_drift import as_sequence, compare_tables, report_lines

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", help="the reference: what the columns looked like")
    parser.add_argument("now", help="the table that may have drifted")
    parser.add_argument("--scope", default="", help="TOML file with the columns' roles and kinds")
    parser.add_argument("--target", default="", help="compared by the shares of its labels")
    parser.add_argument("--drop", default="", help="comma-separated columns to leave out")
    parser.add_argument("--reference", default="", help="date column that dates count back from")
    parser.add_argument("--query", default="", help="SELECT or table name, for a database URL")
    parser.add_argument("--json", default="", help="file for the result as JSON")
    options = parser.parse_args()
    try:
        scope = read_scope(options.scope) if options.scope else Scope()
        scope = scope.override(target=options.target, reference_column=options.reference)
        scope = replace(scope, drop_columns=(*scope.drop_columns, *as_sequence(options.drop)))
        tables = [
            read(address, query=options.query or None) for address in (options.before, options.now)
        ]
        drift = compare_tables(tables[0].frame, tables[1].frame, scope)
        if options.json:
            Path(options.json).write_text(json.dumps(drift.to_dict(), indent=1), encoding="utf-8")
    except (Refused, OSError) as refused:
        print(refused, file=sys.stderr)
        return 2
    print("\n".join(report_lines(drift)))
    return int(bool(drift.drifted))


if __name__ == "__main__":
    sys.exit(main())
