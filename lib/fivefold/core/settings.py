"""Where runs, journal, spool and key are kept; environment variables override it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sys
import time
from pathlib import Path

MIN_KEY_BYTES = 16  # of a key of pseudonyms that was made here
TRIALS = 6  # of each algorithm, by default
STARTED = (
    "FIVEFOLD_STARTED"  # when the scheduler started, seconds since 1970: --budget counts from here
)
SCOPE_FOLDER = (
    "FIVEFOLD_SCOPE_FOLDER"  # folder of the file of --config scope: relative paths start here
)
WORKERS, RESUME_WORKERS = "METAFLOW_RUN_MAX_WORKERS", "METAFLOW_RESUME_MAX_WORKERS"
SCOPE_FILE = "FIVEFOLD_SCOPE_FILE"  # that file itself
REFUSED_IN = "FIVEFOLD_REFUSED_IN"  # file to which a task that refuses its input writes its step
MIRRORED_AFTER = "FIVEFOLD_MIRRORED_AFTER"  # set if the launcher mirrors a run after its end
MIRROR_LOCK = "FIVEFOLD_MIRROR_LOCK"  # number of the lock's file that a background mirror inherits


def prepare(root: Path) -> None:
    """Set the environment variables that are not set yet; to be called before Metaflow is imported.

    In a checkout Metaflow finds `metaflow_config/` and keeps runs in `.metaflow/` of the project,
    from whichever directory it is called. The code package of a remote task has no such folder, and
    Metaflow brings its own settings.
    """
    defaults = {
        STARTED: repr(time.time()),
        "OMP_NUM_THREADS": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    for option, number in zip(sys.argv, sys.argv[1:], strict=False):
        if option == "--max-workers":  # the tasks do not see the option
            os.environ[WORKERS] = os.environ[RESUME_WORKERS] = number
    for option, name, path in zip(sys.argv, sys.argv[1:], sys.argv[2:], strict=False):
        if (option, name) == ("--config", "scope"):  # Metaflow passes on the content, not the path
            defaults[SCOPE_FOLDER] = str(Path(path).resolve().parent)
            defaults[SCOPE_FILE] = str(Path(path).resolve())
    if (root / "metaflow_config").is_dir():
        defaults |= {
            "METAFLOW_HOME": str(root / "metaflow_config"),
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root),
            "METAFLOW_PYLINT": "0",
            WORKERS: str(max(1, min(5, os.cpu_count() or 2))),
        }
        if os.environ.get("USER", "root") == "root":  # Metaflow refuses to run as nobody or as root
            defaults["METAFLOW_USER"] = "fivefold"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def say(text: str) -> None:
    """Print a line at once; where nobody reads it any more (the scheduler was killed), go on."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def workers() -> int:
    """Return how many tasks run at a time, also of a resumed run (`keep_workers`)."""
    return int(os.environ.get(WORKERS, os.cpu_count() or 2))


def keep_workers(before: int | None) -> None:
    """Have a resumed run use as many workers as it had `before` (None: not known).

    Metaflow has a setting of its own for resumed runs, and 16 without it. What the environment or
    --max-workers says now comes first.
    """
    os.environ.setdefault(RESUME_WORKERS, str(before or workers()))
    os.environ[WORKERS] = os.environ[RESUME_WORKERS]


def journal_url() -> str:
    """Return the journal's URL: FIVEFOLD_JOURNAL, else a SQLite file beside the runs."""
    return os.environ.get("FIVEFOLD_JOURNAL") or f"sqlite:///{_runs_folder() / 'journal.db'}"


def spool_folder() -> Path:
    """Return the folder of the rows that wait for the journal, one for each journal."""
    url = os.environ.get("FIVEFOLD_JOURNAL", "")
    if not url:
        return _runs_folder() / "journal-spool"
    without_user = re.sub("//[^/@]*@", "//", url)  # the folder stays when the password changes
    digest = hashlib.sha256(without_user.encode()).hexdigest()[:8]
    return _runs_folder() / f"journal-spool-{digest}"


def pseudonym_key() -> bytes:
    """Return the key of pseudonyms: FIVEFOLD_PSEUDONYM_KEY, else that of a file beside the runs.

    The file is made at its first use. Raises `Refused` where it holds too little.
    """
    if given := os.environ.get("FIVEFOLD_PSEUDONYM_KEY"):
        return given.encode()
    path = _runs_folder() / "journal.key"
    if not path.exists():
        _make_key(path)
    key = path.read_bytes()
    if len(key) < MIN_KEY_BYTES:
        from fivefold.core.findings import refusal

        raise refusal(
            "The pseudonyms cannot be made",
            code="pseudonym-key",
            subject=str(path),
            found=f"{len(key)} bytes",
            expected=f"a key of at least {MIN_KEY_BYTES}",
            action="restore the file, or remove it: a new key is made, "
            "which gives other pseudonyms",
        )
    return key


def mlflow_uri(uri: str, root: Path) -> str:
    """Return the given URI, else MLFLOW_TRACKING_URI, else a SQLite file in the project."""
    return uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def mirrors_folder() -> Path:
    """Return the folder of the outcomes of MLflow mirrors, beside the runs of the local store."""
    return _runs_folder() / ".metaflow" / "mirrors"


def _runs_folder() -> Path:
    return Path(os.environ.get("METAFLOW_DATASTORE_SYSROOT_LOCAL", ".")).resolve()


def _make_key(path: Path) -> None:
    """Write a new key, unless another process is first; nobody ever reads a part of it."""
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
