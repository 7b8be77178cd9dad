"""Versions: temporary repositories of git and dvc, and no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fivefold.core.findings import Refused
from fivefold.data.revision import ensure, fetch, revision

NOTHING = {
    "git_commit": None,
    "git_dirty": None,
    "dvc_md5": None,
    "modified": None,
    "tracked_by": None,
}
ONE, TWO = b"a,b\n1,2\n", b"a,b\n3,4\n"
STAGE = """stages:
  table:
    cmd: python make.py
    deps: [make.py]
    outs:
      - data/made.csv:
          cache: true
"""


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def git(folder: Path, *arguments: str) -> str:
    own = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *own, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def dvc(folder: Path, *arguments: str) -> None:
    env = {
        **os.environ,
        "DVC_NO_ANALYTICS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env=env,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with one committed table and hand-written DVC records (no dvc run)."""
    root = tmp_path / "repo"
    (root / "data").mkdir(parents=True)
    git(root.parent, "init", "-q", str(root))
    (root / ".gitignore").write_text("/data/made.csv\n/data/added.csv\n")
    (root / "plain.csv").write_bytes(ONE)
    (root / "dvc.yaml").write_text(STAGE)
    (root / "make.py").write_text(f"open('data/made.csv', 'wb').write({ONE!r})\n")
    (root / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  table:\n    cmd: python make.py\n    outs:\n"
        f"    - path: data/made.csv\n      hash: md5\n"
        f"      md5: {md5(ONE)}\n      size: {len(ONE)}\n"
    )
    (root / "data" / "added.csv.dvc").write_text(
        f"outs:\n- md5: {md5(TWO)}\n  size: 8\n  hash: md5\n  path: added.csv\n"
    )
    git(root, "add", "-A")
    git(root, "commit", "-qm", "one")
    return root


def test_revision_of_a_stage_output(repository: Path) -> None:
    (repository / "data/made.csv").write_bytes(ONE)
    head = git(repository, "rev-parse", "HEAD")
    expected = {
        "git_commit": head,
        "git_dirty": False,
        "dvc_md5": md5(ONE),
        "modified": False,
        "tracked_by": "dvc.lock",
    }
    assert revision(repository / "data/made.csv").to_dict() == expected
    (repository / "data/made.csv").write_bytes(TWO)
    assert revision(repository / "data/made.csv").to_dict() == expected | {"modified": True}
    (repository / "data/made.csv").unlink()
    assert revision(repository / "data/made.csv").to_dict() == expected | {"modified": None}


def test_revision_of_an_added_file_and_of_a_file_in_git(repository: Path) -> None:
    (repository / "data/added.csv").write_bytes(TWO)
    added = revision(repository / "data/added.csv")
    assert (added.dvc_md5, added.modified, added.tracked_by) == (
        md5(TWO),
        False,
        "data/added.csv.dvc",
    )
    plain = revision(repository / "plain.csv")
    assert (plain.dvc_md5, plain.modified, plain.tracked_by, plain.git_dirty) == (
        None,
        False,
        "git",
        False,
    )
    (repository / "plain.csv").write_bytes(TWO)
    plain = revision(repository / "plain.csv")
    assert (plain.modified, plain.tracked_by, plain.git_dirty) == (True, "git", True)
    (repository / "new.csv").write_bytes(TWO)
    assert revision(repository / "new.csv").tracked_by is None


