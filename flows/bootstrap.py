"""Bootstrap: makes `python flows/train.py` work from any directory; imported before Metaflow in every flow."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # `python flows/train.py` puts flows/ there, not the project

from lib.settings import SCOPE_FOLDER, STARTED, TRIALS, prepare, workers

__all__ = ["ROOT", "SCOPE_FOLDER", "STARTED", "STORE", "TRIALS", "workers"]

prepare(ROOT)
STORE = Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")).resolve()  # holds the local datastore
