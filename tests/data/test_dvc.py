"""`dvc repro` in a fresh clone gives the recorded bytes, without a network or a cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.running import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout, so there is nothing to clone")
    folder = tmp_path_factory.mktemp("clone") / "fivefold"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def test_dvc_repro_gives_the_recorded_table(clone):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=clone,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]["churn"]["outs"][0]["md5"]
    made = hashlib.md5(
        (clone / "data" / "churn.csv").read_bytes(), usedforsecurity=False
    ).hexdigest()
    assert made == recorded
    changed = subprocess.run(
        ["git", "diff", "--exit-code", "dvc.lock"], cwd=clone, capture_output=True, check=False
    )
    assert changed.returncode == 0, changed.stdout


def test_neither_the_table_nor_a_run_is_committed(clone):
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=clone, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "data/churn.toml" in tracked
    assert not [
        name
        for name in tracked
        if name.endswith((".csv", ".parquet", ".db")) or ".metaflow/" in name
    ]
