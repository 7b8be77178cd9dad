"""Bootstrap: makes `python flows/train.py` work from any directory; imported before Metaflow in every flow.

Beside a checkout it points Metaflow at the project's own configuration and datastore, unless the user has set them.
Inside a code package on a cluster there is no metaflow_config folder, and Metaflow brings its settings itself.
"""

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STARTED = "FIVEFOLD_STARTED"  # seconds since 1970 at which the scheduler started; --budget counts from here
SCOPE_FOLDER = "FIVEFOLD_SCOPE_FOLDER"  # where the file of --config scope lies; its relative paths start there


def workers() -> int:
    """How many tasks run at a time, as Metaflow was told by environment (a --max-workers option is not seen here)."""
    return int(os.environ.get("METAFLOW_RUN_MAX_WORKERS", os.cpu_count() or 2))


def prepare() -> None:
    """Set what is not set yet; see `metaflow_config/config.json` for the rest."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    defaults = {STARTED: repr(time.time()), "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    for option, name, path in zip(sys.argv, sys.argv[1:], sys.argv[2:], strict=False):
        if (option, name) == ("--config", "scope"):  # Metaflow hands on the content of the file, not its place
            defaults[SCOPE_FOLDER] = str(Path(path).resolve().parent)
    if (ROOT / "metaflow_config").is_dir():
        defaults |= {
            "METAFLOW_HOME": str(ROOT / "metaflow_config"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(ROOT),
            "METAFLOW_PYLINT": "0",
            "METAFLOW_RUN_MAX_WORKERS": str(max(1, min(5, os.cpu_count() or 2))),
        }
        if os.environ.get("USER", "root") == "root":  # Metaflow refuses to run as nobody or as root
            defaults["METAFLOW_USER"] = "fivefold"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


prepare()
