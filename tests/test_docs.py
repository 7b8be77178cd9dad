"""Every command, option and file that README.md, docs/operation.md and docs/runbook.md show exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATION = (ROOT / "docs" / "operation.md").read_text(encoding="utf-8")
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
SHELL = [
    line.split("#")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README + OPERATION + RUNBOOK, re.S)
    for line in block.splitlines()
]
COMMANDS = list(dict.fromkeys(line for line in SHELL if line))
PLAIN = {"mirror.py", "feedback.py", "promote.py", "demo.py"}  # commands, not flows
CRON = [
    line
    for block in re.findall(r"```cron\n(.*?)```", OPERATION, re.S)
    for line in block.splitlines()
]
UNITS = re.findall(r"```ini\n(.*?)```", OPERATION, re.S)


def help_of(script: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *words, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_readme_is_short_enough_to_read():
    assert len(README.splitlines()) < 210


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_every_make_target_exists(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M), command


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python flows/")])
def test_every_flow_command_and_its_options_exist(command):
    _, script, *rest = command.split()
    assert (ROOT / script).exists()
    verbs = [w for w in rest if w in ("run", "resume", "show", "card")]
    plain = Path(script).name in PLAIN
    words = (
        [w for w in rest if re.fullmatch("[a-z]+", w)][:1]
        if script == "flows/promote.py"
        else verbs[:1]
    )
    assert plain or verbs, command
    text = help_of(script, *words) + help_of(script)
    assert not re.search("error: argument|invalid choice", text), text
    for option in re.findall(r"--[a-z-]+", command):
        wanted = (
            {"--run-id": "--train-run"}.get(option, option)
            if script == "flows/score.py"
            else option
        )
        assert wanted in text, (command, option)


@pytest.mark.parametrize("line", CRON)
def test_every_cron_line_has_a_time_and_a_command_that_exists(line):
    *when, rest = line.split(None, 5)
    for field, (low, high) in zip(when, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True):
        assert field == "*" or low <= int(field) <= high, line
    assert (ROOT / re.search(r"python (flows/\w+\.py)", rest)[1]).exists()
    done = subprocess.run(["bash", "-n", "-c", rest], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_systemd_units_name_commands_and_times_that_exist(tmp_path):
    service, timer = UNITS
    for script in re.findall(r"ExecStart=\S+python (\S+)", service):
        assert (ROOT / script).exists()
    when = re.search(r"OnCalendar=(.*)", timer)[1]
    assert re.fullmatch(r"\*-\*-\* ([01]\d|2[0-3]):[0-5]\d:[0-5]\d", when)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"`(FIVEFOLD_[A-Z_]+)", README + OPERATION + RUNBOOK)))
)
def test_every_setting_is_read_by_the_code(name):
    code = "".join(
        p.read_text() for folder in ("lib", "frontend") for p in (ROOT / folder).rglob("*.py")
    )
    from fivefold.serving.api_settings import SETTINGS

    assert name in code or name.removeprefix("FIVEFOLD_API_").lower() in SETTINGS, name


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", README))))
def test_every_option_in_the_text_exists(option):
    text = (
        help_of("flows/train.py", "run")
        + help_of("flows/score.py", "run")
        + "".join(help_of(f"flows/{name}") for name in sorted(PLAIN))
    )
    assert option in text


@pytest.mark.parametrize(
    ("script", "step"),
    [
        (script, step)
        for script, step in re.findall(r"(\w+\.py) card view (\w+)", README + OPERATION)
    ],
)
def test_every_card_shown_is_a_step_with_a_card(script, step):
    source = (ROOT / "flows" / script).read_text()
    assert re.search(rf"@card\([^\n]*\n    @step\n    def {step}\(", source)


@pytest.mark.parametrize(
    "link",
    [
        *re.findall(r"\]\((?!http)([^)#]+)", README),
        *(f"docs/{link}" for link in re.findall(r"\]\((?!http)([^)#]+)", OPERATION + RUNBOOK)),
    ],
)
def test_every_linked_file_exists(link):
    assert (ROOT / link).exists()
