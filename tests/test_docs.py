"""Every command, option, setting, module and file that the documents name exists."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.running import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in DOCUMENTS}
README = TEXTS["README.md"]
OPERATION = TEXTS["docs/operation.md"]
EVERYTHING = "\n".join(TEXTS.values())
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMMANDS_WITHOUT_FLOW = {"mirror.py", "feedback.py", "promote.py", "demo.py", "drift.py"}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def shell_commands() -> list[str]:
    """Commands of all bash blocks, and those that stand in the text as code."""
    lines = [line for block in blocks("bash", EVERYTHING) for line in block.splitlines()]
    prose = re.sub(r"```.*?```", "", EVERYTHING, flags=re.S)
    lines += re.findall(r"`((?:make|python|mlflow) [^`\n]+)`", prose)
    commands = [line.partition(" #")[0].strip() for line in lines]
    return list(dict.fromkeys(command for command in commands if command))


COMMANDS = shell_commands()
FLOW_COMMANDS = [command for command in COMMANDS if re.search(r"python flows/", command)]


@cache
def help_of(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def flow_help(script: str, *verb: str) -> str:
    return help_of(str(ROOT / script), *verb)


def all_help() -> str:
    texts = [flow_help(f"flows/{name}") for name in sorted(COMMANDS_WITHOUT_FLOW)]
    flows = ("train", "score", "monitor", "retrain")
    return "".join([*texts, *(flow_help(f"flows/{name}.py", "run") for name in flows)])


def test_the_readme_is_short_enough_to_read():
    assert len(README.splitlines()) <= 130


@pytest.mark.parametrize("command", [c for c in COMMANDS if re.search(r"\bmake ", c)])
def test_every_make_target_exists(command):
    targets = re.search(r"\bmake ([a-z -]+)", command)[1].split()
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.M), target


@pytest.mark.parametrize("command", FLOW_COMMANDS)
def test_every_flow_command_and_its_options_exist(command):
    words = command[command.index("flows/") :].split()
    script, *rest = words
    assert (ROOT / script).exists()
    flow_verbs = [word for word in rest if word in ("run", "resume", "show", "card", "package")]
    plain = Path(script).name in COMMANDS_WITHOUT_FLOW
    assert plain or flow_verbs, command
    verbs = flow_verbs[:1]
    if script == "flows/promote.py":
        verbs = [word for word in rest if re.fullmatch("[a-z]+", word)][:1]
    text = flow_help(script, *verbs) + flow_help(script)
    assert not re.search("error: argument|invalid choice|No such command|Traceback", text), text
    for option in re.findall(r"(?<!\S)--[a-z-]+", re.sub(r'"[^"]*"', '""', command)):
        known = {"--run-id": "--train-run"} if script == "flows/score.py" else {}
        assert known.get(option, option) in text, (command, option)


@pytest.mark.parametrize("command", [c for c in COMMANDS if "python -m " in c])
def test_every_python_module_and_its_options_exist(command):
    module, *rest = command.partition("python -m ")[2].split()
    if module == "pytest":
        assert all((ROOT / word).exists() for word in rest if "/" in word)
        return
    text = help_of("-m", module)
    assert "usage" in text.lower(), text
    for option in re.findall(r"--[a-z-]+", command):
        assert option in text, (command, option)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("mlflow ")])
def test_every_mlflow_command_exists(command):
    verb, *rest = command.split()[1:]
    text = help_of("-m", "mlflow", verb)
    for option in re.findall(r"--[a-z-]+", " ".join(rest)):
        assert option in text, (command, option)


@pytest.mark.parametrize(
    "line", [line for block in blocks("cron", OPERATION) for line in block.splitlines()]
)
def test_every_cron_line_has_a_time_and_a_command_that_exists(line):
    *when, rest = line.split(None, 5)
    for field, (low, high) in zip(when, ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7)), strict=True):
        assert field == "*" or low <= int(field) <= high, line
    assert (ROOT / re.search(r"python (flows/\w+\.py)", rest)[1]).exists()
    done = subprocess.run(["bash", "-n", "-c", rest], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_systemd_units_name_commands_and_times_that_exist():
    service, timer = blocks("ini", OPERATION)
    for script in re.findall(r"ExecStart=\S+python (\S+)", service):
        assert (ROOT / script).exists()
    when = re.search(r"OnCalendar=(.*)", timer)[1]
    assert re.fullmatch(r"\*-\*-\* ([01]\d|2[0-3]):[0-5]\d:[0-5]\d", when)
    if shutil.which("systemd-analyze"):
        done = subprocess.run(
            ["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(FIVEFOLD_[A-Z_]+)", EVERYTHING))))
def test_every_setting_is_read_by_the_code(name):
    from fivefold.serving.api_settings import NAMES

    files = [
        path for folder in ("lib", "flows", "frontend") for path in (ROOT / folder).rglob("*.py")
    ]
    code = "".join(path.read_text(encoding="utf-8") for path in files)
    assert name in code or name in NAMES, name


def test_every_option_in_the_text_exists():
    options = set(re.findall(r"`(--[a-z-]+)", EVERYTHING))
    known = all_help() + help_of("-m", "tests.bench.scale")
    assert {option for option in options if option not in known} == set()


@pytest.mark.parametrize(
    ("script", "step"), sorted(set(re.findall(r"(\w+\.py) card view (\w+)", EVERYTHING)))
)
def test_every_card_shown_is_a_step_with_a_card(script, step):
    source = (ROOT / "flows" / script).read_text(encoding="utf-8")
    assert re.search(rf"@card\([^\n]*\n    @step\n    def {step}\(", source)


@pytest.mark.parametrize("document", TEXTS)
def test_every_linked_file_exists(document):
    folder = (ROOT / document).parent
    links = re.findall(r"\]\((?!http)([^)#]+)", TEXTS[document])
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("document", TEXTS)
def test_every_file_named_as_code_exists(document):
    roots = [ROOT, ROOT / "lib" / "fivefold", ROOT / "frontend", ROOT / "flows", ROOT / "docs"]
    names = re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|txt|json|yml|svg))`", TEXTS[document])
    assert [name for name in names if not any((root / name).exists() for root in roots)] == []


@pytest.mark.parametrize("document", TEXTS)
def test_every_dotted_name_of_the_package_exists(document):
    for name in re.findall(r"`(fivefold(?:\.\w+)+)", TEXTS[document]):
        parts = name.split(".")
        modules = [ROOT / "lib" / Path(*parts[:size]) for size in range(2, len(parts) + 1)]
        assert any(path.is_dir() or path.with_suffix(".py").exists() for path in modules), name


def test_dependencies_md_names_each_requirement():
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    names = [re.match(r"[\w.-]+", line)[0] for line in lines if line and line[0] != "#"]
    text = TEXTS["docs/dependencies.md"]
    assert [name for name in names if name not in text] == []


def test_hooks_run_what_ci_runs():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    ci_run = (ROOT / ".ci/run").read_text(encoding="utf-8")
    targets = re.findall(r"entry: make (\w+)", hooks)
    assert targets == ["lint", "types", "test"]
    assert "run: make lint types" in workflow
    assert "run: .ci/run" in workflow
    assert "exec make test" in ci_run
    assert re.search(r"^check: lint types test ", MAKEFILE, re.M)
