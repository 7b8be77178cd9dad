"""Git commit and DVC record of a table, and its content at an earlier revision.

`dvc.lock` and `*.dvc` are read as YAML, because `import dvc` takes half a second in every Metaflow
step; git and dvc themselves run as programs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fivefold.core.findings import Refused, refusal
from fivefold.core.stored import Stored
from fivefold.data.reading.files import bytes_md5, file_md5, path_md5

DVC_SECONDS = 900
# Inside a hook these variables name another repository.
_GIT_HOOK = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


@dataclass(frozen=True)
class Revision(Stored):
    """Which version a file or folder is; a value is None if it is unknown.

    Attributes
    ----------
    git_commit : HEAD of the repository that holds the path, 40 hex digits
    git_dirty : whether any tracked file of that repository has changed
    dvc_md5 : what dvc.lock or a .dvc file records for the path
    modified : whether the content differs from the record
    tracked_by : that file's path in the repository, or "git"
    """

    git_commit: str | None = None
    git_dirty: bool | None = None
    dvc_md5: str | None = None
    modified: bool | None = None
    tracked_by: str | None = None


@dataclass(frozen=True)
class _Record:
    """DVC's record of a path: its md5, the file that records it, and the stage that makes it."""

    md5: str | None
    file: str
    stage: str | None = None


def revision(path: str | Path) -> Revision:
    """Return which version a file or folder is."""
    path = Path(path).resolve()
    git_root = _git_root(path)
    facts = Revision()
    if git_root:
        commit = _git(git_root, "rev-parse", "--verify", "--quiet", "HEAD")
        status = _git(git_root, "status", "--porcelain", "--untracked-files=no")
        facts = Revision(commit, None if status is None else bool(status))
    root = git_root or next((p for p in path.parents if (p / ".dvc").is_dir()), None)
    if root is None:
        return facts
    inside = path.relative_to(root)
    if record := _record(inside, lambda name: _text(root / name)):
        is_known = record.md5 is not None and path.exists()
        modified = path_md5(path) != record.md5 if is_known else None
        return replace(facts, dvc_md5=record.md5, modified=modified, tracked_by=record.file)
    if git_root and _git(git_root, "ls-files", "--error-unmatch", "--", str(inside)) is not None:
        changed = _git(git_root, "status", "--porcelain", "--", str(inside))
        return replace(facts, modified=bool(changed), tracked_by="git")
    return facts


def fetch(path: str | Path, rev: str, into: str | Path) -> Path:
    """Write a file or folder, as it was at Git revision `rev`, into the folder `into`.

    A DVC output comes from the working copy if that has the recorded md5, else from the DVC cache
    or remote; any other file comes from Git.

    Returns
    -------
    The path of the copy, which keeps its name.

    Raises
    ------
    Refused
        For no repository, an unknown revision, a path that was not tracked there, or content that
        the cache lacks.
    """
    path, into = Path(path).resolve(), Path(into)
    root = _git_root(path)
    if root is None:
        raise _refused(
            "no-repository",
            path,
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
    inside = path.relative_to(root)
    into.mkdir(parents=True, exist_ok=True)
    target = into.resolve() / path.name
    if target == path:
        raise _refused(
            "fetch-onto-itself",
            path,
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
                inside,
                f"neither DVC nor Git has it at {rev}",
                "a path tracked at that revision",
                f"see `git ls-tree -r --name-only {rev}`",
            )
        target.write_bytes(content)
        return target
    if path.exists() and path_md5(path) == record.md5:
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target)
        return target
    source = [str(root), str(inside), "--rev", commit, "--out", str(target)]
    done = _dvc(root, "get", "--quiet", "--force", *source)
    if done.returncode or not target.exists() or path_md5(target) != record.md5:
        action = "run `dvc fetch --all-commits` with the remote that has it"
        if record.stage:
            action = f"check out {rev} and run `dvc repro {record.stage}`"
        raise _refused(
            "content-missing",
            inside,
            f"md5 {record.md5} of {rev} in no cache or remote ({_last_error(done)})",
            "its content in the DVC cache",
            action,
        )
    return target


