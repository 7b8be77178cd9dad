"""Every command, option and file that README.md shows exists."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.running import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = [line.split("#")[0].strip() for block in re.findall(r"```bash\n(.*?)```", README, re.S) for line in block.splitlines()]
COMMANDS = [line for line in SHELL if line]


def help_of(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / script), *words, "--help"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_readme_is_short_enough_to_read():
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("make ")])
def test_every_make_target_exists(command):
    assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.M), command


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("python flows/")])
def test_every_flow_command_and_its_options_exist(command):
    _, script, *rest = command.split()
    assert (ROOT / script).exists()
    verbs = [w for w in rest if w in ("run", "resume", "show", "card")]
    text = help_of(script, *verbs[:1]) + help_of(script)
    if script != "flows/mirror.py":
        assert verbs, command
    for option in re.findall(r"--[a-z-]+", command):
        wanted = {"--run-id": "--train-run"}.get(option, option) if script == "flows/score.py" else option
        assert wanted in text, (command, option)


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", README))))
def test_every_option_in_the_text_exists(option):
    text = help_of("flows/train.py", "run") + help_of("flows/score.py", "run") + help_of("flows/mirror.py")
    assert option in text


@pytest.mark.parametrize("step", re.findall(r"card view (\w+)", README))
def test_every_card_shown_is_a_step_with_a_card(step):
    source = (ROOT / "flows" / "train.py").read_text()
    assert re.search(rf"@card\([^\n]*\n    @step\n    def {step}\(", source)


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", README))
def test_every_linked_file_exists(link):
    assert (ROOT / link).exists()
