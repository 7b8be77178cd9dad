"""Files: the unzipped bytes of files and downloads, and the md5 that DVC records for them."""

from __future__ import annotations

import difflib
import errno
import gzip
import hashlib
import io
import json
import os
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pyarrow as pa

from fivefold.core.findings import Refused
from fivefold.data.reading.read_log import unreadable

BLOCK_BYTES = 1 << 20  # read at a time
MOST_EXPANDED = 100  # times the size of a gzip file; tables reach about 30
SMALL_EXPANDED = 16 << 20  # bytes that every gzip file may expand to
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Content:
    """The bytes of one file or download without gzip; they can be read again and again.

    The bytes are in the file `path`, else unpacked in `data`. `size` is the number of bytes before
    unpacking. `whole` says that the table will be held in memory as a whole. `table` names one of
    several tables in the file.
    """

    name: str
    size: int
    compression: str | None = None
    path: Path | None = None
    data: bytes = b""
    whole: bool = True
    table: str = ""

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes in blocks. Raises `Refused` for gzip that is damaged or no table."""
        with self.path.open("rb") if self.path else io.BytesIO(self.data) as file:
            if self.path and self.compression:
                yield from _expanded(file, self.size, self.name)
            else:
                yield from _blocks_of(file)

    def head(self) -> bytes:
        """Return the first bytes, up to one block."""
        return next(self.blocks(), b"")

    def arrow_file(self, mapped: bool = False) -> pa.NativeFile:
        """Return the bytes as a file of Arrow that can seek; a file on disk may be mapped."""
        if self.path is None:
            return pa.BufferReader(self.data)
        if self.compression:
            return pa.BufferReader(b"".join(self.blocks()))
        return pa.memory_map(str(self.path)) if mapped else pa.OSFile(str(self.path))

    def stream(self) -> pa.NativeFile:
        """Return the bytes as a file of Arrow that is read once, from its start."""
        if self.path and self.compression:
            return pa.PythonFile(gzip.GzipFile(self.path), mode="r")
        return self.arrow_file()


def open_file(path: Path, *, whole: bool) -> Content:
    """Open one file. Raises `Refused` if it cannot be read, or is no file with an end."""
    require_path(path)
    try:
        with path.open("rb") as file:
            is_gzip = file.read(2) == _GZIP
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(
            "file-unreadable",
            str(path),
            error.strerror or str(error),
            expected="a readable file",
            action="repair the permissions or the disk",
        ) from None
    if is_gzip and whole:
        return open_bytes(path.read_bytes(), path.name)
    return Content(path.name, size, "gzip" if is_gzip else None, path, whole=whole)


def open_bytes(data: bytes, name: str) -> Content:
    """Open bytes in memory. Raises `Refused` for gzip that is damaged or no table."""
    if not data.startswith(_GZIP):
        return Content(name=name, size=len(data), data=data)
    expanded = b"".join(_expanded(io.BytesIO(data), len(data), name))
    return Content(name=name, size=len(data), compression="gzip", data=expanded)


def require_path(path: Path) -> None:
    """Raise `Refused`, naming similar files, if there is no such file or folder.

    A pipe or a device is refused too: it may never end, and it can be read once only.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise _no_path(path, error) from None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise unreadable(
            "not-a-file",
            str(path),
            _SPECIAL.get(stat.S_IFMT(mode), "no file"),
            expected="a file or a folder of Parquet parts",
            action="write its content to a file first, and name that file",
        )


_SPECIAL = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a disk device",
}


def _no_path(path: Path, error: OSError) -> Refused:
    """Return the error for a path that leads to nothing, by its cause."""
    expected = "a file or a folder of Parquet parts"
    if error.errno == errno.ELOOP:
        found = "a symbolic link that leads back to itself"
        action = "make the link again, or name the file itself"
        return unreadable("link-broken", str(path), found, expected=expected, action=action)
    if path.is_symlink():
        found = f"a symbolic link to {os.readlink(path)}, which does not exist"
        action = "name the file itself; if DVC or git-annex made the link: dvc pull, git annex get"
        return unreadable("link-broken", str(path), found, expected=expected, action=action)
    if error.errno not in (errno.ENOENT, errno.ENOTDIR):
        found = error.strerror or str(error)
        action = "correct the path, or repair the permissions"
        return unreadable("file-unreadable", str(path), found, expected=expected, action=action)
    folder = path.parent
    is_folder = folder.is_dir()
    neighbours = [p.name for p in folder.iterdir()] if is_folder else []
    similar = difflib.get_close_matches(path.name, neighbours, n=3)
    action = f"did you mean {', '.join(similar)}?" if similar else "correct the path"
    if f"{path.name}.dvc" in neighbours:
        action = f"fetch it: dvc pull {path}.dvc"
    return unreadable(
        "file-missing",
        str(path),
        "no such file" if is_folder else f"no folder {folder}",
        expected=expected,
        action=action,
    )


def path_md5(path: Path) -> str:
    """Return the md5 that DVC records for a file or a folder.

    That of a folder ends in `.dir`: it is of the JSON list of its files' md5 and relative paths. A
    `.dvcignore` is not read. Source: dvc_data.hashfile.tree.Tree.as_bytes.
    """
    if not path.is_dir():
        return file_md5(path)
    files = sorted((p.relative_to(path).as_posix(), p) for p in path.rglob("*") if p.is_file())
    entries = [{"md5": file_md5(file), "relpath": name} for name, file in files]
    return bytes_md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"


def file_md5(path: Path) -> str:
    """Return the md5 of a file's raw bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def bytes_md5(data: bytes) -> str:
    """Return the md5 of some bytes."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _blocks_of(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _expanded(file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
    """Yield what is inside a gzip file; stop where it grows as no table does."""
    most = max(SMALL_EXPANDED, MOST_EXPANDED * size)
    total = 0
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            for block in _blocks_of(unpacked):
                total += len(block)
                if total > most:
                    raise unreadable(
                        "gzip-bomb",
                        name,
                        f"a gzip file that grows more than {MOST_EXPANDED} times",
                        expected=f"at most {MOST_EXPANDED} times its size",
                        action="unpack it yourself and give the file inside",
                    )
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise unreadable(
            "gzip-damaged",
            name,
            f"a gzip file that breaks off or is damaged ({error})",
            expected="a whole gzip file",
            action="copy or download it again",
        ) from None
