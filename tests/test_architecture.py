"""The import rules of docs/architecture.md, read from the code."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import ROOT

CODE = sorted([*ROOT.glob("lib/*.py"), *ROOT.glob("flows/*.py"), *ROOT.glob("frontend/**/*.py")])
HOMES = {  # outside library -> files (glob below the root) that may import it
    "mlflow": ("lib/mlflow_*.py", "lib/fivefold/tracking/mlflow_pyfunc.py"),
    "dvc": (),  # run as a command by lib/fivefold/data/revision.py
    "sqlalchemy": ("lib/fivefold/data/database.py", "lib/journal*.py", "lib/migrations/**/*.py"),
    "alembic": ("lib/fivefold/journal/database.py",),
    "altair": ("lib/charts*.py",),
    "optuna": ("lib/fivefold/training/search.py",),
    "metaflow": ("flows/*.py", "lib/run*.py", "lib/fivefold/lifecycle/record_steps.py"),
    "streamlit": ("frontend/**/*.py",),
    "xgboost": ("lib/fivefold/training/algorithms.py",),
    "lightgbm": ("lib/fivefold/training/algorithms.py",),
    "skops": ("lib/fivefold/model/bundle.py",),
}
LIGHT = {
    "fivefold.core.findings",
    "fivefold.core.findings.Refused",
    "fivefold.core.settings",
    *(
        f"fivefold.core.settings.{name}"
        for name in ("SCOPE_FOLDER", "STARTED", "TRIALS", "prepare", "say", "workers")
    ),
}
HEAVY = {
    "sklearn",
    "xgboost",
    "lightgbm",
    "mlflow",
    "optuna",
    "altair",
    "scipy",
    "sqlalchemy",
    "skops",
    "dvc",
}


def imports(path: Path, top_only: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def packages(path: Path, top_only: bool = False) -> set[str]:
    return {name.split(".")[0] for name in imports(path, top_only)}


@pytest.mark.parametrize("library", HOMES)
def test_each_outside_library_has_one_home(library):
    homes = {path for pattern in HOMES[library] for path in ROOT.glob(pattern)}
    users = {path for path in CODE if library in packages(path)}
    assert users <= homes, [str(p.relative_to(ROOT)) for p in users - homes]


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_only(path):
    used = packages(path)
    if path.parent.name == "lib":
        assert not used & {"flows", "frontend", "cards", "live", "launch", "bootstrap", "tests"}
    if path.is_relative_to(ROOT / "frontend"):
        assert "flows" not in used
    if path.parent.name == "flows":
        assert "frontend" not in used


@pytest.mark.parametrize("path", sorted(ROOT.glob("flows/*.py")), ids=lambda p: p.name)
def test_nothing_heavy_at_the_top_of_a_flow_file(path):
    top = imports(path, top_only=True)
    assert not {name.split(".")[0] for name in top} & (HEAVY | {"pandas", "numpy"})
    assert {name for name in top if name.startswith("lib")} <= LIGHT


def layers() -> dict[str, int]:
    """Module -> its line in the table of layers, from above; a name that ends in * stands for all that begin so."""
    table = (
        (ROOT / "docs" / "architecture.md")
        .read_text(encoding="utf-8")
        .partition("## The layers of lib")[2]
        .partition("\n## ")[0]
    )
    lines = [
        line.split("|")[2] for line in table.splitlines() if line.startswith("| ") and "`" in line
    ]
    named = [
        (name, number)
        for number, line in enumerate(lines)
        for name in re.findall(r"`([a-z_0-9]+\*?)`", line)
    ]
    assert len(lines) == 5
    assert len({name for name, _ in named}) == len(named)
    return {
        path.stem: number
        for path in ROOT.glob("lib/*.py")
        for name, number in named
        if path.stem == name or (name.endswith("*") and path.stem.startswith(name[:-1]))
    }


def test_every_module_of_lib_has_a_layer_and_imports_from_none_above_it():
    place = layers()
    for path in ROOT.glob("lib/*.py"):
        if path.stem != "__init__":
            below = {name.split(".")[1] for name in imports(path) if name.startswith("lib.")} & set(
                place
            )
            assert {name: place[name] for name in below if place[name] < place[path.stem]} == {}, (
                path.stem
            )


def test_there_are_no_import_cycles_in_lib():
    graph = {
        p.stem: {n.split(".")[1] for n in imports(p, top_only=True) if n.startswith("lib.")}
        for p in ROOT.glob("lib/*.py")
    }

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail, name])
        for below in graph.get(name, ()):
            visit(below, [*trail, name])

    for name in graph:
        visit(name, [])


def test_a_bare_import_of_the_flow_loads_nothing_heavy():
    code = "import sys; sys.path.insert(0, 'flows'); import train; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & (HEAVY | {"pandas"})


@pytest.mark.parametrize("path", CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


def test_architecture_md_names_every_module():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for path in CODE:
        name = path.stem
        if name == "__init__":
            continue
        shown = (
            "mlflow_"
            if name.startswith("mlflow_")
            else "charts"
            if name.startswith("charts")
            else name
        )
        assert shown in text, path
