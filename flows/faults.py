"""Faults of the machine in one line: what is full, read-only or too small, and what to do."""

import errno
import os
import tempfile
from pathlib import Path

PROBE = 1 << 16  # bytes that are written to try a folder
# Number of an OSError -> what it means, and what to do.
MEANING = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("your quota on this disk is used up", "free some space"),
    errno.EFBIG: ("a file would be larger than allowed", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the disk is read-only", "use another folder, or mount it for writing"),
    errno.EACCES: ("writing is not allowed", "use another folder, or change its permissions"),
    errno.EPERM: ("writing is not allowed", "use another folder, or change its permissions"),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
    errno.ENOMEM: ("the memory is used up", "free some, or set METAFLOW_RUN_MAX_WORKERS=1"),
}


def explain(error: BaseException, folder: Path) -> str:
    """Return a fault of the machine in one line; "" for any other error.

    `folder` is named where the error names no file: that of the runs.
    """
    chain, seen = error, []
    while chain is not None and chain not in seen:
        seen.append(chain)
        if isinstance(chain, MemoryError):
            return (
                "The memory is used up. To do: free some, let fewer tasks run at a time "
                "(METAFLOW_RUN_MAX_WORKERS=1 METAFLOW_RESUME_MAX_WORKERS=1), or use fewer rows"
            )
        if isinstance(chain, OSError) and chain.errno in MEANING:
            what, action = MEANING[chain.errno]
            where = chain.filename or folder
            return f"{what[0].upper()}{what[1:]}: {where}. To do: {action}, then resume"
        chain = chain.__cause__ or chain.__context__
    return ""


def unwritable(folder: Path) -> str:
    """Return why a folder cannot be written, in one line; "" where it can.

    It is tried with a small file, before any work is done that could not be kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(os.urandom(PROBE))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        what, action = MEANING.get(error.errno or 0, (str(error.strerror), "see what is wrong"))
        other = "METAFLOW_DATASTORE_SYSROOT_LOCAL=/another/folder keeps the runs elsewhere"
        return f"The runs cannot be kept in {folder}: {what}. To do: {action}; {other}"
    return ""
