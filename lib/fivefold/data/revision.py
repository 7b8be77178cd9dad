"""Versions: which Git commit and DVC version a table is, and the table of an earlier one. Home of git and dvc.

`dvc.lock` and `*.dvc` are read as YAML, without `import dvc` (half a second in every Metaflow step); git and
dvc themselves are run as programs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fivefold.core.findings import ERROR, Finding, Refused
from fivefold.data.files import file_md5, folder_md5

DVC_SECONDS = 900
_GIT_HOOK = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
)  # inside a hook these name another repository
Load = Callable[
    [PurePosixPath], str | None
]  # the text of a file of the repository, None where there is none


@dataclass(frozen=True)
class _Record:
    """What DVC knows of one path: the md5 it recorded, the file that says so, and the stage that makes it."""

    md5: str | None
    file: str
    stage: str | None = None


def revision(path: str | Path) -> dict[str, Any]:
    """Where a file or folder stands, JSON-ready; None where it cannot be told (no git, no repository).

    `git_commit` is HEAD of the repository that holds the path (40 hex digits), `git_dirty` whether any
    tracked file of it has changed, `dvc_md5` what dvc.lock or a .dvc file records for the path, `tracked_by`
    that file's path in the repository, or "git", and `modified` whether the content differs from the record.
    """
    path = Path(path).resolve()
    facts: dict[str, Any] = dict.fromkeys(
        ("git_commit", "git_dirty", "dvc_md5", "modified", "tracked_by")
    )
    git_root = _git_root(path)
    if git_root:
        facts["git_commit"] = _git(git_root, "rev-parse", "--verify", "--quiet", "HEAD")
        status = _git(git_root, "status", "--porcelain", "--untracked-files=no")
        facts["git_dirty"] = None if status is None else bool(status)
    root = git_root or next((p for p in path.parents if (p / ".dvc").is_dir()), None)
    if root is None:
        return facts
    inside = PurePosixPath(path.relative_to(root).as_posix())
    if record := _record(inside, lambda name: _text(root / name)):
        modified = None if record.md5 is None or not path.exists() else _md5(path) != record.md5
        return facts | {"dvc_md5": record.md5, "modified": modified, "tracked_by": record.file}
    if git_root and _git(git_root, "ls-files", "--error-unmatch", "--", str(inside)) is not None:
        changed = _git(git_root, "status", "--porcelain", "--", str(inside))
        return facts | {"modified": bool(changed), "tracked_by": "git"}
    return facts


def fetch(path: str | Path, rev: str, into: str | Path) -> Path:
    """The file or folder `path` as it was at Git revision `rev`, written under its name into folder `into`.

    A DVC output comes from the working copy where that has the recorded md5, else from the DVC cache or
    remote; any other file comes from Git. Raises `Refused` for no repository, an unknown revision, a path
    that was not tracked there, and content that the cache lacks.
    """
    path, into = Path(path).resolve(), Path(into)
    root = _git_root(path)
    if root is None:
        raise _refused(
            "no-repository",
            str(path),
            "no Git repository (or no git)",
            "a path inside one",
            "give the path without a revision",
        )
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{commit}}")
    if commit is None:
        raise _refused(
            "revision-unknown",
            rev,
            f"no commit {rev!r} in {root}",
            "a commit, branch or tag",
            "see `git log --oneline` and `git tag`; a shallow clone lacks old commits",
        )
    inside = PurePosixPath(path.relative_to(root).as_posix())
    into.mkdir(parents=True, exist_ok=True)
    target = into.resolve() / path.name
    if target == path:
        raise _refused(
            "fetch-onto-itself",
            str(path),
            "the same file as target",
            "another folder",
            "name another folder",
        )
    record = _record(inside, lambda name: _git(root, "show", f"{commit}:{name}"))
    if record is None or record.md5 is None:
        content = _git_bytes(root, "cat-file", "blob", f"{commit}:{inside}")
        if content is None:
            raise _refused(
                "not-tracked",
                str(inside),
                f"neither DVC nor Git has it at {rev}",
                "a path tracked at that revision",
                f"see `git ls-tree -r --name-only {rev}`",
            )
        target.write_bytes(content)
        return target
    if path.exists() and _md5(path) == record.md5:
        shutil.copytree(path, target, dirs_exist_ok=True) if path.is_dir() else shutil.copyfile(
            path, target
        )
        return target
    done = _dvc(
        root,
        "get",
        "--quiet",
        "--force",
        str(root),
        str(inside),
        "--rev",
        commit,
        "--out",
        str(target),
    )
    if done.returncode or not target.exists() or _md5(target) != record.md5:
        action = (
            f"check out {rev} and run `dvc repro {record.stage}`"
            if record.stage
            else "run `dvc fetch --all-commits` with the remote that has it"
        )
        raise _refused(
            "content-missing",
            str(inside),
            f"md5 {record.md5} of {rev} in no cache or remote ({_last(done)})",
            "its content in the DVC cache",
            action,
        )
    return target


def ensure(path: str | Path, root: str | Path) -> Path:
    """The path, made by `dvc repro` where it is missing and an output of a stage of a dvc.yaml under `root`.

    Works offline, without an activated environment (the stage's `python` is this one) and without `.git` (an
    exported archive). A missing path that no stage makes is returned as it is: the reader refuses it. Raises
    `Refused` where the stage fails, or makes other content than dvc.lock records (dvc.lock is then restored).
    """
    path, root = Path(path).resolve(), Path(root).resolve()
    if path.exists() or not path.is_relative_to(root):
        return path
    record = _record(
        PurePosixPath(path.relative_to(root).as_posix()), lambda name: _text(root / name)
    )
    if record is None:
        return path
    if record.stage is None:
        raise _refused(
            "content-missing",
            str(path),
            f"only its record {record.file}",
            "the file itself",
            "run `dvc pull` with the remote that has it",
        )
    lock = (root / record.file).parent / "dvc.lock"
    before = lock.read_bytes() if lock.exists() else None
    file = (lock.parent / "dvc.yaml").relative_to(root)
    done = _dvc(root, "repro", "--quiet", f"{file}:{record.stage}")
    if done.returncode or not path.exists():
        raise _refused(
            "stage-failed",
            str(path),
            _last(done),
            f"`dvc repro {record.stage}` to make it",
            f"run it in {root} and read its output",
        )
    if record.md5 and _md5(path) != record.md5:
        if before is not None:
            lock.write_bytes(before)
        raise _refused(
            "content-differs",
            str(path),
            f"md5 {_md5(path)}",
            f"md5 {record.md5}, as in dvc.lock",
            f"install the pinned requirements, or accept it: `dvc commit {record.stage}`",
        )
    return path


def _record(inside: PurePosixPath, load: Load) -> _Record | None:
    """DVC's record of a path of the repository: its own .dvc file, else a stage of a dvc.yaml in a folder above."""
    own = inside.with_name(inside.name + ".dvc")
    for out in _yaml(load(own)).get("outs", []):
        if out.get("path") == inside.name:
            return _Record(out.get("md5"), str(own))
    for folder in inside.parents:
        stages = _yaml(load(folder / "dvc.yaml")).get("stages") or {}
        locked = _yaml(load(folder / "dvc.lock")).get("stages") or {}
        for name, stage in stages.items():
            base = folder / str(stage.get("wdir", "."))
            outs = [next(iter(o)) if isinstance(o, dict) else o for o in stage.get("outs") or []]
            if any(_same(base / str(out), inside) for out in outs):
                recorded = (locked.get(name) or {}).get("outs") or []
                md5 = next(
                    (out.get("md5") for out in recorded if _same(base / out["path"], inside)), None
                )
                return _Record(md5, str(folder / ("dvc.lock" if md5 else "dvc.yaml")), name)
    return None