def test_revision_without_repository_and_without_git(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_bytes(ONE)
    assert revision(outside).to_dict() == NOTHING
    assert revision(tmp_path / "no" / "such.csv").to_dict() == NOTHING
    (repository / ".dvc").mkdir()
    (repository / "data/made.csv").write_bytes(ONE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision(outside).to_dict() == NOTHING
    assert revision(repository / "data/made.csv").to_dict() == NOTHING | {
        "dvc_md5": md5(ONE),
        "modified": False,
        "tracked_by": "dvc.lock",
    }


def test_revision_reads_the_working_directory_of_a_stage(repository: Path) -> None:
    (repository / "dvc.yaml").write_text(
        STAGE.replace("cmd:", "wdir: data\n    cmd:").replace("data/made", "made")
    )
    lock = repository / "dvc.lock"
    lock.write_text(lock.read_text().replace("data/made", "made"))
    assert revision(repository / "data/made.csv").dvc_md5 == md5(ONE)


def test_fetch_of_a_file_in_git(repository: Path, tmp_path: Path) -> None:
    (repository / "plain.csv").write_bytes(TWO)
    git(repository, "commit", "-qam", "two")
    assert fetch(repository / "plain.csv", "HEAD~1", tmp_path / "old").read_bytes() == ONE
    assert (
        fetch(repository / "plain.csv", "HEAD", tmp_path / "new") == tmp_path / "new" / "plain.csv"
    )
    assert (tmp_path / "new" / "plain.csv").read_bytes() == TWO


def test_fetch_takes_the_working_copy_when_it_has_the_recorded_content(
    repository: Path, tmp_path: Path
) -> None:
    (repository / "data/made.csv").write_bytes(ONE)
    assert fetch(repository / "data/made.csv", "HEAD", tmp_path / "old").read_bytes() == ONE


@pytest.mark.parametrize(
    ("name", "rev", "match"),
    [
        ("plain.csv", "nope", r"revision-unknown \[nope\].*a commit, branch or tag.*git log"),
        ("plain.csv", "--all", "revision-unknown"),
        ("new.csv", "HEAD", r"not-tracked \[new.csv\]: .*neither DVC nor Git has it at HEAD"),
    ],
)
def test_fetch_refuses(repository: Path, tmp_path: Path, name: str, rev: str, match: str) -> None:
    with pytest.raises(Refused, match=match):
        fetch(repository / name, rev, tmp_path / "old")


def test_fetch_refuses_outside_a_repository_and_onto_itself(
    repository: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=r"no-repository.*give the path without a revision"):
        fetch(tmp_path / "x.csv", "HEAD", tmp_path / "old")
    with pytest.raises(Refused, match="fetch-onto-itself"):
        fetch(repository / "plain.csv", "HEAD", repository)


def test_ensure_leaves_what_is_there_and_what_no_stage_makes(
    repository: Path, tmp_path: Path
) -> None:
    assert ensure(repository / "plain.csv", repository) == repository / "plain.csv"
    assert ensure(repository / "none.csv", repository) == repository / "none.csv"
    assert ensure(tmp_path / "none.csv", repository) == tmp_path / "none.csv"
    with pytest.raises(
        Refused, match=r"content-missing.*only its record data/added.csv.dvc.*dvc pull"
    ):
        ensure(repository / "data/added.csv", repository)


@pytest.mark.slow
def test_fetch_of_a_dvc_file_from_the_cache_then_without_it(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    git(root, "init", "-q")
    dvc(root, "init", "-q")
    for content in (ONE, TWO):
        (root / "t.csv").write_bytes(content)
        (root / "parts").mkdir(exist_ok=True)
        (root / "parts" / "p1").write_bytes(content)
        dvc(root, "add", "-q", "t.csv", "parts")
        git(root, "add", "-A")
        git(root, "commit", "-qm", "next")
    now = revision(root / "t.csv")
    assert (now.dvc_md5, now.modified, now.git_dirty) == (md5(TWO), False, False)
    folder = revision(root / "parts")
    assert (folder.tracked_by, folder.modified) == (
        "parts.dvc",
        False,
    )  # our .dir md5 is DVC's
    assert folder.dvc_md5.endswith(".dir")
    assert fetch(root / "t.csv", "HEAD~1", tmp_path / "old").read_bytes() == ONE
    assert (fetch(root / "parts", "HEAD~1", tmp_path / "old") / "p1").read_bytes() == ONE
    shutil.rmtree(root / ".dvc" / "cache")
    shutil.rmtree(root / ".dvc" / "tmp", ignore_errors=True)
    with pytest.raises(
        Refused,
        match=rf"content-missing.*{md5(ONE)} of HEAD~1 in no cache.*dvc fetch --all-commits",
    ):
        fetch(root / "t.csv", "HEAD~1", tmp_path / "again")


@pytest.mark.slow
def test_ensure_makes_the_output_of_a_stage(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dvc(repository, "init", "-q")
    made = repository / "data/made.csv"
    # `python` must be this environment's, wherever it was started from
    monkeypatch.setenv(
        "PATH",
        os.pathsep.join(
            p
            for p in os.environ["PATH"].split(os.pathsep)
            if Path(p) != Path(sys.executable).parent
        ),
    )
    assert ensure(made, repository).read_bytes() == ONE
    assert revision(made).modified is False
    exported = tmp_path / "exported"
    shutil.copytree(
        repository, exported, ignore=shutil.ignore_patterns(".git", "made.csv", "cache", "tmp")
    )
    assert ensure(exported / "data/made.csv", exported).read_bytes() == ONE
    assert not (exported / ".git").exists()
    assert (exported / ".dvc" / "config").read_text() == (
        repository / ".dvc" / "config"
    ).read_text()

    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "locked")
    made.unlink()
    lock = (repository / "dvc.lock").read_text()
    (repository / "make.py").write_text(f"open('data/made.csv', 'wb').write({TWO!r})\n")
    with pytest.raises(
        Refused, match=rf"content-differs.*expected md5 {md5(ONE)}.*found md5 {md5(TWO)}"
    ):
        ensure(made, repository)
    assert (repository / "dvc.lock").read_text() == lock
    made.unlink()
    (repository / "make.py").write_text("raise SystemExit('no luck')\n")
    with pytest.raises(
        Refused,
        match=r"stage-failed.*`dvc repro table` to make it; found no luck; to do: run it in",
    ):
        ensure(made, repository)
    git(repository, "checkout", "-q", "make.py")
    (repository / "make.py").write_text("# new\n")
    git(repository, "commit", "-qam", "other")
    shutil.rmtree(repository / ".dvc" / "cache")
    with pytest.raises(
        Refused, match=r"content-missing.*check out HEAD~1 and run `dvc repro table`"
    ):
        fetch(made, "HEAD~1", tmp_path / "old")
