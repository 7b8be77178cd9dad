"""Settings: where the project keeps Metaflow's configuration and runs, unless the user has said otherwise."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sys
import time
from pathlib import Path

MIN_KEY_BYTES = 16  # bytes of a key of pseudonyms that was made here
TRIALS = 12  # of each algorithm, by default
STARTED = "FIVEFOLD_STARTED"  # seconds since 1970 at which the scheduler started; --budget counts from here
SCOPE_FOLDER = (
    "FIVEFOLD_SCOPE_FOLDER"  # where the file of --config scope lies; its relative paths start there
)


def prepare(root: Path) -> None:
    """Set the environment variables that are not set yet; to be called before Metaflow is imported.

    Beside a checkout Metaflow finds `metaflow_config/` and keeps runs in `.metaflow/` of the project, from whichever
    directory it is called. Inside a code package on a cluster there is no such folder, and Metaflow brings its own.
    """
    defaults = {
        STARTED: repr(time.time()),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for option, name, path in zip(sys.argv, sys.argv[1:], sys.argv[2:], strict=False):
        if (option, name) == (
            "--config",
            "scope",
        ):  # Metaflow hands on the content of the file, not its place
            defaults[SCOPE_FOLDER] = str(Path(path).resolve().parent)
    if (root / "metaflow_config").is_dir():
        defaults |= {
            "METAFLOW_HOME": str(root / "metaflow_config"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root),
            "METAFLOW_PYLINT": "0",
            "METAFLOW_RUN_MAX_WORKERS": str(max(1, min(5, os.cpu_count() or 2))),
        }
        if os.environ.get("USER", "root") == "root":  # Metaflow refuses to run as nobody or as root
            defaults["METAFLOW_USER"] = "fivefold"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def say(text: str) -> None:
    """Print a line at once; a task whose scheduler was killed has nobody to tell and goes on without."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def workers() -> int:
    """How many tasks run at a time, by environment (a --max-workers option is not seen here)."""
    return int(os.environ.get("METAFLOW_RUN_MAX_WORKERS", os.cpu_count() or 2))


def journal_url() -> str:
    """The journal's URL: FIVEFOLD_JOURNAL, else a SQLite file beside the runs."""
    return os.environ.get("FIVEFOLD_JOURNAL") or f"sqlite:///{_store() / 'journal.db'}"


def pseudonym_key() -> bytes:
    """The key of pseudonyms: FIVEFOLD_PSEUDONYM_KEY, else a file beside the runs that is made at its first use."""
    if given := os.environ.get("FIVEFOLD_PSEUDONYM_KEY"):
        return given.encode()
    path = _store() / "journal.key"
    if not path.exists():  # written whole beside it, then linked: nobody ever reads a part of it
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:  # another process was first
            pass
        except OSError:  # a file system without links
            draft.replace(path)
        draft.unlink(missing_ok=True)
    key = path.read_bytes()
    if len(key) < MIN_KEY_BYTES:
        from fivefold.core.findings import ERROR, Finding, Refused

        raise Refused(
            "The pseudonyms cannot be made",
            [
                Finding(
                    code="pseudonym-key",
                    severity=ERROR,
                    subject=str(path),
                    found=f"{len(key)} bytes",
                    expected=f"a key of at least {MIN_KEY_BYTES}",
                    action="restore the file, or remove it: a new key is made, to which older pseudonyms do not fit",
                )
            ],
        )
    return key


def spool_folder() -> Path:
    """The folder where lines wait that the journal could not take: beside the runs, one for each journal."""
    given = os.environ.get("FIVEFOLD_JOURNAL", "")
    named = (
        hashlib.sha256(re.sub("//[^/@]*@", "//", given).encode()).hexdigest()[:8] if given else ""
    )
    return _store() / f"journal-spool{'-' + named if named else ''}"


def _store() -> Path:
    return Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")).resolve()


def mlflow_uri(uri: str, root: Path) -> str:
    """The tracking URI: the given one, else MLFLOW_TRACKING_URI, else a SQLite file in the project's folder."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"
