import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.running import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")
FLOWS = ROOT / "flows"
# A scheduler: it starts a server for task.py, then runs each word list that it reads as a task.
SCHEDULER = """
import json, subprocess, sys, warm
words = warm.entrypoint(sys.argv[1], tuple(sys.argv[2:]))
print(json.dumps(words), flush=True)
for line in sys.stdin:
    done = subprocess.run(words + json.loads(line), capture_output=True, text=True)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""
TASK = """
import os, signal, sys, time
word = sys.argv[1]
if word == "show":
    print(sys.argv[1:], os.getcwd(), os.environ.get("COLOUR"), "decimal" in sys.modules, __name__)
if word == "fail":
    raise ValueError("no such table")
if word == "exit":
    sys.exit(7)
if word == "say":
    sys.exit("it is wrong")
if word == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if word == "note":
    with open(sys.argv[2], "a") as file:
        print(os.getpid(), file=file, flush=True)
if word == "wait":
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


class Scheduler:
    """A process that keeps a server, and runs tasks one after another."""

    def __init__(self, folder: Path, *modules: str):
        import json

        self._json = json
        (folder / "task.py").write_text(TASK)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FIVEFOLD_WARM")}
        self.env["PYTHONPATH"] = os.pathsep.join([str(FLOWS), str(folder)])
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCHEDULER, folder / "task.py", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env | {"COLOUR": "blue"},
            cwd=folder,
        )
        self.words = self._answer()

    def _answer(self) -> list:
        assert self.process.stdout is not None
        return self._json.loads(self.process.stdout.readline())

    def run(self, *words: str) -> list:
        assert self.process.stdin is not None
        print(self._json.dumps(words), file=self.process.stdin, flush=True)
        return self._answer()

    def server(self) -> int:
        """Return the process of the server."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(children.read_text().split()[0])

    def environment(self) -> dict[str, str]:
        """Return the environment that the scheduler gives to its tasks."""
        text = Path(f"/proc/{self.server()}/cmdline").read_text().split("\0")
        given = {"FIVEFOLD_WARM_SERVER": text[5], "FIVEFOLD_WARM_SCRIPT": "task.py"}
        return self.env | given

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture
def scheduler(tmp_path):
    made = Scheduler(tmp_path, "decimal", "no_such_module")
    yield made
    made.close()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def within(seconds: float, condition) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_task_has_its_words_folder_environment_and_the_imports_of_the_server(scheduler, tmp_path):
    assert scheduler.words[1:3] == ["-I", "-S"]
    assert within(20, lambda: "True __main__" in scheduler.run("show")[1])
    expected = f"['show', 'é x'] {tmp_path} blue True __main__\n"
    assert scheduler.run("show", "é x") == [0, expected, ""]


def test_it_ends_as_the_task_ends(scheduler):
    code, _, error = scheduler.run("fail")
    assert code == 1
    assert error.endswith("ValueError: no such table\n")
    assert scheduler.run("exit")[0] == 7
    assert scheduler.run("say") == [1, "", "it is wrong\n"]
    assert scheduler.run("kill")[0] == -signal.SIGKILL


def start_task(scheduler: Scheduler, *words: str, **options) -> subprocess.Popen:
    env = scheduler.environment()
    return subprocess.Popen(
        scheduler.words + list(words), env=env, stdout=subprocess.PIPE, text=True, **options
    )


def test_a_task_ends_with_its_client_and_with_the_scheduler(tmp_path):
    scheduler = Scheduler(tmp_path)
    for end_it in (signal.SIGKILL, signal.SIGTERM):
        client = start_task(scheduler, "wait", cwd=tmp_path)
        task = int(client.stdout.readline())
        assert task != client.pid
        client.send_signal(end_it)
        assert client.wait(10) == -end_it
        assert within(10, lambda task=task: gone(task))
    client = start_task(scheduler, "wait", cwd=tmp_path)
    task, server = int(client.stdout.readline()), scheduler.server()
    folder = Path(scheduler.environment()["FIVEFOLD_WARM_SERVER"]).parent
    assert folder.stat().st_mode & 0o77 == 0
    scheduler.process.kill()
    scheduler.process.wait()
    assert within(10, lambda: gone(task) and gone(server) and not folder.exists())
    assert client.wait(10) != 0


def test_a_task_ends_with_a_killed_server_and_the_next_ones_start_plainly(scheduler, tmp_path):
    client = start_task(scheduler, "wait", cwd=tmp_path)
    task = int(client.stdout.readline())
    os.kill(scheduler.server(), signal.SIGKILL)
    assert client.wait(10) == 1
    assert within(10, lambda: gone(task))
    assert scheduler.run("show", "again")[1].startswith("['show', 'again']")


def test_a_task_runs_once_where_the_server_answers_too_late(tmp_path):
    waits = (
        "import os, time\nopen('begun', 'w')\n"
        "while not os.path.exists('go'):\n    time.sleep(.01)\n"
    )
    (tmp_path / "slow.py").write_text(waits)
    scheduler = Scheduler(tmp_path, "slow")
    assert within(20, (tmp_path / "begun").exists)
    hurried = "import warm; warm.PATIENCE = .2; warm.follow(['note', 'notes'])"
    subprocess.run(
        [sys.executable, "-c", hurried], env=scheduler.environment(), cwd=tmp_path, check=True
    )
    (tmp_path / "go").touch()
    assert scheduler.run("exit")[0] == 7  # the server has seen the one before it
    assert len((tmp_path / "notes").read_text().splitlines()) == 1
    scheduler.close()


def test_plain_words_where_it_cannot_be_or_is_not_wanted(monkeypatch, tmp_path):
    import warm

    plain = [sys.executable, "x.py"]
    monkeypatch.setattr(sys, "argv", ["x.py", "--environment=pypi", "run"])
    assert warm.entrypoint("x.py", ("json",)) == plain
    monkeypatch.setattr(sys, "argv", ["x.py", "run"])
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("d" * 120)))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / ("d" * 120)).mkdir()
    assert warm.entrypoint("x.py", ("json",)) == plain
    assert not list((tmp_path / ("d" * 120)).iterdir())
    monkeypatch.setenv("FIVEFOLD_WARM", "0")
    assert warm.entrypoint("x.py", ("json",)) == plain