def _same(one: PurePosixPath, other: PurePosixPath) -> bool:
    return os.path.normpath(one) == os.path.normpath(other)


def _yaml(text: str | None) -> dict[str, Any]:
    """A YAML mapping; empty where there is no file or it cannot be read (dvc itself will say so)."""
    try:
        loaded = YAML(typ="safe").load(text) if text else {}
    except YAMLError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _md5(path: Path) -> str:
    return folder_md5(path) if path.is_dir() else file_md5(path)


def _git_root(path: Path) -> Path | None:
    folder = next((p for p in (path, *path.parents) if p.is_dir()), Path("/"))
    if folder == path and path.parent != path:
        folder = path.parent
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top).resolve() if top else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints, stripped; None where it fails or is not installed."""
    printed = _git_bytes(folder, *arguments)
    return None if printed is None else printed.decode("utf-8", "replace").strip()


def _git_bytes(folder: Path, *arguments: str) -> bytes | None:
    try:
        env = {name: value for name, value in os.environ.items() if name not in _GIT_HOOK}
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            check=False,
            timeout=60,
            env={**env, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run dvc of this environment in `root`; where there is no Git repository a config of its own says so."""
    own = str(Path(sys.executable).parent)
    env = {
        **os.environ,
        "PATH": own + os.pathsep + os.environ.get("PATH", ""),
        "DVC_NO_ANALYTICS": "1",
    }
    with tempfile.TemporaryDirectory() as config:
        if _git(root, "rev-parse", "--git-dir") is None:
            Path(config, "config").write_text("[core]\n    no_scm = true\n")
            env["DVC_GLOBAL_CONFIG_DIR"] = config
        command = [sys.executable, "-m", "dvc", *arguments]
        try:
            return subprocess.run(
                command,
                cwd=root,
                env=env,
                capture_output=True,
                text=True,
                check=False,
                timeout=DVC_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"no end within {DVC_SECONDS} s")


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line in which dvc says what went wrong."""
    lines = [line for line in (done.stderr + "\n" + done.stdout).splitlines() if line.strip()]
    said = (
        [line for line in lines if "ERROR" in line or "Error" in line]
        or lines
        or ["dvc said nothing"]
    )
    return said[-1].strip()


def _refused(code: str, subject: str, found: str, expected: str, action: str) -> Refused:
    return Refused(
        f"{subject} is not available",
        [
            Finding(
                code=code,
                severity=ERROR,
                subject=subject,
                found=found,
                expected=expected,
                action=action,
            )
        ],
    )