def ensure(path: str | Path, root: str | Path) -> Path:
    """Return the path; if it is missing and a stage of a dvc.yaml under `root` makes it, run that.

    Works offline, without an activated environment (the stage's `python` is this one) and without
    `.git` (an exported archive). A missing path that no stage makes is returned as it is: the
    reader refuses it. Raises `Refused` if the stage fails, or makes other content than dvc.lock
    records (dvc.lock is then restored).
    """
    path, root = Path(path).resolve(), Path(root).resolve()
    if path.exists() or not path.is_relative_to(root):
        return path
    record = _record(path.relative_to(root), lambda name: _text(root / name))
    if record is None:
        return path
    if record.stage is None:
        raise _refused(
            "content-missing",
            path,
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
            path,
            _last_error(done),
            f"`dvc repro {record.stage}` to make it",
            f"run it in {root} and read its output",
        )
    if record.md5 and path_md5(path) != record.md5:
        if before is not None:
            lock.write_bytes(before)
        raise _refused(
            "content-differs",
            path,
            f"md5 {path_md5(path)}",
            f"md5 {record.md5}, as in dvc.lock",
            f"install the pinned requirements, or accept it: `dvc commit {record.stage}`",
        )
    return path


def code_md5(root: Path) -> str:
    """Return one md5 of the package and the flows of a project: of their names and contents."""
    files = [*root.glob("lib/fivefold/**/*.py"), *root.glob("flows/**/*.py")]
    named = sorted((file.relative_to(root).as_posix(), file_md5(file)) for file in files)
    return bytes_md5(repr(named).encode())


def _record(inside: Path, load: Callable[[Path], str | None]) -> _Record | None:
    """Return DVC's record of a path of the repository.

    It is in the path's own .dvc file, else in a stage of a dvc.yaml in a folder above. `load`
    returns the text of a file of the repository, None if there is no such file.
    """

    def same(path: Path) -> bool:
        return os.path.normpath(path) == str(inside)

    own = inside.with_name(inside.name + ".dvc")
    for out in _yaml(load(own)).get("outs", []):
        if out.get("path") == inside.name:
            return _Record(out.get("md5"), str(own))
    for folder in inside.parents:
        stages = _yaml(load(folder / "dvc.yaml")).get("stages") or {}
        locked = _yaml(load(folder / "dvc.lock")).get("stages") or {}
        for name, stage in stages.items():
            base = folder / str(stage.get("wdir", "."))
            if any(same(base / path) for path in _outputs(stage)):
                outs = (locked.get(name) or {}).get("outs") or []
                md5 = next((out.get("md5") for out in outs if same(base / out["path"])), None)
                return _Record(md5, str(folder / ("dvc.lock" if md5 else "dvc.yaml")), name)
    return None


def _outputs(stage: dict[str, Any]) -> list[str]:
    """Return the paths that a stage of a dvc.yaml makes; a path may carry options."""
    outs = stage.get("outs") or []
    return [str(next(iter(out)) if isinstance(out, dict) else out) for out in outs]


def _yaml(text: str | None) -> dict[str, Any]:
    """Return a YAML mapping; empty for no file or a damaged one (dvc itself will say so)."""
    try:
        loaded = YAML(typ="safe").load(text) if text else {}
    except YAMLError:
        return {}
    return loaded if isinstance(loaded, dict) else {}


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _git_root(path: Path) -> Path | None:
    folder = next((p for p in path.parents if p.is_dir()), path)
    top = _git(folder, "rev-parse", "--show-toplevel")
    return Path(top).resolve() if top else None


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git prints, stripped; None if it fails or is not installed."""
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
    """Run dvc of this environment in `root`; a config marks a root without Git."""
    own = str(Path(sys.executable).parent)
    programs = own + os.pathsep + os.environ.get("PATH", "")
    env = {**os.environ, "PATH": programs, "DVC_NO_ANALYTICS": "1"}
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


def _last_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last error line of dvc."""
    lines = (done.stderr + "\n" + done.stdout).strip().splitlines()
    error_lines = [line for line in lines if "ERROR" in line or "Error" in line]
    last = (error_lines or lines or ["no message from dvc"])[-1]
    return last.strip()


def _refused(code: str, subject: str | Path, found: str, expected: str, action: str) -> Refused:
    return refusal(f"{subject} is not available", code, str(subject), found, expected, action)
