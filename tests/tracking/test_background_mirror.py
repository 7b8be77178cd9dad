"""The mirror in the background: it outlives the command, and shows no password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fivefold.core import settings
from fivefold.tracking import background_mirror, mirror_outcome
from tests.support.running import wait_for_mirror

URI = "http://ann:s3cret@127.0.0.1:9"
# stands for flows/mirror.py
MIRROR = """
import json, os, sys, time
from pathlib import Path
from fivefold.tracking import mirror_outcome
folder = Path(__file__).parent
run_id = sys.argv[2]
with mirror_outcome.locked(run_id):
    mirror_outcome.begin(run_id, os.environ["MLFLOW_TRACKING_URI"])
    facts = {"argv": sys.argv[1:], "uri": os.environ["MLFLOW_TRACKING_URI"], "pid": os.getpid(),
             "session": os.getsid(0), "parent": os.getppid()}
    (folder / "part").write_text(json.dumps(facts))
    (folder / "part").rename(folder / "facts.json")
    while not (folder / "go").exists():
        time.sleep(0.05)
    mirror_outcome.write(run_id, mirror_outcome.MirrorResult(status="mirrored"))
"""
LAUNCHER = """
import os, sys, types
from pathlib import Path
from fivefold.tracking import background_mirror
class Artifacts(dict):
    __getattr__ = dict.__getitem__
run = types.SimpleNamespace(id="7", data=Artifacts(mlflow_uri=sys.argv[2]))
print(background_mirror.start(run, Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


class Artifacts(dict):
    """Stands for `metaflow.MetaflowData`."""

    __getattr__ = dict.__getitem__


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose mirror waits for the file `go`, in a store of its own."""
    monkeypatch.setenv("METAFLOW_DATASTORE_SYSROOT_LOCAL", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "mirror.py").write_text(MIRROR)
    yield tmp_path
    (tmp_path / "flows" / "go").touch()


def facts(root: Path) -> dict:
    """What the mirror says of itself, once it has begun."""
    path = root / "flows" / "facts.json"
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline, list(settings.mirrors_folder().iterdir())
        time.sleep(0.05)
    return json.loads(path.read_text())


def test_it_goes_on_when_the_command_and_its_group_are_killed(root):
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, str(root), URI],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    line = launcher.stdout.readline()
    assert "being mirrored to http://ann:***@127.0.0.1:9 in the background" in line
    began = facts(root)
    assert began["session"] != launcher.pid
    assert began["parent"] != launcher.pid
    os.killpg(launcher.pid, 9)
    launcher.communicate()
    assert mirror_outcome.read("7").status == mirror_outcome.RUNNING
    (root / "flows" / "go").touch()
    assert wait_for_mirror(root, "7").status == "mirrored"


def test_the_address_is_not_in_the_process_list(root):
    run = SimpleNamespace(id="7", data=Artifacts(mlflow_uri=URI))
    text = background_mirror.start(run, root)
    began = facts(root)
    assert began["argv"] == ["--run-id", "7"]
    assert began["uri"] == URI
    assert "s3cret" not in text
    for path in settings.mirrors_folder().iterdir():
        assert "s3cret" not in path.read_text()


def test_a_run_is_in_progress_at_once_and_its_outcome_will_be_told(root, capsys):
    background_mirror.start(SimpleNamespace(id="7", data=Artifacts(mlflow_uri=URI)), root)
    assert mirror_outcome.read("7").status == mirror_outcome.RUNNING
    (root / "flows" / "go").touch()
    wait_for_mirror(root, "7")
    mirror_outcome.tell()
    assert "run 7 was mirrored" in capsys.readouterr().err


def test_a_mirror_that_cannot_start_its_work_is_interrupted(root):
    (root / "flows" / "mirror.py").write_text("raise SystemExit('planted')")
    background_mirror.start(SimpleNamespace(id="7", data=Artifacts(mlflow_uri=URI)), root)
    result = wait_for_mirror(root, "7")
    assert result.status == mirror_outcome.INTERRUPTED
    log = settings.mirrors_folder() / "7.log"
    assert str(log) in result.warning
    assert "planted" in log.read_text()


def test_a_run_that_was_mirrored_in_its_step_is_left_alone(root):
    run = SimpleNamespace(id="7", data=Artifacts(mlflow_uri=URI, mlflow={"status": "mirrored"}))
    assert background_mirror.start(run, root) == ""
    assert not settings.mirrors_folder().exists()


def test_a_store_that_cannot_be_written_is_one_warning(root):
    settings.mirrors_folder().parent.write_text("no folder")
    run = SimpleNamespace(id="7", data=Artifacts(mlflow_uri=URI))
    text = background_mirror.start(run, root)
    assert text.startswith("warning: the run is not mirrored to MLflow: ")
    assert "python flows/mirror.py --run-id 7" in text
