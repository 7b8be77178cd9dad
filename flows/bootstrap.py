"""Bootstrap: set the import path and Metaflow's settings; every flow imports it first.

So `python flows/train.py` works from any directory.
"""

import os
from pathlib import Path

from fivefold.core.settings import SCOPE_FOLDER, STARTED, TRIALS, prepare, workers

__all__ = ["ROOT", "SCOPE_FOLDER", "STARTED", "STORE", "TRIALS", "workers"]

ROOT = Path(__file__).resolve().parent.parent

prepare(ROOT)
# The folder of the local datastore
STORE = Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")).resolve()
