"""Bootstrap: makes `python flows/train.py` work from any directory; imported before Metaflow in every flow."""

import os
from pathlib import Path

from fivefold.core.settings import SCOPE_FOLDER, STARTED, TRIALS, prepare, workers

__all__ = ["ROOT", "SCOPE_FOLDER", "STARTED", "STORE", "TRIALS", "workers"]

ROOT = Path(__file__).resolve().parent.parent

prepare(ROOT)
STORE = Path(
    os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")
).resolve()  # holds the local datastore
